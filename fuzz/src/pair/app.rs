//! Both applications: they act on events alone, and check every octet.

use std::sync::LazyLock;

use rxrpc_proto::{AbortCode, AcceptOptions, CallId, Event, ReadError, ReadMore, Rejection, WriteError};

use super::ops::LARGEST;
use super::{End, MAX_CALLS, Policy, Rpc, SERVICE, World};

/// Octets without a pattern, of which every request and every reply is a stretch of its own.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mix = |at: u64| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = (LARGEST + 2 * MAX_CALLS * SHIFT) as u64;
    (0..len).map(|at| ((mix(at) ^ mix(at) >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 56) as u8).collect()
});

/// How far apart the stretches of two calls begin: no multiple of what a packet holds.
const SHIFT: usize = 613;

/// Octets `from` to `to` of the request, or the reply, of call `index`. A request begins with the number of its
/// call.
fn stretch(index: usize, reply: bool, from: usize, to: usize) -> Vec<u8> {
    let start = (2 * index + usize::from(reply)) * SHIFT;
    let mut octets = NOISE[start + from..start + to].to_vec();
    if !reply && from == 0 {
        octets[0] = index as u8;
    }
    octets
}

impl World {
    pub(super) fn on_event(&mut self, side: usize, event: Event) {
        match event {
            Event::Incoming { call, service } => {
                assert_eq!(service, SERVICE);
                self.on_incoming(side, call);
            }
            Event::Call { call, news, .. } => {
                let outcome = news.ended().then(|| self.ends[side].call(call).and_then(|c| c.outcome()));
                let now = self.now;
                let (end, rpc) = self.find(side, call);
                assert!(!end.released, "event of a released call");
                assert!(end.outcome.is_none(), "{news:?} after the end");
                end.readable |= news.readable();
                end.writable |= news.writable();
                if let Some(outcome) = outcome {
                    end.outcome = Some(outcome.expect("it ended"));
                    end.readable = true;
                    if let Some(rpc) = rpc.map(|i| &mut self.rpcs[i]).filter(|rpc| rpc.side == side) {
                        rpc.ended.get_or_insert(now);
                    }
                }
            }
            Event::Version(_) => {}
        }
    }

    /// The side's view of a call, and the number of the call if it is known.
    fn find(&mut self, side: usize, id: CallId) -> (&mut End, Option<usize>) {
        let client = |rpc: &Rpc| rpc.side == side && rpc.client.id == Some(id);
        let server = |rpc: &Rpc| rpc.side != side && rpc.server.id == Some(id);
        if let Some(i) = self.rpcs.iter().position(client) {
            return (&mut self.rpcs[i].client, Some(i));
        }
        if let Some(i) = self.rpcs.iter().position(server) {
            return (&mut self.rpcs[i].server, Some(i));
        }
        let found = self.nameless.iter_mut().find(|(s, call, _)| *s == side && *call == id);
        let (_, _, end) = found.unwrap_or_else(|| panic!("event of the unknown {id:?}"));
        (end, None)
    }

    fn on_incoming(&mut self, side: usize, id: CallId) {
        match self.policy[side] {
            Policy::Accept => self.accept(side, id),
            Policy::Hold => {}
            how => {
                let how = if how == Policy::Busy { Rejection::Busy } else { Rejection::Abort(AbortCode(9)) };
                let _ = self.ends[side].reject(id, how);
            }
        }
    }

    pub(super) fn accept(&mut self, side: usize, id: CallId) {
        if self.ends[side].accept(id, AcceptOptions::default()).is_ok() {
            let end = End { id: Some(id), readable: true, ..End::default() };
            self.nameless.push((side, id, end));
        }
    }

    pub(super) fn accept_waiting(&mut self) {
        for side in 0..2 {
            while let Some(id) = self.ends[side].waiting(SERVICE) {
                self.accept(side, id);
            }
        }
    }

    /// Read, write and finish whatever can be.
    pub(super) fn work(&mut self) {
        self.name_calls();
        for i in 0..self.rpcs.len() {
            let side = self.rpcs[i].side;
            self.serve(1 - side, i);
            self.ask(side, i);
        }
        self.pump();
    }

    /// The first octet of a request tells which call it is of.
    fn name_calls(&mut self) {
        let nameless = std::mem::take(&mut self.nameless);
        for (side, id, mut end) in nameless {
            let mut first = [0];
            let read = self.ends[side].call(id).map(|mut call| call.read(&mut first));
            let index = match read {
                Some(Ok((1, more))) => {
                    (end.read, end.end_read) = (1, more == ReadMore::End);
                    usize::from(first[0])
                }
                Some(Ok((_, ReadMore::More)) | Err(ReadError::Blocked)) if end.outcome.is_none() => {
                    self.nameless.push((side, id, end));
                    continue;
                }
                // An empty request never comes here, nor one that failed.
                _ => {
                    self.ends[side].release(id);
                    continue;
                }
            };
            let rpc = self.rpcs.get_mut(index).expect("a call that exists");
            assert!(rpc.side != side, "a call came back to its client");
            rpc.accepted += 1;
            assert_eq!(rpc.accepted, 1, "call {index} was executed twice: {rpc:?}");
            end.readable = true;
            rpc.server = end;
            if rpc.discard {
                self.ends[side].call(id).expect("lives").discard_input();
            }
        }
    }

    fn ask(&mut self, side: usize, i: usize) {
        let (request, reply) = (self.rpcs[i].request, self.rpcs[i].reply);
        let mut end = std::mem::take(&mut self.rpcs[i].client);
        self.write(side, i, &mut end, false, request);
        self.read(side, i, &mut end, true, reply);
        self.rpcs[i].client = end;
    }

    fn serve(&mut self, side: usize, i: usize) {
        let (request, reply, discard) = (self.rpcs[i].request, self.rpcs[i].reply, self.rpcs[i].discard);
        let mut end = std::mem::take(&mut self.rpcs[i].server);
        if discard {
            self.write(side, i, &mut end, true, reply);
        } else {
            self.read(side, i, &mut end, false, request);
            if end.end_read {
                self.write(side, i, &mut end, true, reply);
            }
        }
        self.rpcs[i].server = end;
    }

    fn write(&mut self, side: usize, i: usize, end: &mut End, reply: bool, total: usize) {
        let Some(id) = end.id else { return };
        if end.finished || end.released || end.pause_writing || !end.writable || end.outcome.is_some() {
            return;
        }
        let Some(mut call) = self.ends[side].call(id) else { return };
        while end.written < total {
            let piece = stretch(i, reply, end.written, total.min(end.written + 5_000));
            match call.write(&piece) {
                Ok(n) => end.written += n,
                Err(WriteError::Blocked) => {
                    end.writable = false;
                    return;
                }
                Err(WriteError::Ended(_) | WriteError::Complete) => return,
                Err(error) => panic!("{error} in {:?}", self.rpcs[i]),
            }
        }
        end.finished = call.finish().is_ok();
    }

    fn read(&mut self, side: usize, i: usize, end: &mut End, reply: bool, total: usize) {
        let Some(id) = end.id else { return };
        if end.end_read || end.released || end.pause_reading || !end.readable {
            return;
        }
        let Some(mut call) = self.ends[side].call(id) else { return };
        loop {
            match call.read_chunk(7_000) {
                Ok(Some(piece)) => {
                    assert!(end.read + piece.len() <= total, "more than was written");
                    let expected = stretch(i, reply, end.read, end.read + piece.len());
                    assert!(piece[..] == expected[..], "wrong octets of call {i} at {}", end.read);
                    end.read += piece.len();
                }
                Ok(None) => {
                    assert_eq!(end.read, total, "the end of call {i} came early");
                    end.end_read = true;
                    return;
                }
                Err(ReadError::Blocked) => {
                    end.readable = false;
                    return;
                }
                Err(ReadError::Ended(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

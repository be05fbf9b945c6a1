//! Many calls, applications that do a little at a time, limits drawn tight, and a network that loses: everything
//! gets through in the end.

mod harness;

use std::time::Duration;

use harness::{CLIENT, Pair, SERVER, SERVICE, chance, ms, pattern};
use rxrpc_proto::{CallId, CallOptions, Config, ReadMore};
use rxrpc_sim::Streams;

/// One side's application of a call: how much it has written, and what it has read.
#[derive(Default)]
struct Part {
    written: usize,
    finished: bool,
    read: Vec<u8>,
    ended: bool,
}

impl Part {
    /// Do a little: read some, write some of `data`.
    fn turn(&mut self, pair: &mut Pair, side: usize, call: CallId, data: &[u8], draw: usize) {
        let mut view = pair.ends[side].call(call).unwrap();
        if !draw.is_multiple_of(3) {
            let mut buf = vec![0; 1 + draw % 5000];
            if let Ok((n, more)) = view.read(&mut buf) {
                self.read.extend_from_slice(&buf[..n]);
                self.ended = more == ReadMore::End;
            }
        }
        if !draw.is_multiple_of(4) && !self.finished {
            if self.written < data.len() {
                let end = data.len().min(self.written + 1 + draw % 9000);
                if let Ok(n) = view.write(&data[self.written..end]) {
                    self.written += n;
                }
            } else {
                self.finished = view.finish().is_ok();
            }
        }
    }
}

/// A seed and limits with which calls without a channel once took all the room to write.
const ONCE_HUNG: (u64, [usize; 7]) =
    (297, [94_226_359, 1_303_135_458, 324_160_621, 1_773_963_758, 1_389_753_304, 364_383_724, 878_759_949]);

#[test]
fn a_crowd_of_calls_gets_through_any_tight_limits_on_a_bad_network() {
    for seed in (1..=40).chain([ONCE_HUNG.0]) {
        let mut rng = Streams::new(seed).stream("crowd", 0);
        let mut draw = move || rng.next_u32() as usize;
        let tight = if seed == ONCE_HUNG.0 { ONCE_HUNG.1 } else { [(); 7].map(|()| draw()) };
        let mut pair = Pair::with(|c| {
            let limits = &mut c.limits;
            limits.window = 1 + (tight[0] % 40) as u32;
            limits.receive_per_call = 1000 + tight[1] % 30_000;
            limits.receive_per_peer = 5000 + tight[2] % 60_000;
            limits.receive_total = 5000 + tight[3] % 60_000;
            limits.send_per_call = 500 + tight[4] % 20_000;
            limits.send_total = 10_000 + tight[5] % 60_000;
            limits.connections_per_bundle = 1 + tight[6] % 3;
        });
        pair.script(chance(seed, 0.03, 0.03, 0.1));
        let requests: Vec<Vec<u8>> = (0..10).map(|_| pattern(draw() % 60_000)).collect();
        let calls: Vec<CallId> = (0..10).map(|_| pair.begin(CallOptions::default())).collect();
        let mut asked: Vec<Part> = calls.iter().map(|_| Part::default()).collect();
        let mut served: Vec<(CallId, Part)> = Vec::new();
        let start = pair.now;
        while asked.iter().any(|part| !part.ended) {
            for (i, call) in calls.iter().enumerate() {
                let n = draw();
                asked[i].turn(&mut pair, CLIENT, *call, &requests[i], n);
            }
            // Calls wait to be accepted, and hold what they received meanwhile.
            if draw().is_multiple_of(20)
                && let Some(id) = pair.ends[SERVER].waiting(SERVICE)
            {
                pair.ends[SERVER].accept(id, Default::default()).unwrap();
                served.push((id, Part::default()));
            }
            for (id, part) in &mut served {
                // The reply is the request again.
                let reply = if part.ended { part.read.clone() } else { vec![0] };
                let n = if part.ended { draw() } else { draw() & !3 };
                part.turn(&mut pair, SERVER, *id, &reply, n);
            }
            pair.run_for(ms(7));
            assert!(pair.now - start < Duration::from_secs(600), "seed {seed} hangs: {tight:?}");
        }
        for (i, part) in asked.iter().enumerate() {
            assert!(part.read == requests[i], "seed {seed}");
        }
    }
}

/// Four requests at once to a server that reads all that comes; how many packets went out, and how many more than once.
fn four_requests(tune: impl Fn(&mut Config)) -> (u64, u64) {
    let mut pair = Pair::with(tune);
    let data = pattern(400_000);
    let calls = [(); 4].map(|()| pair.request(&data));
    let mut served: Vec<(CallId, usize)> = Vec::new();
    let start = pair.now;
    while served.len() < 4 || served.iter().any(|(_, read)| *read < data.len()) {
        assert!(pair.step() && pair.now - start < Duration::from_secs(60), "{served:?}");
        while let Some(id) = pair.ends[SERVER].waiting(SERVICE) {
            pair.ends[SERVER].accept(id, Default::default()).unwrap();
            served.push((id, 0));
        }
        for (id, read) in &mut served {
            *read += pair.read(SERVER, *id).len();
        }
    }
    let stats = calls.map(|call| pair.ends[CLIENT].call(call).unwrap().stats());
    (stats.iter().map(|s| s.packets_sent).sum(), stats.iter().map(|s| s.retransmissions).sum())
}

#[test]
fn calls_that_share_what_room_there_is_send_little_in_vain() {
    for which in 0..2 {
        let (sent, again) = four_requests(|c| {
            let both = [&mut c.limits.receive_per_peer, &mut c.limits.receive_total];
            *both.into_iter().nth(which).unwrap() = 65_536;
        });
        assert!(again * 10 < sent, "{again} of {sent} packets again");
    }
}

//! The operations an input spells, the clock, and the verdict.

use std::time::Duration;

use rxrpc_proto::wire::Malformed;
use rxrpc_proto::{AbortCode, CallError, CallOptions, Fault, NetworkError, Outcome, Path, Segments, Target};

use super::{End, MAX_CALLS, Policy, Rpc, SERVICE, World, busy_policy};
use crate::input::Input;

/// Lengths of requests and replies, around the edges of packets and windows.
const SIZES: [usize; 16] =
    [1, 2, 5, 100, 700, 1_411, 1_412, 1_413, 2_823, 2_824, 2_825, 4_000, 7_060, 12_000, 20_000, 30_000];
/// The last of them.
pub(super) const LARGEST: usize = SIZES[SIZES.len() - 1];
/// Octets that one input may send in all; it has to end soon.
const MAX_BYTES: usize = 60_000;
const WAITS: [u64; 8] = [1, 5, 20, 100, 500, 2_000, 7_000, 21_000];

/// Numbers of the operations; each stands for all numbers from it to the next.
pub(crate) mod op {
    pub(crate) const BEGIN: u8 = 0;
    pub(crate) const STEP: u8 = 64;
    pub(crate) const WAIT: u8 = 128;
    pub(crate) const PAUSE: u8 = 160;
    pub(crate) const POLICY: u8 = 192;
    pub(crate) const ACCEPT: u8 = 208;
    pub(crate) const ABORT: u8 = 216;
    pub(crate) const RELEASE: u8 = 224;
    pub(crate) const REBIND: u8 = 232;
    pub(crate) const DARK: u8 = 236;
    pub(crate) const NETWORK_ERROR: u8 = 248;
    pub(crate) const CLOSE: u8 = 252;
}

impl World {
    pub(super) fn op(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            op::BEGIN..op::STEP => self.begin(input.byte(), input.byte()),
            n @ op::STEP..op::WAIT => {
                for _ in 0..=n & 31 {
                    self.work();
                    self.step();
                }
            }
            op::WAIT..op::PAUSE => self.wait(Duration::from_millis(WAITS[input.below(8)])),
            op::PAUSE..op::POLICY => self.pause(input.byte()),
            op::POLICY..op::ACCEPT => {
                let choice = input.byte();
                let policy = [Policy::Accept, Policy::Hold, Policy::Busy, Policy::Abort];
                self.policy[usize::from(choice >> 7)] = policy[usize::from(choice & 3)];
                if choice & 2 != 0 {
                    self.rpcs.iter_mut().for_each(|rpc| rpc.meddled = true);
                }
            }
            op::ACCEPT..op::ABORT => self.accept_waiting(),
            n @ op::ABORT..op::REBIND => self.end_call(n < op::RELEASE, input.byte()),
            op::REBIND..op::DARK => {
                // A server has to stay where it is.
                self.rpcs.iter_mut().for_each(|rpc| rpc.meddled |= rpc.side == 1);
                self.net.rebind(0);
            }
            op::DARK..op::NETWORK_ERROR => {
                self.net.dark_until = self.now + Duration::from_millis(WAITS[input.below(8)]);
            }
            op::NETWORK_ERROR..op::CLOSE => {
                let side = input.below(2);
                let (peer, error) = (self.net.addresses[1 - side], NetworkError::HostUnreachable);
                self.rpcs.iter_mut().for_each(|rpc| rpc.meddled = true);
                self.ends[side].handle_network_error(self.now, peer, error);
            }
            op::CLOSE.. => {
                let side = input.below(2);
                self.closed[side] = true;
                self.rpcs.iter_mut().for_each(|rpc| rpc.meddled = true);
                self.ends[side].close();
            }
        }
        self.work();
    }

    fn begin(&mut self, sizes: u8, choice: u8) {
        let side = usize::from(choice & 1);
        let size = |n: u8| SIZES[usize::from(n & 15)];
        let (mut request, mut reply) = (size(sizes), size(sizes >> 4));
        if self.bytes + request + reply > MAX_BYTES {
            (request, reply) = (3, 3);
        }
        self.bytes += request + reply;
        if self.rpcs.len() >= MAX_CALLS || self.closed[side] {
            return;
        }
        let options =
            CallOptions { exclusive: choice & 2 != 0, busy: busy_policy(choice), ..CallOptions::default() };
        let target = Target::new(self.net.addresses[1 - side], SERVICE);
        let id = self.ends[side].begin_call(&target, options).expect("within the limits");
        // A server that cannot take calls, or turns them away, is no network's fault.
        let refuses = matches!(self.policy[1 - side], Policy::Busy | Policy::Abort);
        self.rpcs.push(Rpc {
            side,
            request,
            reply,
            discard: choice & 8 != 0,
            began: self.now,
            ended: None,
            client: End { id: Some(id), ..End::default() },
            server: End::default(),
            accepted: 0,
            meddled: refuses || self.closed.contains(&true) || (side == 1 && self.net.is_rebound()),
            must_succeed: false,
        });
    }

    fn pause(&mut self, choice: u8) {
        let Some(i) = usize::from(choice & 15).checked_rem(self.rpcs.len()) else { return };
        let rpc = &mut self.rpcs[i];
        let end = if choice & 16 == 0 { &mut rpc.client } else { &mut rpc.server };
        let on = choice & 32 == 0;
        if choice & 64 == 0 {
            (end.pause_reading, end.readable) = (on, true);
        } else {
            (end.pause_writing, end.writable) = (on, true);
        }
    }

    fn end_call(&mut self, abort: bool, choice: u8) {
        let Some(i) = usize::from(choice & 15).checked_rem(self.rpcs.len()) else { return };
        let rpc = &mut self.rpcs[i];
        let (side, end) =
            if choice & 16 == 0 { (rpc.side, &mut rpc.client) } else { (1 - rpc.side, &mut rpc.server) };
        let Some(id) = end.id else { return };
        if end.released {
            return;
        }
        rpc.meddled |= end.outcome.is_none();
        if abort {
            self.ends[side].call(id).expect("not released").abort(AbortCode(77));
        } else {
            end.released = true;
            let gone = CallError::LocalAbort(AbortCode::RX_USER_ABORT);
            end.outcome.get_or_insert(Err(gone));
            self.ends[side].release(id);
        }
    }

    /// Send what both have to send, and take their events.
    pub(super) fn pump(&mut self) {
        for side in 0..2 {
            let mut count = 0;
            while let Some(t) = self.ends[side].poll_transmit(self.now, &mut self.buf) {
                count += t.datagrams();
                assert!(count < 10_000, "it never stops sending");
                for bytes in self.buf.as_slice().chunks(t.segment) {
                    self.watch.on_launch(self.now, side, t.peer, bytes);
                    self.net.launch(self.now, side, t.peer, bytes);
                }
            }
            while let Some(event) = self.ends[side].poll_event() {
                self.on_event(side, event);
            }
        }
    }

    /// Go on to the next instant at which anything happens. False if nothing ever will.
    pub(super) fn step(&mut self) -> bool {
        let timers = self.ends.iter().filter_map(|end| end.poll_timeout().map(|(at, _)| at));
        let Some(next) = timers.chain(self.net.next_arrival()).min() else { return false };
        self.now = self.now.max(next);
        for end in &mut self.ends {
            for _ in 0..8 {
                if end.poll_timeout().is_none_or(|(at, _)| at > self.now) {
                    break;
                }
                end.handle_timeout(self.now);
            }
        }
        while let Some(flight) = self.net.arrive(self.now) {
            self.watch.on_arrival(self.now, &flight);
            let (path, segments) = (Path::from_peer(flight.source), Segments::single(&flight.bytes));
            self.ends[flight.to].handle_datagrams(self.now, &path, segments);
        }
        self.pump();
        true
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..20_000 {
            self.work();
            let timers = self.ends.iter().filter_map(|end| end.poll_timeout().map(|(at, _)| at));
            match timers.chain(self.net.next_arrival()).min() {
                Some(next) if next <= end => self.step(),
                _ => break,
            };
        }
        self.now = self.now.max(end);
    }

    /// Every call has ended on both sides, and those that nobody meddled with ended well.
    pub(super) fn judge(&self) {
        for (i, rpc) in self.rpcs.iter().enumerate() {
            let client = rpc.client.outcome.unwrap_or_else(|| panic!("call {i} did not end: {rpc:?}"));
            assert!(
                rpc.server.id.is_none() || rpc.server.outcome.is_some(),
                "call {i} is served for ever: {rpc:?}"
            );
            for outcome in [Some(client), rpc.server.outcome].into_iter().flatten() {
                assert!(!matches!(outcome, Err(CallError::Protocol(_))), "call {i}: {outcome:?}");
            }
            if client.is_ok() && !rpc.client.released {
                assert_eq!((rpc.client.read, rpc.client.end_read), (rpc.reply, true), "call {i}: {rpc:?}");
                assert_eq!(rpc.accepted, 1);
            }
            if !rpc.meddled {
                judge_undisturbed(i, rpc, client);
            }
        }
        for end in &self.ends {
            let stats = end.stats();
            let broken: Vec<_> = Fault::all().filter(|f| stats.fault(*f) > 0 && !is_honest(*f)).collect();
            assert!(broken.is_empty(), "between two honest endpoints: {broken:?}");
        }
    }
}

/// Only the network came between the two.
///
/// If it was silent so long that the client gave up, and its ABORT was lost too, the client's next call tells the
/// server that this one is over: then the server takes its reply for delivered, as the protocol has it.
fn judge_undisturbed(i: usize, rpc: &Rpc, client: Outcome) {
    assert!(!rpc.must_succeed || client.is_ok(), "call {i} failed on a sound network: {rpc:?}");
    let Err(error) = client else { return };
    let waited = rpc.ended.is_some_and(|at| at - rpc.began >= Duration::from_secs(15));
    let given_up = matches!(
        error,
        CallError::Timeout(_)
            | CallError::PeerRestarted
            // Or the other side did.
            | CallError::RemoteAbort(AbortCode::RX_CALL_TIMEOUT | AbortCode::RX_CALL_DEAD)
    );
    assert!(waited && given_up, "call {i} failed: {rpc:?}");
}

/// Whether late, lost and doubled packets explain the fault.
fn is_honest(fault: Fault) -> bool {
    use Fault::*;
    matches!(
        fault,
        Malformed(self::Malformed::VersionNotRequest)
            | NoClientConnection
            | NoServiceConnection
            | ServiceNotOffered
            | ServiceNotOfferedLate
            | Closed
            | NoRoom
            | NoRoomForConnection
            | MidCallStart
            | AncientCall
            | FinishedCall
            | NoCall
            | UnknownServiceCall
            | DuplicateData
            | BeyondWindow
            | StaleAck
            | AddressUnproven
            // After a silence that ended the call for its server alone.
            | ServerForgot
    )
}

//! The operations an input spells.

use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::{
    AbortCode, AcceptOptions, BusyPolicy, CallError, CallId, CallOptions, NetworkError, Rejection,
    ServiceOptions, Target,
};

use super::craft::raw;
use super::oracle::Known;
use super::{SERVICES, World};
use crate::input::Input;

/// Waits, in milliseconds: around every deadline of the configuration, up to five hours.
const WAITS: [u64; 15] =
    [0, 1, 5, 11, 50, 300, 1_000, 3_400, 10_000, 21_000, 61_000, 130_000, 601_000, 3_600_000, 18_000_000];

/// The top bit of an operation: do not poll after it.
pub(crate) const HOLD: u8 = 128;

/// Numbers of the operations; each stands for all numbers from it to the next. The frequent ones are broad.
pub(crate) mod op {
    pub(crate) const CRAFT: u8 = 0;
    pub(crate) const ECHO: u8 = 40;
    pub(crate) const RAW: u8 = 48;
    pub(crate) const TICK: u8 = 52;
    pub(crate) const NEXT_TIMEOUT: u8 = 60;
    pub(crate) const BEGIN: u8 = 68;
    pub(crate) const WRITE: u8 = 76;
    pub(crate) const FINISH: u8 = 84;
    pub(crate) const READ: u8 = 90;
    pub(crate) const ACCEPT: u8 = 96;
    pub(crate) const LISTEN: u8 = 104;
    pub(crate) const RELEASE: u8 = 108;
    pub(crate) const ABORT: u8 = 112;
    pub(crate) const REJECT: u8 = 115;
    pub(crate) const FLUSH: u8 = 117;
    pub(crate) const DISCARD: u8 = 119;
    pub(crate) const UNLISTEN: u8 = 121;
    pub(crate) const VERSION: u8 = 122;
    pub(crate) const NETWORK_ERROR: u8 = 124;
    pub(crate) const CLOSE: u8 = 126;
}

impl World {
    pub(super) fn op(&mut self, input: &mut Input<'_>) {
        let code = input.byte();
        self.quiet = !self.ep.wants_transmit();
        match code & !HOLD {
            op::CRAFT..op::TICK => self.datagram_op(code & !HOLD, input),
            op::TICK..op::NEXT_TIMEOUT => self.tick(Duration::from_millis(WAITS[input.below(15)])),
            op::NEXT_TIMEOUT..op::BEGIN => {
                let wait = self.ep.poll_timeout().map(|(at, _)| at - self.now);
                self.tick(wait.unwrap_or_default());
            }
            op::LISTEN..op::RELEASE => {
                let (service, options) = (input.byte(), input.byte());
                let upgrade_to = (options & 1 != 0).then_some(SERVICES[usize::from(options >> 1 & 7)]);
                let options = ServiceOptions { backlog: usize::from(options >> 4 & 3), upgrade_to };
                let _ = self.ep.listen(SERVICES[usize::from(service & 7)], options);
            }
            op::UNLISTEN => {
                self.ep.unlisten(SERVICES[input.below(8)]);
            }
            op::VERSION..op::NETWORK_ERROR => self.version(input),
            op::NETWORK_ERROR..op::CLOSE => self.network_error(input),
            op::CLOSE.. => self.ep.close(),
            call => self.call_op(call, input),
        }
        if code & HOLD == 0 {
            self.drain();
        } else {
            self.check_limits();
        }
    }

    fn address(&self, choice: u8) -> SocketAddr {
        self.addresses[[0, 0, 0, 0, 1, 2, 3, usize::from(choice >> 3 & 1) + 4][usize::from(choice & 7)]]
    }

    fn datagram_op(&mut self, code: u8, input: &mut Input<'_>) {
        let from = input.byte();
        let source = self.address(from);
        let bytes = match code {
            op::CRAFT..op::ECHO => Some(self.craft(input)),
            op::ECHO..op::RAW => self.echo(input),
            _ => Some(raw(input)),
        };
        let Some(bytes) = bytes else { return };
        self.largest = self.largest.max(bytes.len());
        // One batch of equal datagrams now and then; else the same one once.
        let copies = if from & 0xc0 == 0xc0 { usize::from(from >> 4 & 3) + 1 } else { 1 };
        let batch = bytes.repeat(copies);
        if !batch.is_empty() {
            self.deliver(source, &batch, bytes.len());
        }
        let aborts = bytes.len() > 20 && bytes[20] == 4;
        if aborts && copies == 1 && self.quiet && !self.validates {
            self.check_silence_about_aborts();
        }
    }

    /// An ABORT is never answered with one.
    fn check_silence_about_aborts(&mut self) {
        let now = self.now;
        while let Some(t) = self.ep.poll_transmit(now, &mut self.buf) {
            for datagram in self.buf.as_slice().chunks(t.segment) {
                assert_ne!(datagram[20], 4, "an ABORT was answered with an ABORT");
                self.sent.push((t.peer, datagram.to_vec()));
            }
        }
        self.sent.drain(..self.sent.len().saturating_sub(super::MEMORY - 1));
    }

    fn tick(&mut self, wait: Duration) {
        self.now += wait.min(Duration::from_secs(3600 * 24 * 30));
        self.ep.handle_timeout(self.now);
        self.drain();
        self.check_timers();
    }

    fn version(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        if choice & 0xc0 == 0xc0 {
            if let Some(id) = self.versions.first().copied()
                && self.ep.take_version(id).is_some()
            {
                self.versions.retain(|v| *v != id);
            }
            return;
        }
        let timeout = match choice >> 4 & 3 {
            0 => Duration::ZERO,
            1 => Duration::from_secs(5),
            2 => Duration::from_secs(500),
            _ => Duration::from_secs(1 << 20),
        };
        if let Ok(id) = self.ep.ask_version(self.address(choice), timeout) {
            self.versions.push(id);
        }
    }

    fn network_error(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let error = match choice >> 4 & 7 {
            0 => NetworkError::NetworkUnreachable,
            1 => NetworkError::HostUnreachable,
            2 => NetworkError::PortUnreachable,
            3 => NetworkError::Prohibited,
            4..=6 => NetworkError::MessageTooLong { mtu: input.number() },
            _ => NetworkError::Other(5),
        };
        let peer = self.address(choice);
        self.ep.handle_network_error(self.now, peer, error);
    }

    fn call_op(&mut self, code: u8, input: &mut Input<'_>) {
        if (op::BEGIN..op::WRITE).contains(&code) {
            return self.begin(input);
        }
        let choice = input.byte();
        let Some(i) = usize::from(choice & 15).checked_rem(self.calls.len()) else { return };
        // The newest calls first: they are the ones that live.
        let i = self.calls.len() - 1 - i;
        let id = self.calls[i].id;
        match code {
            op::WRITE..op::FINISH => self.write(id, input.word()),
            op::FINISH..op::READ => drop(self.ep.call(id).map(|mut c| c.finish())),
            op::READ..op::ACCEPT => self.read(id, choice >> 4, input.word()),
            op::ACCEPT..op::LISTEN => self.accept(i, choice),
            op::RELEASE..op::ABORT => {
                self.ep.release(id);
                self.calls[i].gone = true;
                assert!(self.ep.call(id).is_none());
            }
            op::ABORT..op::REJECT => {
                let Some(mut call) = self.ep.call(id) else { return };
                match choice >> 4 & 3 {
                    0 => call.fail(CallError::Short),
                    n => call.abort(AbortCode(i32::from(n) - 1)),
                };
            }
            op::REJECT..op::FLUSH => {
                let how = if choice & 16 == 0 { Rejection::Busy } else { Rejection::Abort(AbortCode(7)) };
                let accepted = self.calls[i].accepted;
                let rejected = self.ep.reject(id, how).is_ok();
                assert!(!(rejected && accepted), "an accepted call was rejected");
                self.calls[i].gone |= !accepted;
            }
            op::FLUSH..op::DISCARD => drop(self.ep.call(id).map(|mut c| c.flush())),
            _ => drop(self.ep.call(id).map(|mut c| c.discard_input())),
        }
    }

    fn begin(&mut self, input: &mut Input<'_>) {
        let (address, choice) = (input.byte(), input.byte());
        let service = SERVICES[usize::from(choice & 7)];
        let target = Target { upgrade: choice & 8 != 0, ..Target::new(self.address(address), service) };
        let options = CallOptions {
            tag: self.begun as u64 + 100,
            exclusive: choice & 16 != 0,
            total_length: (choice & 32 != 0).then_some(u64::from(address)),
            lifetime: (choice & 64 != 0).then_some(Duration::from_secs(2)),
            silence: (address & 64 != 0).then_some(Duration::from_secs(3)),
            busy: if choice & 128 == 0 { BusyPolicy::Fail } else { BusyPolicy::Retry },
        };
        let tag = options.tag;
        if let Ok(id) = self.ep.begin_call(&target, options) {
            self.begun += 1;
            self.calls.push(Known { id, tag, accepted: true, ended: false, gone: false });
            // Most calls say something at once.
            if address & 128 == 0 {
                self.write(id, u16::from(address) * 4);
            }
        }
    }

    fn accept(&mut self, i: usize, choice: u8) {
        let tag = u64::from(choice) + 1;
        let lifetime = (choice & 128 != 0).then_some(Duration::from_secs(1));
        let known = &mut self.calls[i];
        let result = self.ep.accept(known.id, AcceptOptions { tag, lifetime });
        match result {
            Ok(()) => {
                assert!(!known.accepted && !known.gone, "accepted twice");
                known.accepted = true;
                known.tag = tag;
            }
            Err(_) => known.gone |= !known.accepted,
        }
    }

    fn write(&mut self, id: CallId, len: u16) {
        let data = vec![len as u8; usize::from(len % 16_000)];
        let Some(mut call) = self.ep.call(id) else { return };
        let room = call.writable();
        if let Ok(written) = call.write(&data) {
            assert_eq!(written, room.min(data.len()));
        }
    }

    fn read(&mut self, id: CallId, how: u8, len: u16) {
        let Some(mut call) = self.ep.call(id) else { return };
        let before = call.readable();
        let mut buf = vec![0; usize::from(len)];
        let taken = match how & 3 {
            0 => call.read_chunk(usize::from(len)).map_or(0, |piece| piece.map_or(0, |p| p.len())),
            1 => call.read(&mut buf).map_or(0, |(n, _)| n),
            2 => call.peek(&mut buf).map_or(0, |_| 0),
            _ => call.read_exact(&mut buf, len & 1 == 0).map_or(0, |()| buf.len()),
        };
        assert_eq!(call.readable(), before - taken);
    }
}

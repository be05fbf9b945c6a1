//! What must hold after every operation.

use rxrpc_proto::wire::{Ack, AckReason, Body, Header, OwnedPacket, PacketType};
use rxrpc_proto::{CallId, Event, Transmit, TransmitBuf};

use super::World;

/// A call that the application knows.
pub(super) struct Known {
    pub(super) id: CallId,
    pub(super) tag: u64,
    pub(super) accepted: bool,
    /// Its terminal event came.
    pub(super) ended: bool,
    /// Released, rejected or given up: nothing may be heard of it.
    pub(super) gone: bool,
}

/// A batch keeps the promises of `Transmit`.
pub(super) fn check_batch(t: &Transmit, buf: &TransmitBuf) {
    let len = buf.as_slice().len();
    assert!(t.len == len && len > 0 && len <= TransmitBuf::MAX_LEN && t.segment > 0 && t.segment <= len);
    assert!(t.datagrams() <= TransmitBuf::MAX_SEGMENTS);
    let ip = t.peer.ip();
    assert!(t.peer.port() != 0 && !ip.is_unspecified() && !ip.is_multicast(), "sent to {}", t.peer);
}

/// What we send is sound and means something.
pub(crate) fn check_datagram(datagram: &[u8]) {
    let packet = OwnedPacket::parse(datagram).unwrap_or_else(|fault| panic!("we sent: {fault}"));
    assert_eq!(packet.to_vec(), datagram);
    let (header, octets) = Header::parse(datagram).expect("parsed above");
    let body = Body::parse(&header, octets).expect("parsed above");
    match body {
        Body::Data(data) => assert!(data.segments().all(|s| s.is_ok()) && header.seq != 0),
        Body::Ack(ack) => check_ack(&ack),
        Body::Abort(code) => assert_ne!(code.0, 0),
        Body::Busy | Body::Version(_) => {}
        other => panic!("we never send {other:?}"),
    }
    let loose = match body {
        // Of a call that is not known.
        Body::Ack(ack) => ack.fields.reason == AckReason::ExceedsWindow && ack.fields.first_packet == 1,
        _ => matches!(header.packet_type, PacketType::Abort | PacketType::Busy | PacketType::Version),
    };
    assert!(header.serial != 0 || loose);
}

fn check_ack(ack: &Ack<'_>) {
    assert_ne!(ack.fields.first_packet, 0);
    let table = ack.table().expect("whole");
    assert!(table.iter().all(|octet| *octet <= 1));
    let trailer = ack.trailer().expect("always sent");
    assert!(trailer.rwind.is_some_and(|rwind| rwind <= 255), "window");
}

impl World {
    /// More datagrams than this at one time are a loop: whole windows of all calls, one ACK or two each, what
    /// connections say again, answers to strangers and questions.
    pub(super) fn most_datagrams(&self) -> usize {
        let stats = self.ep.stats();
        let strangers = self.limits.stranger_answers_per_second as usize;
        stats.calls * (2 * 255 + 4) + stats.connections * 8 + strangers + 64
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Incoming { call, service } => {
                assert!(self.calls.iter().all(|k| k.id != call), "{call:?} came twice");
                assert_eq!(self.ep.call(call).map(|c| c.service()), Some(service));
                let known = Known { id: call, tag: 0, accepted: false, ended: false, gone: false };
                self.calls.push(known);
            }
            Event::Call { call, tag, news } => {
                let known = self.calls.iter_mut().find(|k| k.id == call);
                let known = known.unwrap_or_else(|| panic!("event of the unknown {call:?}"));
                assert!(known.accepted && !known.gone, "event of {call:?}, which nobody wants");
                assert!(!known.ended, "{news:?} after the end of {call:?}");
                assert_eq!(tag, known.tag);
                known.ended = news.ended();
                if news.ended() {
                    let outcome = self.ep.call(call).and_then(|c| c.outcome()).expect("it ended");
                    let name = format!("{outcome:?}");
                    let name = name.split(['(', ' ']).nth(if outcome.is_ok() { 0 } else { 1 });
                    self.report.outcomes.extend(name.map(|n| n.trim_end_matches(')').to_owned()));
                }
            }
            Event::Version(id) => assert!(self.versions.contains(&id)),
        }
    }

    /// Everything was polled: ends and terminal events agree, and the limits hold.
    pub(super) fn after_drain(&mut self) {
        for i in 0..self.calls.len() {
            let id = self.calls[i].id;
            let view = self.ep.call(id);
            let readable = view.as_ref().map_or(0, |c| c.readable());
            assert!(
                readable <= self.limits.receive_per_call + self.largest,
                "{readable} to read of one call"
            );
            let outcome = view.map(|c| c.outcome().is_some());
            let known = &mut self.calls[i];
            match outcome {
                Some(over) => {
                    assert!(!known.gone, "{id:?} is still known");
                    assert!(
                        !known.accepted || over == known.ended,
                        "{id:?}: over {over}, told {}",
                        known.ended
                    );
                }
                None => {
                    assert!(known.gone || !known.accepted, "{id:?} was forgotten");
                    known.gone = true;
                }
            }
        }
        self.check_limits();
    }

    pub(super) fn check_limits(&self) {
        let (stats, limits) = (self.ep.stats(), &self.limits);
        assert!(stats.calls <= limits.calls, "{} calls", stats.calls);
        let service = stats.connections - stats.client_connections;
        assert!(service <= limits.service_connections, "{service} service connections");
        assert!(stats.unvalidated_connections <= limits.unvalidated_connections.min(service));
        assert!(stats.evicted_connections <= limits.evicted_connections);
        assert!(stats.client_connections <= self.begun);
        assert!(stats.peers <= self.addresses.len(), "{} peers", stats.peers);
        assert!(stats.unacknowledged <= limits.send_total, "{} written", stats.unacknowledged);
        // Each call may hold one packet more than there is room for, and pay for the places before it.
        let slack = stats.calls * (self.largest + 64 * 258);
        assert!(stats.unread <= limits.receive_total + slack, "{} unread", stats.unread);
        let bound = limits.receive_total + slack + limits.send_total
            // A partly used chunk each way, books of packets in flight, queues.
            + stats.calls * (2 * 65_536 + 64 * 1024)
            + stats.connections * 4096
            + (1 << 20);
        let held = crate::allocated().saturating_sub(self.baseline);
        assert!(held <= bound, "{held} octets allocated, {bound} expected at most");
    }

    /// `handle_timeout` was called: its deadlines are over, or something goes on.
    pub(super) fn check_timers(&mut self) {
        for _ in 0..12 {
            let Some((at, _)) = self.ep.poll_timeout() else { return };
            if at > self.now {
                return;
            }
            self.ep.handle_timeout(self.now);
            self.drain();
        }
        panic!("{:?} is never done at {:?}", self.ep.poll_timeout(), self.now);
    }

    /// The endpoint is closed and its time is over.
    pub(super) fn check_nothing_left(&self) {
        let stats = self.ep.stats();
        let left = (stats.calls, stats.connections, stats.peers, stats.unread, stats.unacknowledged);
        assert_eq!(left, (0, 0, 0, 0, 0), "calls, connections, peers, unread, unacknowledged");
        assert_eq!((stats.client_connections, stats.unvalidated_connections), (0, 0));
    }
}

//! Mishaps of packets that are named: "the third ACK of call 2 is dropped".

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{Body, Flags, Header};

use super::edit::edit;
use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::scenario::{Match, Mishap, Rule, us};
use crate::world::World;

pub(super) struct Script {
    /// Each rule, and how many packets it has counted.
    rules: Vec<(Rule, u32)>,
    healed: bool,
}

impl Script {
    pub(super) fn new(rules: &[Rule]) -> Self {
        Script { rules: rules.iter().map(|r| (r.clone(), 0)).collect(), healed: false }
    }

    /// What befalls the packet. Every rule counts it that it matches.
    fn mishap(&mut self, bytes: &[u8]) -> Option<Mishap> {
        let mut found = None;
        for (rule, seen) in &mut self.rules {
            if !matches(&rule.packets, bytes) {
                continue;
            }
            *seen = seen.saturating_add(1);
            let past = *seen >= rule.nth.max(1);
            let open = rule.count == 0 || *seen < rule.nth.max(1).saturating_add(rule.count);
            if past && open && found.is_none() {
                found = Some(rule.mishap);
            }
        }
        found
    }
}

/// Whether the packet is of those that count.
fn matches(wanted: &Match, bytes: &[u8]) -> bool {
    let Ok((header, rest)) = Header::parse(bytes) else { return false };
    let reason = match Body::parse(&header, rest) {
        Ok(Body::Ack(ack)) => Some(ack.fields.reason.to_u8()),
        _ => None,
    };
    wanted.packet_type.is_none_or(|t| t == header.packet_type.to_u8())
        && wanted.call.is_none_or(|c| c == header.call_number)
        && wanted.seq.is_none_or(|s| s == header.seq)
        && wanted.reason.is_none_or(|r| Some(r) == reason)
        && wanted.last.is_none_or(|l| l == header.flags.contains(Flags::LAST_PACKET))
}

impl Element for Script {
    fn handle(&mut self, now: Instant, mut packet: Packet, world: &mut World) {
        let mishap = if self.healed { None } else { self.mishap(&packet.bytes) };
        if mishap.is_some() {
            world.coverage.fault("script");
        }
        match mishap {
            None => world.forward(packet),
            Some(Mishap::Drop) => world.lose(packet, LossReason::Script),
            Some(Mishap::Edit(what)) => {
                edit(&mut packet, what);
                world.changed(&packet);
                world.forward(packet);
            }
            Some(Mishap::Delay(by)) => world.forward_at(now + us(by), packet),
            Some(Mishap::Duplicate) => {
                let copy = world.duplicate(&packet);
                world.forward(packet);
                world.forward(copy);
            }
        }
    }

    fn control(&mut self, _now: Instant, control: &Control, _world: &mut World) {
        self.healed |= *control == Control::Heal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_proto::wire::{AckFields, AckReason, PacketType, emit_ack};

    fn ack(call: u32) -> Vec<u8> {
        let mut header = Header::parse(&[0u8; 28]).unwrap().0;
        header.packet_type = PacketType::Ack;
        header.call_number = call;
        header.service_id = 52;
        let mut bytes = Vec::new();
        header.emit(&mut bytes);
        let fields = AckFields {
            buffer_space: 0,
            max_skew: 0,
            first_packet: 1,
            previous_packet: 0,
            serial: 0,
            reason: AckReason::Requested,
        };
        emit_ack(&mut bytes, &fields, [].into_iter(), None);
        bytes
    }

    #[test]
    fn the_third_ack_of_call_two_is_dropped_and_no_other() {
        let packets = Match { packet_type: Some(2), call: Some(2), ..Match::default() };
        let rule = Rule { packets, nth: 3, count: 1, mishap: Mishap::Drop };
        let mut script = Script::new(&[rule]);
        let fates: Vec<bool> =
            [2, 1, 2, 1, 2, 2, 2].iter().map(|call| script.mishap(&ack(*call)).is_some()).collect();
        assert_eq!(fates, [false, false, false, false, true, false, false]);
    }

    #[test]
    fn a_rule_may_be_for_more_packets_than_can_be_counted() {
        let rule = Rule { packets: Match::default(), nth: 2, count: u32::MAX, mishap: Mishap::Drop };
        let mut script = Script::new(&[rule]);
        let fates: Vec<bool> = (0..3).map(|_| script.mishap(&ack(1)).is_some()).collect();
        assert_eq!(fates, [false, true, true]);
    }

    #[test]
    fn the_reason_of_an_ack_can_be_named() {
        let wanted = |reason: AckReason| Match { reason: Some(reason.to_u8()), ..Match::default() };
        assert!(matches(&wanted(AckReason::Requested), &ack(1)));
        assert!(!matches(&wanted(AckReason::Ping), &ack(1)));
        assert!(!matches(&wanted(AckReason::Ping), b"short"));
    }
}

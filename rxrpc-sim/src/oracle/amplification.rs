//! A peer that has not proved its address gets at most three times what it sent, headers counted.
//!
//! Headers are those of IPv4, whatever the family: endpoints count them so (`proof-of-address` in QUIRKS.md). With the
//! larger ones of IPv6 the limit would be looser for whoever sends more packets than he gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rxrpc_proto::wire::{Body, Header, PacketType};

use super::Oracle;
use crate::coverage::{Coverage, Limit};
use crate::packet::{IP_UDP, NodeId, Packet};
use crate::scenario::Scenario;

/// What a node has exchanged with an address.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// It has answered, or the node began the exchange: nothing is limited.
    trusted: bool,
}

#[derive(Debug)]
pub(super) struct Amplification {
    accounts: BTreeMap<(NodeId, SocketAddr), Account>,
    /// By node: it holds back at all.
    validates: Vec<bool>,
    /// By node: the address that was found trusted last, which most packets are for.
    last: Vec<Option<SocketAddr>>,
}

impl Amplification {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let validates: Vec<bool> = scenario.nodes.iter().map(|n| n.endpoint.validate_peers).collect();
        Amplification { accounts: BTreeMap::new(), last: vec![None; validates.len()], validates }
    }

    pub(super) fn on_restart(&mut self, node: NodeId) {
        self.accounts.retain(|(n, _), _| *n != node);
        self.last[usize::from(node)] = None;
    }

    fn is_known_good(&self, (node, addr): &(NodeId, SocketAddr)) -> bool {
        self.last.get(usize::from(*node)) == Some(&Some(*addr))
    }

    fn note(&mut self, (node, addr): (NodeId, SocketAddr), trusted: bool) {
        if let Some(last) = self.last.get_mut(usize::from(node)).filter(|_| trusted) {
            *last = Some(addr);
        }
    }

    pub(super) fn on_delivered(&mut self, to: NodeId, packet: &Packet) {
        let key = (to, packet.src);
        if self.is_known_good(&key) {
            return;
        }
        let account = self.accounts.entry(key).or_default();
        account.received += counted(packet);
        // An acknowledgement that names a serial may be the proof; that it is right is the endpoint's business.
        account.trusted |= names_serial(&packet.bytes);
        let trusted = account.trusted;
        self.note(key, trusted);
    }

    pub(super) fn on_sent(
        &mut self,
        from: NodeId,
        packet: &Packet,
        coverage: &mut Coverage,
    ) -> Option<(Oracle, String)> {
        let key = (from, packet.dst);
        if self.is_known_good(&key) || !self.validates.get(usize::from(from)).is_some_and(|v| *v) {
            return None;
        }
        let account = self.accounts.entry(key).or_default();
        let header = Header::parse(&packet.bytes).map(|(header, _)| header);
        let (is_version, is_ours) = match header {
            Ok(h) => (h.packet_type == PacketType::Version, h.from_client()),
            Err(_) => (false, false),
        };
        account.trusted |= is_ours;
        if account.trusted || is_version {
            let trusted = account.trusted;
            self.note(key, trusted);
            return None;
        }
        account.sent += counted(packet);
        if account.sent + 100 > 3 * account.received {
            coverage.limit(Limit::Amplification);
        }
        (account.sent > 3 * account.received).then(|| {
            let text = format!("{} bytes to {}, which sent {}", account.sent, packet.dst, account.received);
            (Oracle::Amplification, text)
        })
    }
}

fn counted(packet: &Packet) -> u64 {
    (packet.bytes.len() + IP_UDP) as u64
}

fn names_serial(bytes: &[u8]) -> bool {
    let Ok((header, rest)) = Header::parse(bytes) else { return false };
    matches!(Body::parse(&header, rest), Ok(Body::Ack(ack)) if ack.fields.serial != 0)
}

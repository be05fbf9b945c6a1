//! A peer that has not proved its address gets at most three times what it sent, headers counted.
//!
//! The proof is an ACK from there that names a serial which was sent there, and it holds for `validated_for`. Which of
//! the serials an endpoint takes (a PING it waits for, a packet in flight) is not followed: a proof may be counted here
//! that the endpoint did not take. So what was received counts from the beginning, not from the last proof.
//!
//! Headers are those of IPv4, whatever the family: endpoints count them so (`proof-of-address` in QUIRKS.md). With the
//! larger ones of IPv6 the limit would be looser for whoever sends more packets than he gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{Body, PacketType};

use super::Oracle;
use super::seen::{Seen, Sight, at};
use crate::coverage::{Coverage, Limit};
use crate::packet::{IP_UDP, NodeId, Packet, inside, node_at};
use crate::scenario::{NodeSpec, Scenario, us};

/// What a node has exchanged with an address.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    received: u64,
    /// Since the last proof, and not while it held.
    sent: u64,
    /// When the proof ends, if there ever was one.
    until: Option<Instant>,
}

impl Account {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Serials of a connection that were sent to an address: the first and the last.
#[derive(Clone, Copy, Debug)]
struct Named {
    addr: SocketAddr,
    first: u32,
    last: u32,
}

impl Named {
    fn has(&self, serial: u32) -> bool {
        serial.wrapping_sub(self.first) <= self.last.wrapping_sub(self.first)
    }
}

/// Addresses of one client that are remembered, at most: it moves when its translator forgets it.
const ADDRESSES: usize = 64;

#[derive(Debug)]
pub(super) struct Amplification {
    /// The address of each node.
    homes: Vec<SocketAddr>,
    /// By node, and by the node whose address it is.
    accounts: Vec<Account>,
    /// With all other addresses.
    others: BTreeMap<(NodeId, SocketAddr), Account>,
    /// By connection and sender.
    serials: Vec<Vec<(NodeId, Vec<Named>)>>,
    /// By node: how long a proof holds, if it wants any.
    holds_for: Vec<Option<Duration>>,
}

/// How long a proof holds at a node in true time. A jump of its clock only makes that shorter, and so does the repair
/// of a clock that is slow.
fn holds_for(node: &NodeSpec) -> Duration {
    let slow = node.clock.drift_ppm.min(0);
    let rate = (1e6 + slow as f64) / 1e6;
    us(node.endpoint.validated_for).div_f64(rate) + Duration::from_micros(1)
}

impl Amplification {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let holds_for = |n: &NodeSpec| n.endpoint.validate_peers.then(|| holds_for(n));
        let homes: Vec<SocketAddr> =
            (0..).zip(&scenario.nodes).map(|(id, node)| inside(id, node.ipv6)).collect();
        let accounts = vec![Account::default(); homes.len() * homes.len()];
        Amplification {
            homes,
            accounts,
            others: BTreeMap::new(),
            serials: Vec::new(),
            holds_for: scenario.nodes.iter().map(holds_for).collect(),
        }
    }

    pub(super) fn on_restart(&mut self, node: NodeId) {
        let (from, count) = (usize::from(node) * self.homes.len(), self.homes.len());
        self.accounts.iter_mut().skip(from).take(count).for_each(|account| *account = Account::default());
        self.others.retain(|(n, _), _| *n != node);
        self.serials.iter_mut().for_each(|by| by.retain(|(n, _)| *n != node));
    }

    fn holds_for(&self, node: NodeId) -> Option<Duration> {
        *self.holds_for.get(usize::from(node))?
    }

    pub(super) fn was_proved(&self, node: NodeId, addr: SocketAddr) -> bool {
        let account = match self.home(node, &addr) {
            Some(place) => self.accounts.get(place),
            None => self.others.get(&(node, addr)),
        };
        account.is_some_and(|account| account.until.is_some())
    }

    /// Where the account of a node with another one's own address is.
    fn home(&self, node: NodeId, addr: &SocketAddr) -> Option<usize> {
        let other = usize::from(node_at(addr)?);
        let is_home = self.homes.get(other) == Some(addr);
        is_home.then(|| usize::from(node) * self.homes.len() + other)
    }

    fn account(&mut self, node: NodeId, addr: &SocketAddr) -> &mut Account {
        match self.home(node, addr) {
            Some(place) => &mut self.accounts[place],
            None => self.others.entry((node, *addr)).or_default(),
        }
    }

    pub(super) fn on_delivered(&mut self, now: Instant, to: NodeId, (packet, seen): Sight<'_>) {
        let Some(holds_for) = self.holds_for(to) else { return };
        let account = self.account(to, &packet.src);
        account.received += counted(packet);
        // A client that has moved may answer at its new address, once that is proved, what was sent to the old one.
        let was_proved = account.until.is_some();
        let Some((place, serial)) = seen.and_then(names) else { return };
        let by_sender = self.serials.get(place).into_iter().flatten();
        let Some((_, named)) = by_sender.into_iter().find(|(node, _)| *node == to) else { return };
        if named.iter().any(|n| (n.addr == packet.src || was_proved) && n.has(serial)) {
            let account = self.account(to, &packet.src);
            account.until = account.until.max(Some(now + holds_for));
            account.sent = 0;
        }
    }

    fn note_serial(&mut self, from: NodeId, to: &SocketAddr, serial: u32, place: usize) {
        let by_sender = at(&mut self.serials, place, Vec::new);
        let known = by_sender.iter().position(|(node, _)| *node == from).unwrap_or_else(|| {
            by_sender.push((from, Vec::new()));
            by_sender.len() - 1
        });
        let all = &mut by_sender[known].1;
        // A server that has forgotten the connection begins it anew, at a random serial; all before is forgotten then.
        let near = |n: &Named| serial.wrapping_sub(n.last) < 1 << 16 || n.has(serial);
        if !all.iter().any(near) {
            all.clear();
        }
        match all.iter_mut().find(|n| n.addr == *to) {
            Some(named) if named.has(serial) => {}
            Some(named) => named.last = serial,
            None => {
                all.truncate(ADDRESSES - 1);
                all.insert(0, Named { addr: *to, first: serial, last: serial });
            }
        }
    }

    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        from: NodeId,
        (packet, seen): Sight<'_>,
        coverage: &mut Coverage,
    ) -> Option<(Oracle, String)> {
        self.holds_for(from)?;
        if let Some(Seen { header, place, .. }) = seen {
            let numbered = header.serial != 0;
            if let (true, Some(place)) = (numbered, place) {
                self.note_serial(from, &packet.dst, header.serial, place);
            }
            // A call of its own is nobody's answer. What answers a stranger has no serial, whichever side it is for.
            if (numbered && header.from_client()) || header.packet_type == PacketType::Version {
                return None;
            }
        }
        let account = self.account(from, &packet.dst);
        // What the socket did not take for a while was made when a proof may have held.
        if account.holds(now) || (packet.late && account.until.is_some()) {
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

/// The connection and the serial that an ACK names, if it is one that does.
fn names(seen: Seen<'_>) -> Option<(usize, u32)> {
    let Ok(Body::Ack(ack)) = seen.body else { return None };
    (ack.fields.serial != 0).then_some((seen.place?, ack.fields.serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_between_the_first_and_the_last_are_named_though_they_wrap() {
        let addr = crate::packet::inside(0, false);
        let named = Named { addr, first: u32::MAX - 1, last: 3 };
        assert!(named.has(u32::MAX - 1) && named.has(0) && named.has(3));
        assert!(!named.has(4) && !named.has(u32::MAX - 2));
    }

    #[test]
    fn a_proof_holds_longer_by_a_slow_clock() {
        let mut scenario = Scenario::new(1, 2);
        let node = &mut scenario.nodes[0];
        let right = holds_for(node);
        node.clock.drift_ppm = -100_000;
        assert!(holds_for(node) > right);
        node.clock.drift_ppm = 100_000;
        assert_eq!(holds_for(node), right);
    }
}

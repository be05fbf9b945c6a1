//! The network alone, between endpoints that somebody else moves.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use rxrpc_proto::Instant;

use crate::net::Element;
use crate::observer::{LossReason, Observer};
use crate::oracle::Violation;
use crate::packet::{NodeId, Packet, inside};
use crate::scenario::Scenario;
use crate::sim::Sim;
use crate::world::World;

/// The links of a [`Scenario`] and their time, for endpoints that are moved by hand: what they send is given to
/// [`send`](Network::send), and what has reached them is [taken](Network::arrived). Its nodes are addresses and nothing
/// else; its calls and actions are left aside. All oracles that look at packets are on.
///
/// ```
/// use rxrpc_sim::{Network, Scenario, inside};
///
/// let mut network = Network::new(Scenario::new(1, 2));
/// let (here, there) = (inside(0, false), inside(1, false));
/// let header = rxrpc_proto::wire::Header::parse(&[1; 28]).unwrap().0;
/// network.send(0, here, there, &header.to_bytes());
/// let due = network.next_at().expect("a packet is under way");
/// network.advance_to(due);
/// let (to, packet) = network.arrived().pop().expect("it has arrived");
/// assert_eq!((to, packet.src, &packet.bytes[..]), (1, here, &[1; 28][..]));
/// ```
pub struct Network {
    sim: Sim,
    mail: Rc<RefCell<Mail>>,
}

/// Where the nodes are reached, and what has reached them.
struct Mail {
    addrs: Vec<SocketAddr>,
    arrived: Vec<(NodeId, Packet)>,
}

impl Network {
    /// The links of the scenario. Each node has its [own address](inside).
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let scenario = Scenario { calls: Vec::new(), versions: Vec::new(), actions: Vec::new(), ..scenario };
        let addrs = (0..).zip(&scenario.nodes).map(|(id, node)| inside(id, node.ipv6)).collect();
        let mail = Rc::new(RefCell::new(Mail { addrs, arrived: Vec::new() }));
        let sim = Sim::with_nodes(scenario, |id, _| Box::new(Letterbox { id, mail: Rc::clone(&mail) }));
        Network { sim, mail }
    }

    /// From now on the node is reached at this address of its host, and at no other.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn bind(&mut self, node: NodeId, addr: SocketAddr) {
        self.mail.borrow_mut().addrs[usize::from(node)] = addr;
    }

    /// Let somebody watch the packets.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.sim.observe(observer);
    }

    /// Packets between these nodes pass this element, before all others of the link. To be done before any is sent.
    ///
    /// # Panics
    /// If there are no such nodes.
    pub fn place(&mut self, from: NodeId, to: NodeId, element: Box<dyn Element>) {
        self.sim.place(from, to, element);
    }

    /// A node sends a datagram.
    pub fn send(&mut self, from: NodeId, src: SocketAddr, dst: SocketAddr, bytes: &[u8]) {
        self.sim.with_world(|world| {
            let packet = Packet::new(src, dst, world.pool.copy(bytes));
            world.send(from, packet);
        });
    }

    /// A datagram made up by an attacker arrives at a node, past all links.
    pub fn inject(&mut self, to: NodeId, src: SocketAddr, bytes: &[u8]) {
        let dst = self.mail.borrow().addrs[usize::from(to)];
        self.sim.with_world(|world| {
            let packet = Packet::new(src, dst, world.pool.copy(bytes));
            world.inject(to, packet);
        });
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.sim.now()
    }

    /// When the next thing happens. Now, if something has arrived.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        if self.mail.borrow().arrived.is_empty() { self.sim.next_at() } else { Some(self.now()) }
    }

    /// Let time pass, with all that happens until then.
    pub fn advance_to(&mut self, at: Instant) {
        self.sim.advance_to(at);
    }

    /// What has arrived since the last time, and at which nodes.
    pub fn arrived(&mut self) -> Vec<(NodeId, Packet)> {
        std::mem::take(&mut self.mail.borrow_mut().arrived)
    }

    /// What the oracles have found wrong, first things first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.sim.found()
    }
}

/// Keeps what reaches a node.
struct Letterbox {
    id: NodeId,
    mail: Rc<RefCell<Mail>>,
}

impl Element for Letterbox {
    fn handle(&mut self, _now: Instant, packet: Packet, world: &mut World) {
        let mut mail = self.mail.borrow_mut();
        if mail.addrs[usize::from(self.id)] != packet.dst {
            return world.lose(packet, LossReason::NoRoute);
        }
        world.delivered(self.id, &packet);
        mail.arrived.push((self.id, packet));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::oracle::Oracle;
    use crate::scenario::{ElementKind, LossModel};

    const MS: Duration = Duration::from_millis(1);

    fn version() -> Vec<u8> {
        let mut bytes = vec![0; 65];
        bytes[20] = 13;
        bytes
    }

    /// Two nodes 5 ms apart; all packets from the second one are lost.
    fn network() -> Network {
        let mut scenario = Scenario::new(1, 2);
        scenario.delay = 5_000;
        scenario.link(1, 0, [ElementKind::Loss(LossModel::Bernoulli { p: 1.0 })]);
        Network::new(scenario)
    }

    #[test]
    fn packets_take_their_links_and_arrive_in_time() {
        let mut network = network();
        let [a, b] = [0, 1].map(|node| inside(node, false));
        network.send(0, a, b, &version());
        network.send(1, b, a, &version());
        assert_eq!(network.next_at(), Some(Instant::ORIGIN + 5 * MS));
        network.advance_to(Instant::ORIGIN + 4 * MS);
        assert_eq!((network.arrived(), network.now()), (vec![], Instant::ORIGIN + 4 * MS));
        network.advance_to(Instant::ORIGIN + 9 * MS);
        let arrived = network.arrived();
        assert_eq!(arrived.len(), 1);
        assert_eq!((arrived[0].0, arrived[0].1.src, &arrived[0].1.bytes), (1, a, &version()));
        assert_eq!((network.next_at(), network.violations()), (None, &[][..]));
    }

    #[test]
    fn a_node_that_has_moved_is_not_reached_where_it_was() {
        let mut network = network();
        let (here, there) = (inside(0, false), inside(1, false));
        let moved = SocketAddr::new(there.ip(), 9);
        network.bind(1, moved);
        for to in [there, moved, inside(7, false)] {
            network.send(0, here, to, &version());
        }
        network.advance_to(Instant::ORIGIN + 10 * MS);
        let arrived: Vec<SocketAddr> = network.arrived().iter().map(|(_, packet)| packet.dst).collect();
        assert_eq!(arrived, [moved]);
    }

    #[test]
    fn what_is_injected_is_there_at_once() {
        let mut network = network();
        network.inject(0, inside(1, false), &version());
        assert_eq!(network.next_at(), Some(network.now()));
        assert_eq!(network.arrived().len(), 1);
    }

    /// Sends every packet on a millisecond later.
    struct Late;

    impl Element for Late {
        fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
            world.forward_at(now + MS, packet);
        }
    }

    #[test]
    fn an_element_of_ones_own_is_passed_before_those_of_the_link() {
        let mut network = network();
        network.place(0, 1, Box::new(Late));
        network.send(0, inside(0, false), inside(1, false), &version());
        assert_eq!(network.next_at(), Some(Instant::ORIGIN + MS));
        network.advance_to(Instant::ORIGIN + 6 * MS);
        assert_eq!(network.arrived().len(), 1);
    }

    #[test]
    fn the_oracles_look_at_what_is_sent() {
        let mut network = network();
        network.send(0, inside(0, false), inside(1, false), b"short");
        assert_eq!(network.violations()[0].oracle, Oracle::Format);
    }
}

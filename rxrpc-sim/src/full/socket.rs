//! A simulated socket, clock and timer: what a driver gets for its [`Io`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rxrpc_driver::{Io, NetworkReport, RecvBatch};
use rxrpc_proto::{Instant, NetworkError, Path, Transmit};

use super::Lent;
use crate::node::{Inbox, NodeClock};
use crate::oracle::Oracle;
use crate::packet::{NodeId, Packet, inside};
use crate::rng::{Rng, Streams};
use crate::scenario::{NodeSpec, us};
use crate::world::World;

/// "Input/output error": how a device refuses segmentation.
const EIO: i32 = 5;
/// How often a driver may use its socket within one poll. It takes turns with other tasks long before.
const USES: u32 = 100_000;

/// What is left of a batch that was refused, and is therefore to be offered again.
#[derive(Default)]
struct Owed {
    bytes: Vec<u8>,
    to: Option<SocketAddr>,
    /// It was made earlier than it is sent.
    late: bool,
}

#[derive(Default)]
struct Wakers {
    readable: Option<Waker>,
    writable: Option<Waker>,
    timer: Option<Waker>,
    report: Option<Waker>,
}

/// The socket, the clock and the timer of a node. They outlive the node's drivers.
pub(super) struct Socket {
    node: NodeId,
    addr: SocketAddr,
    spec: NodeSpec,
    /// Whether sends are refused, whether batches are, and whether it lies.
    rngs: [Rng; 3],
    lent: Lent,
    now: Instant,
    pub(super) clock: NodeClock,
    inbox: Inbox,
    /// What is in the inbox and was not received.
    packets: VecDeque<Packet>,
    /// Runs of the inbox that were received.
    received: usize,
    reports: VecDeque<NetworkReport>,
    wakers: Wakers,
    /// What the timer is set to, on the node's clock.
    deadline: Option<Instant>,
    blocked_until: Option<Instant>,
    /// When it last took nothing.
    blocked_at: Option<Instant>,
    owed: Owed,
    /// The device has refused to segment.
    singly: bool,
    healed: bool,
    /// Uses within the poll that goes on.
    uses: u32,
}

impl Socket {
    pub(super) fn new(node: NodeId, spec: &NodeSpec, streams: &Streams, lent: &Lent) -> Self {
        Socket {
            node,
            addr: inside(node, spec.ipv6),
            rngs: ["blocked", "gso", "spurious"].map(|label| streams.stream(label, u64::from(spec.id))),
            lent: Rc::clone(lent),
            now: Instant::ORIGIN,
            clock: NodeClock::new(spec.clock.clone(), streams.stream("clock", u64::from(spec.id))),
            inbox: Inbox::new(spec.socket.receive_buffer, spec.socket.coalesce),
            packets: VecDeque::new(),
            received: 0,
            reports: VecDeque::new(),
            wakers: Wakers::default(),
            deadline: None,
            blocked_until: None,
            blocked_at: None,
            owed: Owed::default(),
            singly: false,
            healed: false,
            uses: 0,
            spec: spec.clone(),
        }
    }

    /// A task is about to be polled.
    pub(super) fn begin_poll(&mut self) {
        self.uses = 0;
    }

    /// The driver uses the socket.
    ///
    /// # Panics
    /// If it does nothing else: nobody but a panic gets out of a poll that does not end.
    fn count_use(&mut self) {
        self.uses += 1;
        assert!(self.uses <= USES, "node {}: the driver used its socket {USES} times in one poll", self.node);
    }

    /// The driver is gone, and with it all that it waited for.
    pub(super) fn reset(&mut self) {
        self.inbox.clear();
        self.packets.clear();
        self.received = 0;
        self.reports.clear();
        self.wakers = Wakers::default();
        self.deadline = None;
        self.blocked_until = None;
        self.owed = Owed::default();
        self.singly = false;
    }

    /// True time has come this far. Whom to wake for it.
    #[must_use]
    pub(super) fn advance(&mut self, now: Instant) -> [Option<Waker>; 2] {
        self.now = now;
        let mut wake = [None, None];
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
            wake[0] = self.wakers.writable.take();
        }
        if self.deadline.is_some_and(|at| self.clock.timer(at) <= now) {
            self.deadline = None;
            wake[1] = self.wakers.timer.take();
        }
        wake
    }

    /// A packet arrives. Whom to wake; or the packet, if there is no room for it.
    pub(super) fn arrive(&mut self, packet: Packet, world: &mut World) -> Result<Option<Waker>, Packet> {
        if !self.inbox.push(&packet.src, packet.ecn, &packet.bytes) {
            return Err(packet);
        }
        world.arrived(self.node, &packet);
        self.packets.push_back(packet);
        Ok(self.wakers.readable.take())
    }

    /// The network reports an error. Whom to wake.
    #[must_use]
    pub(super) fn report(&mut self, peer: SocketAddr, error: NetworkError) -> Option<Waker> {
        self.reports.push_back(NetworkReport { peer, error });
        self.wakers.report.take()
    }

    pub(super) fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }

    /// All faults end.
    pub(super) fn heal(&mut self, now: Instant) {
        self.healed = true;
        self.clock.heal(now);
        self.inbox.heal();
        self.blocked_until = self.blocked_until.map(|_| now);
    }

    /// When something is to happen here, in true time.
    pub(super) fn next_wake(&mut self) -> Option<Instant> {
        let timer = self.deadline.map(|at| self.clock.timer(at));
        let free = self.blocked_until.filter(|_| self.wakers.writable.is_some());
        timer.into_iter().chain(free).min()
    }

    /// The deadline that is set, if any.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it has refused a send since then.
    pub(super) fn was_blocked_since(&self, since: Instant) -> bool {
        self.blocked_at.is_some_and(|at| at >= since)
    }

    /// Whether it takes what is sent, and has taken all that was.
    pub(super) fn is_free(&self) -> bool {
        !self.is_owed() && self.blocked_until.is_none_or(|until| until <= self.now)
    }

    /// Whether something was refused and not offered again.
    pub(super) fn is_owed(&self) -> bool {
        !self.owed.bytes.is_empty()
    }

    fn broken(&self, what: &str) {
        self.lent.borrow_mut().violation(Some(self.node), Oracle::Contract, what);
    }

    fn fault(&self, name: &'static str) {
        self.lent.borrow_mut().coverage.fault(name);
    }

    /// Whether to say "ready" although nothing is: what is ready may be gone when it is looked for.
    fn lies(&mut self) -> bool {
        let often = self.spec.tasks.spurious;
        let lies = !self.healed && often > 0.0 && self.rngs[2].chance(often);
        if lies {
            self.fault("spurious-ready");
        }
        lies
    }

    /// The driver must offer what was refused, all of it, and nothing else before.
    fn check_owed(&mut self, to: SocketAddr, bytes: &[u8]) {
        let owed = &self.owed;
        if self.is_owed() && (owed.to != Some(to) || !owed.bytes.starts_with(bytes)) {
            self.broken("a batch that the socket refused was not offered again");
            self.owed = Owed::default();
        }
    }

    fn refuse(&mut self, to: SocketAddr, bytes: &[u8], late: bool) {
        self.check_owed(to, bytes);
        if !self.is_owed() {
            self.owed = Owed { bytes: bytes.to_vec(), to: Some(to), late: false };
        }
        self.owed.late |= late;
    }

    /// What the socket says instead of sending, if anything.
    fn refusal(&mut self, datagrams: usize) -> Option<io::Error> {
        let socket = &self.spec.socket;
        let free = self.blocked_until.is_none_or(|until| until <= self.now);
        if free && !self.healed && socket.blocked > 0.0 && self.rngs[0].chance(socket.blocked) {
            let until = self.now + us(socket.blocked_for);
            self.blocked_until = Some(until);
            self.lent.borrow_mut().oracles.disturbances.on_node(self.node, until);
            self.fault("send-blocked");
        }
        if self.blocked_until.is_some_and(|until| self.now < until) {
            return Some(io::ErrorKind::WouldBlock.into());
        }
        let refused = self.spec.socket.gso_refused;
        if datagrams > 1 && !self.healed && refused > 0.0 && self.rngs[1].chance(refused) {
            self.fault("gso-refused");
            self.singly = true;
            return Some(io::Error::from_raw_os_error(EIO));
        }
        None
    }

    fn send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        let segment = transmit.segment.max(1);
        let datagrams = bytes.len().div_ceil(segment);
        if bytes.is_empty() || datagrams > self.spec.socket.batch || (self.singly && datagrams > 1) {
            self.broken("a batch of a size that the socket cannot send");
        }
        if let Some(error) = self.refusal(datagrams) {
            let blocked = error.kind() == io::ErrorKind::WouldBlock;
            if blocked {
                self.blocked_at = Some(self.now);
            }
            self.refuse(transmit.peer, bytes, blocked);
            return Err(error);
        }
        self.check_owed(transmit.peer, bytes);
        let late = self.is_owed() && self.owed.late;
        let paid = bytes.len().min(self.owed.bytes.len());
        self.owed.bytes.drain(..paid);
        let mut world = self.lent.borrow_mut();
        for datagram in bytes.chunks(segment) {
            let packet = Packet {
                df: !transmit.may_fragment,
                ecn: transmit.ecn,
                origin: Some(self.node),
                late,
                ..Packet::new(self.addr, transmit.peer, world.pool.copy(datagram))
            };
            world.send(self.node, packet);
        }
        Ok(())
    }

    fn receive(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let mut messages = 0;
        while let Some((run, bytes)) = self.inbox.run(self.received) {
            let path = Path { peer: run.src, local_ip: None, ecn: run.ecn };
            if !batch.push(path, bytes, run.stride) {
                return Ok(messages);
            }
            self.received += 1;
            messages += 1;
            let datagrams = bytes.len().div_ceil(run.stride.max(1)).max(1);
            let mut world = self.lent.borrow_mut();
            for packet in self.packets.drain(..datagrams.min(self.packets.len())) {
                world.read(self.node, &packet);
                world.pool.give(packet.bytes);
            }
        }
        self.inbox.clear();
        self.received = 0;
        if messages > 0 { Ok(messages) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

/// The driver's end of a [`Socket`].
pub(super) struct SocketIo(pub(super) Rc<RefCell<Socket>>);

impl Io for SocketIo {
    fn now(&self) -> Instant {
        let socket = self.0.borrow();
        socket.clock.local(socket.now)
    }

    fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        socket.receive(batch)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        if socket.inbox.run(socket.received).is_some() || socket.lies() {
            return Poll::Ready(Ok(()));
        }
        socket.wakers.readable = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_send(&mut self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        socket.send(transmit, bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        let blocked = socket.blocked_until.is_some_and(|until| socket.now < until);
        if !blocked || socket.lies() {
            return Poll::Ready(Ok(()));
        }
        socket.wakers.writable = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        socket.deadline = None;
        let Some(deadline) = deadline else { return Poll::Pending };
        if socket.clock.timer(deadline) <= socket.now {
            return Poll::Ready(());
        }
        socket.deadline = Some(deadline);
        socket.wakers.timer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_network_error(&mut self, cx: &mut Context<'_>) -> Poll<NetworkReport> {
        let mut socket = self.0.borrow_mut();
        socket.count_use();
        if let Some(report) = socket.reports.pop_front() {
            return Poll::Ready(report);
        }
        socket.wakers.report = Some(cx.waker().clone());
        Poll::Pending
    }

    fn max_segments(&self) -> usize {
        self.0.borrow().spec.socket.batch
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.0.borrow().addr)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::nobodys;
    use super::*;

    const PEER: NodeId = 1;

    fn socket(batch: usize) -> (SocketIo, Lent) {
        let lent = nobodys();
        let mut spec = NodeSpec::default();
        spec.socket.batch = batch;
        let socket = Socket::new(0, &spec, &Streams::new(1), &lent);
        (SocketIo(Rc::new(RefCell::new(socket))), lent)
    }

    fn send(io: &mut SocketIo, bytes: &[u8], segment: usize) -> io::Result<()> {
        let peer = inside(PEER, false);
        let transmit =
            Transmit { peer, len: bytes.len(), segment, may_fragment: false, ecn: 0, local_ip: None };
        io.try_send(&transmit, bytes)
    }

    fn later(io: &SocketIo, millis: u64) {
        let now = Instant::ORIGIN + Duration::from_millis(millis);
        let _ = io.0.borrow_mut().advance(now);
    }

    /// What was found wrong about the use of the socket; what is sent here is no packet.
    fn found(lent: &Lent) -> usize {
        let world = lent.borrow();
        world.oracles.violations().iter().filter(|v| v.oracle == Oracle::Contract).count()
    }

    #[test]
    fn what_was_refused_has_to_be_offered_again_whole_or_piece_by_piece() {
        for (pieces, wrong) in [
            (&[&b"aabbc"[..]][..], 0),
            (&[b"aa", b"bb", b"c"], 0),
            (&[b"aa", b"c"], 1),
            (&[b"bb"], 1),
            (&[b"aa", b"aa"], 1),
        ] {
            let (mut io, lent) = socket(64);
            io.0.borrow_mut().block(Instant::ORIGIN + Duration::from_millis(5));
            assert_eq!(send(&mut io, b"aabbc", 2).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            later(&io, 5);
            for piece in pieces {
                send(&mut io, piece, 2).unwrap();
            }
            assert_eq!(found(&lent), wrong, "{pieces:?}");
            assert!(wrong > 0 || !io.0.borrow().is_owed());
        }
    }

    #[test]
    fn a_batch_that_the_socket_cannot_send_is_found() {
        for (batch, len, wrong) in [(2, 4, 0), (2, 5, 1), (1, 2, 0), (1, 3, 1)] {
            let (mut io, lent) = socket(batch);
            send(&mut io, &vec![0; len], 2).unwrap();
            assert_eq!(found(&lent), wrong, "{len} bytes where {batch} datagrams may be sent");
        }
    }

    #[test]
    #[should_panic(expected = "node 0: the driver used its socket 100000 times in one poll")]
    fn a_driver_that_goes_round_in_circles_is_stopped() {
        let (mut io, _) = socket(1);
        for _ in 0..3 {
            io.0.borrow_mut().begin_poll();
            (0..USES)
                .for_each(|_| assert!(io.poll_writable(&mut Context::from_waker(Waker::noop())).is_ready()));
        }
        let _ = io.try_recv(&mut RecvBatch::new());
    }

    #[test]
    fn how_often_sends_are_refused_changes_nothing_about_batches() {
        let refused = |blocked: f64| {
            let (io, _lent) = socket(64);
            let mut socket = io.0.borrow_mut();
            socket.spec.socket.blocked = blocked;
            socket.spec.socket.gso_refused = 0.5;
            let errors = (0..1_000).map(|i| {
                socket.now = Instant::ORIGIN + Duration::from_secs(i);
                socket.refusal(2).map(|e| e.kind() == io::ErrorKind::WouldBlock)
            });
            let open = errors.filter(|e| *e != Some(true)).map(|e| e.is_some());
            open.take(100).collect::<Vec<_>>()
        };
        assert_eq!(refused(0.0), refused(0.5));
        assert!(refused(0.0).contains(&true) && refused(0.0).contains(&false));
    }

    #[test]
    fn the_newest_deadline_alone_counts() {
        let (mut io, _) = socket(1);
        let mut cx = Context::from_waker(Waker::noop());
        let start = io.now();
        let at = |millis| Some(start + Duration::from_millis(millis));
        assert!(io.poll_timer(&mut cx, at(5)).is_pending());
        assert!(io.poll_timer(&mut cx, at(9)).is_pending());
        let woken = |io: &SocketIo, millis| {
            let now = Instant::ORIGIN + Duration::from_millis(millis);
            io.0.borrow_mut().advance(now)[1].is_some()
        };
        assert!(!woken(&io, 5));
        assert!(woken(&io, 9));
        assert!(io.poll_timer(&mut cx, at(9)).is_ready());
        assert!(io.poll_timer(&mut cx, None).is_pending());
        assert_eq!(io.0.borrow_mut().next_wake(), None);
    }
}

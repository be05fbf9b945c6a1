//! A bottleneck: so many bits a second, and a queue that drops at its tail or by CoDel (RFC 8289).

use std::collections::VecDeque;
use std::time::Duration;

use rxrpc_proto::Instant;

use super::{Control, Element};
use crate::observer::LossReason;
use crate::packet::Packet;
use crate::scenario::{Aqm, RateSpec, us};
use crate::world::World;

/// CoDel never drops the last full-sized packet.
const FULL_SIZE: usize = 1500;

pub(super) struct Rate {
    name: &'static str,
    spec: RateSpec,
    queue: VecDeque<(Instant, Packet)>,
    bytes: usize,
    /// When the packet on the wire has left.
    busy_until: Instant,
    codel: CoDel,
    healed: bool,
}

/// The state of the CoDel algorithm.
#[derive(Default)]
struct CoDel {
    /// When the delay will have stood for an interval.
    first_above: Option<Instant>,
    dropping: bool,
    drop_next: Instant,
    count: u32,
    last_count: u32,
}

impl Rate {
    pub(super) fn new(name: &'static str, spec: RateSpec) -> Self {
        Rate {
            name,
            spec,
            queue: VecDeque::new(),
            bytes: 0,
            busy_until: Instant::ORIGIN,
            codel: CoDel::default(),
            healed: false,
        }
    }

    fn time_for(&self, bytes: usize) -> Duration {
        let bits = bytes as u64 * 8;
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / self.spec.bits_per_second.max(1))
    }

    fn take(&mut self) -> Option<(Instant, Packet)> {
        let (since, packet) = self.queue.pop_front()?;
        self.bytes -= packet.ip_len();
        Some((since, packet))
    }

    /// The next packet to send, after CoDel has dropped those it wants to.
    fn dequeue(&mut self, now: Instant, world: &mut World) -> Option<Packet> {
        let Aqm::CoDel { target, interval } = self.spec.aqm else {
            return self.take().map(|(_, p)| p);
        };
        let (target, interval) = (us(target), us(interval));
        let (mut packet, mut over) = self.codel_take(now, target, interval)?;
        if self.codel.dropping {
            self.codel.dropping = over;
            while self.codel.dropping && now >= self.codel.drop_next {
                self.drop(packet, world);
                self.codel.count += 1;
                (packet, over) = self.codel_take(now, target, interval)?;
                self.codel.dropping = over;
                self.codel.drop_next += control_law(interval, self.codel.count);
            }
        } else if over {
            self.drop(packet, world);
            packet = self.codel_take(now, target, interval)?.0;
            let recent = now.saturating_duration_since(self.codel.drop_next) < interval * 16;
            let grown = self.codel.count.saturating_sub(self.codel.last_count);
            self.codel.count = if recent && grown > 1 { grown } else { 1 };
            self.codel.last_count = self.codel.count;
            self.codel.dropping = true;
            self.codel.drop_next = now + control_law(interval, self.codel.count);
        }
        Some(packet)
    }

    /// A packet, and whether the delay has stood above the target for an interval.
    fn codel_take(&mut self, now: Instant, target: Duration, interval: Duration) -> Option<(Packet, bool)> {
        let Some((since, packet)) = self.take() else {
            self.codel.first_above = None;
            self.codel.dropping = false;
            return None;
        };
        let delay = now.saturating_duration_since(since);
        if delay < target || self.bytes <= FULL_SIZE {
            self.codel.first_above = None;
            return Some((packet, false));
        }
        let at = *self.codel.first_above.get_or_insert(now + interval);
        Some((packet, now >= at))
    }

    fn drop(&self, packet: Packet, world: &mut World) {
        world.coverage.fault(self.name);
        world.lose(packet, LossReason::CoDel);
    }

    fn serve(&mut self, now: Instant, world: &mut World) {
        while self.busy_until <= now {
            let since = self.queue.front().map_or(now, |(since, _)| *since);
            let Some(packet) = self.dequeue(now, world) else { return };
            self.busy_until = now + self.time_for(packet.ip_len());
            world.held(self.busy_until, self.busy_until - since, &packet);
            world.forward_at(self.busy_until, packet);
        }
    }

    fn flush(&mut self, world: &mut World) {
        while let Some((_, packet)) = self.take() {
            world.forward(packet);
        }
    }
}

/// The more packets were dropped in vain, the sooner the next one is.
fn control_law(interval: Duration, count: u32) -> Duration {
    let scaled = interval.as_nanos() as f64 / f64::from(count.max(1)).sqrt();
    Duration::from_nanos(scaled as u64)
}

impl Element for Rate {
    fn handle(&mut self, now: Instant, packet: Packet, world: &mut World) {
        if self.healed {
            return world.forward(packet);
        }
        let len = packet.ip_len();
        if self.bytes + len > self.spec.queue && !self.queue.is_empty() {
            world.coverage.fault(self.name);
            return world.lose(packet, LossReason::QueueFull);
        }
        self.bytes += len;
        self.queue.push_back((now, packet));
        self.serve(now, world);
    }

    fn wake(&mut self, now: Instant, world: &mut World) {
        self.serve(now, world);
    }

    fn next_wake(&mut self) -> Option<Instant> {
        (!self.queue.is_empty()).then_some(self.busy_until)
    }

    fn control(&mut self, _now: Instant, control: &Control, world: &mut World) {
        if *control == Control::Heal {
            self.healed = true;
            self.flush(world);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_rate_grows_with_the_root_of_the_count() {
        let interval = Duration::from_millis(100);
        assert_eq!(control_law(interval, 1), interval);
        assert_eq!(control_law(interval, 4), interval / 2);
        assert_eq!(control_law(interval, 0), interval);
    }

    #[test]
    fn a_packet_takes_its_length_over_the_rate() {
        let rate = Rate::new("test", RateSpec { bits_per_second: 8_000_000, queue: 1, aqm: Aqm::TailDrop });
        assert_eq!(rate.time_for(1000), Duration::from_millis(1));
    }
}

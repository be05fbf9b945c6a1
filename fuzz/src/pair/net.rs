//! The network between the two: each datagram meets the fate the next octet says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::Instant;

/// One-way delay of a datagram that nothing befalls.
const DELAY: Duration = Duration::from_millis(5);

/// A datagram on its way.
#[derive(Clone)]
pub(super) struct Flight {
    /// Side it goes to.
    pub(super) to: usize,
    pub(super) source: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Net {
    pub(super) addresses: [SocketAddr; 2],
    fates: Vec<u8>,
    next_fate: usize,
    /// Datagrams that are lost, whatever their fate.
    burst: u8,
    /// Everything is lost until then.
    pub(super) dark_until: Instant,
    flights: BTreeMap<(Instant, u64), Flight>,
    order: u64,
    calm: bool,
}

impl Net {
    pub(super) fn new(fates: &[u8]) -> Net {
        Net {
            addresses: [SocketAddr::from(([10, 0, 0, 1], 7001)), SocketAddr::from(([10, 0, 0, 2], 7002))],
            fates: fates.to_vec(),
            next_fate: 0,
            burst: 0,
            dark_until: Instant::ORIGIN,
            flights: BTreeMap::new(),
            order: 0,
            calm: false,
        }
    }

    /// Nothing befalls what is sent from now on. What is on its way is still late, or twice.
    pub(super) fn heal(&mut self) {
        self.calm = true;
        self.dark_until = Instant::ORIGIN;
    }

    /// A translator gives one side another address.
    pub(super) fn rebind(&mut self, side: usize) {
        let old = self.addresses[side];
        self.addresses[side].set_port(old.port() + 2);
    }

    /// A datagram leaves `from`. One to an address that nobody has any more is lost.
    pub(super) fn launch(&mut self, now: Instant, from: usize, to: SocketAddr, bytes: &[u8]) {
        let Some(target) = self.addresses.iter().position(|a| *a == to) else { return };
        let flight = Flight { to: target, source: self.addresses[from], bytes: bytes.to_vec() };
        for delay in self.fate(now) {
            self.order += 1;
            self.flights.insert((now + delay, self.order), flight.clone());
        }
    }

    /// The delays after which copies arrive.
    fn fate(&mut self, now: Instant) -> Vec<Duration> {
        let ms = |n: u64| DELAY + Duration::from_millis(n);
        if self.calm {
            return vec![DELAY];
        }
        let fate = self.fates.get(self.next_fate).copied().unwrap_or(0);
        self.next_fate += 1;
        if now < self.dark_until || self.burst > 0 {
            self.burst = self.burst.saturating_sub(1);
            return vec![];
        }
        let n = u64::from(fate);
        match fate {
            0..=127 | 250.. => vec![DELAY],
            128..=159 => vec![],
            160..=191 => vec![ms((n - 160) * 2)],
            192..=215 => vec![DELAY, ms((n - 192) * 4)],
            // Up to a round trip of 3 s. Only copies come later.
            216..=231 => vec![ms((n - 216) * 100)],
            232..=239 => vec![DELAY, ms((n - 231) * 1000)],
            240..=249 => {
                self.burst = fate - 239;
                vec![]
            }
        }
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.flights.keys().next().map(|(at, _)| *at)
    }

    /// Take the next datagram that has arrived.
    pub(super) fn arrive(&mut self, now: Instant) -> Option<Flight> {
        let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(super) fn is_rebound(&self) -> bool {
        self.addresses[0].port() != 7001
    }
}

//! No more than three times what a stranger sent goes to its address, 28 octets of IP and UDP counted each way.
//!
//! A second account, kept from the packets alone. It errs on the lenient side: whoever names the serial of any
//! packet that the endpoint ever sent counts as proved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_proto::Instant;
use rxrpc_proto::wire::{Body, HEADER_LEN, Header, PacketType};

const DATAGRAM_COST: usize = 28;

#[derive(Default)]
struct Account {
    received: usize,
    sent: usize,
    proved_until: Option<Instant>,
}

pub(crate) struct Budgets {
    accounts: BTreeMap<SocketAddr, Account>,
    serials: BTreeSet<u32>,
    lasts: Duration,
}

impl Budgets {
    pub(crate) fn new(lasts: Duration) -> Self {
        Budgets { accounts: BTreeMap::new(), serials: BTreeSet::new(), lasts }
    }

    pub(crate) fn on_received(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let account = self.accounts.entry(from).or_default();
        account.received += datagram.len() + DATAGRAM_COST;
        let Ok((header, octets)) = Header::parse(datagram) else { return };
        if let Ok(Body::Ack(ack)) = Body::parse(&header, octets)
            && self.serials.contains(&ack.fields.serial)
        {
            account.proved_until = Some(now + self.lasts);
        }
    }

    pub(crate) fn on_sent(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) {
        let header = Header::parse(datagram).expect("checked before").0;
        self.serials.insert(header.serial);
        let keepalive = header.packet_type == PacketType::Version && datagram.len() == HEADER_LEN + 1;
        if header.from_client() || keepalive {
            // We chose to talk to this address ourselves.
            return;
        }
        let account = self.accounts.entry(to).or_default();
        if account.proved_until.is_some_and(|until| now < until) {
            return;
        }
        account.sent += datagram.len() + DATAGRAM_COST;
        assert!(
            account.sent <= 3 * account.received,
            "{} octets to {to}, which sent {}: last {header:?}",
            account.sent,
            account.received
        );
    }
}

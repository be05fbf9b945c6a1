//! Work is in proportion to what brings it about: packets that arrive, timers that come due, calls.
//!
//! Data that is sent for the first time is what applications wrote, and no part of this.

use super::Oracle;
use crate::packet::NodeId;

/// What a node may send beyond its share: a window, and what it began with.
const ROOM: u64 = 64;

/// What a node sends of its own accord.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Acknowledgements that ask nothing.
    Ack,
    /// Acknowledgements that ask for one.
    Ping,
    /// Data that was sent before.
    Again,
    /// Aborts, refusals, questions and answers of other kinds.
    Other,
    /// Data that was not sent before: what applications wrote, which nothing limits here.
    Fresh,
}

/// How many of each kind a node may send for each packet that arrives.
const SHARES: [(Kind, u64); 5] =
    [(Kind::Ack, 2), (Kind::Ping, 2), (Kind::Again, 4), (Kind::Other, 2), (Kind::Fresh, 0)];

/// What a node was given to do and what it sent.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    sent: [u64; 5],
    /// Packets that arrived; those of a jumbogram count each.
    arrived: u64,
    /// Packets of calls that were turned away: what had arrived of them goes again.
    refused: u64,
    /// Timers that came due, once for each call and peer that they may have been for.
    due: u64,
}

/// All accounts.
#[derive(Debug)]
pub(super) struct Work {
    accounts: Vec<Account>,
    /// Somebody tells which timers come due.
    timers_seen: bool,
}

impl Work {
    pub(super) fn new(nodes: usize) -> Self {
        Work { accounts: vec![Account::default(); nodes], timers_seen: false }
    }

    pub(super) fn on_arrived(&mut self, node: NodeId, packets: u64) {
        if let Some(account) = self.accounts.get_mut(usize::from(node)) {
            account.arrived += packets;
        }
    }

    /// A call of the node's is turned away that has sent so many packets.
    pub(super) fn on_refused(&mut self, node: NodeId, packets: u32) {
        if let Some(account) = self.accounts.get_mut(usize::from(node)) {
            account.refused += u64::from(packets);
        }
    }

    /// A timer comes due, which may be that of any of so many calls, or of a peer.
    pub(super) fn on_timer(&mut self, node: NodeId, calls: u64) {
        self.timers_seen = true;
        let peers = self.accounts.len() as u64;
        if let Some(account) = self.accounts.get_mut(usize::from(node)) {
            account.due += 1 + calls + peers;
        }
    }

    /// A node sends so many packets of a kind, in a run that has begun so many calls.
    pub(super) fn on_sent(
        &mut self,
        node: NodeId,
        kind: Kind,
        packets: u64,
        calls: u64,
    ) -> Option<(Oracle, String)> {
        let account = self.accounts.get_mut(usize::from(node))?;
        let sent = account.sent[kind as usize] + packets;
        account.sent[kind as usize] = sent;
        if kind == Kind::Fresh {
            return None;
        }
        // Each packet may be lost once without any other event: all that was sent at once goes again.
        let lost = if kind == Kind::Again { account.sent[Kind::Fresh as usize] + account.refused } else { 0 };
        let (_, share) = SHARES[kind as usize];
        // Where timers are not seen, those that follow an arrival are within its share.
        let timed = matches!(kind, Kind::Ping | Kind::Again | Kind::Other);
        let most = account.arrived * share + account.due + calls + lost + ROOM;
        (sent > most && (self.timers_seen || !timed)).then(|| {
            let Account { arrived, due, .. } = account;
            (
                Oracle::Work,
                format!("{sent} {kind:?} sent for {arrived} packets, {due} timers and {calls} calls"),
            )
        })
    }
}

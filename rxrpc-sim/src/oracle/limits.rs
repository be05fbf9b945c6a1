//! An endpoint keeps the limits of its configuration.

use std::net::SocketAddr;

use rxrpc_proto::{CallInfo, EndpointStats};

use super::{Oracle, Oracles};
use crate::packet::NodeId;
use crate::scenario::EndpointSpec;

/// Packets that a call may always hold, as large as they come.
const HELD_OVER: usize = 4 * (1444 + 64);

/// Names of a connection: the other side, the service, epoch and connection id.
type Names = (SocketAddr, u16, u32, u32);

/// What one peer takes.
#[derive(Clone, Copy, Debug)]
struct Share {
    peer: SocketAddr,
    calls: usize,
    unread: usize,
}

/// The limits of one node's endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) node: NodeId,
    pub(crate) spec: &'a EndpointSpec,
    pub(crate) oracles: &'a Oracles,
}

type Broken = (&'static str, usize, usize);

impl Limits<'_> {
    /// The first limit that is broken, if any.
    pub(crate) fn check(
        &self,
        stats: &EndpointStats,
        calls: impl Iterator<Item = CallInfo>,
    ) -> Option<(Oracle, String)> {
        let calls: Vec<CallInfo> = calls.collect();
        let (name, is, limit) = self
            .of_endpoint(stats)
            .or_else(|| calls.iter().find_map(|c| self.of_call(c)))
            .or_else(|| self.of_peers(&calls))
            .or_else(|| self.of_bundles(&calls))
            .or_else(|| self.of_strangers(&calls))?;
        Some((Oracle::Limits, format!("{is} {name}, the limit is {limit}")))
    }

    fn of_endpoint(&self, stats: &EndpointStats) -> Option<Broken> {
        let spec = self.spec;
        let service = stats.connections.saturating_sub(stats.client_connections);
        let over = spec.receive_total.saturating_add(stats.calls * HELD_OVER);
        first([
            ("calls", stats.calls, spec.calls),
            ("service connections", service, spec.service_connections),
            ("unvalidated connections", stats.unvalidated_connections, spec.unvalidated_connections),
            ("evicted connections", stats.evicted_connections, spec.evicted_connections),
            ("questions about versions", stats.version_queries, spec.version_queries),
            ("unread bytes", stats.unread, over),
            ("unacknowledged bytes", stats.unacknowledged, spec.send_total),
        ])
    }

    fn of_call(&self, call: &CallInfo) -> Option<Broken> {
        let spec = self.spec;
        let over = spec.receive_per_call.saturating_add(HELD_OVER);
        first([
            ("unread bytes of a call", call.stats.unread, over),
            ("unacknowledged bytes of a call", call.stats.unacknowledged, spec.send_per_call),
        ])
    }

    /// Calls move with their client to the peer that it has become, whatever that one has already.
    fn of_peers(&self, calls: &[CallInfo]) -> Option<Broken> {
        if self.oracles.allow.rebinding {
            return None;
        }
        let mut shares: Vec<Share> = Vec::new();
        for call in calls {
            let place = shares.iter().position(|s| s.peer == call.peer).unwrap_or_else(|| {
                shares.push(Share { peer: call.peer, calls: 0, unread: 0 });
                shares.len() - 1
            });
            shares[place].calls += 1;
            shares[place].unread += call.stats.unread;
        }
        shares.iter().find_map(|share| {
            let over = self.spec.receive_per_peer.saturating_add(share.calls * HELD_OVER);
            first([
                ("calls of a peer", share.calls, self.spec.calls_per_peer),
                ("unread bytes of a peer", share.unread, over),
            ])
        })
    }

    /// Calls that are on connections of their own, or that ask for newer services, are in bundles of their own.
    fn of_bundles(&self, calls: &[CallInfo]) -> Option<Broken> {
        let allow = &self.oracles.allow;
        if allow.exclusive || allow.upgrades {
            return None;
        }
        let most = self.spec.connections_per_bundle;
        let of = |names: &Names| (names.0, Some(names.1));
        first([("connections of a bundle", largest(calls, most, true, of), most)])
    }

    /// Who has never named a serial is not proved, and all its connections count.
    fn of_strangers(&self, calls: &[CallInfo]) -> Option<Broken> {
        let most = self.spec.unvalidated_per_peer;
        if !self.spec.validate_peers {
            return None;
        }
        let strangers = calls.iter().filter(|c| !self.oracles.was_proved(self.node, c.peer));
        let strangers: Vec<CallInfo> = strangers.copied().collect();
        let of = |names: &Names| (names.0, None::<u16>);
        first([("unvalidated connections of a peer", largest(&strangers, most, false, of), most)])
    }
}

fn first<const N: usize>(all: [Broken; N]) -> Option<Broken> {
    all.into_iter().find(|(_, is, limit)| is > limit)
}

/// The most connections with live calls of one owner, if they may be more than `most`.
fn largest<K: PartialEq>(calls: &[CallInfo], most: usize, ours: bool, of: impl Fn(&Names) -> K) -> usize {
    let live = calls.iter().filter(|c| c.outcome.is_none() && c.is_client == ours);
    let names = |c: &CallInfo| c.wire.map(|w| (c.peer, c.service, w.epoch, w.cid & !3));
    let mut all: Vec<Names> = live.filter_map(names).collect();
    if all.len() <= most {
        return 0;
    }
    all.sort_unstable();
    all.dedup();
    all.chunk_by(|a, b| of(a) == of(b)).map(<[Names]>::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_above_its_limit_is_told() {
        assert_eq!(first([("a", 1, 1), ("b", 3, 2), ("c", 9, 1)]), Some(("b", 3, 2)));
        assert_eq!(first([("a", 1, 1)]), None);
    }
}

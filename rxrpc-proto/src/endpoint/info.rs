//! What can be seen of the calls without touching them.

use core::net::SocketAddr;

use super::Endpoint;
use crate::call::Call;
use crate::event::CallId;
use crate::recovery::Rtt;
use crate::stats::{CallInfo, CallStats, WireCall};

impl Endpoint {
    /// What is known of a call of ours, or of one that was accepted or waits to be. `None` once it was released.
    #[must_use]
    pub fn call_info(&self, id: CallId) -> Option<CallInfo> {
        let key = self.call_key(id)?;
        self.calls.get(key).map(|call| self.info(key, call))
    }

    /// What is known of every call that was not released, in an order that the same inputs repeat.
    pub fn call_infos(&self) -> impl Iterator<Item = CallInfo> {
        let kept = self.calls.iter().filter(|(_, call)| !call.released);
        kept.map(|(key, call)| self.info(key, call))
    }

    pub(super) fn stats_of(&self, call: &Call) -> CallStats {
        let unknown = Rtt::default();
        call.stats(self.peers.get(call.peer as usize).map_or(&unknown, |p| &p.rtt), &self.bounds)
    }

    fn info(&self, key: u32, call: &Call) -> CallInfo {
        let peer = self.peers.get(call.peer as usize);
        CallInfo {
            id: self.call_id(key),
            tag: call.tag,
            peer: peer.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |p| p.addr),
            service: call.service,
            is_client: call.is_client(),
            wire: self.wire_call(call),
            outcome: call.outcome(),
            stats: self.stats_of(call),
        }
    }

    fn wire_call(&self, call: &Call) -> Option<WireCall> {
        let place = call.place?;
        let connection = self.connections.get(place.connection as usize)?;
        let cid = connection.cid | place.channel as u32;
        Some(WireCall { epoch: connection.epoch, cid, number: place.number })
    }
}

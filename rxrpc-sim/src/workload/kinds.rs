//! What is asked of the endpoints by a call, for the counts of a campaign.

use crate::coverage::Workload;
use crate::scenario::{CallSpec, Ending, Scenario};

/// Requests and replies of this many bytes and more are streams.
const STREAM: u64 = 64 << 10;
/// What fits a packet.
const PACKET: u64 = 1412;

/// What a call of the scenario asks of the endpoints, whenever it is made.
pub(crate) fn kinds(scenario: &Scenario, call: &CallSpec) -> Vec<Workload> {
    let back = |other: &CallSpec| (other.client, other.server) == (call.server, call.client);
    let pauses = [&call.request, &call.reply];
    let found = [
        (Workload::Tiny, call.request.len.max(call.reply.len) <= PACKET),
        (Workload::StreamUp, call.request.len >= STREAM),
        (Workload::StreamDown, call.reply.len >= STREAM),
        (Workload::SlowReader, pauses.iter().any(|t| t.read > 0 && t.read < t.len && t.read_pause > 0)),
        (
            Workload::StallingWriter,
            pauses.iter().any(|t| t.write > 0 && t.write < t.len && t.write_pause > 0),
        ),
        (
            Workload::Aborted,
            matches!(call.ending, Ending::ClientAborts | Ending::ServerAborts | Ending::ClientFails),
        ),
        (Workload::Cancelled, matches!(call.ending, Ending::ClientForgets | Ending::ServerForgets)),
        (Workload::Callback, scenario.calls.iter().any(back)),
    ];
    found.into_iter().filter_map(|(kind, is)| is.then_some(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Transfer;

    #[test]
    fn a_call_is_of_the_kinds_that_it_shows() {
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 10, 20);
        assert_eq!(kinds(&scenario, &scenario.calls[0]), [Workload::Tiny]);
        let call = scenario.call(1, 0, 70_000, 1413);
        call.reply = Transfer { read: 5, read_pause: 1, ..call.reply.clone() };
        call.ending = Ending::ClientForgets;
        let expected = [Workload::StreamUp, Workload::SlowReader, Workload::Cancelled, Workload::Callback];
        assert_eq!(kinds(&scenario, &scenario.calls[1]), expected);
    }
}

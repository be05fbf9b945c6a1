//! How long anything may last: sums of a few such times must be times as well.

use super::{ActionKind, Aqm, CallSpec, Distribution, ElementKind, Micros, Mishap, NodeSpec, Scenario};

/// A year is longer than any run.
const LONGEST: Micros = 365 * 24 * 3600 * 1_000_000;

/// A time of a part, and what it is called there.
type Time = (&'static str, Micros);

impl Scenario {
    /// What time is too long, if any is.
    pub(super) fn check_lengths(&self) -> Result<(), String> {
        let own = [("delay", self.delay), ("heal_at", self.heal_at), ("expect.within", self.expect.within)];
        none_too_long(own)?;
        for (i, node) in self.nodes.iter().enumerate() {
            none_too_long(of_node(node)).map_err(|e| format!("nodes[{i}], {e}"))?;
        }
        for (i, link) in self.links.iter().enumerate() {
            none_too_long([("delay", link.delay)]).map_err(|e| format!("links[{i}], {e}"))?;
            for (j, element) in link.elements.iter().enumerate() {
                none_too_long(of_element(&element.kind))
                    .map_err(|e| format!("links[{i}], elements[{j}] ({}), {e}", element.kind.name()))?;
            }
        }
        for (i, call) in self.calls.iter().enumerate() {
            none_too_long(of_call(call)).map_err(|e| format!("calls[{i}], {e}"))?;
        }
        for (i, version) in self.versions.iter().enumerate() {
            let times = [("at", version.at), ("timeout", version.timeout)];
            none_too_long(times).map_err(|e| format!("versions[{i}], {e}"))?;
        }
        for (i, action) in self.actions.iter().enumerate() {
            let times = [("at", action.at), of_action(&action.kind)];
            none_too_long(times).map_err(|e| format!("actions[{i}], {e}"))?;
        }
        Ok(())
    }
}

fn none_too_long(times: impl IntoIterator<Item = Time>) -> Result<(), String> {
    let wrong = times.into_iter().find(|(_, time)| *time > LONGEST);
    wrong.map_or(Ok(()), |(what, time)| Err(format!("{what}: {time} us is longer than a year")))
}

fn of_node(node: &NodeSpec) -> Vec<Time> {
    let (socket, clock) = (&node.socket, &node.clock);
    let mut times = node.endpoint.times();
    times.extend([
        ("socket.blocked_for", socket.blocked_for),
        ("clock.skew", clock.skew),
        ("clock.granularity", clock.granularity),
        ("clock.late", clock.late),
        ("nat.timeout", node.nat.as_ref().map_or(0, |nat| nat.timeout)),
    ]);
    let services = node.services.iter();
    times.extend(
        services.flat_map(|s| [("services.accept_after", s.accept_after), ("services.lifetime", s.lifetime)]),
    );
    times
}

fn of_element(kind: &ElementKind) -> Vec<Time> {
    match kind {
        ElementKind::Delay { by, .. } => of_distribution(by),
        ElementKind::ReorderByDelay { by, .. } => vec![("by", *by)],
        ElementKind::ReorderByGap { at_most, .. } => vec![("at_most", *at_most)],
        ElementKind::Duplicate { spread, .. } => vec![("spread", *spread)],
        ElementKind::Replay { after, .. } | ElementKind::Icmp { after, .. } => vec![("after", *after)],
        ElementKind::Rate(rate) => match rate.aqm {
            Aqm::TailDrop => Vec::new(),
            Aqm::CoDel { target, interval } => vec![("target", target), ("interval", interval)],
        },
        ElementKind::Gate(spans) => {
            spans.iter().flat_map(|(from, to)| [("from", *from), ("to", *to)]).collect()
        }
        ElementKind::Script(rules) => {
            let delays = rules.iter().filter_map(|rule| match rule.mishap {
                Mishap::Delay(by) => Some(("mishap.delay", by)),
                _ => None,
            });
            delays.collect()
        }
        ElementKind::Loss(_) | ElementKind::Corrupt { .. } | ElementKind::Mtu(_) => Vec::new(),
    }
}

fn of_distribution(by: &Distribution) -> Vec<Time> {
    match by {
        Distribution::Fixed(time) => vec![("fixed", *time)],
        Distribution::Uniform { low, high } => vec![("low", *low), ("high", *high)],
        Distribution::Normal { mean, deviation } => vec![("mean", *mean), ("deviation", *deviation)],
        Distribution::Pareto { least, most, .. } => vec![("least", *least), ("most", *most)],
        Distribution::Samples(samples) => samples.iter().map(|time| ("samples", *time)).collect(),
    }
}

fn of_call(call: &CallSpec) -> [Time; 11] {
    let CallSpec { request, reply, .. } = call;
    [
        ("at", call.at),
        ("pause", call.pause),
        ("within", call.within),
        ("request.write_pause", request.write_pause),
        ("request.read_pause", request.read_pause),
        ("reply.write_pause", reply.write_pause),
        ("reply.read_pause", reply.read_pause),
        ("work", call.work),
        ("ending_after", call.ending_after),
        ("lifetime", call.lifetime),
        ("silence", call.silence),
    ]
}

fn of_action(kind: &ActionKind) -> Time {
    match *kind {
        ActionKind::Pause { lasts }
        | ActionKind::Crash { lasts }
        | ActionKind::Close { lasts }
        | ActionKind::Block { lasts } => ("lasts", lasts),
        ActionKind::Jump { by } => ("by", by),
        ActionKind::Rebind | ActionKind::ForgeIcmp { .. } | ActionKind::Inject { .. } => ("lasts", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, Match, Rule};
    use crate::sim::Phase;

    #[test]
    fn a_time_is_no_longer_than_a_year() {
        const LONG: Micros = LONGEST + 1;
        let said = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario::new(1, 2);
            scenario.link(0, 1, []).call(0, 1, 8, 8);
            change(&mut scenario);
            scenario.check().unwrap_err().replace(&LONG.to_string(), "LONG")
        };
        let long = |what| format!("{what}: LONG us is longer than a year");
        assert_eq!(said(|s| s.heal_at = LONG), long("heal_at"));
        assert_eq!(said(|s| s.nodes[1].endpoint.rto_initial = LONG), long("nodes[1], rto_initial"));
        assert_eq!(said(|s| s.nodes[1].endpoint.nat_keepalive = LONG), long("nodes[1], nat_keepalive"));
        assert_eq!(said(|s| s.nodes[0].clock.skew = LONG), long("nodes[0], clock.skew"));
        assert_eq!(said(|s| s.links[0].delay = LONG), long("links[0], delay"));
        assert_eq!(said(|s| s.calls[0].reply.read_pause = LONG), long("calls[0], reply.read_pause"));
        let pause = |s: &mut Scenario| {
            s.actions.push(Action { id: 0, at: 0, node: 0, kind: ActionKind::Pause { lasts: LONG } });
        };
        assert_eq!(said(pause), long("actions[0], lasts"));
        let script = |s: &mut Scenario| {
            let late = Rule { packets: Match::default(), nth: 1, count: 1, mishap: Mishap::Delay(LONG) };
            s.link(1, 0, [ElementKind::Script(vec![late])]);
        };
        assert_eq!(said(script), long("links[1], elements[0] (script), mishap.delay"));
        let delay = |s: &mut Scenario| {
            let by = Distribution::Samples(vec![1, LONG]);
            s.link(1, 0, [ElementKind::Delay { by, correlation: 0.0, ordered: false }]);
        };
        assert_eq!(said(delay), long("links[1], elements[0] (delay-samples), samples"));
    }

    #[test]
    fn a_year_is_short_enough_to_be_reckoned_with() {
        let mut scenario = Scenario { delay: LONGEST, heal_at: LONGEST, ..Scenario::new(1, 2) };
        for node in &mut scenario.nodes {
            (node.endpoint.rto_initial, node.endpoint.rto_max) = (LONGEST, LONGEST);
            (node.endpoint.silence, node.endpoint.keepalive) = (LONGEST, LONGEST);
        }
        scenario.call(0, 1, 8, 8).at = LONGEST - 1;
        let by = Distribution::Normal { mean: LONGEST, deviation: LONGEST };
        scenario.link(0, 1, [ElementKind::Delay { by, correlation: 0.0, ordered: false }]);
        assert_eq!(scenario.check(), Ok(()));
        let mut sim = crate::Sim::new(scenario);
        while sim.phase() == Phase::Faults {
            assert!(sim.step());
        }
        assert!((0..1_000).all(|_| sim.step()));
    }
}

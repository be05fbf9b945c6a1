//! Whether the values of a scenario make sense: chances between 0 and 1, sizes that a packet can have.

use rxrpc_proto::wire::MAX_JUMBO_SEGMENTS;

use super::{
    ActionKind, Distribution, Edit, ElementKind, LinkSpec, LossModel, Mishap, MtuSpec, NodeSpec, RateSpec,
    Rule, Scenario,
};

/// The largest batch of one send: what kernels take.
const BATCH: usize = 64;
/// The smallest packet that every IP network passes (RFC 791).
const LEAST_MTU: u32 = 68;
/// Clocks that run at half the pace of true time, or at twice, are wrong enough.
const DRIFT_PPM: i32 = 500_000;

impl Scenario {
    /// What value makes no sense, if any.
    pub(super) fn check_values(&self) -> Result<(), String> {
        self.check_lengths()?;
        for (i, node) in self.nodes.iter().enumerate() {
            check_node(node).map_err(|e| format!("nodes[{i}], {e}"))?;
        }
        for (i, link) in self.links.iter().enumerate() {
            check_link(link).map_err(|e| format!("links[{i}], {e}"))?;
        }
        for (i, call) in self.calls.iter().enumerate() {
            at_least(1, call.parallel).map_err(|e| format!("calls[{i}], parallel: {e}"))?;
            at_least(1, call.repeat).map_err(|e| format!("calls[{i}], repeat: {e}"))?;
        }
        for (i, action) in self.actions.iter().enumerate() {
            if let ActionKind::Inject { count, .. } = action.kind {
                at_least(1, count).map_err(|e| format!("actions[{i}], count: {e}"))?;
            }
        }
        Ok(())
    }
}

fn check_node(node: &NodeSpec) -> Result<(), String> {
    let (socket, tasks) = (&node.socket, &node.tasks);
    if !(1..=BATCH).contains(&socket.batch) {
        return Err(format!("socket.batch: {} is not from 1 to {BATCH}", socket.batch));
    }
    if node.clock.drift_ppm.unsigned_abs() > DRIFT_PPM.unsigned_abs() {
        return Err(format!(
            "clock.drift_ppm: {} is not from -{DRIFT_PPM} to {DRIFT_PPM}",
            node.clock.drift_ppm
        ));
    }
    chances(&[
        ("socket.blocked", socket.blocked),
        ("socket.gso_refused", socket.gso_refused),
        ("tasks.cancelled", tasks.cancelled),
        ("tasks.spurious", tasks.spurious),
        ("misuse", node.misuse),
    ])
}

fn check_link(link: &LinkSpec) -> Result<(), String> {
    for (i, element) in link.elements.iter().enumerate() {
        check_element(&element.kind).map_err(|e| format!("elements[{i}] ({}), {e}", element.kind.name()))?;
    }
    Ok(())
}

fn check_element(kind: &ElementKind) -> Result<(), String> {
    match kind {
        ElementKind::Loss(model) => check_loss(model),
        ElementKind::Delay { by, correlation, .. } => {
            chances(&[("correlation", *correlation)])?;
            check_distribution(by)
        }
        ElementKind::ReorderByDelay { p, .. }
        | ElementKind::Duplicate { p, .. }
        | ElementKind::Corrupt { p, .. }
        | ElementKind::Replay { p, .. }
        | ElementKind::Icmp { p, .. } => chances(&[("p", *p)]),
        ElementKind::ReorderByGap { every, gap, .. } => {
            at_least(1, *every).map_err(|e| format!("every: {e}"))?;
            at_least(1, *gap).map_err(|e| format!("gap: {e}"))
        }
        ElementKind::Script(rules) => {
            let checked = |(i, rule)| check_rule(rule).map_err(|e| format!("rules[{i}], {e}"));
            rules.iter().enumerate().try_for_each(checked)
        }
        ElementKind::Rate(RateSpec { bits_per_second, .. }) => match bits_per_second {
            0 => Err("bits_per_second: 0 is not at least 1".into()),
            _ => Ok(()),
        },
        ElementKind::Mtu(MtuSpec { mtu, fragment_loss, .. }) => {
            at_least(LEAST_MTU, *mtu).map_err(|e| format!("mtu: {e}"))?;
            chances(&[("fragment_loss", *fragment_loss)])
        }
        ElementKind::Gate(spans) => {
            let wrong = spans.iter().find(|(from, to)| from > to);
            wrong.map_or(Ok(()), |(from, to)| {
                Err(format!("closed from {from} us to {to} us, which is before"))
            })
        }
    }
}

fn check_rule(rule: &Rule) -> Result<(), String> {
    at_least(1, rule.nth).map_err(|e| format!("nth: {e}"))?;
    match rule.mishap {
        Mishap::Edit(Edit::SecurityIndex(0)) => Err("edit, security-index: 0 is every packet's".into()),
        Mishap::Edit(Edit::TornJumbogram(n)) if !(1..=MAX_JUMBO_SEGMENTS).contains(&usize::from(n)) => {
            Err(format!("edit, torn-jumbogram: {n} is not from 1 to {MAX_JUMBO_SEGMENTS}"))
        }
        _ => Ok(()),
    }
}

fn check_loss(model: &LossModel) -> Result<(), String> {
    match *model {
        LossModel::Bernoulli { p } => chances(&[("p", p)]),
        LossModel::Gilbert { to_bad, to_good, good, bad } => {
            chances(&[("to_bad", to_bad), ("to_good", to_good), ("good", good), ("bad", bad)])
        }
        LossModel::Correlated { p, correlation } => chances(&[("p", p), ("correlation", correlation)]),
    }
}

fn check_distribution(by: &Distribution) -> Result<(), String> {
    match by {
        Distribution::Uniform { low, high } if low > high => {
            Err(format!("low: {low} us is more than {high} us"))
        }
        Distribution::Pareto { least, most, .. } if least > most => {
            Err(format!("least: {least} us is more than {most} us"))
        }
        Distribution::Pareto { shape, .. } if !(shape.is_finite() && *shape > 0.0) => {
            Err(format!("shape: {shape} is not more than 0"))
        }
        Distribution::Samples(samples) if samples.is_empty() => Err("samples: there are none".into()),
        _ => Ok(()),
    }
}

fn chances(values: &[(&str, f64)]) -> Result<(), String> {
    let wrong = values.iter().find(|(_, value)| !(0.0..=1.0).contains(value));
    wrong.map_or(Ok(()), |(what, value)| Err(format!("{what}: {value} is not from 0 to 1")))
}

fn at_least(least: u32, value: u32) -> Result<(), String> {
    if value < least { Err(format!("{value} is not at least {least}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Aqm, Match};

    /// What is said of a link with this fault.
    fn said(kind: ElementKind) -> String {
        let mut scenario = Scenario::new(1, 2);
        scenario.link(0, 1, [kind]).link(1, 0, []);
        scenario.check().unwrap_err()
    }

    #[test]
    fn a_chance_is_from_0_to_1() {
        let loss = |p| said(ElementKind::Loss(LossModel::Bernoulli { p }));
        assert_eq!(loss(1.5), "links[0], elements[0] (loss-bernoulli), p: 1.5 is not from 0 to 1");
        assert_eq!(loss(-0.1), "links[0], elements[0] (loss-bernoulli), p: -0.1 is not from 0 to 1");
        assert_eq!(loss(f64::NAN), "links[0], elements[0] (loss-bernoulli), p: NaN is not from 0 to 1");
        let mut scenario = Scenario::new(1, 2);
        scenario.nodes[1].tasks.cancelled = 2.0;
        assert_eq!(scenario.check().unwrap_err(), "nodes[1], tasks.cancelled: 2 is not from 0 to 1");
    }

    #[test]
    fn sizes_are_those_that_packets_and_sockets_have() {
        let mtu = MtuSpec { mtu: 67, report: false, fragment: false, fragment_loss: 0.0 };
        assert_eq!(
            said(ElementKind::Mtu(mtu)),
            "links[0], elements[0] (mtu-black-hole), mtu: 67 is not at least 68"
        );
        let rate = RateSpec { bits_per_second: 0, queue: 1, aqm: Aqm::TailDrop };
        assert_eq!(
            said(ElementKind::Rate(rate)),
            "links[0], elements[0] (rate-taildrop), bits_per_second: 0 is not at least 1"
        );
        let mut scenario = Scenario::new(1, 2);
        scenario.nodes[0].socket.batch = 65;
        assert_eq!(scenario.check().unwrap_err(), "nodes[0], socket.batch: 65 is not from 1 to 64");
        scenario.nodes[0].socket.batch = 64;
        scenario.nodes[0].clock.drift_ppm = -1_000_000;
        assert_eq!(
            scenario.check().unwrap_err(),
            "nodes[0], clock.drift_ppm: -1000000 is not from -500000 to 500000"
        );
    }

    #[test]
    fn what_a_packet_is_edited_to_differs_and_fits_in_a_datagram() {
        let edited = |what| {
            let packets = Match::default();
            said(ElementKind::Script(vec![Rule { packets, nth: 1, count: 1, mishap: Mishap::Edit(what) }]))
        };
        let rule = "links[0], elements[0] (script), rules[0], edit";
        assert_eq!(edited(Edit::SecurityIndex(0)), format!("{rule}, security-index: 0 is every packet's"));
        for n in [0, 47] {
            let told = format!("{rule}, torn-jumbogram: {n} is not from 1 to 46");
            assert_eq!(edited(Edit::TornJumbogram(n)), told);
        }
    }

    #[test]
    fn what_is_counted_is_counted_from_1() {
        let rule = Rule { packets: Match::default(), nth: 0, count: 1, mishap: Mishap::Drop };
        assert_eq!(
            said(ElementKind::Script(vec![rule])),
            "links[0], elements[0] (script), rules[0], nth: 0 is not at least 1"
        );
        let gap = ElementKind::ReorderByGap { every: 0, gap: 1, at_most: 1 };
        assert_eq!(said(gap), "links[0], elements[0] (reorder-gap), every: 0 is not at least 1");
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 8, 8).repeat = 0;
        assert_eq!(scenario.check().unwrap_err(), "calls[0], repeat: 0 is not at least 1");
    }

    #[test]
    fn what_has_two_ends_has_them_in_order() {
        let delay = |by| said(ElementKind::Delay { by, correlation: 0.0, ordered: false });
        assert_eq!(
            delay(Distribution::Uniform { low: 2, high: 1 }),
            "links[0], elements[0] (delay-uniform), low: 2 us is more than 1 us"
        );
        assert_eq!(
            delay(Distribution::Pareto { least: 1, shape: 0.0, most: 2 }),
            "links[0], elements[0] (delay-pareto), shape: 0 is not more than 0"
        );
        assert_eq!(
            delay(Distribution::Samples(Vec::new())),
            "links[0], elements[0] (delay-samples), samples: there are none"
        );
        assert_eq!(
            said(ElementKind::Gate(vec![(1, 2), (4, 3)])),
            "links[0], elements[0] (partition), closed from 4 us to 3 us, which is before"
        );
    }
}

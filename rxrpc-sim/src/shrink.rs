//! Shrinking: take faults and operations away while the run still fails.

use crate::campaign::run;
use crate::oracle::Oracle;
use crate::scenario::{
    ActionKind, ClockSpec, Ending, EndpointSpec, NodeSpec, Scenario, SocketSpec, TaskSpec, Transfer,
};
use crate::sim::Harness;

/// What shrinking came to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest scenario found that still fails.
    pub scenario: Scenario,
    /// Runs it took.
    pub runs: u32,
}

/// A change that makes a scenario smaller. False if there is nothing to change.
type Change = Box<dyn Fn(&mut Scenario) -> bool>;

/// Make the scenario smaller while the same oracle still finds something, in at most `budget` runs.
#[must_use]
pub fn shrink(scenario: &Scenario, harness: Harness, oracle: Oracle, budget: u32) -> Shrunk {
    shrink_while(scenario, budget, |candidate| match run(candidate, harness) {
        Ok(report) => report.violations.iter().any(|v| v.oracle == oracle),
        Err(panic) => panic.oracle == oracle,
    })
}

/// Make the scenario smaller while `fails` says that it still fails, asking at most `budget` times. What it is asked
/// about passes [`Scenario::check`].
pub fn shrink_while(scenario: &Scenario, budget: u32, mut fails: impl FnMut(&Scenario) -> bool) -> Shrunk {
    let mut best = scenario.clone();
    let mut runs = 0;
    let mut attempt = |best: &mut Scenario, change: &dyn Fn(&mut Scenario) -> bool| {
        let mut candidate = best.clone();
        let changed = runs < budget && change(&mut candidate) && candidate != *best;
        if !changed || candidate.check().is_err() {
            return false;
        }
        runs += 1;
        let still = fails(&candidate);
        if still {
            *best = candidate;
        }
        still
    };
    loop {
        let mut progress = false;
        progress |= lists(&mut best, &mut attempt);
        for change in changes(&best) {
            progress |= attempt(&mut best, &*change);
        }
        if !progress {
            break;
        }
    }
    Shrunk { scenario: best, runs }
}

type Attempt<'a> = dyn FnMut(&mut Scenario, &dyn Fn(&mut Scenario) -> bool) -> bool + 'a;

/// Take entries out of each list: first many at once, then one by one.
fn lists(best: &mut Scenario, attempt: &mut Attempt<'_>) -> bool {
    let mut any = false;
    any |= thin(best, attempt, |s| s.calls.len(), remove_calls);
    any |= thin(best, attempt, |s| s.actions.len(), |s, at, n| drop(s.actions.drain(at..at + n)));
    any |= thin(best, attempt, |s| s.versions.len(), |s, at, n| drop(s.versions.drain(at..at + n)));
    any |= thin(best, attempt, |s| s.links.len(), |s, at, n| drop(s.links.drain(at..at + n)));
    for link in 0..best.links.len() {
        any |= thin(
            best,
            attempt,
            |s| s.links[link].elements.len(),
            |s, at, n| drop(s.links[link].elements.drain(at..at + n)),
        );
    }
    any
}

/// Take `n` calls out. What was made after or within one of them no longer is; what names a later one still does.
fn remove_calls(s: &mut Scenario, at: usize, n: usize) {
    s.calls.drain(at..at + n);
    let (first, past) = (at as u32, (at + n) as u32);
    let renumber = |place: u32| match place {
        _ if place < first => Some(place),
        _ if place < past => None,
        _ => Some(place - n as u32),
    };
    for call in &mut s.calls {
        call.after = call.after.and_then(renumber);
        call.nested = call.nested.and_then(renumber);
    }
}

fn thin(
    best: &mut Scenario,
    attempt: &mut Attempt<'_>,
    len: impl Fn(&Scenario) -> usize,
    remove: impl Fn(&mut Scenario, usize, usize),
) -> bool {
    let mut any = false;
    let mut size = len(best);
    while size > 0 {
        let mut at = 0;
        while at < len(best) {
            let change = |s: &mut Scenario| {
                let n = size.min(len(s) - at);
                remove(s, at, n);
                n > 0
            };
            if attempt(best, &change) {
                any = true;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    any
}

/// Changes of single values towards their defaults.
fn changes(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for i in 0..scenario.nodes.len() {
        changes.extend(node_changes(i));
        changes.extend(endpoint_changes(i));
    }
    for i in 0..scenario.calls.len() {
        changes.extend(call_changes(i));
    }
    changes.push(Box::new(|s| {
        let (calls, actions) = (s.calls.iter().map(|c| c.at), s.actions.iter().map(|a| a.at));
        let last = calls.chain(actions).chain(s.versions.iter().map(|v| v.at)).max().unwrap_or(0);
        let sooner = last + (s.heal_at.saturating_sub(last)) / 2;
        std::mem::replace(&mut s.heal_at, sooner) != sooner
    }));
    changes.push(Box::new(|s| {
        let count = s.nodes.len();
        let used = |n: u16| {
            s.calls.iter().any(|c| c.client == n || c.server == n)
                || s.actions.iter().any(|a| a.node == n || is_about(&a.kind, n))
                || s.versions.iter().any(|v| v.client == n || v.server == n)
        };
        if count <= 2 || used(count as u16 - 1) {
            return false;
        }
        s.nodes.pop();
        s.links.retain(|l| usize::from(l.from.max(l.to)) < count - 1);
        true
    }));
    changes
}

/// Whether what befalls a node names this other one.
fn is_about(action: &ActionKind, node: u16) -> bool {
    match *action {
        ActionKind::ForgeIcmp { about, .. } => about == node,
        ActionKind::Inject { claims, .. } => claims == Some(node),
        _ => false,
    }
}

fn node_changes(i: usize) -> Vec<Change> {
    fn on(i: usize, change: impl Fn(&mut NodeSpec) + 'static) -> Change {
        Box::new(move |s: &mut Scenario| s.nodes.get_mut(i).map(&change).is_some())
    }
    vec![
        on(i, |n| n.endpoint = EndpointSpec::default()),
        on(i, |n| n.socket = SocketSpec::default()),
        on(i, |n| n.clock = ClockSpec::default()),
        on(i, |n| n.nat = None),
        on(i, |n| n.services = NodeSpec::default().services),
        on(i, |n| n.tasks = TaskSpec::default()),
        on(i, |n| n.misuse = 0.0),
        on(i, |n| n.tasks.cancelled = 0.0),
        on(i, |n| n.tasks.spurious = 0.0),
        on(i, |n| n.tasks.mixed = false),
    ]
}

/// Set single values of an endpoint back to their defaults.
fn endpoint_changes(i: usize) -> Vec<Change> {
    (0..EndpointSpec::FIELDS)
        .map(|field| -> Change {
            Box::new(move |s: &mut Scenario| s.nodes.get_mut(i).is_some_and(|n| n.endpoint.reset(field)))
        })
        .collect()
}

fn call_changes(i: usize) -> Vec<Change> {
    fn on(i: usize, change: impl Fn(&mut crate::scenario::CallSpec) + 'static) -> Change {
        Box::new(move |s: &mut Scenario| s.calls.get_mut(i).map(&change).is_some())
    }
    fn plain(t: &mut Transfer) {
        *t = Transfer { len: t.len, ..Transfer::default() };
    }
    vec![
        on(i, |c| c.repeat = 1),
        on(i, |c| c.ending = Ending::Normal),
        on(i, |c| c.ending_after = 0),
        on(i, |c| c.work = 0),
        on(i, |c| plain(&mut c.request)),
        on(i, |c| plain(&mut c.reply)),
        on(i, |c| c.request.len = c.request.len.min(8)),
        on(i, |c| c.reply.len = c.reply.len.min(8)),
        on(i, |c| c.request.len /= 2),
        on(i, |c| c.reply.len /= 2),
        on(i, |c| c.exclusive = false),
        on(i, |c| c.announced = false),
        on(i, |c| c.upgrade = false),
        on(i, |c| c.early_reply = false),
        on(i, |c| c.retry_busy = false),
        on(i, |c| c.lifetime = 0),
        on(i, |c| c.silence = 0),
        on(i, |c| c.at /= 2),
        on(i, |c| c.after = None),
        on(i, |c| c.nested = None),
        on(i, |c| c.parallel = 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, ElementKind, IcmpKind};
    use crate::sim::Sim;
    use crate::swarm;

    #[test]
    fn what_does_not_matter_goes_and_what_matters_stays() {
        let is_gate = |s: &Scenario| {
            s.links.iter().flat_map(|l| &l.elements).any(|e| matches!(e.kind, ElementKind::Gate(_)))
        };
        let big = |s: &Scenario| s.calls.iter().any(|c| c.request.len > 1000);
        let seed =
            (0..).find(|seed| is_gate(&swarm::scenario(*seed)) && big(&swarm::scenario(*seed))).unwrap();
        let shrunk = shrink_while(&swarm::scenario(seed), 10_000, |s| is_gate(s) && big(s)).scenario;
        assert_eq!(shrunk.links.iter().map(|l| l.elements.len()).sum::<usize>(), 1);
        assert_eq!((shrunk.calls.len(), shrunk.actions.len(), shrunk.versions.len()), (1, 0, 0));
        assert!(shrunk.calls[0].request.len <= 2000);
        assert!(shrunk.nodes.iter().all(|n| n.endpoint == EndpointSpec::default()));
    }

    #[test]
    fn every_scenario_on_the_way_can_be_run() {
        let mut asked = 0;
        for seed in 0..40 {
            let scenario = swarm::scenario(seed);
            // Whatever is left is as good as the rest: this goes down every way there is.
            let mut odd = false;
            shrink_while(&scenario, 400, |s| {
                assert_eq!(s.check(), Ok(()), "seed {seed}");
                asked += 1;
                odd = !odd;
                odd
            });
        }
        assert!(asked > 1_000, "{asked}");
        // Only as it is, behind the other one, is the second call made before the faults end.
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 8, 8);
        let late = scenario.heal_at + 1;
        let second = scenario.call(0, 1, 8, 8);
        (second.after, second.at) = (Some(0), late);
        shrink_while(&scenario, 1_000, |s| {
            assert_eq!(s.check(), Ok(()));
            s.calls.last().is_some_and(|call| call.at == late)
        });
    }

    #[test]
    fn a_node_that_is_named_stays() {
        for kind in [
            ActionKind::ForgeIcmp { about: 2, kind: IcmpKind::Host },
            ActionKind::Inject { claims: Some(2), count: 1, blind: false },
        ] {
            let mut scenario = Scenario::new(1, 4);
            scenario.actions.push(Action { id: 0, at: 0, node: 0, kind });
            let shrunk = shrink_while(&scenario, 1000, |s| !s.actions.is_empty()).scenario;
            assert_eq!(shrunk.nodes.len(), 3);
        }
    }

    #[test]
    fn calls_that_name_others_name_them_still() {
        let mut scenario = Scenario::new(1, 3);
        for len in 0..4 {
            scenario.call(0, 1, 8, len);
        }
        scenario.calls[3].after = Some(2);
        scenario.call(1, 2, 8, 4);
        scenario.calls[3].nested = Some(4);
        remove_calls(&mut scenario, 0, 2);
        assert_eq!(scenario.calls.iter().map(|c| c.reply.len).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((scenario.calls[1].after, scenario.calls[1].nested), (Some(0), Some(2)));
        remove_calls(&mut scenario, 0, 1);
        assert_eq!((scenario.calls[0].after, scenario.calls[0].nested), (None, Some(1)));
        remove_calls(&mut scenario, 1, 1);
        assert_eq!((scenario.calls[0].after, scenario.calls[0].nested), (None, None));
    }

    #[test]
    fn a_panic_is_not_what_an_endpoint_got_wrong() {
        fn breaks(scenario: Scenario) -> Sim {
            assert!(scenario.calls.len() > 1, "too few");
            Sim::new(scenario)
        }
        let mut scenario = Scenario::new(1, 2);
        scenario.call(0, 1, 8, 8);
        assert_eq!(run(&scenario, breaks).unwrap_err().oracle, Oracle::Panic);
        // Nothing else is taken for it: fewer calls panic, and that was not what was looked for.
        scenario.call(0, 1, 8, 8);
        assert_eq!(shrink(&scenario, breaks, Oracle::Contract, 100).scenario.calls.len(), 2);
        scenario.calls.pop();
        assert_eq!(shrink(&scenario, breaks, Oracle::Panic, 100).scenario.calls.len(), 0);
    }
}

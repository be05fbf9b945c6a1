//! Whether a scenario can be run: numbers of nodes that exist, ids that are unique, values that make sense.

use std::collections::BTreeSet;

use super::{ActionKind, CallSpec, Scenario};

impl Scenario {
    /// What makes it impossible to run, if anything does.
    ///
    /// # Errors
    /// The first such thing, in words.
    pub fn check(&self) -> Result<(), String> {
        let count = self.nodes.len();
        if !(1..usize::from(u16::MAX)).contains(&count) {
            return Err(format!("{count} nodes are too few or too many"));
        }
        let known = |what: String, node: u16| {
            let last = count - 1;
            let unknown = usize::from(node) > last;
            if unknown { Err(format!("{what}: there is no node {node}, the last is {last}")) } else { Ok(()) }
        };
        let apart = |what: String, a: u16, b: u16| {
            known(what.clone(), a)?;
            known(what.clone(), b)?;
            if a == b { Err(format!("{what}: from node {a} to itself")) } else { Ok(()) }
        };
        let mut pairs = BTreeSet::new();
        for (i, link) in self.links.iter().enumerate() {
            apart(format!("links[{i}]"), link.from, link.to)?;
            if !pairs.insert((link.from, link.to)) {
                return Err(format!("links[{i}]: another link leads from node {} to {}", link.from, link.to));
            }
        }
        for (i, call) in self.calls.iter().enumerate() {
            apart(format!("calls[{i}]"), call.client, call.server)?;
            self.check_reach(format!("calls[{i}]"), call.server)?;
            self.check_order(i, call)?;
        }
        for (i, version) in self.versions.iter().enumerate() {
            known(format!("versions[{i}]"), version.client)?;
            known(format!("versions[{i}]"), version.server)?;
            self.check_reach(format!("versions[{i}]"), version.server)?;
        }
        self.check_begins()?;
        self.check_times()?;
        for (i, action) in self.actions.iter().enumerate() {
            known(format!("actions[{i}]"), action.node)?;
            match action.kind {
                ActionKind::ForgeIcmp { about, .. } => known(format!("actions[{i}], about"), about)?,
                ActionKind::Inject { claims: Some(node), .. } => {
                    known(format!("actions[{i}], claims"), node)?
                }
                _ => {}
            }
        }
        unique("nodes", self.nodes.iter().map(|n| n.id))?;
        unique("translators", self.nodes.iter().filter_map(|n| n.nat.as_ref()).map(|n| n.id))?;
        unique("links", self.links.iter().map(|l| l.id))?;
        unique("elements", self.links.iter().flat_map(|l| &l.elements).map(|e| e.id))?;
        unique("calls", self.calls.iter().map(|c| c.id))?;
        unique("actions", self.actions.iter().map(|a| a.id))?;
        self.check_values()
    }
}

impl Scenario {
    /// The node can be reached by those whom it did not ask first.
    fn check_reach(&self, what: String, node: u16) -> Result<(), String> {
        let hidden = self.nodes.get(usize::from(node)).is_some_and(|n| n.nat.is_some());
        if hidden {
            Err(format!("{what}: node {node} is behind a translator: nobody can call it"))
        } else {
            Ok(())
        }
    }

    /// A call that follows another, or is made within it, can be made there.
    fn check_order(&self, i: usize, call: &CallSpec) -> Result<(), String> {
        let named = |what, place: Option<u32>| {
            let Some(place) = place else { return Ok(None) };
            let other = self.calls.get(place as usize).filter(|_| place as usize != i);
            other.map(Some).ok_or_else(|| format!("calls[{i}], {what}: there is no other call {place}"))
        };
        if let Some(other) = named("after", call.after)? {
            if other.client != call.client {
                return Err(format!("calls[{i}], after: the other call is of another client"));
            }
            // It is over whenever a server that made it goes on, which may be never or often.
            if self.calls.iter().any(|c| c.nested == call.after) {
                return Err(format!("calls[{i}], after: the other call is made within another one"));
            }
        }
        if let Some(other) = named("nested", call.nested)?
            && (other.client != call.server || other.after.is_some() || other.parallel != 1)
        {
            return Err(format!("calls[{i}], nested: the other call is not of node {} alone", call.server));
        }
        Ok(())
    }
}

impl Scenario {
    /// Whether the call, by its place, begins when its time has come, and neither after nor within another one.
    pub(crate) fn begins_by_time(&self, place: u32) -> bool {
        let follows = self.calls.get(place as usize).is_some_and(|call| call.after.is_some());
        !follows && self.calls.iter().all(|call| call.nested != Some(place))
    }

    /// No calls wait for each other in a circle.
    fn check_begins(&self) -> Result<(), String> {
        let mut begins: BTreeSet<u32> =
            (0..self.calls.len() as u32).filter(|place| self.begins_by_time(*place)).collect();
        let mut before = 0;
        while before < begins.len() {
            before = begins.len();
            for (place, call) in (0..).zip(&self.calls) {
                if call.after.is_some_and(|other| begins.contains(&other)) {
                    begins.insert(place);
                }
                if begins.contains(&place) {
                    begins.extend(call.nested);
                }
            }
        }
        let never = (0..self.calls.len() as u32).find(|place| !begins.contains(place));
        never.map_or(Ok(()), |i| Err(format!("calls[{i}] begins after or within itself, which is never")))
    }

    /// Nothing is left for the time when faults have ended: from then on nothing begins.
    fn check_times(&self) -> Result<(), String> {
        let calls = (0..).zip(&self.calls).filter(|(place, _)| self.begins_by_time(*place));
        let calls = calls.map(|(i, call)| ("calls", i, call.at));
        let versions = (0..).zip(&self.versions).map(|(i, version)| ("versions", i, version.at));
        let actions = (0..).zip(&self.actions).map(|(i, action)| ("actions", i, action.at));
        let late = calls.chain(versions).chain(actions).find(|(_, _, at)| *at >= self.heal_at);
        late.map_or(Ok(()), |(what, i, at)| {
            Err(format!("{what}[{i}], at: {at} us is not before heal_at, {} us", self.heal_at))
        })
    }
}

/// Two parts of one id would draw the same numbers.
fn unique(what: &str, ids: impl Iterator<Item = u32>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(format!("two {what} have the id {id}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, ElementKind, LossModel, NatSpec, VersionSpec};
    use crate::swarm;

    #[test]
    fn what_swarm_mode_draws_can_be_run() {
        for seed in 0..500 {
            assert_eq!(swarm::scenario(seed).check(), Ok(()), "{seed}");
        }
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let complaint = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario::new(1, 2);
            let loss = [ElementKind::Loss(LossModel::Bernoulli { p: 0.1 })];
            scenario.link(0, 1, loss.clone()).link(1, 0, loss).call(0, 1, 8, 8);
            assert_eq!(scenario.check(), Ok(()));
            change(&mut scenario);
            scenario.check().unwrap_err()
        };
        assert_eq!(complaint(|s| s.calls[0].server = 2), "calls[0]: there is no node 2, the last is 1");
        assert_eq!(complaint(|s| s.calls[0].server = 0), "calls[0]: from node 0 to itself");
        assert_eq!(complaint(|s| s.nodes.clear()), "0 nodes are too few or too many");
        assert_eq!(complaint(|s| s.links[1].elements[0].id = 0), "two elements have the id 0");
        let follow = |s: &mut Scenario| s.calls[0].after = Some(0);
        assert_eq!(complaint(follow), "calls[0], after: there is no other call 0");
        let follow = |s: &mut Scenario| s.call(1, 0, 8, 8).after = Some(0);
        assert_eq!(complaint(follow), "calls[1], after: the other call is of another client");
        let hide = |s: &mut Scenario| s.nodes[1].nat = Some(NatSpec::default());
        assert_eq!(complaint(hide), "calls[0]: node 1 is behind a translator: nobody can call it");
        let ask = |s: &mut Scenario| {
            s.nodes[0].nat = Some(NatSpec::default());
            s.versions.push(VersionSpec { client: 1, server: 0, ..VersionSpec::default() });
        };
        assert_eq!(complaint(ask), "versions[0]: node 0 is behind a translator: nobody can call it");
        let nest = |s: &mut Scenario| s.call(0, 1, 8, 8).nested = Some(0);
        assert_eq!(complaint(nest), "calls[1], nested: the other call is not of node 1 alone");
        assert_eq!(
            complaint(|s| {
                s.call(1, 0, 8, 8);
                s.calls[0].nested = Some(1);
                s.call(1, 0, 8, 8).after = Some(1);
            }),
            "calls[2], after: the other call is made within another one"
        );
        let twice = |s: &mut Scenario| (s.links[1].from, s.links[1].to) = (0, 1);
        assert_eq!(complaint(twice), "links[1]: another link leads from node 0 to 1");
    }
    #[test]
    fn calls_that_wait_for_each_other_never_begin() {
        let calls = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario::new(1, 2);
            for _ in 0..3 {
                scenario.call(0, 1, 8, 8);
                scenario.call(1, 0, 8, 8);
            }
            change(&mut scenario);
            scenario.check()
        };
        let order = |s: &mut Scenario| {
            (s.calls[2].after, s.calls[4].after) = (Some(0), Some(2));
            (s.calls[4].nested, s.calls[1].nested) = (Some(1), None);
        };
        assert_eq!(calls(order), Ok(()));
        let never = |i| Err(format!("calls[{i}] begins after or within itself, which is never"));
        let follow = |s: &mut Scenario| (s.calls[2].after, s.calls[4].after) = (Some(4), Some(2));
        assert_eq!(calls(follow), never(2));
        let nest = |s: &mut Scenario| (s.calls[2].nested, s.calls[3].nested) = (Some(3), Some(2));
        assert_eq!(calls(nest), never(2));
        let both = |s: &mut Scenario| {
            (s.calls[1].nested, s.calls[1].after) = (Some(2), Some(3));
            (s.calls[2].nested, s.calls[3].after) = (Some(5), Some(1));
        };
        assert_eq!(calls(both), never(1));
    }

    #[test]
    fn nothing_is_left_for_when_faults_have_ended() {
        let at = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario { heal_at: 30, ..Scenario::new(1, 2) };
            scenario.call(0, 1, 8, 8).at = 29;
            // This one begins so long after the other, whenever that is.
            scenario.call(0, 1, 8, 8).after = Some(0);
            scenario.calls[1].at = 40;
            scenario.versions.push(VersionSpec { server: 1, at: 29, ..VersionSpec::default() });
            scenario.actions.push(Action { id: 0, at: 29, node: 0, kind: ActionKind::Rebind });
            change(&mut scenario);
            scenario.check()
        };
        assert_eq!(at(|_| ()), Ok(()));
        let late = |what| Err(format!("{what}, at: 30 us is not before heal_at, 30 us"));
        assert_eq!(at(|s| s.calls[0].at = 30), late("calls[0]"));
        assert_eq!(at(|s| s.versions[0].at = 30), late("versions[0]"));
        assert_eq!(at(|s| s.actions[0].at = 30), late("actions[0]"));
    }
}

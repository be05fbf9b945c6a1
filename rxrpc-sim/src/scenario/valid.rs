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
            self.check_order(i, call)?;
        }
        for (i, version) in self.versions.iter().enumerate() {
            known(format!("versions[{i}]"), version.client)?;
            known(format!("versions[{i}]"), version.server)?;
        }
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
    /// A call that follows another, or is made within it, can be made there.
    fn check_order(&self, i: usize, call: &CallSpec) -> Result<(), String> {
        let named = |what, place: Option<u32>| {
            let Some(place) = place else { return Ok(None) };
            let other = self.calls.get(place as usize).filter(|_| place as usize != i);
            other.map(Some).ok_or_else(|| format!("calls[{i}], {what}: there is no other call {place}"))
        };
        if let Some(other) = named("after", call.after)?
            && other.client != call.client
        {
            return Err(format!("calls[{i}], after: the other call is of another client"));
        }
        if let Some(other) = named("nested", call.nested)?
            && (other.client != call.server || other.after.is_some() || other.parallel != 1)
        {
            return Err(format!("calls[{i}], nested: the other call is not of node {} alone", call.server));
        }
        Ok(())
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
    use crate::scenario::{ElementKind, LossModel};
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
        let nest = |s: &mut Scenario| s.call(0, 1, 8, 8).nested = Some(0);
        assert_eq!(complaint(nest), "calls[1], nested: the other call is not of node 1 alone");
        let twice = |s: &mut Scenario| (s.links[1].from, s.links[1].to) = (0, 1);
        assert_eq!(complaint(twice), "links[1]: another link leads from node 0 to 1");
    }
}

//! Ids that nobody cares about: where a file leaves them out, they follow from the places.

use super::Scenario;

/// The id of a part that has none yet.
pub(super) const UNNUMBERED: u32 = u32::MAX;

/// Ids of elements by place: links are this far apart.
const PER_LINK: u32 = 100;

impl Scenario {
    /// Give each part that has no id the one that goes with its place: nodes, links, calls and actions the place
    /// itself, elements 100 times that of their link and their own, translators that of their node.
    pub fn number(&mut self) {
        self.ids(|id, place| {
            if *id == UNNUMBERED {
                *id = place;
            }
        });
    }

    /// Take away the ids that [`Self::number`] would give again.
    pub fn unnumber(&mut self) {
        self.ids(|id, place| {
            if *id == place {
                *id = UNNUMBERED;
            }
        });
    }

    fn ids(&mut self, mut visit: impl FnMut(&mut u32, u32)) {
        for (node, place) in self.nodes.iter_mut().zip(0..) {
            visit(&mut node.id, place);
            if let Some(nat) = &mut node.nat {
                visit(&mut nat.id, place);
            }
        }
        for (link, place) in self.links.iter_mut().zip(0..) {
            visit(&mut link.id, place);
            for (element, of_link) in link.elements.iter_mut().zip(0..) {
                visit(&mut element.id, place * PER_LINK + of_link);
            }
        }
        self.calls.iter_mut().zip(0..).for_each(|(call, place)| visit(&mut call.id, place));
        self.actions.iter_mut().zip(0..).for_each(|(action, place)| visit(&mut action.id, place));
    }
}

#[cfg(test)]
mod tests {
    use crate::swarm;

    #[test]
    fn ids_that_are_taken_away_come_again() {
        for seed in 0..50 {
            let scenario = swarm::scenario(seed);
            let mut other = scenario.clone();
            other.unnumber();
            assert_ne!(other, scenario);
            other.number();
            assert_eq!(other, scenario);
        }
    }
}

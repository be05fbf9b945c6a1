//! What a run is made of besides its scenario.

use clap::ValueEnum;
use rxrpc_sim::{Harness, Sim};

/// What the nodes of a run are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Nodes {
    /// Bare endpoints: the protocol alone.
    Direct,
}

impl Nodes {
    pub(super) const fn harness(self) -> Harness {
        match self {
            Nodes::Direct => Sim::new,
        }
    }

    /// Its name, as the option spells it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The option that chooses it, with a space before, unless it is the usual one.
    pub(super) fn option(self) -> String {
        if self == Nodes::Direct { String::new() } else { format!(" --harness {}", self.name()) }
    }
}

//! The faults of a link, as data.

#[cfg(feature = "serde")]
use super::text;
use super::{Edit, Micros};

/// One fault of a link.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ElementSpec {
    /// Names its stream.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// What it does.
    pub kind: ElementKind,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum ElementKind {
    /// Loses packets by chance.
    Loss(LossModel),
    /// Does things to packets that are named.
    Script(Vec<Rule>),
    /// Delays packets; they may overtake each other.
    Delay {
        /// By how much.
        by: Distribution,
        /// How much of a delay carries over to the next one, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default))]
        correlation: f64,
        /// Packets stay in order all the same.
        #[cfg_attr(feature = "serde", serde(default))]
        ordered: bool,
    },
    /// Holds packets back by chance, so that others overtake them.
    ReorderByDelay {
        /// How often.
        p: f64,
        /// For how long.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        by: Micros,
    },
    /// Holds every so many-th packet back until some others have passed.
    ReorderByGap {
        /// Every so many-th.
        every: u32,
        /// Until so many have passed.
        gap: u32,
        /// Or this long at most.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        at_most: Micros,
    },
    /// Sends packets twice.
    Duplicate {
        /// How often.
        p: f64,
        /// The copy comes up to this much later.
        #[cfg_attr(feature = "serde", serde(default, with = "text::micros"))]
        spread: Micros,
    },
    /// Damages packets.
    Corrupt {
        /// How often.
        p: f64,
        /// How.
        damage: Damage,
        /// The checksum catches it, so that the packet is lost instead.
        #[cfg_attr(feature = "serde", serde(default))]
        checked: bool,
    },
    /// Sends old packets again.
    Replay {
        /// How often.
        p: f64,
        /// How much later.
        #[cfg_attr(feature = "serde", serde(default, with = "text::micros"))]
        after: Micros,
    },
    /// Passes so many bits a second, and queues the rest.
    Rate(RateSpec),
    /// Passes no packet larger than a size.
    Mtu(MtuSpec),
    /// Passes nothing between these times, from and to.
    Gate(#[cfg_attr(feature = "serde", serde(with = "text::spans"))] Vec<(Micros, Micros)>),
    /// Refuses packets by chance and says so to the sender.
    Icmp {
        /// How often.
        p: f64,
        /// How much later the message comes.
        #[cfg_attr(feature = "serde", serde(default, with = "text::micros"))]
        after: Micros,
        /// What it says.
        kind: IcmpKind,
    },
}

impl ElementKind {
    /// Its name, for tables.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            ElementKind::Loss(LossModel::Bernoulli { .. }) => "loss-bernoulli",
            ElementKind::Loss(LossModel::Gilbert { .. }) => "loss-gilbert",
            ElementKind::Loss(LossModel::Correlated { .. }) => "loss-correlated",
            ElementKind::Script(_) => "script",
            ElementKind::Delay { by: Distribution::Fixed(_), .. } => "delay-fixed",
            ElementKind::Delay { by: Distribution::Uniform { .. }, .. } => "delay-uniform",
            ElementKind::Delay { by: Distribution::Normal { .. }, .. } => "delay-normal",
            ElementKind::Delay { by: Distribution::Pareto { .. }, .. } => "delay-pareto",
            ElementKind::Delay { by: Distribution::Samples(_), .. } => "delay-samples",
            ElementKind::ReorderByDelay { .. } => "reorder-delay",
            ElementKind::ReorderByGap { .. } => "reorder-gap",
            ElementKind::Duplicate { .. } => "duplicate",
            ElementKind::Corrupt { checked: true, .. } => "corrupt-caught",
            ElementKind::Corrupt { damage, .. } => damage.name(),
            ElementKind::Replay { .. } => "replay",
            ElementKind::Rate(RateSpec { aqm: Aqm::TailDrop, .. }) => "rate-taildrop",
            ElementKind::Rate(_) => "rate-codel",
            ElementKind::Mtu(m) => m.name(),
            ElementKind::Gate(_) => "partition",
            ElementKind::Icmp { .. } => "icmp",
        }
    }
}

/// How packets are lost by chance.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields, from = "super::preset::InFile")
)]
pub enum LossModel {
    /// Each on its own.
    Bernoulli {
        /// How often.
        p: f64,
    },
    /// In bursts: the Gilbert-Elliott chain of a good and a bad state.
    Gilbert {
        /// Chance a packet to go from good to bad.
        to_bad: f64,
        /// Chance a packet to go back.
        to_good: f64,
        /// Loss in the good state.
        good: f64,
        /// Loss in the bad state.
        bad: f64,
    },
    /// Losses follow losses.
    Correlated {
        /// How often, on the whole.
        p: f64,
        /// How much of a packet's fate carries over to the next one, 0 to 1: after a loss the chance is
        /// `p + correlation * (1 - p)`, else `p * (1 - correlation)`.
        correlation: f64,
    },
}

impl LossModel {
    /// Gilbert-Elliott presets by name: what common links do.
    pub const PRESETS: [(&'static str, LossModel); 5] = [
        ("fibre", LossModel::Gilbert { to_bad: 0.0001, to_good: 0.5, good: 0.0, bad: 0.3 }),
        ("wifi", LossModel::Gilbert { to_bad: 0.01, to_good: 0.2, good: 0.001, bad: 0.3 }),
        ("mobile", LossModel::Gilbert { to_bad: 0.02, to_good: 0.1, good: 0.005, bad: 0.4 }),
        ("congested", LossModel::Gilbert { to_bad: 0.05, to_good: 0.25, good: 0.01, bad: 0.5 }),
        ("satellite", LossModel::Gilbert { to_bad: 0.005, to_good: 0.02, good: 0.0, bad: 0.8 }),
    ];

    /// The highest chance of a packet to be lost that there is in any state: how bad it may be for a while. Where
    /// that is much, everything may be lost that an end says within its patience.
    #[must_use]
    pub fn worst(&self) -> f64 {
        match self {
            LossModel::Bernoulli { p } => *p,
            LossModel::Gilbert { bad, .. } => *bad,
            LossModel::Correlated { p, correlation } => p + correlation * (1.0 - p),
        }
    }

    /// The preset of this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<LossModel> {
        Self::PRESETS.iter().find(|(n, _)| *n == name).map(|(_, model)| model.clone())
    }
}

/// How long packets are delayed, microseconds.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Distribution {
    /// Always the same.
    Fixed(#[cfg_attr(feature = "serde", serde(with = "text::micros"))] Micros),
    /// Anything between the two.
    Uniform {
        /// From.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        low: Micros,
        /// To.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        high: Micros,
    },
    /// About a mean.
    Normal {
        /// The mean.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        mean: Micros,
        /// The deviation.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        deviation: Micros,
    },
    /// Mostly short, sometimes very long.
    Pareto {
        /// The least.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        least: Micros,
        /// The shape: the smaller, the longer the tail.
        shape: f64,
        /// Cut off here.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        most: Micros,
    },
    /// Measured delays, drawn from by chance.
    Samples(#[cfg_attr(feature = "serde", serde(with = "text::list"))] Vec<Micros>),
}

/// How packets are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Damage {
    /// One bit is turned.
    Bit,
    /// One byte is another.
    Byte,
    /// The end is cut off.
    Truncate,
    /// Bytes are appended.
    Extend,
    /// Its end is that of another packet.
    Splice,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Damage; 5] =
        [Damage::Bit, Damage::Byte, Damage::Truncate, Damage::Extend, Damage::Splice];

    const fn name(self) -> &'static str {
        match self {
            Damage::Bit => "corrupt-bit",
            Damage::Byte => "corrupt-byte",
            Damage::Truncate => "corrupt-truncate",
            Damage::Extend => "corrupt-extend",
            Damage::Splice => "corrupt-splice",
        }
    }
}

/// A bottleneck.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RateSpec {
    /// Bits a second, IP and UDP headers counted.
    pub bits_per_second: u64,
    /// Bytes the queue holds.
    pub queue: usize,
    /// What keeps the queue short.
    #[cfg_attr(feature = "serde", serde(default))]
    pub aqm: Aqm,
}

/// What keeps a queue short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Aqm {
    /// Nothing: what does not fit is lost.
    #[default]
    TailDrop,
    /// CoDel after RFC 8289.
    #[cfg_attr(feature = "serde", serde(rename = "codel"))]
    CoDel {
        /// Standing delay that is accepted.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        target: Micros,
        /// How long it may stand.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        interval: Micros,
    },
}

/// A limit of the size of packets.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct MtuSpec {
    /// Largest IP packet.
    pub mtu: u32,
    /// Says so to senders that forbid fragments. If not, it is a black hole to them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub report: bool,
    /// Fragments what may be; if not, that is lost as well.
    #[cfg_attr(feature = "serde", serde(default))]
    pub fragment: bool,
    /// Loss of each fragment.
    #[cfg_attr(feature = "serde", serde(default))]
    pub fragment_loss: f64,
}

impl MtuSpec {
    const fn name(&self) -> &'static str {
        match (self.fragment, self.report) {
            (true, _) => "mtu-fragments",
            (false, true) => "mtu-reports",
            (false, false) => "mtu-black-hole",
        }
    }
}

/// What an ICMP message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum IcmpKind {
    /// Nobody at the port.
    Port,
    /// No such host.
    Host,
    /// No route.
    Network,
    /// Forbidden.
    Prohibited,
    /// Too large for this MTU.
    TooLarge(u32),
    /// Anything else, by its number on the node's system.
    Other(i32),
}

/// Which packets a rule is for. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Match {
    /// Packet type, its number.
    #[cfg_attr(feature = "serde", serde(with = "text::packet_type"))]
    pub packet_type: Option<u8>,
    /// Call number.
    pub call: Option<u32>,
    /// Sequence number.
    pub seq: Option<u32>,
    /// Reason of an ACK, its number.
    #[cfg_attr(feature = "serde", serde(with = "text::reason"))]
    pub reason: Option<u8>,
    /// The last packet of its direction.
    pub last: Option<bool>,
}

/// "The third ACK of call 2 is dropped."
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Rule {
    /// Which packets count.
    #[cfg_attr(feature = "serde", serde(default))]
    pub packets: Match,
    /// The first of them that it is for, from 1.
    #[cfg_attr(feature = "serde", serde(default = "text::one"))]
    pub nth: u32,
    /// How many from there on; 0 for all.
    #[cfg_attr(feature = "serde", serde(default = "text::one"))]
    pub count: u32,
    /// What happens to those.
    pub mishap: Mishap,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Mishap {
    /// Lost.
    Drop,
    /// Later by so much.
    Delay(#[cfg_attr(feature = "serde", serde(with = "text::micros"))] Micros),
    /// Twice.
    Duplicate,
    /// Rewritten, as another implementation would have sent it.
    Edit(Edit),
}

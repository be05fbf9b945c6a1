//! Everything a run needs, as plain data: nodes, links with their faults, calls, and what befalls the nodes.
//!
//! Parts have an `id` that names their streams of random numbers. Removing a part therefore leaves what the others
//! draw as it was, which is what makes shrinking work. What parts share they still share: the order in which tasks run
//! is drawn a node, whether waits are cancelled before it is known which call is served is drawn a service, and the bytes
//! and the abort codes of a call follow from how many were begun before it. Times are microseconds from the start of the
//! run.

mod edit;
mod element;
mod endpoint;
mod expect;
mod number;
#[cfg(feature = "serde")]
mod preset;
mod ranges;
#[cfg(feature = "serde")]
mod text;
mod times;
mod valid;

use std::time::Duration;

pub use edit::Edit;
pub use element::{
    Aqm, Damage, Distribution, ElementKind, ElementSpec, IcmpKind, LossModel, Match, Mishap, MtuSpec,
    RateSpec, Rule,
};
pub use endpoint::EndpointSpec;
pub use expect::{EndName, Expect, Reach};
#[cfg(feature = "serde")]
pub use text::time;

/// Microseconds.
pub type Micros = u64;

/// The duration of so many microseconds.
#[must_use]
pub const fn us(micros: Micros) -> Duration {
    Duration::from_micros(micros)
}

/// The service that nodes offer unless told otherwise.
pub const SERVICE: u16 = 52;

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Scenario {
    /// What it is about, for people.
    pub about: String,
    /// Seed of every stream of random numbers.
    #[cfg_attr(feature = "serde", serde(with = "text::seed"))]
    pub seed: u64,
    /// The nodes; links, calls and actions name them by their place here.
    pub nodes: Vec<NodeSpec>,
    /// Links, one direction each. Between nodes without one there is a faultless link.
    pub links: Vec<LinkSpec>,
    /// One-way delay of links that are not listed.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub delay: Micros,
    /// The calls made.
    pub calls: Vec<CallSpec>,
    /// VERSION questions asked.
    pub versions: Vec<VersionSpec>,
    /// What befalls the nodes.
    pub actions: Vec<Action>,
    /// When the faults end, at the latest. They end earlier when every call has.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub heal_at: Micros,
    /// What the run must come to.
    pub expect: Expect,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            about: String::new(),
            seed: 0,
            nodes: Vec::new(),
            links: Vec::new(),
            delay: 5_000,
            calls: Vec::new(),
            versions: Vec::new(),
            actions: Vec::new(),
            heal_at: 30_000_000,
            expect: Expect::default(),
        }
    }
}

impl Scenario {
    /// `nodes` default nodes without any fault, and no calls yet.
    #[must_use]
    pub fn new(seed: u64, nodes: usize) -> Self {
        let nodes = (0..nodes).map(|id| NodeSpec { id: id as u32, ..NodeSpec::default() }).collect();
        Scenario { seed, nodes, ..Scenario::default() }
    }

    /// Add a link with these faults, numbered on.
    pub fn link(&mut self, from: u16, to: u16, faults: impl IntoIterator<Item = ElementKind>) -> &mut Self {
        let id = self.links.len() as u32;
        let kinds = faults.into_iter().enumerate();
        let elements = kinds.map(|(i, kind)| ElementSpec { id: id * 100 + i as u32, kind }).collect();
        self.links.push(LinkSpec { id, from, to, delay: self.delay, elements });
        self
    }

    /// Add a call of node `client` to node `server`.
    pub fn call(&mut self, client: u16, server: u16, request: u64, reply: u64) -> &mut CallSpec {
        let id = self.calls.len() as u32;
        self.calls.push(CallSpec {
            id,
            client,
            server,
            request: Transfer { len: request, ..Transfer::default() },
            reply: Transfer { len: reply, ..Transfer::default() },
            ..CallSpec::default()
        });
        let last = self.calls.len() - 1;
        &mut self.calls[last]
    }
}

/// One node: an endpoint with its socket, its clock and its applications.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct NodeSpec {
    /// Names its streams.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// Limits and waiting times.
    pub endpoint: EndpointSpec,
    /// Services it offers.
    pub services: Vec<ServiceSpec>,
    /// What its socket does wrong.
    pub socket: SocketSpec,
    /// What its clock does wrong.
    pub clock: ClockSpec,
    /// The address translator it is behind.
    pub nat: Option<NatSpec>,
    /// It has an IPv6 address.
    pub ipv6: bool,
    /// How its tasks run, if it has tasks.
    pub tasks: TaskSpec,
    /// How often its applications use the endpoint wrongly on purpose, which has to say so and do no harm.
    pub misuse: f64,
}

impl Default for NodeSpec {
    fn default() -> Self {
        NodeSpec {
            id: 0,
            endpoint: EndpointSpec::default(),
            services: vec![ServiceSpec::default()],
            socket: SocketSpec::default(),
            clock: ClockSpec::default(),
            nat: None,
            ipv6: false,
            tasks: TaskSpec::default(),
            misuse: 0.0,
        }
    }
}

/// A service and how its application behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct ServiceSpec {
    /// Its number.
    pub service: u16,
    /// Calls that may wait.
    pub backlog: usize,
    /// How long a call waits to be accepted.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub accept_after: Micros,
    /// Every so many-th call that comes is turned away; 0 for none.
    pub reject_every: u32,
    /// With this code, 0 for BUSY.
    pub reject_code: i32,
    /// Lifetime given to accepted calls, 0 for the endpoint's own.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub lifetime: Micros,
    /// The service that clients who ask are moved to, 0 for none.
    pub upgrade_to: u16,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        ServiceSpec {
            service: SERVICE,
            backlog: 128,
            accept_after: 0,
            reject_every: 0,
            reject_code: 0,
            lifetime: 0,
            upgrade_to: 0,
        }
    }
}

/// A UDP socket and its faults.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct SocketSpec {
    /// Datagrams of one send (GSO), 1 to 64.
    pub batch: usize,
    /// Equal datagrams that arrive together are handed over together (GRO).
    pub coalesce: bool,
    /// Bytes the receive buffer holds, counted as a kernel does, with its overhead a datagram.
    pub receive_buffer: usize,
    /// How often a send is refused for want of room.
    pub blocked: f64,
    /// How long it is blocked then.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub blocked_for: Micros,
    /// How often a batch of several is refused, so that they are sent one by one.
    pub gso_refused: f64,
}

impl Default for SocketSpec {
    fn default() -> Self {
        SocketSpec {
            batch: 64,
            coalesce: true,
            receive_buffer: 4 << 20,
            blocked: 0.0,
            blocked_for: 1_000,
            gso_refused: 0.0,
        }
    }
}

/// A clock and its faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct ClockSpec {
    /// How far ahead it starts.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub skew: Micros,
    /// How much faster (or slower) than true time it runs, parts in a million.
    pub drift_ppm: i32,
    /// Timers come at multiples of this.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub granularity: Micros,
    /// Timers come up to this much too late.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub late: Micros,
}

/// How tasks run: for the full harness alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct TaskSpec {
    /// Which of the tasks that were woken comes next is drawn; otherwise the one that was woken first.
    pub shuffled: bool,
    /// Each poll has a waker of its own, and those of earlier polls wake nobody: as when futures move between tasks.
    pub moving: bool,
    /// Calls are made and served in several ways; otherwise all in the plainest one.
    pub mixed: bool,
    /// How often an operation that waits is cancelled, to be tried again.
    pub cancelled: f64,
    /// How often a socket says that it is ready and is not.
    pub spurious: f64,
}

/// An address translator in front of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct NatSpec {
    /// Names its streams.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// A mapping not used by the node for this long is forgotten; 0 for never.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub timeout: Micros,
    /// Only the addresses that the node has sent to get through.
    pub restricted: bool,
}

impl Default for NatSpec {
    fn default() -> Self {
        NatSpec { id: 0, timeout: 0, restricted: true }
    }
}

/// A link, one direction.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct LinkSpec {
    /// Its number. Nothing is drawn for the link itself: its faults have streams of their own.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// Node it leads from.
    pub from: u16,
    /// Node it leads to.
    pub to: u16,
    /// Propagation delay, which stays when the faults end.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub delay: Micros,
    /// Its faults, in the order that packets meet them.
    pub elements: Vec<ElementSpec>,
}

/// One direction of a call's data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Transfer {
    /// How many bytes.
    pub len: u64,
    /// The writer writes so many at a time; 0 for as many as there is room for.
    pub write: u64,
    /// And pauses for this long in between.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub write_pause: Micros,
    /// The reader reads so many at a time; 0 for all there is.
    pub read: u64,
    /// And pauses for this long in between.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub read_pause: Micros,
    /// The writer copies instead of handing over shared memory, and flushes after each write.
    pub flush: bool,
}

/// Who ends a call early, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum Ending {
    /// Nobody does.
    #[default]
    Normal,
    /// The client aborts it.
    ClientAborts,
    /// The client forgets it, as a dropped future does.
    ClientForgets,
    /// The server aborts it.
    ServerAborts,
    /// The server forgets it.
    ServerForgets,
    /// The client fails it as having too few bytes, or too many.
    ClientFails,
}

/// One call, or several in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct CallSpec {
    /// Names the streams of the tasks that make and serve it, in the full harness.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// Node that begins it.
    pub client: u16,
    /// Node that serves it.
    pub server: u16,
    /// Service called.
    pub service: u16,
    /// When it begins.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub at: Micros,
    /// How often it is made, one after the other.
    pub repeat: u32,
    /// How long its client thinks in between.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub pause: Micros,
    /// So many at once, each repeated by itself.
    pub parallel: u32,
    /// Another call, by its place and of the same client: this one begins `at` after that one is over for the last
    /// time.
    pub after: Option<u32>,
    /// Another call, by its place, that the server makes once it has the request. It replies when that one is over.
    pub nested: Option<u32>,
    /// It has to end this soon after it began, 0 for any time.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub within: Micros,
    /// Client to server.
    pub request: Transfer,
    /// Server to client.
    pub reply: Transfer,
    /// How long the server works on it.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub work: Micros,
    /// How it ends early.
    pub ending: Ending,
    /// When, counted from its begin (or its acceptance).
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub ending_after: Micros,
    /// On a connection of its own.
    pub exclusive: bool,
    /// The length of the request is announced.
    pub announced: bool,
    /// Lifetime, 0 for the endpoint's own.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub lifetime: Micros,
    /// Silence, 0 for the endpoint's own.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub silence: Micros,
    /// BUSY does not end it.
    pub retry_busy: bool,
    /// Asks for the newer service.
    pub upgrade: bool,
    /// The server replies after the first bytes, without reading the rest.
    pub early_reply: bool,
}

impl Default for CallSpec {
    fn default() -> Self {
        CallSpec {
            id: 0,
            client: 0,
            server: 1,
            service: SERVICE,
            at: 0,
            repeat: 1,
            pause: 0,
            parallel: 1,
            after: None,
            nested: None,
            within: 0,
            request: Transfer::default(),
            reply: Transfer::default(),
            work: 0,
            ending: Ending::Normal,
            ending_after: 0,
            exclusive: false,
            announced: false,
            lifetime: 0,
            silence: 0,
            retry_busy: false,
            upgrade: false,
            early_reply: false,
        }
    }
}

/// A VERSION question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct VersionSpec {
    /// Node that asks.
    pub client: u16,
    /// Node that is asked.
    pub server: u16,
    /// When.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub at: Micros,
    /// How long it waits.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub timeout: Micros,
}

/// Something that befalls a node at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Action {
    /// Names its stream.
    #[cfg_attr(
        feature = "serde",
        serde(default = "text::unnumbered", skip_serializing_if = "text::is_unnumbered")
    )]
    pub id: u32,
    /// When.
    #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
    pub at: Micros,
    /// Which node.
    pub node: u16,
    /// What.
    pub kind: ActionKind,
}

/// What befalls a node.
///
/// One thing may come on top of another. A node that stands still can crash, be closed, which wakes it, or stand still
/// for longer; one that is being closed can crash or stand still. To a node that is down, and of a second close, nothing
/// comes: it is not counted, and whoever watches is told that it was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum ActionKind {
    /// Its process stands still.
    Pause {
        /// For this long.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        lasts: Micros,
    },
    /// It loses everything and comes back with a new epoch.
    Crash {
        /// After this long.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        lasts: Micros,
    },
    /// Its endpoint is closed, in order, and a new one follows.
    Close {
        /// After this long.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        lasts: Micros,
    },
    /// Its socket takes no datagram.
    Block {
        /// For this long.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        lasts: Micros,
    },
    /// Its clock jumps forward.
    Jump {
        /// By this much.
        #[cfg_attr(feature = "serde", serde(with = "text::micros"))]
        by: Micros,
    },
    /// Its address translator forgets every mapping and makes new ones.
    Rebind,
    /// It is told, by whoever, that another node cannot be reached.
    ForgeIcmp {
        /// The other node.
        about: u16,
        /// What the message says.
        kind: IcmpKind,
    },
    /// Packets of an attacker arrive.
    Inject {
        /// The sender that they name, or a stranger. Every other attacker who names one has seen a packet pass.
        claims: Option<u16>,
        /// How many.
        count: u32,
        /// He has seen nothing: all he can do is guess.
        #[cfg_attr(feature = "serde", serde(default))]
        blind: bool,
    },
}

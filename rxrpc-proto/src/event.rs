//! What an endpoint tells its owner, and the names it uses for calls.

use core::fmt;

/// A call of one endpoint. Never reused: a released call's id stays unknown for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    pub(crate) index: u32,
    pub(crate) generation: u64,
}

impl CallId {
    /// A small number, below the number of calls that ever lived at the same time, for tables beside
    /// the endpoint. Two calls that live at different times may share it.
    #[must_use]
    pub fn slot(self) -> usize {
        self.index as usize
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}.{}", self.index, self.generation)
    }
}

/// A VERSION question of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VersionId(pub(crate) u64);

/// Something the owner should look at. Data is fetched through the views, never carried here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A call has news. Nothing follows an event whose news says [`News::ended`].
    Call {
        /// Which call.
        call: CallId,
        /// The tag given when the call was begun or accepted.
        tag: u64,
        /// What happened since the last event of this call.
        news: News,
    },
    /// A client called one of our services. Answer with [`accept`](crate::Endpoint::accept) or
    /// [`reject`](crate::Endpoint::reject).
    Incoming {
        /// The new call.
        call: CallId,
        /// The service it is for.
        service: u16,
    },
    /// A VERSION question is over: fetch the answer with
    /// [`take_version`](crate::Endpoint::take_version).
    Version(VersionId),
}

/// A set of things that happened to a call. Queued once, merged until polled.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct News(u8);

impl News {
    /// Nothing.
    pub const NONE: News = News(0);
    /// Data, or the end of the peer's data, can be read.
    pub const READABLE: News = News(1);
    /// Writing, which said Blocked before, can go on.
    pub const WRITABLE: News = News(2);
    /// The peer has everything we wrote, up to and including the end.
    pub const DELIVERED: News = News(4);
    /// The call is over: see its outcome.
    pub const ENDED: News = News(8);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: News) -> News {
        News(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: News) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is in this set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Data or the end of data can be read.
    #[must_use]
    pub const fn readable(self) -> bool {
        self.contains(News::READABLE)
    }

    /// Writing can go on.
    #[must_use]
    pub const fn writable(self) -> bool {
        self.contains(News::WRITABLE)
    }

    /// The peer has all of our data.
    #[must_use]
    pub const fn delivered(self) -> bool {
        self.contains(News::DELIVERED)
    }

    /// The call is over.
    #[must_use]
    pub const fn ended(self) -> bool {
        self.contains(News::ENDED)
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (news, name) in [
            (News::READABLE, "readable"),
            (News::WRITABLE, "writable"),
            (News::DELIVERED, "delivered"),
            (News::ENDED, "ended"),
        ] {
            if self.contains(news) {
                list.entry(&format_args!("{name}"));
            }
        }
        list.finish()
    }
}

/// Why [`poll_timeout`](crate::Endpoint::poll_timeout) asks to be woken. For traces and tests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wake {
    /// A call's packets may be lost: retransmit.
    Retransmit,
    /// A call may tell loss from reordering now.
    Reorder,
    /// A call owes a delayed acknowledgement.
    DelayedAck,
    /// A call sends a PING so that both ends see it live, or asks for a closed window.
    Keepalive,
    /// Nothing was heard for a call.
    Silence,
    /// A client paused too long within its request.
    RequestGap,
    /// A client that the network says is gone was not heard again.
    Unreachable,
    /// A call's life is over.
    Lifetime,
    /// A connection acknowledges the last reply of a finished call.
    FinalAck,
    /// An unused connection, or one whose peer never proved its address, is dropped.
    ConnectionExpiry,
    /// The new address of a connection's peer is asked again.
    AddressCheck,
    /// A peer's path is kept open, or the memory of an unused peer is dropped.
    Peer,
    /// A VERSION question is asked again, or given up.
    Version,
}

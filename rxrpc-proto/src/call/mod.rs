//! One call: its state, its two halves, its timers. Knows no connection and no other call.

mod ack;
mod acked;
mod buffer;
mod queues;
mod recv;
mod send;
mod slots;
mod timers;

use core::time::Duration;

pub(crate) use ack::{AckPolicy, DueAck, patience};
pub(crate) use acked::{AckEffect, AckInput};
pub(crate) use recv::{Arrival, RecvHalf};
pub(crate) use send::{Fresh, LossTimer, SendHalf};
pub(crate) use slots::Calls;
pub(crate) use timers::Deadlines;

use queues::Queues;

use crate::config::BusyPolicy;
use crate::error::CallError;
use crate::event::News;
use crate::recovery::{Controller, RtoBounds, Rtt};
use crate::stats::CallStats;
use crate::time::Instant;

/// How a call ended: success, or the one error of its life.
pub type Outcome = Result<(), CallError>;

/// Where a call is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Client: waits for a channel.
    Queued,
    /// Client: has a channel, has sent nothing.
    PreSend,
    /// Client: the request is under way.
    SendRequest,
    /// Client: the last packet of the request was sent; no reply yet.
    AwaitReply,
    /// Client: the reply is coming in.
    RecvReply,
    /// Server: the request is coming in.
    RecvRequest,
    /// Server: the request is complete; the application works.
    AckRequest,
    /// Server: the reply is under way.
    SendReply,
    /// Server: the last packet of the reply was sent.
    AwaitAck,
    /// Over.
    Complete(Outcome),
}

impl State {
    pub(crate) fn is_live(self) -> bool {
        !matches!(self, State::Complete(_))
    }

    /// Whether an ACK of our data is expected in this state.
    pub(crate) fn is_sending(self) -> bool {
        matches!(self, State::SendRequest | State::AwaitReply | State::SendReply | State::AwaitAck)
    }
}

/// Where on the wire a call lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Key of the connection.
    pub(crate) connection: u32,
    pub(crate) channel: usize,
    pub(crate) number: u32,
}

/// Whose call it is, with what only that side has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client {
        /// Key of the bundle.
        bundle: u32,
        busy: BusyPolicy,
        /// The call before on this channel was aborted by us, so a BUSY may be about that one.
        after_abort: bool,
    },
    Service {
        /// The application has accepted it.
        accepted: bool,
    },
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) generation: u64,
    pub(crate) tag: u64,
    pub(crate) side: Side,
    /// Key of the peer.
    pub(crate) peer: u32,
    pub(crate) service: u16,
    pub(crate) place: Option<Place>,
    pub(crate) state: State,
    pub(crate) send: SendHalf,
    pub(crate) recv: RecvHalf,
    pub(crate) ack: AckPolicy,
    pub(crate) deadlines: Deadlines,
    /// Exact length of what we send, if announced.
    pub(crate) total_length: Option<u64>,
    /// The application asked to abort with this code; done when the time is known.
    pub(crate) abort_wish: Option<CallError>,
    /// Our first PING that is not answered: its serial and when it was sent.
    pub(crate) ping: Option<(u32, Instant)>,
    /// Serial of the first packet sent after the peer last acknowledged something for good.
    pub(crate) advanced_at: Option<u32>,
    /// Client: the life of the server that the reply is from, see `Lives`.
    pub(crate) reply_of: Option<u32>,
    /// Highest serial heard for this call.
    pub(crate) heard_serial: Option<u32>,
    /// The last thing heard was BUSY, and nothing of the call was ever acknowledged.
    pub(crate) turned_away: bool,
    /// What the application is told with the next event.
    pub(crate) news: News,
    /// An event waits in the queue.
    pub(crate) event_queued: bool,
    /// The application waits to write.
    pub(crate) write_blocked: bool,
    /// Hangs in the line of those that wait for room in the endpoint's send budget.
    pub(crate) in_line: bool,
    /// The application has forgotten the call.
    pub(crate) released: bool,
    /// In the list of calls to look after.
    pub(crate) dirty: bool,
    /// Bits of the rings the call hangs in.
    pub(crate) rings: u8,
    /// What the call counts in the budgets of peer and endpoint for unread data.
    pub(crate) charged: usize,
    /// Counts among the calls that are receiving a stream.
    pub(crate) streaming: bool,
    pub(crate) stats: CallStats,
}

/// What a new call is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallInit {
    pub(crate) generation: u64,
    pub(crate) tag: u64,
    pub(crate) side: Side,
    pub(crate) peer: u32,
    pub(crate) service: u16,
    pub(crate) state: State,
    pub(crate) window: u32,
    pub(crate) threshold: Option<u32>,
    pub(crate) silence: Duration,
    pub(crate) lifetime: Option<Duration>,
}

impl Call {
    fn new(init: &CallInit) -> Self {
        Call::with_queues(init, Queues::default())
    }

    /// Another call, with the memory of this one's queues.
    fn renew(&mut self, init: &CallInit) {
        let queues = self.take_queues();
        *self = Call::with_queues(init, queues);
    }

    fn take_queues(&mut self) -> Queues {
        Queues { send: self.send.take_queues(), recv: self.recv.take_queues() }
    }

    fn with_queues(init: &CallInit, queues: Queues) -> Self {
        Call {
            generation: init.generation,
            tag: init.tag,
            side: init.side,
            peer: init.peer,
            service: init.service,
            place: None,
            state: init.state,
            send: SendHalf::new(init.threshold, init.silence, queues.send),
            recv: RecvHalf::new(init.window, queues.recv),
            ack: AckPolicy::default(),
            deadlines: Deadlines::new(init.silence, init.lifetime),
            total_length: None,
            abort_wish: None,
            ping: None,
            advanced_at: None,
            reply_of: None,
            heard_serial: None,
            turned_away: false,
            news: News::NONE,
            event_queued: false,
            write_blocked: false,
            in_line: false,
            released: false,
            dirty: false,
            rings: 0,
            charged: 0,
            streaming: false,
            stats: CallStats::default(),
        }
    }

    /// Whether the peer has shown that it has something of the call: it has sent data, or acknowledged some.
    pub(crate) fn is_known_to_peer(&self) -> bool {
        self.recv.highest() > 0 || self.send.ever_acked
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self.side, Side::Client { .. })
    }

    /// Whether the application knows the call: ours, or accepted.
    pub(crate) fn is_accepted(&self) -> bool {
        !matches!(self.side, Side::Service { accepted: false })
    }

    /// Packets in order that are acknowledged softly only: all of them while the call waits to be accepted, as
    /// it may still be turned away and its request be wanted again (QUIRKS.md#turned-away-after-waiting).
    pub(crate) fn revocable(&self) -> u32 {
        if self.is_accepted() { 0 } else { self.recv.base() - 1 }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Complete(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether any packet of the call has been on the wire.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.is_client() || self.send.is_exposed()
    }

    /// Whether new data may go out in this state.
    pub(crate) fn may_send_data(&self) -> bool {
        matches!(self.state, State::PreSend | State::SendRequest | State::SendReply)
    }

    /// The first or a later new packet went out: move on.
    pub(crate) fn on_data_sent(&mut self) {
        self.state = match self.state {
            State::PreSend | State::SendRequest if self.send.last_sent => State::AwaitReply,
            State::PreSend => State::SendRequest,
            State::SendReply if self.send.last_sent => State::AwaitAck,
            other => other,
        };
    }

    /// What the call has done, with the values of the moment.
    pub(crate) fn stats(&self, rtt: &Rtt, bounds: &RtoBounds) -> CallStats {
        CallStats {
            srtt: rtt.smoothed(),
            rto: rtt.rto(bounds, self.send.backoff),
            congestion_window: self.send.cc.window(),
            slow_start_threshold: self.send.cc.threshold(),
            bytes_acknowledged: self.send.acknowledged,
            peer_window: self.send.peer_window,
            in_flight: self.send.in_flight,
            bytes_received: self.recv.received(),
            unread: self.recv.held_total(),
            unacknowledged: self.send.buffer.len(),
            ..self.stats
        }
    }
}

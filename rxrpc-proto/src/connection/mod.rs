//! One connection: four channels, a serial counter, and what is remembered of calls that are over.
//! Knows no call but by key.

mod bucket;
mod bundle;
mod lives;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;

pub(crate) use bucket::TokenBucket;
pub(crate) use bundle::{Bundle, BundleKey};
use lives::Lives;

use crate::recovery::serial_after;
use crate::time::Instant;
use crate::wire::{AbortCode, CHANNELS, next_serial};

/// Call numbers are used up to here; then the channel is retired.
const LAST_CALL_NUMBER: u32 = 0x7fff_ffff;
/// Questions that are answered about one call that an earlier server may have accepted, or that was turned away: OpenAFS's
/// client asks every 4 s and sends its request again within 12 s. More would keep alive a call that must end.
const EARLY_ANSWERS: u8 = 4;

/// How the last call of a channel ended, as far as the peer may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// With success: everything up to this packet was received, the newest with this serial.
    Received { last_seq: u32, serial: u32 },
    /// With an abort.
    Aborted(AbortCode),
}

/// A call that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Terminal {
    pub(crate) number: u32,
    pub(crate) ending: Ending,
}

/// One of the four places for calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    /// Number of the newest call that was on the wire.
    pub(crate) counter: u32,
    /// Key of the call that lives here.
    pub(crate) call: Option<u32>,
    pub(crate) last: Option<Terminal>,
    /// Say again how the last call ended, answering this serial (0: none).
    pub(crate) replay: Option<u32>,
    /// When the last reply is acknowledged, unless a next call does it first.
    pub(crate) final_ack_at: Option<Instant>,
    /// Number of the call that was turned away last, with BUSY.
    refused: u32,
    /// The call not yet begun that a client asked about last, and the answers that count.
    early: (u32, u8),
}

/// What is said of a call that has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EarlyAnswer {
    NothingCame,
    TurnedAway,
}

impl Channel {
    /// The call is turned away, and may come again.
    pub(crate) fn turn_away(&mut self, number: u32) {
        self.refused = number;
        self.early = (number, 0);
    }

    /// What to answer to a question about a call that has not begun, if anything (QUIRKS.md#early-question).
    pub(crate) fn answer_early(&mut self, number: u32) -> Option<EarlyAnswer> {
        let refused = number == self.refused;
        if !refused && self.is_next(number) {
            return Some(EarlyAnswer::NothingCame);
        }
        if self.early.0 != number {
            self.early = (number, 0);
        }
        let may = self.early.1 < EARLY_ANSWERS;
        self.early.1 += u8::from(may);
        may.then_some(if refused { EarlyAnswer::TurnedAway } else { EarlyAnswer::NothingCame })
    }

    /// Whether a call with this number is the client's next: it has acknowledged the reply of the one before it, or that
    /// one was turned away since. No earlier server can have accepted it, so the client will send it again.
    fn is_next(&self, number: u32) -> bool {
        self.last.is_some_and(|last| {
            matches!(last.ending, Ending::Received { .. })
                && number.checked_sub(1) == Some(last.number.max(self.refused))
        })
    }

    /// Whether no further call can be numbered.
    pub(crate) fn is_used_up(&self) -> bool {
        self.counter >= LAST_CALL_NUMBER
    }
}

/// Which side of the connection we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Client {
        /// Key of the bundle.
        bundle: u32,
        /// A first call asks for a newer service; others wait for its answer.
        probing: bool,
    },
    Service {
        /// The peer has proved its address at some time in the connection's life.
        validated: bool,
    },
}

/// An address that packets of the connection came from, which is not proved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub(crate) addr: SocketAddr,
    pub(crate) local_ip: Option<IpAddr>,
    /// Serials of the last PINGs that were sent there, 0 for none.
    pub(crate) pings: [u32; 3],
    /// When it is asked again.
    pub(crate) ask_at: Instant,
    pub(crate) asked: u32,
    /// Packets that came from there. Each pays for one question.
    pub(crate) heard: u32,
    /// Those of them that no peer's budget counts, less the questions they paid for.
    pub(crate) credit: u32,
    /// Channel of the newest packet from there that was of a live call. The client may know no other any more.
    pub(crate) channel: usize,
}

impl Candidate {
    /// So many questions go there at most.
    const QUESTIONS: u32 = 3;
    /// How long after a next question could have gone out an answer is still waited for.
    const PATIENCE: Duration = Duration::from_secs(4);

    fn has_question(&self) -> bool {
        self.asked < self.heard.min(Self::QUESTIONS)
    }

    /// Whether a question goes there now.
    pub(crate) fn wants_question(&self, now: Instant) -> bool {
        self.ask_at <= now && self.has_question()
    }

    /// Whether nothing more is asked or waited for.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        !self.has_question() && self.deadline() <= now
    }

    /// A question with this serial goes there, the next one not before `ask_at`.
    pub(crate) fn on_asked(&mut self, serial: u32, ask_at: Instant) {
        if let Some(ping) = self.pings.get_mut(self.asked as usize % 3) {
            *ping = serial;
        }
        self.asked += 1;
        self.ask_at = ask_at;
    }

    /// When it is asked again or given up.
    pub(crate) fn deadline(&self) -> Instant {
        let paid_for = self.has_question() || self.asked >= Self::QUESTIONS;
        if paid_for { self.ask_at } else { self.ask_at + Self::PATIENCE }
    }

    /// Whether a question with this serial went there.
    pub(crate) fn was_asked(&self, serial: u32) -> bool {
        serial != 0 && self.pings.contains(&serial)
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) role: Role,
    /// Key of the peer.
    pub(crate) peer: u32,
    /// Our address that the peer uses.
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) epoch: u32,
    /// Connection id, channel bits zero.
    pub(crate) cid: u32,
    pub(crate) service: u16,
    /// The service the client named, when it was upgraded to another.
    pub(crate) asked_service: u16,
    pub(crate) security_index: u8,
    serial: u32,
    /// Lives of the server that were heard.
    pub(crate) lives: Lives,
    /// Highest serial of the peer.
    pub(crate) heard_serial: Option<u32>,
    /// When it came.
    pub(crate) heard_at: Instant,
    pub(crate) channels: [Channel; CHANNELS],
    pub(crate) replays: TokenBucket,
    /// Unused since.
    pub(crate) idle_since: Option<Instant>,
    pub(crate) created: Instant,
    pub(crate) candidate: Option<Candidate>,
    /// Hangs in the control ring of its peer.
    pub(crate) in_ring: bool,
    /// No further call may use it.
    pub(crate) retired: bool,
}

/// What a new connection is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionInit {
    pub(crate) role: Role,
    pub(crate) peer: u32,
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) epoch: u32,
    pub(crate) cid: u32,
    pub(crate) service: u16,
    pub(crate) first_serial: u32,
    pub(crate) now: Instant,
    pub(crate) replays_per_second: u32,
}

impl Connection {
    pub(crate) fn new(init: &ConnectionInit) -> Self {
        Connection {
            role: init.role,
            peer: init.peer,
            local_ip: init.local_ip,
            epoch: init.epoch,
            cid: init.cid,
            service: init.service,
            asked_service: init.service,
            security_index: 0,
            serial: init.first_serial,
            lives: Lives::default(),
            heard_serial: None,
            heard_at: init.now,
            channels: [Channel::default(); CHANNELS],
            replays: TokenBucket::new(init.replays_per_second),
            idle_since: Some(init.now),
            created: init.now,
            candidate: None,
            in_ring: false,
            retired: false,
        }
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self.role, Role::Client { .. })
    }

    /// The serial of the next packet.
    pub(crate) fn take_serial(&mut self) -> u32 {
        let serial = self.serial;
        self.serial = next_serial(serial);
        serial
    }

    /// The serial that the next packet will have.
    pub(crate) fn next_serial(&self) -> u32 {
        self.serial
    }

    /// A packet of the peer named this serial.
    pub(crate) fn note_serial(&mut self, now: Instant, serial: u32) {
        if self.heard_serial.is_none_or(|highest| serial_after(serial, highest)) {
            self.heard_serial = Some(serial);
            self.heard_at = now;
        }
    }

    pub(crate) fn channel(&self, index: usize) -> Option<&Channel> {
        self.channels.get(index)
    }

    pub(crate) fn channel_mut(&mut self, index: usize) -> Option<&mut Channel> {
        self.channels.get_mut(index)
    }

    /// It had to go, and is back: these calls of its channels, and those before them, are over.
    pub(crate) fn resume(&mut self, calls: [u32; CHANNELS]) {
        for (channel, number) in self.channels.iter_mut().zip(calls) {
            channel.counter = number;
            let ending = Ending::Aborted(AbortCode::RX_CALL_DEAD);
            channel.last = (number > 0).then_some(Terminal { number, ending });
        }
    }

    /// Keys of the calls that live on it.
    pub(crate) fn calls(&self) -> SmallVec<[u32; CHANNELS]> {
        self.channels.iter().filter_map(|c| c.call).collect()
    }

    /// Whether no call lives on it.
    pub(crate) fn is_idle(&self) -> bool {
        self.channels.iter().all(|c| c.call.is_none())
    }

    /// Whether the connection itself has a packet to send.
    pub(crate) fn has_control(&self, now: Instant) -> bool {
        self.channels.iter().any(|c| c.replay.is_some())
            || self.candidate.is_some_and(|c| c.wants_question(now))
    }

    /// A packet with the last call's number came: say again how it ended, unless too often.
    pub(crate) fn ask_replay(&mut self, channel: usize, serial: u32, now: Instant) -> bool {
        if !self.replays.take(now) {
            return false;
        }
        if let Some(channel) = self.channel_mut(channel) {
            channel.replay = Some(serial);
        }
        true
    }

    /// When the next delayed final acknowledgement is due.
    pub(crate) fn final_ack_at(&self) -> Option<Instant> {
        self.channels.iter().filter_map(|c| c.final_ack_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_used_up_with_call_number_2_to_the_31_minus_1() {
        let at = |counter| Channel { counter, ..Channel::default() };
        assert!(!at(0x7fff_fffe).is_used_up());
        assert!(at(0x7fff_ffff).is_used_up() && at(u32::MAX).is_used_up());
    }
}

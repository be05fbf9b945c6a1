//! What waits to be sent to a peer, in rings, so that each gets its turn.

use alloc::collections::VecDeque;

/// Kinds of packets, in the order they go out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// Aborts, replays, address checks.
    Control,
    /// Acknowledgements.
    Ack,
    /// Packets sent again.
    Retransmit,
    /// Packets sent for the first time.
    Fresh,
}

impl Class {
    pub(crate) const ALL: [Class; 4] = [Class::Control, Class::Ack, Class::Retransmit, Class::Fresh];

    /// The bit that says an owner hangs in this ring.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Who has something to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// Key of a call.
    Call(u32),
    /// Key of a connection.
    Connection(u32),
}

/// One ring a class.
#[derive(Debug, Default)]
pub(crate) struct ReadyRings {
    rings: [VecDeque<Token>; 4],
}

impl ReadyRings {
    fn ring(&mut self, class: Class) -> &mut VecDeque<Token> {
        let [control, ack, retransmit, fresh] = &mut self.rings;
        match class {
            Class::Control => control,
            Class::Ack => ack,
            Class::Retransmit => retransmit,
            Class::Fresh => fresh,
        }
    }

    pub(crate) fn push_back(&mut self, class: Class, token: Token) {
        self.ring(class).push_back(token);
    }

    /// Give back a token that was passed over: it keeps its place.
    pub(crate) fn push_front(&mut self, class: Class, token: Token) {
        self.ring(class).push_front(token);
    }

    pub(crate) fn pop(&mut self, class: Class) -> Option<Token> {
        self.ring(class).pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
    }
}

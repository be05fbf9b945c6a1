//! Which life of a server a packet is from. Serials of a connection go up by one with each packet; a server that has
//! forgotten the connection, because it started again or had no room, begins them anew, somewhere else as a rule.

/// So many packets in a row may be missed: nobody sends as many without an answer.
const MISSED: u32 = 1 << 16;
/// Lives that are remembered: this one, the one before, and one more.
const KNOWN: usize = 3;

/// Serials of one life that were heard.
#[derive(Clone, Copy, Debug)]
struct Life {
    number: u32,
    first: u32,
    last: u32,
}

impl Life {
    /// Whether the serial is near those of this life. If so it is one of them.
    fn takes(&mut self, serial: u32) -> bool {
        let span = self.last.wrapping_sub(self.first);
        let after = serial.wrapping_sub(self.first);
        let (beyond, before) = (after.wrapping_sub(span), self.first.wrapping_sub(serial));
        if after <= span {
            return true;
        }
        if beyond <= MISSED {
            self.last = serial;
        } else if before <= MISSED {
            self.first = serial;
        }
        beyond <= MISSED || before <= MISSED
    }
}

/// The lives of a server that were heard on a connection, the one heard last first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lives {
    known: [Option<Life>; KNOWN],
    count: u32,
}

impl Lives {
    /// Number of the life that a packet with this serial, not 0, is from.
    pub(crate) fn of(&mut self, serial: u32) -> u32 {
        let found =
            self.known.iter_mut().position(|life| life.as_mut().is_some_and(|life| life.takes(serial)));
        if let Some(first) = self.known.get_mut(..=found.unwrap_or(KNOWN - 1)) {
            first.rotate_right(1);
        }
        let [newest, ..] = &mut self.known;
        if found.is_none() {
            self.count = self.count.wrapping_add(1);
            *newest = Some(Life { number: self.count, first: serial, last: serial });
        }
        newest.map_or(0, |life| life.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_near_those_heard_are_of_the_same_life_whichever_came_first() {
        let mut lives = Lives::default();
        let first = lives.of(5);
        for serial in [9, 7, 5 + MISSED, 1, u32::MAX - 100, 9 + 2 * MISSED - 4] {
            assert_eq!(lives.of(serial), first, "{serial}");
        }
        assert_eq!(lives.of(500 * MISSED), first + 1);
        assert_eq!((lives.of(8), lives.of(500 * MISSED - 1)), (first, first + 1));
    }

    #[test]
    fn the_life_heard_least_lately_is_forgotten() {
        let mut lives = Lives::default();
        let numbers = [10, 20, 30].map(|n| lives.of(n * MISSED));
        assert_eq!(lives.of(10 * MISSED), numbers[0]);
        let fourth = lives.of(40 * MISSED);
        assert_eq!(lives.of(10 * MISSED + 1), numbers[0]);
        assert_eq!(lives.of(30 * MISSED), numbers[2]);
        assert!(fourth > numbers[2] && lives.of(20 * MISSED) > fourth, "it counts as new");
    }
}

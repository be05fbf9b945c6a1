//! The receive buffer of a socket: what has arrived and was not read.

use std::net::SocketAddr;

/// What a datagram costs in a socket buffer beside its bytes.
const OVERHEAD: usize = 256;

/// Datagrams of one sender, each as long as the first but the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) src: SocketAddr,
    pub(crate) ecn: u8,
    pub(crate) stride: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The last one is shorter: no other follows it.
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    used: usize,
    capacity: usize,
    coalesce: bool,
}

impl Inbox {
    pub(crate) fn new(capacity: usize, coalesce: bool) -> Self {
        Inbox { bytes: Vec::new(), runs: Vec::new(), used: 0, capacity, coalesce }
    }

    /// Take a datagram. False if there is no room.
    pub(crate) fn push(&mut self, src: &SocketAddr, ecn: u8, datagram: &[u8]) -> bool {
        let cost = datagram.len() + OVERHEAD;
        if self.used + cost > self.capacity {
            return false;
        }
        self.used += cost;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        let end = self.bytes.len();
        if self.coalesce
            && let Some(run) = self.runs.last_mut()
            && run.src == *src
            && run.ecn == ecn
            && !datagram.is_empty()
            && datagram.len() <= run.stride
            && !run.closed
            && end - run.start <= 65_507
        {
            run.end = end;
            run.closed = datagram.len() < run.stride;
            return true;
        }
        self.runs.push(Run { src: *src, ecn, stride: datagram.len(), start, end, closed: false });
        true
    }

    pub(crate) fn run(&self, i: usize) -> Option<(Run, &[u8])> {
        let run = *self.runs.get(i)?;
        Some((run, &self.bytes[run.start..run.end]))
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.used = 0;
    }

    /// From now on there is room for everything.
    pub(crate) fn heal(&mut self) {
        self.capacity = usize::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::inside;

    #[test]
    fn equal_datagrams_of_one_sender_make_a_run_that_a_shorter_one_ends() {
        let mut inbox = Inbox::new(1 << 20, true);
        for (from, len) in [(1, 5), (1, 5), (1, 3), (1, 3), (2, 3), (2, 4)] {
            assert!(inbox.push(&inside(from, false), 0, &vec![from as u8; len]));
        }
        let lens: Vec<_> = (0..).map_while(|i| inbox.run(i).map(|(r, b)| (r.stride, b.len()))).collect();
        assert_eq!(lens, [(5, 13), (3, 3), (3, 3), (4, 4)]);
    }

    #[test]
    fn what_does_not_fit_is_refused_until_the_inbox_is_read() {
        let mut inbox = Inbox::new(2 * (OVERHEAD + 10), false);
        let push = |inbox: &mut Inbox| inbox.push(&inside(1, false), 0, &[0; 10]);
        assert!(push(&mut inbox) && push(&mut inbox) && !push(&mut inbox));
        inbox.clear();
        assert!(push(&mut inbox));
    }
}

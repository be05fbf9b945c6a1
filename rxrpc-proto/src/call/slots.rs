//! The calls of an endpoint by their keys. The place of a call that is gone keeps the memory of its queues for the next:
//! a small call then allocates for its bytes alone, and is not moved about.

use alloc::vec::Vec;

use super::{Call, CallInit};

/// Vacant places that keep the memory of their queues.
const KEEP: usize = 64;

#[derive(Debug)]
struct Slot {
    used: bool,
    call: Call,
}

/// A slab of calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

impl Calls {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    pub(crate) fn get(&self, key: u32) -> Option<&Call> {
        self.slots.get(key as usize).filter(|slot| slot.used).map(|slot| &slot.call)
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut Call> {
        self.slots.get_mut(key as usize).filter(|slot| slot.used).map(|slot| &mut slot.call)
    }

    /// A new call, and its key.
    pub(crate) fn insert(&mut self, init: &CallInit) -> u32 {
        let key = self.vacant.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(key as usize) {
            Some(slot) => {
                slot.call.renew(init);
                slot.used = true;
            }
            None => self.slots.push(Slot { used: true, call: Call::new(init) }),
        }
        key
    }

    /// The call is gone: nothing is left of it but memory.
    pub(crate) fn remove(&mut self, key: u32) {
        let Some(slot) = self.slots.get_mut(key as usize).filter(|slot| slot.used) else { return };
        slot.used = false;
        slot.call.send.clear();
        slot.call.recv.clear();
        if self.vacant.len() >= KEEP {
            drop(slot.call.take_queues());
        }
        self.vacant.push(key);
    }

    /// All calls with their keys, in the order of these.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Call)> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.used).map(|(key, slot)| (key, &slot.call))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::call::{Side, State};

    fn init(generation: u64) -> CallInit {
        CallInit {
            generation,
            tag: 0,
            side: Side::Service { accepted: false },
            peer: 0,
            service: 1,
            state: State::RecvRequest,
            window: 32,
            threshold: None,
            silence: Duration::from_secs(20),
            lifetime: None,
        }
    }

    #[test]
    fn the_place_of_a_call_that_is_gone_is_the_next_ones_who_begins_anew() {
        let mut calls = Calls::default();
        assert_eq!((calls.insert(&init(1)), calls.insert(&init(2))), (0, 1));
        let call = calls.get_mut(0).unwrap();
        call.dirty = true;
        call.send.buffer.push(b"abc");
        call.recv.accept(1, true, b"xyz", 100).unwrap();
        calls.remove(0);
        calls.remove(0);
        assert!(calls.get(0).is_none() && calls.get_mut(0).is_none() && calls.len() == 1);
        assert_eq!(calls.iter().map(|(key, call)| (key, call.generation)).collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(calls.insert(&init(3)), 0);
        let call = calls.get(0).unwrap();
        assert_eq!((call.generation, call.dirty, call.send.buffer.len()), (3, false, 0));
        assert_eq!((call.recv.base(), call.recv.readable(), call.recv.is_complete()), (1, 0, false));
    }

    #[test]
    fn small_queues_are_kept_in_some_places_and_large_ones_in_none() {
        let mut calls = Calls::default();
        for key in 0..=KEEP as u32 {
            calls.insert(&init(u64::from(key)));
            let call = calls.get_mut(key).unwrap();
            call.send.lost.extend([1, 2]);
        }
        calls.get_mut(0).unwrap().send.lost.extend(0..1000);
        (0..=KEEP as u32).for_each(|key| calls.remove(key));
        let kept = |key: usize| calls.slots[key].call.send.lost.capacity();
        assert_eq!((kept(0), kept(KEEP)), (0, 0));
        assert!(kept(1) >= 2 && kept(KEEP - 1) >= 2);
    }
}

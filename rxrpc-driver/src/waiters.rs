//! A short list of tasks that wait for something rare.

use std::task::Waker;

/// Who waits, by a key. Searched from the front: for things of which few are waited for at a time.
pub(crate) struct Waiters<K> {
    list: Vec<(K, Option<Waker>)>,
}

impl<K: PartialEq> Waiters<K> {
    pub(crate) fn new() -> Self {
        Waiters { list: Vec::new() }
    }

    pub(crate) fn insert(&mut self, key: K) {
        self.list.push((key, None));
    }

    /// Where the waker of `key` belongs, if that one still waits.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut Option<Waker>> {
        self.list.iter_mut().find(|(known, _)| known == key).map(|(_, waker)| waker)
    }

    /// Forgets `key`. The waker is to be dropped after unlocking.
    pub(crate) fn remove(&mut self, key: &K) -> Option<Waker> {
        let index = self.list.iter().position(|(known, _)| known == key)?;
        self.list.swap_remove(index).1
    }

    /// Collects the wakers of everyone.
    pub(crate) fn take_all(&mut self, wake: &mut Vec<Waker>) {
        wake.extend(self.list.iter_mut().filter_map(|(_, waker)| waker.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_waiter_is_unknown_and_the_others_stay() {
        let mut waiters = Waiters::new();
        for key in [1, 2, 3] {
            waiters.insert(key);
            *waiters.get(&key).unwrap() = Some(Waker::noop().clone());
        }
        assert!(waiters.remove(&1).is_some());
        assert!(waiters.remove(&1).is_none());
        let mut wake = Vec::new();
        waiters.take_all(&mut wake);
        assert_eq!((waiters.get(&1).is_none(), waiters.get(&3).is_some(), wake.len()), (true, true, 2));
    }
}

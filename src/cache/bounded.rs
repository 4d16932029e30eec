use std::hash::Hash;

use quick_cache::sync::Cache;

/// A map of at most so many entries: what is asked for again stays, what is not goes first.
pub struct Bounded<K, V>(Cache<K, V>);

impl<K: Hash + Eq + Clone, V: Clone> Bounded<K, V> {
    /// Room for so many entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity.max(1)))
    }

    /// What is kept under a key.
    pub fn find(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    /// Keeps something in the place of what was there.
    pub fn keep(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_is_room_for() {
        let kept = Bounded::new(100);
        for number in 0..10_000 {
            kept.keep(number, number);
        }
        assert!(kept.len() <= 100, "{}", kept.len());
        kept.keep(7, 8);
        assert_eq!(kept.find(&7), Some(8));
    }
}

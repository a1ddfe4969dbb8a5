//! Who holds how many flows.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::lock;
use crate::state::{Bucket, StateKey};

/// The keys of each bucket, oldest first.
type Keys = HashMap<Bucket, VecDeque<StateKey>>;

#[derive(Debug)]
pub(super) struct Buckets {
    shards: Box<[Mutex<Keys>]>,
    capacity: usize,
}

impl Buckets {
    pub(super) fn new(shards: usize, capacity: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(), capacity }
    }

    /// Counts `key`, and returns the keys that no longer have a place.
    pub(super) fn add(&self, bucket: Bucket, key: StateKey) -> Vec<StateKey> {
        let Some(shard) = self.shard(&bucket) else { return Vec::new() };
        let mut shard = lock(shard);
        let keys = shard.entry(bucket).or_default();
        keys.push_back(key);
        let over = keys.len().saturating_sub(self.capacity);
        keys.drain(..over).collect()
    }

    /// No longer counts `key`.
    pub(super) fn remove(&self, bucket: &Bucket, key: &StateKey) {
        let Some(shard) = self.shard(bucket) else { return };
        let mut shard = lock(shard);
        let Some(keys) = shard.get_mut(bucket) else { return };
        if let Some(at) = keys.iter().position(|known| known == key) {
            keys.remove(at);
        }
        if keys.is_empty() {
            shard.remove(bucket);
            if shard.capacity() > 256 && shard.len() < shard.capacity() / 4 {
                let len = shard.len();
                shard.shrink_to(len * 2);
            }
        }
    }

    fn shard(&self, bucket: &Bucket) -> Option<&Mutex<Keys>> {
        self.shards.get(usize::from(bucket.as_bytes()[0]) & (self.shards.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(n: u32) -> Bucket {
        Bucket::of(&n.to_be_bytes())
    }

    fn key(n: u32) -> StateKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        StateKey::from_bytes(bytes)
    }

    #[test]
    fn a12_what_is_no_longer_counted_takes_no_memory() {
        let buckets = Buckets::new(1, 4);
        for n in 0..10_000 {
            assert!(buckets.add(bucket(n), key(n)).is_empty());
        }
        let capacity = || lock(&buckets.shards[0]).capacity();
        assert!(capacity() >= 10_000);
        for n in 0..9_900 {
            buckets.remove(&bucket(n), &key(n));
        }
        assert!(capacity() < 1_000, "room for {} while 100 are left", capacity());
        for n in 9_900..10_000 {
            assert_eq!(buckets.add(bucket(n), key(n + 1)), []);
            buckets.remove(&bucket(n), &key(n));
            assert_eq!(lock(&buckets.shards[0])[&bucket(n)], [key(n + 1)]);
            buckets.remove(&bucket(n), &key(n + 1));
        }
        assert!(lock(&buckets.shards[0]).is_empty());
    }
}

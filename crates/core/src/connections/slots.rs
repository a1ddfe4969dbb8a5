//! What this process knows of connections: one slot for each, found by the whole key, and no more than were allowed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind};
use crate::token_store::Version;

use super::access::AccessToken;
use super::at_hand::Kept;
use super::plan::Unsent;
use super::removal::Refused;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: ConnectionKey,
    /// The changes of what may be served, so that who has a token at hand sees them without a lock.
    pub(super) epoch: Epoch,
    used: AtomicBool,
    /// Its last place among the pinned, none of which is given twice. Changed under their lock.
    pinned_at: AtomicU64,
    state: Mutex<State>,
}

/// Counts changes.
#[derive(Debug, Default)]
pub(super) struct Epoch(AtomicU64);

impl Epoch {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) cached: Option<Cached>,
    pub(super) flight: Option<Running>,
    pub(super) failure: Option<Failure>,
    /// The version with which a token came that replaced one which an API refused, and when, by the monotonic clock.
    pub(super) forced: Option<(Version, Duration)>,
    /// The mark of the last lease, as long as nothing is sent under it. Where the lease is lost, the mark stays in the record.
    pub(super) unsent: Option<Unsent>,
    /// The removal that the store did not take: to this process there is no such connection.
    pub(super) refused: Option<Refused>,
    /// Counts what was forgotten, so that a flight that began before does not put it back.
    pub(super) forgotten: u64,
    next_flight: u64,
}

/// A connection, or that there is none.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) token: AccessToken,
    /// When the store said so, by the monotonic clock.
    pub(super) loaded_at: Duration,
    /// Until when it may be served without a second look.
    pub(super) fast_until: Duration,
    /// Whether the store has said since that it has another version.
    pub(super) is_outdated: bool,
}

/// A flight that has not landed.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    /// How often the slot had been forgotten when it began.
    pub(super) forgotten: u64,
    pub(super) progress: watch::Receiver<Progress>,
}

/// How far a flight is.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// Nothing is known yet.
    Running,
    /// A token that is good can be served; the flight goes on.
    Served,
    /// The refresh brought a token that can be served; the flight goes on until the store has it.
    Unsaved,
    /// It has landed.
    Done {
        result: Result<AccessToken, Arc<Error>>,
        /// Whether the token is the outcome of a refresh since the flight began, here or elsewhere.
        is_new: bool,
    },
}

/// The last failure, until when it holds.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: Arc<Error>,
    pub(super) until: Duration,
    /// How many there were in a row.
    pub(super) count: u32,
    /// Whether the store, or what opens its records, is what failed: asking it again is what has to wait.
    pub(super) is_of_store: bool,
}

impl Slot {
    fn new(key: ConnectionKey) -> Self {
        Self {
            key,
            epoch: Epoch::default(),
            used: AtomicBool::new(true),
            pinned_at: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made by one assignment, or by several that a reader can bear to see apart.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is not written to where it is known already: all threads read it.
    fn is_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

impl State {
    /// Whether the flight that is under way is of a connection that was to be removed since.
    pub(super) fn flies_for_nobody(&self) -> bool {
        let refused = self.refused.as_ref().zip(self.flight.as_ref());
        refused.is_some_and(|(refused, flight)| refused.forgotten != flight.forgotten)
    }

    /// Forgets all but a flight that is under way, and the removal that is outstanding.
    pub(super) fn forget(&mut self) {
        self.cached = None;
        self.failure = None;
        self.forced = None;
        self.forgotten = self.forgotten.wrapping_add(1);
    }

    /// The flight that is under way, unless all was forgotten since it began: it is of what was there before a disconnect or a
    /// login, and no answer to who asks after that.
    pub(super) fn running(&self) -> Option<&Running> {
        self.flight.as_ref().filter(|flight| flight.forgotten == self.forgotten)
    }

    pub(super) fn next_flight(&mut self) -> u64 {
        self.next_flight = self.next_flight.wrapping_add(1);
        self.next_flight
    }
}

/// The slots, in shards. A slot that is in use, by a caller, a handle or a flight, stays.
pub(super) struct Slots {
    shards: [RwLock<Shard>; SHARDS],
    capacity: usize,
    /// Those that stay although nobody uses them.
    pinned: Mutex<Pinned>,
}

/// In the order in which they were pinned.
#[derive(Default)]
struct Pinned {
    slots: BTreeMap<u64, Arc<Slot>>,
    last: u64,
}

/// How many removals that the store did not take are remembered for certain.
const MAX_PINNED: usize = 10_000;

#[derive(Default)]
struct Shard {
    slots: HashMap<ConnectionKey, Place, BuildHasherDefault<FirstBytes>>,
    /// In the order in which they are looked at when one has to go.
    order: VecDeque<ConnectionKey>,
}

/// A slot, and the token that all who ask by its key share. It lies here, so that one lock is enough to come by it.
struct Place {
    slot: Arc<Slot>,
    at_hand: Option<Kept>,
}

const SHARDS: usize = 64;

impl Slots {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = std::array::from_fn(|_| RwLock::default());
        Self { shards, capacity: capacity.div_ceil(SHARDS).max(1), pinned: Mutex::default() }
    }

    /// Keeps a slot although nobody uses it, until [`unpin`](Self::unpin) or until there are too many: then the first one may
    /// go.
    pub(super) fn pin(&self, slot: &Arc<Slot>) {
        let mut pinned = self.pinned();
        pinned.remove(slot);
        pinned.last = pinned.last.wrapping_add(1);
        let place = pinned.last;
        slot.pinned_at.store(place, Ordering::Relaxed);
        pinned.slots.insert(place, Arc::clone(slot));
        if pinned.slots.len() > MAX_PINNED {
            pinned.slots.pop_first();
        }
    }

    pub(super) fn unpin(&self, slot: &Slot) {
        self.pinned().remove(slot);
    }

    fn pinned(&self) -> MutexGuard<'_, Pinned> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of `key`, if there is one.
    pub(super) fn find(&self, key: &ConnectionKey) -> Option<Arc<Slot>> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.slots.get(key).map(|place| Arc::clone(&place.slot))
    }

    /// The token at hand of `key`. No pointer to the slot is made: all threads would count it.
    pub(super) fn at_hand(&self, key: &ConnectionKey, now: Duration) -> Option<AccessToken> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        let Place { slot, at_hand } = shard.slots.get(key)?;
        let token = at_hand.as_ref()?.get(now, &slot.epoch)?;
        slot.is_used();
        Some(token)
    }

    /// Keeps a token at hand, unless something has changed since it was looked up.
    pub(super) fn keep(&self, slot: &Slot, kept: Kept) -> AccessToken {
        let token = kept.token.clone();
        let before = self.place(slot, |place| {
            // Under the lock, so that what is let go of afterwards stays so.
            if place.slot.epoch.get() == kept.epoch { place.at_hand.replace(kept) } else { Some(kept) }
        });
        drop(before);
        token
    }

    /// What was served of a slot before is to be looked at again.
    pub(super) fn changed(&self, slot: &Slot) {
        slot.epoch.advance();
        drop(self.place(slot, |place| place.at_hand.take()));
    }

    /// What the store has is this version: where another is known here, or that there is none, it is asked before that is told
    /// again.
    pub(super) fn learn(&self, slot: &Slot, version: &Version) {
        let mut state = slot.lock();
        let is_absent =
            state.failure.as_ref().is_some_and(|failure| failure.error.kind() == ErrorKind::NotConnected);
        let other = state.cached.as_mut().filter(|cached| {
            let known = cached.token.version();
            // What is saved here and listed late is older than what is known.
            known.incarnation() != version.incarnation() || known.counter() < version.counter()
        });
        if !is_absent && other.is_none() {
            return;
        }
        if let Some(cached) = other {
            (cached.fast_until, cached.is_outdated) = (Duration::ZERO, true);
        }
        if is_absent {
            state.failure = None;
        }
        drop(state);
        self.changed(slot);
    }

    /// Forgets the token, and whatever was told of it.
    pub(super) fn forget_token(&self, slot: &Slot) {
        slot.lock().cached = None;
        self.changed(slot);
    }

    /// Forgets all but a flight that is under way.
    pub(super) fn forget(&self, slot: &Slot) {
        slot.lock().forget();
        self.changed(slot);
    }

    /// Changes the place of a slot that is in use; what `change` returns is dropped without the lock.
    fn place(&self, slot: &Slot, change: impl FnOnce(&mut Place) -> Option<Kept>) -> Option<Kept> {
        let mut shard = self.shard(&slot.key).write().unwrap_or_else(PoisonError::into_inner);
        shard.slots.get_mut(&slot.key).and_then(change)
    }

    /// The slot of `key`, which is made if there is none.
    pub(super) fn get(&self, key: &ConnectionKey) -> Arc<Slot> {
        if let Some(slot) = self.find(key) {
            slot.is_used();
            return slot;
        }
        let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = shard.slots.get(key) {
            return Arc::clone(&place.slot);
        }
        shard.make_room(self.capacity);
        let slot = Arc::new(Slot::new(key.clone()));
        shard.slots.insert(key.clone(), Place { slot: Arc::clone(&slot), at_hand: None });
        shard.order.push_back(key.clone());
        slot
    }

    #[allow(clippy::indexing_slicing, reason = "there are SHARDS of them, and the remainder is less")]
    fn shard(&self, key: &ConnectionKey) -> &RwLock<Shard> {
        // The bytes are those of a hash; the first eight place the key within a shard.
        let at = usize::from(key.id().as_bytes()[31]) % SHARDS;
        &self.shards[at]
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).slots.len()).sum()
    }
}

impl Pinned {
    fn remove(&mut self, slot: &Slot) {
        self.slots.remove(&slot.pinned_at.load(Ordering::Relaxed));
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Shard {
    /// Lets slots go that nobody uses, those first that were not asked for since they were last looked at.
    fn make_room(&mut self, capacity: usize) {
        let mut looks = self.order.len().saturating_mul(2).min(64);
        while self.slots.len() >= capacity && looks > 0 {
            looks -= 1;
            let Some(key) = self.order.pop_front() else { return };
            let stays = self.slots.get(&key).is_some_and(|Place { slot, .. }| {
                // Only this map holds a slot that is counted once: nobody can come by another pointer to it meanwhile.
                Arc::strong_count(slot) > 1 || slot.used.swap(false, Ordering::Relaxed)
            });
            if stays {
                self.order.push_back(key);
            } else {
                self.slots.remove(&key);
            }
        }
    }
}

/// A key's hash is a part of a SHA-256 already.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // The length that stands before the bytes of an array or a slice says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn write_u64(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::access::View;
    use super::super::contents::Contents;
    use super::super::inner::Instant;
    use super::*;
    use crate::binding::User;
    use crate::scopes::Scopes;
    use crate::token::TokenSet;
    use crate::token_store::Incarnation;

    fn key(n: usize) -> ConnectionKey {
        ConnectionKey::new(&User::new("t", n.to_string()), "p")
    }

    fn token() -> AccessToken {
        let now = SystemTime::UNIX_EPOCH;
        let first_seen = Instant { monotonic: Duration::ZERO, wall: now };
        let contents = Contents::connected(TokenSet::new("AT", now), Scopes::none(), now);
        let version = Version::first(Incarnation::from_bytes([1; 16]));
        AccessToken::new(Arc::new(View {
            key: key(1),
            contents,
            version,
            mark: None,
            is_saved: true,
            first_seen,
        }))
    }

    #[test]
    fn i6_there_are_no_more_slots_than_were_allowed_and_those_in_use_stay() {
        let slots = Slots::new(640);
        let held = slots.get(&key(0));
        (1..50_000).for_each(|n| drop(slots.get(&key(n))));
        assert!(slots.len() <= 640 + SHARDS, "{}", slots.len());
        assert!(Arc::ptr_eq(&held, &slots.get(&key(0))), "one connection has one slot");
    }

    #[test]
    fn i6_what_is_pinned_stays_until_there_are_too_many() {
        let slots = Slots::new(64);
        (0..20).for_each(|_| slots.pin(&slots.get(&key(0))));
        slots.get(&key(0)).lock().forgotten = 7;
        (1..5_000).for_each(|n| drop(slots.get(&key(n))));
        assert_eq!(slots.get(&key(0)).lock().forgotten, 7);
        assert_eq!(slots.pinned().slots.len(), 1, "once, however often");
        (1..=MAX_PINNED).for_each(|n| slots.pin(&slots.get(&key(n))));
        assert_eq!(slots.pinned().slots.len(), MAX_PINNED);
        (1..=MAX_PINNED).for_each(|n| slots.unpin(&slots.get(&key(n))));
        (1..50_000).for_each(|n| drop(slots.get(&key(n))));
        assert_eq!(slots.get(&key(0)).lock().forgotten, 0, "it was the first one");
        assert!(slots.len() <= 64 + SHARDS, "{}", slots.len());
        // Who is pinned once more is the last one, and who was let go can be pinned again.
        (1..=MAX_PINNED).for_each(|n| slots.pin(&slots.get(&key(n))));
        slots.pin(&slots.get(&key(1)));
        [0, 2, 0].iter().for_each(|n| slots.pin(&slots.get(&key(*n))));
        let first: Vec<_> = slots.pinned().slots.values().take(2).map(|slot| slot.key.clone()).collect();
        assert_eq!(first, [key(4), key(5)]);
        assert_eq!(slots.pinned().slots.len(), MAX_PINNED);
        (0..=MAX_PINNED).for_each(|n| slots.unpin(&slots.get(&key(n))));
        assert_eq!(slots.pinned().slots.len(), 0);
    }

    #[test]
    fn f4_two_keys_have_two_slots() {
        let slots = Slots::new(100);
        let (one, other) = (slots.get(&key(1)), slots.get(&key(2)));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &slots.get(&key(1))));
    }

    #[test]
    fn h1_what_was_at_hand_is_not_once_something_has_changed() {
        let slots = Slots::new(100);
        let slot = slots.get(&key(1));
        let (now, until) = (Duration::ZERO, Duration::from_secs(1));
        assert!(slots.at_hand(&key(1), now).is_none() && slots.at_hand(&key(2), now).is_none());
        let read = slot.epoch.get();
        slots.keep(&slot, Kept { token: token(), until, epoch: read });
        assert!(slots.at_hand(&key(1), now).is_some() && slots.at_hand(&key(2), now).is_none());
        assert!(slots.at_hand(&key(1), until).is_none(), "its time is over");
        let held = Arc::downgrade(&slots.at_hand(&key(1), now).unwrap().0);
        slots.changed(&slot);
        assert!(slots.at_hand(&key(1), now).is_none());
        assert!(held.upgrade().is_none(), "nor is it in memory");

        // What was read before a change, and would be kept after it.
        let late = token();
        let held = Arc::downgrade(&late.0);
        slots.keep(&slot, Kept { token: late, until, epoch: read });
        assert!(slots.at_hand(&key(1), now).is_none());
        assert!(held.upgrade().is_none(), "nor is that");
        // A change that has not cleared it yet.
        slots.keep(&slot, Kept { token: token(), until, epoch: slot.epoch.get() });
        slot.epoch.advance();
        assert!(slots.at_hand(&key(1), now).is_none());
    }

    #[test]
    fn i6_whose_token_is_taken_from_hand_is_in_use() {
        let slots = Slots::new(16 * SHARDS);
        // The first one goes before it is known which are in use.
        (20_000..21_000).for_each(|n| drop(slots.get(&key(n))));
        let slot = slots.get(&key(0));
        slots.keep(&slot, Kept { token: token(), until: Duration::MAX, epoch: slot.epoch.get() });
        drop(slot);
        for n in 1..20_000 {
            drop(slots.get(&key(n)));
            assert!(slots.at_hand(&key(0), Duration::ZERO).is_some(), "{n}");
        }
    }
}

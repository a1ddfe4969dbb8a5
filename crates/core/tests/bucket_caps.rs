//! A store in another place, whose buckets are counted in this process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use authflow_core::{
    Bucket, BucketCaps, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind,
    async_trait,
};
use tokio::sync::Notify;

const TTL: Duration = Duration::from_secs(600);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn key(n: u8) -> StateKey {
    StateKey::from_bytes([n; 32])
}

fn flow(bucket: Option<&str>) -> PendingFlow {
    let mut flow = PendingFlow::new("p", "https://app.example/cb", start(), TTL);
    flow.bucket = bucket.map(|name| Bucket::of(name.as_bytes()));
    flow
}

/// How the other place is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Day {
    #[default]
    Fine,
    Refuses(StoreErrorKind),
    /// Stores, and the answer is lost.
    Lost,
    /// Stores, and does not answer.
    Silent,
    /// Stores, and removes nothing.
    Keeps,
    /// Has what cannot be read.
    Spoiled,
    /// Removes when it is told to.
    Slow,
}

#[derive(Clone, Debug, Default)]
struct Place {
    flows: Arc<Mutex<BTreeMap<StateKey, PendingFlow>>>,
    day: Arc<Mutex<Day>>,
    go_on: Arc<Notify>,
    removed: Arc<Notify>,
}

impl Place {
    fn on_a(&self, day: Day) {
        *self.day.lock().unwrap() = day;
    }

    async fn insert(&self, key: StateKey, flow: PendingFlow) -> Result<(), StoreError> {
        let day = *self.day.lock().unwrap();
        if let Day::Refuses(kind) = day {
            return Err(StoreError::new(kind));
        }
        self.flows.lock().unwrap().insert(key, flow);
        match day {
            Day::Lost => Err(StoreError::new(StoreErrorKind::OutcomeUnknown)),
            Day::Silent => pending().await,
            _ => Ok(()),
        }
    }

    async fn take(&self, key: StateKey) -> Result<Option<PendingFlow>, StoreError> {
        let day = *self.day.lock().unwrap();
        match day {
            Day::Keeps => return Err(StoreError::new(StoreErrorKind::Unavailable)),
            Day::Slow => self.go_on.notified().await,
            _ => {}
        }
        let flow = self.flows.lock().unwrap().remove(&key);
        self.removed.notify_one();
        match flow {
            Some(_) if day == Day::Spoiled => Err(StoreError::new(StoreErrorKind::Corrupt)),
            flow => Ok(flow),
        }
    }

    async fn until_removed(&self) {
        let removed = self.removed.notified();
        tokio::time::timeout(Duration::from_secs(20), removed).await.expect("nobody removes a flow");
    }

    fn keys(&self) -> Vec<u8> {
        self.flows.lock().unwrap().keys().map(|key| key.as_bytes()[0]).collect()
    }
}

#[derive(Debug)]
struct Capped {
    place: Place,
    buckets: BucketCaps,
}

fn store_of(capacity: usize) -> Capped {
    Capped { place: Place::default(), buckets: BucketCaps::new(capacity) }
}

#[async_trait]
impl StateStore for Capped {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let bucket = flow.bucket;
        let remove = |oldest| {
            let place = self.place.clone();
            async move { place.take(oldest).await.map(drop) }
        };
        self.buckets.store(cx, key, bucket, ttl, self.place.insert(*key, flow), remove).await
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.buckets.check(key, self.place.take(*key)).await
    }
}

impl Capped {
    async fn put_at(&self, now: SystemTime, n: u8, bucket: Option<&str>) -> Result<(), StoreErrorKind> {
        let extensions = http::Extensions::new();
        let cx = StateContext::new(&extensions, now);
        self.store_state(&cx, &key(n), flow(bucket), TTL).await.map_err(|error| error.kind())
    }

    async fn put(&self, n: u8, bucket: &str) -> Result<(), StoreErrorKind> {
        self.put_at(start(), n, Some(bucket)).await
    }

    async fn check(&self, n: u8) -> Result<bool, StoreErrorKind> {
        let extensions = http::Extensions::new();
        let checked = self.check_state(&StateContext::new(&extensions, start()), &key(n)).await;
        checked.map(|flow| flow.is_some()).map_err(|error| error.kind())
    }

    /// Begins to store, and goes away before the answer.
    fn put_and_go(&self, n: u8, bucket: &str) {
        let mut storing = pin!(self.put(n, bucket));
        assert!(storing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

#[tokio::test]
async fn a12_at_a_buckets_cap_its_own_oldest_goes() {
    let store = store_of(3);
    store.put(0, "other").await.unwrap();
    for n in 1..=10 {
        store.put(n, "flooder").await.unwrap();
        assert!(store.place.keys().len() <= 4);
    }
    assert_eq!(store.place.keys(), [0, 8, 9, 10]);
    // Who has no bucket is counted for none.
    for n in 11..=20 {
        store.put_at(start(), n, None).await.unwrap();
    }
    assert_eq!(store.place.keys().len(), 14);
    assert_eq!(store.check(8).await, Ok(true));
}

#[tokio::test]
async fn a12_the_default_is_the_memory_stores() {
    let store = Capped { place: Place::default(), buckets: BucketCaps::default() };
    for round in 0..2_u8 {
        for n in 0..200 {
            let mut bytes = [n; 32];
            bytes[31] = round;
            let extensions = http::Extensions::new();
            let cx = StateContext::new(&extensions, start());
            store.store_state(&cx, &StateKey::from_bytes(bytes), flow(Some("one")), TTL).await.unwrap();
        }
    }
    assert_eq!(store.place.keys().len(), 256);
    assert_eq!(BucketCaps::DEFAULT_CAPACITY, 256);
    // A cap of nothing would refuse what was just stored.
    let store = store_of(0);
    store.put(1, "one").await.unwrap();
    store.put(2, "one").await.unwrap();
    assert_eq!(store.place.keys(), [2]);
}

#[tokio::test]
async fn a12_a_used_flow_leaves_its_bucket() {
    let store = store_of(2);
    for n in 1..=2 {
        store.put(n, "one").await.unwrap();
    }
    assert_eq!(store.check(2).await, Ok(true));
    store.put(3, "one").await.unwrap();
    assert_eq!(store.place.keys(), [1, 3]);
    // One that another process finished, and one that cannot be read.
    store.place.flows.lock().unwrap().remove(&key(1));
    assert_eq!(store.check(1).await, Ok(false));
    store.put(4, "one").await.unwrap();
    store.place.on_a(Day::Spoiled);
    assert_eq!(store.check(4).await, Err(StoreErrorKind::Corrupt));
    store.place.on_a(Day::Fine);
    store.put(5, "one").await.unwrap();
    assert_eq!(store.place.keys(), [3, 5]);
    // Where nothing was removed it is counted still.
    store.place.on_a(Day::Keeps);
    assert_eq!(store.check(5).await, Err(StoreErrorKind::Unavailable));
    store.place.on_a(Day::Fine);
    store.put(6, "one").await.unwrap();
    assert_eq!(store.place.keys(), [5, 6]);
}

#[tokio::test]
async fn a12_a_flow_that_has_ended_leaves_its_bucket() {
    let store = store_of(2);
    store.put(1, "one").await.unwrap();
    store.put_at(start() + TTL / 2, 2, Some("one")).await.unwrap();
    store.put_at(start() + TTL, 3, Some("one")).await.unwrap();
    assert_eq!(store.place.keys(), [1, 2, 3], "the first ends by itself, and its place is free");
    store.put_at(start() + TTL, 4, Some("one")).await.unwrap();
    assert_eq!(store.place.keys(), [1, 3, 4]);
}

#[tokio::test]
async fn a12_what_was_not_stored_takes_no_place() {
    let store = store_of(2);
    store.put(1, "one").await.unwrap();
    store.put(2, "one").await.unwrap();
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Conflict] {
        store.place.on_a(Day::Refuses(kind));
        for n in [3, 2] {
            assert_eq!(store.put(n, "one").await, Err(kind));
            // A removal would be done now.
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(store.place.keys(), [1, 2]);
    store.place.on_a(Day::Fine);
    assert_eq!(store.check(1).await, Ok(true));
    store.put(4, "one").await.unwrap();
    assert_eq!(store.place.keys(), [2, 4]);
}

/// Who begins and goes away before the answer, again and again, is counted all the same.
#[tokio::test]
async fn a12_what_may_have_been_stored_takes_a_place() {
    let store = store_of(2);
    store.place.on_a(Day::Lost);
    for n in 1..=5 {
        assert_eq!(store.put(n, "one").await, Err(StoreErrorKind::OutcomeUnknown));
    }
    assert_eq!(store.place.keys(), [4, 5]);
    store.place.on_a(Day::Silent);
    for n in 6..=9 {
        store.put_and_go(n, "one");
        store.place.until_removed().await;
    }
    assert_eq!(store.place.keys(), [8, 9]);
}

#[tokio::test]
async fn a12_who_goes_away_meanwhile_does_not_keep_the_oldest_from_being_removed() {
    let store = store_of(1);
    store.put(1, "one").await.unwrap();
    store.place.on_a(Day::Slow);
    store.put_and_go(2, "one");
    assert_eq!(store.place.keys(), [1, 2]);
    store.place.go_on.notify_one();
    store.place.until_removed().await;
    assert_eq!(store.place.keys(), [2]);
}

#[tokio::test]
async fn a12_that_the_oldest_cannot_be_removed_is_no_error() {
    let store = store_of(1);
    store.put(1, "one").await.unwrap();
    store.place.on_a(Day::Keeps);
    store.put(2, "one").await.unwrap();
    assert_eq!(store.place.keys(), [1, 2]);
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, start());
    let panics = |_| async { panic!("a panic of the removal is its own") };
    let bucket = Some(Bucket::of(b"one"));
    store.buckets.store(&cx, &key(3), bucket, TTL, ready(Ok(())), panics).await.unwrap();
}

#[test]
fn a12_without_a_runtime_the_oldest_is_removed_in_place() {
    let store = store_of(1);
    for n in 1..=3 {
        let stored = pin!(store.put(n, "one")).poll(&mut Context::from_waker(Waker::noop()));
        assert!(stored.is_ready());
        assert_eq!(store.place.keys(), [n]);
    }
}

#[test]
fn h1_debug_shows_no_bucket_and_no_key() {
    let caps = BucketCaps::new(7);
    assert_eq!(format!("{caps:?}"), "BucketCaps { capacity: 7, .. }");
}

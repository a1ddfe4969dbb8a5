//! The memory store: expiry, caps, and that it gives memory back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use authflow_core::{
    Binding, Bucket, MemoryStateStore, PendingFlow, StateContext, StateKey, StateStore as _, StoreErrorKind,
};

const TTL: Duration = Duration::from_secs(600);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn key(n: usize) -> StateKey {
    StateKey::new("p", &format!("state-{n}"), &Binding::user("", "u")).unwrap()
}

fn flow(bucket: Option<&[u8]>) -> PendingFlow {
    let mut flow = PendingFlow::new("p", "https://app.example/cb", start(), TTL);
    flow.bucket = bucket.map(Bucket::of);
    flow
}

async fn store(store: &MemoryStateStore, n: usize, bucket: Option<&[u8]>, now: SystemTime) {
    let extensions = http::Extensions::new();
    store.store_state(&StateContext::new(&extensions, now), &key(n), flow(bucket), TTL).await.unwrap();
}

async fn check(store: &MemoryStateStore, n: usize, now: SystemTime) -> bool {
    let extensions = http::Extensions::new();
    store.check_state(&StateContext::new(&extensions, now), &key(n)).await.unwrap().is_some()
}

#[tokio::test]
async fn a3_a_flow_is_taken_once_and_a_key_is_never_overwritten() {
    let memory = MemoryStateStore::default();
    store(&memory, 1, None, start()).await;
    let extensions = http::Extensions::new();
    let again = memory.store_state(&StateContext::new(&extensions, start()), &key(1), flow(None), TTL).await;
    assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Conflict);
    assert!(check(&memory, 1, start()).await);
    assert!(!check(&memory, 1, start()).await);
    assert!(memory.is_empty());
}

#[tokio::test]
async fn a4_an_expired_flow_is_absent() {
    let memory = MemoryStateStore::default();
    store(&memory, 1, None, start()).await;
    store(&memory, 2, None, start()).await;
    assert!(check(&memory, 1, start() + TTL - Duration::from_millis(1)).await);
    assert!(!check(&memory, 2, start() + TTL).await);
}

#[tokio::test]
async fn a12_at_a_buckets_cap_its_own_oldest_goes() {
    let memory = MemoryStateStore::with_capacity(1_000_000, 3);
    store(&memory, 0, Some(b"other"), start()).await;
    for n in 1..=10 {
        store(&memory, n, Some(b"flooder"), start()).await;
    }
    assert_eq!(memory.len(), 4);
    assert!(check(&memory, 0, start()).await, "another's flow was pushed out");
    for n in 1..=7 {
        assert!(!check(&memory, n, start()).await, "{n}");
    }
    for n in 8..=10 {
        assert!(check(&memory, n, start()).await, "{n}");
    }
}

#[tokio::test]
async fn a12_a_used_flow_leaves_its_bucket() {
    let memory = MemoryStateStore::with_capacity(1_000_000, 2);
    for n in 0..100 {
        store(&memory, n, Some(b"one"), start()).await;
        assert!(check(&memory, n, start()).await);
    }
    store(&memory, 100, Some(b"one"), start()).await;
    store(&memory, 101, Some(b"one"), start()).await;
    assert_eq!(memory.len(), 2);
    assert!(!memory.is_empty());

    // The place of the used one is free: the older one keeps its own.
    assert!(check(&memory, 101, start()).await);
    store(&memory, 102, Some(b"one"), start()).await;
    assert!(check(&memory, 100, start()).await, "pushed out by a flow that was used");
    assert!(check(&memory, 102, start()).await);
}

#[tokio::test]
async fn a12_an_expired_flow_leaves_its_bucket() {
    let memory = MemoryStateStore::with_capacity(1000, 2);
    store(&memory, 1, Some(b"one"), start()).await;
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, start());
    memory.store_state(&cx, &key(2), flow(Some(b"one")), Duration::from_secs(10)).await.unwrap();
    memory.purge_expired(start() + Duration::from_secs(10));
    store(&memory, 3, Some(b"one"), start() + Duration::from_secs(10)).await;
    assert!(check(&memory, 1, start()).await, "pushed out by a flow that had expired");
    assert!(check(&memory, 3, start()).await);
}

#[tokio::test]
async fn a12_every_bucket_is_counted() {
    let memory = MemoryStateStore::with_capacity(1_000_000, 2);
    for n in 0..600 {
        store(&memory, n, Some(&[u8::try_from(n / 3).unwrap()]), start()).await;
    }
    assert_eq!(memory.len(), 400);
    for n in 0..600 {
        assert_eq!(check(&memory, n, start()).await, n % 3 != 0, "{n}");
    }
}

#[tokio::test]
async fn a12_the_whole_store_is_capped() {
    let memory = MemoryStateStore::with_capacity(10, 1000);
    for n in 0..100 {
        store(&memory, n, None, start()).await;
    }
    assert_eq!(memory.len(), 10);
    assert!(check(&memory, 99, start()).await, "the newest is there");
    assert!(!check(&memory, 0, start()).await, "the oldest is gone");

    let memory = MemoryStateStore::with_capacity(100_000, 1000);
    for n in 0..120_000 {
        store(&memory, n, None, start()).await;
    }
    assert!(memory.len() <= 100_000 + 64);
}

#[tokio::test]
async fn a12_what_expired_is_let_go_of_by_the_calls_that_come() {
    let memory = MemoryStateStore::default();
    for n in 0..20_000 {
        store(&memory, n, Some(&n.to_be_bytes()), start()).await;
    }
    let later = start() + TTL;
    for n in 20_000..24_000 {
        store(&memory, n, None, later).await;
    }
    assert!(memory.len() <= 4_000, "{}", memory.len());
    memory.purge_expired(later + TTL);
    assert!(memory.is_empty());
}

#[tokio::test]
async fn flows_with_other_lifetimes_expire_in_time() {
    let memory = MemoryStateStore::with_capacity(1000, 1000);
    let extensions = http::Extensions::new();
    for (n, seconds) in [(1, 600), (2, 10), (3, 300), (4, 5), (5, 600)] {
        let cx = StateContext::new(&extensions, start());
        memory.store_state(&cx, &key(n), flow(None), Duration::from_secs(seconds)).await.unwrap();
    }
    memory.purge_expired(start() + Duration::from_secs(20));
    assert_eq!(memory.len(), 3);
    memory.purge_expired(start() + Duration::from_secs(300));
    assert_eq!(memory.len(), 2);
    assert!(check(&memory, 1, start() + Duration::from_secs(300)).await);
    assert!(check(&memory, 5, start() + Duration::from_secs(300)).await);
}

/// Every order of storing and taking leaves the list and the index in step: compared with a plain map.
#[tokio::test]
async fn a_random_history_agrees_with_a_plain_map() {
    let memory = MemoryStateStore::with_capacity(1000, 1000);
    let mut model = std::collections::BTreeSet::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let n = usize::try_from(random % 500).unwrap();
        if random & (1 << 40) == 0 {
            assert_eq!(check(&memory, n, start()).await, model.remove(&n));
        } else if model.insert(n) {
            store(&memory, n, None, start()).await;
        }
        assert_eq!(memory.len(), model.len());
    }
}

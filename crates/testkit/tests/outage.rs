//! A store behind a switch is that store while it is on, and does nothing while it is off.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    Clock as _, ConnectionKey, Expected, Incarnation, LeaseHolder, LeaseRequest, Loaded, MemoryStateStore,
    MemoryTokenStore, Page, PendingFlow, RefreshMark, Release, Remove, Renew, SealedBytes, StateContext,
    StateKey, StateStore, StoreErrorKind, TokenStore, User, Write,
};
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{ManualClock, Outage, state_store_conformance, token_store_conformance};

state_store_conformance!(states, || async { Outage::new(MemoryStateStore::new()) });

token_store_conformance!(tokens, || async {
    let clock = ManualClock::new();
    let store = Outage::new(MemoryTokenStore::new().clock(Arc::new(clock.clone())));
    TokenStoreFixture::new(store).clock(clock)
});

#[tokio::test]
async fn a_state_store_that_is_off_keeps_what_it_has() {
    let states = Outage::new(MemoryStateStore::new());
    let clock = ManualClock::new();
    let extensions = authflow_core::http::Extensions::new();
    let cx = StateContext::new(&extensions, clock.now());
    let ttl = Duration::from_secs(600);
    let flow = || PendingFlow::new("p", "https://app.example/callback", clock.now(), ttl);
    let (one, other) = (StateKey::from_bytes([1; 32]), StateKey::from_bytes([2; 32]));
    states.store_state(&cx, &one, flow(), ttl).await.unwrap();
    states.set_down(true);
    let stored = states.store_state(&cx, &other, flow(), ttl).await.unwrap_err();
    let checked = states.check_state(&cx, &one).await.unwrap_err();
    assert_eq!((stored.kind(), checked.kind()), (StoreErrorKind::Unavailable, StoreErrorKind::Unavailable));
    assert_eq!(states.store().len(), 1);
    states.set_down(false);
    assert!(states.check_state(&cx, &one).await.unwrap().is_some());
    assert!(states.check_state(&cx, &other).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_store_that_is_off_answers_nothing_and_does_nothing() {
    // It stands still, and with it what is left of a lease.
    let clock = Arc::new(ManualClock::new());
    let tokens = Outage::new(MemoryTokenStore::new().clock(clock));
    let user = User::new("", "user-42");
    let (key, other) = (ConnectionKey::new(&user, "p"), ConnectionKey::new(&user, "other"));
    let minute = Duration::from_secs(60);
    let incarnation = || Incarnation::random().unwrap();
    let write = |byte| Write::new(SealedBytes::new(vec![byte; 32])).due_at(Some(SystemTime::UNIX_EPOCH));
    let version = tokens.put(&key, incarnation(), write(1)).await.unwrap();
    let holder = LeaseHolder::random().unwrap();
    let mark = RefreshMark::new(holder, [1; 32], SystemTime::UNIX_EPOCH);
    tokens.lease(&key, LeaseRequest::new(holder, minute).mark(mark)).await.unwrap();
    let before = format!("{:?}", tokens.load(&key).await.unwrap());
    let (page, shard) = (Page::first(10), key.shard());

    tokens.set_down(true);
    let errors = [
        tokens.put(&key, incarnation(), write(2)).await.unwrap_err(),
        tokens.put(&other, incarnation(), write(2)).await.unwrap_err(),
        tokens.load(&key).await.unwrap_err(),
        tokens.lease(&key, LeaseRequest::new(holder, 2 * minute)).await.unwrap_err(),
        tokens.renew(&key, &holder, Renew::new(Duration::ZERO)).await.unwrap_err(),
        tokens.release(&key, &holder, Release::new()).await.unwrap_err(),
        tokens.save_if_version(&key, &Expected::version(version), write(2)).await.unwrap_err(),
        tokens.remove(&key, Remove::new(minute)).await.unwrap_err(),
        tokens.list_by_user(&user, &page).await.unwrap_err(),
        tokens.due_before(shard, SystemTime::UNIX_EPOCH + minute, &page).await.unwrap_err(),
        tokens.walk(shard, &page).await.unwrap_err(),
    ];
    for (call, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{call}");
    }

    tokens.set_down(false);
    assert_eq!(format!("{:?}", tokens.load(&key).await.unwrap()), before);
    assert!(matches!(tokens.load(&other).await.unwrap(), Loaded::Absent));
}

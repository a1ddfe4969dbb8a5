//! A store behind a switch is that store while it is on, and does nothing while it is off.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    Clock as _, ConnectionKey, MemoryStateStore, MemoryTokenStore, Page, PendingFlow, StateContext, StateKey,
    StateStore, StoreErrorKind, TokenStore, User,
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
async fn a_token_store_that_is_off_answers_nothing() {
    let tokens = Outage::new(MemoryTokenStore::new());
    let user = User::new("", "user-42");
    let key = ConnectionKey::new(&user, "p");
    tokens.set_down(true);
    let page = Page::first(10);
    let shard = key.shard();
    let errors = [
        tokens.load(&key).await.unwrap_err(),
        tokens.list_by_user(&user, &page).await.unwrap_err(),
        tokens.due_before(shard, SystemTime::UNIX_EPOCH, &page).await.unwrap_err(),
        tokens.walk(shard, &page).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == StoreErrorKind::Unavailable));
    tokens.set_down(false);
    tokens.load(&key).await.unwrap();
}

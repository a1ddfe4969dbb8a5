//! What happens where a state store was asked and its answer was lost, or cannot be read.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    ErrorKind, MemoryStateStore, PendingFlow, Recovery, StateContext, StateKey, StateStore, StoreError,
    StoreErrorKind, async_trait,
};
use common::{Rig, credentials, provider, user};

/// Does what it is asked, and loses its first answers.
#[derive(Debug, Default)]
struct Forgetful {
    lost: AtomicUsize,
    /// They are not lost: what was there cannot be read.
    is_damaged: AtomicBool,
    inner: MemoryStateStore,
    asked: Mutex<Vec<StateKey>>,
}

impl Forgetful {
    fn losing(answers: usize) -> Arc<Self> {
        Arc::new(Self { lost: AtomicUsize::new(answers), ..Self::default() })
    }

    fn answer<T>(&self, key: &StateKey, done: T) -> Result<T, StoreError> {
        self.asked.lock().unwrap().push(*key);
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match (lost, self.is_damaged.load(Ordering::SeqCst)) {
            (Err(_), _) => Ok(done),
            (Ok(_), false) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown)),
            (Ok(_), true) => Err(StoreError::new(StoreErrorKind::Corrupt)),
        }
    }
}

#[async_trait]
impl StateStore for Forgetful {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let done = self.inner.store_state(cx, key, flow, ttl).await?;
        self.answer(key, done)
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let done = self.inner.check_state(cx, key).await?;
        self.answer(key, done)
    }
}

fn rig(store: &Arc<Forgetful>) -> Rig {
    let unused = Arc::new(MemoryStateStore::default());
    Rig::with_store(provider("p").build().unwrap(), credentials(), Arc::clone(store), unused)
}

#[tokio::test]
async fn a_lost_answer_at_begin_draws_another_state() {
    let store = Forgetful::losing(1);
    let rig = rig(&store);
    let query = rig.begin(&user()).await;
    {
        let asked = store.asked.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert_ne!(asked[0], asked[1], "the same state is not stored again");
    }
    rig.tokens();
    rig.finish(&query, &user()).await.expect("the second state is good");
}

/// A store that never answers must not keep a user waiting for ever.
#[tokio::test]
async fn a_second_lost_answer_at_begin_is_an_error() {
    let store = Forgetful::losing(usize::MAX);
    let rig = rig(&store);
    let error = rig.flow.begin(&user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreOutcomeUnknown);
    assert_eq!(store.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_lost_answer_at_finish_says_begin_again_and_sends_no_code() {
    let store = Forgetful::losing(0);
    let rig = rig(&store);
    let query = rig.begin(&user()).await;
    store.lost.store(1, Ordering::SeqCst);
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreOutcomeUnknown);
    assert_eq!(error.recovery(), Recovery::Reconnect);
    assert!(error.to_string().contains("begin again"), "{error}");
    assert_eq!(rig.http.count(), 0, "no code is sent");
    assert_eq!(store.asked.lock().unwrap().len(), 2, "nothing is asked twice");
}

/// F14: it is gone, so that nothing else helps than what the words say.
#[tokio::test]
async fn f14_a_pending_flow_that_cannot_be_read_says_begin_again() {
    let store = Forgetful::losing(0);
    let rig = rig(&store);
    let query = rig.begin(&user()).await;
    store.is_damaged.store(true, Ordering::SeqCst);
    store.lost.store(1, Ordering::SeqCst);
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::StoreCorrupt, Recovery::Reconnect));
    assert!(error.to_string().contains("begin again"), "{error}");
    assert_eq!(rig.http.count(), 0, "no code is sent");
    assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.expect("the user began again");
}

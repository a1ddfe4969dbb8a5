//! Throwaway servers, and a proxy that loses answers.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, each of which uses a part"
)]

mod cluster;
mod parrot;
mod proxy;
mod server;
pub mod tokens;
mod watched;

use std::future::Future;
use std::time::{Duration, SystemTime};

use authflow_core::{
    Binding, Bucket, Clock as _, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind,
    SystemClock,
};
use authflow_redis::{RedisStateStore, RedisTokenStore};

pub use self::cluster::Cluster;
pub use self::parrot::Parrot;
pub use self::proxy::{Answers, Proxy};
pub use self::server::{Server, free_port, run};
pub use self::watched::Watched;

/// Waits until something is so, asking for it again and again. In between, the processor is the server's.
pub async fn until<F: Future<Output = bool> + Send>(what: &str, is_so: impl Fn() -> F + Send + Sync) {
    let wait = async {
        while !is_so().await {
            a_moment().await;
        }
    };
    // A sentinel on a machine that stalled does nothing for half a minute (its TILT mode).
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Lets others go on.
pub async fn a_moment() {
    SystemClock::new().sleep(Duration::from_millis(10)).await;
}

/// Waits until the store has seen that its connection is gone. A command that is written in the moment in between is not known
/// to have failed: that is another test.
pub async fn until_noticed(store: &RedisStateStore) {
    until("the closed connection is noticed", || async { format!("{store:?}").contains("connected: false") })
        .await;
}

/// The store's own time limits hold: what hangs fails the test instead of keeping it.
pub async fn in_time<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), call).await.expect("no call hangs")
}

pub fn key(state: &str) -> StateKey {
    StateKey::new("provider", state, &Binding::user("tenant", "user-42")).unwrap()
}

pub const TTL: Duration = Duration::from_secs(600);

/// A flow that can be told apart by its name.
pub fn flow(name: &str) -> PendingFlow {
    let mut flow = PendingFlow::new("provider", "https://app.example/callback", SystemTime::UNIX_EPOCH, TTL);
    flow.return_to = Some(name.into());
    flow.code_verifier = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
    flow
}

pub async fn put(store: &RedisStateStore, state: &str) -> Result<(), StoreError> {
    put_flow(store, state, flow(state)).await
}

/// Stores a flow that is counted for somebody.
pub async fn put_of(store: &RedisStateStore, bucket: &str, state: &str) -> Result<(), StoreError> {
    let mut flow = flow(state);
    flow.bucket = Some(Bucket::of(bucket.as_bytes()));
    put_flow(store, state, flow).await
}

async fn put_flow(store: &RedisStateStore, state: &str, flow: PendingFlow) -> Result<(), StoreError> {
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, SystemTime::UNIX_EPOCH);
    in_time(store.store_state(&cx, &key(state), flow, TTL)).await
}

/// The name of the flow.
pub async fn take(store: &RedisStateStore, state: &str) -> Result<Option<String>, StoreError> {
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, SystemTime::UNIX_EPOCH);
    let found = in_time(store.check_state(&cx, &key(state))).await?;
    Ok(found.map(|flow| flow.return_to.unwrap().as_str().to_owned()))
}

/// Takes the flow as soon as somebody serves it again. Until then nothing may be used up.
pub async fn until_taken(store: &RedisStateStore, state: &str, what: &str) {
    until(what, || async {
        match take(store, state).await {
            Ok(found) => {
                assert_eq!(found.as_deref(), Some(state), "it is taken once, and was not taken before");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "nothing is used up meanwhile");
                false
            }
        }
    })
    .await;
}

pub fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

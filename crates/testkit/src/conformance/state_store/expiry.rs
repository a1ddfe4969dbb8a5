//! The time to live.

use std::time::Duration;

use authflow_core::{StateContext, StateStore};

use super::StateStoreCapabilities;
use super::fixture::{TTL, check, full, key, start, store as put};
use crate::conformance::{Outcome, Verdict, ensure, succeed};

const SERVER_TIME: Verdict =
    Verdict::Skipped("the time to live is counted by the server's clock, which a test cannot move");

/// Until its time to live is over a flow is found.
pub async fn before_its_ttl_a_flow_is_there<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    if !capabilities.expires_by_clock {
        return Ok(SERVER_TIME);
    }
    let (key, now) = (key()?, start());
    succeed!(put(&store, &key, full("in time"), now).await, "storing");
    let last = now + TTL - Duration::from_secs(1);
    let found = succeed!(check(&store, &key, last).await, "checking in the last second");
    ensure!(found.is_some(), "a flow is gone one second before its time to live is over");
    Ok(Verdict::Held)
}

/// After the time to live that was given to `store_state` a flow is absent, whatever its own fields say.
pub async fn after_its_ttl_a_flow_is_absent<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    if !capabilities.expires_by_clock {
        return Ok(SERVER_TIME);
    }
    let now = start();
    let extensions = http::Extensions::new();
    for (ttl, after) in [(TTL, TTL), (TTL, TTL * 1000), (Duration::from_secs(5), Duration::from_secs(5))] {
        let key = key()?;
        let stored = store.store_state(&StateContext::new(&extensions, now), &key, full("late"), ttl).await;
        succeed!(stored, "storing for {ttl:?}");
        let found = succeed!(check(&store, &key, now + after).await, "checking after {after:?}");
        ensure!(found.is_none(), "a flow that was stored for {ttl:?} is found after {after:?}");
    }
    Ok(Verdict::Held)
}

/// Under a key whose flow has expired another flow can be stored, and that one is found.
pub async fn an_expired_key_is_free<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    if !capabilities.expires_by_clock {
        return Ok(SERVER_TIME);
    }
    let (key, now) = (key()?, start());
    succeed!(put(&store, &key, full("old"), now).await, "storing");
    let later = now + TTL;
    let mut flow = full("new");
    flow.created_at += TTL.as_secs();
    flow.expires_at += TTL.as_secs();
    succeed!(put(&store, &key, flow, later).await, "storing under a key whose flow has expired");
    let found = succeed!(check(&store, &key, later).await, "checking");
    let nonce = found.and_then(|flow| flow.nonce);
    ensure!(nonce.as_deref() == Some("planted-nonce-new"), "the second flow is not found");
    Ok(Verdict::Held)
}

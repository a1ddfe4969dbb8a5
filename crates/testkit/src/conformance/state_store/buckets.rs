//! The cap of a bucket.

use std::time::Duration;

use authflow_core::{Bucket, StateKey, StateStore};

use super::StateStoreCapabilities;
use super::fixture::{check, full, key, start, store as put};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

const NO_CAP: Verdict = Verdict::Skipped("the store says that it has no cap for a bucket");

/// At a bucket's cap a new flow takes the place of that bucket's oldest, and of no other's.
pub async fn a12_at_a_buckets_cap_its_own_oldest_goes<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let Some(capacity) = capabilities.bucket_capacity else { return Ok(NO_CAP) };
    let (flooder, neighbour) = (bucket()?, bucket()?);
    let waiting = store_of(&store, Some(neighbour), 1).await?;
    let of_nobody = store_of(&store, None, 1).await?;
    let flood = store_of(&store, Some(flooder), capacity.saturating_add(2)).await?;
    for key in waiting.iter().chain(&of_nobody) {
        let is_there = is_there(&store, key).await?;
        ensure!(is_there, "a bucket at its cap of {capacity} pushed out a flow that is not of this bucket");
    }
    for (at, key) in flood.iter().enumerate() {
        let is_there = is_there(&store, key).await?;
        ensure!(is_there || at < 2, "at a bucket's cap of {capacity} a flow is gone that is not its oldest");
        ensure!(!is_there || at >= 2, "a bucket holds more flows than its cap of {capacity}");
    }
    Ok(Verdict::Held)
}

/// A flow that was used takes no place in its bucket.
pub async fn a12_a_used_flow_leaves_its_bucket<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let Some(capacity) = capabilities.bucket_capacity else { return Ok(NO_CAP) };
    let bucket = bucket()?;
    let mut flows = store_of(&store, Some(bucket), capacity).await?;
    let used = flows.pop();
    let Some(used) = used else { return Err(Failure::new("a bucket's cap of 0 lets nobody begin")) };
    ensure!(is_there(&store, &used).await?, "a bucket holds less flows than its cap of {capacity}");
    flows.extend(store_of(&store, Some(bucket), 1).await?);
    for key in &flows {
        let is_there = is_there(&store, key).await?;
        ensure!(is_there, "a flow was pushed out of a bucket in which a place was free");
    }
    Ok(Verdict::Held)
}

fn bucket() -> Result<Bucket, Failure> {
    Ok(Bucket::of(key()?.as_bytes()))
}

/// Stores flows one after the other, and gives their keys.
async fn store_of(
    store: &impl StateStore,
    bucket: Option<Bucket>,
    flows: usize,
) -> Result<Vec<StateKey>, Failure> {
    let mut keys = Vec::new();
    let mut now = start();
    for _ in 0..flows {
        let key = key()?;
        let mut flow = full("of a bucket");
        flow.bucket = bucket;
        succeed!(put(store, &key, flow, now).await, "storing");
        keys.push(key);
        now += Duration::from_millis(1);
    }
    Ok(keys)
}

async fn is_there(store: &impl StateStore, key: &StateKey) -> Result<bool, Failure> {
    Ok(succeed!(check(store, key, start()).await, "checking").is_some())
}

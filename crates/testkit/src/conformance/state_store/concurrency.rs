//! Many calls at once.

use std::future::Future;
use std::sync::Arc;

use authflow_core::{StateStore, StoreErrorKind};
use tokio::sync::Barrier;

use super::StateStoreCapabilities;
use super::fixture::{check, full, is_of, key, start, store as put};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

const CALLS: usize = 64;
/// One round can go well by chance.
const ROUNDS: usize = 8;
const APART: Verdict = Verdict::Skipped("the store says that its instances share no flows");

/// Of 64 concurrent checks of one key, one gets the flow and 63 get nothing.
pub async fn of_64_checks_at_once_one_gets_the_flow<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    one_gets_the_flow(&[Arc::new(store)]).await
}

/// The same where each instance makes some of the calls: a lock within one process keeps no other from the flow.
pub async fn of_64_checks_through_all_instances_one_gets_the_flow<S: StateStore>(
    instances: Vec<S>,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    if !capabilities.shares_keys_between_instances {
        return Ok(APART);
    }
    one_gets_the_flow(&together(instances, capabilities)?).await
}

async fn one_gets_the_flow<S: StateStore>(instances: &[Arc<S>]) -> Outcome {
    for _ in 0..ROUNDS {
        let (key, now) = (key()?, start());
        succeed!(put(&instances[0], &key, full("once"), now).await, "storing");
        let results = at_once(|n| {
            let store = Arc::clone(&instances[n % instances.len()]);
            async move { check(&store, &key, now).await }
        });
        let mut found = 0;
        for result in results.await? {
            found += usize::from(succeed!(result, "one of 64 checks").is_some());
        }
        ensure!(found == 1, "of 64 concurrent checks {found} got the flow, and exactly one must");
    }
    Ok(Verdict::Held)
}

/// Of 64 concurrent calls that store under one key, one stores, 63 are refused as conflicts, and the one's flow is kept.
pub async fn of_64_stores_at_once_one_stores<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    one_stores(&[Arc::new(store)]).await
}

/// The same where each instance makes some of the calls.
pub async fn of_64_stores_through_all_instances_one_stores<S: StateStore>(
    instances: Vec<S>,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    if !capabilities.shares_keys_between_instances {
        return Ok(APART);
    }
    one_stores(&together(instances, capabilities)?).await
}

async fn one_stores<S: StateStore>(instances: &[Arc<S>]) -> Outcome {
    for _ in 0..ROUNDS {
        let (key, now) = (key()?, start());
        let results = at_once(|n| {
            let store = Arc::clone(&instances[n % instances.len()]);
            async move { put(&store, &key, full(&n.to_string()), now).await }
        });
        let mut winners = Vec::new();
        for (n, result) in results.await?.into_iter().enumerate() {
            match result {
                Ok(()) => winners.push(n),
                Err(error) => ensure!(
                    error.kind() == StoreErrorKind::Conflict,
                    "one of 64 concurrent calls is refused with {:?}, and Conflict is expected",
                    error.kind()
                ),
            }
        }
        let [winner] = winners.as_slice() else {
            return Err(Failure::new(format!(
                "of 64 concurrent calls with one key {} stored, and exactly one must",
                winners.len()
            )));
        };
        let found = succeed!(check(&instances[0], &key, now).await, "checking");
        let Some(found) = found else { return Err(Failure::new("what the one call stored is not found")) };
        ensure!(is_of(&found, &winner.to_string()), "the flow is that of a call which was told that it lost");
    }
    Ok(Verdict::Held)
}

fn together<S: StateStore>(
    instances: Vec<S>,
    capabilities: &StateStoreCapabilities,
) -> Result<Vec<Arc<impl StateStore>>, Failure> {
    ensure!(instances.len() > 1, "a race of instances needs two of them or more");
    Ok(instances.into_iter().map(capabilities.giving()).map(Arc::new).collect())
}

/// 64 flows that are stored and checked at the same time do not disturb each other.
pub async fn of_64_flows_at_once_each_keeps_its_own<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let store = Arc::new(store);
    let results = at_once(|n| {
        let store = Arc::clone(&store);
        async move {
            let (key, now, mark) = (key()?, start(), n.to_string());
            succeed!(put(&store, &key, full(&mark), now).await, "storing one of 64 flows");
            // The others get to store theirs, even on one thread.
            tokio::task::yield_now().await;
            let found = succeed!(check(&store, &key, now).await, "checking one of 64 flows");
            let Some(found) = found else { return Err(Failure::new("one of 64 flows is gone")) };
            ensure!(is_of(&found, &mark), "one of 64 keys gave the flow of another");
            Ok(())
        }
    });
    results.await?.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(Verdict::Held)
}

/// Runs the calls in tasks that all start at the same moment.
async fn at_once<T, F>(call: impl Fn(usize) -> F + Send) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(CALLS));
    let tasks: Vec<_> = (0..CALLS)
        .map(|n| {
            let (barrier, call) = (Arc::clone(&barrier), call(n));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(CALLS);
    for task in tasks {
        results.push(succeed!(task.await, "a concurrent call"));
    }
    Ok(results)
}

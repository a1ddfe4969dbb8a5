//! What a key finds.

use authflow_core::{StateKey, StateStore, StoreErrorKind};

use super::StateStoreCapabilities;
use super::fixture::{check, full, is_of, key, start, store as put};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// Absent is `Ok(None)`, not an error.
pub async fn absent_is_no_error<S: StateStore>(store: S, capabilities: &StateStoreCapabilities) -> Outcome {
    let store = capabilities.given(store);
    let found = succeed!(check(&store, &key()?, start()).await, "checking a key that was never stored");
    ensure!(found.is_none(), "a key that was never stored gave a flow");
    Ok(Verdict::Held)
}

/// A flow is removed by the call that returns it.
pub async fn a_used_flow_is_absent<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let (key, now) = (key()?, start());
    succeed!(put(&store, &key, full("used"), now).await, "storing");
    let first = succeed!(check(&store, &key, now).await, "the first check");
    ensure!(first.is_some(), "a flow that was just stored is not found");
    let second = succeed!(check(&store, &key, now).await, "the second check");
    ensure!(second.is_none(), "the flow was found a second time: a state must be used once");
    Ok(Verdict::Held)
}

/// An existing key is refused as a conflict, and what it holds stays as it is.
pub async fn an_existing_key_is_refused_and_keeps_its_flow<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let (key, now) = (key()?, start());
    succeed!(put(&store, &key, full("first"), now).await, "storing");
    for _ in 0..2 {
        match put(&store, &key, full("second"), now).await {
            Ok(()) => return Err(Failure::new("an existing key was stored again: a store never overwrites")),
            Err(error) => ensure!(
                error.kind() == StoreErrorKind::Conflict,
                "an existing key is refused with {:?}, and Conflict is expected",
                error.kind()
            ),
        }
    }
    let found = succeed!(check(&store, &key, now).await, "checking after the conflict");
    let Some(found) = found else { return Err(Failure::new("the conflict removed the first flow")) };
    ensure!(is_of(&found, "first"), "the key holds the flow that was refused");
    Ok(Verdict::Held)
}

/// Another key finds nothing, and the flow is still there for its own.
pub async fn a_foreign_key_finds_nothing_and_removes_nothing<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let (own, foreign, now) = (key()?, key()?, start());
    succeed!(put(&store, &own, full("own"), now).await, "storing");
    for _ in 0..2 {
        let found = succeed!(check(&store, &foreign, now).await, "checking a foreign key");
        ensure!(found.is_none(), "a foreign key found the flow");
    }
    let found = succeed!(check(&store, &own, now).await, "checking the flow's own key");
    ensure!(found.is_some(), "a check of a foreign key removed the flow");
    Ok(Verdict::Held)
}

/// 257 keys, of which each differs from the first in one bit, give each its own flow or none.
///
/// A store may refuse such a key as a conflict: keys are hashes, and two that are so much alike never come by chance. It
/// must not give one key's flow for another.
pub async fn keys_that_differ_in_one_bit_do_not_mix<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let (first, now) = (key()?, start());
    let neighbours: Vec<StateKey> = (0..256).map(|bit| flipped(&first, bit)).collect();
    succeed!(put(&store, &first, full("first"), now).await, "storing");
    for (bit, key) in neighbours.iter().enumerate() {
        let found = succeed!(check(&store, key, now).await, "checking a key that differs in bit {bit}");
        ensure!(found.is_none(), "a key that differs in bit {bit} found the flow");
    }
    let mut stored = vec![(first, "first".to_owned())];
    for (bit, key) in neighbours.iter().enumerate() {
        match put(&store, key, full(&bit.to_string()), now).await {
            Ok(()) => stored.push((*key, bit.to_string())),
            Err(error) => ensure!(
                error.kind() == StoreErrorKind::Conflict,
                "storing under a key that differs in bit {bit} failed with {:?}",
                error.kind()
            ),
        }
    }
    for (key, mark) in &stored {
        let found = succeed!(check(&store, key, now).await, "checking one of 257 keys, each one bit away");
        let Some(found) = found else {
            return Err(Failure::new("the flow of a key is gone after keys one bit away were used"));
        };
        ensure!(is_of(&found, mark), "a key gave the flow of another that differs in one bit");
    }
    Ok(Verdict::Held)
}

fn flipped(key: &StateKey, bit: usize) -> StateKey {
    let mut bytes = *key.as_bytes();
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    StateKey::from_bytes(bytes)
}

/// Two stores of the same constructor share their flows, or see nothing of each other: as the capability says.
pub async fn instances_share_their_keys_or_do_not_mix<S: StateStore>(
    one: S,
    other: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let given = capabilities.giving();
    let (one, other) = (given(one), given(other));
    let (key, now) = (key()?, start());
    succeed!(put(&one, &key, full("one"), now).await, "storing with the first instance");
    if capabilities.shares_keys_between_instances {
        match put(&other, &key, full("other"), now).await {
            Ok(()) => return Err(Failure::new("a second instance stored over the first one's flow")),
            Err(error) => ensure!(
                error.kind() == StoreErrorKind::Conflict,
                "the second instance is refused with {:?}, and Conflict is expected",
                error.kind()
            ),
        }
        let found = succeed!(check(&other, &key, now).await, "checking with the second instance");
        ensure!(found.is_some(), "the second instance does not find what the first one stored");
        let again = succeed!(check(&one, &key, now).await, "checking with the first instance");
        ensure!(again.is_none(), "both instances got the flow");
    } else {
        let found = succeed!(check(&other, &key, now).await, "checking with the second instance");
        ensure!(found.is_none(), "the second instance found the first one's flow");
        let own = succeed!(check(&one, &key, now).await, "checking with the first instance");
        ensure!(own.is_some(), "the second instance removed the first one's flow");
    }
    Ok(Verdict::Held)
}

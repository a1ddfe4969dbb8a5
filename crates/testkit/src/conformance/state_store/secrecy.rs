//! What must not be seen.

use authflow_core::{PendingFlow, StateKey, StateStore, StoreError};

use super::StateStoreCapabilities;
use super::fixture::{full, key, start, store as put};
use crate::LeakDetector;
use crate::conformance::{Failure, Outcome, Verdict, succeed};

/// The error of a conflict holds neither the key nor anything of a flow: not in `Display`, not in `Debug`, not in a source.
///
/// The suite cannot provoke a store's other errors; a backend's own tests hold them to [`check_error`].
pub async fn an_error_holds_neither_key_nor_flow<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    let (key, now, flow) = (key()?, start(), full("secrecy"));
    succeed!(put(&store, &key, flow.clone(), now).await, "storing");
    match put(&store, &key, flow.clone(), now).await {
        Ok(()) => Err(Failure::new("an existing key was stored again, where an error was expected")),
        Err(error) => check_error(&error, &key, &flow),
    }
}

/// Checks that an error holds neither the key nor the flow that the failed call had.
pub fn check_error(error: &StoreError, key: &StateKey, flow: &PendingFlow) -> Outcome {
    let leaks = planted(key, flow);
    no_leak(&leaks.scan_error("the error", error))
}

/// The store's `Debug` shows no flow that it holds, and no key.
pub async fn debug_shows_no_flow<S: StateStore>(store: S, capabilities: &StateStoreCapabilities) -> Outcome {
    let store = capabilities.given(store);
    let (key, now, flow) = (key()?, start(), full("debug"));
    succeed!(put(&store, &key, flow.clone(), now).await, "storing");
    let leaks = planted(&key, &flow);
    no_leak(&leaks.scan_named("the store's Debug", format!("{store:?}\n{store:#?}")))
}

fn planted(key: &StateKey, flow: &PendingFlow) -> LeakDetector {
    let leaks = LeakDetector::new();
    leaks.plant("the key", key.as_bytes());
    let texts = [
        ("the verifier", flow.code_verifier.as_ref().map(|verifier| verifier.expose())),
        ("the nonce", flow.nonce.as_deref()),
        ("the return-to", flow.return_to.as_deref()),
        ("the redirect URI", Some(&*flow.redirect_uri)),
        ("the user", flow.owner.as_ref().map(|owner| &*owner.id)),
    ];
    for (label, text) in texts {
        if let Some(text) = text.filter(|text| text.len() >= 8) {
            leaks.plant(label, text);
        }
    }
    leaks
}

fn no_leak(found: &[crate::Leak]) -> Outcome {
    match found.first() {
        None => Ok(Verdict::Held),
        Some(leak) => Err(Failure::new(leak.to_string())),
    }
}

//! What comes back is what was stored.

use authflow_core::{PendingFlow, Scopes, StateStore, User};

use super::StateStoreCapabilities;
use super::fixture::{bare, check, difference, full, key, start, store as put};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// Every field of a [`PendingFlow`] comes back as it was.
pub async fn every_field_comes_back<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    comes_back(&store, full("full")).await
}

/// A field that was empty is empty, not an empty string or list of something.
pub async fn fields_without_a_value_stay_so<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    comes_back(&store, bare()).await
}

/// Text beyond ASCII, and characters that formats use for themselves, come back byte by byte.
pub async fn unicode_comes_back<S: StateStore>(store: S, capabilities: &StateStoreCapabilities) -> Outcome {
    let store = capabilities.given(store);
    let odd = "žluťoučký 馬 🐎 e\u{301} \u{202e} \u{0} \" ' \\ \n\r\t ; -- {} %00 <>&";
    let mut flow = full("unicode");
    flow.owner = Some(User::new(odd, format!("{odd}{odd}")));
    flow.return_to = Some(format!("/{odd}").into());
    flow.nonce = Some(odd.into());
    flow.provider_id = odd.into();
    flow.scopes = Scopes::new([odd, "plain"]);
    flow.resources = vec![odd.into()];
    comes_back(&store, flow).await
}

/// A value of 64 KiB comes back.
pub async fn large_values_come_back<S: StateStore>(
    store: S,
    capabilities: &StateStoreCapabilities,
) -> Outcome {
    let store = capabilities.given(store);
    if !capabilities.keeps_large_values {
        return Ok(Verdict::Skipped("the store says that it keeps no large values"));
    }
    let mut flow = full("large");
    flow.return_to = Some(format!("/{}", "x".repeat(64 * 1024)).into());
    flow.scopes = Scopes::new((0..1000).map(|n| format!("scope-{n}")));
    comes_back(&store, flow).await
}

async fn comes_back(store: &impl StateStore, flow: PendingFlow) -> Outcome {
    let (key, now) = (key()?, start());
    succeed!(put(store, &key, flow.clone(), now).await, "storing");
    let found = succeed!(check(store, &key, now).await, "checking");
    let Some(found) = found else { return Err(Failure::new("a flow that was just stored is not found")) };
    let differs = difference(&flow, &found);
    ensure!(differs.is_none(), "the field {} did not come back as it was", differs.unwrap_or_default());
    Ok(Verdict::Held)
}

//! What must not be seen.

use authflow_core::{ConnectionKey, LeaseRequest, StoreError, TokenStore};

use super::fixture::{LONG, Names, TokenStoreFixture, connect, holder, lease, mark, write};
use crate::LeakDetector;
use crate::conformance::{Failure, Outcome, Verdict, succeed};

const SEALED: &[u8] = b"planted-sealed-bytes-2YotnFZFEjr1zCsicMWpAA";

/// The error of a conflict holds neither sealed bytes nor anything of the key: not in `Display`, not in `Debug`, not in a
/// source.
///
/// The suite cannot provoke a store's other errors; a backend's own tests hold them to [`check_error`].
pub async fn an_error_holds_no_sealed_bytes_and_no_user<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let version = connect(store, &key, SEALED).await?;
    match store.put(&key, *version.incarnation(), write(SEALED)).await {
        Ok(_) => Err(Failure::new("the same connect was put twice, where an error was expected")),
        Err(error) => check_error(&error, &key, SEALED),
    }
}

/// Checks that an error holds neither the sealed bytes nor the key of the call that failed.
pub fn check_error(error: &StoreError, key: &ConnectionKey, sealed: &[u8]) -> Outcome {
    no_leak(&planted(key, sealed).scan_error("the error", error))
}

/// `Debug` of the store and of what it returns shows no sealed bytes and nothing of a key.
pub async fn debug_shows_nothing_of_a_connection<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    connect(store, &key, SEALED).await?;
    let leased = lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let loaded = succeed!(store.load(&key).await, "loading");
    let shown = format!("{store:?}\n{store:#?}\n{leased:?}\n{loaded:?}\n{loaded:#?}");
    no_leak(&planted(&key, SEALED).scan_named("a Debug", shown))
}

fn planted(key: &ConnectionKey, sealed: &[u8]) -> LeakDetector {
    let leaks = LeakDetector::new();
    let texts: [(&'static str, &[u8]); 4] = [
        ("the sealed bytes", sealed),
        ("the tenant", key.user().tenant.as_bytes()),
        ("the user", key.user().id.as_bytes()),
        ("the account", key.account().unwrap_or_default().as_bytes()),
    ];
    for (label, text) in texts {
        if text.len() >= 8 {
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

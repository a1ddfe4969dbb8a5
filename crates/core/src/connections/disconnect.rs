//! The end of a connection, by its user's wish.

use std::sync::Arc;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, Operation, Result};
use crate::rfc::Revocation;
use crate::state::StoreErrorKind;
use crate::token::TokenSet;
use crate::token_store::{Remove, RemoveOutcome};

use super::event::EventKind;
use super::failure;
use super::inner::Inner;

/// What came of each step of a disconnect. In this process the connection is gone whatever came of them; where the removal
/// failed, it is made up for by the next call for this connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Disconnected {
    /// Whether the store let it go.
    pub removal: Result<Removal>,
    /// Whether the provider revoked its tokens; `None` if there were none to revoke.
    pub revocation: Option<Result<Revocation>>,
}

/// What the store did with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there: never connected, or disconnected before.
    WasAbsent,
}

impl Inner {
    /// Removes first, revokes then: from the tombstone on, no refresh under way writes anything, and it revokes what it gets.
    pub(super) async fn disconnect(self: &Arc<Self>, key: &ConnectionKey) -> Result<Disconnected> {
        let provider = self.registered(key, Operation::Disconnect)?;
        let slot = self.slot(key);
        let at = self.clock.now();
        let cached = slot.lock().cached.as_ref().map(|cached| Arc::clone(cached.token.view()));
        self.slots.forget(&slot);
        let mut removed = self.ask(self.store.remove(key, Remove::new(self.settings.tombstone))).await;
        if removed.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::OutcomeUnknown) {
            removed = self.ask(self.store.remove(key, Remove::new(self.settings.tombstone))).await;
        }
        let (removal, record) = match removed {
            Ok(RemoveOutcome::Removed { record: Some(record), .. }) if record.key != *key => (
                Err(failure::contract("the token store removed another connection than it was asked to")),
                None,
            ),
            Ok(RemoveOutcome::Removed { record: Some(record), tombstone })
                if tombstone != record.version.next() =>
            {
                let message = "the token store's tombstone does not follow the version that was removed";
                (Err(failure::contract(message)), Some(record))
            }
            Ok(RemoveOutcome::Removed { record, .. }) => (Ok(Removal::Removed), record),
            Ok(RemoveOutcome::Absent | RemoveOutcome::Tombstone(_)) => (Ok(Removal::WasAbsent), None),
            Ok(RemoveOutcome::Changed(_)) => (
                Err(failure::contract("the token store kept a record that was to be removed in any version")),
                None,
            ),
            Err(error) => (Err(failure::at(failure::of_store(error), key, Operation::Disconnect)), None),
        };
        // A flight that read the record before it went may have put it back.
        self.slots.forget(&slot);
        let known = cached.as_ref().map(|view| view.version);
        match &removal {
            Ok(_) => self.removed(&slot),
            Err(_) => self.refused(&slot, known, at),
        }
        let stored: Option<Result<TokenSet>> = match &record {
            Some(record) => Some(self.open(key, record).await.map(|view| view.contents.tokens)),
            None => None,
        };
        let cached = cached.as_ref().map(|view| &view.contents.tokens);
        let revocation = match (stored, cached) {
            (Some(Ok(tokens)), _) => Some(self.revoke(provider, &tokens).await),
            (Some(Err(_)) | None, Some(tokens)) => Some(self.revoke(provider, tokens).await),
            (Some(Err(error)), None) => Some(Err::<Revocation, Error>(error)),
            (None, None) => None,
        };
        // What was revoked in part, or not, is tried once more with the removal.
        if let (Some(Ok(Revocation::Revoked)), Some(refused)) = (&revocation, &mut slot.lock().refused) {
            refused.revoked = known;
        }
        if removal.is_ok() {
            self.tell(key, EventKind::Disconnected);
        }
        Ok(Disconnected { removal, revocation })
    }
}

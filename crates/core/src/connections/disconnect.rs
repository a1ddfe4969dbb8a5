//! The end of a connection, by its user's wish.

use std::sync::Arc;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, Operation, Result};
use crate::rfc::Revocation;
use crate::state::StoreErrorKind;
use crate::token::TokenSet;
use crate::token_store::{Loaded, Remove, RemoveOutcome};

use super::access::View;
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
    /// Whether the provider revoked its tokens; `None` if there were none to revoke. An error, too, where the store has removed
    /// the record and its answer, which holds them, was lost: then they stay in force until they expire.
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

/// What is known of the tokens that went with a record.
enum Gone {
    /// They were in it.
    Known(Box<TokenSet>),
    /// There were none.
    None,
    /// The store has removed something, and what that was is not known.
    Unknown(Error),
}

impl Inner {
    /// Removes first, revokes then: from the tombstone on, no refresh under way writes anything, and it revokes what it gets.
    pub(super) async fn disconnect(self: &Arc<Self>, key: &ConnectionKey) -> Result<Disconnected> {
        let provider = self.registered(key, Operation::Disconnect)?;
        let slot = self.slot(key);
        let at = self.clock.now();
        let cached = slot.lock().cached.as_ref().map(|cached| Arc::clone(cached.token.view()));
        self.slots.forget(&slot);
        // The answer to the removal, which holds the record, may be lost: what stands there is looked at before.
        let before = self.ask(self.store.load(key)).await.ok();
        let found = match &before {
            Some(Loaded::Found(record)) => self.open(key, record).await.ok().map(Arc::new),
            _ => None,
        };
        let found = found.or(cached);
        let (removal, gone) = self.remove(key, before.as_ref(), found.as_deref()).await;
        // A flight that read the record before it went may have put it back.
        self.slots.forget(&slot);
        let known = found.as_ref().map(|view| view.version);
        match &removal {
            Ok(_) => self.removed(&slot),
            Err(_) => self.refused(&slot, known, at),
        }
        let revocation = match gone {
            Gone::Known(tokens) => Some(self.revoke(provider, &tokens).await),
            Gone::None => None,
            Gone::Unknown(error) => Some(Err(error)),
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

    /// Removes a record, in whatever version. `before` is what stood there a moment ago, and `found` what is known of it.
    async fn remove(
        &self,
        key: &ConnectionKey,
        before: Option<&Loaded>,
        found: Option<&View>,
    ) -> (Result<Removal>, Gone) {
        let remove = || self.store.remove(key, Remove::new(self.settings.tombstone));
        let at_hand = || found.map_or(Gone::None, |view| Gone::Known(Box::new(view.contents.tokens.clone())));
        let mut removed = self.ask(remove()).await;
        let was_lost = removed.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::OutcomeUnknown);
        if was_lost {
            removed = self.ask(remove()).await;
        }
        match removed {
            Ok(RemoveOutcome::Removed { record: Some(record), .. }) if record.key != *key => {
                let message = "the token store removed another connection than it was asked to";
                (Err(failure::contract(message)), at_hand())
            }
            Ok(RemoveOutcome::Removed { record, tombstone }) => {
                let follows = record.as_ref().is_none_or(|record| tombstone == record.version.next());
                let removal = if follows {
                    Ok(Removal::Removed)
                } else {
                    let message = "the token store's tombstone does not follow the version that was removed";
                    Err(failure::contract(message))
                };
                let gone = match record {
                    Some(record) => match (self.open(key, &record).await, found) {
                        (Ok(view), _) => Gone::Known(Box::new(view.contents.tokens)),
                        (Err(_), Some(_)) => at_hand(),
                        (Err(error), None) => Gone::Unknown(error),
                    },
                    None => at_hand(),
                };
                (removal, gone)
            }
            // It is what the first call left, if nothing but a removal lies between it and what was there before.
            Ok(RemoveOutcome::Tombstone(tombstone)) if was_lost => match before {
                Some(Loaded::Tombstone(before)) if *before == tombstone => {
                    (Ok(Removal::WasAbsent), at_hand())
                }
                _ if found.is_some_and(|view| view.version.next() == tombstone) => {
                    (Ok(Removal::Removed), at_hand())
                }
                _ => (Ok(Removal::Removed), Gone::Unknown(failure::removed_unread())),
            },
            Ok(RemoveOutcome::Absent | RemoveOutcome::Tombstone(_)) => (Ok(Removal::WasAbsent), at_hand()),
            Ok(RemoveOutcome::Changed(_)) => {
                let message = "the token store kept a record that was to be removed in any version";
                (Err(failure::contract(message)), at_hand())
            }
            Err(error) => (Err(failure::at(failure::of_store(error), key, Operation::Disconnect)), at_hand()),
        }
    }
}

//! Removals that the store did not take: in this process the connection is gone all the same, and it is removed as soon as the
//! store answers again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::saturating_add;
use crate::connection_key::ConnectionKey;
use crate::error::{Operation, Result};
use crate::state::StoreErrorKind;
use crate::token_store::{Incarnation, Loaded, Record, Remove, RemoveOutcome, Version};

use super::event::EventKind;
use super::failure;
use super::inner::Inner;
use super::plan::LEEWAY;
use super::slots::Slot;

/// How often a record may change while it is removed.
const MAX_CHANGES: u32 = 16;

/// A removal that was asked for, and that the store did not take.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// How often the slot had been forgotten then: a flight that began before is of the connection that is gone.
    pub(super) forgotten: u64,
    /// The connect that was meant, where it was known.
    pub(super) incarnation: Option<Incarnation>,
    /// When it was asked for, by the wall clock here. What was connected later is not meant.
    pub(super) at: SystemTime,
    /// The version whose tokens the provider has revoked since.
    pub(super) revoked: Option<Version>,
}

impl Inner {
    /// The record of a connection. Where its removal was asked for and is outstanding, it is removed first.
    pub(super) async fn load(&self, slot: &Arc<Slot>) -> Result<Record> {
        let loaded = self.ask(self.store.load(&slot.key)).await;
        let refused = slot.lock().refused.clone();
        let record = match (loaded, &refused) {
            (Ok(Loaded::Found(record)), None) => Some(record),
            // On the heap, as it is rare and large.
            (Ok(Loaded::Found(record)), Some(refused)) => {
                Box::pin(self.remove_again(slot, refused, record)).await?
            }
            (Ok(Loaded::Absent | Loaded::Tombstone(_)), refused) => {
                if let Some(refused) = refused {
                    self.no_longer(slot, refused);
                }
                None
            }
            (Err(error), None) => return Err(failure::of_store(error)),
            // Whatever the store has to say: here it is gone.
            (Err(_), Some(_)) => None,
        };
        record.ok_or_else(failure::not_connected)
    }

    /// Removes what the store did not remove before. A record that comes back is that of a later connect.
    pub(super) async fn remove_again(
        &self,
        slot: &Arc<Slot>,
        refused: &Refused,
        mut record: Record,
    ) -> Result<Option<Record>> {
        let key = &slot.key;
        let mut is_unknown = false;
        for _ in 0..MAX_CHANGES {
            if !self.is_meant(key, refused, &record).await? {
                self.no_longer(slot, refused);
                return Ok(Some(record));
            }
            let remove = Remove::new(self.settings.tombstone).if_version(record.version);
            match self.ask(self.store.remove(key, remove)).await {
                Ok(RemoveOutcome::Changed(changed)) => record = changed,
                Ok(RemoveOutcome::Tombstone(tombstone))
                    if !is_unknown || tombstone != record.version.next() =>
                {
                    self.no_longer(slot, refused);
                    return Ok(None);
                }
                // The second is that of the call before, whose answer was lost.
                Ok(RemoveOutcome::Removed { .. } | RemoveOutcome::Tombstone(_)) => {
                    self.no_longer(slot, refused);
                    self.tell(key, EventKind::Disconnected);
                    if refused.revoked != Some(record.version) {
                        self.revoke_removed(key, &record).await;
                    }
                    return Ok(None);
                }
                Ok(RemoveOutcome::Absent) => {
                    self.no_longer(slot, refused);
                    return Ok(None);
                }
                Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown && !is_unknown => {
                    is_unknown = true;
                }
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Whether a removal was of this connect. Another one than was known is older only where no clock can have made it seem so:
    /// who connects anew on a machine whose clock is behind has not asked for its removal.
    async fn is_meant(&self, key: &ConnectionKey, refused: &Refused, record: &Record) -> Result<bool> {
        if refused.incarnation.as_ref() == Some(record.version.incarnation()) {
            return Ok(true);
        }
        let connected_at = self.open(key, record).await?.contents.connected_at();
        let leeway = if refused.incarnation.is_some() { LEEWAY } else { Duration::ZERO };
        Ok(saturating_add(connected_at, leeway) <= refused.at)
    }

    async fn revoke_removed(&self, key: &ConnectionKey, record: &Record) {
        let Ok(provider) = self.provider(key.provider_id(), Operation::Disconnect) else { return };
        if let Ok(view) = self.open(key, record).await {
            self.give_back(provider, &view.contents.tokens).await;
        }
    }

    /// Remembers that the store did not take a removal.
    pub(super) fn refused(&self, slot: &Arc<Slot>, known: Option<Version>, at: SystemTime) {
        let incarnation = known.map(|version| *version.incarnation());
        let mut state = slot.lock();
        state.refused = Some(Refused { forgotten: state.forgotten, incarnation, at, revoked: None });
        drop(state);
        self.slots.pin(slot);
    }

    /// No removal is outstanding: it is done.
    pub(super) fn removed(&self, slot: &Arc<Slot>) {
        if slot.lock().refused.take().is_some() {
            self.slots.unpin(slot);
        }
    }

    /// The same, unless another one was asked for meanwhile.
    fn no_longer(&self, slot: &Arc<Slot>, refused: &Refused) {
        let latest = slot.lock().refused.as_ref().map(|latest| latest.forgotten);
        if latest == Some(refused.forgotten) {
            self.removed(slot);
        }
    }
}

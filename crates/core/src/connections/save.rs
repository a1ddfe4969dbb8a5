//! P9: what the provider gave goes into the store, if the store's record is still the one that was refreshed.

use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::state::StoreErrorKind;
use crate::token_store::{
    Expected, LeaseHolder, Loaded, Record, RefreshMark, SaveOutcome, SealedBytes, Version, Write,
};

use super::access::{AccessToken, View};
use super::contents::Contents;
use super::event::EventKind;
use super::failure;
use super::flight::Flight;
use super::inner::{Registered, jitter};
use super::plan::{self, Conflict};
use super::point::Point;

/// What came of saving a refresh.
pub(super) enum Saved {
    Done(AccessToken),
    /// Another one was saved before; ours is not needed.
    Superseded(Box<Record>),
}

/// What came of one attempt to save.
enum Attempt {
    Saved(Version),
    Changed(Box<Record>),
    Gone,
    /// It is not known to be saved, or was not sealed.
    Failed,
    /// The store did what its contract rules out. What it holds now is not known.
    Violated(Error),
}

/// Between two attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often a store may find another version than the one it named before.
const MAX_CHANGES: u32 = 16;

impl Flight {
    /// Saves until it is saved, or is no longer wanted. From the first failure on, the token is served from memory.
    pub(super) async fn save(
        &self,
        provider: &Registered,
        view: &View,
        contents: Contents,
        mark: &RefreshMark,
    ) -> Result<Saved> {
        let inner = &self.inner;
        let mut expected = view.version;
        let mut pause = PAUSE.0;
        let mut is_served = false;
        let mut changes = 0;
        loop {
            inner.point(Point::P9Save).await;
            let attempt = self.save_once(provider, &contents, expected).await;
            let conflict = match &attempt {
                Attempt::Changed(record) => self.conflict(provider, view, record, mark).await,
                _ => None,
            };
            match (attempt, conflict) {
                (Attempt::Saved(version), _) => {
                    return Ok(Saved::Done(self.keep_as(view, contents, version, true)));
                }
                (Attempt::Gone, _) => {
                    self.forget_unsaved(is_served);
                    inner.give_back(provider, &contents.tokens).await;
                    return Err(failure::not_connected());
                }
                (Attempt::Changed(record), Some(Conflict::Superseded)) => {
                    self.forget_unsaved(is_served);
                    return Ok(Saved::Superseded(record));
                }
                (Attempt::Changed(record), Some(Conflict::SaveOver)) => {
                    changes += 1;
                    if changes == MAX_CHANGES {
                        self.forget_unsaved(is_served);
                        return Err(failure::contract("the token store changes a record that nobody writes"));
                    }
                    expected = record.version;
                }
                (Attempt::Violated(error), _) => {
                    inner.slots.forget_token(&self.slot);
                    inner.tell(self.key(), EventKind::RefreshFailed(error.kind()));
                    return Err(error);
                }
                (Attempt::Failed, _) | (Attempt::Changed(_), None) => {
                    if !is_served {
                        is_served = true;
                        self.keep_as(view, contents.clone(), expected.next(), false);
                        self.serve_unsaved();
                        inner.tell(self.key(), EventKind::NotDurable);
                    }
                    inner.clock.sleep(pause.mul_f64(0.5 + jitter() / 2.0)).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// What becomes of the new tokens where another version is stored than the one that was refreshed. `None` as long as that one
    /// cannot be opened, for want of a key, say: it may be the refresh token that was sent, sealed anew, and the next one is the
    /// only one then.
    async fn conflict(
        &self,
        provider: &Registered,
        view: &View,
        record: &Record,
        mark: &RefreshMark,
    ) -> Option<Conflict> {
        let conflict = |is_same_grant| plan::conflict(&view.version, &record.version, is_same_grant);
        // Whatever is in it.
        if conflict(false) == conflict(true) {
            return Some(conflict(false));
        }
        let stored = self.inner.open(self.key(), record).await.ok()?;
        Some(conflict(
            plan::is_same(&view.contents.tokens, &stored.contents.tokens)
                || Self::is_same_grant(provider, &stored.contents, mark),
        ))
    }

    /// Writes that the connection is over; what is stored instead comes back. A store that does not answer is not waited for:
    /// the next refresh is refused again.
    pub(super) async fn save_end(
        &self,
        provider: &Registered,
        view: &View,
        contents: Contents,
    ) -> Option<Box<Record>> {
        match self.save_once(provider, &contents, view.version).await {
            Attempt::Changed(record) => return Some(record),
            Attempt::Saved(version) => drop(self.keep_as(view, contents, version, true)),
            Attempt::Gone => {}
            Attempt::Failed | Attempt::Violated(_) => {
                drop(self.keep_as(view, contents, view.version, true));
            }
        }
        None
    }

    /// Writes that nobody asks the provider for a while, if the lease is held still; whether that was done.
    pub(super) async fn save_pause(
        &self,
        view: &View,
        holder: &LeaseHolder,
        contents: Contents,
        due_at: Option<SystemTime>,
    ) -> bool {
        let inner = &self.inner;
        let sealed = inner.sealer.seal(self.key(), view.version.incarnation(), &contents).await;
        let Ok(sealed) = sealed else { return false };
        let expected = Expected::version(view.version).held_by(*holder);
        let write = Write::new(sealed).due_at(due_at);
        let saved = inner.ask(inner.store.save_if_version(self.key(), &expected, write)).await;
        let is_saved = matches!(saved, Ok(SaveOutcome::Saved(version)) if version == view.version.next());
        if is_saved {
            self.keep_as(view, contents, view.version.next(), true);
        }
        is_saved
    }

    /// What was served from memory is not any more.
    fn forget_unsaved(&self, is_served: bool) {
        if is_served {
            let mut state = self.slot.lock();
            state.cached = state.cached.take().filter(|cached| cached.token.is_saved());
            drop(state);
            self.inner.slots.changed(&self.slot);
        }
    }

    async fn save_once(&self, provider: &Registered, contents: &Contents, expected: Version) -> Attempt {
        let inner = &self.inner;
        let sealed = inner.sealer.seal(self.key(), expected.incarnation(), contents).await;
        let Ok(sealed) = sealed else { return Attempt::Failed };
        let due_at = plan::due_at(contents, &provider.policy);
        let write = Write::new(sealed.clone()).due_at(due_at);
        let saved =
            inner.ask(inner.store.save_if_version(self.key(), &Expected::version(expected), write)).await;
        match saved {
            Ok(SaveOutcome::Saved(version)) if version == expected.next() => Attempt::Saved(version),
            Ok(SaveOutcome::Saved(_)) => Attempt::Violated(failure::contract(
                "the token store saved over another version than the one that was asked for; see that it compares versions \
                 before it writes",
            )),
            Ok(SaveOutcome::Changed(record)) => self.changed(record, expected, &sealed),
            Ok(SaveOutcome::Absent | SaveOutcome::Tombstone(_)) => Attempt::Gone,
            Ok(SaveOutcome::NotHeld) => Attempt::Violated(failure::contract(
                "the token store asked for a lease that the save did not name",
            )),
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                match inner.ask(inner.store.load(self.key())).await {
                    Ok(Loaded::Found(record)) if record.version == expected && record.key == *self.key() => {
                        Attempt::Failed
                    }
                    Ok(Loaded::Found(record)) => self.changed(record, expected, &sealed),
                    Ok(Loaded::Absent | Loaded::Tombstone(_)) => Attempt::Gone,
                    Err(_) => Attempt::Failed,
                }
            }
            Err(_) => Attempt::Failed,
        }
    }

    /// Another version than expected: it may be our own, whose answer was lost.
    fn changed(&self, record: Record, expected: Version, sealed: &SealedBytes) -> Attempt {
        if record.key != *self.key() || record.version == expected {
            return Attempt::Violated(failure::contract(
                "the token store refused the version that it holds, or answered with another connection's record",
            ));
        }
        let is_ours = record.version == expected.next() && record.sealed.as_bytes() == sealed.as_bytes();
        if is_ours { Attempt::Saved(record.version) } else { Attempt::Changed(Box::new(record)) }
    }
}

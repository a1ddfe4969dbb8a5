//! P9: what the provider gave goes into the store, if the store's record is still the one that was refreshed.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::state::StoreErrorKind;
use crate::token_store::{Expected, Loaded, Record, RefreshMark, SaveOutcome, SealedBytes, Version, Write};

use super::access::{AccessToken, View};
use super::contents::Contents;
use super::event::EventKind;
use super::failure;
use super::flight::Flight;
use super::inner::{Registered, jitter};
use super::plan;
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
    Failed(Error),
}

/// Between two attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

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
        loop {
            inner.point(Point::P9Save).await;
            match self.save_once(provider, &contents, expected).await {
                Attempt::Saved(version) => {
                    return Ok(Saved::Done(self.keep_as(view, contents, version, true)));
                }
                Attempt::Gone => {
                    self.forget_unsaved(is_served);
                    self.revoke(provider, &contents.tokens).await;
                    return Err(failure::not_connected());
                }
                Attempt::Changed(record) => {
                    // A record that still holds the refresh token that was sent is the same connection in another form: sealed
                    // anew, or given up by one who found its refresh token used up. What the provider gave us is newer.
                    let is_ours = record.version.incarnation() == view.version.incarnation()
                        && match inner.open(self.key(), &record).await {
                            Ok(stored) => Self::is_same_grant(provider, &stored.contents, mark),
                            Err(_) => false,
                        };
                    if !is_ours {
                        self.forget_unsaved(is_served);
                        return Ok(Saved::Superseded(record));
                    }
                    expected = record.version;
                }
                Attempt::Failed(error) => {
                    if !is_served {
                        is_served = true;
                        self.keep_as(view, contents.clone(), expected.next(), false);
                        self.serve();
                        inner.tell(self.key(), EventKind::NotDurable);
                    }
                    drop(error);
                    inner.clock.sleep(pause.mul_f64(0.5 + jitter() / 2.0)).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
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
            Attempt::Failed(_) => drop(self.keep_as(view, contents, view.version, true)),
        }
        None
    }

    /// What was served from memory is not any more.
    fn forget_unsaved(&self, is_served: bool) {
        if is_served {
            let mut state = self.slot.lock();
            state.cached = state.cached.take().filter(|cached| cached.token.is_saved());
            drop(state);
            self.slot.changed();
        }
    }

    async fn save_once(&self, provider: &Registered, contents: &Contents, expected: Version) -> Attempt {
        let inner = &self.inner;
        let sealed = match inner.sealer.seal(self.key(), expected.incarnation(), contents).await {
            Ok(sealed) => sealed,
            Err(error) => return Attempt::Failed(error),
        };
        let due_at = plan::due_at(contents, &provider.policy);
        let write = Write::new(sealed.clone()).due_at(due_at);
        let saved =
            inner.ask(inner.store.save_if_version(self.key(), &Expected::version(expected), write)).await;
        match saved {
            Ok(SaveOutcome::Saved(version)) if version != expected.next() => Attempt::Failed(
                failure::contract("the token store gave a version that does not follow the one before"),
            ),
            Ok(SaveOutcome::Saved(version)) => Attempt::Saved(version),
            Ok(SaveOutcome::Changed(record)) => self.changed(record, expected, &sealed),
            Ok(SaveOutcome::Absent | SaveOutcome::Tombstone(_)) => Attempt::Gone,
            Ok(SaveOutcome::NotHeld) => Attempt::Failed(failure::contract(
                "the token store asked for a lease that the save did not name",
            )),
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                match inner.ask(inner.store.load(self.key())).await {
                    Ok(Loaded::Found(record)) if record.version == expected => {
                        Attempt::Failed(failure::of_store(error))
                    }
                    Ok(Loaded::Found(record)) => self.changed(record, expected, &sealed),
                    Ok(Loaded::Absent | Loaded::Tombstone(_)) => Attempt::Gone,
                    Err(_) => Attempt::Failed(failure::of_store(error)),
                }
            }
            Err(error) => Attempt::Failed(failure::of_store(error)),
        }
    }

    /// Another version than expected: it may be our own, whose answer was lost.
    fn changed(&self, record: Record, expected: Version, sealed: &SealedBytes) -> Attempt {
        if record.key != *self.key() || record.version == expected {
            return Attempt::Failed(failure::contract(
                "the token store refused the version that it holds, or answered with another connection's record",
            ));
        }
        let is_ours = record.version == expected.next() && record.sealed.as_bytes() == sealed.as_bytes();
        if is_ours { Attempt::Saved(record.version) } else { Attempt::Changed(Box::new(record)) }
    }
}

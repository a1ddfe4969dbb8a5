//! P5 to P8: the request, what its answer means, and what becomes of the connection.

use tokio::sync::SemaphorePermit;

use crate::clock::saturating_add;
use crate::error::{Error, Operation, Result};
use crate::quirks::Rotation;
use crate::token::TokenSet;
use crate::token_store::{LeaseHolder, Loaded, Record, RefreshMark, Release, Renew, Tenure};
use crate::wait::beside;

use super::access::{AccessToken, View};
use super::contents::{Contents, Ended, ReconnectReason};
use super::event::EventKind;
use super::failure;
use super::flight::{Flight, Leased, hash_of};
use super::inner::{Registered, jitter};
use super::pause::{Pause, Reason};
use super::plan::{self, Demand, Fate};
use super::point::Point;
use super::save::Saved;

/// What came of a refresh.
pub(super) enum Refreshed {
    /// A token, and whether this refresh brought it.
    Landed(AccessToken, bool),
    /// The record has changed meanwhile: it is looked at again.
    Again(Box<Record>),
}

impl Flight {
    /// Sends, checks and saves, while the lease is kept. A lease that is lost after the request was sent stops nothing: the
    /// refresh token may be used up.
    pub(super) async fn refresh(
        &self,
        provider: &Registered,
        leased: Box<Leased>,
        permit: SemaphorePermit<'_>,
    ) -> Result<Refreshed> {
        let holder = leased.holder;
        beside(Box::pin(self.send_and_save(provider, leased, permit)), self.keep_lease(&holder)).await
    }

    /// Renews it again and again. Each renewal has a sixth of the lease for its answer: two in a row that fail, or are not
    /// answered, cost no lease.
    async fn keep_lease(&self, holder: &LeaseHolder) {
        let inner = &self.inner;
        let lease = inner.settings.lease;
        let mut pause = lease / 3;
        loop {
            inner.clock.sleep(pause).await;
            let asked_at = inner.clock.monotonic();
            let renewal = inner.store.renew(self.key(), holder, Renew::new(lease));
            pause = match inner.ask_within(inner.settings.store_timeout.min(lease / 6), renewal).await {
                Ok(Tenure::Lost) => return,
                // It may have begun when it was asked for.
                Ok(Tenure::Held) => {
                    (lease / 3).saturating_sub(inner.clock.monotonic().saturating_sub(asked_at))
                }
                Err(_) => lease / 12,
            };
        }
    }

    async fn send_and_save(
        &self,
        provider: &Registered,
        leased: Box<Leased>,
        permit: SemaphorePermit<'_>,
    ) -> Result<Refreshed> {
        let inner = &self.inner;
        let Leased { view, mut mark, ref holder, leased_at } = *leased;
        let lease = inner.settings.lease;
        if !provider.pace.turn(&*inner.clock).await {
            // Nothing was sent, and the program is about to end.
            drop(permit);
            self.put_back(holder, view.mark).await;
            return Err(failure::shutting_down());
        }
        // This process may have been stopped, or the machine asleep, for longer than the lease.
        if inner.since(leased_at) >= lease / 2 {
            let renewed = inner.ask(inner.store.renew(self.key(), holder, Renew::new(lease))).await;
            if renewed.map_err(failure::of_store)? == Tenure::Lost {
                return Ok(Refreshed::Again(Box::new(self.load().await?)));
            }
        }
        let mut may_repeat = true;
        let (error, fate) = loop {
            inner.point(Point::P5Send).await;
            let unsent = self.slot.lock().unsent.take_if(|unsent| unsent.holder == *holder);
            let sent = provider.flow.refresh(&view.contents.tokens);
            let sent = inner.bounded(&provider.flow, Operation::Refresh, sent).await;
            provider.places.heard(&sent);
            inner.point(Point::P8Check).await;
            let error = match sent {
                Ok(tokens) => {
                    drop(permit);
                    return Box::pin(self.accept(provider, view, tokens, &mark)).await;
                }
                Err(error) => error,
            };
            let fate = plan::fate(&error);
            if fate == Fate::NotUsed && unsent.is_some() {
                self.slot.lock().unsent = unsent;
            }
            let repeats = fate == Fate::Unknown
                && may_repeat
                && plan::may_repeat(provider.policy.rotation, &mark, inner.clock.now());
            if !repeats {
                break (error, fate);
            }
            may_repeat = false;
            // First the turn, so that nothing is waited for between the renewal and the request.
            if !provider.pace.turn(&*inner.clock).await {
                // Nobody waits for a turn any more: it stays in doubt, for the next process.
                break (error, fate);
            }
            let next = mark.clone().attempt(mark.attempt.saturating_add(1));
            let renew = Renew::new(lease).mark(next.clone());
            match inner.ask(inner.store.renew(self.key(), holder, renew)).await {
                Ok(Tenure::Held) => mark = next,
                // Whoever has the lease now sends it.
                Ok(Tenure::Lost) | Err(_) => break (error, fate),
            }
        };
        drop(permit);
        if fate == Fate::Ended {
            return Box::pin(self.refused(provider, view, &mark, &error)).await;
        }
        inner.tell(self.key(), EventKind::RefreshFailed(error.kind()));
        let in_doubt = plan::stays_in_doubt(fate, mark.attempt);
        Box::pin(self.give_up(provider, &view, holder, Some(&mark).filter(|_| in_doubt), &error)).await;
        Err(error)
    }

    /// P11 after a refresh that failed; `mark` stays. Where all processes are to wait, the lease ends with a save that tells
    /// them. If that does not succeed nothing but this is lost.
    async fn give_up(
        &self,
        provider: &Registered,
        view: &View,
        holder: &LeaseHolder,
        mark: Option<&RefreshMark>,
        error: &Error,
    ) {
        let inner = &self.inner;
        let here = self.slot.lock().failure.as_ref().map_or(0, |failure| failure.count);
        let before = view.contents.pause().map_or(0, |pause| pause.failures).max(here);
        let failures = before.saturating_add(1);
        let wait = inner.settings.cool_down.after(failures, error.retry_after(), jitter());
        let now = inner.clock.now();
        let until = saturating_add(now, wait);
        let due_at = plan::due_at(&view.contents, &provider.policy).map(|due_at| due_at.max(until));
        if let Some(reason) = Reason::of(error.kind()) {
            let pause =
                Pause::new(&view.contents.tokens, view.came_with(), (now, until), reason, failures, mark);
            inner.point(Point::P11Release).await;
            if self.save_pause(view, holder, view.contents.paused(pause), due_at).await {
                return;
            }
        }
        let release = due_at.map_or_else(Release::new, |due_at| Release::new().due_at(due_at));
        self.release(holder, if mark.is_some() { release.keep_mark() } else { release }).await;
    }

    async fn accept(
        &self,
        provider: &Registered,
        view: View,
        tokens: TokenSet,
        mark: &RefreshMark,
    ) -> Result<Refreshed> {
        if plan::is_other_account(&view.contents.tokens, &tokens) {
            // They are not revoked: whose they are, would lose them.
            let error = failure::reconnect(ReconnectReason::AccountChanged, None);
            return match self.stored(&view).await? {
                Ok(_) => Box::pin(self.end(provider, view, ReconnectReason::AccountChanged, &error)).await,
                Err(again) => Ok(again),
            };
        }
        let contents = view.contents.refreshed(tokens, self.inner.clock.now());
        match self.save(provider, &view, contents, mark).await? {
            Saved::Done(token) => {
                self.inner.tell(self.key(), EventKind::Refreshed);
                Ok(Refreshed::Landed(token, true))
            }
            Saved::Superseded(record) => Ok(Refreshed::Again(record)),
        }
    }

    /// The provider took the refresh token for used up, revoked or expired.
    async fn refused(
        &self,
        provider: &Registered,
        view: View,
        mark: &RefreshMark,
        error: &Error,
    ) -> Result<Refreshed> {
        let stored = match self.stored(&view).await? {
            Ok(stored) => stored,
            Err(again) => return Ok(again),
        };
        let attempts = plan::attempts(mark, stored.as_ref().and_then(|record| record.mark.as_ref()));
        let reason = plan::reason_of_refusal(provider.policy.rotation, attempts);
        self.end(provider, view, reason, error).await
    }

    /// The record, if it is still the one that was sent; none if the store does not answer. Another process may have refreshed it
    /// meanwhile: then what the provider said is about a refresh token that nobody needs.
    async fn stored(&self, view: &View) -> Result<Result<Option<Record>, Refreshed>> {
        match self.inner.ask(self.inner.store.load(self.key())).await {
            Ok(Loaded::Found(record)) if record.version != view.version => {
                Ok(Err(Refreshed::Again(Box::new(record))))
            }
            Ok(Loaded::Found(record)) => {
                // A record that does not open is none that could be told from this one.
                if let Ok(stored) = self.inner.open(self.key(), &record).await {
                    let before = (&view.version, &view.contents.tokens);
                    if !plan::can_follow(before, (&stored.version, &stored.contents.tokens)) {
                        return Err(failure::contract(
                            "the token store holds something else under the version that was refreshed; nothing was changed",
                        ));
                    }
                }
                Ok(Ok(Some(record)))
            }
            Ok(Loaded::Absent | Loaded::Tombstone(_)) => Err(failure::not_connected()),
            Err(_) => Ok(Ok(None)),
        }
    }

    /// The connection is over. It is written into the record, if that is still the one that was sent.
    async fn end(
        &self,
        provider: &Registered,
        view: View,
        reason: ReconnectReason,
        error: &Error,
    ) -> Result<Refreshed> {
        let inner = &self.inner;
        let mut ended = Ended::new(reason, inner.clock.now());
        ended.code = error.server_error().map(|said| said.code().to_owned());
        ended.rejected = matches!(self.demand, Demand::Newer { rejected: true, .. });
        let contents = view.contents.ended(ended.clone());
        if let Some(again) = self.save_end(provider, &view, contents).await {
            return Ok(Refreshed::Again(again));
        }
        inner.tell(self.key(), EventKind::NeedsReconnect(reason));
        Err(self.ended_error(reason, &ended, error))
    }

    fn ended_error(&self, reason: ReconnectReason, ended: &Ended, error: &Error) -> Error {
        let shown = failure::reconnect(reason, Some(ended));
        let shown = match error.server_error() {
            Some(said) => shown.with_server_error(said.clone()),
            None => shown,
        };
        match error.status() {
            Some(status) => shown.with_status(status),
            None => shown,
        }
        .at(self.key().provider_id(), Operation::Refresh)
    }

    pub(super) fn keep_as(
        &self,
        view: &View,
        contents: Contents,
        version: crate::Version,
        is_saved: bool,
    ) -> AccessToken {
        let mark = contents.pause().and_then(Pause::mark);
        self.keep(View {
            key: view.key.clone(),
            contents,
            version,
            mark,
            is_saved,
            first_seen: self.inner.instant(),
        })
    }

    /// Whether two connections hold the same refresh token: then what stands in the store is not newer than what was sent.
    pub(super) fn is_same_grant(provider: &Registered, stored: &Contents, mark: &RefreshMark) -> bool {
        provider.policy.rotation != Rotation::None
            && hash_of(provider.policy.input, &stored.tokens) == mark.refresh_token_hash
    }
}

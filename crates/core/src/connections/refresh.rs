//! P5 to P8: the request, what its answer means, and what becomes of the connection.

use std::time::Duration;

use tokio::sync::SemaphorePermit;

use crate::clock::saturating_add;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::quirks::Rotation;
use crate::token::TokenSet;
use crate::token_store::{LeaseHolder, Loaded, Record, RefreshMark, Release, Renew, Tenure};

use super::access::{AccessToken, View};
use super::contents::{Contents, Ended, ReconnectReason};
use super::event::EventKind;
use super::failure;
use super::flight::{Flight, Leased, hash_of};
use super::inner::{Registered, jitter};
use super::plan::{self, Demand, Fate};
use super::point::Point;
use super::save::Saved;
use super::wait::{beside, within};

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
        leased: Leased,
        permit: SemaphorePermit<'_>,
    ) -> Result<Refreshed> {
        let holder = leased.holder;
        beside(self.send_and_save(provider, leased, permit), self.keep_lease(&holder)).await
    }

    async fn keep_lease(&self, holder: &LeaseHolder) {
        let lease = self.inner.settings.lease;
        loop {
            self.inner.clock.sleep(lease / 3).await;
            let renewed = self.inner.ask(self.inner.store.renew(self.key(), holder, Renew::new(lease))).await;
            if matches!(renewed, Ok(Tenure::Lost)) {
                return;
            }
        }
    }

    async fn send_and_save(
        &self,
        provider: &Registered,
        leased: Leased,
        permit: SemaphorePermit<'_>,
    ) -> Result<Refreshed> {
        let inner = &self.inner;
        let Leased { view, mut mark, ref holder, leased_at } = leased;
        let mut may_repeat = true;
        let (error, fate) = loop {
            provider.pace.turn(&*inner.clock).await;
            // This process may have been stopped, or the machine asleep, for longer than the lease.
            if may_repeat && inner.clock.monotonic().saturating_sub(leased_at) >= inner.settings.lease / 2 {
                let renewed = inner.store.renew(self.key(), holder, Renew::new(inner.settings.lease));
                if inner.ask(renewed).await.map_err(failure::of_store)? == Tenure::Lost {
                    return Ok(Refreshed::Again(Box::new(self.load().await?)));
                }
            }
            inner.point(Point::P5Send).await;
            let sent = self.send(provider, &view.contents.tokens).await;
            inner.point(Point::P8Check).await;
            let error = match sent {
                Ok(tokens) => {
                    drop(permit);
                    return self.accept(provider, view, tokens, &mark).await;
                }
                Err(error) => error,
            };
            let fate = plan::fate(&error);
            let repeats = fate == Fate::Unknown
                && may_repeat
                && plan::may_repeat(provider.policy.rotation, &mark, inner.clock.now());
            if !repeats {
                break (error, fate);
            }
            may_repeat = false;
            let next = mark.clone().attempt(mark.attempt.saturating_add(1));
            let renew = Renew::new(inner.settings.lease).mark(next.clone());
            match inner.ask(inner.store.renew(self.key(), holder, renew)).await {
                Ok(Tenure::Held) => mark = next,
                // Whoever has the lease now sends it.
                Ok(Tenure::Lost) | Err(_) => break (error, fate),
            }
        };
        drop(permit);
        if fate == Fate::Ended {
            return self.refused(provider, view, &mark, &error).await;
        }
        inner.tell(self.key(), EventKind::RefreshFailed(error.kind()));
        let in_doubt = plan::stays_in_doubt(fate, mark.attempt);
        let wait = inner.settings.cool_down.after(1, error.retry_after(), jitter());
        let release = match plan::due_at(&view.contents, &provider.policy) {
            Some(due_at) => Release::new().due_at(due_at.max(saturating_add(inner.clock.now(), wait))),
            None => Release::new(),
        };
        self.release(holder, if in_doubt { release.keep_mark() } else { release }).await;
        Err(error)
    }

    /// The refresh, within a time that no HTTP client should need.
    async fn send(&self, provider: &Registered, tokens: &TokenSet) -> Result<TokenSet> {
        let flow = &provider.flow;
        let limit = flow.limits().total.saturating_mul(2).saturating_add(Duration::from_secs(10));
        let sent = within(flow.refresh(tokens), self.inner.clock.sleep(limit)).await;
        sent.unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Network, "the HTTP client did not keep to its deadline");
            Err(error.at(flow.provider().id(), Operation::Refresh))
        })
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
                Ok(_) => self.end(provider, view, ReconnectReason::AccountChanged, &error).await,
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

    /// Tokens that nobody will hold are not left in force, if it can be helped.
    pub(super) async fn revoke(&self, provider: &Registered, tokens: &TokenSet) {
        let limit = self.inner.clock.sleep(provider.flow.limits().total.saturating_mul(2));
        let _ = within(provider.flow.revoke(tokens), limit).await;
    }

    pub(super) fn keep_as(
        &self,
        view: &View,
        contents: Contents,
        version: crate::Version,
        is_saved: bool,
    ) -> AccessToken {
        self.keep(View {
            key: view.key.clone(),
            contents,
            version,
            mark: None,
            is_saved,
            first_seen: self.inner.clock.monotonic(),
        })
    }

    /// Whether two connections hold the same refresh token: then what stands in the store is not newer than what was sent.
    pub(super) fn is_same_grant(provider: &Registered, stored: &Contents, mark: &RefreshMark) -> bool {
        provider.policy.rotation != Rotation::None
            && hash_of(provider.policy.input, &stored.tokens) == mark.refresh_token_hash
    }
}

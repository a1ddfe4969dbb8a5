//! How a caller comes by a token: from memory, or by a flight that all share who ask for the same connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::observe::observed;

use super::access::AccessToken;
use super::at_hand::Kept;
use super::failure;
use super::flight::{ABSENT_FOR, Flight};
use super::inner::Inner;
use super::plan::{Demand, Step};
use super::slots::{Cached, Progress, Running, Slot, State};

/// How often a caller joins one more flight that was not begun for what it wants.
const ROUNDS: usize = 4;

/// What a look into the slot comes to.
enum Look {
    /// This token; until then, by the monotonic clock, nobody needs to look again.
    Serve(AccessToken, Duration),
    Fail(Error),
    /// Begun, and to be spawned once the lock is gone.
    Begin(Box<Flight>, watch::Receiver<Progress>, Option<AccessToken>),
    Wait(watch::Receiver<Progress>),
}

impl Inner {
    /// A token that is good now; `keep` is given what may stay at hand, and says what to serve.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        keep: impl FnOnce(Kept) -> AccessToken,
    ) -> Result<AccessToken> {
        // Read before: a change that comes in between is seen.
        let epoch = slot.epoch.get();
        let obtained = self.obtain_until(slot, Demand::Valid).await;
        let (token, until) = obtained.map_err(|error| failure::at(error, &slot.key, Operation::Token))?;
        // One that the store does not have yet stays no longer than others: once it has it, or will not, there is a change.
        Ok(if until.is_zero() { token } else { keep(Kept { token, until, epoch }) })
    }

    /// A token for `demand`. It is safe to drop this future at any time: the flight goes on.
    pub(super) async fn obtain(self: &Arc<Self>, slot: &Arc<Slot>, demand: Demand) -> Result<AccessToken> {
        self.obtain_until(slot, demand).await.map(|(token, _)| token)
    }

    /// The same, and until when it may be served without asking again.
    pub(super) async fn obtain_until(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        demand: Demand,
    ) -> Result<(AccessToken, Duration)> {
        match self.look(slot, demand) {
            // What memory answers is not worth a span.
            Look::Serve(token, until) => Ok((token, until)),
            first => {
                let work = self.obtain_from(slot, demand, first);
                let work = observed!(&self.clock, self.label(slot.key.provider_id()), Operation::Token, work);
                // On the heap, so that the future of who is served from memory is small.
                Box::pin(work).await
            }
        }
    }

    async fn obtain_from(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        demand: Demand,
        first: Look,
    ) -> Result<(AccessToken, Duration)> {
        let mut first = Some(first);
        // What a flight says once, it says to each who looks: it is of no use to a caller for whom it was not enough.
        let (mut was_served, mut was_unsaved) = (false, false);
        for _ in 0..ROUNDS {
            let mut progress = match first.take().unwrap_or_else(|| self.look(slot, demand)) {
                Look::Serve(token, until) => return Ok((token, until)),
                Look::Fail(error) => return Err(error),
                Look::Wait(progress) => progress,
                Look::Begin(flight, progress, token) => {
                    drop(self.spawn(Box::pin(flight.run())));
                    match token {
                        Some(token) => return Ok((token, Duration::ZERO)),
                        None => progress,
                    }
                }
            };
            let wants_served = demand == Demand::Valid && !was_served;
            let wants_unsaved = demand != Demand::Due && !was_unsaved;
            let landed = progress.wait_for(|progress| match progress {
                Progress::Running => false,
                Progress::Served => wants_served,
                Progress::Unsaved => wants_unsaved,
                Progress::Done { .. } => true,
            });
            let landed = landed.await.map(|progress| progress.clone());
            match landed.unwrap_or(Progress::Running) {
                Progress::Done { result: Ok(token), is_new: true } if is_answer(demand, &token) => {
                    return Ok((token, Duration::ZERO));
                }
                Progress::Done { result: Ok(token), is_new: false } if demand == Demand::Due => {
                    return Ok((token, Duration::ZERO));
                }
                Progress::Unsaved => {
                    let fresh = self.still_good(slot).filter(|token| is_answer(demand, token));
                    if let Some(token) = fresh {
                        return Ok((token, Duration::ZERO));
                    }
                    was_unsaved = true;
                }
                Progress::Served => was_served = true,
                Progress::Done { result: Ok(_), .. } => (was_served, was_unsaved) = (false, false),
                Progress::Done { result: Err(error), .. } => {
                    let good = self.still_good(slot).filter(|_| demand == Demand::Valid);
                    return match good {
                        Some(token) => Ok((token, Duration::ZERO)),
                        None => Err(failure::share(&error, None)),
                    };
                }
                Progress::Running => return Err(failure::interrupted()),
            }
            if demand == Demand::Valid {
                if let Some(token) = self.still_good(slot) {
                    return Ok((token, Duration::ZERO));
                }
            }
        }
        Err(failure::pending())
    }

    /// The token in memory, if it is good, however long ago the store was asked.
    fn still_good(&self, slot: &Slot) -> Option<AccessToken> {
        let cached = slot.lock().cached.clone()?;
        let policy = &self.registered(&slot.key, Operation::Token).ok()?.policy;
        match self.assess(cached.token.view(), policy, Demand::Valid) {
            Step::Serve { .. } | Step::ServeAndRefresh => Some(cached.token),
            Step::Refresh | Step::Reconnect(_) => None,
        }
    }

    fn look(self: &Arc<Self>, slot: &Arc<Slot>, demand: Demand) -> Look {
        let now = self.clock.monotonic();
        let mut state = slot.lock();
        if let Some(cached) = state.cached.as_ref().filter(|_| demand == Demand::Valid) {
            if now < cached.fast_until {
                return Look::Serve(cached.token.clone(), cached.fast_until);
            }
        }
        let provider = match self.registered(&slot.key, Operation::Token) {
            Ok(provider) => provider,
            Err(error) => return Look::Fail(error),
        };
        let policy = &provider.policy;
        let failure = state.failure.as_ref().filter(|failure| now < failure.until).cloned();
        let cannot_ask = failure.as_ref().is_some_and(|failure| failure.is_of_store);
        if let Some(cached) = state.cached.clone() {
            let asked_for = now.saturating_sub(cached.loaded_at);
            let view = cached.token.view();
            let is_fresh = asked_for < self.settings.cache_for && !cached.is_outdated;
            if is_fresh || cannot_ask || !view.is_saved {
                match self.assess(view, policy, demand) {
                    Step::Serve { for_ } => {
                        let until = self.fast_until(&cached, for_, now);
                        // Who asked whether it is due was told nothing of how long the token is good.
                        if let Some(cached) = state.cached.as_mut().filter(|_| demand != Demand::Due) {
                            cached.fast_until = until;
                        }
                        return Look::Serve(cached.token, until);
                    }
                    // The user may have connected again, by another process.
                    Step::Reconnect(_)
                        if asked_for >= ABSENT_FOR && !cannot_ask && view.is_saved && !self.is_closing() => {}
                    Step::Reconnect(reason) => {
                        return Look::Fail(failure::reconnect(reason, view.contents.header.ended.as_ref()));
                    }
                    Step::ServeAndRefresh if demand == Demand::Valid => {
                        let is_paused = failure.is_some() || self.paused(view).is_some();
                        let idle = state.running().is_none() && !is_paused && view.is_saved;
                        if !idle || self.is_closing() || !provider.pace.has_room(now) {
                            return Look::Serve(cached.token, Duration::ZERO);
                        }
                        return self.begin(slot, &mut state, demand, Some(cached.token));
                    }
                    Step::ServeAndRefresh | Step::Refresh if !view.is_saved => {
                        return Look::Fail(Error::new(
                            ErrorKind::StoreUnavailable,
                            "the store has not taken the last refresh yet, so no other is begun; try again later",
                        ));
                    }
                    Step::ServeAndRefresh | Step::Refresh => {
                        let cooling = failure.as_ref().filter(|_| state.running().is_none());
                        if let Some(failure) = cooling {
                            let left = failure.until.saturating_sub(now);
                            return Look::Fail(failure::share(&failure.error, Some(left)));
                        }
                        if let Some(error) = self.paused(view).filter(|_| state.running().is_none()) {
                            return Look::Fail(error);
                        }
                    }
                }
            }
        }
        if state.flies_for_nobody() {
            return Look::Fail(failure::not_connected());
        }
        if let Some(flight) = state.running() {
            return Look::Wait(flight.progress.clone());
        }
        if let Some(failure) = failure.filter(|failure| failure.is_of_store) {
            let left = failure.until.saturating_sub(now);
            return Look::Fail(failure::share(&failure.error, Some(left)));
        }
        if self.is_closing() {
            return Look::Fail(failure::shutting_down());
        }
        self.begin(slot, &mut state, demand, None)
    }

    fn begin(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: &mut State,
        demand: Demand,
        token: Option<AccessToken>,
    ) -> Look {
        let (sender, progress) = watch::channel(Progress::Running);
        let id = state.next_flight();
        let forgotten = state.forgotten;
        state.flight = Some(Running { id, forgotten, progress: progress.clone() });
        let flight = Flight::new(Arc::clone(self), Arc::clone(slot), id, forgotten, demand, sender);
        Look::Begin(Box::new(flight), progress, token)
    }

    fn fast_until(&self, cached: &Cached, good_for: Option<Duration>, now: Duration) -> Duration {
        let until = cached.loaded_at.saturating_add(self.settings.cache_for);
        good_for.map_or(until, |good_for| until.min(now.saturating_add(good_for)))
    }
}

/// Whether the outcome of a refresh is what was asked for. Who named no version gets the next one that comes.
fn is_answer(demand: Demand, token: &AccessToken) -> bool {
    match demand {
        Demand::Newer { than: None, .. } => true,
        demand => !demand.refuses(&token.view().came_with(), &token.version()),
    }
}

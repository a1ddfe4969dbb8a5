//! One flight: from the look into the store to a token, or to the reason why there is none. It runs in a task of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::quirks::RefreshInput;
use crate::state::StoreErrorKind;
use crate::token::TokenSet;
use crate::token_store::{
    LeaseHolder, LeaseOutcome, LeaseRequest, Record, RefreshMark, Release, Renew, Tenure,
};

use super::access::{AccessToken, View};
use super::failure;
use super::inner::{Inner, Instant, Registered, jitter};
use super::pause::Pause;
use super::places::PATIENCE;
use super::plan::{self, Demand, Step, Unsent};
use super::point::Point;
use super::refresh::Refreshed;
use super::slots::{Cached, Failure, Progress, Slot};

/// How often another process's refresh is looked at, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// For how long it is known that there is no such connection, or that its user has to connect again.
pub(super) const ABSENT_FOR: Duration = Duration::from_secs(1);
/// How often a flight looks at the record anew because it has changed, and how often it sends a refresh.
const MAX_CHANGES: u32 = 16;
const MAX_REFRESHES: u32 = 3;

pub(super) struct Flight {
    pub(super) inner: Arc<Inner>,
    pub(super) slot: Arc<Slot>,
    id: u64,
    /// How often the slot had been forgotten when the flight began.
    forgotten: u64,
    pub(super) demand: Demand,
    progress: watch::Sender<Progress>,
    has_landed: bool,
    /// Whether a record was opened: what fails later is not the store's failure.
    has_record: bool,
    /// Whether nothing was tried, since a failure of before still holds.
    is_cooling: bool,
    /// Whether nothing was tried, since there was no place for it.
    has_no_place: bool,
}

/// What came of asking for the lease.
enum Try {
    Leased(Box<Leased>),
    Changed(Record),
    Held(Duration),
    /// A look at what came with the lease showed that nothing is to be done.
    NotNeeded,
}

/// The right to refresh this.
pub(super) struct Leased {
    pub(super) view: View,
    pub(super) mark: RefreshMark,
    pub(super) holder: LeaseHolder,
    /// When the lease was asked for.
    pub(super) leased_at: Instant,
}

/// A token, and whether it is newer than the one that the flight found first.
pub(super) type Landing = Result<(AccessToken, bool)>;

impl Flight {
    pub(super) fn new(
        inner: Arc<Inner>,
        slot: Arc<Slot>,
        id: u64,
        forgotten: u64,
        demand: Demand,
        progress: watch::Sender<Progress>,
    ) -> Self {
        Self {
            inner,
            slot,
            id,
            forgotten,
            demand,
            progress,
            has_landed: false,
            has_record: false,
            is_cooling: false,
            has_no_place: false,
        }
    }

    pub(super) async fn run(mut self: Box<Self>) {
        self.inner.point(Point::P1Join).await;
        let mut landing = self.fly().await;
        // Disconnected meanwhile, and the store did not remove it: what the flight brought goes with it.
        if landing.is_ok() && self.slot.lock().refused.is_some() {
            if let Err(error) = self.load().await {
                landing = Err(error);
            }
        }
        self.inner.point(Point::P10Publish).await;
        self.land(landing);
    }

    pub(super) fn key(&self) -> &ConnectionKey {
        &self.slot.key
    }

    async fn fly(&mut self) -> Landing {
        let inner = Arc::clone(&self.inner);
        let provider = inner.provider(self.slot.key.provider_id(), Operation::Token)?;
        let began = inner.clock.monotonic();
        let mut known: Option<Record> = None;
        let mut first: Option<AccessToken> = None;
        let mut looked_at = inner.clock.now();
        let mut poll = POLL.0;
        let (mut changes, mut refreshes) = (0, 0);
        loop {
            let record = match known.take() {
                Some(record) => record,
                None => {
                    looked_at = inner.clock.now();
                    self.load().await?
                }
            };
            let view = self.seen(inner.open(self.key(), &record).await?);
            self.check_history(&view)?;
            self.has_record = true;
            if let Some(error) = self.ended_here(&view) {
                return Err(error);
            }
            // What is refreshed is the token that was there first, not what another process made of it meanwhile.
            if let Demand::Newer { than: than @ None, .. } = &mut self.demand {
                *than = Some(view.version);
            }
            let step = inner.assess(&view, &provider.policy, self.demand);
            let ended = view.contents.header.ended.clone();
            let token = self.keep(view);
            let first = first.get_or_insert_with(|| token.clone());
            let is_served = match step {
                Step::Serve { .. } => {
                    let is_new = !plan::is_same(&first.view().contents.tokens, &token.view().contents.tokens);
                    return Ok((token, is_new));
                }
                Step::Reconnect(reason) => return Err(failure::reconnect(reason, ended.as_ref())),
                Step::ServeAndRefresh => {
                    self.progress.send_replace(Progress::Served);
                    true
                }
                Step::Refresh => false,
            };
            if let Some(error) = self.cooling().or_else(|| inner.paused(token.view())) {
                self.is_cooling = true;
                return Err(error);
            }
            if inner.is_closing() {
                return Err(failure::shutting_down());
            }
            let permit = match provider.places.try_take() {
                Some(permit) if !is_served || provider.pace.has_room(inner.clock.monotonic()) => permit,
                // Whoever has a good token leaves the turns to those who have none.
                _ if is_served && provider.pace.is_bound() && self.demand != Demand::Due => {
                    return Ok((token, false));
                }
                Some(permit) => permit,
                None => {
                    let permit = Box::pin(provider.places.take(&*inner.clock)).await;
                    self.has_no_place = permit.is_err();
                    permit?
                }
            };
            // In pieces on the heap, while each is needed: ten thousand flights may wait for their turns.
            match Box::pin(self.lease(provider, &token, &record, looked_at)).await? {
                Try::NotNeeded => return Ok((token, false)),
                Try::Changed(record) => {
                    changes += 1;
                    if changes == MAX_CHANGES {
                        return Err(failure::pending());
                    }
                    known = Some(record);
                }
                Try::Leased(leased) => match self.refresh(provider, leased, permit).await? {
                    Refreshed::Landed(token, is_new) => return Ok((token, is_new)),
                    Refreshed::Again(record) => {
                        refreshes += 1;
                        if refreshes == MAX_REFRESHES {
                            return Err(failure::pending());
                        }
                        known = Some(*record);
                    }
                },
                Try::Held(remaining) => {
                    drop(permit);
                    if is_served || self.demand == Demand::Due {
                        return Ok((token, false));
                    }
                    if inner.clock.monotonic().saturating_sub(began) >= inner.settings.wait {
                        return Err(failure::pending());
                    }
                    let pause = poll.min(remaining).mul_f64(0.5 + jitter() / 2.0);
                    inner.clock.sleep(pause.max(Duration::from_millis(1))).await;
                    poll = (poll * 3 / 2).min(POLL.1);
                }
            }
        }
    }

    pub(super) async fn load(&self) -> Result<Record> {
        self.inner.point(Point::P0Load).await;
        self.inner.load(&self.slot).await
    }

    /// That this connection is over, where only this process knows it: the store did not take it. It is told as long as what the
    /// store said would be, so that the refresh token that was refused is not sent again each time that somebody asks.
    fn ended_here(&self, stored: &View) -> Option<Error> {
        if stored.contents.header.ended.is_some() {
            return None;
        }
        let now = self.inner.clock.monotonic();
        let provider = self.inner.registered(self.key(), Operation::Token).ok()?;
        let cached = self.slot.lock().cached.clone()?;
        let known = cached.token.view();
        let is_told = now.saturating_sub(cached.loaded_at) < self.inner.settings.cache_for;
        let ended = known.contents.header.ended.as_ref();
        let ended = ended.filter(|_| is_told && known.version == stored.version)?;
        match self.inner.assess(known, &provider.policy, self.demand) {
            Step::Reconnect(reason) => Some(failure::reconnect(reason, Some(ended))),
            _ => None,
        }
    }

    /// What the store answers has to follow what it answered before. Where it does not, that is told once, and from then on
    /// the store's word is taken again: it may have been restored from a copy, or have lost a write with the machine it ran on.
    fn check_history(&self, view: &View) -> Result<()> {
        let before = self.slot.lock().cached.as_ref().map(|cached| cached.token.clone());
        let Some(before) = before.filter(AccessToken::is_saved) else { return Ok(()) };
        let before = before.view();
        let (old, new) = (&before.contents.tokens, &view.contents.tokens);
        if plan::can_follow((&before.version, old), (&view.version, new)) {
            return Ok(());
        }
        self.inner.slots.forget_token(&self.slot);
        Err(failure::contract(
            "the token store answered with an older record than before, or with another one of the same version; see that \
             nobody reads from a replica, and that the store compares versions before it writes",
        ))
    }

    /// P2 to P4. The mark is written with the lease: one round trip less, and no moment with a lease and no mark.
    /// Its time is `looked_at`, when the record was looked at: what it is written over is no older than that.
    async fn lease(
        &self,
        provider: &Registered,
        token: &AccessToken,
        loaded: &Record,
        looked_at: SystemTime,
    ) -> Result<Try> {
        let inner = &self.inner;
        let view = token.view();
        let holder = LeaseHolder::random()?;
        let hash = hash_of(provider.policy.input, &view.contents.tokens);
        let mark_after = |found| plan::mark_after(found, holder, hash, looked_at);
        let written = mark_after(view.mark.as_ref());
        inner.point(Point::P2Lease).await;
        let leased_at = inner.instant();
        let duration = inner.settings.lease;
        let request = LeaseRequest::new(holder, duration).if_version(view.version).mark(written.clone());
        let mut outcome = inner.ask(inner.store.lease(self.key(), request.clone())).await;
        let is_lost = |error: &crate::state::StoreError| error.kind() == StoreErrorKind::OutcomeUnknown;
        if outcome.as_ref().is_err_and(is_lost) {
            outcome = inner.ask(inner.store.lease(self.key(), request)).await;
        }
        let (record, found) = match outcome.map_err(failure::of_store)? {
            LeaseOutcome::Absent | LeaseOutcome::Tombstone(_) => return Err(failure::not_connected()),
            LeaseOutcome::Changed(record) if record.version != view.version => {
                return Ok(Try::Changed(record));
            }
            LeaseOutcome::Held { lease, .. } if lease.holder != holder => {
                return Ok(Try::Held(lease.remaining));
            }
            LeaseOutcome::Changed(_) | LeaseOutcome::Held { .. } => {
                return Err(failure::contract(
                    "the token store refused a lease because of the version, or the holder, that was named to it",
                ));
            }
            LeaseOutcome::Leased { record, found } => (record, found),
        };
        inner.point(Point::P3Again).await;
        let is_same = record.key == *self.key()
            && record.version == view.version
            && record.sealed.as_bytes() == loaded.sealed.as_bytes();
        if !is_same {
            return Err(failure::contract(
                "the token store leased another record, or another version, than the one that was asked for",
            ));
        }
        if record.mark.as_ref().is_none_or(|written| written.holder != holder)
            || record.lease.is_some_and(|lease| lease.holder != holder)
        {
            return Err(failure::contract(
                "the token store did not write the mark of a refresh with its lease, so that no refresh can be begun safely",
            ));
        }
        let found = {
            let mut state = self.slot.lock();
            let found = plan::mark_of(found, view.contents.pause().and_then(Pause::mark));
            let found = plan::mark_that_counts(found, state.unsent.as_ref());
            state.unsent = Some(Unsent { holder, before: found.clone() });
            found
        };
        let mark = mark_after(found.as_ref());
        let again = View {
            key: view.key.clone(),
            contents: view.contents.clone(),
            version: view.version,
            mark: found,
            is_saved: true,
            first_seen: view.first_seen,
        };
        if matches!(inner.assess(&again, &provider.policy, self.demand), Step::Serve { .. }) {
            self.put_back(&holder, again.mark).await;
            return Ok(Try::NotNeeded);
        }
        if mark != written {
            inner.point(Point::P4Mark).await;
            let renew = Renew::new(duration).mark(mark.clone());
            let renewed = inner.ask(inner.store.renew(self.key(), &holder, renew)).await;
            if renewed.map_err(failure::of_store)? == Tenure::Lost {
                return Ok(Try::Held(Duration::ZERO));
            }
        }
        Ok(Try::Leased(Box::new(Leased { view: again, mark, holder, leased_at })))
    }

    /// P11 where nothing was sent: the mark that was found is what is true, and stands there again.
    pub(super) async fn put_back(&self, holder: &LeaseHolder, found: Option<RefreshMark>) {
        let release = match found {
            Some(found) => {
                let renew = Renew::new(self.inner.settings.lease).mark(found);
                let _ = self.inner.ask(self.inner.store.renew(self.key(), holder, renew)).await;
                Release::new().keep_mark()
            }
            None => Release::new(),
        };
        self.release(holder, release).await;
    }

    /// P11. The lease ends by itself where this fails.
    pub(super) async fn release(&self, holder: &LeaseHolder, release: Release) {
        self.inner.point(Point::P11Release).await;
        let _ = self.inner.ask(self.inner.store.release(self.key(), holder, release)).await;
    }

    /// Tokens that are known already are as old as that, and a mark under which this process sent nothing is none.
    fn seen(&self, mut view: View) -> View {
        let state = self.slot.lock();
        view.mark = plan::mark_that_counts(view.mark, state.unsent.as_ref());
        let before = state.cached.as_ref().map(|cached| cached.token.view());
        if let Some(before) = before.filter(|before| before.came_with() == view.came_with()) {
            view.first_seen = before.first_seen;
        }
        view
    }

    /// Puts a connection into the slot, unless it was forgotten since the flight began.
    pub(super) fn keep(&self, view: View) -> AccessToken {
        let view = self.seen(view);
        let loaded_at = self.inner.clock.monotonic();
        let mut state = self.slot.lock();
        let token = AccessToken::new(Arc::new(view));
        if state.forgotten == self.forgotten {
            state.cached = Some(Cached {
                token: token.clone(),
                loaded_at,
                fast_until: Duration::ZERO,
                is_outdated: false,
            });
            drop(state);
            self.inner.slots.changed(&self.slot);
        }
        token
    }

    /// Tells that the new token can be served while the flight goes on to save it.
    pub(super) fn serve_unsaved(&self) {
        self.progress.send_replace(Progress::Unsaved);
    }

    /// The failure of before, if it holds.
    fn cooling(&self) -> Option<Error> {
        let now = self.inner.clock.monotonic();
        let state = self.slot.lock();
        let failure = state.failure.as_ref().filter(|failure| now < failure.until && !failure.is_of_store)?;
        Some(failure::share(&failure.error, Some(failure.until.saturating_sub(now))))
    }

    fn land(&mut self, landing: Landing) {
        self.has_landed = true;
        let is_new = landing.as_ref().is_ok_and(|(_, is_new)| *is_new);
        let result = landing.map(|(token, _)| token);
        let result = result.map_err(|error| Arc::new(failure::at(error, &self.slot.key, Operation::Token)));
        let now = self.inner.clock.monotonic();
        let mut state = self.slot.lock();
        if state.flight.as_ref().is_some_and(|flight| flight.id == self.id) {
            state.flight = None;
        }
        if state.forgotten == self.forgotten {
            match &result {
                // That a token was found says nothing of whether a refresh would work now.
                Ok(_) if is_new => state.failure = None,
                Ok(_) => state.failure = state.failure.take().filter(|failure| !failure.is_of_store),
                Err(error) => {
                    if error.kind() == ErrorKind::NotConnected {
                        state.cached = None;
                    }
                    if let Some(failure) = self.failure(error, state.failure.as_ref(), now) {
                        state.failure = Some(failure);
                    }
                }
            }
        }
        drop(state);
        self.inner.slots.changed(&self.slot);
        self.progress.send_replace(Progress::Done { result, is_new });
    }

    /// How long a failure holds; `None` if it holds for nobody else, or is known from the record.
    fn failure(&self, error: &Arc<Error>, before: Option<&Failure>, now: Duration) -> Option<Failure> {
        let tried = u32::from(!self.has_no_place);
        let count = before.map_or(0, |failure| failure.count).saturating_add(tried);
        let is_of_store = !self.has_record
            || matches!(error.kind(), ErrorKind::StoreUnavailable | ErrorKind::KeysUnavailable);
        let until = match error.kind() {
            ErrorKind::NeedsReconnect
            | ErrorKind::RotationLost
            | ErrorKind::AccountChanged
            | ErrorKind::Interrupted
            | ErrorKind::RefreshPending => return None,
            _ if self.is_cooling => return None,
            _ if self.has_no_place => PATIENCE,
            ErrorKind::NotConnected => ABSENT_FOR,
            _ => self.inner.settings.cool_down.after(count, error.retry_after(), jitter()),
        };
        Some(Failure { error: Arc::clone(error), until: now.saturating_add(until), count, is_of_store })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // A panic in a hook or a store, or a runtime that is gone: nobody waits for ever.
        if !self.has_landed {
            self.land(Err(failure::interrupted()));
        }
    }
}

/// SHA-256 of what a refresh sends.
pub(super) fn hash_of(input: RefreshInput, tokens: &TokenSet) -> [u8; 32] {
    let sent = match (input, &tokens.refresh_token) {
        (RefreshInput::RefreshToken, Some(refresh_token)) => refresh_token,
        _ => &tokens.access_token,
    };
    Sha256::digest(sent.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::size_of_future;

    /// Ten thousand of them may wait for their turns: what one needs meanwhile is needed ten thousand times.
    #[test]
    fn x24_what_waits_for_its_turn_is_small() {
        let flight = size_of_future(Flight::run);
        type Turn = (&'static Flight, Box<Leased>, &'static Registered);
        let turn = size_of_future(async |(flight, leased, provider): Turn| {
            drop(flight.refresh(provider, leased, provider.places.try_take().unwrap()).await);
        });
        assert!(flight <= 4096, "{flight}");
        assert!(turn <= 2048, "{turn}");
    }
}

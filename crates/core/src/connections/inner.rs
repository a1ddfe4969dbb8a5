//! What all clones of [`Connections`](super::Connections) share.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle as Runtime;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::binding::User;
use crate::clock::{Clock, saturating_add};
use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flow::Flow;
use crate::observe;
use crate::random;
use crate::rfc::Revocation;
use crate::state::{StoreError, StoreErrorKind};
use crate::text;
use crate::token::TokenSet;
use crate::token_store::{Record, TokenStore, Version};
use crate::wait::{caught, within, within_if_it_waits};

use super::access::View;
use super::event::{Event, EventKind};
use super::failure;
use super::pace::Pace;
use super::pause::Pause;
use super::places::Places;
use super::plan::{self, CoolDown, Demand, Moment, Policy, Step};
use super::point::{Point, Probe};
use super::sealer::Sealer;
use super::slots::{Slot, Slots};

/// How much of a provider id that is not known is shown, in characters.
const MAX_SHOWN: usize = 64;

/// What the builder set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cache_for: Duration,
    pub(super) lease: Duration,
    pub(super) store_timeout: Duration,
    pub(super) wait: Duration,
    pub(super) cool_down: CoolDown,
    pub(super) tombstone: Duration,
}

/// One provider.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) flow: Flow,
    pub(super) policy: Policy,
    /// How many refreshes may run at once.
    pub(super) places: Places,
    /// How many may begin in a second.
    pub(super) pace: Pace,
}

impl Registered {
    /// The connection of `user`, whose account is not known yet.
    pub(super) fn key_of(&self, user: &User) -> ConnectionKey {
        ConnectionKey::new(user, self.flow.provider().shared_id())
    }
}

pub(super) struct Inner {
    pub(super) providers: BTreeMap<Box<str>, Registered>,
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) sealer: Sealer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Runtime,
    pub(super) settings: Settings,
    pub(super) slots: Slots,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) tasks: watch::Sender<usize>,
    pub(super) is_closing: AtomicBool,
    pub(super) probe: Option<Arc<dyn Probe>>,
}

/// When it was, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    pub(super) monotonic: Duration,
    pub(super) wall: SystemTime,
}

impl Inner {
    pub(super) fn instant(&self) -> Instant {
        Instant { monotonic: self.clock.monotonic(), wall: self.clock.now() }
    }

    /// How long ago `then` was: the monotonic clock may have stood still with the machine, and the wall clock may be set.
    pub(super) fn since(&self, then: Instant) -> Duration {
        let now = self.instant();
        let by_wall = now.wall.duration_since(then.wall).unwrap_or_default();
        now.monotonic.saturating_sub(then.monotonic).max(by_wall)
    }

    /// The provider that `operation` is asked for.
    pub(super) fn provider(&self, id: &str, operation: Operation) -> Result<&Registered> {
        self.providers.get(id).ok_or_else(|| {
            // It may come from a URL.
            let id = text::clean(id, MAX_SHOWN);
            Error::usage("no flow of this provider id was given to Connections::builder()").at(&id, operation)
        })
    }

    /// The provider of a connection, whose key is looked at first.
    pub(super) fn registered(&self, key: &ConnectionKey, operation: Operation) -> Result<&Registered> {
        check_user(key.user())?;
        self.provider(key.provider_id(), operation)
    }

    /// What spans and metrics call a provider: one of those that there are, whatever a caller asked for.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn label<'a>(&self, provider_id: &'a str) -> &'a str {
        if self.providers.contains_key(provider_id) { provider_id } else { observe::NO_PROVIDER }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Nothing is begun any more: who waits for a place or for a turn is told so.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        for provider in self.providers.values() {
            provider.places.close();
            provider.pace.close();
        }
    }

    /// Runs `work` to its end, whoever waits for it.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let counted = Counted::new(Arc::clone(self));
        self.runtime.spawn(async move {
            let _counted = counted;
            work.await
        })
    }

    /// The same, and waits for it.
    pub(super) async fn detached<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.spawn(work).await.unwrap_or_else(|_| Err(failure::interrupted()))
    }

    /// A store's answer, within its time. One that panics has lost it: what was asked may be done, and is looked for or asked
    /// again as after a connection that broke, so that no token is lost to a bug that shows once.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.ask_within(self.settings.store_timeout, call).await
    }

    /// The same, within another time.
    pub(super) async fn ask_within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = || self.clock.sleep(limit);
        let lost = |why: &'static str| Err(StoreError::new(StoreErrorKind::OutcomeUnknown).with_source(why));
        match within_if_it_waits(caught(call), limit).await {
            Some(Some(answer)) => answer,
            Some(None) => lost("the store panicked"),
            None => lost("the store did not answer in time"),
        }
    }

    /// What a flow does, within a time that no HTTP client should need.
    pub(super) async fn bounded<T>(
        &self,
        flow: &Flow,
        operation: Operation,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = flow.limits().total.saturating_mul(2).saturating_add(Duration::from_secs(10));
        within(work, self.clock.sleep(limit)).await.unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Network, "the HTTP client did not keep to its deadline");
            Err(error.at(flow.provider().id(), operation))
        })
    }

    /// Tokens that nobody will hold are not left in force, if it can be helped.
    pub(super) async fn give_back(&self, provider: &Registered, tokens: &TokenSet) {
        // It hardly ever happens, and who may have to do it would have room for it.
        let _ = Box::pin(self.revoke(provider, tokens)).await;
    }

    /// Has the provider revoke tokens that nobody will hold. Where the access token itself authorizes that and is over, the refresh
    /// token brings one that is not: else it would stay in force, and with it all that it stands for.
    pub(super) async fn revoke(&self, provider: &Registered, tokens: &TokenSet) -> Result<Revocation> {
        let revoked = self.revoke_with(provider, tokens).await;
        match &revoked {
            Err(error) if plan::is_about_access_token(error) => {}
            _ => return revoked,
        }
        let flow = &provider.flow;
        let refresh = Box::pin(caught(self.bounded(flow, Operation::Refresh, flow.refresh(tokens))));
        match refresh.await {
            Some(Ok(fresh)) if !plan::is_other_account(tokens, &fresh) => {
                Box::pin(self.revoke_with(provider, &fresh)).await
            }
            _ => revoked,
        }
    }

    /// A hook that panics there takes nothing else with it.
    async fn revoke_with(&self, provider: &Registered, tokens: &TokenSet) -> Result<Revocation> {
        let flow = &provider.flow;
        let revoked = self.bounded(flow, Operation::Revoke, flow.revoke(tokens));
        let interrupted = || Err(failure::interrupted().at(flow.provider().id(), Operation::Revoke));
        caught(revoked).await.unwrap_or_else(interrupted)
    }

    /// Opens a record that was asked for by `key`.
    pub(super) async fn open(&self, key: &ConnectionKey, record: &Record) -> Result<View> {
        if record.key != *key {
            return Err(failure::contract(
                "the token store answered with the record of another connection; it was not read",
            ));
        }
        let contents = self.sealer.open(key, record.version.incarnation(), &record.sealed).await?;
        let mark = plan::mark_of(record.mark.clone(), contents.pause().and_then(Pause::mark));
        Ok(View {
            key: key.clone(),
            contents,
            version: record.version,
            mark,
            is_saved: true,
            first_seen: self.instant(),
        })
    }

    pub(super) fn assess(&self, view: &View, policy: &Policy, demand: Demand) -> Step {
        let Instant { monotonic, wall } = view.first_seen;
        let seen_for = self.clock.monotonic().saturating_sub(monotonic);
        let moment = Moment { now: self.clock.now(), seen_at: wall, seen_for };
        let jitter = jitter_of(&view.key, &view.version);
        plan::assess(&view.contents, &view.version, view.mark.as_ref(), policy, jitter, demand, moment)
    }

    /// Why its provider is not asked now, by what the record tells.
    pub(super) fn paused(&self, view: &View) -> Option<Error> {
        let pause = view.contents.pause()?;
        let left = pause.left(self.clock.now(), self.settings.cool_down.most())?;
        Some(pause.error(left))
    }

    /// Until when.
    pub(super) fn paused_until(&self, view: &View) -> Option<SystemTime> {
        let now = self.clock.now();
        let left = view.contents.pause()?.left(now, self.settings.cool_down.most())?;
        Some(saturating_add(now, left))
    }

    pub(super) fn tell(&self, key: &ConnectionKey, kind: EventKind) {
        // Nobody may be listening.
        observe::happened(key.provider_id(), kind.as_str());
        let _ = self.events.send(Event { key: key.clone(), at: self.clock.now(), kind });
    }

    pub(super) async fn point(&self, point: Point) {
        if let Some(probe) = &self.probe {
            probe.at(point).await;
        }
    }

    pub(super) fn slot(&self, key: &ConnectionKey) -> Arc<Slot> {
        self.slots.get(key)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("providers", &self.providers.keys())
            .field("store", &self.store)
            .field("sealer", &self.sealer)
            .finish_non_exhaustive()
    }
}

/// Refuses a user without an id: all who have none would share one connection.
pub(super) fn check_user(user: &User) -> Result<()> {
    if user.id.is_empty() {
        return Err(Error::usage("a connection is of a user, and this one has an empty id"));
    }
    Ok(())
}

/// A task that is counted as long as it lives.
struct Counted(Arc<Inner>);

impl Counted {
    fn new(inner: Arc<Inner>) -> Self {
        inner.tasks.send_modify(|count| *count = count.saturating_add(1));
        Self(inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// From 0 to 1: the same for all processes, another one for each connection and each of its tokens.
fn jitter_of(key: &ConnectionKey, version: &Version) -> f64 {
    let [a, b, ..] = *key.id().as_bytes();
    let spread = version.counter().wrapping_mul(0x9e37);
    let low = u16::try_from(spread & 0xffff).unwrap_or_default();
    f64::from(u16::from_be_bytes([a, b]) ^ low) / f64::from(u16::MAX)
}

/// From 0 to 1, drawn.
pub(super) fn jitter() -> f64 {
    let mut bytes = [0; 2];
    // Jitter is no secret: without randomness all wait the same.
    let _ = random::fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_store::Incarnation;

    /// Whether all are from 0 to 1, and no tenth of that has none or more than twice its share.
    fn is_spread(values: &[f64]) -> bool {
        let tenths = (0..10).map(|tenth| {
            let (from, to) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
            values.iter().filter(|&&value| from <= value && value < to).count()
        });
        let mut fair = tenths.map(|count| (1..values.len() / 5).contains(&count));
        values.iter().all(|value| (0.0..=1.0).contains(value)) && fair.all(|it| it)
    }

    /// F19: what came together is refreshed at many times, which are the same for all processes.
    #[test]
    fn f19_each_connection_and_each_of_its_tokens_has_a_time_of_its_own() {
        let first = Version::first(Incarnation::from_bytes([1; 16]));
        let key = |number| ConnectionKey::new(&User::new("t", format!("user-{number}")), "p");
        let of_users: Vec<_> = (0..1000).map(|number| jitter_of(&key(number), &first)).collect();
        assert!(is_spread(&of_users), "{of_users:?}");
        let mut version = first;
        let of_versions: Vec<_> = (0..1000)
            .map(|_| {
                version = version.next();
                jitter_of(&key(0), &version)
            })
            .collect();
        assert!(is_spread(&of_versions), "{of_versions:?}");
        assert_eq!(jitter_of(&key(0), &first).to_bits(), of_users[0].to_bits());
        let drawn: Vec<_> = (0..1000).map(|_| jitter()).collect();
        assert!(is_spread(&drawn), "{drawn:?}");
    }
}

//! Builds [`Connections`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Semaphore, watch};

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Operation, Result};
use crate::flow::Flow;
use crate::quirks::IssPolicy;
use crate::seal::Keys;
use crate::token_store::{Lease, TokenStore};

use super::inner::{Inner, Registered, Settings};
use super::pace::Pace;
use super::places::Places;
use super::plan::{CoolDown, Policy};
use super::point::Probe;
use super::sealer::Sealer;
use super::slots::Slots;
use super::{Connections, event};

/// Builds [`Connections`]. Mistakes are reported by [`build`](Self::build).
#[must_use]
pub struct ConnectionsBuilder {
    flows: Vec<Flow>,
    store: Option<Arc<dyn TokenStore>>,
    sealer: Option<Sealer>,
    clock: Arc<dyn Clock>,
    runtime: Option<Runtime>,
    settings: Settings,
    max_cached: usize,
    refresh_early: Duration,
    keep_alive: Duration,
    max_refreshes: usize,
    refreshes_per_second: Option<u32>,
    probe: Option<Arc<dyn Probe>>,
}

impl ConnectionsBuilder {
    pub(super) fn new() -> Self {
        Self {
            flows: Vec::new(),
            store: None,
            sealer: None,
            clock: Arc::new(SystemClock::new()),
            runtime: None,
            settings: Settings {
                cache_for: Duration::from_secs(30),
                lease: Duration::from_secs(10),
                store_timeout: Duration::from_secs(5),
                wait: Duration::from_secs(60),
                cool_down: CoolDown {
                    first: Duration::from_secs(1),
                    longest: Duration::from_secs(300),
                    longest_asked: Duration::from_secs(3600),
                },
                tombstone: Duration::from_secs(3600),
            },
            max_cached: 100_000,
            refresh_early: Duration::from_secs(60),
            keep_alive: Duration::from_secs(7 * 24 * 60 * 60),
            max_refreshes: 32,
            refreshes_per_second: None,
            probe: None,
        }
    }

    /// Adds a provider. Repeatable; each needs a provider id of its own.
    pub fn flow(mut self, flow: Flow) -> Self {
        self.flows.push(flow);
        self
    }

    /// Where connections are kept. Required.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// What connections are sealed with. Required, unless the application says [`unsealed`](Self::unsealed) or the store
    /// forgets everything with the process.
    pub fn keys(mut self, keys: impl Into<Keys>) -> Self {
        self.sealer = Some(Sealer::Keys(keys.into()));
        self
    }

    /// Keeps connections **in the clear**: whoever reads the store has every token in it. For a store that seals by itself.
    pub fn unsealed(mut self) -> Self {
        self.sealer = Some(Sealer::Unsealed);
        self
    }

    /// The clock. Default: the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The runtime that refreshes, completions and disconnects run in, whoever waits for them. Default: the one that
    /// [`build`](Self::build) is called in.
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long a token is served from memory without asking the store. So long may a disconnect on another machine take to be
    /// seen here. Default: 30 seconds.
    pub const fn cache_for(mut self, duration: Duration) -> Self {
        self.settings.cache_for = duration;
        self
    }

    /// How many connections are remembered at most. Those in use are never forgotten. Default: 100,000.
    pub const fn max_cached(mut self, connections: usize) -> Self {
        self.max_cached = connections;
        self
    }

    /// How long a process that refreshes has the connection for itself; it renews this while it works, and a process that died
    /// is taken over from after as long. Default: 10 seconds; 1 second to 5 minutes.
    pub const fn lease(mut self, duration: Duration) -> Self {
        self.settings.lease = duration;
        self
    }

    /// How long one call of the store may take. Default: 5 seconds.
    pub const fn store_timeout(mut self, duration: Duration) -> Self {
        self.settings.store_timeout = duration;
        self
    }

    /// How long a caller waits for a refresh that another process has begun. Default: one minute.
    pub const fn wait(mut self, duration: Duration) -> Self {
        self.settings.wait = duration;
        self
    }

    /// How long before its end an access token is replaced in the background, where the provider's quirks name no margin. A
    /// connection does so up to half as long earlier, each at its own moment, and no earlier than in the last quarter of the
    /// token's time. Default: one minute.
    pub const fn refresh_early(mut self, duration: Duration) -> Self {
        self.refresh_early = duration;
        self
    }

    /// How long nothing is tried after a failed refresh: `first`, then twice as long each time, `longest` at most. A
    /// `Retry-After` that asks for more is kept to, up to an hour. Where it is the provider that could not answer, or asked for
    /// time, that is written into the record, and kept to by every process that shares the store. Default: 1 second and 5
    /// minutes.
    pub const fn cool_down(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.cool_down.first = first;
        self.settings.cool_down.longest = longest;
        self
    }

    /// The most of `Retry-After` (RFC 9110 §10.2.3) that is believed, a day at most. Default: one hour.
    pub const fn max_retry_after(mut self, longest: Duration) -> Self {
        self.settings.cool_down.longest_asked = longest;
        self
    }

    /// How many refreshes run at once at one provider. Default: 32, and never more than
    /// [`max_refreshes_per_second`](Self::max_refreshes_per_second), where that is set.
    ///
    /// Where the last requests had no answer (as many as run at once, but two to eight of them), whoever would have to wait for
    /// one of those refreshes to end gets [`ErrorKind::Network`](crate::ErrorKind::Network) within a second.
    pub const fn max_refreshes(mut self, refreshes: usize) -> Self {
        self.max_refreshes = refreshes;
        self
    }

    /// How many refresh requests are sent in a second at most to one provider, by this process. Whoever has no token that is
    /// good waits for a turn, and so does a [`sweep`](Connections::sweep); a token that is good is served, and replaced by a
    /// later call if there is no turn now. Default: no bound.
    pub const fn max_refreshes_per_second(mut self, refreshes: u32) -> Self {
        self.refreshes_per_second = Some(refreshes);
        self
    }

    /// After how long an idle connection is due for [`sweep`](Connections::sweep), so that its refresh token does not lapse.
    /// Where the provider tells when it lapses, two thirds of that time if this is sooner. Default: seven days.
    pub const fn keep_alive(mut self, duration: Duration) -> Self {
        self.keep_alive = duration;
        self
    }

    #[cfg(test)]
    pub(crate) fn probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): no flow or store, a provider id twice, a durable store
    /// without keys, keys that are missing or cannot be read as keys, two providers that share a redirect URI and do not both name their issuer in the callback, no runtime.
    pub fn build(self) -> Result<Connections> {
        let id = self.flows.first().map(|flow| flow.provider().id().to_owned()).unwrap_or_default();
        self.build_checked()
            .map_err(|error| if id.is_empty() { error } else { error.at(&id, Operation::Build) })
    }

    fn build_checked(self) -> Result<Connections> {
        if self.flows.is_empty() {
            return Err(Error::configuration("connections need a flow: add one with `flow`"));
        }
        // First: whoever adds a provider twice has said its redirect URI twice as well.
        check_ids(&self.flows)?;
        check_mix_up(&self.flows)?;
        let store = self.store.ok_or_else(|| {
            Error::configuration("connections need a token store: add one with `token_store`")
        })?;
        let sealer = match self.sealer {
            Some(sealer) => sealer,
            None if !store.is_durable() => Sealer::Unsealed,
            None => {
                return Err(Error::configuration(
                    "this token store outlives the process, so what it keeps is sealed: give `keys`, or say `unsealed`",
                ));
            }
        };
        if let Sealer::Keys(keys) = &sealer {
            keys.check()?;
        }
        let lease = self.settings.lease;
        if lease < Duration::from_secs(1) || lease > Lease::LONGEST {
            return Err(Error::configuration("lease is one second to five minutes"));
        }
        if self.settings.store_timeout.is_zero()
            || self.max_refreshes == 0
            || self.refreshes_per_second == Some(0)
        {
            return Err(Error::configuration(
                "store_timeout, max_refreshes and max_refreshes_per_second are not zero",
            ));
        }
        // Who waits for a turn holds a permit and a lease: no more of them than get their turn within a second.
        let in_a_second = self.refreshes_per_second.and_then(|bound| usize::try_from(bound).ok());
        let at_once = self.max_refreshes.min(Semaphore::MAX_PERMITS).min(in_a_second.unwrap_or(usize::MAX));
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Runtime::try_current().map_err(|source| {
                Error::configuration(
                    "connections need a tokio runtime: build them in one, or give its handle",
                )
                .with_source(source)
            })?,
        };
        let mut providers = BTreeMap::new();
        for flow in self.flows {
            let provider = flow.provider();
            let policy = Policy::new(&provider.quirks().refresh_policy, self.refresh_early, self.keep_alive);
            let id: Box<str> = provider.id().into();
            let places = Places::new(at_once);
            let pace = Pace::new(self.refreshes_per_second);
            providers.insert(id, Registered { flow, policy, places, pace });
        }
        Ok(Connections::new(Inner {
            providers,
            store,
            sealer,
            clock: self.clock,
            runtime,
            settings: self.settings,
            slots: Slots::new(self.max_cached),
            events: event::channel(),
            tasks: watch::Sender::new(0),
            is_closing: AtomicBool::new(false),
            probe: self.probe,
        }))
    }
}

/// A provider id is part of every key: two registrations under one would have each other's connections.
fn check_ids(flows: &[Flow]) -> Result<()> {
    let mut ids = BTreeSet::new();
    match flows.iter().map(|flow| flow.provider().id()).find(|id| !ids.insert(*id)) {
        Some(twice) => Err(Error::configuration(format!(
            "`{twice}` was added twice: remove one, or give it another id (`provider_id`, or `id` where it is configured) and a \
             redirect URI of its own"
        ))),
        None => Ok(()),
    }
}

/// Two providers at one redirect URI are told apart by `iss` only (RFC 9700 §4.4.2).
fn check_mix_up(flows: &[Flow]) -> Result<()> {
    for (at, flow) in flows.iter().enumerate() {
        for other in flows.iter().skip(at + 1) {
            let (mine, others) = (flow.manager().credentials(), other.manager().credentials());
            let shares = mine.redirect_uris().any(|uri| others.redirect_uris().any(|other| other == uri));
            if shares && !(names_issuer(flow) && names_issuer(other)) {
                return Err(Error::configuration(format!(
                    "`{}` and `{}` share a redirect URI, and not both name their issuer in the callback: one could pass off \
                     its callback as the other's (RFC 9700 §4.4); give each a redirect URI of its own",
                    flow.provider().id(),
                    other.provider().id(),
                )));
            }
        }
    }
    Ok(())
}

fn names_issuer(flow: &Flow) -> bool {
    let provider = flow.provider();
    provider.endpoints().issuer.is_some()
        && provider.quirks().authorization_response.iss == IssPolicy::Required
}

impl fmt::Debug for ConnectionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionsBuilder")
            .field("flows", &self.flows)
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

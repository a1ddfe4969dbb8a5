//! Going through all connections: to keep those of idle users alive, and to seal them with the newest key.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::connection_key::{ConnectionKey, Shard};
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::error::Operation;
use crate::error::{ErrorKind, Result};
use crate::observe::observed;
use crate::token_store::{
    Cursor, Expected, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page, Record, Release,
    SaveOutcome, Write,
};

use super::failure;
use super::inner::Inner;
use super::pace::Pace;
use super::plan::Demand;
use super::sealer::Sealer;

/// A sweep that is about to begin. Await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Sweep {
    inner: Arc<Inner>,
    shards: Vec<Shard>,
    at_once: usize,
    per_second: Option<u32>,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    KeepAlive,
    Reseal,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// The connections that were looked at.
    pub seen: usize,
    /// Those that were refreshed, or sealed again, by this sweep or by somebody else meanwhile, and those where there was
    /// nothing to do after all.
    pub done: usize,
    /// Those whose user has to connect again.
    pub need_reconnect: usize,
    /// Those where it failed and is tried again by a later sweep.
    pub failed: usize,
}

/// How many keys are asked for at once.
const PAGE: usize = 200;

impl Sweep {
    pub(super) fn keep_alive(inner: Arc<Inner>) -> Self {
        Self { inner, shards: Shard::all().collect(), at_once: 64, per_second: None, work: Work::KeepAlive }
    }

    pub(super) fn reseal(inner: Arc<Inner>) -> Self {
        Self { inner, shards: Shard::all().collect(), at_once: 8, per_second: None, work: Work::Reseal }
    }

    /// Only these shards: several workers share the work by taking some each. Two that take the same do no harm.
    pub fn shards(mut self, shards: impl IntoIterator<Item = Shard>) -> Self {
        self.shards = shards.into_iter().collect();
        self
    }

    /// How many connections are worked on at once. How many refreshes run at once at a provider is bounded by
    /// [`max_refreshes`](super::ConnectionsBuilder::max_refreshes) besides.
    pub fn at_once(mut self, connections: usize) -> Self {
        self.at_once = connections.max(1);
        self
    }

    /// How many connections are begun with in a second at most. Default: as many as go. What bounds all refreshes of a provider,
    /// those of callers too, is [`max_refreshes_per_second`](super::ConnectionsBuilder::max_refreshes_per_second).
    pub fn per_second(mut self, connections: u32) -> Self {
        self.per_second = Some(connections.max(1));
        self
    }

    async fn run(self) -> Result<Swept> {
        let Self { inner, shards, at_once, per_second, work } = self;
        let pace = Pace::new(per_second);
        let mut swept = Swept::default();
        let mut running = JoinSet::new();
        for shard in shards {
            let mut after = None;
            loop {
                let page = inner.page(work, shard, after.clone()).await?;
                for key in page.keys {
                    if !inner.providers.contains_key(key.provider_id()) {
                        continue;
                    }
                    while running.len() >= at_once {
                        swept.count(running.join_next().await.and_then(std::result::Result::ok));
                    }
                    pace.turn(&*inner.clock).await;
                    let inner = Arc::clone(&inner);
                    let runtime = inner.runtime.clone();
                    running.spawn_on(async move { inner.work_on(work, &key).await }, &runtime);
                    swept.seen = swept.seen.saturating_add(1);
                }
                match page.next {
                    Some(next) if after.as_ref() == Some(&next) => return Err(failure::endless()),
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        while let Some(done) = running.join_next().await {
            swept.count(done.ok());
        }
        Ok(swept)
    }
}

impl Swept {
    fn count(&mut self, done: Option<Result<()>>) {
        let count = match done {
            Some(Ok(())) => &mut self.done,
            Some(Err(error)) => match error.kind() {
                ErrorKind::NeedsReconnect | ErrorKind::RotationLost | ErrorKind::AccountChanged => {
                    &mut self.need_reconnect
                }
                // It was disconnected since the index was read.
                ErrorKind::NotConnected => &mut self.done,
                _ => &mut self.failed,
            },
            None => &mut self.failed,
        };
        *count = count.saturating_add(1);
    }
}

impl Inner {
    async fn page(&self, work: Work, shard: Shard, after: Option<Cursor>) -> Result<KeyPage> {
        let page = match after {
            Some(after) => Page::first(PAGE).after(after),
            None => Page::first(PAGE),
        };
        let found = match work {
            Work::KeepAlive => self.ask(self.store.due_before(shard, self.clock.now(), &page)).await,
            Work::Reseal => self.ask(self.store.walk(shard, &page)).await,
        };
        found.map_err(failure::of_store)
    }

    async fn work_on(self: &Arc<Self>, work: Work, key: &ConnectionKey) -> Result<()> {
        match work {
            Work::KeepAlive => self.obtain(&self.slot(key), Demand::Due).await.map(drop),
            Work::Reseal => self.reseal(key).await,
        }
    }

    /// Under the lease, so that no refresh under way finds another version than it expects.
    async fn reseal(&self, key: &ConnectionKey) -> Result<()> {
        let Sealer::Keys(keys) = &self.sealer else { return Ok(()) };
        let loaded = self.ask(self.store.load(key)).await.map_err(failure::of_store)?;
        let Loaded::Found(record) = loaded else { return Ok(()) };
        // A mark would be lost with the save: who refreshes seals with the newest key anyway.
        if record.mark.is_some() || !keys.ring().await?.needs_reseal(record.sealed.as_bytes())? {
            return Ok(());
        }
        let view = self.open(key, &record).await?;
        let holder = LeaseHolder::random()?;
        let request = LeaseRequest::new(holder, self.settings.lease).if_version(record.version);
        let leased = self.ask(self.store.lease(key, request)).await.map_err(failure::of_store)?;
        if let LeaseOutcome::Leased { record: again, .. } = &leased {
            if again.key != *key || again.version != record.version {
                return Err(failure::contract(
                    "the token store leased another record, or another version, than the one that was asked for",
                ));
            }
        }
        let LeaseOutcome::Leased { found: None, .. } = leased else {
            self.end_lease(key, &leased, &holder).await;
            return Ok(());
        };
        let sealed = self.sealer.seal(key, record.version.incarnation(), &view.contents).await;
        let saved = match sealed {
            Ok(sealed) => {
                self.save_resealed(key, &record, &holder, Write::new(sealed).due_at(record.due_at)).await
            }
            Err(error) => Err(error),
        };
        if saved.is_err() {
            self.end_lease(key, &leased, &holder).await;
        }
        saved
    }

    async fn save_resealed(
        &self,
        key: &ConnectionKey,
        record: &Record,
        holder: &LeaseHolder,
        write: Write,
    ) -> Result<()> {
        let expected = Expected::version(record.version).held_by(*holder);
        match self.ask(self.store.save_if_version(key, &expected, write)).await.map_err(failure::of_store)? {
            SaveOutcome::Saved(version) if version != record.version.next() => Err(failure::contract(
                "the token store saved over another version than the one that was asked for",
            )),
            // Whatever else is there now was written by somebody who sealed it.
            SaveOutcome::Saved(_)
            | SaveOutcome::Changed(_)
            | SaveOutcome::NotHeld
            | SaveOutcome::Absent
            | SaveOutcome::Tombstone(_) => Ok(()),
        }
    }

    async fn end_lease(&self, key: &ConnectionKey, outcome: &LeaseOutcome, holder: &LeaseHolder) {
        if matches!(outcome, LeaseOutcome::Leased { .. }) {
            let _ = self.ask(self.store.release(key, holder, Release::new().keep_mark())).await;
        }
    }
}

impl IntoFuture for Sweep {
    type Output = Result<Swept>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Swept>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            let clock = Arc::clone(&self.inner.clock);
            observed!(&clock, crate::observe::NO_PROVIDER, Operation::Sweep, self.run()).await
        })
    }
}

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

/// What came of one connection.
enum Worked {
    Done,
    Left,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// The connections that were looked at.
    pub seen: usize,
    /// Those that were refreshed, or sealed again, by this sweep or by somebody else meanwhile, and those where there was
    /// nothing to do after all. Of a [`reseal`](super::Connections::reseal): those that need no other key than the one that
    /// writes.
    pub done: usize,
    /// Of a [`reseal`](super::Connections::reseal): those that may be sealed with another key still, since somebody else was
    /// writing them, or refreshing them under a lease, all the while. The old key is needed for them.
    pub left: usize,
    /// Those whose user has to connect again.
    pub need_reconnect: usize,
    /// Those where it failed and is tried again by a later sweep.
    pub failed: usize,
}

/// How many keys are asked for at once.
const PAGE: usize = 200;
/// How often a record may change while it is sealed anew.
const MAX_CHANGES: usize = 4;

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
                    // What is sealed is opened and sealed without its provider.
                    if work == Work::KeepAlive && !inner.providers.contains_key(key.provider_id()) {
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
    fn count(&mut self, done: Option<Result<Worked>>) {
        let count = match done {
            Some(Ok(Worked::Done)) => &mut self.done,
            Some(Ok(Worked::Left)) => &mut self.left,
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

    async fn work_on(self: &Arc<Self>, work: Work, key: &ConnectionKey) -> Result<Worked> {
        match work {
            Work::KeepAlive => self.obtain(&self.slot(key), Demand::Due).await.map(|_| Worked::Done),
            Work::Reseal => self.reseal(key).await,
        }
    }

    async fn reseal(&self, key: &ConnectionKey) -> Result<Worked> {
        let Sealer::Keys(keys) = &self.sealer else { return Ok(Worked::Done) };
        for _ in 0..MAX_CHANGES {
            let loaded = self.ask(self.store.load(key)).await.map_err(failure::of_store)?;
            let Loaded::Found(record) = loaded else { return Ok(Worked::Done) };
            if !keys.ring().await?.needs_reseal(record.sealed.as_bytes())? {
                return Ok(Worked::Done);
            }
            match self.reseal_record(key, &record).await? {
                Resealed::Saved => return Ok(Worked::Done),
                Resealed::Held => return Ok(Worked::Left),
                // Who changed it may have sealed it with the newest key, or may have an older ring.
                Resealed::Changed => {}
            }
        }
        Ok(Worked::Left)
    }

    /// Under the lease, so that no refresh under way finds another version than it expects.
    async fn reseal_record(&self, key: &ConnectionKey, record: &Record) -> Result<Resealed> {
        let view = self.open(key, record).await?;
        let holder = LeaseHolder::random()?;
        let request = LeaseRequest::new(holder, self.settings.lease).if_version(record.version);
        let found = match self.ask(self.store.lease(key, request)).await.map_err(failure::of_store)? {
            LeaseOutcome::Leased { record: again, found } => {
                if again.key != *key || again.version != record.version {
                    return Err(failure::contract(
                        "the token store leased another record, or another version, than the one that was asked for",
                    ));
                }
                found
            }
            LeaseOutcome::Held { .. } => return Ok(Resealed::Held),
            LeaseOutcome::Changed(_) | LeaseOutcome::Absent | LeaseOutcome::Tombstone(_) => {
                return Ok(Resealed::Changed);
            }
        };
        // The save takes the mark out of the record: that a refresh is in doubt is written into the contents.
        let doubted = found.map(|mark| view.contents.doubted(view.came_with(), &mark));
        let contents = doubted.as_ref().unwrap_or(&view.contents);
        let sealed = self.sealer.seal(key, record.version.incarnation(), contents).await;
        let saved = match sealed {
            Ok(sealed) => {
                self.save_resealed(key, record, &holder, Write::new(sealed).due_at(record.due_at)).await
            }
            Err(error) => Err(error),
        };
        if !matches!(saved, Ok(Resealed::Saved)) {
            let _ = self.ask(self.store.release(key, &holder, Release::new().keep_mark())).await;
        }
        saved
    }

    async fn save_resealed(
        &self,
        key: &ConnectionKey,
        record: &Record,
        holder: &LeaseHolder,
        write: Write,
    ) -> Result<Resealed> {
        let expected = Expected::version(record.version).held_by(*holder);
        match self.ask(self.store.save_if_version(key, &expected, write)).await.map_err(failure::of_store)? {
            SaveOutcome::Saved(version) if version != record.version.next() => Err(failure::contract(
                "the token store saved over another version than the one that was asked for",
            )),
            SaveOutcome::Saved(_) => Ok(Resealed::Saved),
            SaveOutcome::Changed(_)
            | SaveOutcome::NotHeld
            | SaveOutcome::Absent
            | SaveOutcome::Tombstone(_) => Ok(Resealed::Changed),
        }
    }
}

/// What came of sealing one record.
enum Resealed {
    Saved,
    /// Somebody else has the lease.
    Held,
    /// It is not the record any more that was read, or may not be.
    Changed,
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

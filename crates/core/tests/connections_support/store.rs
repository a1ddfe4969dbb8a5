//! A token store that can be made to fail.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    MemoryTokenStore, Page, Record, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard,
    StoreError, StoreErrorKind, Tenure, TokenStore, User, Version, Write, async_trait,
};
use tokio::sync::watch;

#[derive(Debug)]
pub struct FaultyStore {
    pub inner: MemoryTokenStore,
    /// Answers nothing and does nothing.
    pub is_down: AtomicBool,
    pub is_durable: AtomicBool,
    /// So many saves, puts or removals are done, and their answers lost.
    pub lost_writes: AtomicUsize,
    /// So many leases are given, and their answers lost.
    pub lost_leases: AtomicUsize,
    /// So many puts are not done, and nobody knows.
    pub lost_puts: AtomicUsize,
    /// So many saves are not done.
    pub failing_saves: AtomicUsize,
    /// So many removals are not done.
    pub failing_removals: AtomicUsize,
    /// So many renewals are not done.
    pub failing_renewals: AtomicUsize,
    /// So many renewals are neither done nor answered.
    pub silent_renewals: AtomicUsize,
    /// So many loads are not done.
    pub failing_loads: AtomicUsize,
    calls: Mutex<HashMap<&'static str, usize>>,
    /// Saves wait until this is true; no more of them than `held_saves`.
    pub saves_open: watch::Sender<bool>,
    pub held_saves: AtomicUsize,
    /// Answers each load with this connection's record.
    pub swapped: Mutex<Option<ConnectionKey>>,
    /// Renewals are refused.
    pub loses_leases: AtomicBool,
    /// The answers of so many leases wait until `leases_open` is true; see `hold_lease`.
    held_leases: AtomicUsize,
    pub leases_open: watch::Sender<bool>,
    /// Each call lets others run first.
    pub is_slow: AtomicBool,
    /// A page holds one entry, however many were asked for.
    pub has_short_pages: AtomicBool,
    /// The next call of this name panics before it does anything.
    panics: Mutex<Option<&'static str>>,
    /// The next call of this name waits before it does anything, until `open` is true.
    holds: Mutex<Option<&'static str>>,
    /// The next call of this name does what it is asked for, and its answer waits until `open` is true.
    late: Mutex<Option<&'static str>>,
    pub open: watch::Sender<bool>,
}

impl FaultyStore {
    pub fn new(inner: MemoryTokenStore) -> Self {
        Self {
            inner,
            is_down: AtomicBool::new(false),
            is_durable: AtomicBool::new(false),
            lost_writes: AtomicUsize::new(0),
            lost_leases: AtomicUsize::new(0),
            lost_puts: AtomicUsize::new(0),
            failing_saves: AtomicUsize::new(0),
            failing_removals: AtomicUsize::new(0),
            failing_renewals: AtomicUsize::new(0),
            silent_renewals: AtomicUsize::new(0),
            failing_loads: AtomicUsize::new(0),
            calls: Mutex::default(),
            saves_open: watch::Sender::new(true),
            held_saves: AtomicUsize::new(usize::MAX),
            swapped: Mutex::default(),
            loses_leases: AtomicBool::new(false),
            held_leases: AtomicUsize::new(0),
            leases_open: watch::Sender::new(true),
            is_slow: AtomicBool::new(false),
            has_short_pages: AtomicBool::new(false),
            panics: Mutex::default(),
            holds: Mutex::default(),
            late: Mutex::default(),
            open: watch::Sender::new(true),
        }
    }

    pub fn panic_at(&self, name: &'static str) {
        *self.panics.lock().unwrap() = Some(name);
    }

    pub fn hold(&self, name: &'static str) {
        self.open.send_replace(false);
        *self.holds.lock().unwrap() = Some(name);
    }

    /// As [`hold`](Self::hold), of the answer alone.
    pub fn hold_answer(&self, name: &'static str) {
        self.open.send_replace(false);
        *self.late.lock().unwrap() = Some(name);
    }

    /// Whether an answer waits that was held.
    pub fn is_holding_answer(&self) -> bool {
        self.late.lock().unwrap().is_none() && !*self.open.borrow()
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }

    /// Whether a call waits that was held.
    pub fn is_holding(&self) -> bool {
        self.holds.lock().unwrap().is_none() && !*self.open.borrow()
    }

    /// The next lease is done, and its answer waits until `leases_open` is true.
    pub fn hold_lease(&self) {
        self.leases_open.send_replace(false);
        self.held_leases.store(1, Ordering::SeqCst);
    }

    pub fn count(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Ends the lease that is held now, and leaves its mark, as time does.
    pub async fn end_lease(&self, key: &ConnectionKey) {
        let record = self.inner.load(key).await.unwrap().into_record().unwrap();
        if let Some(lease) = record.lease {
            self.inner.release(key, &lease.holder, Release::new().keep_mark()).await.unwrap();
        }
    }

    fn page(&self, asked: &Page) -> Page {
        let mut page = asked.clone();
        if self.has_short_pages.load(Ordering::SeqCst) {
            page.limit = 1;
        }
        page
    }

    /// What is stored, without being counted.
    pub async fn inner_record(&self, key: &ConnectionKey) -> Option<Record> {
        self.inner.load(key).await.unwrap().into_record()
    }

    pub fn down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    async fn enter(&self, name: &'static str) -> Result<(), StoreError> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        if self.is_slow.load(Ordering::SeqCst) {
            // Whoever asks looks twice before it waits.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        if take(&self.panics, name) {
            panic!("planted");
        }
        if take(&self.holds, name) {
            let _ = self.open.subscribe().wait_for(|open| *open).await;
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        Ok(())
    }

    async fn leave<T>(&self, name: &'static str, done: T) -> Result<T, StoreError> {
        if take(&self.late, name) {
            let _ = self.open.subscribe().wait_for(|open| *open).await;
        }
        lose(&self.lost_writes, done)
    }
}

fn lose<T>(count: &AtomicUsize, done: T) -> Result<T, StoreError> {
    match take_one(count) {
        true => Err(StoreError::new(StoreErrorKind::OutcomeUnknown)),
        false => Ok(done),
    }
}

fn fail(count: &AtomicUsize) -> Result<(), StoreError> {
    match take_one(count) {
        true => Err(StoreError::new(StoreErrorKind::Unavailable)),
        false => Ok(()),
    }
}

fn take(next: &Mutex<Option<&'static str>>, name: &'static str) -> bool {
    let mut next = next.lock().unwrap();
    let is_it = *next == Some(name);
    if is_it {
        *next = None;
    }
    is_it
}

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl TokenStore for FaultyStore {
    fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::SeqCst)
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        self.enter("put").await?;
        lose(&self.lost_puts, ())?;
        let done = self.inner.put(key, incarnation, write).await?;
        self.leave("put", done).await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        self.enter("load").await?;
        fail(&self.failing_loads)?;
        let swapped = self.swapped.lock().unwrap().clone();
        self.inner.load(swapped.as_ref().unwrap_or(key)).await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.enter("lease").await?;
        let done = self.inner.lease(key, request).await;
        if take_one(&self.held_leases) {
            let _ = self.leases_open.subscribe().wait_for(|open| *open).await;
        }
        lose(&self.lost_leases, done?)
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        self.enter("renew").await?;
        fail(&self.failing_renewals)?;
        if take_one(&self.silent_renewals) {
            std::future::pending::<()>().await;
        }
        if self.loses_leases.load(Ordering::SeqCst) {
            return Ok(Tenure::Lost);
        }
        self.inner.renew(key, holder, renew).await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.enter("release").await?;
        self.inner.release(key, holder, release).await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let mut open = self.saves_open.subscribe();
        if !*open.borrow() && take_one(&self.held_saves) {
            let _ = open.wait_for(|open| *open).await;
        }
        self.enter("save").await?;
        fail(&self.failing_saves)?;
        let done = self.inner.save_if_version(key, expected, write).await?;
        self.leave("save", done).await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.enter("remove").await?;
        fail(&self.failing_removals)?;
        let done = self.inner.remove(key, remove).await?;
        self.leave("remove", done).await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        self.enter("list").await?;
        self.inner.list_by_user(user, &self.page(page)).await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        self.enter("due").await?;
        self.inner.due_before(shard, time, &self.page(page)).await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.enter("walk").await?;
        self.inner.walk(shard, &self.page(page)).await
    }
}

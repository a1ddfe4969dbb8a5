//! What the checks are given, and the calls in few words.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Record, RefreshMark,
    SealedBytes, StoreError, TokenStore, User, Version, Write,
};
use tokio::sync::Barrier;

use crate::ManualClock;
use crate::conformance::{Failure, succeed};

type Pass = Arc<dyn Fn(Duration) + Send + Sync>;
type Lengthen =
    Arc<dyn Fn(ConnectionKey, Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
type Damage = Arc<dyn Fn(ConnectionKey) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The store that is held to the contract, and what a test can do to it that its callers cannot.
///
/// A store alone is enough. The checks about the end of a lease then take short leases and ask until they have ended; all
/// others take leases that last for a minute and more.
///
/// ```
/// use std::sync::Arc;
///
/// use authflow_core::MemoryTokenStore;
/// use authflow_testkit::ManualClock;
/// use authflow_testkit::conformance::token_store::TokenStoreFixture;
///
/// let clock = ManualClock::new();
/// let store = MemoryTokenStore::new().clock(Arc::new(clock.clone()));
/// let fixture = TokenStoreFixture::new(store).clock(clock);
/// # let _ = fixture;
/// ```
pub struct TokenStoreFixture<S> {
    stores: Vec<Arc<S>>,
    pass: Option<Pass>,
    damage: Option<Damage>,
    lengthen: Option<Lengthen>,
    patience: Duration,
}

impl<S: TokenStore> TokenStoreFixture<S> {
    /// A store whose clock the suite cannot move.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { stores: vec![Arc::new(store)], pass: None, damage: None, lengthen: None, patience: PATIENCE }
    }

    /// Adds another instance that looks at the same connections, as another process does. The checks then make their calls
    /// through all instances in turn.
    #[must_use]
    pub fn also(mut self, store: S) -> Self {
        self.stores.push(Arc::new(store));
        self
    }

    /// The store counts its leases by this clock.
    #[must_use]
    pub fn clock(self, clock: ManualClock) -> Self {
        self.pass_time(move |by| clock.advance(by))
    }

    /// Lets time pass for the store, at once.
    #[must_use]
    pub fn pass_time(mut self, pass: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.pass = Some(Arc::new(pass));
        self
    }

    /// Damages what is stored under a key, behind the store's back, so that it cannot be read. What belongs to the backend
    /// itself is meant, such as a field that is no number; the sealed bytes are no business of the store. Without it the
    /// check about damage is skipped.
    #[must_use]
    pub fn damage<F>(mut self, damage: impl Fn(ConnectionKey) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.damage = Some(Arc::new(move |key| Box::pin(damage(key))));
        self
    }

    /// Lets the lease that is stored under a key end so much later, behind the store's back: as if the store's clock had gone
    /// back since it was taken. Without it the checks about that are skipped: for a store whose clock cannot go back.
    #[must_use]
    pub fn lengthen_lease<F>(
        mut self,
        lengthen: impl Fn(ConnectionKey, Duration) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.lengthen = Some(Arc::new(move |key, by| Box::pin(lengthen(key, by))));
        self
    }

    /// How long the suite waits for what may lag, for the end of a lease and for calls that are made at once. Default: 20
    /// seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same with another type of store.
    pub(super) fn map<T: TokenStore>(self, wrap: impl Fn(Arc<S>) -> T) -> TokenStoreFixture<T> {
        TokenStoreFixture {
            stores: self.stores.into_iter().map(|store| Arc::new(wrap(store))).collect(),
            pass: self.pass,
            damage: self.damage,
            lengthen: self.lengthen,
            patience: self.patience,
        }
    }

    pub(super) fn store(&self) -> &S {
        &self.stores[0]
    }

    /// An instance for the call number `n`.
    pub(super) fn instance(&self, n: usize) -> Arc<S> {
        Arc::clone(&self.stores[n % self.stores.len()])
    }

    /// Another instance than [`store`](Self::store), where there is one.
    pub(super) fn other(&self) -> &S {
        &self.stores[1 % self.stores.len()]
    }

    /// Whether the clock stands still between two calls.
    pub(super) fn moves_by_hand(&self) -> bool {
        self.pass.is_some()
    }

    /// For leases and tombstones that are to end while the check waits.
    pub(super) fn short(&self) -> Duration {
        if self.moves_by_hand() { Duration::from_secs(30) } else { Duration::from_millis(60) }
    }

    /// Lets `duration` pass on the store's clock. Where it cannot be moved, a lease of that time is taken, and asked for
    /// until it has ended.
    pub(super) async fn let_pass(&self, duration: Duration) -> Result<(), Failure> {
        if let Some(pass) = &self.pass {
            pass(duration);
            return Ok(());
        }
        let key = Names::new()?.key("clock");
        connect(self.store(), &key, b"clock").await?;
        succeed!(
            self.store().lease(&key, LeaseRequest::new(holder()?, duration)).await,
            "leasing for {duration:?}"
        );
        self.eventually("a lease ends", || async {
            let loaded = succeed!(self.store().load(&key).await, "loading a leased record");
            Ok(matches!(loaded, Loaded::Found(record) if record.lease.is_none()))
        })
        .await
    }

    /// Asks until it is so.
    pub(super) async fn eventually<F>(&self, what: &str, mut is_so: impl FnMut() -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<bool, Failure>>,
    {
        let asking = async {
            while !is_so().await? {
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        match tokio::time::timeout(self.patience, asking).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(format!("it did not come about in {:?} that {what}", self.patience))),
        }
    }

    /// Damages a record; false where the fixture cannot.
    pub(super) async fn damaged(&self, key: &ConnectionKey) -> bool {
        match &self.damage {
            Some(damage) => {
                damage(key.clone()).await;
                true
            }
            None => false,
        }
    }

    /// Makes a stored lease end later; false where the fixture cannot.
    pub(super) async fn lengthened(&self, key: &ConnectionKey, by: Duration) -> bool {
        match &self.lengthen {
            Some(lengthen) => {
                lengthen(key.clone(), by).await;
                true
            }
            None => false,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for TokenStoreFixture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenStoreFixture").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// For leases that last as long as the check: three times this is a lease still.
pub(super) const LONG: Duration = Duration::from_secs(90);
/// How long anything may take to come about, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(20);
/// A time in January 2027, in whole milliseconds.
const START: u64 = 1_800_000_000_123;

/// A due time: `seconds` after the suite's own origin.
pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(START) + Duration::from_secs(seconds)
}

/// Names that no other check has, so that checks may share a server.
pub(super) struct Names {
    pub(super) tenant: String,
}

impl Names {
    pub(super) fn new() -> Result<Self, Failure> {
        let tenant = holder()?.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self { tenant: format!("planted-tenant-{tenant}") })
    }

    pub(super) fn user(&self, id: &str) -> User {
        User::new(self.tenant.as_str(), id)
    }

    /// A connection of the user `id`.
    pub(super) fn key(&self, id: &str) -> ConnectionKey {
        ConnectionKey::new(&self.user(id), "provider-1").with_account("planted-account")
    }

    /// A connection of a user whose name does not matter.
    pub(super) fn any(&self) -> ConnectionKey {
        self.key("planted-user")
    }

    /// Whether the key is one of these names.
    pub(super) fn are_of(&self, key: &ConnectionKey) -> bool {
        *key.user().tenant == *self.tenant
    }
}

pub(super) fn holder() -> Result<LeaseHolder, Failure> {
    LeaseHolder::random().map_err(|error| Failure::new(error.to_string()))
}

pub(super) fn incarnation() -> Result<Incarnation, Failure> {
    Incarnation::random().map_err(|error| Failure::new(error.to_string()))
}

/// A mark with a value in every field.
pub(super) fn mark(holder: LeaseHolder, attempt: u32) -> RefreshMark {
    let hash = std::array::from_fn(|at| at as u8 ^ 0xa5 ^ attempt as u8);
    RefreshMark::new(holder, hash, at(u64::from(attempt))).attempt(attempt)
}

pub(super) fn write(sealed: &[u8]) -> Write {
    Write::new(SealedBytes::new(sealed.to_vec()))
}

/// A new connect.
pub(super) async fn connect(
    store: &impl TokenStore,
    key: &ConnectionKey,
    sealed: &[u8],
) -> Result<Version, Failure> {
    connect_due(store, key, sealed, None).await
}

/// A new connect with a due time.
pub(super) async fn connect_due(
    store: &impl TokenStore,
    key: &ConnectionKey,
    sealed: &[u8],
    due_at: Option<SystemTime>,
) -> Result<Version, Failure> {
    let incarnation = incarnation()?;
    let version = succeed!(store.put(key, incarnation, write(sealed).due_at(due_at)).await, "a connect");
    if version != Version::first(incarnation) {
        return Err(Failure::new(format!("a connect with {incarnation:?} has the version {version:?}")));
    }
    Ok(version)
}

/// The record, which has to be there.
pub(super) async fn record(store: &impl TokenStore, key: &ConnectionKey) -> Result<Record, Failure> {
    match succeed!(store.load(key).await, "loading") {
        Loaded::Found(record) => Ok(record),
        other => Err(Failure::new(format!("a record is expected, and {other:?} is loaded"))),
    }
}

/// Leases for minutes; it has to succeed.
pub(super) async fn leased(
    store: &impl TokenStore,
    key: &ConnectionKey,
    holder: LeaseHolder,
) -> Result<Record, Failure> {
    match lease(store, key, LeaseRequest::new(holder, LONG)).await? {
        LeaseOutcome::Leased { record, .. } => Ok(record),
        other => Err(Failure::new(format!("a free record is to be leased, and the answer is {other:?}"))),
    }
}

pub(super) async fn lease(
    store: &impl TokenStore,
    key: &ConnectionKey,
    request: LeaseRequest,
) -> Result<LeaseOutcome, Failure> {
    Ok(succeed!(store.lease(key, request).await, "leasing"))
}

/// How many calls are made at once.
pub(super) const CALLS: usize = 64;
/// One round can go well by chance.
pub(super) const ROUNDS: usize = 8;

/// Runs the calls in tasks that all start at the same moment, through all instances in turn.
pub(super) async fn at_once<S, T, F>(
    fixture: &TokenStoreFixture<S>,
    calls: usize,
    call: impl Fn(usize, Arc<S>) -> F + Send,
) -> Result<Vec<T>, Failure>
where
    S: TokenStore,
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(calls));
    let tasks: Vec<_> = (0..calls)
        .map(|n| {
            let (barrier, call) = (Arc::clone(&barrier), call(n, fixture.instance(n)));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(calls);
    for task in tasks {
        let Ok(ended) = tokio::time::timeout(fixture.patience, task).await else {
            return Err(Failure::new(format!(
                "one of {calls} concurrent calls did not end in {:?}",
                fixture.patience
            )));
        };
        let result = succeed!(ended, "a concurrent call");
        results.push(succeed!(result, "one of {calls} concurrent calls"));
    }
    Ok(results)
}

//! What stands between a process and its store and provider: says what is done, and stops where it is told to.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow::{
    ConnectionKey, Expected, HttpClient, HttpError, HttpRequest, HttpResponse, Incarnation, KeyPage,
    LeaseHolder, LeaseOutcome, LeaseRequest, Limits, Loaded, Page, PendingFlow, RecordPage, Release, Remove,
    RemoveOutcome, Renew, SaveOutcome, Shard, StateContext, StateKey, StateStore, StoreError, Tenure,
    TokenStore, User, Version, Write, async_trait,
};
use tokio::sync::{RwLock, mpsc};

/// With this begins each line that is meant for the test.
pub const MARK: &str = "> ";

/// Says something to the test.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    write!(out, "\n{MARK}{line}\n").and_then(|()| out.flush()).unwrap();
}

#[derive(Debug)]
pub struct Gate {
    halts_at: Mutex<Option<String>>,
    lines: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    /// Is held by each call of a store, and by a process that is about to stand still.
    calls: Arc<RwLock<()>>,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        let (sender, lines) = mpsc::unbounded_channel();
        let calls = Arc::new(RwLock::new(()));
        let of_stores = Arc::clone(&calls);
        std::thread::spawn(move || {
            let mut still = None;
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if line == "stand still" {
                    still = Some(of_stores.blocking_write());
                    say("still");
                } else if line == "move" {
                    still = None;
                } else if sender.send(line).is_err() {
                    return;
                }
            }
            drop(still);
            // The test is gone.
            std::process::exit(0);
        });
        Arc::new(Self { halts_at: Mutex::default(), lines: tokio::sync::Mutex::new(lines), calls })
    }

    /// The next line that the test says.
    pub async fn line(&self) -> String {
        match self.lines.lock().await.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// The next time it comes there, the process waits for a line.
    pub fn halt_at(&self, point: &str) {
        *self.halts_at.lock().unwrap() = Some(point.to_owned());
    }

    /// It goes on everywhere.
    pub fn halt_nowhere(&self) {
        *self.halts_at.lock().unwrap() = None;
    }

    /// What a store is asked, which no process is stopped in the middle of.
    async fn call<F: Future + Send>(&self, call: F) -> F::Output {
        let _turn = self.calls.read().await;
        call.await
    }

    async fn pass(&self, point: &str, detail: &str) {
        say(&format!("{point} {detail}"));
        let halts = {
            let mut halts_at = self.halts_at.lock().unwrap();
            halts_at.take_if(|halts_at| halts_at == point).is_some()
        };
        if halts {
            say(&format!("halt {point}"));
            if let Some(next) = self.line().await.strip_prefix("go on until ") {
                self.halt_at(next);
            }
        }
    }
}

const fn done<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "ok" } else { "error" }
}

#[derive(Debug)]
pub struct GatedTokens {
    pub gate: Arc<Gate>,
    pub store: Arc<dyn TokenStore>,
}

#[async_trait]
impl TokenStore for GatedTokens {
    fn is_durable(&self) -> bool {
        self.store.is_durable()
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        self.gate.pass("before put", "").await;
        let answer = self.gate.call(self.store.put(key, incarnation, write)).await;
        self.gate.pass("after put", done(&answer)).await;
        answer
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        self.gate.pass("before load", "").await;
        let answer = self.gate.call(self.store.load(key)).await;
        self.gate.pass("after load", done(&answer)).await;
        answer
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.gate.pass("before lease", "").await;
        let answer = self.gate.call(self.store.lease(key, request)).await;
        let detail = match &answer {
            Ok(LeaseOutcome::Leased { .. }) => "leased",
            Ok(LeaseOutcome::Held { .. }) => "held",
            Ok(LeaseOutcome::Changed(_)) => "changed",
            other => done(other),
        };
        self.gate.pass("after lease", detail).await;
        answer
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        self.gate.pass("before renew", "").await;
        let answer = self.gate.call(self.store.renew(key, holder, renew)).await;
        let detail = if matches!(answer, Ok(Tenure::Lost)) { "lost" } else { done(&answer) };
        self.gate.pass("after renew", detail).await;
        answer
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.gate.pass("before release", "").await;
        let answer = self.gate.call(self.store.release(key, holder, release)).await;
        self.gate.pass("after release", done(&answer)).await;
        answer
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        self.gate.pass("before save", "").await;
        let answer = self.gate.call(self.store.save_if_version(key, expected, write)).await;
        let detail = match &answer {
            Ok(SaveOutcome::Saved(_)) => "saved",
            Ok(SaveOutcome::Changed(_)) => "changed",
            Ok(SaveOutcome::Absent | SaveOutcome::Tombstone(_)) => "gone",
            other => done(other),
        };
        self.gate.pass("after save", detail).await;
        answer
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.gate.pass("before remove", "").await;
        let answer = self.gate.call(self.store.remove(key, remove)).await;
        self.gate.pass("after remove", done(&answer)).await;
        answer
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        self.store.list_by_user(user, page).await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        self.store.due_before(shard, time, page).await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.store.walk(shard, page).await
    }
}

#[derive(Debug)]
pub struct GatedStates {
    pub gate: Arc<Gate>,
    pub store: Arc<dyn StateStore>,
}

#[async_trait]
impl StateStore for GatedStates {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.gate.pass("before store", "").await;
        let answer = self.gate.call(self.store.store_state(cx, key, flow, ttl)).await;
        self.gate.pass("after store", done(&answer)).await;
        answer
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.gate.pass("before check", "").await;
        let answer = self.gate.call(self.store.check_state(cx, key)).await;
        self.gate.pass("after check", done(&answer)).await;
        answer
    }
}

#[derive(Debug)]
pub struct GatedHttp<C> {
    pub gate: Arc<Gate>,
    pub client: C,
}

#[async_trait]
impl<C: HttpClient> HttpClient for GatedHttp<C> {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let what = if request.url.path() == "/revoke" { "revoke" } else { "send" };
        self.gate.pass(&format!("before {what}"), "").await;
        let answer = self.client.send(request, limits).await;
        self.gate.pass(&format!("after {what}"), done(&answer)).await;
        answer
    }
}

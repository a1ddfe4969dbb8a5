//! What the tests of connections share: a clock, a server with a ledger, a store that fails.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part"
)]

mod clock;
mod lies;
mod server;
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::quirks::Rotation;
use authflow_core::{
    AccessToken, AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connected,
    ConnectionKey, Connections, ConnectionsBuilder, Flow, FlowManager, KeyRing, MemoryStateStore,
    MemoryTokenStore, Provider, ProviderBuilder, Quirks, Result, StateStore, User,
};
use tokio::task::JoinHandle;

pub use self::clock::ManualClock;
pub use self::lies::{Lie, LyingStore};
pub use self::server::{Fault, Rotates, Server};
pub use self::store::FaultyStore;

pub const REDIRECT_URI: &str = "https://app.example/callback";
pub const SECOND: Duration = Duration::from_secs(1);

pub struct World {
    pub clock: ManualClock,
    pub server: Arc<Server>,
    pub store: Arc<FaultyStore>,
    pub states: Arc<MemoryStateStore>,
    pub ring: KeyRing,
    pub quirks: Quirks,
}

impl World {
    pub fn new(rotates: Rotates) -> Self {
        let clock = ManualClock::new();
        let store = MemoryTokenStore::new().clock(Arc::new(clock.clone()));
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = match rotates {
            Rotates::Strictly => Rotation::Strict,
            Rotates::WithGrace => Rotation::Grace(30),
            Rotates::Never => Rotation::None,
        };
        quirks.token_response.fields.account = Some("/account".to_owned());
        Self {
            clock: clock.clone(),
            server: Arc::new(Server::new(rotates, &clock)),
            store: Arc::new(FaultyStore::new(store)),
            states: Arc::new(MemoryStateStore::default()),
            ring: KeyRing::generate().unwrap(),
            quirks,
        }
    }

    pub fn flow(&self, id: &str, redirect_uri: &str) -> Flow {
        self.flow_of(self.provider(id), redirect_uri)
    }

    pub fn provider(&self, id: &str) -> ProviderBuilder {
        Provider::builder(id)
            .base_uri("https://as.example")
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .revocation_endpoint("/revoke")
            .api_origin("https://api.example")
            .default_scopes(["read", "write"])
            .quirks(self.quirks.clone())
    }

    pub fn flow_of(&self, provider: ProviderBuilder, redirect_uri: &str) -> Flow {
        self.flow_over(self.manager(provider, redirect_uri, Arc::clone(&self.states)))
    }

    /// What a test wraps to change a hook, or to see it called.
    pub fn manager(
        &self,
        provider: ProviderBuilder,
        redirect_uri: &str,
        states: impl StateStore,
    ) -> ConfiguredProvider {
        let credentials =
            ClientCredentials::confidential("client-1", "planted-secret").redirect_uri(redirect_uri);
        ConfiguredProvider::from_provider(provider.build().unwrap(), credentials, states).unwrap()
    }

    /// A flow over a manager that wraps another, or is one.
    pub fn flow_over(&self, manager: impl FlowManager) -> Flow {
        Flow::builder(manager)
            .http_client(Arc::clone(&self.server))
            .clock(Arc::new(self.clock.clone()))
            .build()
            .unwrap()
    }

    pub fn builder(&self) -> ConnectionsBuilder {
        self.builder_of(self.flow("p", REDIRECT_URI))
    }

    /// Connections of another flow, with the world's store, keys and clock.
    pub fn builder_of(&self, flow: Flow) -> ConnectionsBuilder {
        Connections::builder()
            .flow(flow)
            .token_store(Arc::clone(&self.store))
            .keys(self.ring.clone())
            .clock(Arc::new(self.clock.clone()))
    }

    /// Connections of one more process.
    pub fn process(&self) -> Connections {
        self.builder().build().unwrap()
    }

    /// The same, over a manager.
    pub fn process_over(&self, manager: impl FlowManager) -> Connections {
        self.builder_of(self.flow_over(manager)).build().unwrap()
    }

    pub async fn callback(&self, connections: &Connections, binding: &Binding) -> String {
        let authorization = connections.begin("p", binding).unwrap().await.unwrap();
        callback(authorization.url())
    }

    /// The callback comes, in a task of its own.
    pub async fn complete(&self, connections: &Connections) -> JoinHandle<Result<Connected>> {
        let binding = Binding::user("tenant", "user-42");
        let query = self.callback(connections, &binding).await;
        let connections = connections.clone();
        tokio::spawn(async move {
            let response = AuthorizationResponse::from_query(&query).unwrap();
            connections.complete("p", &response, &binding).await
        })
    }

    pub async fn connect(&self, connections: &Connections) -> ConnectionKey {
        self.connect_as(connections, "user-42").await
    }

    pub async fn connect_as(&self, connections: &Connections, user: &str) -> ConnectionKey {
        let binding = Binding::user("tenant", user);
        let query = self.callback(connections, &binding).await;
        let response = AuthorizationResponse::from_query(&query).unwrap();
        connections.complete("p", &response, &binding).await.unwrap().key
    }

    /// One process with one connection, whose access token is AT-1.
    pub async fn connected(rotates: Rotates) -> (Self, Connections, ConnectionKey) {
        let world = Self::new(rotates);
        let connections = world.process();
        let key = world.connect(&connections).await;
        (world, connections, key)
    }

    /// A process that has the first access token in memory, shortly before that ends: each call is served, and begins a refresh
    /// where none runs.
    pub async fn near_its_end(&self, key: &ConnectionKey) -> Connections {
        let connections = self.builder().cache_for(3600 * SECOND).build().unwrap();
        connections.token(key).await.unwrap();
        self.clock.advance(3593 * SECOND);
        connections
    }

    /// Until the first access token is over.
    pub fn expire(&self) {
        self.clock.advance(3600 * SECOND);
    }

    /// A process whose refresh was answered stands still at its save, as a stopped one does: shorter than the save's own deadline,
    /// longer than its lease. `saves_open` lets it go on.
    pub async fn stop_at_its_save(
        &self,
        process: &Connections,
        key: &ConnectionKey,
    ) -> JoinHandle<Result<AccessToken>> {
        self.store.held_saves.store(1, Ordering::SeqCst);
        self.store.saves_open.send_replace(false);
        self.store.loses_leases.store(true, Ordering::SeqCst);
        let refreshes = self.server.refreshes();
        let (process, asked) = (process.clone(), key.clone());
        let stopped = tokio::spawn(async move { process.token(&asked).await });
        self.until(|| self.server.refreshes() > refreshes).await;
        self.clock.settle().await;
        self.clock.advance(4 * SECOND);
        self.clock.settle().await;
        self.store.loses_leases.store(false, Ordering::SeqCst);
        self.store.end_lease(key).await;
        stopped
    }

    /// The store was called once, and is called again after half of each pause to a whole one.
    pub async fn calls_again_after(&self, call: &str, pauses: impl Iterator<Item = Duration>) {
        const MILLISECOND: Duration = Duration::from_millis(1);
        for (times, pause) in (1..).zip(pauses) {
            self.clock.advance(pause / 2 - MILLISECOND);
            self.clock.settle().await;
            assert_eq!(self.store.count(call), times, "not before half of {pause:?}");
            self.clock.advance(pause / 2 + MILLISECOND);
            self.clock.settle().await;
            assert_eq!(self.store.count(call), times + 1, "after {pause:?}");
        }
    }

    pub async fn until(&self, what: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if what() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it did not come about");
    }
}

/// Asks for the token in a task of its own.
pub fn ask(connections: &Connections, key: &ConnectionKey) -> JoinHandle<Result<String>> {
    let (connections, key) = (connections.clone(), key.clone());
    tokio::spawn(async move { connections.token(&key).await.map(|token| token.expose().to_owned()) })
}

pub fn user() -> User {
    User::new("tenant", "user-42")
}

pub fn callback(url: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").unwrap().1;
    format!("code=code-1&state={state}")
}

//! X33: a store, a hook or a subscriber panics, once. Who waits gets an answer, another key is served meanwhile, and the next
//! call works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::rfc::{self, AuthorizationParameters};
use authflow_core::{
    AuthorizationResponse, Binding, Call, Callback, ClientCredentials, ConfiguredProvider, Connected,
    ConnectionKey, Connections, Endpoints, ErrorKind, EventKind, FlowManager, HttpClient, HttpRequest,
    HttpResponse, LeaseHolder, LeaseRequest, MemoryStateStore, Next, PendingFlow, Provider, Recovery,
    Removal, Result, Revocation, StateContext, StateKey, StateStore, StoreError, TokenSet, TokenStore as _,
    async_trait,
};
use connections_support::{Fault, REDIRECT_URI, Rotates, SECOND, World, ask, user};

/// Which hook panics at its next call.
#[derive(Clone, Debug, Default)]
struct Planted(Arc<Mutex<Option<&'static str>>>);

impl Planted {
    fn at(&self, hook: &'static str) {
        *self.0.lock().unwrap() = Some(hook);
    }

    fn pass(&self, hook: &'static str) {
        let mut planted = self.0.lock().unwrap();
        if *planted == Some(hook) {
            *planted = None;
            drop(planted);
            panic!("planted");
        }
    }

    /// Whether the hook was called that was to panic.
    #[track_caller]
    fn assert_over(&self) {
        assert_eq!(*self.0.lock().unwrap(), None, "nobody called it");
    }
}

#[derive(Debug)]
struct Hooked(ConfiguredProvider, Planted);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FlowManager for Hooked {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.1.pass("credentials");
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        self.1.pass("resolve");
        self.0.resolve(http).await
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        self.1.pass("authorization_parameters");
        rfc::authorization_parameters(cx)
    }

    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        self.1.pass("callback");
        rfc::callback(cx, response)
    }

    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        self.1.pass("token_request");
        rfc::token_request(cx)
    }

    async fn prepare_token_request(
        &self,
        _: &Call<'_>,
        _: &dyn HttpClient,
        _: &mut HttpRequest,
    ) -> Result<()> {
        self.1.pass("prepare_token_request");
        Ok(())
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        self.1.pass("token_response");
        rfc::token_response(cx, response)
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        _: &dyn HttpClient,
        _: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        self.1.pass("after_exchange");
        Ok(None)
    }

    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        self.1.pass("authenticate");
        rfc::authenticate(cx, tokens, request)
    }

    fn refuses_token(&self, _: &HttpResponse) -> bool {
        self.1.pass("refuses_token");
        true
    }

    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        self.1.pass("revoke");
        rfc::revoke(cx, http, tokens).await
    }
}

#[derive(Debug)]
struct States(Arc<MemoryStateStore>, Planted);

#[async_trait]
impl StateStore for States {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> std::result::Result<(), StoreError> {
        self.1.pass("store_state");
        self.0.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> std::result::Result<Option<PendingFlow>, StoreError> {
        self.1.pass("check_state");
        self.0.check_state(cx, key).await
    }
}

/// Two connections, whose access tokens are AT-1 and AT-2, and what panics.
struct Rig {
    world: World,
    connections: Connections,
    key: ConnectionKey,
    other: ConnectionKey,
    planted: Planted,
}

impl Rig {
    async fn new(rotates: Rotates) -> Self {
        let world = World::new(rotates);
        let planted = Planted::default();
        let states = States(Arc::clone(&world.states), planted.clone());
        let manager = world.manager(world.provider("p"), REDIRECT_URI, states);
        let connections = world.process_over(Hooked(manager, planted.clone()));
        let key = world.connect(&connections).await;
        let other = world.connect_as(&connections, "user-43").await;
        Self { world, connections, key, other, planted }
    }

    /// Many ask for the token at once, and each gets an answer, while time passes.
    async fn ask_all(&self) -> Vec<Result<String>> {
        let asked: Vec<_> = (0..8).map(|_| ask(&self.connections, &self.key)).collect();
        let all = async move {
            let mut answers = Vec::new();
            for asked in asked {
                answers.push(asked.await.unwrap());
            }
            answers
        };
        self.world.clock.drive(all).await
    }

    /// The other connection is served, whatever the first one waits for, and no time passes.
    async fn other_is_served(&self) -> String {
        self.connections.token(&self.other).await.unwrap().expose().to_owned()
    }

    /// After the cool-down, and after the lease where one is held.
    async fn next(&self) -> String {
        self.world.clock.advance(2 * SECOND);
        let (connections, key) = (self.connections.clone(), self.key.clone());
        let next = async move { connections.token(&key).await.unwrap().expose().to_owned() };
        self.world.clock.drive(next).await
    }

    async fn complete(&self, user: &str, query: &str) -> Result<Connected> {
        let binding = Binding::user("tenant", user);
        let (connections, query) = (self.connections.clone(), query.to_owned());
        let completed = async move {
            let response = AuthorizationResponse::from_query(&query).unwrap();
            connections.complete("p", &response, &binding).await
        };
        self.world.clock.drive(completed).await
    }

    async fn query(&self, user: &str) -> String {
        self.world.callback(&self.connections, &Binding::user("tenant", user)).await
    }
}

/// As if the answer had been lost: what is only looked at is asked for later, what writes finds out what was done.
#[tokio::test]
async fn x33_a_token_store_that_panics_during_a_refresh_costs_a_call_and_no_token() {
    for operation in ["load", "lease", "renew", "save", "release"] {
        let rig = Rig::new(Rotates::Strictly).await;
        rig.world.expire();
        match operation {
            "renew" => rig.world.server.hold(),
            // Where nothing is saved: the lease is given back.
            "release" => rig.world.server.fault(Fault::Answer(400, &[], r#"{"error":"invalid_client"}"#)),
            _ => {}
        }
        rig.world.store.panic_at(operation);
        let first = ask(&rig.connections, &rig.key);
        if operation == "renew" {
            rig.world.until(|| rig.world.server.refreshes() == 1).await;
            while rig.world.store.count("renew") == 0 {
                rig.world.clock.advance(SECOND);
                rig.world.clock.settle().await;
            }
            rig.world.server.let_go();
        }
        let answers = rig.ask_all().await;
        let first = rig.world.clock.drive(async move { first.await.unwrap() }).await;
        for answer in answers.into_iter().chain([first]) {
            match (operation, answer) {
                ("load", Err(error)) => assert_eq!(error.kind(), ErrorKind::StoreUnavailable),
                ("release", Err(error)) => assert_eq!(error.kind(), ErrorKind::Refused),
                (_, answer) => assert_eq!(answer.unwrap(), "AT-3", "{operation}"),
            }
        }
        assert!(rig.world.store.count(operation) > 0, "{operation}");
        assert!(rig.other_is_served().await.starts_with("AT-"), "{operation}");
        assert!(rig.next().await.starts_with("AT-"), "{operation}");
        assert_eq!(rig.world.server.most_uses(), 1, "{operation}");
        let record = rig.world.store.inner.load(&rig.key).await.unwrap().into_record().unwrap();
        assert_eq!((record.version.counter(), record.mark, record.lease), (2, None, None), "{operation}");
    }
}

#[tokio::test]
async fn x33_a_token_store_that_panics_elsewhere_is_asked_again_or_named() {
    let rig = Rig::new(Rotates::Strictly).await;
    let store = &rig.world.store;
    let user = user();
    store.panic_at("list");
    assert_eq!(rig.connections.list(&user).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!(rig.connections.list(&user).await.unwrap().connections.len(), 1);
    store.panic_at("due");
    assert_eq!(rig.connections.sweep().await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!(rig.connections.sweep().await.unwrap().failed, 0);
    store.panic_at("walk");
    assert_eq!(rig.connections.reseal().await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!(rig.connections.reseal().await.unwrap().done, 2);
    // What a provider gave is offered again.
    let query = rig.query("user-44").await;
    store.panic_at("put");
    let puts = store.count("put");
    let connected = rig.complete("user-44", &query).await.unwrap();
    assert_eq!((store.count("put"), rig.world.server.revoked().len()), (puts + 2, 0));
    assert_eq!(rig.connections.token(&connected.key).await.unwrap().expose(), "AT-3");
    store.panic_at("remove");
    let disconnected = rig.connections.disconnect(&rig.key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    assert!(store.inner.load(&rig.key).await.unwrap().into_record().is_none());
    assert_eq!(rig.other_is_served().await, "AT-2");
    // The state is not used up by a look that failed before it.
    let query = rig.query("user-42").await;
    store.panic_at("load");
    let error = rig.complete("user-42", &query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    rig.complete("user-42", &query).await.unwrap();
}

#[tokio::test]
async fn x33_a_hook_that_panics_during_a_refresh_wakes_its_waiters_and_its_lease_ends() {
    for hook in ["credentials", "resolve", "token_request", "prepare_token_request", "token_response"] {
        let rig = Rig::new(Rotates::WithGrace).await;
        rig.world.expire();
        rig.planted.at(hook);
        let asked: Vec<_> = (0..8).map(|_| ask(&rig.connections, &rig.key)).collect();
        for asked in asked {
            let error = asked.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{hook}");
            assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{hook}");
        }
        rig.planted.assert_over();
        let record = rig.world.store.inner.load(&rig.key).await.unwrap().into_record().unwrap();
        assert!(record.lease.is_some(), "{hook}: nobody gave it back");
        let other = rig.other_is_served().await;
        assert!(other.starts_with("AT-"), "{hook}: meanwhile");
        assert_ne!(rig.next().await, other, "{hook}: the lease has ended by itself");
        let record = rig.world.store.inner.load(&rig.key).await.unwrap().into_record().unwrap();
        assert_eq!((record.mark, record.lease), (None, None), "{hook}");
        assert_eq!(rig.connections.drain(SECOND).await.unfinished, 0, "{hook}");
    }
}

#[tokio::test]
async fn x33_a_hook_that_panics_in_a_callback_ends_that_flow_alone() {
    let hooks =
        ["check_state", "credentials", "resolve", "callback", "token_request", "prepare_token_request"];
    for hook in hooks.into_iter().chain(["token_response"]) {
        let rig = Rig::new(Rotates::Strictly).await;
        let (query, others) = (rig.query("user-42").await, rig.query("user-43").await);
        rig.planted.at(hook);
        let error = rig.complete("user-42", &query).await.unwrap_err();
        rig.planted.assert_over();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Interrupted, Recovery::Reconnect), "{hook}");
        assert_eq!(rig.connections.token(&rig.key).await.unwrap().expose(), "AT-1", "{hook}: as it was");
        rig.complete("user-43", &others).await.unwrap();
        let query = rig.query("user-42").await;
        rig.complete("user-42", &query).await.unwrap();
        assert_eq!(rig.connections.drain(SECOND).await.unfinished, 0, "{hook}");
    }
}

/// The code is used up, so what it gave is kept.
#[tokio::test]
async fn x33_a_hook_that_panics_after_the_exchange_loses_no_token() {
    let rig = Rig::new(Rotates::Strictly).await;
    let query = rig.query("user-42").await;
    rig.planted.at("after_exchange");
    let connected = rig.complete("user-42", &query).await.unwrap();
    rig.planted.assert_over();
    assert_eq!(connected.after_exchange.unwrap().kind(), ErrorKind::Interrupted);
    assert_eq!(rig.connections.token(&connected.key).await.unwrap().expose(), "AT-3");
}

/// What runs in the caller's own task panics there, and nowhere else.
#[tokio::test]
async fn x33_a_hook_that_panics_in_the_callers_task_stays_there() {
    let rig = Rig::new(Rotates::Strictly).await;
    for hook in ["credentials", "resolve", "authorization_parameters", "store_state"] {
        rig.planted.at(hook);
        let connections = rig.connections.clone();
        let begun = tokio::spawn(async move {
            connections.begin("p", &Binding::user("tenant", "user-42")).unwrap().await.map(drop)
        });
        assert!(begun.await.unwrap_err().is_panic(), "{hook}");
        rig.planted.assert_over();
        let query = rig.query("user-42").await;
        rig.complete("user-42", &query).await.unwrap();
    }
    for hook in ["authenticate", "refuses_token"] {
        rig.planted.at(hook);
        rig.world.server.api_answers(401, "");
        let send = |key: &ConnectionKey| {
            let request = HttpRequest::get("https://api.example/me".parse().unwrap());
            let sent = rig.connections.send(key, request);
            tokio::spawn(async move { sent.await.map(|response| response.status.as_u16()) })
        };
        assert!(send(&rig.key).await.unwrap_err().is_panic(), "{hook}");
        rig.planted.assert_over();
        assert_eq!(send(&rig.other).await.unwrap().unwrap(), 200, "{hook}");
        assert_eq!(send(&rig.key).await.unwrap().unwrap(), 200, "{hook}");
    }
}

/// The removal is done and told; what came of the revocation is told too.
#[tokio::test]
async fn x33_a_revocation_that_panics_takes_nothing_with_it() {
    let rig = Rig::new(Rotates::Strictly).await;
    rig.planted.at("revoke");
    let disconnected = rig.connections.disconnect(&rig.key).await.unwrap();
    rig.planted.assert_over();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    assert_eq!(disconnected.revocation.unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(rig.connections.token(&rig.key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    // A refresh under way that finds the connection gone gives its tokens back.
    rig.world.expire();
    rig.world.server.hold();
    let asked = ask(&rig.connections, &rig.other);
    rig.world.until(|| rig.world.server.refreshes() == 1).await;
    rig.world.store.inner.remove(&rig.other, authflow_core::Remove::new(SECOND)).await.unwrap();
    rig.planted.at("revoke");
    rig.world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    rig.planted.assert_over();
}

/// A subscriber is a receiver: it cannot hold up, or end, what it watches.
#[tokio::test]
async fn x33_a_subscriber_that_panics_disturbs_no_other() {
    let rig = Rig::new(Rotates::Strictly).await;
    let (mut one, mut other) = (rig.connections.subscribe(), rig.connections.subscribe());
    let panics = tokio::spawn(async move {
        one.next().await.unwrap();
        panic!("planted")
    });
    assert_eq!(rig.connections.refresh_now(&rig.key).await.unwrap().expose(), "AT-3");
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(rig.connections.refresh_now(&rig.other).await.unwrap().expose(), "AT-4");
    for key in [&rig.key, &rig.other] {
        let Some(Next::Event(event)) = other.next().await else { panic!("an event") };
        assert_eq!((&event.key, event.kind), (key, EventKind::Refreshed));
    }
}

/// A process whose store panicked while it held a lease that is not its own takes nothing from the holder.
#[tokio::test]
async fn x33_a_store_that_panics_takes_no_lease_from_its_holder() {
    let rig = Rig::new(Rotates::Strictly).await;
    rig.world.expire();
    let holder = LeaseHolder::random().unwrap();
    let store = &rig.world.store;
    store.inner.lease(&rig.key, LeaseRequest::new(holder, 3600 * SECOND)).await.unwrap();
    store.panic_at("lease");
    let error = rig.ask_all().await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RefreshPending);
    let record = store.inner.load(&rig.key).await.unwrap().into_record().unwrap();
    assert_eq!((record.lease.unwrap().holder, rig.world.server.refreshes()), (holder, 0));
}

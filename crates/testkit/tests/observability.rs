//! What `tracing` and `metrics` get to see of connections: bounded labels, and nothing of a user or a token.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections, Flow,
    HttpRequest, KeyRing, Limits, MemoryStateStore, MemoryTokenStore, Quirks, User,
};
use authflow_testkit::{
    AuthorizationServer, Endpoint, Fault, LeakDetector, LogCapture, LoopbackClient, ManualClock, RetryAfter,
    ScriptedUser,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Remembers every series.
#[derive(Default)]
struct Series {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    labels: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Series {
    fn note(&self, key: &Key) -> String {
        let mut name = key.name().to_owned();
        let mut known = self.labels.lock().unwrap();
        for label in key.labels() {
            name += &format!(" {}={}", label.key(), label.value());
            known.entry(label.key().to_owned()).or_default().insert(label.value().to_owned());
        }
        name
    }

    fn count(&self, name: &str) -> u64 {
        self.counters.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::SeqCst))
    }
}

impl Recorder for Series {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let name = self.note(key);
        Counter::from_arc(Arc::clone(self.counters.lock().unwrap().entry(name).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

const PROVIDER: &str = "watched";
const USERS: usize = 12;

fn connections(server: &AuthorizationServer, clock: &ManualClock) -> Connections {
    let mut quirks = Quirks::default();
    quirks.token_response.fields.account = Some("/account".to_owned());
    let provider = server.provider(PROVIDER).quirks(quirks).build().unwrap();
    let client = server.basic_client();
    let credentials = ClientCredentials::confidential(client.id(), client.secret().unwrap())
        .redirect_uri("http://127.0.0.1:51235/callback");
    let manager =
        ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::default()).unwrap();
    let clock: Arc<ManualClock> = Arc::new(clock.clone());
    let flow = Flow::builder(manager)
        .http_client(LoopbackClient::new())
        .limits(Limits::default().with_total(Duration::from_secs(5)))
        .clock(clock.clone());
    Connections::builder()
        .flow(flow.build().unwrap())
        .token_store(MemoryTokenStore::new().clock(clock.clone()))
        .keys(KeyRing::generate().unwrap())
        .clock(clock)
        .build()
        .unwrap()
}

/// Everything that is watched, well and badly, for several users.
async fn work(leaks: &LeakDetector) {
    let clock = ManualClock::new();
    let server = AuthorizationServer::builder()
        .clock({
            let clock = clock.clone();
            move || authflow_core::Clock::now(&clock)
        })
        .start()
        .await
        .unwrap();
    leaks.plant("the client's secret", server.basic_client().secret().unwrap());
    let connections = connections(&server, &clock);
    for number in 0..USERS {
        let (tenant, id) = (format!("planted-tenant-{number}"), format!("planted-user-{number}"));
        leaks.plant("a tenant", &tenant);
        leaks.plant("a user", &id);
        let user = Binding::user(tenant, id);
        let begun = connections.begin(PROVIDER, &user).unwrap().return_to("/planted-path").await.unwrap();
        leaks.plant("the return path", "/planted-path");
        let url: url::Url = begun.url().parse().unwrap();
        leaks.plant("a state", url.query_pairs().find(|(name, _)| name == "state").unwrap().1.as_bytes());
        leaks.plant("a URL", begun.url());
        let callback = ScriptedUser::new().approve(begun.url()).await.unwrap();
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        let key = connections.complete(PROVIDER, &response, &user).await.unwrap().key;
        connections.complete(PROVIDER, &response, &user).await.unwrap_err();
        let unknown = format!("planted-provider-{number}");
        leaks.plant("an unknown provider", &unknown);
        connections.complete(&unknown, &response, &user).await.unwrap_err();
        connections.token(&ConnectionKey::new(key.user(), unknown.as_str())).await.unwrap_err();
        leaks.plant("an access token", connections.token(&key).await.unwrap().expose());
        leaks.plant("an access token", connections.refresh_now(&key).await.unwrap().expose());
        let request = HttpRequest::get(server.resource_url().parse().unwrap());
        connections.send(&key, request).await.unwrap();
        let elsewhere = HttpRequest::get("https://elsewhere.example/planted-url".parse().unwrap());
        leaks.plant("an API's URL", "elsewhere.example/planted-url");
        connections.send(&key, elsewhere).await.unwrap_err();
        server.fault_next(Endpoint::Token, Fault::Unavailable(RetryAfter::Garbage));
        connections.refresh_now(&key).await.unwrap_err();
        clock.advance(Duration::from_secs(600));
        if number % 2 == 0 {
            connections.disconnect(&key).await.unwrap();
        }
        connections.list(&User::new("planted-tenant-x", "planted-user-x")).await.unwrap();
    }
    clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    server.revoke_grants_of("user");
    connections.sweep().await.unwrap();
    leaks.plant_all_of(server.ledger());
}

#[test]
fn h1_h5_spans_and_metrics_have_bounded_labels_and_no_secret() {
    let (log, series, leaks) = (LogCapture::new(), Series::default(), LeakDetector::new());
    // One thread: recorder and subscriber are of the thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(log.subscriber(), || {
        metrics::with_local_recorder(&series, || runtime.block_on(work(&leaks)));
    });
    let text = log.text();
    for operation in
        ["begin", "complete", "finish", "token", "refresh", "send", "disconnect", "sweep", "revoke"]
    {
        assert!(text.contains(&format!("operation=\"{operation}\"")), "no span of {operation}");
    }
    for outcome in ["ok", "unavailable", "state_not_found", "foreign_origin", "usage"] {
        assert!(text.contains(&format!("outcome=\"{outcome}\"")), "no outcome {outcome}");
    }
    log.scan(&leaks);

    let labels = series.labels.lock().unwrap().clone();
    leaks.scan_named("the labels", format!("{labels:?}"));
    leaks.assert_clean();
    let names: Vec<_> = labels.keys().map(String::as_str).collect();
    assert_eq!(names, ["event", "operation", "outcome", "provider"]);
    let providers: Vec<_> = labels["provider"].iter().map(String::as_str).collect();
    assert_eq!(providers, ["*", PROVIDER], "whoever calls with other ids adds no series");
    assert!(labels["operation"].len() <= 10 && labels["outcome"].len() <= 10, "{labels:?}");

    let completed = format!("authflow_operations_total provider={PROVIDER} operation=complete outcome=");
    let users = u64::try_from(USERS).unwrap();
    assert_eq!(series.count(&format!("{completed}ok")), users);
    assert_eq!(series.count(&format!("{completed}state_not_found")), users);
    assert_eq!(series.count("authflow_operations_total provider=* operation=complete outcome=usage"), users);
    assert_eq!(series.count(&format!("authflow_events_total provider={PROVIDER} event=connected")), users);
    assert_eq!(
        series.count(&format!("authflow_events_total provider={PROVIDER} event=disconnected")),
        users / 2
    );
    assert_eq!(series.count("authflow_operations_total provider=* operation=sweep outcome=ok"), 1);
}

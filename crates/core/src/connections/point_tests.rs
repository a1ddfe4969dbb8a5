//! X1 within a process: a flight dies at each await point, and another process takes over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::Digest as _;

use super::{Connections, Point, Probe};
use crate::error::ErrorKind;
use crate::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse, Limits};
use crate::quirks::{Quirks, Rotation};
use crate::token_store::{LeaseHolder, LeaseRequest, RefreshMark, Release, TokenStore as _};
use crate::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, ConnectionKey, Flow,
    KeyRing, MemoryStateStore, MemoryTokenStore, Provider,
};

/// Dies at one point, once.
#[derive(Debug)]
struct DiesAt(Mutex<Option<Point>>);

#[async_trait]
impl Probe for DiesAt {
    async fn at(&self, point: Point) {
        let mut dies_at = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *dies_at == Some(point) {
            *dies_at = None;
            drop(dies_at);
            panic!("planted");
        }
    }
}

/// Time passes as soon as anybody waits for it.
#[derive(Clone, Debug, Default)]
struct Impatient(Arc<Mutex<Duration>>);

impl Impatient {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Impatient {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::task::yield_now().await;
        if duration < Duration::from_secs(1) {
            self.advance(duration);
        } else {
            // A limit or the renewal of a lease: nothing here takes so long.
            std::future::pending::<()>().await;
        }
    }
}

/// A provider that rotates strictly, and counts.
#[derive(Debug, Default)]
struct Server(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    issued: u32,
    used: HashMap<String, u32>,
    refreshes: u32,
}

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let mut ledger = self.0.lock().unwrap();
        let mut is_used = false;
        if let Some(token) = form.get("refresh_token") {
            ledger.refreshes += 1;
            let uses = ledger.used.entry(token.clone()).or_default();
            *uses += 1;
            is_used = *uses > 1;
        }
        let (status, body) = if is_used {
            (http::StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#.to_owned())
        } else {
            ledger.issued += 1;
            let n = ledger.issued;
            let body = format!(r#"{{"access_token":"AT-{n}","refresh_token":"RT-{n}","expires_in":3600}}"#);
            (http::StatusCode::OK, body)
        };
        let json = http::HeaderValue::from_static("application/json");
        Ok(HttpResponse::new(status, body).with_header(http::header::CONTENT_TYPE, json))
    }
}

struct World {
    clock: Impatient,
    server: Arc<Server>,
    store: Arc<MemoryTokenStore>,
    ring: KeyRing,
}

impl World {
    fn new() -> Self {
        let clock = Impatient::default();
        let store = Arc::new(MemoryTokenStore::new().clock(Arc::new(clock.clone())));
        Self { clock, server: Arc::default(), store, ring: KeyRing::generate().unwrap() }
    }

    fn process(&self, dies_at: Option<Point>) -> Connections {
        self.process_with(DiesAt(Mutex::new(dies_at)))
    }

    fn process_with(&self, probe: impl Probe) -> Connections {
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = Rotation::Strict;
        let provider = Provider::builder("p")
            .authorization_endpoint("https://as.example/authorize")
            .token_endpoint("https://as.example/token")
            .quirks(quirks)
            .build()
            .unwrap();
        let credentials =
            ClientCredentials::confidential("client", "secret").redirect_uri("https://app.example/cb");
        let manager =
            ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let flow = Flow::builder(manager).http_client(Arc::clone(&self.server)).clock(Arc::clone(&clock));
        Connections::builder()
            .flow(flow.build().unwrap())
            .token_store(Arc::clone(&self.store))
            .keys(self.ring.clone())
            .clock(clock)
            .probe(Arc::new(probe))
            .build()
            .unwrap()
    }

    async fn connect(&self) -> ConnectionKey {
        let connections = self.process(None);
        let binding = Binding::user("", "user");
        let begun = connections.begin("p", &binding).unwrap().await.unwrap();
        let state = begun.url().split("state=").nth(1).unwrap().split('&').next().unwrap();
        let query = format!("code=c&state={state}");
        let response = AuthorizationResponse::from_query(&query).unwrap();
        connections.complete("p", &response, &binding).await.unwrap().key
    }
}

#[tokio::test]
async fn x1_a_flight_that_dies_at_any_point_is_taken_over() {
    let points = [
        Point::P0Load,
        Point::P1Join,
        Point::P2Lease,
        Point::P3Again,
        Point::P5Send,
        Point::P8Check,
        Point::P9Save,
        Point::P10Publish,
    ];
    for point in points {
        let world = World::new();
        let key = world.connect().await;
        world.clock.advance(Duration::from_secs(3600));
        let first = world.process(Some(point));
        match first.token(&key).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{point:?}: who waited is woken"),
            Ok(token) => assert_eq!((token.expose(), point), ("AT-2", Point::P10Publish), "it is saved"),
        }
        // Nobody renews the lease.
        world.clock.advance(Duration::from_secs(10));
        let second = world.process(None).token(&key).await;
        let same = first.token(&key).await;
        let ledger = world.server.0.lock().unwrap();
        // Between the answer and the save lies what no client can help: it is named, and not taken for a revocation.
        if matches!(point, Point::P8Check | Point::P9Save) {
            for outcome in [second, same] {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::RotationLost, "{point:?}");
            }
            assert_eq!(ledger.refreshes, 2, "{point:?}");
        } else {
            for outcome in [second, same] {
                assert_eq!(outcome.unwrap().expose(), "AT-2", "{point:?}");
            }
            assert_eq!(ledger.refreshes, 1, "{point:?}");
        }
    }
}

/// Before the lease is asked for, another process refreshes and does not learn how it ended, or the wall clock is put back.
#[derive(Debug)]
struct Meanwhile {
    clock: Impatient,
    store: Arc<MemoryTokenStore>,
    key: ConnectionKey,
    mark: Option<RefreshMark>,
}

#[async_trait]
impl Probe for Meanwhile {
    async fn at(&self, point: Point) {
        if point != Point::P2Lease {
            return;
        }
        match &self.mark {
            Some(mark) => {
                let request = LeaseRequest::new(mark.holder, Duration::from_secs(1)).mark(mark.clone());
                self.store.lease(&self.key, request).await.unwrap();
                self.store.release(&self.key, &mark.holder, Release::new().keep_mark()).await.unwrap();
            }
            None => *self.clock.0.lock().unwrap() -= Duration::from_secs(100),
        }
    }
}

/// P11 where nothing is to be sent after all.
#[tokio::test]
async fn r6_the_mark_that_is_found_with_a_lease_is_put_back_where_nothing_is_sent() {
    for is_marked in [true, false] {
        let world = World::new();
        let key = world.connect().await;
        world.clock.advance(Duration::from_secs(3550));
        let hash = sha2::Sha256::digest("RT-1").into();
        let mark = RefreshMark::new(LeaseHolder::from_bytes([7; 16]), hash, world.clock.now());
        let mark = Some(mark).filter(|_| is_marked);
        let (clock, store) = (world.clock.clone(), Arc::clone(&world.store));
        let process = world.process_with(Meanwhile { clock, store, key: key.clone(), mark: mark.clone() });
        assert_eq!(process.token(&key).await.unwrap().expose(), "AT-1");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let record = world.store.load(&key).await.unwrap().into_record().unwrap();
        assert_eq!((record.mark, record.lease), (mark, None));
        assert_eq!(world.server.0.lock().unwrap().refreshes, 0);
    }
}

/// Another process refreshes before the lease is asked for.
#[derive(Debug)]
struct Refreshes(Mutex<Option<Connections>>, ConnectionKey);

#[async_trait]
impl Probe for Refreshes {
    async fn at(&self, point: Point) {
        let other = if point == Point::P2Lease { self.0.lock().unwrap().take() } else { None };
        if let Some(other) = other {
            other.token(&self.1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn f2_what_changed_before_the_lease_is_adopted() {
    let world = World::new();
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    let process = world.process_with(Refreshes(Mutex::new(Some(world.process(None))), key.clone()));
    assert_eq!(process.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.0.lock().unwrap().refreshes, 1);
}

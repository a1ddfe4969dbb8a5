//! X1 within a process: a flight dies at each await point, and another process takes over.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::StatusCode;
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

/// What became of a refresh at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Used,
    /// The refresh token had been used before, and is good all the same.
    UsedAgain,
    /// It had been used before, and is no good.
    UsedUp,
    /// The provider said no for another reason.
    Refused,
}

/// A provider that keeps a ledger.
#[derive(Debug)]
struct Server {
    rotation: Rotation,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    issued: u32,
    used: HashSet<String>,
    refreshes: Vec<Outcome>,
    /// What the next refresh is answered, whatever it brings.
    refuses: Option<(StatusCode, &'static str)>,
}

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let mut ledger = self.ledger.lock().unwrap();
        let refresh = form.get("refresh_token").map(|token| match ledger.refuses.take() {
            Some((status, code)) => (Outcome::Refused, status, code),
            None if ledger.used.insert(token.clone()) => (Outcome::Used, StatusCode::OK, ""),
            None if self.rotation == Rotation::Strict => {
                (Outcome::UsedUp, StatusCode::BAD_REQUEST, "invalid_grant")
            }
            None => (Outcome::UsedAgain, StatusCode::OK, ""),
        });
        ledger.refreshes.extend(refresh.map(|(outcome, ..)| outcome));
        let (status, body) = match refresh {
            Some((_, status, code)) if !status.is_success() => (status, format!(r#"{{"error":"{code}"}}"#)),
            refresh => {
                ledger.issued += 1;
                let n = ledger.issued;
                // Where it does not rotate, the first refresh token is the only one.
                let replaces = refresh.is_none() || self.rotation != Rotation::None;
                let new = if replaces { format!(r#","refresh_token":"RT-{n}""#) } else { String::new() };
                (StatusCode::OK, format!(r#"{{"access_token":"AT-{n}","expires_in":3600{new}}}"#))
            }
        };
        drop(ledger);
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
    fn new(rotation: Rotation) -> Self {
        let clock = Impatient::default();
        let store = Arc::new(MemoryTokenStore::new().clock(Arc::new(clock.clone())));
        let server = Arc::new(Server { rotation, ledger: Mutex::default() });
        Self { clock, server, store, ring: KeyRing::generate().unwrap() }
    }

    fn refreshes(&self) -> Vec<Outcome> {
        self.server.ledger.lock().unwrap().refreshes.clone()
    }

    /// The mark of another process for the first refresh token.
    fn mark(&self) -> RefreshMark {
        let hash = sha2::Sha256::digest("RT-1").into();
        RefreshMark::new(LeaseHolder::from_bytes([7; 16]), hash, self.clock.now())
    }

    /// What happens before the lease is asked for.
    fn meanwhile(&self, key: &ConnectionKey, mark: Option<RefreshMark>) -> Meanwhile {
        Meanwhile { clock: self.clock.clone(), store: Arc::clone(&self.store), key: key.clone(), mark }
    }

    fn process(&self) -> Connections {
        self.process_with(DiesAt(Mutex::default()))
    }

    fn process_with(&self, probe: impl Probe) -> Connections {
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = self.server.rotation;
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
        let connections = self.process();
        let binding = Binding::user("", "user");
        let begun = connections.begin("p", &binding).unwrap().await.unwrap();
        let state = begun.url().split("state=").nth(1).unwrap().split('&').next().unwrap();
        let query = format!("code=c&state={state}");
        let response = AuthorizationResponse::from_query(&query).unwrap();
        connections.complete("p", &response, &binding).await.unwrap().key
    }
}

/// How far the flight had come that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// The refresh token was not sent.
    Nothing,
    /// It was sent, and the provider said no, in this way, and did not use it up.
    Refused(StatusCode, &'static str),
    /// The provider used it up, and nobody wrote down what it gave.
    Committed,
    /// The new tokens are in the store.
    Saved,
}

const POINTS: [(Point, Reached); 11] = [
    (Point::P0Load, Reached::Nothing),
    (Point::P1Join, Reached::Nothing),
    (Point::P2Lease, Reached::Nothing),
    (Point::P3Again, Reached::Nothing),
    (Point::P4Mark, Reached::Nothing),
    (Point::P5Send, Reached::Nothing),
    (Point::P8Check, Reached::Committed),
    (Point::P9Save, Reached::Committed),
    (Point::P10Publish, Reached::Saved),
    // The lease is given back, or ends with a save that tells all how long to wait.
    (Point::P11Release, Reached::Refused(StatusCode::UNAUTHORIZED, "invalid_client")),
    (Point::P11Release, Reached::Refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")),
];

#[tokio::test]
async fn x1_a_flight_that_dies_at_any_point_is_taken_over() {
    for rotation in [Rotation::Strict, Rotation::Grace(60), Rotation::None] {
        for (point, reached) in POINTS {
            dies_at(rotation, point, reached).await;
        }
    }
}

async fn dies_at(rotation: Rotation, point: Point, reached: Reached) {
    let case = format!("{point:?}, {reached:?}, {rotation:?}");
    let world = World::new(rotation);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    if let Reached::Refused(status, code) = reached {
        world.server.ledger.lock().unwrap().refuses = Some((status, code));
    }
    let dies_at = DiesAt(Mutex::new(Some(point)));
    let first = if point == Point::P4Mark {
        // It is passed where the lease comes with a mark that was not there before.
        world.process_with(Both(world.meanwhile(&key, Some(world.mark())), dies_at))
    } else {
        world.process_with(dies_at)
    };
    match first.token(&key).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{case}: who waited is woken"),
        Ok(token) => assert_eq!((token.expose(), reached), ("AT-2", Reached::Saved), "{case}: it is saved"),
    }
    // Nobody renews the lease.
    world.clock.advance(Duration::from_secs(10));
    let second = world.process().token(&key).await;
    let same = first.token(&key).await;
    let again = if rotation == Rotation::Strict { Outcome::UsedUp } else { Outcome::UsedAgain };
    let refreshes = match reached {
        Reached::Nothing | Reached::Saved => vec![Outcome::Used],
        Reached::Refused(..) => vec![Outcome::Refused, Outcome::Used],
        Reached::Committed => vec![Outcome::Used, again],
    };
    assert_eq!(world.refreshes(), refreshes, "{case}");
    let counter = world.store.load(&key).await.unwrap().into_record().unwrap().version.counter();
    assert_eq!(counter, 2, "{case}");
    for outcome in [second, same] {
        match (reached, rotation) {
            // Between the answer and the save lies what no client can help: it is named, and not taken for a revocation.
            (Reached::Committed, Rotation::Strict) => {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::RotationLost, "{case}");
            }
            (Reached::Committed, _) => assert_eq!(outcome.unwrap().expose(), "AT-3", "{case}"),
            _ => assert_eq!(outcome.unwrap().expose(), "AT-2", "{case}"),
        }
    }
}

/// One after the other.
#[derive(Debug)]
struct Both<A, B>(A, B);

#[async_trait]
impl<A: Probe, B: Probe> Probe for Both<A, B> {
    async fn at(&self, point: Point) {
        self.0.at(point).await;
        self.1.at(point).await;
    }
}

/// P11 where nothing was sent: what was found stays true, and the lease ends by itself.
#[tokio::test]
async fn x1_r6_a_flight_that_dies_before_it_gives_back_an_unused_lease_leaves_the_mark_that_it_found() {
    let world = World::new(Rotation::Strict);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3550));
    let mark = world.mark();
    let dies_at = DiesAt(Mutex::new(Some(Point::P11Release)));
    let first = world.process_with(Both(world.meanwhile(&key, Some(mark.clone())), dies_at));
    assert_eq!(first.token(&key).await.unwrap().expose(), "AT-1");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let record = world.store.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.mark, record.lease.is_some()), (Some(mark), true));
    world.clock.advance(Duration::from_secs(50));
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.refreshes(), [Outcome::Used]);
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
        let world = World::new(Rotation::Strict);
        let key = world.connect().await;
        world.clock.advance(Duration::from_secs(3550));
        let mark = Some(world.mark()).filter(|_| is_marked);
        let process = world.process_with(world.meanwhile(&key, mark.clone()));
        assert_eq!(process.token(&key).await.unwrap().expose(), "AT-1");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let record = world.store.load(&key).await.unwrap().into_record().unwrap();
        assert_eq!((record.mark, record.lease), (mark, None));
        assert_eq!(world.refreshes(), []);
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
    let world = World::new(Rotation::Strict);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    let process = world.process_with(Refreshes(Mutex::new(Some(world.process())), key.clone()));
    assert_eq!(process.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.refreshes(), [Outcome::Used]);
}

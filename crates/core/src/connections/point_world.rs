//! What the tests that stop or break a refresh at its points share: a clock, a provider that keeps a ledger, and probes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::StatusCode;
use sha2::Digest as _;
use tokio::sync::Semaphore;

use super::{Connections, Point, Probe};
use crate::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse, Limits};
use crate::quirks::{Quirks, Rotation};
use crate::token_store::{LeaseHolder, LeaseRequest, RefreshMark, Release, TokenStore as _};
use crate::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, ConnectionKey, Flow,
    KeyRing, MemoryStateStore, MemoryTokenStore, Provider,
};

/// Time passes as soon as anybody waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Impatient(Arc<Mutex<Duration>>);

impl Impatient {
    pub(super) fn advance(&self, by: Duration) {
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
pub(super) enum Outcome {
    Used,
    /// The refresh token had been used before, and is good all the same.
    UsedAgain,
    /// It had been used before, and is no good.
    UsedUp,
    /// It had been revoked.
    Revoked,
    /// The provider said no for another reason.
    Refused,
}

/// A provider that keeps a ledger.
#[derive(Debug)]
pub(super) struct Server {
    rotation: Rotation,
    pub(super) ledger: Mutex<Ledger>,
    /// Where a refresh stands still.
    pub(super) stops: Mutex<Option<Arc<Stops>>>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    issued: u32,
    used: HashSet<String>,
    pub(super) revoked: Vec<String>,
    refreshes: Vec<Outcome>,
    /// What the next refresh is answered, whatever it brings.
    pub(super) refuses: Option<(StatusCode, &'static str)>,
}

impl Server {
    async fn stand_at(&self, place: Place) {
        let stops = self.stops.lock().unwrap().clone();
        if let Some(stops) = stops {
            stops.stand_at(place).await;
        }
    }

    /// How many token sets were issued.
    pub(super) fn issued(&self) -> u32 {
        self.ledger.lock().unwrap().issued
    }

    /// The refresh tokens that were issued, and neither used nor revoked.
    pub(super) fn in_force(&self) -> Vec<String> {
        let ledger = self.ledger.lock().unwrap();
        let issued = (1..=ledger.issued).map(|n| format!("RT-{n}"));
        issued.filter(|token| !ledger.used.contains(token) && !ledger.revoked.contains(token)).collect()
    }
}

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let is_refresh = form.contains_key("refresh_token");
        if is_refresh {
            self.stand_at(Place::P6Head).await;
        }
        let (status, body) = self.answer(request.url.path(), &form);
        if is_refresh {
            self.stand_at(Place::P7Body).await;
        }
        let json = http::HeaderValue::from_static("application/json");
        Ok(HttpResponse::new(status, body).with_header(http::header::CONTENT_TYPE, json))
    }
}

impl Server {
    fn answer(&self, path: &str, form: &HashMap<String, String>) -> (StatusCode, String) {
        let mut ledger = self.ledger.lock().unwrap();
        if path == "/revoke" {
            ledger.revoked.push(form["token"].clone());
            return (StatusCode::OK, "{}".to_owned());
        }
        let refresh = form.get("refresh_token").map(|token| match ledger.refuses.take() {
            Some((status, code)) => (Outcome::Refused, status, code),
            None if ledger.revoked.contains(token) => {
                (Outcome::Revoked, StatusCode::BAD_REQUEST, "invalid_grant")
            }
            None if ledger.used.insert(token.clone()) => (Outcome::Used, StatusCode::OK, ""),
            None if self.rotation == Rotation::Strict => {
                (Outcome::UsedUp, StatusCode::BAD_REQUEST, "invalid_grant")
            }
            None => (Outcome::UsedAgain, StatusCode::OK, ""),
        });
        ledger.refreshes.extend(refresh.map(|(outcome, ..)| outcome));
        match refresh {
            Some((_, status, code)) if !status.is_success() => (status, format!(r#"{{"error":"{code}"}}"#)),
            refresh => {
                ledger.issued += 1;
                let n = ledger.issued;
                // Where it does not rotate, the first refresh token is the only one.
                let replaces = refresh.is_none() || self.rotation != Rotation::None;
                let new = if replaces { format!(r#","refresh_token":"RT-{n}""#) } else { String::new() };
                (StatusCode::OK, format!(r#"{{"access_token":"AT-{n}","expires_in":3600{new}}}"#))
            }
        }
    }
}

/// Where a refresh can stand still: before each step of the protocol, and at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Before(Point),
    /// The request has come, and nothing is done.
    P6Head,
    /// It is done, and its answer is not there yet.
    P7Body,
}

/// Stands still at one place, once, until it is told to go on.
#[derive(Debug)]
pub(super) struct Stops {
    at: Mutex<Option<Place>>,
    reached: Semaphore,
    open: Semaphore,
}

impl Stops {
    pub(super) fn at(place: Place) -> Arc<Self> {
        Self::new(Some(place))
    }

    fn nowhere() -> Arc<Self> {
        Self::new(None)
    }

    fn new(at: Option<Place>) -> Arc<Self> {
        Arc::new(Self { at: Mutex::new(at), reached: Semaphore::new(0), open: Semaphore::new(0) })
    }

    async fn stand_at(&self, place: Place) {
        let is_here = {
            let mut at = self.at.lock().unwrap();
            at.take_if(|at| *at == place).is_some()
        };
        if is_here {
            self.reached.add_permits(1);
            self.open.acquire().await.unwrap().forget();
        }
    }

    pub(super) async fn is_reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub(super) fn go_on(&self) {
        self.open.add_permits(1);
    }
}

#[async_trait]
impl Probe for Arc<Stops> {
    async fn at(&self, point: Point) {
        self.stand_at(Place::Before(point)).await;
    }
}

pub(super) struct World {
    pub(super) clock: Impatient,
    pub(super) server: Arc<Server>,
    pub(super) store: Arc<MemoryTokenStore>,
    ring: KeyRing,
}

impl World {
    pub(super) fn new(rotation: Rotation) -> Self {
        let clock = Impatient::default();
        let store = Arc::new(MemoryTokenStore::new().clock(Arc::new(clock.clone())));
        let server = Arc::new(Server { rotation, ledger: Mutex::default(), stops: Mutex::default() });
        Self { clock, server, store, ring: KeyRing::generate().unwrap() }
    }

    pub(super) fn refreshes(&self) -> Vec<Outcome> {
        self.server.ledger.lock().unwrap().refreshes.clone()
    }

    /// The mark of another process for the first refresh token.
    pub(super) fn mark(&self) -> RefreshMark {
        let hash = sha2::Sha256::digest("RT-1").into();
        RefreshMark::new(LeaseHolder::from_bytes([7; 16]), hash, self.clock.now())
    }

    /// What happens before the lease is asked for.
    pub(super) fn meanwhile(&self, key: &ConnectionKey, mark: Option<RefreshMark>) -> Meanwhile {
        Meanwhile { clock: self.clock.clone(), store: Arc::clone(&self.store), key: key.clone(), mark }
    }

    pub(super) fn process(&self) -> Connections {
        self.process_with(Stops::nowhere())
    }

    pub(super) fn process_with(&self, probe: impl Probe) -> Connections {
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = self.server.rotation;
        let provider = Provider::builder("p")
            .authorization_endpoint("https://as.example/authorize")
            .token_endpoint("https://as.example/token")
            .revocation_endpoint("https://as.example/revoke")
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

    pub(super) async fn connect(&self) -> ConnectionKey {
        self.login(&self.process()).await
    }

    pub(super) async fn login(&self, connections: &Connections) -> ConnectionKey {
        let binding = Binding::user("", "user");
        let begun = connections.begin("p", &binding).unwrap().await.unwrap();
        let state = begun.url().split("state=").nth(1).unwrap().split('&').next().unwrap();
        let query = format!("code=c&state={state}");
        let response = AuthorizationResponse::from_query(&query).unwrap();
        connections.complete("p", &response, &binding).await.unwrap().key
    }
}

/// One after the other.
#[derive(Debug)]
pub(super) struct Both<A, B>(pub(super) A, pub(super) B);

#[async_trait]
impl<A: Probe, B: Probe> Probe for Both<A, B> {
    async fn at(&self, point: Point) {
        self.0.at(point).await;
        self.1.at(point).await;
    }
}

/// Before the lease is asked for, another process refreshes and does not learn how it ended, or the wall clock is put back.
#[derive(Debug)]
pub(super) struct Meanwhile {
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

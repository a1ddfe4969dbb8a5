//! What a process has to know, and the connections that it makes of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow::quirks::Rotation;
use authflow::{
    Binding, ClientCredentials, Clock, ConfiguredProvider, ConnectionKey, Connections, Flow, HttpClient,
    KeyRing, Limits, Provider, Quirks, SystemClock, User, async_trait,
};
use authflow_testkit::LoopbackClient;
use serde_json::{Value, json};

use crate::backend::{PATIENCE, Stores};
use crate::gate::{Gate, GatedHttp, GatedStates, GatedTokens};

pub const TENANT: &str = "tenant";
/// The client that the provider has, and its redirect URI.
const CLIENT: (&str, &str) = ("public-client", "https://client.example/callback");

/// What the provider does with refresh tokens, and the processes know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotates {
    Strictly,
    WithGrace,
    Never,
}

/// No machine is so slow that a lease of this length ends before a test does. It is shorter than the longest lease that there
/// is: one that claims more time than that has ended, and a clock that is put back a little makes it claim more.
pub const LONG: Duration = Duration::from_secs(240);
/// For how many seconds a refresh token is taken once more: for longer than any case lasts.
const GRACE: u32 = 600;

impl Rotates {
    pub const ALL: [Self; 3] = [Self::Strictly, Self::WithGrace, Self::Never];

    pub fn at_server(self) -> authflow_testkit::Rotation {
        use authflow_testkit::Rotation::{None, Rotate};
        match self {
            Self::Strictly => Rotate { grace: Option::None },
            Self::WithGrace => Rotate { grace: Some(Duration::from_secs(GRACE.into())) },
            Self::Never => None,
        }
    }

    const fn quirk(self) -> Rotation {
        match self {
            Self::Strictly => Rotation::Strict,
            Self::WithGrace => Rotation::Grace(GRACE),
            Self::Never => Rotation::None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the connections are.
    pub store: String,
    /// Where the provider is.
    pub server: String,
    pub rotates: Rotates,
    pub lease: Duration,
    /// However slow the machine is, no lease ends while its holder lives: it is renewed all the time, and who waits has long to
    /// wait.
    pub is_steady: bool,
    /// No token is served from memory without a look into the store.
    pub asks_always: bool,
    pub user: String,
    pub keys: KeyRing,
}

impl Setup {
    pub fn to_line(&self) -> String {
        let rotates = Rotates::ALL.iter().position(|rotates| *rotates == self.rotates);
        let lease = u64::try_from(self.lease.as_millis()).unwrap();
        json!({
            "store": self.store,
            "server": self.server,
            "rotates": rotates,
            "lease": lease,
            "is_steady": self.is_steady,
            "asks_always": self.asks_always,
            "user": self.user,
            "keys": self.keys.to_text().expose(),
        })
        .to_string()
    }

    pub fn from_line(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        let number = |name: &str| value[name].as_u64().unwrap();
        Self {
            store: text("store"),
            server: text("server"),
            rotates: Rotates::ALL[usize::try_from(number("rotates")).unwrap()],
            lease: Duration::from_millis(number("lease")),
            is_steady: value["is_steady"].as_bool().unwrap(),
            asks_always: value["asks_always"].as_bool().unwrap(),
            user: text("user"),
            keys: KeyRing::parse(&text("keys")).unwrap(),
        }
    }

    pub fn binding(&self) -> Binding {
        Binding::user(TENANT, &*self.user)
    }

    pub fn key(&self) -> ConnectionKey {
        ConnectionKey::new(&User::new(TENANT, &*self.user), "p")
    }

    /// Connections that tell `gate` what they do, if there is one.
    pub fn connections(&self, (tokens, states): Stores, gate: Option<&Arc<Gate>>) -> Connections {
        let client = LoopbackClient::new();
        match gate.map(Arc::clone) {
            None => self.connections_by((tokens, states), Arc::new(client)),
            Some(gate) => {
                let tokens = Arc::new(GatedTokens { gate: Arc::clone(&gate), store: tokens });
                let states = Arc::new(GatedStates { gate: Arc::clone(&gate), store: states });
                self.connections_by((tokens, states), Arc::new(GatedHttp { gate, client }))
            }
        }
    }

    /// Connections that ask the provider by this client.
    pub fn connections_by(&self, (tokens, states): Stores, http: Arc<dyn HttpClient>) -> Connections {
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = self.rotates.quirk();
        let provider = Provider::builder("p")
            .base_uri(&self.server)
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .revocation_endpoint("/revoke")
            .api_origin(&self.server)
            .quirks(quirks)
            .build()
            .unwrap();
        let credentials = ClientCredentials::public(CLIENT.0).redirect_uri(CLIENT.1);
        let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
        // A provider and a store that live answer at last, also where the machine stands still for a while: what is looked at
        // here is leases, and no other time.
        let limits = Limits::default().with_connect(LONG).with_total(LONG);
        let flow = Flow::builder(manager).http_client(http).limits(limits).build().unwrap();
        let builder = Connections::builder().flow(flow).token_store(tokens).keys(self.keys.clone());
        let builder = builder.lease(self.lease).store_timeout(PATIENCE);
        let builder = if self.asks_always { builder.cache_for(Duration::ZERO) } else { builder };
        let builder = if self.is_steady {
            builder.clock(Arc::new(Steady { lease: self.lease })).wait(LONG)
        } else {
            builder
        };
        builder.build().unwrap()
    }
}

/// The system's clock, but for the time between two renewals of a lease: that is short.
#[derive(Debug)]
struct Steady {
    lease: Duration,
}

#[async_trait]
impl Clock for Steady {
    fn now(&self) -> SystemTime {
        SystemClock::new().now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock::new().monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        // A third of the lease, less what the last renewal took.
        let is_renewal = (self.lease / 4..=self.lease / 3).contains(&duration);
        SystemClock::new().sleep(if is_renewal { Duration::from_millis(50) } else { duration }).await;
    }
}

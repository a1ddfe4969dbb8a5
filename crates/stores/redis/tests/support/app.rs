//! An application, which may have several processes, and the provider that it connects its users to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::quirks::Rotation;
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, ConnectionKey, Connections,
    Flow, HttpClient, KeyRing, MemoryStateStore, Quirks, StateStore, SystemClock, async_trait,
};
use authflow_redis::{RedisConfig, RedisTokenStore};
use authflow_testkit::{AuthorizationServer, Endpoint, LoopbackClient, ScriptedUser};

pub const HOUR: Duration = Duration::from_secs(3600);

/// The system's clock, as far ahead as a test puts it. Waiting takes its time: the server's clock goes on by itself, too.
#[derive(Debug, Default)]
pub struct Shifted {
    clock: SystemClock,
    ahead: Mutex<Duration>,
    /// Unless it is zero: how many times shorter a pause is.
    pub times: AtomicU32,
    /// Unless it is zero: how many times longer a pause is.
    pub longer: AtomicU32,
}

impl Shifted {
    pub fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap() += by;
    }

    fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap()
    }
}

#[async_trait]
impl Clock for Shifted {
    fn now(&self) -> SystemTime {
        self.clock.now() + self.ahead()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + self.ahead()
    }

    async fn sleep(&self, duration: Duration) {
        let (times, longer) = (self.times.load(Ordering::SeqCst), self.longer.load(Ordering::SeqCst));
        self.clock.sleep(duration * longer.max(1) / times.max(1)).await;
    }
}

/// An application, and the provider that it connects its users to.
pub struct App {
    pub provider: AuthorizationServer,
    rotation: Rotation,
    pub clock: Arc<Shifted>,
    ring: KeyRing,
    states: Arc<MemoryStateStore>,
}

impl App {
    /// At a provider that rotates strictly.
    pub async fn new() -> Self {
        Self::at(Rotation::Strict).await
    }

    /// At a provider that does with refresh tokens what is known of it.
    pub async fn at(rotation: Rotation) -> Self {
        let rotates = match rotation {
            Rotation::None => authflow_testkit::Rotation::None,
            Rotation::Strict => authflow_testkit::Rotation::Rotate { grace: None },
            Rotation::Grace(seconds) => {
                let grace = Some(Duration::from_secs(seconds.into()));
                authflow_testkit::Rotation::Rotate { grace }
            }
            other => panic!("{other:?}"),
        };
        let clock = Arc::new(Shifted::default());
        let now = Arc::clone(&clock);
        let provider = AuthorizationServer::builder()
            .access_token_lifetime(HOUR)
            .rotation(rotates)
            .clock(move || now.now())
            .start()
            .await
            .unwrap();
        Self { provider, rotation, clock, ring: KeyRing::generate().unwrap(), states: Arc::default() }
    }

    /// One process of it.
    pub async fn process(&self, config: RedisConfig) -> Connections {
        self.process_with(config, LoopbackClient::new()).await
    }

    pub async fn process_with(&self, config: RedisConfig, client: impl HttpClient) -> Connections {
        self.build(config, client, self.states.clone()).await
    }

    /// One with its pending flows there.
    pub async fn process_over(&self, config: RedisConfig, states: Arc<dyn StateStore>) -> Connections {
        self.build(config, LoopbackClient::new(), states).await
    }

    async fn build(
        &self,
        config: RedisConfig,
        client: impl HttpClient,
        states: Arc<dyn StateStore>,
    ) -> Connections {
        let mut quirks = Quirks::default();
        quirks.refresh_policy.rotation = self.rotation;
        let provider = self.provider.provider("example").quirks(quirks).build().unwrap();
        let known = self.provider.basic_client();
        let credentials = ClientCredentials::confidential(known.id(), known.secret().unwrap())
            .redirect_uri("http://127.0.0.1/callback");
        let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
        let clock = self.clock.clone();
        let flow = Flow::builder(manager).http_client(client).clock(clock.clone()).build().unwrap();
        let store = RedisTokenStore::connect(config).await.unwrap();
        Connections::builder()
            .flow(flow)
            .token_store(store)
            .keys(self.ring.clone())
            .clock(clock)
            .cache_for(Duration::ZERO)
            .build()
            .unwrap()
    }

    pub async fn connect(&self, connections: &Connections, user: &str) -> ConnectionKey {
        let binding = Binding::user("tenant", user);
        let callback = self.callback(connections, &binding).await;
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        connections.complete("example", &response, &binding).await.unwrap().key
    }

    /// What comes back once the user has agreed.
    pub async fn callback(&self, connections: &Connections, user: &Binding) -> String {
        let authorization = connections.begin("example", user).unwrap().await.unwrap();
        ScriptedUser::new().approve(authorization.url()).await.unwrap()
    }

    pub fn revocations(&self) -> usize {
        self.provider.ledger().of(Endpoint::Revocation).len()
    }

    pub fn token_requests(&self) -> usize {
        self.provider.ledger().token_requests().len()
    }
}

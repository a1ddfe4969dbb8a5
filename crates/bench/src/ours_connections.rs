//! authflow's connections, as an application uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, Clock, ConnectionKey, Connections, ConnectionsBuilder, MemoryStateStore,
    SystemClock, User, async_trait,
};
use authflow_reqwest::ReqwestClient;

use crate::ours;
use crate::registration::{PROVIDER_ID, callback_query};

const TENANT: &str = "bench";

/// The system's clock, whose wall time can be moved on: so a token comes near its end.
#[derive(Debug, Default)]
pub(crate) struct MovedClock {
    system: SystemClock,
    moved: AtomicU64,
}

impl MovedClock {
    pub(crate) fn move_on(&self, by: Duration) {
        self.moved.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for MovedClock {
    fn now(&self) -> SystemTime {
        self.system.now() + Duration::from_secs(self.moved.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.system.sleep(duration).await;
    }
}

/// Connections whose tokens come from `token_endpoint`: the store is still missing.
pub(crate) fn builder(token_endpoint: &str, clock: Arc<dyn Clock>) -> ConnectionsBuilder {
    let http = ReqwestClient::new().unwrap();
    let flow = ours::flow_by(Arc::clone(&clock), token_endpoint, MemoryStateStore::new(), http);
    Connections::builder().flow(flow).clock(clock)
}

pub(crate) fn user(name: &str) -> User {
    User::new(TENANT, name)
}

pub(crate) fn key(name: &str) -> ConnectionKey {
    ConnectionKey::new(&user(name), PROVIDER_ID)
}

/// The whole flow for a user.
pub(crate) async fn connect(connections: &Connections, name: &str) -> ConnectionKey {
    let binding = Binding::user(TENANT, name);
    let authorization = connections.begin(PROVIDER_ID, &binding).unwrap().await.unwrap();
    let query = callback_query(authorization.url());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    connections.complete(PROVIDER_ID, &response, &binding).await.unwrap().key
}

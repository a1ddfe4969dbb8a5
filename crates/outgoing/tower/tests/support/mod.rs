//! A provider with an API and a ledger, a user's connection, and a token store that can be switched off.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, each of which uses a part"
)]

use std::sync::Arc;
use std::time::Duration;

use authflow_contentstack::Contentstack;
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections, Flow,
    FlowManager, MemoryStateStore, MemoryTokenStore, Quirks,
};
use authflow_stackexchange::StackExchange;
use authflow_testkit::{
    AuthorizationServer, Endpoint, Entry, LoopbackClient, ManualClock, Outage, Personality, ScriptedUser,
};

const REDIRECT_URI: &str = "http://127.0.0.1:7001/callback";

pub struct World {
    pub server: AuthorizationServer,
    pub connections: Connections,
    pub key: ConnectionKey,
    pub store: Arc<Outage<MemoryTokenStore>>,
    /// By which the server's tokens expire; the connections have another one, which stands still.
    server_clock: ManualClock,
}

impl World {
    pub async fn rfc() -> Self {
        Self::with(Personality::Rfc, Quirks::default()).await
    }

    pub async fn of(personality: Personality) -> Self {
        Self::with(personality, Quirks::default()).await
    }

    pub async fn with(personality: Personality, quirks: Quirks) -> Self {
        let server_clock = ManualClock::new();
        let server = AuthorizationServer::builder()
            .personality(personality)
            .organization_uid("planted-organization")
            .clock({
                let clock = server_clock.clone();
                move || authflow_core::Clock::now(&clock)
            })
            .start()
            .await
            .unwrap();
        let clock = Arc::new(ManualClock::new());
        let manager = manager(&server, quirks);
        let flow =
            Flow::builder(manager).http_client(LoopbackClient::new()).clock(clock.clone()).build().unwrap();
        let store = Arc::new(Outage::new(MemoryTokenStore::new()));
        let connections =
            Connections::builder().flow(flow).token_store(Arc::clone(&store)).clock(clock).build().unwrap();
        let key = connect(&connections, "user-42").await;
        Self { server, connections, key, store, server_clock }
    }

    pub async fn connect(&self, user: &str) -> ConnectionKey {
        connect(&self.connections, user).await
    }

    /// The server's access tokens are over, and nobody knows but the server.
    pub fn expire(&self) {
        self.server_clock.advance(Duration::from_secs(7200));
    }

    pub async fn token(&self) -> String {
        self.connections.token(&self.key).await.unwrap().expose().to_owned()
    }

    pub fn api(&self) -> String {
        self.server.resource_url()
    }

    /// What came to the API.
    pub fn requests(&self) -> Vec<Entry> {
        self.server.ledger().of(Endpoint::Resource)
    }

    pub fn statuses(&self) -> Vec<u16> {
        self.requests().iter().map(Entry::status).collect()
    }

    /// How many tokens were asked for since the connection was made.
    pub fn refreshes(&self) -> usize {
        let entries = self.server.ledger().token_requests();
        entries.iter().filter(|entry| entry.form_value("grant_type") == Some("refresh_token")).count()
    }
}

async fn connect(connections: &Connections, user: &str) -> ConnectionKey {
    let user = Binding::user("", user);
    let provider_id = connections.providers().next().unwrap();
    let authorization = connections.begin(provider_id, &user).unwrap().await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    connections.complete(provider_id, &response, &user).await.unwrap().key
}

fn manager(server: &AuthorizationServer, quirks: Quirks) -> Box<dyn FlowManager> {
    let base = server.base_url();
    let client = server.public_client();
    let credentials = ClientCredentials::public(client.id()).redirect_uri(REDIRECT_URI);
    match server.personality() {
        Personality::StackExchange => Box::new(
            StackExchange::builder(credentials)
                .key(client.api_key())
                .endpoints_at(base)
                .without_account_lookup()
                .build()
                .unwrap(),
        ),
        Personality::Contentstack => Box::new(
            Contentstack::builder(credentials)
                .app_uid(client.registered_app_uid())
                .endpoints_at(base)
                .build()
                .unwrap(),
        ),
        _ => {
            let provider = server
                .provider("rfc")
                .api_origin("https://api.example")
                .default_scopes(["read", "offline_access"])
                .quirks(quirks)
                .build()
                .unwrap();
            let states = MemoryStateStore::default();
            Box::new(ConfiguredProvider::from_provider(provider, credentials, states).unwrap())
        }
    }
}

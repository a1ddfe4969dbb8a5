//! What is in the files is sealed, and sealed bytes open where they were written only.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections,
    ErrorKind, Expected, Flow, KeyRing, Loaded, MemoryStateStore, SaveOutcome, SealedBytes, TokenStore as _,
    Write,
};
use authflow_file::FileTokenStore;
use authflow_testkit::{AuthorizationServer, LoopbackClient, ScriptedUser};

struct World {
    server: AuthorizationServer,
    states: Arc<MemoryStateStore>,
    ring: KeyRing,
}

impl World {
    async fn new() -> Self {
        let server = AuthorizationServer::builder().start().await.unwrap();
        Self { server, states: Arc::default(), ring: KeyRing::generate().unwrap() }
    }

    fn flow(&self) -> Flow {
        let provider =
            self.server.provider("p").default_scopes(["profile", "offline_access"]).build().unwrap();
        let credentials =
            ClientCredentials::public("public-client").redirect_uri("http://127.0.0.1/callback");
        let manager =
            ConfiguredProvider::from_provider(provider, credentials, Arc::clone(&self.states)).unwrap();
        Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap()
    }

    /// Connections of one more process.
    async fn process(&self, directory: &Path) -> Connections {
        let store = FileTokenStore::open(directory).await.unwrap();
        Connections::builder().flow(self.flow()).token_store(store).keys(self.ring.clone()).build().unwrap()
    }

    async fn connect(&self, connections: &Connections, user: &str) -> ConnectionKey {
        let binding = Binding::user("tenant", user);
        let authorization = connections.begin("p", &binding).unwrap().await.unwrap();
        let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        connections.complete("p", &response, &binding).await.unwrap().key
    }
}

#[tokio::test]
async fn another_process_has_the_token_and_no_file_shows_it() {
    let (world, directory) = (World::new().await, support::directory());
    let first = world.process(directory.path()).await;
    let key = world.connect(&first, "user-42").await;
    let token = first.token(&key).await.unwrap();
    let second = world.process(directory.path()).await;
    assert_eq!(second.token(&key).await.unwrap().expose(), token.expose());
    let refreshed = second.refresh_now(&key).await.unwrap();
    assert_ne!(refreshed.expose(), token.expose());
    let third = world.process(directory.path()).await;
    assert_eq!(third.token(&key).await.unwrap().expose(), refreshed.expose());

    let bytes = std::fs::read(support::record_path(directory.path(), &key)).unwrap();
    for token in [token.expose(), refreshed.expose()] {
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
}

#[tokio::test]
async fn it_is_not_used_without_keys() {
    let (world, directory) = (World::new().await, support::directory());
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let error = Connections::builder().flow(world.flow()).token_store(store).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

/// X20: sealed bytes in the place of another connection's, with checksums that agree; and with one bit flipped.
#[tokio::test]
async fn x20_sealed_bytes_of_another_connection_do_not_open() {
    let (world, directory) = (World::new().await, support::directory());
    let connections = world.process(directory.path()).await;
    let keys = [world.connect(&connections, "user-1").await, world.connect(&connections, "user-2").await];
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let mut records = Vec::new();
    for key in &keys {
        let Loaded::Found(record) = store.load(key).await.unwrap() else { panic!("it is there") };
        records.push(record);
    }
    let mut flipped = records[0].sealed.as_bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    for sealed in [records[1].sealed.clone(), SealedBytes::new(flipped)] {
        let Loaded::Found(record) = store.load(&keys[0]).await.unwrap() else { panic!("it is there") };
        let expected = Expected::version(record.version);
        let saved = store.save_if_version(&keys[0], &expected, Write::new(sealed.clone())).await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(_)));
        let error = world.process(directory.path()).await.token(&keys[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "{error}");
        let Loaded::Found(record) = store.load(&keys[0]).await.unwrap() else { panic!("it stays") };
        assert_eq!(record.sealed.as_bytes(), sealed.as_bytes());
    }
    // Nothing of it concerns the other one.
    world.process(directory.path()).await.token(&keys[1]).await.unwrap();
}

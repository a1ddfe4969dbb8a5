//! Processes that share a directory refresh a connection once between them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections, Flow,
    KeyRing, MemoryStateStore, Provider, User,
};
use authflow_file::FileTokenStore;
use authflow_testkit::{AuthorizationServer, LoopbackClient, Rotation, ScriptedUser};
use process::Process;

const PROCESSES: usize = 16;
const TASKS: usize = 8;
const BASE_URL: &str = "AUTHFLOW_TEST_BASE_URL";
const KEYS: &str = "AUTHFLOW_TEST_KEYS";

async fn connections(directory: &Path, base_url: &str, ring: KeyRing) -> Connections {
    let provider = Provider::builder("p")
        .base_uri(base_url)
        .authorization_endpoint("/authorize")
        .token_endpoint("/token")
        .default_scopes(["profile", "offline_access"])
        .build()
        .unwrap();
    let credentials = ClientCredentials::public("public-client").redirect_uri("http://127.0.0.1/callback");
    let states = Arc::new(MemoryStateStore::new());
    let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    let store = FileTokenStore::open(directory).await.unwrap();
    Connections::builder().flow(flow).token_store(store).keys(ring).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Some((_, directory)) = process::role() else { return };
    let ring = KeyRing::parse(&std::env::var(KEYS).unwrap()).unwrap();
    let connections = connections(&directory, &std::env::var(BASE_URL).unwrap(), ring).await;
    let key = ConnectionKey::new(&User::new("tenant", "user-42"), "p");
    let key = connections.list(key.user()).await.unwrap().connections.remove(0).key;
    let old = connections.token(&key).await.unwrap();
    process::say("ready");
    process::wait();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (connections, old) = (connections.clone(), old.clone());
            tokio::spawn(async move { connections.token_refused(&old).await.unwrap().unwrap() })
        })
        .collect();
    for task in tasks {
        process::say(task.await.unwrap().expose());
    }
}

/// F2, X23: the server refused the token, and every process learns it at once. The refresh token is used once, and all get
/// what came of it; a second use would have ended the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x23_16_processes_send_one_request() {
    let server =
        AuthorizationServer::builder().rotation(Rotation::Rotate { grace: None }).start().await.unwrap();
    let (directory, ring) = (support::directory(), KeyRing::generate().unwrap());
    let first = connections(directory.path(), server.base_url(), ring.clone()).await;
    let binding = Binding::user("tenant", "user-42");
    let authorization = first.begin("p", &binding).unwrap().await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    let key = first.complete("p", &response, &binding).await.unwrap().key;
    let old = first.token(&key).await.unwrap();

    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = process::command("refresh", directory.path());
            command.env(BASE_URL, server.base_url()).env(KEYS, ring.to_text().expose());
            Process::of(&mut command)
        })
        .collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    let before = server.ledger().token_requests().len();
    for process in &mut processes {
        process.go();
    }
    let mut tokens = BTreeSet::new();
    for process in &mut processes {
        for _ in 0..TASKS {
            tokens.insert(process.hear().expect("each task has a token"));
        }
    }
    for process in processes {
        process.end();
    }
    assert_eq!(server.ledger().token_requests().len() - before, 1);
    assert_eq!(tokens.len(), 1, "all have the same");
    assert!(!tokens.contains(old.expose()));
    assert_eq!(first.token_refused(&old).await.unwrap().unwrap().expose(), *tokens.first().unwrap());
}

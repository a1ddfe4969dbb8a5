//! `Connections` on a directory that is gone or read-only, or on a disk that is full: X10, X26.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Clock as _, ConfiguredProvider, Connections,
    ErrorKind, Flow, HttpClient, HttpError, HttpRequest, HttpResponse, KeyRing, Limits, MemoryStateStore,
    Recovery, StateStore, SystemClock, TokenStore as _, Version, async_trait,
};
use authflow_file::{FileStateStore, FileTokenStore};
use authflow_testkit::{AuthorizationServer, LoopbackClient, ScriptedUser};

/// Fills the disk with a file once an answer has come, if it is told which.
#[derive(Debug, Default)]
struct Filling {
    client: LoopbackClient,
    filler: Mutex<Option<PathBuf>>,
}

#[async_trait]
impl HttpClient for Filling {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let answer = self.client.send(request, limits).await;
        if let Some(path) = self.filler.lock().unwrap().take() {
            let mut file = File::create(path).unwrap();
            let full = (0..).find_map(|_| file.write_all(&[0; 512]).err()).unwrap();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        }
        answer
    }
}

/// One process of an application.
async fn process_at(
    directory: &Path,
    server: &AuthorizationServer,
    http: Arc<Filling>,
    ring: &KeyRing,
) -> Connections {
    process_with(directory, server, http, ring, Arc::new(MemoryStateStore::new())).await
}

async fn process_with(
    directory: &Path,
    server: &AuthorizationServer,
    http: Arc<Filling>,
    ring: &KeyRing,
    states: Arc<dyn StateStore>,
) -> Connections {
    let provider = server.provider("example").build().unwrap();
    let credentials =
        ClientCredentials::public(server.public_client().id()).redirect_uri("http://127.0.0.1/callback");
    let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
    let flow = Flow::builder(manager).http_client(http).build().unwrap();
    let store = FileTokenStore::open(directory).await.unwrap();
    Connections::builder().flow(flow).token_store(store).keys(ring.clone()).build().unwrap()
}

async fn callback(connections: &Connections, user: &Binding) -> String {
    let authorization = connections.begin("example", user).unwrap().scope("offline_access").await.unwrap();
    ScriptedUser::new().approve(authorization.url()).await.unwrap()
}

#[tokio::test]
async fn x26_no_code_is_sent_while_the_directory_is_gone_and_the_callback_works_later() {
    let directory = support::directory();
    let (path, elsewhere) = (directory.path().join("store"), directory.path().join("elsewhere"));
    let server = AuthorizationServer::builder().start().await.unwrap();
    let requests = || server.ledger().token_requests().len();
    let connections = process_at(&path, &server, Arc::default(), &KeyRing::generate().unwrap()).await;
    let user = Binding::user("tenant", "user-42");
    let callback = callback(&connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();

    fs::rename(&path, &elsewhere).unwrap();
    let error = connections.complete("example", &response, &user).await.unwrap_err();
    assert_eq!((error.kind(), requests()), (ErrorKind::StoreUnavailable, 0), "{error:?}");
    assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");
    fs::rename(&elsewhere, &path).unwrap();
    connections.complete("example", &response, &user).await.unwrap();
    assert_eq!(requests(), 1);
}

#[tokio::test]
async fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    match role.as_str() {
        "full disk" => full_disk(&directory).await,
        "read only" => read_only(&directory).await,
        other => panic!("no such role: {other}"),
    }
    process::say("done");
}

/// I1: the provider has answered, and there is no room for the answer. It is served, and kept as soon as there is.
#[test]
fn x10_i1_a_disk_that_is_full_between_answer_and_save_gets_the_new_tokens_once_there_is_room() {
    process::run_in_a_small_file_system("full disk", support::directory().path());
}

async fn full_disk(directory: &Path) {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (http, ring) = (Arc::new(Filling::default()), KeyRing::generate().unwrap());
    let connections = process_at(directory, &server, Arc::clone(&http), &ring).await;
    let user = Binding::user("tenant", "user-42");
    let callback = callback(&connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    let key = connections.complete("example", &response, &user).await.unwrap().key;
    let old = connections.token(&key).await.unwrap();
    let store = FileTokenStore::open(directory).await.unwrap();
    let version = async || -> Version { store.load(&key).await.unwrap().into_record().unwrap().version };
    let before = version().await;

    let filler = directory.join("filler");
    *http.filler.lock().unwrap() = Some(filler.clone());
    let new = connections.token_refused(&old).await.unwrap().unwrap();
    assert_ne!(new.expose(), old.expose());
    assert_eq!(version().await, before, "there is no room for it");
    assert_eq!(connections.token(&key).await.unwrap().expose(), new.expose());

    fs::remove_file(&filler).unwrap();
    let saved = async {
        while version().await == before {
            SystemClock::new().sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), saved).await.expect("it is saved once there is room");
    assert_eq!(version().await, before.next());
    let other = process_at(directory, &server, Arc::default(), &ring).await;
    assert_eq!(other.token(&key).await.unwrap().expose(), new.expose());
    assert_eq!(server.ledger().token_requests().len(), 2, "the code, and one refresh");
}

/// Nothing can be written where states and connections are. To use up the state is a write, and comes first.
#[test]
fn x26_no_code_is_sent_while_the_file_system_is_read_only_and_the_callback_works_later() {
    process::run_in_a_small_file_system("read only", support::directory().path());
}

async fn read_only(directory: &Path) {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let requests = || server.ledger().token_requests().len();
    let ring = KeyRing::generate().unwrap();
    let (stored, flows) = (directory.join("connections"), directory.join("flows"));
    let states = Arc::new(FileStateStore::open(&flows).await.unwrap());
    let connections = process_with(&stored, &server, Arc::default(), &ring, states).await;
    let user = Binding::user("tenant", "user-42");
    let mounted = |how: &str| {
        let status = std::process::Command::new("mount").args(["-o", how]).arg(directory).status();
        assert!(status.unwrap().success());
    };
    // The second time there is a connection to look at.
    for sent in 0..2 {
        let callback = callback(&connections, &user).await;
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        mounted("remount,ro");
        let error = connections.complete("example", &response, &user).await.unwrap_err();
        assert_eq!((error.kind(), requests()), (ErrorKind::StoreUnavailable, sent), "{error:?}");
        assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");
        mounted("remount,rw");
        let key = connections.complete("example", &response, &user).await.unwrap().key;
        assert_eq!(requests(), sent + 1);
        connections.token(&key).await.unwrap();
    }
}

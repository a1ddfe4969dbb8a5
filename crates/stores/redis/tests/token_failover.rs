//! X5: a failover that loses a lease, as `Connections` see it. The provider's ledger is the judge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses a part")]
mod app;
mod support;

use std::sync::Arc;
use std::time::Duration;

use app::{App, HOUR};
use authflow_core::quirks::Rotation;
use authflow_core::{
    ErrorKind, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, Record, async_trait,
};
use authflow_redis::RedisConfig;
use authflow_testkit::{LoopbackClient, Outcome};
use support::tokens::{found, open, redis_key};
use support::{Answers, Proxy, Server, in_time, until};
use tokio::sync::Notify;

/// Where the first process is when its master is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// It holds the lease, and is about to send the refresh token.
    BeforeSend,
    /// The provider has answered it, and it saves next.
    BeforeSave,
}

/// Waits there until it is let go.
#[derive(Debug)]
struct Waits {
    is: Is,
    there: Notify,
    let_go: Notify,
}

#[derive(Debug)]
struct WaitingClient(Arc<Waits>);

#[async_trait]
impl HttpClient for WaitingClient {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let Waits { is, there, let_go } = &*self.0;
        let client = LoopbackClient::new();
        let answer =
            if *is == Is::BeforeSave { Some(client.send(request.clone(), limits).await) } else { None };
        there.notify_one();
        let_go.notified().await;
        match answer {
            Some(answer) => answer,
            None => client.send(request, limits).await,
        }
    }
}

/// The lease of a refresh did not reach the new master. Two processes refresh: the refresh token is sent twice, and never more
/// often, and what is stored in the end is the newest that the provider gave, or what it says of it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x5_i2_i4_two_refresh_after_a_failover_and_nothing_newer_is_overwritten() {
    for rotation in [Rotation::Strict, Rotation::Grace(60), Rotation::None] {
        for is in [Is::BeforeSend, Is::BeforeSave] {
            fail_over(rotation, is).await;
        }
    }
}

async fn fail_over(rotation: Rotation, is: Is) {
    let case = format!("{rotation:?}, {is:?}");
    // Its replica need not wait for others that might come.
    let master = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let (link, front) = (Proxy::start(master.port).await, Proxy::start(master.port).await);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &link.port.to_string()]);
    let app = App::at(rotation).await;
    let config = |url: &str| RedisConfig::server(url).unwrap();
    let key = app.connect(&app.process(config(&front.url())).await, "user").await;
    until("the replica has the connection", || async { redis_key(&replica, &key).await.is_some() }).await;
    app.clock.advance(2 * HOUR);

    // The first process leases the connection at the old master, and that goes no further.
    link.answers(Answers::Swallowed);
    let waits = Arc::new(Waits { is, there: Notify::new(), let_go: Notify::new() });
    let first = app.process_with(config(&front.url()), WaitingClient(Arc::clone(&waits))).await;
    let asked = tokio::spawn({
        let (first, key) = (first.clone(), key.clone());
        async move { first.token(&key).await.map(|token| token.expose().to_owned()) }
    });
    in_time(waits.there.notified()).await;
    let leased = found(&open(&master).await, &key).await.unwrap().unwrap();
    assert!(leased.lease.is_some() && leased.mark.is_some(), "{case}");

    // Its master is lost. The other one knows of no lease.
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    front.lead_to(replica.port);
    let store = open(&replica).await;
    let stored = async || -> Record { found(&store, &key).await.unwrap().unwrap() };
    let before = stored().await;
    assert_eq!((before.version, before.lease, before.mark), (leased.version, None, None), "{case}");
    let second = app.process(config(&replica.url())).await;
    let taken_over = second.token(&key).await.map(|token| token.expose().to_owned());
    let between = stored().await;
    assert_eq!(between.version.counter(), 2, "{case}");

    // The first one goes on at the new master.
    waits.let_go.notify_one();
    let late = in_time(asked).await.unwrap().unwrap();
    assert_eq!(in_time(first.drain(Duration::from_secs(15))).await.unfinished, 0, "{case}");
    let after = stored().await;
    let again = match rotation {
        Rotation::Strict => Outcome::RefreshReused,
        Rotation::Grace(_) => Outcome::RefreshGrace,
        _ => Outcome::RefreshUsed,
    };
    assert_eq!(refreshes(&app), [Outcome::RefreshUsed, again], "{case}: twice (I2)");
    let newest = second.token(&key).await.unwrap();
    if (rotation, is) == (Rotation::Strict, Is::BeforeSave) {
        // The second one was told that the refresh token is over. That goes when the first one saves what it was replaced by.
        assert_eq!(taken_over.unwrap_err().kind(), ErrorKind::NeedsReconnect, "{case}");
        assert_eq!((after.version.counter(), newest.expose()), (3, &*late), "{case}");
    } else {
        assert_eq!((after.version, newest.expose()), (between.version, &*taken_over.unwrap()), "{case}");
    }
    let given = app.provider.ledger().token_requests();
    assert!(
        given.iter().any(|entry| entry.access_token() == Some(&*late)),
        "{case}: it is one of this user's"
    );
    assert_eq!(refreshes(&app).len(), 2, "{case}: nothing more was sent");

    if rotation == Rotation::Strict {
        // The provider ended the grant, as it says that it does. Who finds that out is told, and connecting anew puts it right.
        let error = second.token_refused(&newest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsReconnect, "{case}");
        assert_eq!(app.connect(&second, "user").await, key, "{case}");
        app.clock.advance(2 * HOUR);
    }
    second.refresh_now(&key).await.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(refreshes(&app).last(), Some(&Outcome::RefreshUsed), "{case}: the newest was stored");
}

/// What became of each refresh.
fn refreshes(app: &App) -> Vec<Outcome> {
    let requests = app.provider.ledger().token_requests();
    let refreshes = requests.iter().filter(|entry| entry.form_value("grant_type") == Some("refresh_token"));
    refreshes.map(|entry| entry.outcome().clone()).collect()
}

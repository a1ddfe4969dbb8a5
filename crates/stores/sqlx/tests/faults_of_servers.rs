//! What a server does when it fails, and what its users are told: X8.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    ConnectionKey, Expected, LeaseOutcome, LeaseRequest, Remove, Renew, SaveOutcome, StoreErrorKind, Tenure,
    TokenStore as _,
};
use authflow_sqlx::{ConnectError, MigrateError, SqlDatabase, SqlTokenStore, sqlx};
use authflow_testkit::conformance::token_store::check_error;
use support::{
    Kind, LONG, Proxy, Server, both, database, holder, in_time, incarnation, key, kind, one_connection,
    record, say, text, until, write,
};

/// What is in every statement that writes, and in none that reads.
const IN_A_WRITE: &str = "planted-";

/// How long an answer is waited for that does not come. What goes before it has to come in the same time.
const IN_VAIN: Duration = Duration::from_secs(3);

/// The three ways in which a server is spoken to, each with what makes its writes final.
const WAYS: [(Kind, bool, &str); 3] = [
    (Kind::Postgres, false, "COMMIT"),
    (Kind::Postgres, true, IN_A_WRITE),
    (Kind::MariaDb, false, IN_A_WRITE),
];

/// A way to speak to a server: over one connection, by way of a proxy.
struct Way {
    words: &'static str,
    _server: Arc<Server>,
    proxy: Proxy,
    database: SqlDatabase,
    store: SqlTokenStore,
    /// Of nothing that is stored.
    key: ConnectionKey,
}

impl Way {
    async fn new((kind, prepares, words): (Kind, bool, &'static str)) -> Self {
        let server = Server::shared(kind);
        database(&server).await;
        let proxy = Proxy::start(server.port, words).await;
        let database = one_connection(&server.url_by(proxy.port), Duration::from_secs(60));
        let database = database.prepared_statements(prepares);
        let store = SqlTokenStore::new(&database);
        Self { words, _server: server, proxy, database, store, key: key("user") }
    }

    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for way in WAYS {
            all.push(Self::new(way).await);
        }
        all
    }
}

#[tokio::test]
async fn x8_a_write_whose_answer_is_lost_is_read_back() {
    for Way { proxy, store, .. } in &Way::all().await {
        for resets in [false, true] {
            let key = &key("user");
            store.load(key).await.unwrap();
            proxy.reset(resets);
            let before = proxy.lost();
            proxy.lose_an_answer();
            let put = in_time(store.put(key, incarnation(), write(b"one"))).await.unwrap();
            proxy.lose_an_answer();
            let saved =
                in_time(store.save_if_version(key, &Expected::version(put), write(b"two"))).await.unwrap();
            assert!(matches!(saved, SaveOutcome::Saved(version) if version == put.next()), "{saved:?}");
            assert_eq!(proxy.lost() - before, 2, "{store:?} {resets}");
            assert_eq!(record(store, key).await.sealed.as_bytes(), b"two");
        }
    }
}

#[tokio::test]
async fn x8_a_lease_whose_answer_is_lost_is_asked_for_again() {
    for Way { words, proxy, store, key, .. } in &Way::all().await {
        store.put(key, incarnation(), write(b"one")).await.unwrap();

        let owner = holder();
        proxy.lose_an_answer();
        let leased = in_time(store.lease(key, LeaseRequest::new(owner, LONG))).await;
        assert_eq!(kind(leased), StoreErrorKind::OutcomeUnknown);
        let leased = store.lease(key, LeaseRequest::new(owner, LONG)).await.unwrap();
        assert!(matches!(leased, LeaseOutcome::Leased { .. }), "{leased:?}");

        proxy.lose_an_answer();
        let renewed = in_time(store.renew(key, &owner, Renew::new(LONG))).await;
        assert_eq!(kind(renewed), StoreErrorKind::OutcomeUnknown);
        assert_eq!(store.renew(key, &owner, Renew::new(LONG)).await.unwrap(), Tenure::Held);

        // A removal reads first, which has a commit of its own.
        proxy.lose_an_answer_after(usize::from(*words == "COMMIT"));
        let removed = in_time(store.remove(key, Remove::new(LONG))).await;
        assert_eq!(kind(removed), StoreErrorKind::OutcomeUnknown);
        assert!(store.load(key).await.unwrap().into_record().is_none());
    }
}

#[tokio::test]
async fn x8_a_write_that_got_lost_on_its_way_is_not_reported_as_done() {
    for Way { proxy, store, key, .. } in &Way::all().await {
        for resets in [false, true] {
            proxy.reset(resets);
            let put = store.put(key, incarnation(), write(b"one")).await.unwrap();
            proxy.lose_a_question();
            let saved = in_time(store.save_if_version(key, &Expected::version(put), write(b"two"))).await;
            let error = saved.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
            check_error(&error, key, b"two").unwrap();
            assert_eq!(record(store, key).await.version, put);
            let saved = store.save_if_version(key, &Expected::version(put), write(b"two")).await.unwrap();
            assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
        }
    }
}

/// A connection that is half open: nothing arrives, and nobody says so.
#[tokio::test]
async fn x8_a_write_that_nobody_gets_is_given_up_in_time() {
    for Way { proxy, database, store, key, .. } in &Way::all().await {
        let put = store.put(key, incarnation(), write(b"one")).await.unwrap();
        let hurried = SqlTokenStore::new(&database.clone().answer_timeout(IN_VAIN));
        proxy.swallow();
        let saved = in_time(hurried.save_if_version(key, &Expected::version(put), write(b"two"))).await;
        let error = saved.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
        until("the proxy has had it", || std::future::ready(proxy.lost() == 1)).await;
        assert!(text(&error).contains("in time"), "{}", text(&error));
        assert_eq!(record(store, key).await.version, put);
        let saved = store.save_if_version(key, &Expected::version(put), write(b"two")).await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
    }
}

#[tokio::test]
async fn x8_another_write_under_the_same_version_is_not_taken_for_the_lost_one() {
    for Way { proxy, store, key, .. } in &Way::all().await {
        let first = incarnation();
        let put = store.put(key, first, write(b"one")).await.unwrap();
        proxy.lose_a_question();
        let again = in_time(store.put(key, first, write(b"another"))).await;
        assert_eq!(kind(again), StoreErrorKind::OutcomeUnknown);

        store.save_if_version(key, &Expected::version(put), write(b"two")).await.unwrap();
        proxy.lose_a_question();
        let late = in_time(store.save_if_version(key, &Expected::version(put), write(b"late"))).await;
        assert_eq!(kind(late), StoreErrorKind::OutcomeUnknown);
        assert_eq!(proxy.lost(), 2, "{store:?}");
        assert_eq!(record(store, key).await.sealed.as_bytes(), b"two");
    }
}

#[tokio::test]
async fn x8_what_is_lost_before_the_commit_was_not_done() {
    let Way { proxy, store, key, .. } = &Way::new((Kind::Postgres, false, IN_A_WRITE)).await;
    let put = store.put(key, incarnation(), write(b"one")).await.unwrap();
    // The statement is run, and its transaction ends with the connection.
    proxy.lose_an_answer();
    let saved = in_time(store.save_if_version(key, &Expected::version(put), write(b"two"))).await;
    assert_eq!(kind(saved), StoreErrorKind::Unavailable);
    assert_eq!(proxy.lost(), 1);
    assert_eq!(record(store, key).await.version, put);
}

#[tokio::test]
async fn x8_a_server_that_hangs_is_not_waited_for() {
    for Way { proxy, database, store, key, .. } in &Way::all().await {
        store.put(key, incarnation(), write(b"one")).await.unwrap();
        proxy.hang();
        let hurried = SqlTokenStore::new(&database.clone().answer_timeout(IN_VAIN));
        let leased = in_time(hurried.lease(key, LeaseRequest::new(holder(), LONG))).await;
        let error = leased.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
        assert!(text(&error).contains("in time"), "{}", text(&error));
        // The connection that hangs is not used again.
        assert!(record(store, key).await.lease.is_some());
    }
}

#[tokio::test]
async fn x8_a_killed_server_loses_nothing_that_was_answered() {
    for server_kind in [Kind::Postgres, Kind::MariaDb] {
        let mut server = Server::start(server_kind);
        let patient = one_connection(&server.url(), Duration::from_secs(60));
        patient.migrate().await.unwrap();
        let patient = SqlTokenStore::new(&patient);
        let store = SqlTokenStore::new(&one_connection(&server.url(), Duration::from_millis(500)));
        let (key, owner) = (key("user"), holder());
        let put = patient.put(&key, incarnation(), write(b"one")).await.unwrap();
        patient.lease(&key, LeaseRequest::new(owner, LONG)).await.unwrap();
        server.kill();
        let error = in_time(store.load(&key)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(text(&error).contains("no connection could be made"), "{}", text(&error));
        check_error(&error, &key, b"one").unwrap();
        let expected = Expected::version(put);
        let save = store.save_if_version(&key, &expected, write(b"two"));
        assert_eq!(kind(in_time(save).await), StoreErrorKind::Unavailable);
        server.restart();
        let found = record(&patient, &key).await;
        assert_eq!((found.version, found.sealed.as_bytes()), (put, &b"one"[..]));
        assert_eq!(found.lease.unwrap().holder, owner);
        let saved = patient.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
    }
}

#[tokio::test]
async fn a_pooler_of_transactions_finds_no_named_statement() {
    let [server, _] = both();
    database(&server).await;
    for prepares in [false, true] {
        let pool =
            sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_lazy(&server.url()).unwrap();
        let store = SqlTokenStore::new(&SqlDatabase::postgres(pool.clone()).prepared_statements(prepares));
        let key = key("user");
        store.put(&key, incarnation(), write(b"one")).await.unwrap();
        store.load(&key).await.unwrap();
        let named: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
            .persistent(false)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(named > 0, prepares);
    }
}

#[tokio::test]
async fn of_16_migrations_at_once_all_succeed_and_one_makes_the_tables() {
    for server in both() {
        let url = server.database("fresh");
        let databases: Vec<_> = (0..16).map(|_| one_connection(&url, Duration::from_secs(60))).collect();
        let error = SqlTokenStore::new(&databases[0]).load(&key("user")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(text(&error).contains("SqlDatabase::migrate"), "{}", text(&error));
        let tasks: Vec<_> = databases
            .iter()
            .cloned()
            .map(|database| tokio::spawn(async move { database.migrate().await }))
            .collect();
        for task in tasks {
            in_time(task).await.unwrap().unwrap();
        }
        databases[1].migrate().await.unwrap();
        SqlTokenStore::new(&databases[0]).put(&key("user"), incarnation(), write(b"one")).await.unwrap();
        say(&url, "INSERT INTO authflow_schema (version) VALUES (99)").await;
        let refused = databases[0].migrate().await.unwrap_err();
        assert!(matches!(refused, MigrateError::Newer { found: 99, known: 1 }), "{refused:?}");
    }
}

#[tokio::test]
async fn h1_an_address_that_does_not_work_is_not_shown() {
    let nobody = support::free_port();
    let tasks = [
        format!("postgres://user:planted-password@127.0.0.1:{nobody}/x"),
        format!("mysql://user:planted-password@127.0.0.1:{nobody}/x"),
        format!("mariadb://user:planted-password@127.0.0.1:{nobody}/x"),
        "postgres://user:planted-password@[".to_owned(),
        "oracle://user:planted-password@127.0.0.1/x".to_owned(),
        "planted-password".to_owned(),
    ]
    .map(|address| tokio::spawn(async move { (SqlDatabase::connect(&address).await.unwrap_err(), address) }));
    for task in tasks {
        let (error, address) = in_time(task).await.unwrap();
        let shown = format!("{error:?} {}", text(&error));
        assert!(!shown.contains("planted"), "{shown}");
        let is_address = matches!(error, ConnectError::Address);
        assert_eq!(is_address, !address.contains(&nobody.to_string()), "{error:?}");
    }
}

/// Who can do nothing about it but wait is told another thing than who has to change the address.
#[tokio::test]
async fn h5_why_a_server_cannot_be_used_is_told_and_has_a_type() {
    for server in both() {
        let (scheme, _) =
            server.url().split_once(':').map(|(scheme, rest)| (scheme.to_owned(), rest.len())).unwrap();
        let connect = async |address: String| SqlDatabase::connect(&address).await.unwrap_err();
        let nobody = support::free_port();
        let refused = connect(format!("{scheme}://authflow@127.0.0.1:{nobody}/x")).await;
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused:?}");
        assert!(text(&refused).contains("Connection refused"), "{}", text(&refused));
        let port = server.port;
        let refused = connect(format!("{scheme}://nobody:planted-password@127.0.0.1:{port}/test")).await;
        assert!(matches!(refused, ConnectError::Authentication), "{refused:?}");
        let refused = connect(format!("{scheme}://authflow@127.0.0.1:{port}/nowhere")).await;
        assert!(matches!(refused, ConnectError::NoDatabase), "{refused:?}");
    }
}

#[tokio::test]
async fn an_address_leads_to_its_server() {
    for server in both() {
        let database = SqlDatabase::connect(&server.url()).await.unwrap();
        database.migrate().await.unwrap();
        let store = SqlTokenStore::new(&database);
        let key = key("user");
        store.put(&key, incarnation(), write(b"one")).await.unwrap();
        assert!(store.is_durable());
        assert_eq!(record(&store, &key).await.sealed.as_bytes(), b"one");
        database.close().await;
        assert_eq!(kind(store.load(&key).await), StoreErrorKind::Unavailable);
    }
}

/// An address of this machine that does not say so.
#[tokio::test]
async fn another_machine_has_to_speak_tls_unless_the_address_says_otherwise() {
    for server in both() {
        let elsewhere = server.url().replace("127.0.0.1", "0.0.0.0");
        let refused = SqlDatabase::connect(&elsewhere).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused:?}");
        assert!(text(&refused).contains("TLS"), "{}", text(&refused));
        let otherwise = if server.kind == Kind::Postgres { "sslmode=disable" } else { "ssl-mode=disabled" };
        SqlDatabase::connect(&format!("{elsewhere}?{otherwise}")).await.unwrap().close().await;
    }
}

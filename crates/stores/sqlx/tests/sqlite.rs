//! SQLite, the database of one machine: its files, its locks and its full disk: X9.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use authflow_core::{Expected, SaveOutcome, StoreErrorKind, TokenStore as _};
use authflow_sqlx::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use authflow_sqlx::{ConnectError, MigrateError, SqlDatabase, SqlTokenStore, sqlx};
use authflow_test_servers::SmallDisk;
use authflow_testkit::conformance::token_store::check_error;
use support::{in_time, incarnation, key, kind, record, text, write};

/// A pool of one connection with little patience, to the file.
async fn impatient(path: &Path) -> sqlx::SqlitePool {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_millis(50));
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

async fn opened(path: &Path) -> SqlTokenStore {
    let database = SqlDatabase::open(path).await.unwrap();
    database.migrate().await.unwrap();
    SqlTokenStore::new(&database)
}

#[tokio::test]
async fn x9_what_another_writer_keeps_locked_is_unavailable_and_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let key = key("user");
    let put = opened(&path).await.put(&key, incarnation(), write(b"one")).await.unwrap();
    let other = impatient(&path).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let store = SqlTokenStore::new(&SqlDatabase::sqlite(impatient(&path).await));
    let error = store.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(text(&error).contains("is writing"), "{}", text(&error));
    check_error(&error, &key, b"two").unwrap();
    assert_eq!(record(&store, &key).await.version, put);

    lock.rollback().await.unwrap();
    let saved = store.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
}

#[tokio::test]
async fn x9_a_full_disk_is_unavailable_and_costs_nothing_that_is_stored() {
    let test = "x9_a_full_disk_is_unavailable_and_costs_nothing_that_is_stored";
    let Some(disk) = SmallDisk::of(test, "512k") else { return };
    let database = SqlDatabase::open(disk.path().join("connections.db")).await.unwrap();
    grows_until_it_cannot(&database).await;
}

/// Where the disk has room, and the database may not take it: SQLite reports both alike.
#[tokio::test]
async fn x9_a_database_that_may_not_grow_is_unavailable_and_costs_nothing_that_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("connections.db"))
        .create_if_missing(true)
        .pragma("max_page_count", "60");
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    grows_until_it_cannot(&SqlDatabase::sqlite(pool)).await;
}

async fn grows_until_it_cannot(database: &SqlDatabase) {
    database.migrate().await.unwrap();
    let store = SqlTokenStore::new(database);
    let kept = key("kept");
    let put = store.put(&kept, incarnation(), write(b"one")).await.unwrap();

    let big = vec![7; 60_000];
    let mut failed = None;
    for n in 0..64 {
        let key = key(&n.to_string());
        if let Err(error) = store.put(&key, incarnation(), write(&big)).await {
            check_error(&error, &key, b"planted-sealed").unwrap();
            assert!(store.load(&key).await.unwrap().into_record().is_none());
            failed = Some(error);
            break;
        }
    }
    let error = failed.expect("there is no room");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", text(&error));
    assert!(text(&error).contains("full"), "{}", text(&error));
    let found = record(&store, &kept).await;
    assert_eq!((found.version, found.sealed.as_bytes()), (put, &b"one"[..]));
    database.close().await;
}

/// The process that the test below kills: it saves for ever, and says which save was answered.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var("AUTHFLOW_TEST_WRITER") else { return };
    let store = opened(Path::new(&path)).await;
    let user = authflow_core::User::new("tenant", "user");
    let key = authflow_core::ConnectionKey::new(&user, "provider");
    let mut version = store.put(&key, incarnation(), write(&[7; 30_000])).await.unwrap();
    loop {
        let sealed = [version.counter() as u8; 30_000];
        let saved = store.save_if_version(&key, &Expected::version(version), write(&sealed)).await.unwrap();
        let SaveOutcome::Saved(saved) = saved else { panic!("{saved:?}") };
        version = saved;
        let mut out = std::io::stdout().lock();
        writeln!(out, "answered {}", version.counter()).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn x9_a_killed_writer_loses_no_save_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    for saves in [1, 40, 200] {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env("AUTHFLOW_TEST_WRITER", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut answered =
            lines.filter_map(|line| Some(line.split_once("answered ")?.1.parse::<u64>().unwrap()));
        let last = answered.nth(saves).expect("it writes");
        writer.kill().unwrap();
        writer.wait().unwrap();
        let last = answered.last().unwrap_or(last);

        let store = opened(&path).await;
        let user = authflow_core::User::new("tenant", "user");
        let found = record(&store, &authflow_core::ConnectionKey::new(&user, "provider")).await;
        let counter = found.version.counter();
        // The last may have been kept and not answered.
        assert!(counter == last || counter == last + 1, "{counter} is stored, and {last} was answered");
        assert_eq!(found.sealed.as_bytes(), [(counter - 1) as u8; 30_000]);
        let check: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&impatient(&path).await).await.unwrap();
        assert_eq!(check, "ok");
    }
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let store = opened(&path).await;
    store.put(&key("user"), incarnation(), write(b"one")).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 3, "the database, its write-ahead log and the index of that: {seen}");

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = SqlDatabase::open(&path).await.unwrap_err();
    assert!(matches!(refused, ConnectError::FilePermissions), "{refused:?}");
    let refused = SqlDatabase::open(dir.path().join("missing/connections.db")).await.unwrap_err();
    assert!(matches!(refused, ConnectError::File(_)), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let notes = "not a database, ".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(matches!(SqlDatabase::open(&path).await.unwrap_err(), ConnectError::File(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_that_open_one_new_file_at_once_all_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let database =
                    SqlDatabase::connect(&format!("sqlite:{}", path.to_str().unwrap())).await.unwrap();
                database.migrate().await.unwrap();
                SqlTokenStore::new(&database).put(&key("user"), incarnation(), write(b"one")).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        in_time(task).await.unwrap();
    }
    let database = SqlDatabase::open(&path).await.unwrap();
    database.migrate().await.unwrap();
    let pool = impatient(&path).await;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM authflow_connections").fetch_one(&pool).await.unwrap();
    assert_eq!(count, 16);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
    assert_eq!(mode, "wal");

    sqlx::query("INSERT INTO authflow_schema (version) VALUES (99)").execute(&pool).await.unwrap();
    let refused = database.migrate().await.unwrap_err();
    assert!(matches!(refused, MigrateError::Newer { found: 99, known: 1 }), "{refused:?}");
}

#[tokio::test]
async fn tables_that_are_missing_are_named() {
    let database = SqlDatabase::connect("sqlite::memory:").await.unwrap();
    let store = SqlTokenStore::new(&database);
    assert!(!store.is_durable());
    let error = store.load(&key("user")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(text(&error).contains("SqlDatabase::migrate"), "{}", text(&error));
    database.migrate().await.unwrap();
    store.load(&key("user")).await.unwrap();
    database.close().await;
    assert_eq!(kind(store.load(&key("user")).await), StoreErrorKind::Unavailable);
}

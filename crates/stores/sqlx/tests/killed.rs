//! SQLite whose process is killed, while it copies what was written from the log into the file after every write: X9.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use authflow_core::{Clock as _, ConnectionKey, Expected, SaveOutcome, SystemClock, TokenStore as _, User};
use authflow_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use authflow_sqlx::{SqlDatabase, SqlTokenStore, sqlx};
use support::{incarnation, record, write};

/// Names the database to the process that is to be killed.
const DATABASE: &str = "AUTHFLOW_TEST_DATABASE";
/// With this it begins each line that is meant for the test.
const MARK: &str = "> ";
const ROUNDS: u32 = 20;

fn key() -> ConnectionKey {
    ConnectionKey::new(&User::new("tenant", "user"), "provider")
}

/// What is sealed in the version with this number: of many pages, each of which says so.
fn contents(counter: u64) -> Vec<u8> {
    counter.to_le_bytes().repeat(50_000)
}

/// As `open` does it, with a checkpoint after every write: one that is killed is about to make one, makes it, or made it.
async fn child(path: PathBuf) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "1");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let (store, key) = (SqlTokenStore::new(&SqlDatabase::sqlite(pool)), key());
    let mut version = record(&store, &key).await.version;
    loop {
        let sealed = contents(version.next().counter());
        let saved = store.save_if_version(&key, &Expected::version(version), write(&sealed)).await.unwrap();
        let SaveOutcome::Saved(next) = saved else { panic!("{saved:?}") };
        version = next;
        println!("\n{MARK}{}", version.counter());
    }
}

#[tokio::test]
async fn child_process() {
    if let Some(path) = std::env::var_os(DATABASE) {
        child(path.into()).await;
    }
}

/// Lets a process write, kills it after this part of the time from one answer to the next, and returns the last version that it
/// was told.
async fn killed_after(part: u32, path: &Path) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(DATABASE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = lines.filter_map(|line| line.strip_prefix(MARK)?.parse::<u64>().ok());
    let clock = SystemClock::new();
    told.next().expect("the process writes");
    let began = clock.monotonic();
    let told_by_then = told.next().expect("the process writes");
    clock.sleep((clock.monotonic() - began) * part / ROUNDS).await;
    child.kill().unwrap();
    // It may have been told of more before it was gone.
    let last = told.last().unwrap_or(told_by_then);
    child.wait().unwrap();
    last
}

#[tokio::test]
async fn x9_a_process_that_is_killed_in_a_checkpoint_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let key = key();
    let database = SqlDatabase::open(&path).await.unwrap();
    database.migrate().await.unwrap();
    SqlTokenStore::new(&database).put(&key, incarnation(), write(&contents(1))).await.unwrap();
    database.close().await;
    for round in 0..ROUNDS {
        let told = killed_after(round, &path).await;
        let url = format!("sqlite:{}", path.to_str().unwrap());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&pool).await.unwrap();
        assert_eq!(check, "ok", "{round}");
        pool.close().await;
        let database = SqlDatabase::open(&path).await.unwrap();
        let found = record(&SqlTokenStore::new(&database), &key).await;
        let counter = found.version.counter();
        assert!((told..=told + 1).contains(&counter), "{round}: it was told {told}, and {counter} is there");
        assert!(found.sealed.as_bytes() == contents(counter), "{round}");
        database.close().await;
    }
}

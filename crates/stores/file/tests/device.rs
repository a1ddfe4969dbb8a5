//! A device that fails: strace answers for it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/flows.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod flows;
#[path = "support/process.rs"]
mod process;
mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, FileKeys, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Record,
    SealedBytes, StoreError, TokenStore as _, User, Version, Write,
};
use authflow_file::{FileStateStore, FileTokenStore};
use process::Process;

const LONG: Duration = Duration::from_secs(600);

#[test]
fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    // strace counts the calls of each thread by themselves: all that is done to files is done by one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(LONG)
        .build()
        .unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "lease" => lease(&directory).await,
            "state" => state(&directory).await,
            "due" => due(&directory).await,
            "open" => open(&directory).await,
            "keys" => keys(&directory),
            other => panic!("no such role: {other}"),
        }
    });
}

fn key() -> ConnectionKey {
    ConnectionKey::new(&User::new("tenant", "user-42"), "p")
}

fn write() -> Write {
    Write::new(SealedBytes::new(b"sealed".to_vec()))
}

async fn connected(directory: &Path) -> (FileTokenStore, Version) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let version = store.put(&key(), Incarnation::random().unwrap(), write()).await.unwrap();
    (store, version)
}

async fn record(store: &FileTokenStore) -> Record {
    store.load(&key()).await.unwrap().into_record().expect("it is there")
}

/// The kind of the error, and what it is about.
fn say<T>(what: &str, result: Result<T, StoreError>) {
    process::say(&match result {
        Ok(_) => what.to_owned(),
        Err(error) => format!("{:?}: {}", error.kind(), std::error::Error::source(&error).unwrap()),
    });
}

async fn lease(directory: &Path) {
    let (store, _) = connected(directory).await;
    let request = LeaseRequest::new(LeaseHolder::random().unwrap(), LONG);
    say("leased", store.lease(&key(), request.clone()).await);
    process::say(if record(&store).await.lease.is_some() { "is leased" } else { "is free" });
    // As the trait says: the same holder asks again.
    let again = store.lease(&key(), request).await.unwrap();
    assert!(matches!(again, LeaseOutcome::Leased { .. }), "{again:?}");
}

/// Twice, as who is told that nothing was done may do.
async fn due(directory: &Path) {
    let (store, version) = connected(directory).await;
    for _ in 0..2 {
        let write = write().due_at(Some(SystemTime::UNIX_EPOCH));
        say("saved", store.save_if_version(&key(), &Expected::version(version), write).await);
        process::say(if record(&store).await.due_at.is_some() { "is due" } else { "is not due" });
    }
}

/// A flow is stored, checked, and checked again.
async fn state(directory: &Path) {
    let store = FileStateStore::open(directory).await.unwrap();
    say("stored", flows::store(&store, &flows::key(0)).await);
    for _ in 0..2 {
        match flows::check(&store, &flows::key(0)).await {
            Ok(None) => process::say("absent"),
            result => say("given out", result),
        }
    }
}

async fn open(directory: &Path) {
    match FileTokenStore::open(directory.join("one/two/three")).await {
        Ok(store) => assert!(matches!(store.load(&key()).await.unwrap(), Loaded::Absent)),
        Err(error) => return process::say(&error.to_string()),
    }
    process::say("opened");
}

fn keys(directory: &Path) {
    let path = directory.join("keys");
    process::say(&match FileKeys::new(&path).read_or_create() {
        Ok(_) => "made".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    });
    process::say(if path.exists() { "is there" } else { "is not there" });
}

/// Runs the child while `fault` befalls the system calls `calls`, and returns all that it says.
fn with(fault: &str, calls: &str, role: &str) -> Vec<String> {
    let directory = support::directory();
    let there = std::process::Command::new("strace").arg("-V").output().is_ok();
    assert!(there, "this test has system calls fail: install strace (apt-get install strace)");
    let inject = format!("inject={calls}:{fault}");
    let starter = ["strace", "-f", "-o", "/dev/null", "-e", &*format!("trace={calls}"), "-e", &*inject];
    let mut process = Process::of(&mut process::command_through(&starter, role, directory.path()));
    let said = std::iter::from_fn(|| process.hear()).collect();
    process.end();
    said
}

/// The same while they fail at the times `when`.
fn with_failing(role: &str, calls: &str, when: &str) -> Vec<String> {
    with(&format!("error=EIO:when={when}"), calls, role)
}

fn assert_said(said: &[String], expected: &[&str]) {
    let begins = |(said, expected): (&String, &&str)| said.starts_with(expected);
    assert!(
        said.len() == expected.len() && said.iter().zip(expected).all(begins),
        "{said:?} is not {expected:?}"
    );
}

/// X10: a connect brings a new shard to the disk, then its file, then the file's name. The lease after it does the last two
/// again.
const OF_THE_CONNECT: usize = 3;

#[test]
fn x10_a_file_that_does_not_reach_the_disk_replaces_nothing() {
    let said = with_failing("lease", "fsync", &(OF_THE_CONNECT + 1).to_string());
    assert_said(&said, &["Unavailable", "is free"]);
}

#[test]
fn x10_a_name_that_may_not_have_reached_the_disk_is_an_unknown_outcome() {
    let said = with_failing("lease", "fsync", &(OF_THE_CONNECT + 2).to_string());
    assert_said(&said, &["OutcomeUnknown", "is leased"]);
}

#[test]
fn x10_a_rename_that_fails_with_the_device_is_an_unknown_outcome() {
    let said = with_failing("lease", "rename,renameat,renameat2", "2");
    assert_said(&said, &["OutcomeUnknown", "is free"]);
}

#[test]
fn without_a_fault_it_is_leased() {
    assert_said(&with_failing("lease", "fsync", "1000"), &["leased", "is leased"]);
}

/// What is due is in its index on the disk before it is due: else a loss of power would leave it where no sweep finds it. The
/// index is a new directory; then the entry; then the file and its name.
#[test]
fn x10_a_record_is_not_due_before_its_entry_is_on_the_disk() {
    let entry = OF_THE_CONNECT + 2;
    let said = with_failing("due", "fsync", &entry.to_string());
    assert_said(&said, &["Unavailable", "is not due", "saved", "is due"]);
    assert!(said[0].contains("/due/"), "{said:?}");
    // That the entry is there already, of an attempt before, does not say that it is on the disk.
    let said = with_failing("due", "fsync", &format!("{entry}..{}", entry + 1));
    assert_said(&said, &["Unavailable", "is not due", "Unavailable", "is not due"]);
    assert!(said[2].contains("/due/"), "{said:?}");
}

/// The shard, the directory of its flows, the file, the file's name: each is on the disk before the answer. The removal after
/// them is so before the flow is given out, or a loss of power would give it out twice.
#[test]
fn x10_a_flow_is_not_given_out_before_its_removal_is_on_the_disk() {
    let said = with_failing("state", "fsync", "5");
    assert_said(&said, &["stored", "OutcomeUnknown", "absent"]);
    assert_said(&with_failing("state", "fsync", "6"), &["stored", "given out", "absent"]);
    for made in 1..=3 {
        let said = with_failing("state", "fsync", &made.to_string());
        assert_said(&said, &["Unavailable", "absent", "absent"]);
    }
    let said = with_failing("state", "fsync", "4");
    assert_said(&said, &["OutcomeUnknown", "given out", "absent"]);
}

/// The first removal is that of what a killed writer may have left.
#[test]
fn x10_a_removal_that_fails_gives_nothing_out() {
    let said = with_failing("state", "unlinkat", "2");
    assert_said(&said, &["stored", "OutcomeUnknown", "given out"]);
    let said = with("error=EROFS:when=2", "unlinkat", "state");
    assert_said(&said, &["stored", "Unavailable", "given out"]);
}

/// Each directory that had to be made is on the disk before there is a store.
#[test]
fn x10_a_new_directory_is_on_the_disk_with_all_above_it() {
    for made in 1..=3 {
        let said = with_failing("open", "fsync", &made.to_string());
        assert!(said.len() == 1 && said[0].contains("one/two/three: cannot be made"), "{said:?}");
    }
    assert_said(&with_failing("open", "fsync", "4"), &["opened"]);
}

/// The number of NFS, in the place of whatever the system says of the directory.
#[test]
fn x10_a_directory_on_a_network_file_system_is_refused() {
    let said = with("poke_exit=@arg2=6969000000000000", "fstatfs", "open");
    assert!(said.len() == 1 && said[0].contains("name a directory on a local disk"), "{said:?}");
}

/// The file of a new key is brought to the disk before it has its name, and the name before who made the key gets it: with the key
/// goes what it sealed.
#[test]
fn x10_a_key_is_not_given_out_before_its_file_is_on_the_disk() {
    assert_said(&with_failing("keys", "fsync", "1"), &["Configuration", "is not there"]);
    assert_said(&with_failing("keys", "fsync", "2"), &["Configuration", "is there"]);
    assert_said(&with_failing("keys", "fsync", "3"), &["made", "is there"]);
}

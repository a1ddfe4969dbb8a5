//! A device that fails: strace answers for it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::time::Duration;

use authflow_core::{
    ConnectionKey, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, SealedBytes,
    TokenStore as _, User, Write,
};
use authflow_file::FileTokenStore;
use process::Process;

#[tokio::test]
async fn child_process() {
    let Some((_, directory)) = process::role() else { return };
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = ConnectionKey::new(&User::new("tenant", "user-42"), "p");
    let write = Write::new(SealedBytes::new(b"sealed".to_vec()));
    store.put(&key, Incarnation::random().unwrap(), write).await.unwrap();

    let request = LeaseRequest::new(LeaseHolder::random().unwrap(), Duration::from_secs(600));
    process::say(&match store.lease(&key, request.clone()).await {
        Ok(_) => "leased".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    });
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    process::say(if record.lease.is_some() { "is leased" } else { "is free" });
    // As the trait says: the same holder asks again.
    let again = store.lease(&key, request).await.unwrap();
    assert!(matches!(again, LeaseOutcome::Leased { .. }), "{again:?}");
}

/// Runs the child while the system calls `calls` fail the `nth` time, and returns what it says.
fn with_failing(calls: &str, nth: usize) -> [String; 2] {
    let directory = support::directory();
    let there = std::process::Command::new("strace").arg("-V").output().is_ok();
    assert!(there, "this test has system calls fail: install strace (apt-get install strace)");
    let inject = format!("inject={calls}:error=EIO:when={nth}");
    let starter = ["strace", "-f", "-o", "/dev/null", "-e", &*format!("trace={calls}"), "-e", &*inject];
    let mut process = Process::of(&mut process::command_through(&starter, "lease", directory.path()));
    let said = [process.hear().unwrap(), process.hear().unwrap()];
    process.end();
    said
}

/// X10: a connect brings a new shard to the disk, then its file, then the file's name. The lease after it does the last two
/// again.
const OF_THE_CONNECT: usize = 3;

#[test]
fn x10_a_file_that_does_not_reach_the_disk_replaces_nothing() {
    let said = with_failing("fsync", OF_THE_CONNECT + 1);
    assert_eq!(said, ["Unavailable", "is free"]);
}

#[test]
fn x10_a_name_that_may_not_have_reached_the_disk_is_an_unknown_outcome() {
    let said = with_failing("fsync", OF_THE_CONNECT + 2);
    assert_eq!(said, ["OutcomeUnknown", "is leased"]);
}

#[test]
fn x10_a_rename_that_fails_with_the_device_is_an_unknown_outcome() {
    let said = with_failing("rename,renameat,renameat2", 2);
    assert_eq!(said, ["OutcomeUnknown", "is free"]);
}

#[test]
fn without_a_fault_it_is_leased() {
    assert_eq!(with_failing("fsync", 1000), ["leased", "is leased"]);
}

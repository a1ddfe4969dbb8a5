//! Several processes, one directory; processes that are killed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/flows.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod flows;
#[path = "support/process.rs"]
mod process;
mod support;

use std::path::Path;
use std::time::Duration;

use authflow_core::{
    Clock as _, ConnectionKey, Expected, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    RefreshMark, SaveOutcome, SealedBytes, SystemClock, TokenStore as _, User, Version, Write,
};
use authflow_file::{FileStateStore, FileTokenStore};
use process::Process;

const LONG: Duration = Duration::from_secs(600);
/// How long a process holds a lease that another one waits for.
const HELD: Duration = Duration::from_millis(300);

fn key() -> ConnectionKey {
    ConnectionKey::new(&User::new("tenant", "user-42"), "p")
}

fn write(bytes: &[u8]) -> Write {
    Write::new(SealedBytes::new(bytes.to_vec()))
}

async fn connected(directory: &Path) -> (FileTokenStore, Version) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let version = store.put(&key(), Incarnation::random().unwrap(), write(b"sealed")).await.unwrap();
    (store, version)
}

#[tokio::test]
async fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    let store = FileTokenStore::open(&directory).await.unwrap();
    let holder = LeaseHolder::random().unwrap();
    match role.as_str() {
        "lease" => {
            process::say("ready");
            process::wait();
            let outcome = store.lease(&key(), LeaseRequest::new(holder, LONG)).await.unwrap();
            process::say(match outcome {
                LeaseOutcome::Leased { .. } => "leased",
                LeaseOutcome::Held { .. } => "held",
                _ => "something else",
            });
            // A process that goes before the others have asked must make no difference.
            process::wait();
        }
        "check" => {
            let states = FileStateStore::open(&directory).await.unwrap();
            process::say("ready");
            process::wait();
            for number in 0..STATES {
                let found = flows::check(&states, &flows::key(number)).await.unwrap();
                process::say(if found.is_some() { "given out" } else { "absent" });
            }
        }
        "hold" => {
            let mark = RefreshMark::new(holder, [7; 32], std::time::SystemTime::UNIX_EPOCH);
            let request = LeaseRequest::new(holder, HELD).mark(mark);
            assert!(matches!(store.lease(&key(), request).await.unwrap(), LeaseOutcome::Leased { .. }));
            process::say("leased");
            process::wait();
        }
        "count" => {
            process::say("ready");
            process::wait();
            for _ in 0..COUNTS {
                count(&store).await;
            }
        }
        "write" => loop {
            let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
            let bytes = contents(record.version.counter() + 1);
            let expected = Expected::version(record.version);
            let saved = store.save_if_version(&key(), &expected, write(&bytes)).await.unwrap();
            assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
            process::say("saved");
        },
        other => panic!("no such role: {other}"),
    }
}

/// Bytes of a size and with contents that tell which version they are of.
fn contents(counter: u64) -> Vec<u8> {
    counter.to_be_bytes().repeat(1 + usize::try_from(counter % 4096).unwrap())
}

/// F2, X23: of 64 processes that want one lease, one gets it.
#[tokio::test]
async fn f2_of_64_processes_one_gets_the_lease() {
    let directory = support::directory();
    let (store, version) = connected(directory.path()).await;
    let mut processes: Vec<_> = (0..64).map(|_| Process::start("lease", directory.path())).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    for process in &mut processes {
        process.go();
    }
    let mut outcomes: Vec<_> = processes.iter_mut().map(|process| process.hear().unwrap()).collect();
    outcomes.sort();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "leased").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "held").count(), 63, "{outcomes:?}");
    for process in processes {
        process.end();
    }
    let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
    assert!(record.lease.is_some() && record.version == version);
}

const STATES: u64 = 20;

/// A3: of 16 processes that check each of some states, one gets the flow of each; none of them began it.
#[tokio::test]
async fn a3_of_16_processes_one_gets_the_flow() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    for number in 0..STATES {
        flows::store(&states, &flows::key(number)).await.unwrap();
    }
    let mut processes: Vec<_> = (0..16).map(|_| Process::start("check", directory.path())).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    for process in &mut processes {
        process.go();
    }
    for number in 0..STATES {
        let said = processes.iter_mut().map(|process| process.hear().unwrap());
        assert_eq!(said.filter(|said| said == "given out").count(), 1, "state {number}");
    }
    for process in processes {
        process.end();
    }
    assert!(flows::files(directory.path()).is_empty());
}

const COUNTS: usize = 25;

/// Adds one to the number that is stored.
async fn count(store: &FileTokenStore) {
    loop {
        let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
        let number = u64::from_be_bytes(record.sealed.as_bytes().try_into().unwrap()) + 1;
        let expected = Expected::version(record.version);
        let write = write(&number.to_be_bytes());
        if let SaveOutcome::Saved(_) = store.save_if_version(&key(), &expected, write).await.unwrap() {
            return;
        }
    }
}

/// F12: processes that read, change and write at once lose no write.
#[tokio::test]
async fn f12_of_8_processes_no_write_is_lost() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    store.put(&key(), Incarnation::random().unwrap(), write(&0_u64.to_be_bytes())).await.unwrap();
    let mut processes: Vec<_> = (0..8).map(|_| Process::start("count", directory.path())).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    for process in &mut processes {
        process.go();
    }
    for process in processes {
        process.end();
    }
    let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
    assert_eq!(record.sealed.as_bytes(), (8 * COUNTS as u64).to_be_bytes());
    assert_eq!(record.version.counter(), 1 + 8 * COUNTS as u64);
}

/// X1, F11: who holds the lease is killed; another process gets it once it has ended, and finds the mark.
#[tokio::test]
async fn x1_the_lease_of_a_killed_process_is_taken_over() {
    let directory = support::directory();
    let (store, _) = connected(directory.path()).await;
    let clock = SystemClock::new();
    let before = clock.monotonic();
    let mut process = Process::start("hold", directory.path());
    assert_eq!(process.hear().as_deref(), Some("leased"));
    process.kill();
    let holder = LeaseHolder::random().unwrap();
    let found = loop {
        match store.lease(&key(), LeaseRequest::new(holder, LONG)).await.unwrap() {
            LeaseOutcome::Leased { found, .. } => break found,
            LeaseOutcome::Held { lease, .. } => {
                assert!(lease.remaining <= HELD, "{lease:?}");
            }
            other => panic!("{other:?}"),
        }
    };
    // However slow the machine is: the lease was taken after `before`.
    assert!(clock.monotonic() - before >= HELD, "it was not over before its time");
    assert_eq!(found.expect("the mark stays").refresh_token_hash, [7; 32]);
}

/// X1, X10: a writer is killed at any moment, again and again. What is stored is one of its writes, whole, and nothing else.
#[tokio::test]
async fn x1_a_writer_that_is_killed_leaves_a_whole_record() {
    let directory = support::directory();
    let (store, _) = connected(directory.path()).await;
    let mut before = 1;
    for round in 1..=12 {
        let mut process = Process::start("write", directory.path());
        for _ in 0..round {
            assert_eq!(process.hear().as_deref(), Some("saved"));
        }
        process.kill();
        let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
        let counter = record.version.counter();
        assert!(counter >= before + round, "what it said that it saved is saved");
        assert_eq!(record.sealed.as_bytes(), contents(counter));
        before = counter;
    }
    // The lock went with its holders, and the next writer tidies up after them.
    let Loaded::Found(record) = store.load(&key()).await.unwrap() else { panic!("it is there") };
    store.save_if_version(&key(), &Expected::version(record.version), write(b"last")).await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(support::shard_path(directory.path(), &key()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let record = support::record_path(directory.path(), &key());
    assert_eq!(names, [record.file_name().unwrap().to_str().unwrap(), "lock"]);
}

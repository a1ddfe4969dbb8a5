//! Disks that are full, writers that were killed, locks that are held.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/flows.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod flows;
#[path = "support/process.rs"]
mod process;
mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page, Remove,
    SaveOutcome, TokenStore as _, User,
};
use authflow_file::{FileStateStore, FileTokenStore};
use process::{run, run_in_a_small_file_system};
use support::records::{LONG, SEALED, connect, key, lease, unavailable, write};

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    match role.as_str() {
        "full disk" => full_disk(&directory).await,
        "full disk of flows" => full_disk_of_flows(&directory).await,
        "small files" => small_files(&directory).await,
        "few files" => few_files(&directory).await,
        "read only" => read_only(&directory).await,
        "no rights" => no_rights(&directory).await,
        other => panic!("no such role: {other}"),
    }
    process::say("done");
}

#[test]
fn x10_a_full_disk_leaves_the_old_file_and_says_so() {
    run_in_a_small_file_system("full disk", support::directory().path());
}

async fn full_disk(directory: &Path) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let whole = fs::read(support::record_path(directory, &key)).unwrap();

    let filler = directory.join("filler");
    let mut file = File::create(&filler).unwrap();
    let full = (0..).find_map(|_| file.write_all(&[0; 512]).err()).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let write = write(SEALED).due_at(Some(SystemTime::UNIX_EPOCH));
    let saved = store.save_if_version(&key, &Expected::version(version), write.clone()).await;
    assert!(unavailable(saved).contains("make room on the disk"));
    unavailable(store.lease(&key, lease()).await);
    unavailable(store.put(&key, Incarnation::random().unwrap(), write.clone()).await);
    unavailable(store.put(&self::key("another"), Incarnation::random().unwrap(), write.clone()).await);
    unavailable(store.remove(&key, Remove::new(LONG)).await);

    let shard = support::shard_path(directory, &key);
    assert!(!names(&shard).contains(&"new".to_owned()), "what was half written is gone: {:?}", names(&shard));
    assert_eq!(fs::read(support::record_path(directory, &key)).unwrap(), whole, "the old file is whole");
    // A due time that was entered, and not written, is named to nobody.
    let due = store.due_before(key.shard(), SystemTime::UNIX_EPOCH + LONG, &Page::first(10)).await.unwrap();
    assert!(due.keys.is_empty());

    drop(file);
    fs::remove_file(&filler).unwrap();
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert!(record.version == version && record.lease.is_none());
    let saved = store.save_if_version(&key, &Expected::version(version), write).await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(_)));
}

#[test]
fn x10_on_a_full_disk_a_flow_is_refused_and_one_that_is_there_can_be_finished() {
    run_in_a_small_file_system("full disk of flows", support::directory().path());
}

async fn full_disk_of_flows(directory: &Path) {
    let states = FileStateStore::open(directory).await.unwrap();
    flows::store(&states, &flows::key(0)).await.unwrap();
    let mut file = File::create(directory.join("filler")).unwrap();
    (0..).find_map(|_| file.write_all(&[0; 512]).err()).unwrap();
    for number in 1..100 {
        unavailable(flows::store(&states, &flows::key(number)).await);
    }
    assert!(flows::shards(directory).iter().all(|shard| !names(shard).contains(&"new".to_owned())));
    assert!(flows::check(&states, &flows::key(0)).await.unwrap().is_some());
    drop(file);
    fs::remove_file(directory.join("filler")).unwrap();
    flows::store(&states, &flows::key(1)).await.unwrap();
}

/// The shell takes the largest file from its child, and the signal that would kill it.
#[test]
fn x10_a_file_that_may_not_grow_leaves_the_old_file() {
    let directory = support::directory();
    let starter = ["sh", "-c", "trap '' XFSZ && ulimit -f 1 && exec \"$0\" \"$@\""];
    run(&mut process::command_through(&starter, "small files", directory.path()));
}

async fn small_files(directory: &Path) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let long = write(&SEALED.repeat(1000));
    let saved = store.save_if_version(&key, &Expected::version(version), long).await;
    assert!(unavailable(saved).contains("new: cannot be written"));
    assert!(!names(&support::shard_path(directory, &key)).contains(&"new".to_owned()));
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert_eq!(record.version, version);
    assert_eq!(record.sealed.as_bytes(), SEALED);
}

#[test]
fn x32_a_process_without_file_descriptors_is_told_so() {
    let directory = support::directory();
    let starter = ["sh", "-c", "ulimit -n 48 && exec \"$0\" \"$@\""];
    run(&mut process::command_through(&starter, "few files", directory.path()));
}

async fn few_files(directory: &Path) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let taken: Vec<File> = (0..).map_while(|_| File::open("/dev/null").ok()).collect();
    assert!(unavailable(store.load(&key).await).contains("raise `ulimit -n`"));
    unavailable(store.lease(&key, lease()).await);
    unavailable(store.save_if_version(&key, &Expected::version(version), write(SEALED)).await);
    unavailable(store.list_by_user(key.user(), &Page::first(1)).await);
    drop(taken);
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert!(record.version == version && record.lease.is_none());
}

#[test]
fn x10_a_read_only_file_system_is_read_and_not_written() {
    run_in_a_small_file_system("read only", support::directory().path());
}

async fn read_only(directory: &Path) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let mounted = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(directory).status();
    assert!(mounted.unwrap().success());
    assert!(unavailable(store.lease(&key, lease()).await).contains("mounted read-only"));
    unavailable(store.put(&key, Incarnation::random().unwrap(), write(SEALED)).await);
    unavailable(store.remove(&key, Remove::new(LONG)).await);
    let store = FileTokenStore::open(directory).await.unwrap();
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert!(record.version == version && record.lease.is_none());
    assert_eq!(store.list_by_user(key.user(), &Page::first(1)).await.unwrap().records.len(), 1);
    assert_eq!(store.walk(key.shard(), &Page::first(1)).await.unwrap().keys, [key]);
}

/// Root may write everywhere: where the test is root's, its child is nobody.
#[test]
fn x10_a_directory_without_rights_is_told_so() {
    let above = support::directory();
    let directory = above.path().join("store");
    fs::create_dir(&directory).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&directory).unwrap());
    let mut command = process::command("no rights", &directory);
    if owner == 0 {
        const NOBODY: u32 = 65534;
        std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(above.path(), mode(0o711)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    fs::set_permissions(&directory, mode(0o700)).unwrap();
    run(&mut command);
}

fn mode(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

async fn no_rights(directory: &Path) {
    let store = FileTokenStore::open(directory).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let shard = support::shard_path(directory, &key);
    // It may be read, and nothing may be made in it.
    fs::set_permissions(&shard, mode(0o500)).unwrap();
    assert!(
        unavailable(store.lease(&key, lease()).await).contains("must belong to this user, with mode 0700")
    );
    unavailable(store.save_if_version(&key, &Expected::version(version), write(SEALED)).await);
    unavailable(store.remove(&key, Remove::new(LONG)).await);
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert!(record.version == version && record.lease.is_none());
    // It may not even be entered: that is no "absent".
    fs::set_permissions(&shard, mode(0)).unwrap();
    unavailable(store.load(&key).await);
    fs::set_permissions(&shard, mode(0o700)).unwrap();
    assert!(matches!(store.lease(&key, lease()).await.unwrap(), LeaseOutcome::Leased { .. }));
}

/// A writer was killed between the write and the rename.
#[tokio::test]
async fn x10_what_a_killed_writer_left_is_gone_with_the_next_write() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let shard = support::shard_path(directory.path(), &key);
    for left in [&b"half a rec"[..], &fs::read(support::record_path(directory.path(), &key)).unwrap()] {
        fs::write(shard.join("new"), left).unwrap();
        let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
        assert_eq!(record.version, version);
        assert_eq!(store.list_by_user(key.user(), &Page::first(9)).await.unwrap().records.len(), 1);
        assert_eq!(store.walk(key.shard(), &Page::first(9)).await.unwrap().keys.len(), 1);
        let request = LeaseRequest::new(LeaseHolder::from_bytes([1; 16]), LONG);
        assert!(matches!(store.lease(&key, request).await.unwrap(), LeaseOutcome::Leased { .. }));
        assert!(!shard.join("new").exists());
    }
}

/// F28: nothing goes by its age. A record whose access token ended long ago is there, until it is removed.
#[tokio::test]
async fn f28_a_record_does_not_end_with_its_due_time() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    let write = write(SEALED).due_at(Some(SystemTime::UNIX_EPOCH));
    let version = store.put(&key, Incarnation::random().unwrap(), write).await.unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + LONG;
    File::options()
        .write(true)
        .open(support::record_path(directory.path(), &key))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    for n in 0..20 {
        let other = self::key(&n.to_string());
        connect(&store, &other).await;
        store.remove(&other, Remove::new(Duration::ZERO)).await.unwrap();
    }
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is there") };
    assert_eq!(record.version, version);
}

/// Tombstones that have ended go, with those that come after them; what has not ended stays.
#[tokio::test]
async fn tombstones_that_have_ended_are_let_go() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let stays = key("stays");
    connect(&store, &stays).await;
    store.remove(&stays, Remove::new(LONG)).await.unwrap();
    for n in 0..100 {
        let gone = key(&n.to_string());
        connect(&store, &gone).await;
        store.remove(&gone, Remove::new(Duration::ZERO)).await.unwrap();
        while !matches!(store.load(&gone).await.unwrap(), Loaded::Absent) {}
    }
    connect(&store, &key("last")).await;
    let shard = support::shard_path(directory.path(), &stays);
    // The lock, the index, the tombstone that stays and the last connection; the last few of the others may be there.
    assert!(names(&shard).len() <= 6, "{:?}", names(&shard));
    assert!(names(&shard.join("gone")).len() <= 2);
    assert!(matches!(store.load(&stays).await.unwrap(), Loaded::Tombstone(_)));
    connect(&store, &stays).await;
    assert!(!names(&shard.join("gone")).iter().any(|name| name.ends_with(&stays.id().to_string())));
}

/// A stopped process holds the lock: others are told after a while. Reading one record needs no lock.
#[tokio::test]
async fn x10_a_lock_that_is_not_let_go_is_unavailable_and_no_hang() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap().lock_wait(Duration::from_millis(30));
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    let lock = File::open(support::shard_path(directory.path(), &key).join("lock")).unwrap();
    fs4::FileExt::lock(&lock).unwrap();
    let words = unavailable(store.lease(&key, lease()).await);
    assert!(words.contains("another process holds the lock"), "{words}");
    unavailable(store.put(&key, Incarnation::random().unwrap(), write(SEALED)).await);
    unavailable(store.list_by_user(key.user(), &Page::first(1)).await);
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
    // The shard of another user is not concerned.
    let other = (0..).map(|n| ConnectionKey::new(&User::new("t", n.to_string()), "p"));
    let other = other.into_iter().find(|other| other.shard() != key.shard()).unwrap();
    connect(&store, &other).await;
    fs4::FileExt::unlock(&lock).unwrap();
    let saved = store.save_if_version(&key, &Expected::version(version), write(SEALED)).await.unwrap();
    assert!(
        matches!(saved, SaveOutcome::Saved(_)),
        "a call that gave up has done nothing, and does nothing later"
    );
}

/// The caller goes away at any moment: what was begun is done whole or not at all, and the next one gets its turn.
#[tokio::test]
async fn x2_a_call_whose_caller_goes_away_harms_no_other() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    let mut version = connect(&store, &key).await;
    for polls in 0..6 {
        let expected = Expected::version(version);
        let mut call = store.save_if_version(&key, &expected, write(SEALED));
        for _ in 0..polls {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await;
            if polled.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let leased = store.lease(&key, lease()).await.unwrap();
        let LeaseOutcome::Leased { record, .. } = leased else { panic!("{leased:?}") };
        assert!(record.version == version || record.version == version.next());
        let saved =
            store.save_if_version(&key, &Expected::version(record.version), write(SEALED)).await.unwrap();
        let SaveOutcome::Saved(saved) = saved else { panic!("{saved:?}") };
        version = saved;
    }
}

/// The directory is gone: that is no "absent".
#[tokio::test]
async fn a_directory_that_is_gone_is_unavailable() {
    let directory = support::directory();
    let path = directory.path().join("store");
    let store = FileTokenStore::open(&path).await.unwrap();
    let key = key("planted-account");
    connect(&store, &key).await;
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    unavailable(store.load(&key).await);
    unavailable(store.lease(&key, lease()).await);
    unavailable(store.walk(key.shard(), &Page::first(1)).await);
    fs::rename(directory.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
}

//! Files that are damaged, or in another's place.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, LeaseHolder, Loaded, Page, RefreshMark, Remove, RemoveOutcome, StoreErrorKind,
    TokenStore as _,
};
use authflow_file::FileTokenStore;
use support::records::{SEALED, connect, failed, key, lease, write};

/// Torn anywhere, and with anything behind it.
#[tokio::test]
async fn x10_a_torn_record_is_corrupt_and_stays() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    connect(&store, &key).await;
    store.lease(&key, lease()).await.unwrap();
    let path = support::record_path(directory.path(), &key);
    let whole = fs::read(&path).unwrap();
    let longer = [&whole[..], b"\0"].concat();
    for torn in (0..whole.len()).map(|length| &whole[..length]).chain([&longer[..]]) {
        fs::write(&path, torn).unwrap();
        corrupt_and_stays(&store, &key, &path, torn).await;
    }
    fs::write(&path, &whole).unwrap();
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
}

/// One bit in each byte, another one each time.
#[tokio::test]
async fn x20_a_flipped_bit_is_corrupt_and_stays() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let (key, gone) = (key("planted-account"), key("gone"));
    connect(&store, &key).await;
    let mark = RefreshMark::new(LeaseHolder::from_bytes([1; 16]), [2; 32], SystemTime::UNIX_EPOCH);
    store.lease(&key, lease().mark(mark)).await.unwrap();
    connect(&store, &gone).await;
    // However slow the machine is, it is there at the end.
    store.remove(&gone, Remove::new(Duration::MAX)).await.unwrap();
    for key in [key, gone] {
        let path = support::record_path(directory.path(), &key);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            corrupt_and_stays(&store, &key, &path, &flipped).await;
        }
        fs::write(&path, &whole).unwrap();
        assert!(!matches!(store.load(&key).await.unwrap(), Loaded::Absent));
    }
}

async fn corrupt_and_stays(store: &FileTokenStore, key: &ConnectionKey, path: &Path, bytes: &[u8]) {
    failed(store.load(key).await, StoreErrorKind::Corrupt);
    failed(store.lease(key, lease()).await, StoreErrorKind::Corrupt);
    assert_eq!(fs::read(path).unwrap(), bytes);
}

/// F14: a newer release wrote it; that is said, and it stays.
#[tokio::test]
async fn f14_a_record_of_a_newer_format_says_so() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    connect(&store, &key).await;
    let path = support::record_path(directory.path(), &key);
    let mut newer = fs::read(&path).unwrap();
    assert_eq!(
        (&newer[..8], newer[8]),
        (&b"authflow"[..], 1),
        "the format that is read since the first release"
    );
    newer[8] = 2;
    fs::write(&path, &newer).unwrap();
    assert!(failed(store.load(&key).await, StoreErrorKind::Corrupt).contains("in the format 2"));
    corrupt_and_stays(&store, &key, &path, &newer).await;
}

/// X20: a whole record in the place of another one.
#[tokio::test]
async fn x20_swapped_files_are_corrupt() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let (one, two) = (key("one"), key("two"));
    connect(&store, &one).await;
    let version = connect(&store, &two).await;
    let paths = [&one, &two].map(|key| support::record_path(directory.path(), key));
    let files = paths.each_ref().map(|path| fs::read(path).unwrap());
    fs::write(&paths[0], &files[1]).unwrap();
    fs::write(&paths[1], &files[0]).unwrap();
    for (key, at) in [(&one, 0), (&two, 1)] {
        let words = failed(store.load(key).await, StoreErrorKind::Corrupt);
        assert!(words.contains("the record of another connection"), "{words}");
        corrupt_and_stays(&store, key, &paths[at], &files[1 - at]).await;
    }
    let listed = store.list_by_user(one.user(), &Page::first(9)).await.unwrap();
    assert_eq!((listed.records.len(), listed.unreadable), (0, 2));
    assert!(store.walk(one.shard(), &Page::first(9)).await.unwrap().keys.is_empty());
    // Cut off besides: neither the version nor the lease of the other counts here.
    fs::write(&paths[0], &files[1][..files[1].len() - 1]).unwrap();
    store.put(&one, *version.incarnation(), write(SEALED)).await.unwrap();
    assert!(matches!(store.load(&one).await.unwrap(), Loaded::Found(_)));
}

/// What stands before the sealed bytes is whole: the tombstone follows its version and outlives its lease, and the same connect
/// is still refused.
#[tokio::test]
async fn x20_what_can_be_read_of_a_damaged_record_counts() {
    let directory = support::directory();
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    let key = key("planted-account");
    let version = connect(&store, &key).await;
    store.lease(&key, lease()).await.unwrap();
    let path = support::record_path(directory.path(), &key);
    let mut damaged = fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, &damaged).unwrap();
    failed(store.put(&key, *version.incarnation(), write(SEALED)).await, StoreErrorKind::Conflict);
    let removed = store.remove(&key, Remove::new(Duration::ZERO)).await.unwrap();
    let RemoveOutcome::Removed { record: None, tombstone } = removed else { panic!("{removed:?}") };
    assert_eq!(tombstone, version.next());
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Tombstone(_)), "it outlives the lease");
}

//! What is special about pending flows in files.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "support/flows.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod flows;
mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use authflow_core::{
    Bucket, Clock as _, ConnectionKey, Incarnation, Loaded, Page, SealedBytes, Shard, StateKey,
    StoreErrorKind, SystemClock, TokenStore as _, User, Write,
};
use authflow_file::{FileStateStore, FileTokenStore};
use flows::{LONG, check, failed, file, files, flow, key, put, shards, store};

/// The shortest time to live.
const SHORT: Duration = Duration::from_millis(1);

/// Flows that live so long have ended after this.
async fn ended() {
    SystemClock::new().sleep(SHORT * 2).await;
}

/// A key whose flow is where the flow of `key(0)` is.
fn in_one_shard(directory: &Path) -> impl Iterator<Item = StateKey> {
    let shard = shards(directory).first().unwrap().parent().unwrap().file_name().unwrap().to_owned();
    (1..).map(key).filter(move |key| shard_of(key) == shard.to_str().unwrap())
}

/// As the crate names it.
fn shard_of(key: &StateKey) -> String {
    use sha2::Digest as _;
    let name = sha2::Sha256::new().chain_update(b"authflow flow 1").chain_update(key.as_bytes()).finalize();
    format!("{:02x}", name[0] >> 2)
}

#[tokio::test]
async fn g14_f26_a_flow_is_for_its_owner_alone_and_names_nobody() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let path = file(directory.path());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for above in path.ancestors().skip(1).take_while(|above| *above != directory.path()) {
        assert_eq!(fs::metadata(above).unwrap().mode() & 0o7777, 0o700, "{}", above.display());
    }
    assert!(!path.to_str().unwrap().contains(&key(0).to_string()), "errors name paths, and hold no key");
}

fn plant(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// A file of any length, and with any bit flipped: it is not given out, and used up.
#[tokio::test]
async fn x10_a_damaged_flow_is_corrupt_and_gone() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let path = file(directory.path());
    let whole = fs::read(&path).unwrap();
    let torn = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flipped = (0..whole.len()).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        flipped
    });
    let longer = [[&whole[..], b"\0"].concat(), vec![0; 2 << 20]];
    for damaged in torn.chain(flipped).chain(longer) {
        plant(&path, &damaged);
        failed(store(&states, &key(0)).await, StoreErrorKind::Conflict, &key(0));
        assert_eq!(fs::read(&path).unwrap(), damaged, "a conflict leaves what is there");
        let words = failed(check(&states, &key(0)).await, StoreErrorKind::Corrupt, &key(0));
        assert!(
            ["cut off", "damaged", "in the format"].iter().any(|reason| words.contains(reason)),
            "{words}"
        );
        assert!(!path.exists());
        assert!(check(&states, &key(0)).await.unwrap().is_none());
    }
    // So long that there is no room for it in memory.
    plant(&path, &whole);
    File::options().write(true).open(&path).unwrap().set_len(1 << 43).unwrap();
    failed(check(&states, &key(0)).await, StoreErrorKind::Corrupt, &key(0));
    plant(&path, &whole);
    assert!(check(&states, &key(0)).await.unwrap().is_some());
}

#[tokio::test]
async fn x20_a_flow_under_anothers_name_is_corrupt() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let copy = fs::read(file(directory.path())).unwrap();
    check(&states, &key(0)).await.unwrap().expect("it is there");
    store(&states, &key(1)).await.unwrap();
    fs::write(file(directory.path()), copy).unwrap();
    let words = failed(check(&states, &key(1)).await, StoreErrorKind::Corrupt, &key(1));
    assert!(words.contains("checksum"), "{words}");
}

/// F14: a newer release wrote it. That is said.
#[tokio::test]
async fn f14_a_flow_of_a_newer_format_says_so() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let path = file(directory.path());
    let mut newer = fs::read(&path).unwrap();
    assert_eq!((&newer[..8], newer[8]), (&b"authflow"[..], 1));
    newer[8] = 2;
    fs::write(&path, &newer).unwrap();
    let words = failed(check(&states, &key(0)).await, StoreErrorKind::Corrupt, &key(0));
    assert!(words.contains("in the format 2"), "{words}");
}

/// A flow that is a link, or open to others, is not read, and is gone.
#[tokio::test]
async fn g14_a_flow_that_is_no_file_of_ones_own_is_not_read() {
    let (directory, elsewhere) = (support::directory(), support::directory());
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let (path, victim) = (file(directory.path()), elsewhere.path().join("victim"));
    fs::copy(&path, &victim).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let words = failed(check(&states, &key(0)).await, StoreErrorKind::Corrupt, &key(0));
    assert!(words.contains("0640") && !path.exists(), "{words}");
    symlink(&victim, &path).unwrap();
    let words = failed(check(&states, &key(0)).await, StoreErrorKind::Corrupt, &key(0));
    assert!(words.contains("symbolic link") && fs::symlink_metadata(&path).is_err(), "{words}");
    assert!(victim.exists());
}

/// The directory, its shard and the one that the flows are in: each is looked at by each call.
#[tokio::test]
async fn g14_a_directory_of_flows_that_is_not_ones_own_is_refused() {
    let (directory, elsewhere) = (support::directory(), support::directory());
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let flows = file(directory.path()).parent().unwrap().to_owned();
    for shared in [directory.path(), flows.parent().unwrap(), &flows] {
        fs::set_permissions(shared, Permissions::from_mode(0o770)).unwrap();
        for words in [
            failed(check(&states, &key(0)).await, StoreErrorKind::Unavailable, &key(0)),
            failed(store(&states, &key(0)).await, StoreErrorKind::Unavailable, &key(0)),
        ] {
            assert!(words.contains(&format!("chmod 700 '{}'", shared.display())), "{words}");
        }
        fs::set_permissions(shared, Permissions::from_mode(0o700)).unwrap();
    }
    fs::rename(&flows, elsewhere.path().join("flows")).unwrap();
    symlink(elsewhere.path().join("flows"), &flows).unwrap();
    for result in [check(&states, &key(0)).await.map(|_| ()), store(&states, &key(0)).await] {
        assert!(failed(result, StoreErrorKind::Unavailable, &key(0)).contains("symbolic link"));
    }
    fs::remove_file(&flows).unwrap();
    fs::rename(elsewhere.path().join("flows"), &flows).unwrap();
    assert!(check(&states, &key(0)).await.unwrap().is_some(), "nothing was removed");
}

#[tokio::test]
async fn a4_a_flow_that_has_ended_is_absent_and_its_key_is_free() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    put(&states, &key(0), flow(), SHORT).await.unwrap();
    ended().await;
    let mut other = flow();
    other.nonce = Some("another".into());
    put(&states, &key(0), other, LONG).await.unwrap();
    let found = check(&states, &key(0)).await.unwrap().expect("it is there");
    assert_eq!(found.nonce.as_deref(), Some("another"));
    put(&states, &key(0), flow(), SHORT).await.unwrap();
    ended().await;
    assert!(check(&states, &key(0)).await.unwrap().is_none());
    assert!(files(directory.path()).is_empty(), "who looked for it let it go");
}

/// X17: what another boot wrote has ended.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn x17_a_flow_ends_with_the_boot_it_began_in() {
    use sha2::Digest as _;
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let path = file(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 32);
    bytes[10] ^= 1;
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let name: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&name[2 * at..2 * at + 2], 16).unwrap()).collect();
    let sum = sha2::Sha256::new().chain_update(&name).chain_update(&bytes).finalize();
    fs::write(&path, [&bytes[..], &sum[..]].concat()).unwrap();
    assert!(check(&states, &key(0)).await.unwrap().is_none());
}

/// What nobody came back for goes with later flows; what goes on stays.
#[tokio::test]
async fn flows_that_have_ended_are_let_go_of() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    for key in in_one_shard(directory.path()).take(100) {
        put(&states, &key, flow(), SHORT).await.unwrap();
        ended().await;
    }
    assert!(files(directory.path()).len() <= 4, "{}", files(directory.path()).len());
    assert!(check(&states, &key(0)).await.unwrap().is_some());
}

/// A shard is never fuller than its share; the ones that end first go.
#[tokio::test]
async fn at_the_cap_the_flow_that_ends_first_goes() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap().capacity(64 * 4);
    put(&states, &key(0), flow(), LONG * 2).await.unwrap();
    let keys: Vec<_> = in_one_shard(directory.path()).take(20).collect();
    for (number, key) in (1..).zip(&keys) {
        put(&states, key, flow(), LONG + Duration::from_secs(number)).await.unwrap();
        assert!(files(directory.path()).len() <= 4);
    }
    assert_eq!(files(directory.path()).len(), 4);
    assert!(check(&states, &key(0)).await.unwrap().is_some(), "it ends last");
    for key in &keys[17..] {
        assert!(check(&states, key).await.unwrap().is_some(), "these end behind the others");
    }
    // Where the cap was higher, what is too much goes; what is damaged goes first.
    for key in &keys[..4] {
        store(&states, key).await.unwrap();
    }
    let damaged = files(directory.path())[0].clone();
    fs::write(&damaged, "nonsense").unwrap();
    let states = states.capacity(64 * 4);
    store(&states, &keys[4]).await.unwrap();
    assert!(!damaged.exists());
    let states = states.capacity(0);
    store(&states, &keys[5]).await.unwrap();
    assert_eq!(files(directory.path()).len(), 1);
    assert!(check(&states, &keys[5]).await.unwrap().is_some(), "a flow that was just stored is there");
}

/// In all shards together.
#[tokio::test]
async fn a12_the_flows_of_one_bucket_are_as_many_files_as_its_cap() {
    let directory = support::directory();
    let open = async || FileStateStore::open(directory.path()).await.unwrap();
    let states = open().await.bucket_capacity(8);
    let of = |name: &[u8]| {
        let mut flow = flow();
        flow.bucket = Some(Bucket::of(name));
        flow
    };
    put(&states, &key(0), of(b"neighbour"), LONG).await.unwrap();
    for number in 1..=200 {
        put(&states, &key(number), of(b"flooder"), LONG).await.unwrap();
        assert!(files(directory.path()).len() <= 9);
    }
    assert_eq!(files(directory.path()).len(), 9);
    assert!(check(&states, &key(0)).await.unwrap().is_some(), "it is another's");
    for number in 193..=200 {
        assert!(check(&states, &key(number)).await.unwrap().is_some(), "{number}");
    }
    // What is not set is as in memory.
    let states = open().await;
    for number in 0..260 {
        put(&states, &key(number), of(b"flooder"), LONG).await.unwrap();
    }
    assert_eq!(files(directory.path()).len(), 256);
}

/// A writer was killed between the write and the rename.
#[tokio::test]
async fn x10_what_a_killed_writer_left_is_no_flow_and_goes() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    store(&states, &key(0)).await.unwrap();
    let new = file(directory.path()).with_file_name("new");
    fs::write(&new, "half a fl").unwrap();
    assert!(check(&states, &key(0)).await.unwrap().is_some());
    store(&states, &key(0)).await.unwrap();
    assert!(!new.exists());
    assert!(check(&states, &key(0)).await.unwrap().is_some());
}

#[tokio::test]
async fn x10_a_lock_that_is_not_let_go_leaves_the_flow() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap().lock_wait(Duration::from_millis(30));
    store(&states, &key(0)).await.unwrap();
    let lock = File::open(shards(directory.path())[0].with_file_name("lock")).unwrap();
    // Not even beside those who only look.
    fs4::FileExt::lock_shared(&lock).unwrap();
    let words = failed(check(&states, &key(0)).await, StoreErrorKind::Unavailable, &key(0));
    assert!(words.contains("another process holds the lock"), "{words}");
    fs4::FileExt::unlock(&lock).unwrap();
    assert!(check(&states, &key(0)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_flow_that_is_too_long_is_refused() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    let mut long = flow();
    long.return_to = Some(format!("/{}", "x".repeat(1 << 20)).into());
    let words = failed(put(&states, &key(0), long, LONG).await, StoreErrorKind::Unavailable, &key(0));
    assert!(words.contains("longer than a store takes"), "{words}");
    assert!(files(directory.path()).is_empty());
}

#[tokio::test]
async fn a_state_that_is_there_is_refused_and_keeps_its_flow() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap().capacity(1);
    store(&states, &key(0)).await.unwrap();
    let whole = fs::read(file(directory.path())).unwrap();
    failed(put(&states, &key(0), flow(), SHORT).await, StoreErrorKind::Conflict, &key(0));
    assert_eq!(fs::read(file(directory.path())).unwrap(), whole);
}

/// Flows and connections of one directory do not see each other.
#[tokio::test]
async fn a_token_store_may_use_the_same_directory() {
    let directory = support::directory();
    let states = FileStateStore::open(directory.path()).await.unwrap();
    let tokens = FileTokenStore::open(directory.path()).await.unwrap();
    for number in 0..200 {
        let user = ConnectionKey::new(&User::new("t", number.to_string()), "p");
        let write = Write::new(SealedBytes::new(b"sealed".to_vec()));
        tokens.put(&user, Incarnation::random().unwrap(), write).await.unwrap();
        store(&states, &key(number)).await.unwrap();
    }
    let mut walked = 0;
    for shard in Shard::all() {
        walked += tokens.walk(shard, &Page::first(1000)).await.unwrap().keys.len();
    }
    assert_eq!(walked, 200);
    for number in 0..200 {
        assert!(check(&states, &key(number)).await.unwrap().is_some());
        let user = ConnectionKey::new(&User::new("t", number.to_string()), "p");
        assert!(matches!(tokens.load(&user).await.unwrap(), Loaded::Found(_)));
    }
}

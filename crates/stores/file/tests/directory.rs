//! G14: the directory and its files are the user's alone, and nothing is followed out of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Error, ErrorKind, Incarnation, Loaded, Page, Remove, RemoveOutcome, SealedBytes,
    StoreErrorKind, TokenStore as _, User, Write,
};
use authflow_file::{FileStoreError, FileStoreErrorKind, FileTokenStore};
use authflow_testkit::conformance::token_store::check_error;
use process::Process;

/// A user that nobody is.
const NOBODY: u32 = 65534;

fn key(user: &str) -> ConnectionKey {
    ConnectionKey::new(&User::new("planted-tenant", user), "p").with_account("planted-account")
}

async fn put(store: &FileTokenStore, key: &ConnectionKey) {
    let write = Write::new(SealedBytes::new(b"planted-sealed".to_vec())).due_at(Some(SystemTime::UNIX_EPOCH));
    store.put(key, Incarnation::random().unwrap(), write).await.unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn all_below(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_below(&path, found);
        }
        found.push(path);
    }
}

async fn refused(path: &Path) -> FileStoreError {
    let error = FileTokenStore::open(path).await.unwrap_err();
    let core = Error::from(FileTokenStore::open(path).await.unwrap_err());
    assert_eq!(core.kind(), ErrorKind::Configuration, "{core}");
    assert_eq!(core.to_string(), error.to_string());
    error
}

#[tokio::test]
async fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    assert_eq!(role, "another user");
    match FileTokenStore::open(directory).await {
        Ok(_) => process::say("opened"),
        Err(error) => process::say(&error.to_string()),
    }
}

#[tokio::test]
async fn g14_all_that_is_made_is_for_its_owner_only() {
    let above = support::directory();
    let path = above.path().join("missing/store");
    let store = FileTokenStore::open(&path).await.unwrap();
    put(&store, &key("planted-user")).await;
    put(&store, &key("removed")).await;
    store.remove(&key("removed"), Remove::new(Duration::from_secs(600))).await.unwrap();
    let mut found = vec![path.clone()];
    all_below(&path, &mut found);
    // The store; a shard each with its lock, what is due in it or gone from it, and the connection.
    assert!(found.len() >= 10, "{found:?}");
    for path in found {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o7777, expected, "{}", path.display());
        let name = path.strip_prefix(above.path()).unwrap().to_str().unwrap();
        assert!(!name.contains("planted"), "F26: {name} names somebody");
    }
}

#[tokio::test]
async fn g14_a_directory_that_others_may_use_is_refused_with_what_to_run() {
    for mode in [0o777, 0o770, 0o750, 0o755, 0o1777, 0o701, 0o704, 0o702, 0o710, 0o740, 0o720] {
        let directory = support::directory();
        chmod(directory.path(), mode);
        let error = refused(directory.path()).await;
        assert!(matches!(error.kind(), FileStoreErrorKind::Shared { directory: true, .. }), "{error:?}");
        let words = format!("chmod 700 '{}'", directory.path().display());
        assert!(error.to_string().contains(&words), "{error}");
        assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made in it");
        chmod(directory.path(), 0o700);
        FileTokenStore::open(directory.path()).await.unwrap();
    }
}

#[tokio::test]
async fn g14_a_directory_that_is_opened_to_others_later_is_refused_by_each_call() {
    let (directory, key) = (support::directory(), key("planted-user"));
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    put(&store, &key).await;
    for shared in [directory.path().to_owned(), support::shard_path(directory.path(), &key)] {
        chmod(&shared, 0o770);
        let loaded = store.load(&key).await.unwrap_err();
        let listed = store.list_by_user(key.user(), &Page::first(1)).await.unwrap_err();
        let walked = store.walk(key.shard(), &Page::first(1)).await.unwrap_err();
        let write = Write::new(SealedBytes::new(b"planted-sealed".to_vec()));
        let written = store.put(&key, Incarnation::random().unwrap(), write).await.unwrap_err();
        for error in [loaded, listed, walked, written] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(&format!("chmod 700 '{}'", shared.display())), "{source}");
            check_error(&error, &key, b"planted-sealed").unwrap();
        }
        chmod(&shared, 0o700);
        assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
    }
}

#[tokio::test]
async fn g14_a_directory_that_is_a_link_is_refused() {
    let directory = support::directory();
    let real = directory.path().join("real");
    FileTokenStore::open(&real).await.unwrap();
    let link = directory.path().join("link");
    symlink(&real, &link).unwrap();
    // A slash behind a link would follow it.
    for path in [link.clone(), PathBuf::from(format!("{}/", link.display())), link.join(".")] {
        assert_eq!(refused(&path).await.kind(), FileStoreErrorKind::Symlink, "{}", path.display());
    }
    let nowhere = directory.path().join("nowhere");
    symlink(directory.path().join("missing"), &nowhere).unwrap();
    assert_eq!(refused(&nowhere).await.kind(), FileStoreErrorKind::Symlink);
    assert!(!directory.path().join("missing").exists());
}

#[tokio::test]
async fn g14_what_is_no_directory_is_refused() {
    let directory = support::directory();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refused(&file).await.kind(), FileStoreErrorKind::NotADirectory);
}

/// Somebody puts a link where the store has a directory, a lock or an index.
#[tokio::test]
async fn g14_links_in_the_place_of_the_stores_own_are_not_followed() {
    let key = key("planted-user");
    for name in ["", "lock", "due"] {
        let (directory, elsewhere) = (support::directory(), support::directory());
        let store = FileTokenStore::open(directory.path()).await.unwrap();
        let shard = support::shard_path(directory.path(), &key);
        let link = if name.is_empty() { shard } else { shard.join(name) };
        if !name.is_empty() {
            put(&store, &key).await;
            let _ = fs::remove_file(&link);
            let _ = fs::remove_dir_all(&link);
        }
        let target =
            if name == "lock" { elsewhere.path().join("victim") } else { elsewhere.path().to_owned() };
        symlink(&target, &link).unwrap();
        let write = Write::new(SealedBytes::new(b"planted-sealed".to_vec()))
            .due_at(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        let error = store.put(&key, Incarnation::random().unwrap(), write).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{name}: {error:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("symbolic link"), "{name}: {source}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{name}: nothing was written there");
    }
}

/// A record that is a link, a directory, a pipe, or open to others is not read; a connect puts a file in its place.
#[tokio::test]
async fn g14_a_record_that_is_no_file_of_ones_own_is_not_read() {
    let (directory, elsewhere, key) = (support::directory(), support::directory(), key("planted-user"));
    let store = FileTokenStore::open(directory.path()).await.unwrap();
    put(&store, &key).await;
    let record = support::record_path(directory.path(), &key);
    let victim = elsewhere.path().join("victim");
    fs::copy(&record, &victim).unwrap();
    let whole = fs::read(&victim).unwrap();
    let plant: [(&str, &dyn Fn()); 4] = [
        ("symbolic link", &|| symlink(&victim, &record).unwrap()),
        ("not a regular file", &|| {
            assert!(
                std::process::Command::new("mkfifo").arg("-m600").arg(&record).status().unwrap().success()
            );
        }),
        ("chmod 600", &|| {
            fs::write(&record, &whole).unwrap();
            chmod(&record, 0o640);
        }),
        ("not a regular file", &|| {
            assert!(
                std::process::Command::new("mknod")
                    .arg("-m600")
                    .arg(&record)
                    .args(["c", "1", "5"])
                    .status()
                    .is_ok()
            );
            if !record.exists() {
                fs::create_dir(&record).unwrap();
            }
        }),
    ];
    for (words, plant) in plant {
        fs::remove_file(&record).unwrap();
        plant();
        let error = store.load(&key).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{words}: {error:?}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(words), "{words}: {source}");
        let listed = store.list_by_user(key.user(), &Page::first(1)).await.unwrap();
        assert_eq!((listed.records.len(), listed.unreadable), (0, 1), "{words}");
        if record.is_dir() {
            fs::remove_dir(&record).unwrap();
        }
        put(&store, &key).await;
        assert!(fs::symlink_metadata(&record).unwrap().is_file(), "{words}");
        assert_eq!(fs::read(&victim).unwrap(), whole, "{words}: what was linked to is as it was");
    }
    fs::remove_file(&record).unwrap();
    symlink(&victim, &record).unwrap();
    let removed = store.remove(&key, Remove::new(Duration::from_secs(600))).await.unwrap();
    assert!(matches!(removed, RemoveOutcome::Removed { record: None, .. }), "{removed:?}");
    assert_eq!(fs::read(&victim).unwrap(), whole);
}

/// A directory of another user, as root meets it, and as that other user meets root's.
#[tokio::test]
async fn g14_a_directory_of_another_user_is_refused() {
    let directory = support::directory();
    if fs::metadata(directory.path()).unwrap().uid() != 0 {
        // Who is not root owns no directory of another user, and the system lets nobody give one away.
        let error = refused(Path::new("/")).await;
        assert!(matches!(error.kind(), FileStoreErrorKind::Foreign { owner: 0, .. }), "{error:?}");
        return;
    }
    let theirs = directory.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chmod(&theirs, 0o700);
    std::os::unix::fs::chown(&theirs, Some(NOBODY), None).unwrap();
    let error = refused(&theirs).await;
    assert_eq!(error.kind(), FileStoreErrorKind::Foreign { owner: NOBODY, user: 0 });
    assert!(error.to_string().contains("chown -R 0"), "{error}");

    let mut process = Process::of(process::command("another user", Path::new("/")).uid(NOBODY).gid(NOBODY));
    let said = process.hear().unwrap();
    assert!(said.contains("it belongs to the user 0, and this process runs as 65534"), "{said}");
    process.end();
}

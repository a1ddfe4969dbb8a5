//! What each answer of a server means to a token store, told by one that says whatever it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::error::Error as _;

use authflow_core::StoreErrorKind::{self, Corrupt, OutcomeUnknown, Unavailable};
use authflow_core::{
    Expected, Incarnation, LeaseRequest, Page, Remove, RemoveOutcome, TokenStore as _, Version,
};
use authflow_redis::{RedisConfig, RedisTokenStore};
use support::tokens::{LONG, all_errors, connection, holder, only_reads, sealed};
use support::{Parrot, kind};

/// A refusal is retryable, and nothing was done. An answer that no script gives leaves open what was done, but for those that
/// only read. None is asked twice, and none of its text is repeated: it may name the user.
#[tokio::test]
async fn x7_what_each_answer_means() {
    let parrot = Parrot::start().await;
    let store = RedisTokenStore::connect(RedisConfig::server(&parrot.url()).unwrap()).await.unwrap();
    let (key, version) = (connection("user"), Version::first(Incarnation::random().unwrap()));
    let refused: [(&str, StoreErrorKind); 16] = [
        ("-LOADING hunter2\r\n", Unavailable),
        ("-READONLY hunter2\r\n", Unavailable),
        ("-OOM hunter2\r\n", Unavailable),
        ("-NOAUTH hunter2\r\n", Unavailable),
        ("-NOPERM hunter2\r\n", Unavailable),
        ("-MOVED 7 hunter2:6379\r\n", Unavailable),
        ("-MISCONF hunter2\r\n", Unavailable),
        ("-NOREPLICAS hunter2\r\n", Unavailable),
        ("-BUSY hunter2\r\n", Unavailable),
        ("-MASTERDOWN hunter2\r\n", Unavailable),
        ("-TRYAGAIN hunter2\r\n", Unavailable),
        ("-hunter2 hunter2\r\n", Unavailable),
        (":7\r\n", OutcomeUnknown),
        ("*1\r\n$7\r\nhunter2\r\n", OutcomeUnknown),
        ("*3\r\n$5\r\nfound\r\n$7\r\nhunter2\r\n:1\r\n", OutcomeUnknown),
        ("HTTP/1.1 400 hunter2\r\n\r\n", OutcomeUnknown),
    ];
    for (answer, expected) in refused {
        parrot.says(answer);
        let errors = all_errors(&store, &key, version).await;
        assert_eq!(parrot.asked(), 10, "{answer}");
        for (operation, error) in errors {
            let error = error.unwrap_or_else(|| panic!("{operation} takes {answer}"));
            let expected = if only_reads(operation) { Unavailable } else { expected };
            assert_eq!(error.kind(), expected, "{operation} {answer}");
            let source = error.source().unwrap();
            assert!(!format!("{error} {error:?} {source} {source:?}").contains("hunter2"), "{error:?}");
        }
    }
}

/// What the scripts say of a record that cannot be read, and what is found to be none only here.
#[tokio::test]
async fn x20_an_answer_with_another_record_is_corrupt() {
    let parrot = Parrot::start().await;
    let store = RedisTokenStore::connect(RedisConfig::server(&parrot.url()).unwrap()).await.unwrap();
    let (key, version) = (connection("user"), Version::first(Incarnation::random().unwrap()));
    parrot.says("*1\r\n$7\r\ncorrupt\r\n");
    for (operation, error) in all_errors(&store, &key, version).await.into_iter().take(7) {
        assert_eq!(error.unwrap().kind(), Corrupt, "{operation}");
    }
    // A key that is none.
    let record = record("hunter2");
    for status in ["found", "changed", "leased"] {
        let answer = format!("*3\r\n${}\r\n{status}\r\n{record}$0\r\n\r\n", status.len());
        parrot.says(String::leak(answer));
        let operation = match status {
            "found" => "load",
            "changed" => "save",
            _ => "lease",
        };
        let errors = all_errors(&store, &key, version).await;
        let (_, error) = errors.into_iter().find(|(name, _)| *name == operation).unwrap();
        let error = error.unwrap();
        assert_eq!(error.kind(), Corrupt, "{operation}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

/// A version, the key, sealed bytes, and neither lease nor mark.
fn record(key: &str) -> String {
    let (head, length) = ("h".repeat(24), key.len());
    format!("*6\r\n$24\r\n{head}\r\n${length}\r\n{key}\r\n$1\r\ns\r\n$0\r\n\r\n$1\r\n0\r\n$0\r\n\r\n")
}

/// I3: whatever the server answers, nobody gets the record of another.
#[tokio::test]
async fn x20_a_sound_record_of_another_is_given_to_nobody() {
    let parrot = Parrot::start().await;
    let store = RedisTokenStore::connect(RedisConfig::server(&parrot.url()).unwrap()).await.unwrap();
    let (key, version) = (connection("user"), Version::first(Incarnation::random().unwrap()));
    let says = |text: String| parrot.says(String::leak(text));
    let answer =
        |status: &str, record: &str| format!("*3\r\n${}\r\n{status}\r\n{record}$0\r\n\r\n", status.len());
    let mine = record(std::str::from_utf8(&key.to_bytes()).unwrap());
    says(answer("found", &mine));
    assert_eq!(store.load(&key).await.unwrap().into_record().unwrap().key, key);

    for other in [connection("another user"), connection("user").with_account("another")] {
        let theirs = record(std::str::from_utf8(&other.to_bytes()).unwrap());
        says(answer("found", &theirs));
        assert_eq!(kind(store.load(&key).await), Corrupt);
        says(answer("leased", &theirs));
        assert_eq!(kind(store.lease(&key, LeaseRequest::new(holder(), LONG)).await), Corrupt);
        says(answer("changed", &theirs));
        assert_eq!(
            kind(store.save_if_version(&key, &Expected::version(version), sealed("s")).await),
            Corrupt
        );
        assert_eq!(kind(store.remove(&key, Remove::new(LONG).if_version(version)).await), Corrupt);
        says(format!("*3\r\n$7\r\nremoved\r\n$24\r\n{}\r\n{theirs}", "t".repeat(24)));
        let removed = store.remove(&key, Remove::new(LONG)).await.unwrap();
        assert!(
            matches!(removed, RemoveOutcome::Removed { record: None, .. }),
            "its tokens are not mine to revoke"
        );

        says(format!("*3\r\n$0\r\n\r\n:0\r\n*2\r\n{mine}{theirs}"));
        let listed = store.list_by_user(key.user(), &Page::first(10)).await.unwrap();
        let of_user = usize::from(other.user() == key.user());
        assert_eq!((listed.records.len(), listed.unreadable), (1 + of_user, 1 - of_user));
    }
}

//! What each answer of a server means, told by one that says whatever it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::error::Error as _;

use authflow_core::StoreErrorKind::{self, Conflict, Corrupt, OutcomeUnknown, Unavailable};
use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use support::{Parrot, put, take};

async fn connect(parrot: &Parrot) -> Result<RedisStateStore, ConnectError> {
    RedisStateStore::connect(RedisConfig::server(&parrot.url()).unwrap()).await
}

/// A refusal is retryable and nothing was done; an answer that the command does not have leaves open what was done. None is
/// asked twice, and none of its text is repeated: it may name the key.
#[tokio::test]
async fn x7_what_each_answer_means() {
    let refused: [(&str, StoreErrorKind); 12] = [
        ("-LOADING hunter2\r\n", Unavailable),
        ("-READONLY hunter2\r\n", Unavailable),
        ("-OOM hunter2\r\n", Unavailable),
        ("-NOAUTH hunter2\r\n", Unavailable),
        ("-NOPERM hunter2\r\n", Unavailable),
        ("-MOVED 7 hunter2:6379\r\n", Unavailable),
        ("-MISCONF hunter2\r\n", Unavailable),
        ("-NOREPLICAS hunter2\r\n", Unavailable),
        ("-BUSY hunter2\r\n", Unavailable),
        ("-hunter2 hunter2\r\n", Unavailable),
        (":7\r\n", OutcomeUnknown),
        ("HTTP/1.1 400 hunter2\r\n\r\n", OutcomeUnknown),
    ];
    let parrot = Parrot::start().await;
    let store = connect(&parrot).await.unwrap();
    for (answer, kind) in refused {
        for is_put in [true, false] {
            parrot.says(answer);
            let error = if is_put {
                put(&store, "s").await.unwrap_err()
            } else {
                take(&store, "s").await.unwrap_err()
            };
            assert_eq!(error.kind(), kind, "{answer}");
            assert_eq!(parrot.asked(), 1, "{answer}");
            let source = error.source().unwrap();
            assert!(!format!("{error} {error:?} {source} {source:?}").contains("hunter2"), "{error:?}");
        }
    }
    parrot.says("$-1\r\n");
    assert_eq!(put(&store, "s").await.unwrap_err().kind(), Conflict);
    assert_eq!(take(&store, "s").await.unwrap(), None);
    parrot.says("$7\r\nhunter2\r\n");
    assert_eq!(put(&store, "s").await.unwrap_err().kind(), OutcomeUnknown);
    let error = take(&store, "s").await.unwrap_err();
    assert_eq!(error.kind(), Corrupt);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

/// The message says what is wrong, or its source does.
#[tokio::test]
async fn x7_what_each_answer_means_at_the_start() {
    let parrot = Parrot::start().await;
    for (answer, text) in [
        ("-LOADING hunter2\r\n", "still starting"),
        ("-BUSY hunter2\r\n", "BUSY"),
        ("-NOAUTH hunter2\r\n", "password"),
        ("-NOPERM hunter2\r\n", "+getdel"),
        ("-READONLY hunter2\r\n", "replica"),
        ("-MOVED 7 hunter2:6379\r\n", "RedisConfig::cluster"),
        ("-ERR unknown command 'SET', with args: 'hunter2'\r\n", "refuse"),
        ("HTTP/1.1 400 hunter2\r\n\r\n", "not one of Redis"),
    ] {
        parrot.says(answer);
        let error = connect(&parrot).await.unwrap_err();
        let whole = format!("{error} {}", error.source().map(ToString::to_string).unwrap_or_default());
        assert!(whole.contains(text), "{answer} {whole}");
        assert!(!format!("{whole} {error:?}").contains("hunter2"), "{error:?}");
    }
}

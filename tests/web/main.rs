//! One suite judges both web frameworks, over HTTP: what a browser sends, what comes back, and what the providers' ledgers say
//! was asked of them. Tests are named by the row of the attack matrix that they are about.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use authflow::{Clock as _, SystemClock};

mod application;
mod browser;
mod framework;
mod jar;
mod provider;
mod servers;
mod stores;
mod world;

/// Declares the tests of a module, each for every framework: `axum::a1_…` and `actix::a1_…` over stores in memory, and those
/// whose check reaches the flows' store or the connections' as `axum_redis::…`, `actix_mariadb::…` and so on for every store.
/// What stays in memory is decided by cookies, headers and addresses, before any store is asked or after all have answered:
/// over another one it would be the same test again.
macro_rules! judged {
    ($(memory: $($memory:ident),+;)? $(every_store: $($every:ident),+;)?) => {
        judged!(@ axum, Axum, Memory, [$($($memory),+)? $(, $($every),+)?]);
        judged!(@ actix, Actix, Memory, [$($($memory),+)? $(, $($every),+)?]);
        $(
            judged!(@ axum_file, Axum, File, [$($every),+]);
            judged!(@ axum_sqlite, Axum, Sqlite, [$($every),+]);
            judged!(@ axum_redis, Axum, Redis, [$($every),+]);
            judged!(@ axum_postgres, Axum, Postgres, [$($every),+]);
            judged!(@ axum_mariadb, Axum, MariaDb, [$($every),+]);
            judged!(@ actix_file, Actix, File, [$($every),+]);
            judged!(@ actix_sqlite, Actix, Sqlite, [$($every),+]);
            judged!(@ actix_redis, Actix, Redis, [$($every),+]);
            judged!(@ actix_postgres, Actix, Postgres, [$($every),+]);
            judged!(@ actix_mariadb, Actix, MariaDb, [$($every),+]);
        )?
    };
    (@ $module:ident, $framework:ident, $store:ident, [$(,)? $($test:ident),+]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let test = super::$test::<crate::framework::$framework>(crate::stores::Kind::$store);
                    crate::in_time(test).await;
                }
            )+
        }
    };
}

mod accounts;
mod binding;
mod cookies;
mod extractors;
mod forms;
mod headers;
mod origin;
mod outage;
mod pages;
mod redirects;
mod responses;
mod routes;
mod sign_in;
mod tabs;

/// Between two looks at what will be so at last.
async fn a_moment() {
    SystemClock::new().sleep(std::time::Duration::from_millis(10)).await;
}

/// A test that hangs fails.
async fn in_time<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(std::time::Duration::from_secs(180), test).await.expect("it takes too long")
}

//! Several processes, one store, one provider: processes that are killed, stopped and told to end, and stores that are.
//!
//! This program runs itself again for each process. A process says what it asks of its store and of the provider, before and
//! after, and stops where it is told to; there it is killed or stopped, and another one goes on. What was done is told by the
//! provider's ledger and by what the store holds. Nothing waits for a time to pass but where a lease has to end or a provider is
//! slow, and no verdict depends on how long anything took: a machine that stands still for a while changes none.

#![cfg(unix)]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod backend;
mod begin_killed;
mod child;
mod complete_killed;
mod disconnect_killed;
mod gate;
mod herd;
mod process;
mod raced;
mod refresh_killed;
mod relay;
mod restarted;
mod rig;
mod rotated;
mod setup;
mod spoiled;
mod stopped;
mod store_killed;
mod terminated;
mod world;

use backend::Kind;

/// What another of these programs starts.
#[tokio::test]
async fn child_process() {
    child::run().await;
}

macro_rules! on {
    ($($store:ident: $kind:expr;)+) => {$(
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn x1_f10_f11_a_refresh_is_killed_at_each_await_point() {
                refresh_killed::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x1_a_begin_is_killed_at_each_await_point() {
                begin_killed::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x1_i8_a_complete_is_killed_at_each_await_point() {
                complete_killed::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x1_i4_a_disconnect_is_killed_at_each_await_point() {
                disconnect_killed::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x3_f12_a_process_that_was_stopped_saves_over_nothing() {
                stopped::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x3_f12_a_process_that_was_stopped_for_three_leases_saves_over_nothing() {
                stopped::for_three_leases($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x22_f16_f17_a_disconnect_and_a_connect_beat_a_refresh_at_each_await_point() {
                raced::at_each_point($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x23_f2_of_many_processes_one_refreshes() {
                herd::of_2_8_and_64($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn f2_8_processes_that_refresh_all_the_time_use_each_refresh_token_once() {
                rotated::by_8_processes($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x12_r6_an_answer_that_is_lost_on_its_way_is_in_doubt() {
                spoiled::in_each_way($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x27_a_restart_between_begin_and_complete_loses_nothing() {
                restarted::between_begin_and_complete($kind).await;
                restarted::with_keys_that_are_lost($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn x35_sigterm_waits_for_the_refresh() {
                terminated::at_each_point($kind).await;
            }
        }
    )+};
}

on! {
    file: Kind::File;
    sqlite: Kind::Sqlite;
    redis: Kind::Redis;
    postgres: Kind::Postgres;
    mariadb: Kind::MariaDb;
}

#[tokio::test(flavor = "multi_thread")]
async fn x4_redis_is_killed_and_restarted_with_its_append_only_file() {
    store_killed::and_restarted(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x4_postgres_is_killed_and_restarted() {
    store_killed::and_restarted(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x4_mariadb_is_killed_and_restarted() {
    store_killed::and_restarted(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x4_redis_is_killed_and_comes_back_empty() {
    store_killed::and_emptied().await;
}

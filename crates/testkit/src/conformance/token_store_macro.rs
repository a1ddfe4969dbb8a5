//! The macro that makes tests of the checks of a token store.

/// Makes a module of tests that hold a [`TokenStore`](authflow_core::TokenStore) to its contract: one test for each
/// behaviour, on the store itself and behind `Arc<dyn TokenStore>`.
///
/// It takes the module's name and a closure that makes a
/// [`TokenStoreFixture`](crate::conformance::token_store::TokenStoreFixture) asynchronously. All names are random, so the
/// stores may share a server.
///
/// ```
/// use std::sync::Arc;
///
/// use authflow_core::MemoryTokenStore;
/// use authflow_testkit::conformance::token_store::TokenStoreFixture;
/// use authflow_testkit::{ManualClock, token_store_conformance};
///
/// token_store_conformance!(memory, || async {
///     let clock = ManualClock::new();
///     TokenStoreFixture::new(MemoryTokenStore::new().clock(Arc::new(clock.clone()))).clock(clock)
/// });
/// # fn main() {}
/// ```
///
/// A store on a server, whose clock no test can move: two clients of the server, and how a record is damaged there.
///
/// ```
/// # use authflow_core::{ConnectionKey, MemoryTokenStore};
/// # use authflow_testkit::conformance::token_store::TokenStoreFixture;
/// # use authflow_testkit::token_store_conformance;
/// # async fn connect() -> std::sync::Arc<MemoryTokenStore> {
/// #     static STORE: std::sync::LazyLock<std::sync::Arc<MemoryTokenStore>> = std::sync::LazyLock::new(Default::default);
/// #     STORE.clone()
/// # }
/// # async fn write_nonsense(_: ConnectionKey) {}
/// token_store_conformance!(on_a_server, || async {
///     TokenStoreFixture::new(connect().await).also(connect().await).damage(write_nonsense)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! token_store_conformance {
    ($name:ident, $make:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__token_store_checks!($crate::__token_store_tests, [as_itself], [$make]);
            $crate::__token_store_checks!($crate::__token_store_tests, [behind_arc_dyn], [$make]);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __token_store_checks {
    ($callback:path $(, $arguments:tt)*) => {
        $callback! {
            ($($arguments)*)
            every_field_comes_back,
            fields_without_a_value_stay_so,
            sealed_bytes_come_back_as_they_were,
            f26_keys_that_look_alike_do_not_mix,
            f26_lookalikes_in_each_part_do_not_mix,
            absent_is_an_outcome,
            f17_a_connect_replaces_the_whole_record,
            a_connect_replaces_a_tombstone,
            the_same_connect_twice_is_a_conflict,
            f17_of_64_connects_at_once_one_stays_whole,
            no_version_comes_again,
            a_lease_does_not_change_the_version,
            f2_of_64_leases_at_once_one_is_granted,
            a_held_lease_is_refused_and_stays,
            another_version_is_not_leased,
            the_holder_gets_its_lease_again,
            f11_a_lease_ends_and_the_next_finds_the_mark,
            f12_a_lease_that_has_ended_is_lost,
            f11_no_lease_lasts_longer_than_the_longest,
            x17_a_lease_that_a_clock_ahead_wrote_has_ended,
            x17_a_lease_is_held_for_a_clock_that_is_a_little_behind,
            a_renewal_sets_the_time_and_the_mark,
            a_release_ends_the_lease,
            anothers_lease_is_not_touched,
            a_save_replaces_bytes_and_ends_the_lease,
            f12_a_stale_save_is_refused,
            f18_no_older_copy_is_read,
            of_64_saves_at_once_one_saves,
            a_save_needs_no_lease,
            a_save_that_needs_the_lease_is_the_holders,
            f16_a_tombstone_beats_a_refresh_under_way,
            a_removal_of_another_version_removes_nothing,
            of_64_removals_at_once_one_removes,
            a_tombstone_ends,
            a_tombstone_outlives_the_lease,
            x22_save_removal_and_connect_at_once_take_place_in_some_order,
            of_concurrent_refreshes_no_write_is_lost,
            of_64_connections_at_once_each_keeps_its_own,
            of_1100_connections_each_is_listed_once,
            of_1100_connections_each_is_walked,
            of_1100_due_connections_each_is_found_in_order,
            pages_of_any_size_have_everything,
            changes_between_pages_hide_nothing,
            a_list_is_of_one_user_of_one_tenant,
            a_list_has_what_was_written_last,
            due_follows_the_due_time,
            a_due_time_is_kept_to_the_millisecond,
            the_walks_find_each_connection_in_its_shard,
            an_error_holds_no_sealed_bytes_and_no_user,
            debug_shows_nothing_of_a_connection,
            f14_what_cannot_be_read_is_corrupt_and_stays,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __token_store_tests {
    (([$pointer:ident] [$make:expr]) $($check:ident),+ $(,)?) => {
        mod $pointer {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $check() {
                    $crate::conformance::run(concat!(module_path!(), "::", stringify!($check)), async {
                        let fixture = $crate::conformance::token_store::$pointer(($make)().await);
                        $crate::conformance::token_store::$check(fixture).await
                    });
                }
            )+
        }
    };
}

//! The suite for [`TokenStore`]: each bullet of its documentation, as a function.
//!
//! Each function takes a [`TokenStoreFixture`] of its own. All names are random, so the stores of several checks may share
//! a server. It returns the first thing that is wrong. [`all`] runs them one after the other;
//! [`token_store_conformance!`](crate::token_store_conformance) makes a test of each.
//!
//! ```
//! use std::sync::Arc;
//!
//! use authflow_core::MemoryTokenStore;
//! use authflow_testkit::ManualClock;
//! use authflow_testkit::conformance::token_store::{self, TokenStoreFixture};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let skipped = token_store::all(|| async {
//!     let clock = ManualClock::new();
//!     TokenStoreFixture::new(MemoryTokenStore::new().clock(Arc::new(clock.clone()))).clock(clock)
//! })
//! .await?;
//! // Nothing in memory can be damaged, and its clock does not go back.
//! assert_eq!(skipped.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connects;
mod damage;
mod fixture;
mod indexes;
mod leases;
mod listing;
mod lookalikes;
mod races;
mod removal;
mod saves;
mod secrecy;
mod values;

use std::future::Future;
use std::sync::Arc;

use authflow_core::TokenStore;

pub use self::connects::{
    a_connect_replaces_a_tombstone, a_lease_does_not_change_the_version,
    f17_a_connect_replaces_the_whole_record, f17_of_64_connects_at_once_one_stays_whole,
    no_version_comes_again, the_same_connect_twice_is_a_conflict,
};
pub use self::damage::f14_what_cannot_be_read_is_corrupt_and_stays;
pub use self::fixture::TokenStoreFixture;
pub use self::indexes::{
    a_due_time_is_kept_to_the_millisecond, due_follows_the_due_time,
    the_walks_find_each_connection_in_its_shard,
};
pub use self::leases::{
    a_held_lease_is_refused_and_stays, a_release_ends_the_lease, a_renewal_sets_the_time_and_the_mark,
    another_version_is_not_leased, anothers_lease_is_not_touched, f2_of_64_leases_at_once_one_is_granted,
    f11_a_lease_ends_and_the_next_finds_the_mark, f11_no_lease_lasts_longer_than_the_longest,
    f12_a_lease_that_has_ended_is_lost, the_holder_gets_its_lease_again,
    x17_a_lease_is_held_for_a_clock_that_is_a_little_behind, x17_a_lease_that_a_clock_ahead_wrote_has_ended,
};
pub use self::listing::{
    a_list_has_what_was_written_last, a_list_is_of_one_user_of_one_tenant,
    changes_between_pages_hide_nothing, of_1100_connections_each_is_listed_once,
    of_1100_connections_each_is_walked, of_1100_due_connections_each_is_found_in_order,
    pages_of_any_size_have_everything,
};
pub use self::lookalikes::f26_lookalikes_in_each_part_do_not_mix;
pub use self::races::{
    of_64_connections_at_once_each_keeps_its_own, of_concurrent_refreshes_no_write_is_lost,
    x22_save_removal_and_connect_at_once_take_place_in_some_order,
};
pub use self::removal::{
    a_removal_of_another_version_removes_nothing, a_tombstone_ends, a_tombstone_outlives_the_lease,
    f16_a_tombstone_beats_a_refresh_under_way, of_64_removals_at_once_one_removes,
};
pub use self::saves::{
    a_save_needs_no_lease, a_save_replaces_bytes_and_ends_the_lease,
    a_save_that_needs_the_lease_is_the_holders, f12_a_stale_save_is_refused, f18_no_older_copy_is_read,
    of_64_saves_at_once_one_saves,
};
pub use self::secrecy::{
    an_error_holds_no_sealed_bytes_and_no_user, check_error, debug_shows_nothing_of_a_connection,
};
pub use self::values::{
    absent_is_an_outcome, every_field_comes_back, f26_keys_that_look_alike_do_not_mix,
    fields_without_a_value_stay_so, sealed_bytes_come_back_as_they_were,
};

use super::Failure;
use super::state_store::{Skipped, note};

/// Runs every check, each on a fixture that `make` makes, and says which were skipped.
///
/// # Errors
///
/// The first check that does not hold, by its name.
pub async fn all<S, F>(make: impl Fn() -> F + Send + Sync) -> Result<Vec<Skipped>, Failure>
where
    S: TokenStore,
    F: Future<Output = TokenStoreFixture<S>> + Send,
{
    let mut skipped = Vec::new();
    macro_rules! each {
        (() $($check:ident),+ $(,)?) => {$(
            note(stringify!($check), $check(make().await).await, &mut skipped)?;
        )+};
    }
    crate::__token_store_checks!(each);
    Ok(skipped)
}

/// The store itself.
#[doc(hidden)]
pub fn as_itself<S: TokenStore>(fixture: TokenStoreFixture<S>) -> TokenStoreFixture<S> {
    fixture
}

/// The store behind `Arc<dyn TokenStore>`.
#[doc(hidden)]
pub fn behind_arc_dyn<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> TokenStoreFixture<Arc<dyn TokenStore>> {
    fixture.map(|store| store as Arc<dyn TokenStore>)
}

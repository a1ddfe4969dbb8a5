//! Each broken token store fails the checks that are about its fault, and a sound one fails none.

use std::sync::Arc;
use std::time::Duration;

use authflow_core::MemoryTokenStore;
use authflow_testkit::ManualClock;
use authflow_testkit::conformance::token_store::{self, TokenStoreFixture};
use authflow_testkit::conformance::{Failure, Outcome};

use crate::broken_token_stores::{Wrong, fixture};

/// Asserts that each named check fails for the store.
macro_rules! bites {
    ($wrong:ident: $($check:ident),+ $(,)?) => {$(
        let outcome: Outcome = token_store::$check(fixture(Wrong::$wrong)).await;
        assert!(outcome.is_err(), "{} does not see {:?}", stringify!($check), Wrong::$wrong);
    )+};
}

#[tokio::test]
async fn a_sound_store_passes() {
    let make = || async { fixture(Wrong::Nothing).patience(Duration::from_secs(20)) };
    assert_eq!(token_store::all(make).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_store_whose_indexes_never_forget_passes() {
    let make = || async { fixture(Wrong::IndexesLag).patience(Duration::from_secs(20)) };
    assert_eq!(token_store::all(make).await, Ok(Vec::new()));
}

#[tokio::test]
async fn f26_keys_that_mix_are_found() {
    bites!(JoinsParts: f26_keys_that_look_alike_do_not_mix);
    bites!(IgnoresCase: f26_keys_that_look_alike_do_not_mix);
    bites!(CutsLongKeys: f26_keys_that_look_alike_do_not_mix);
    bites!(IgnoresAccount: f26_keys_that_look_alike_do_not_mix, of_64_connections_at_once_each_keeps_its_own);
}

#[tokio::test]
async fn f26_keys_of_which_one_part_mixes_are_found() {
    bites!(IgnoresCaseOfTheAccount: f26_lookalikes_in_each_part_do_not_mix);
    bites!(LowersTheTenant: f26_lookalikes_in_each_part_do_not_mix);
    bites!(ComposesTheAccount: f26_lookalikes_in_each_part_do_not_mix);
    bites!(TrimsTheAccount: f26_lookalikes_in_each_part_do_not_mix);
    bites!(TrimsTheTenant: f26_lookalikes_in_each_part_do_not_mix);
    bites!(CutsTheAccountAtItsNul: f26_lookalikes_in_each_part_do_not_mix);
    bites!(CutsLongTenants: f26_lookalikes_in_each_part_do_not_mix);
    bites!(LocksWithoutTheTenant: f26_lookalikes_in_each_part_do_not_mix);
    bites!(LocksByTheAccountsFirstLetters: f26_lookalikes_in_each_part_do_not_mix);
    bites!(ListsTenantsOfAnyCase: f26_lookalikes_in_each_part_do_not_mix);
}

#[tokio::test]
async fn x34_another_keys_record_is_found() {
    bites!(AnothersRecord: f26_keys_that_look_alike_do_not_mix, of_64_connections_at_once_each_keeps_its_own);
    bites!(ForgetsTheAccount: every_field_comes_back, f26_keys_that_look_alike_do_not_mix);
}

#[tokio::test]
async fn lost_values_are_found() {
    bites!(ForgetsTheAttempt: every_field_comes_back);
    bites!(CutsLongBytes: sealed_bytes_come_back_as_they_were);
    bites!(BytesAreText: sealed_bytes_come_back_as_they_were);
    bites!(DueInSeconds: every_field_comes_back, a_due_time_is_kept_to_the_millisecond);
    bites!(NeverIsDueAtOnce: fields_without_a_value_stay_so, due_follows_the_due_time);
    bites!(AbsentIsMade: absent_is_an_outcome);
    bites!(AbsentIsAnError: absent_is_an_outcome);
}

#[tokio::test]
async fn f17_connects_that_are_not_whole_are_found() {
    bites!(TornPut: f17_of_64_connects_at_once_one_stays_whole);
    bites!(PutKeepsTheVersion: f17_a_connect_replaces_the_whole_record);
    bites!(PutKeepsTheLease: f17_a_connect_replaces_the_whole_record);
    bites!(PutKeepsTheMark: f17_a_connect_replaces_the_whole_record);
    bites!(PutKeepsTheDueTime: f17_a_connect_replaces_the_whole_record);
    bites!(PutLosesToATombstone: a_connect_replaces_a_tombstone, no_version_comes_again);
    bites!(PutTwiceOverwrites: the_same_connect_twice_is_a_conflict);
    bites!(PutTwiceOverATombstone: the_same_connect_twice_is_a_conflict);
}

#[tokio::test]
async fn i4_versions_that_come_again_are_found() {
    bites!(SaveKeepsTheVersion: no_version_comes_again, of_64_saves_at_once_one_saves);
    bites!(TombstoneKeepsTheVersion: no_version_comes_again);
    bites!(LeaseChangesTheVersion: a_lease_does_not_change_the_version);
    bites!(MarkChangesTheVersion: a_lease_does_not_change_the_version);
    bites!(ReleaseChangesTheVersion: a_lease_does_not_change_the_version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f2_steps_that_are_not_one_are_found() {
    bites!(TornLease: f2_of_64_leases_at_once_one_is_granted);
    bites!(TornSave: of_64_saves_at_once_one_saves);
    bites!(TornRemove: of_64_removals_at_once_one_removes);
}

#[tokio::test]
async fn f2_steps_that_are_not_one_are_found_on_one_thread_too() {
    bites!(TornLease: f2_of_64_leases_at_once_one_is_granted);
    bites!(TornSave: of_64_saves_at_once_one_saves, x22_save_removal_and_connect_at_once_take_place_in_some_order);
    bites!(TornRemove: of_64_removals_at_once_one_removes, x22_save_removal_and_connect_at_once_take_place_in_some_order);
}

#[tokio::test]
async fn leases_that_exclude_nobody_are_found() {
    bites!(LeasesWhatIsHeld: a_held_lease_is_refused_and_stays, f2_of_64_leases_at_once_one_is_granted);
    bites!(RefusalMarks: a_held_lease_is_refused_and_stays);
    bites!(RefusalMakesLonger: a_held_lease_is_refused_and_stays);
    bites!(LeasesAnyVersion: another_version_is_not_leased);
    bites!(SaysHeldBeforeChanged: another_version_is_not_leased);
    bites!(ChangedIsLeased: another_version_is_not_leased);
    bites!(AnyoneRenews: anothers_lease_is_not_touched);
    bites!(AnyoneReleases: anothers_lease_is_not_touched);
    bites!(LostReleaseSetsTheDueTime: anothers_lease_is_not_touched, f12_a_lease_that_has_ended_is_lost);
}

#[tokio::test]
async fn leases_that_cannot_be_asked_for_again_are_found() {
    bites!(RefusesTheHolder: the_holder_gets_its_lease_again);
    bites!(LeasedAgainKeepsTheTime: the_holder_gets_its_lease_again);
    bites!(LeasedAgainForgetsTheMark: the_holder_gets_its_lease_again);
}

#[tokio::test]
async fn f11_leases_that_end_wrongly_are_found() {
    bites!(LeaseEndsEarly: f11_a_lease_ends_and_the_next_finds_the_mark);
    bites!(LeaseNeverEnds: f11_a_lease_ends_and_the_next_finds_the_mark);
    bites!(LeaseForAsLongAsAsked: f11_no_lease_lasts_longer_than_the_longest);
    bites!(MarkEndsWithTheLease: f11_a_lease_ends_and_the_next_finds_the_mark);
    bites!(ForgetsWhatItFound: f11_a_lease_ends_and_the_next_finds_the_mark, the_holder_gets_its_lease_again);
}

#[tokio::test]
async fn x17_leases_that_a_clock_made_immortal_are_found() {
    bites!(BelievesALeaseForYears: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(RenewsWhatHasEnded: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(ReleasesWhatHasEnded: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(SaveForAHolderWhoseLeaseEnded: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(BuriesALeaseForYears: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(MarkEndsWithTheLease: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
    bites!(ForgetsWhatItFound: x17_a_lease_that_a_clock_ahead_wrote_has_ended);
}

#[tokio::test]
async fn x17_leases_that_are_lost_to_a_clock_that_is_a_little_behind_are_found() {
    bites!(ClockBehindEndsALease: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
    bites!(ClockBehindLosesARenewal: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
    bites!(ClockBehindLosesARelease: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
    bites!(ClockBehindLosesASave: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
    bites!(SaysALeaseLastsForLonger: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
    bites!(LeasesWhatIsHeld: x17_a_lease_is_held_for_a_clock_that_is_a_little_behind);
}

#[tokio::test]
async fn f12_holders_that_do_not_lose_their_lease_are_found() {
    bites!(RenewsWhatHasEnded: f12_a_lease_that_has_ended_is_lost);
    bites!(ReleasesWhatHasEnded: f12_a_lease_that_has_ended_is_lost);
}

#[tokio::test]
async fn renewals_and_releases_that_do_something_else_are_found() {
    bites!(RenewKeepsTheTime: a_renewal_sets_the_time_and_the_mark);
    bites!(RenewForgetsTheMark: a_renewal_sets_the_time_and_the_mark);
    bites!(ReleaseForgetsTheMark: a_release_ends_the_lease);
    bites!(ReleaseKeepsTheMark: a_release_ends_the_lease);
    bites!(ReleaseKeepsTheDueTime: a_release_ends_the_lease, due_follows_the_due_time);
    bites!(ReleaseForgetsTheDueTime: a_release_ends_the_lease);
}

#[tokio::test]
async fn f12_stale_saves_are_found() {
    bites!(SavesOverAnyVersion: f12_a_stale_save_is_refused, of_64_saves_at_once_one_saves, f17_a_connect_replaces_the_whole_record, x22_save_removal_and_connect_at_once_take_place_in_some_order);
    bites!(ComparesTheCounterOnly: f12_a_stale_save_is_refused, f17_a_connect_replaces_the_whole_record);
    bites!(RefusedSaveEndsTheLease: f12_a_stale_save_is_refused);
}

#[tokio::test]
async fn f18_older_copies_are_found() {
    bites!(LoadsAnOlderCopy: f18_no_older_copy_is_read, no_version_comes_again);
    bites!(LeasesAnOlderCopy: f18_no_older_copy_is_read);
}

#[tokio::test]
async fn saves_that_do_something_else_are_found() {
    bites!(SaveKeepsTheLease: a_save_replaces_bytes_and_ends_the_lease, of_concurrent_refreshes_no_write_is_lost);
    bites!(SaveKeepsTheMark: a_save_replaces_bytes_and_ends_the_lease);
    bites!(SaveKeepsTheDueTime: a_save_replaces_bytes_and_ends_the_lease, due_follows_the_due_time);
    bites!(SaveNeedsALease: a_save_needs_no_lease);
    bites!(SaveNeedsNoHolder: a_save_that_needs_the_lease_is_the_holders);
    bites!(SaveForAHolderWhoseLeaseEnded: a_save_that_needs_the_lease_is_the_holders);
}

#[tokio::test]
async fn f16_tombstones_that_do_not_hold_are_found() {
    bites!(LeavesNoTombstone: f16_a_tombstone_beats_a_refresh_under_way);
    bites!(SavesOverATombstone: f16_a_tombstone_beats_a_refresh_under_way, x22_save_removal_and_connect_at_once_take_place_in_some_order);
    bites!(SavesAfterALook: x22_save_removal_and_connect_at_once_take_place_in_some_order);
    bites!(RenewsATombstone: f16_a_tombstone_beats_a_refresh_under_way);
    bites!(WaitsForTheLease: f16_a_tombstone_beats_a_refresh_under_way);
    bites!(RemovesWithoutTheRecord: f16_a_tombstone_beats_a_refresh_under_way);
    bites!(RemovesAnyVersion: a_removal_of_another_version_removes_nothing);
    bites!(TombstoneStaysForever: a_tombstone_ends);
    bites!(TombstoneEndsAtOnce: a_tombstone_ends, a_tombstone_outlives_the_lease);
    bites!(TombstoneEndsBeforeTheLease: a_tombstone_outlives_the_lease);
}

#[tokio::test]
async fn i3_lists_of_others_are_found() {
    bites!(ListsByIdOfUser: a_list_is_of_one_user_of_one_tenant);
    bites!(ListsByPrefix: a_list_is_of_one_user_of_one_tenant);
    bites!(ListsTombstones: a_list_has_what_was_written_last);
    bites!(ListLags: a_list_has_what_was_written_last);
}

#[tokio::test]
async fn pages_that_lose_something_are_found() {
    bites!(PagesByNumber: changes_between_pages_hide_nothing);
    bites!(FirstPageOnly: of_1100_connections_each_is_listed_once, of_1100_connections_each_is_walked, of_1100_due_connections_each_is_found_in_order);
    bites!(PageLosesItsLast: of_1100_connections_each_is_listed_once, of_1100_connections_each_is_walked, of_1100_due_connections_each_is_found_in_order);
    bites!(PageRepeatsItsLast: of_1100_connections_each_is_listed_once);
    bites!(IgnoresTheLimit: pages_of_any_size_have_everything);
}

#[tokio::test]
async fn indexes_that_name_something_else_are_found() {
    bites!(DueAtTheTimeToo: due_follows_the_due_time, a_due_time_is_kept_to_the_millisecond);
    bites!(DueIfNever: due_follows_the_due_time);
    bites!(DueInAnyOrder: of_1100_due_connections_each_is_found_in_order);
    bites!(WalksAllShards: the_walks_find_each_connection_in_its_shard);
    bites!(WalksWhatNeverWas: the_walks_find_each_connection_in_its_shard);
    bites!(FindsDueWhatNeverWas: the_walks_find_each_connection_in_its_shard);
}

#[tokio::test]
async fn h1_what_is_shown_is_found() {
    bites!(UserInError: an_error_holds_no_sealed_bytes_and_no_user);
    bites!(BytesInErrorSource: an_error_holds_no_sealed_bytes_and_no_user);
    bites!(ShowsBytes: debug_shows_nothing_of_a_connection);
}

#[tokio::test]
async fn f14_damage_that_loses_something_is_found() {
    bites!(CorruptIsAbsent: f14_what_cannot_be_read_is_corrupt_and_stays);
    bites!(CorruptIsRemoved: f14_what_cannot_be_read_is_corrupt_and_stays);
    bites!(CorruptHidesOthers: f14_what_cannot_be_read_is_corrupt_and_stays);
    bites!(CorruptIsNotCounted: f14_what_cannot_be_read_is_corrupt_and_stays);
    bites!(CorruptIsNotReplaced: f14_what_cannot_be_read_is_corrupt_and_stays);
}

#[tokio::test]
async fn a_failure_of_a_token_store_names_its_check() {
    let make = || async { fixture(Wrong::SaveNeedsALease) };
    let failure: Failure = token_store::all(make).await.expect_err("a save is refused");
    let text = failure.to_string();
    assert!(text.contains(" does not hold: "), "{text}");
}

#[tokio::test]
async fn two_instances_that_share_nothing_are_found() {
    let clock = ManualClock::new();
    let store = || MemoryTokenStore::new().clock(Arc::new(clock.clone()));
    let apart = TokenStoreFixture::new(store()).also(store()).clock(clock.clone());
    let outcome = token_store::every_field_comes_back(apart).await;
    assert!(outcome.is_err(), "what one instance wrote, the other one does not have");
}

//! Each broken store fails the checks that are about its fault, and a sound one fails none.

use std::sync::Arc;

use authflow_testkit::conformance::state_store::{self, StateStoreCapabilities};
use authflow_testkit::conformance::{Failure, Outcome, Verdict};

use crate::broken_stores::{Broken, LocksItself, Wrong};

type Capabilities = StateStoreCapabilities;

/// Asserts that each named check fails for the store.
macro_rules! bites {
    ($wrong:ident: $($check:ident),+) => {$(
        let outcome: Outcome = state_store::$check(Broken::new(Wrong::$wrong), &Capabilities::default()).await;
        assert!(outcome.is_err(), "{} does not see {:?}", stringify!($check), Wrong::$wrong);
    )+};
}

#[tokio::test]
async fn a_sound_store_passes() {
    let shared = Arc::new(Broken::new(Wrong::Nothing));
    let capabilities = Capabilities::default().shares_keys_between_instances(true);
    let skipped = state_store::all(|| async { Arc::clone(&shared) }, &capabilities).await;
    assert_eq!(skipped, Ok(Vec::new()));
    let apart = || async { Broken::new(Wrong::Nothing) };
    let skipped = state_store::all(apart, &Capabilities::default()).await.unwrap();
    assert!(skipped.iter().all(|(name, _)| name.contains("through_all_instances")), "{skipped:?}");
    assert_eq!(skipped.len(), 2);
}

#[tokio::test]
async fn a3_a_store_that_overwrites_is_found() {
    bites!(Overwrites: an_existing_key_is_refused_and_keeps_its_flow, of_64_stores_at_once_one_stores, an_error_holds_neither_key_nor_flow);
    bites!(SaysStoredAndKeepsTheOld: an_existing_key_is_refused_and_keeps_its_flow, of_64_stores_at_once_one_stores);
    bites!(RefusesWithAnotherKind: an_existing_key_is_refused_and_keeps_its_flow, of_64_stores_at_once_one_stores);
    bites!(ConflictRemoves: an_existing_key_is_refused_and_keeps_its_flow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a3_steps_that_are_not_one_are_found() {
    bites!(GetsThenDeletes: of_64_checks_at_once_one_gets_the_flow);
    bites!(LooksThenStores: of_64_stores_at_once_one_stores);
}

#[tokio::test]
async fn a3_get_then_delete_is_found_on_one_thread_too() {
    bites!(GetsThenDeletes: of_64_checks_at_once_one_gets_the_flow);
    bites!(LooksThenStores: of_64_stores_at_once_one_stores);
}

#[tokio::test]
async fn a3_steps_that_are_one_in_one_process_only_are_found() {
    let shared = Capabilities::default().shares_keys_between_instances(true);
    let instances = |wrong| {
        let store = Arc::new(Broken::new(wrong));
        (0..4).map(|_| LocksItself::before(&store)).collect::<Vec<_>>()
    };
    let alone = |wrong| instances(wrong).pop().unwrap();
    let check = state_store::of_64_checks_through_all_instances_one_gets_the_flow;
    assert!(check(instances(Wrong::GetsThenDeletes), &shared).await.is_err());
    assert_eq!(check(instances(Wrong::Nothing), &shared).await, Ok(Verdict::Held));
    let check = state_store::of_64_checks_at_once_one_gets_the_flow;
    assert_eq!(check(alone(Wrong::GetsThenDeletes), &shared).await, Ok(Verdict::Held));
    let check = state_store::of_64_stores_through_all_instances_one_stores;
    assert!(check(instances(Wrong::LooksThenStores), &shared).await.is_err());
    assert_eq!(check(instances(Wrong::Nothing), &shared).await, Ok(Verdict::Held));
    let check = state_store::of_64_stores_at_once_one_stores;
    assert_eq!(check(alone(Wrong::LooksThenStores), &shared).await, Ok(Verdict::Held));
}

#[tokio::test]
async fn a3_a_store_that_never_removes_is_found() {
    bites!(NeverRemoves: a_used_flow_is_absent, of_64_checks_at_once_one_gets_the_flow);
}

#[tokio::test]
async fn keys_that_mix_are_found() {
    bites!(AbsentIsAnError: absent_is_no_error, a_used_flow_is_absent);
    bites!(AnyKeyFindsIt: a_foreign_key_finds_nothing_and_removes_nothing, keys_that_differ_in_one_bit_do_not_mix, of_64_flows_at_once_each_keeps_its_own);
    bites!(ForeignKeyRemoves: a_foreign_key_finds_nothing_and_removes_nothing);
    bites!(ForgetsHalfOfTheKey: keys_that_differ_in_one_bit_do_not_mix);
}

#[tokio::test]
async fn a4_wrong_expiry_is_found() {
    bites!(IgnoresExpiry: after_its_ttl_a_flow_is_absent);
    bites!(ExpiresEarly: before_its_ttl_a_flow_is_there);
    bites!(TakesTheFlowsOwnTime: after_its_ttl_a_flow_is_absent);
    bites!(ExpiredKeysStayTaken: an_expired_key_is_free);
}

#[tokio::test]
async fn a12_a_wrong_cap_of_a_bucket_is_found() {
    bites!(HasNoCapOfABucket: a12_at_a_buckets_cap_its_own_oldest_goes);
    bites!(PushesOutTheOldestOfAll: a12_at_a_buckets_cap_its_own_oldest_goes);
    bites!(PushesOutTheNewest: a12_at_a_buckets_cap_its_own_oldest_goes);
    bites!(RefusesAtTheCap: a12_at_a_buckets_cap_its_own_oldest_goes);
    bites!(CountsUsedFlows: a12_a_used_flow_leaves_its_bucket);
    // A store with another cap than it says.
    for capacity in [255, 257] {
        let others = Capabilities::default().bucket_capacity(Some(capacity));
        let check = state_store::a12_at_a_buckets_cap_its_own_oldest_goes;
        assert!(check(Broken::new(Wrong::Nothing), &others).await.is_err(), "{capacity}");
    }
}

#[tokio::test]
async fn h1_what_is_shown_is_found() {
    bites!(KeyInError: an_error_holds_neither_key_nor_flow);
    bites!(FlowInErrorSource: an_error_holds_neither_key_nor_flow);
    bites!(ShowsFlows: debug_shows_no_flow);
}

#[tokio::test]
async fn lost_values_are_found() {
    bites!(LosesReturnTo: every_field_comes_back);
    bites!(LosesVerifier: every_field_comes_back);
    bites!(EmptyBecomesSomething: fields_without_a_value_stay_so);
    bites!(AsciiOnly: unicode_comes_back);
    bites!(CutsLongValues: large_values_come_back);
}

#[tokio::test]
async fn instances_are_what_they_say_they_are() {
    let shared = Capabilities::default().shares_keys_between_instances(true);
    let check = state_store::instances_share_their_keys_or_do_not_mix;
    let one = Arc::new(Broken::new(Wrong::SharesWithOthers));
    let other = Arc::clone(&one);
    assert!(check(Arc::clone(&one), Arc::clone(&other), &Capabilities::default()).await.is_err(), "they mix");
    assert_eq!(check(one, other, &shared).await, Ok(Verdict::Held));
    let apart = || Arc::new(Broken::new(Wrong::Nothing));
    assert!(check(apart(), apart(), &shared).await.is_err(), "they do not share");
    let overwriting = Arc::new(Broken::new(Wrong::Overwrites));
    assert!(check(Arc::clone(&overwriting), overwriting, &shared).await.is_err(), "one overwrites the other");
}

#[tokio::test]
async fn what_does_not_apply_is_skipped_with_its_reason() {
    let server =
        Capabilities::default().expires_by_clock(false).keeps_large_values(false).bucket_capacity(None);
    let skipped = state_store::all(|| async { Broken::new(Wrong::IgnoresExpiry) }, &server).await;
    let skipped = skipped.expect("what would fail is skipped");
    let names: Vec<_> = skipped.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "large_values_come_back",
            "before_its_ttl_a_flow_is_there",
            "after_its_ttl_a_flow_is_absent",
            "an_expired_key_is_free",
            "a12_at_a_buckets_cap_its_own_oldest_goes",
            "a12_a_used_flow_leaves_its_bucket",
            "of_64_checks_through_all_instances_one_gets_the_flow",
            "of_64_stores_through_all_instances_one_stores"
        ]
    );
    assert!(skipped.iter().all(|(_, reason)| reason.len() > 20), "each has a reason");
}

#[tokio::test]
async fn a_failure_names_its_check_and_what_is_wrong() {
    let make = || async { Broken::new(Wrong::LosesReturnTo) };
    let failure: Failure =
        state_store::all(make, &Capabilities::default()).await.expect_err("a field is lost");
    assert_eq!(
        failure.to_string(),
        "every_field_comes_back does not hold: the field return_to did not come back as it was"
    );
}

#[test]
#[should_panic(expected = "a_name does not hold: it is wrong")]
fn the_tests_of_the_macros_fail_by_a_panic() {
    authflow_testkit::conformance::run("a_name", async { Err(Failure::new("it is wrong")) });
}

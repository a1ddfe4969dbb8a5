//! The suite for [`StateStore`]: each bullet of its documentation, as a function.
//!
//! Each function takes a store of its own, fresh or shared with others, for all keys are random; a few take more than one. It
//! returns the first thing that is wrong. [`all`] runs them one after the other; [`state_store_conformance!`](crate::state_store_conformance) makes
//! a test of each.
//!
//! ```
//! use authflow_core::MemoryStateStore;
//! use authflow_testkit::conformance::state_store::{self, StateStoreCapabilities};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let capabilities = StateStoreCapabilities::default();
//! let skipped = state_store::all(|| async { MemoryStateStore::default() }, &capabilities).await?;
//! // Two of them share nothing that could be raced for.
//! assert_eq!(skipped.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buckets;
mod concurrency;
mod expiry;
mod fixture;
mod given;
mod keeping;
mod keys;
mod secrecy;
mod values;

use std::future::Future;
use std::sync::Arc;

use authflow_core::{BucketCaps, StateStore};
use http::Extensions;

pub use self::buckets::{a12_a_used_flow_leaves_its_bucket, a12_at_a_buckets_cap_its_own_oldest_goes};
pub use self::concurrency::{
    of_64_checks_at_once_one_gets_the_flow, of_64_checks_through_all_instances_one_gets_the_flow,
    of_64_flows_at_once_each_keeps_its_own, of_64_stores_at_once_one_stores,
    of_64_stores_through_all_instances_one_stores,
};
pub use self::expiry::{
    after_its_ttl_a_flow_is_absent, an_expired_key_is_free, before_its_ttl_a_flow_is_there,
};
pub use self::keeping::Keeping;
pub use self::keys::{
    a_foreign_key_finds_nothing_and_removes_nothing, a_used_flow_is_absent, absent_is_no_error,
    an_existing_key_is_refused_and_keeps_its_flow, instances_share_their_keys_or_do_not_mix,
    keys_that_differ_in_one_bit_do_not_mix,
};
pub use self::secrecy::{an_error_holds_neither_key_nor_flow, check_error, debug_shows_no_flow};
pub use self::values::{
    every_field_comes_back, fields_without_a_value_stay_so, large_values_come_back, unicode_comes_back,
};

use super::{Failure, Verdict};

/// What a store can do, where stores may differ. Name the fields that are not the default:
///
/// ```
/// use authflow_testkit::conformance::state_store::StateStoreCapabilities;
///
/// let redis = StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false);
/// assert!(redis.shares_keys_between_instances);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StateStoreCapabilities {
    /// How many flows of one [`Bucket`](authflow_core::Bucket) an instance stores; `None` where it has no cap, and the time to
    /// live alone bounds what one user can fill. Default: [`BucketCaps::DEFAULT_CAPACITY`].
    pub bucket_capacity: Option<usize>,
    /// What [`StateContext::extensions`](authflow_core::StateContext::extensions) holds: it is asked once for each check, and
    /// all calls of the check get the same. For a store that keeps flows in a session, which it finds there. Default: nothing.
    pub extensions: fn() -> Extensions,
    /// Whether expiry follows [`StateContext::now`](authflow_core::StateContext::now). Where the server's own clock counts
    /// the time to live, the checks of expiry are skipped, and the backend has to test it by its own means. Default: yes.
    pub expires_by_clock: bool,
    /// Whether a value of 64 KiB must come back. A store in cookies cannot. Default: yes.
    pub keeps_large_values: bool,
    /// Whether two stores of the constructor look at the same flows, as two clients of one server do. If not, they must not
    /// mix. Default: no.
    pub shares_keys_between_instances: bool,
}

impl Default for StateStoreCapabilities {
    fn default() -> Self {
        Self {
            bucket_capacity: Some(BucketCaps::DEFAULT_CAPACITY),
            extensions: Extensions::new,
            expires_by_clock: true,
            keeps_large_values: true,
            shares_keys_between_instances: false,
        }
    }
}

macro_rules! setters {
    ($($name:ident),+) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
        #[must_use]
        pub const fn $name(mut self, yes: bool) -> Self {
            self.$name = yes;
            self
        }
    )+};
}

impl StateStoreCapabilities {
    setters!(expires_by_clock, keeps_large_values, shares_keys_between_instances);

    /// Sets [`extensions`](Self#structfield.extensions).
    ///
    /// ```
    /// use authflow_testkit::conformance::state_store::StateStoreCapabilities;
    /// use http::Extensions;
    ///
    /// #[derive(Clone, Default)]
    /// struct Session;
    ///
    /// let in_a_session = StateStoreCapabilities::default().extensions(|| {
    ///     let mut extensions = Extensions::new();
    ///     extensions.insert(Session::default());
    ///     extensions
    /// });
    /// # let _ = in_a_session;
    /// ```
    #[must_use]
    pub const fn extensions(mut self, make: fn() -> Extensions) -> Self {
        self.extensions = make;
        self
    }

    /// Sets [`bucket_capacity`](Self#structfield.bucket_capacity).
    #[must_use]
    pub const fn bucket_capacity(mut self, flows: Option<usize>) -> Self {
        self.bucket_capacity = flows;
        self
    }
}

/// A check that was skipped: its name, and why.
pub type Skipped = (&'static str, &'static str);

/// Runs every check, each on a store that `make` makes or on some of them, and says which were skipped.
///
/// # Errors
///
/// The first check that does not hold, by its name.
pub async fn all<S, F>(
    make: impl Fn() -> F + Send + Sync,
    capabilities: &StateStoreCapabilities,
) -> Result<Vec<Skipped>, Failure>
where
    S: StateStore,
    F: Future<Output = S> + Send,
{
    let mut skipped = Vec::new();
    macro_rules! each {
        (() $($check:ident),+ $(,)?) => {$({
            let outcome = $check(make().await, capabilities).await;
            note(stringify!($check), outcome, &mut skipped)?;
        })+};
    }
    crate::__state_store_checks!(each);
    let outcome = instances_share_their_keys_or_do_not_mix(make().await, make().await, capabilities).await;
    note("instances_share_their_keys_or_do_not_mix", outcome, &mut skipped)?;
    macro_rules! each_race {
        (() $($check:ident),+ $(,)?) => {$({
            let instances = vec![make().await, make().await, make().await, make().await];
            note(stringify!($check), $check(instances, capabilities).await, &mut skipped)?;
        })+};
    }
    crate::__state_store_races!(each_race);
    Ok(skipped)
}

pub(super) fn note(
    name: &'static str,
    outcome: super::Outcome,
    skipped: &mut Vec<Skipped>,
) -> Result<(), Failure> {
    match outcome {
        Ok(Verdict::Held) => Ok(()),
        Ok(Verdict::Skipped(reason)) => {
            skipped.push((name, reason));
            Ok(())
        }
        Err(failure) => Err(Failure::new(format!("{name} does not hold: {failure}"))),
    }
}

/// The store itself.
#[doc(hidden)]
pub fn as_itself<S: StateStore>(store: S) -> S {
    store
}

/// The store behind `Arc<dyn StateStore>`.
#[doc(hidden)]
pub fn behind_arc_dyn<S: StateStore>(store: S) -> Arc<dyn StateStore> {
    Arc::new(store)
}

/// The store behind `Box<dyn StateStore>`.
#[doc(hidden)]
pub fn behind_box_dyn<S: StateStore>(store: S) -> Box<dyn StateStore> {
    Box::new(store)
}

//! The store that keeps connections.

mod memory;
mod operation;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

pub use self::memory::MemoryTokenStore;
pub use self::operation::{
    Cursor, Expected, KeyPage, LeaseOutcome, LeaseRequest, Loaded, Page, RecordPage, Release, Remove,
    RemoveOutcome, Renew, SaveOutcome, Tenure, Write,
};
pub use self::record::{Incarnation, Lease, LeaseHolder, Record, RefreshMark, SealedBytes, Version};
use crate::binding::User;
use crate::connection_key::{ConnectionKey, Shard};
use crate::state::StoreError;

/// Keeps connections: one record for each, with the lease of its refresh in it.
///
/// `authflow-testkit` holds every implementation to the bullets below (`token_store_conformance!`). No method has a
/// default. These hold for all operations:
///
/// - Each is one step: of any number of concurrent calls on one connection, each sees all of another or nothing of it.
///   Calls on different connections do not disturb each other. A call reads what was written last, never an older copy.
/// - Each is one round trip to the slot of one record, where a backend has slots and round trips. A record, and what
///   [`list_by_user`](Self::list_by_user) reads, are in the slot of the user.
/// - The version changes with the sealed bytes only: [`put`](Self::put) makes [`Version::first`] of its incarnation,
///   [`save_if_version`](Self::save_if_version) and [`remove`](Self::remove) make [`Version::next`] of what was there. A
///   lease, a mark and a due time never change it.
/// - Leases run on one clock, the store's own, whatever the clocks of its callers show. A lease ends by itself.
/// - A lease lasts for [`Lease::LONGEST`](crate::Lease::LONGEST) at most, whatever is asked for. One that claims more time
///   was taken before the store's clock went back: it is held if that is [`Lease::LEEWAY`](crate::Lease::LEEWAY) at most, and
///   said to last for `LONGEST`, and otherwise has ended.
/// - Keys are kept apart byte by byte: no case, no normalization, no separators, any length.
///   [`ConnectionKey::id`] gives 32 bytes that are so.
/// - Sealed bytes of 64 KiB come back as they were.
/// - That something is absent, removed, held or changed is an outcome, not an error.
///   [`Unavailable`](crate::StoreErrorKind::Unavailable) means that nothing was done. After
///   [`OutcomeUnknown`](crate::StoreErrorKind::OutcomeUnknown) the caller finds out what was done:
///   a lease is asked for again by the same holder, and for the others the record is loaded and its version compared.
/// - What cannot be read is [`Corrupt`](crate::StoreErrorKind::Corrupt), for every operation but [`put`](Self::put) and
///   [`remove`](Self::remove), and stays as it is until one of these.
/// - No error and no `Debug` holds sealed bytes, or a key but as its `Display`.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Whether what is stored outlives this process. Such a store is not used without sealing keys.
    fn is_durable(&self) -> bool;

    /// Writes a new connect, and returns its version: [`Version::first`] of the incarnation, which was drawn for it.
    ///
    /// - It replaces a record, a tombstone and what cannot be read. Of any number of concurrent calls one stays, whole.
    /// - Lease and mark of what was there are gone: a refresh under way finds that it
    ///   [`Changed`](SaveOutcome::Changed), and its holder that the lease is [`Lost`](Tenure::Lost).
    /// - An incarnation that is there already, as a record's or a tombstone's, is refused
    ///   ([`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict)), and nothing changes: a call that arrives twice
    ///   brings no old bytes back.
    /// - A store that is full refuses a new key ([`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable)). It
    ///   never lets another connection go instead.
    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError>;

    /// Reads the record.
    ///
    /// - It comes with lease and mark. A lease that has ended does not.
    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError>;

    /// Takes the lease, and writes the mark if there is one in the request.
    ///
    /// - The first that holds is the outcome: absent, tombstone, another version than [`LeaseRequest::if_version`],
    ///   another holder's lease that has not ended, leased. Only the last changes something.
    /// - Of any number of concurrent holders, one gets it. It lasts for [`LeaseRequest::duration`].
    /// - The holder of the lease gets it again, for the duration from now on: so a lost answer is asked for again.
    /// - Once a lease has ended another holder gets it, and with it the mark that is there.
    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError>;

    /// Sets how long the caller's lease lasts from now on, and writes the mark if there is one.
    ///
    /// - A lease that has ended is lost, even if nobody else took it.
    /// - For another than the holder nothing changes.
    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError>;

    /// Ends the caller's lease, and removes the mark unless it is to be kept.
    ///
    /// - A lease that has ended is lost; its mark stays.
    /// - For another than the holder nothing changes.
    /// - A due time in it replaces the record's. Without one that stays.
    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError>;

    /// Replaces sealed bytes and due time, if the record has the expected version.
    ///
    /// - The first that holds is the outcome: absent, tombstone, another version, not the expected holder, saved. Only the
    ///   last changes something.
    /// - Of any number of concurrent calls that expect one version, one saves.
    /// - Lease and mark are gone with it, whoever's they were: what they stood for is done.
    /// - A lease is not needed unless [`Expected::holder`] names one; that one must not have ended.
    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError>;

    /// Removes the record and leaves a tombstone.
    ///
    /// - The first that holds is the outcome: absent, tombstone, another version than [`Remove::if_version`], removed.
    /// - It does not wait for a lease. Of any number of concurrent calls, one gets the record.
    /// - The sealed bytes, the lease and the mark are gone. Until the tombstone goes, the connection is a tombstone to
    ///   every operation, and after that it is absent: no refresh under way writes it again. A new connect does.
    /// - The tombstone stays for [`Remove::keep_tombstone`], and as long as the lease would have lasted that was held.
    /// - What cannot be read is removed as well, where no version is asked for.
    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError>;

    /// The connections of one user.
    ///
    /// - Each that is there as long as the pages are read is in one of them, once; a tombstone is in none.
    /// - No other user's is in it: not one of the same id in another tenant.
    /// - What was written before the call is in it: it does not lag.
    /// - What cannot be read is counted and left out, so that it hides no other.
    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError>;

    /// The connections of one shard whose due time is before `time`.
    ///
    /// - Each that is there, and due, as long as the pages are read is in one of them; within a shard the earliest come
    ///   first.
    /// - It may lag, and name what is no longer due or there: callers load what it names. It reads an index, never all
    ///   keys.
    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError>;

    /// The connections of one shard.
    ///
    /// - Each that is there as long as the pages are read is in one of them.
    /// - It may lag, and name what is no longer there: callers load what it names. It reads an index, never all keys.
    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError>;
}

macro_rules! forward_token_store {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: TokenStore + ?Sized> TokenStore for $pointer<S> {
            fn is_durable(&self) -> bool {
                (**self).is_durable()
            }

            async fn put(
                &self,
                key: &ConnectionKey,
                incarnation: Incarnation,
                write: Write,
            ) -> Result<Version, StoreError> {
                (**self).put(key, incarnation, write).await
            }

            async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
                (**self).load(key).await
            }

            async fn lease(
                &self,
                key: &ConnectionKey,
                request: LeaseRequest,
            ) -> Result<LeaseOutcome, StoreError> {
                (**self).lease(key, request).await
            }

            async fn renew(
                &self,
                key: &ConnectionKey,
                holder: &LeaseHolder,
                renew: Renew,
            ) -> Result<Tenure, StoreError> {
                (**self).renew(key, holder, renew).await
            }

            async fn release(
                &self,
                key: &ConnectionKey,
                holder: &LeaseHolder,
                release: Release,
            ) -> Result<Tenure, StoreError> {
                (**self).release(key, holder, release).await
            }

            async fn save_if_version(
                &self,
                key: &ConnectionKey,
                expected: &Expected,
                write: Write,
            ) -> Result<SaveOutcome, StoreError> {
                (**self).save_if_version(key, expected, write).await
            }

            async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
                (**self).remove(key, remove).await
            }

            async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
                (**self).list_by_user(user, page).await
            }

            async fn due_before(
                &self,
                shard: Shard,
                time: SystemTime,
                page: &Page,
            ) -> Result<KeyPage, StoreError> {
                (**self).due_before(shard, time, page).await
            }

            async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
                (**self).walk(shard, page).await
            }
        }
    )+};
}

forward_token_store!(Arc, Box);

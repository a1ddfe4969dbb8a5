//! `put`.

use std::collections::HashSet;

use authflow_core::{
    Expected, LeaseOutcome, LeaseRequest, Loaded, Release, Remove, RemoveOutcome, Renew, SaveOutcome,
    StoreErrorKind, Tenure, TokenStore, Version,
};

use super::fixture::{
    CALLS, LONG, Names, ROUNDS, TokenStoreFixture, at, at_once, connect, connect_due, holder, incarnation,
    lease, mark, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// F17: a connect replaces all of what was there: bytes, version, due time, lease and mark. The refresh that was under way
/// finds that its lease is lost and that the record changed, and writes nothing.
pub async fn f17_a_connect_replaces_the_whole_record<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    let old = connect_due(store, &key, b"old", Some(at(1))).await?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let new = connect(fixture.other(), &key, b"new").await?;
    ensure!(new.incarnation() != old.incarnation(), "a second connect kept the first one's incarnation");
    let found = record(store, &key).await?;
    ensure!(found.version == new, "after a connect the version is {:?}, not {new:?}", found.version);
    ensure!(found.sealed.as_bytes() == b"new", "after a connect the bytes are not the connect's");
    ensure!(found.due_at.is_none(), "after a connect the due time is that of what was there before");
    ensure!(found.lease.is_none(), "after a connect the lease of what was there before goes on");
    ensure!(found.mark.is_none(), "after a connect the mark of what was there before is found");
    let renewed = succeed!(store.renew(&key, &owner, Renew::new(LONG)).await, "renewing");
    ensure!(renewed == Tenure::Lost, "a lease from before a connect is renewed");
    let released = succeed!(store.release(&key, &owner, Release::new()).await, "releasing");
    ensure!(released == Tenure::Lost, "a lease from before a connect is released");
    let saved = store.save_if_version(&key, &Expected::version(old), write(b"refreshed")).await;
    let saved = succeed!(saved, "saving over a connect");
    let SaveOutcome::Changed(stored) = saved else {
        return Err(Failure::new(format!("a refresh from before a connect is saved: {saved:?}")));
    };
    ensure!(stored.version == new && stored.sealed.as_bytes() == b"new", "the stored record is not returned");
    ensure!(record(store, &key).await?.sealed.as_bytes() == b"new", "a refusal to save changed the bytes");
    Ok(Verdict::Held)
}

/// A tombstone loses to a new connect.
pub async fn a_connect_replaces_a_tombstone<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    connect(store, &key, b"old").await?;
    succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
    let new = connect(fixture.other(), &key, b"new").await?;
    let found = record(store, &key).await?;
    ensure!(
        found.version == new && found.sealed.as_bytes() == b"new",
        "a connect after a removal is not found"
    );
    let removed = succeed!(store.remove(&key, Remove::new(LONG)).await, "removing again");
    ensure!(
        matches!(removed, RemoveOutcome::Removed { .. }),
        "what was connected after a removal is removed with {removed:?}"
    );
    Ok(Verdict::Held)
}

/// The same connect a second time is a conflict, over its record, over what a refresh made of it and over its tombstone: a
/// call that arrives late brings no old bytes back.
pub async fn the_same_connect_twice_is_a_conflict<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let first = connect_due(store, &key, b"first", Some(at(1))).await?;
    let again = || fixture.other().put(&key, *first.incarnation(), write(b"again"));
    let refused = |what: &str, result: Result<Version, authflow_core::StoreError>| match result {
        Ok(version) => Err(Failure::new(format!("a connect is put again over {what}, as {version:?}"))),
        Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(()),
        Err(error) => Err(Failure::new(format!(
            "a connect again over {what} is refused with {:?}, and Conflict is expected",
            error.kind()
        ))),
    };
    refused("its own record", again().await)?;
    let found = record(store, &key).await?;
    ensure!(
        found.sealed.as_bytes() == b"first" && found.due_at == Some(at(1)),
        "a conflict changed the record"
    );
    succeed!(store.save_if_version(&key, &Expected::version(first), write(b"second")).await, "saving");
    refused("what was refreshed since", again().await)?;
    let found = record(store, &key).await?;
    ensure!(found.version == first.next(), "a conflict changed the version to {:?}", found.version);
    ensure!(found.sealed.as_bytes() == b"second", "a conflict changed the bytes");
    succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
    refused("its own tombstone", again().await)?;
    let loaded = succeed!(store.load(&key).await, "loading");
    ensure!(matches!(loaded, Loaded::Tombstone(_)), "a conflict made {loaded:?} of a tombstone");
    Ok(Verdict::Held)
}

/// F17: of 64 connects of one key at once all succeed, and one of them stays: its version with its bytes.
pub async fn f17_of_64_connects_at_once_one_stays_whole<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    for _ in 0..ROUNDS {
        let key = Names::new()?.any();
        let incarnations = (0..CALLS).map(|_| incarnation()).collect::<Result<Vec<_>, _>>()?;
        let versions = at_once(&fixture, CALLS, |n, store| {
            let (key, incarnation) = (key.clone(), incarnations[n]);
            async move { store.put(&key, incarnation, write(n.to_string().as_bytes())).await }
        });
        let versions = versions.await?;
        let found = record(fixture.store(), &key).await?;
        let Some(last) = versions.iter().position(|version| *version == found.version) else {
            return Err(Failure::new(format!("the version {:?} is of none of the connects", found.version)));
        };
        ensure!(
            found.sealed.as_bytes() == last.to_string().as_bytes(),
            "the version is of one connect and the bytes are of another"
        );
    }
    Ok(Verdict::Held)
}

/// I4: whatever is done to a key, each write of the sealed bytes makes a version that was not there before: the next one of
/// its connect, or the first one of another.
pub async fn no_version_comes_again<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let mut version = connect(store, &key, b"same bytes").await?;
        ensure!(seen.insert(version), "the version {version:?} came again with a connect");
        for _ in 0..3 {
            let saved = store.save_if_version(&key, &Expected::version(version), write(b"same bytes")).await;
            let saved = succeed!(saved, "saving");
            let SaveOutcome::Saved(next) = saved else {
                return Err(Failure::new(format!(
                    "saving over the version just read is answered with {saved:?}"
                )));
            };
            ensure!(next == version.next(), "a save makes {next:?} of {version:?}");
            ensure!(seen.insert(next), "the version {next:?} came again with a save");
            let loaded = record(fixture.other(), &key).await?.version;
            ensure!(loaded == next, "a save answers with {next:?}, and {loaded:?} is stored");
            version = next;
        }
        let removed = succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
        let RemoveOutcome::Removed { tombstone, .. } = removed else {
            return Err(Failure::new(format!("removing is answered with {removed:?}")));
        };
        ensure!(tombstone == version.next(), "a removal makes {tombstone:?} of {version:?}");
        ensure!(seen.insert(tombstone), "the version {tombstone:?} came again with a tombstone");
    }
    Ok(Verdict::Held)
}

/// Lease, renewal, mark, release and due time leave the version as it is, so that they never cost a refresh its save.
pub async fn a_lease_does_not_change_the_version<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let version = connect(store, &key, b"sealed").await?;
    let (one, other) = (holder()?, holder()?);
    let same = |step: &'static str| {
        let key = &key;
        async move {
            let now = record(store, key).await?.version;
            ensure!(now == version, "{step} changed the version from {version:?} to {now:?}");
            Ok(())
        }
    };
    let leased = lease(store, &key, LeaseRequest::new(one, LONG)).await?;
    let LeaseOutcome::Leased { record: found, .. } = leased else {
        return Err(Failure::new(format!("a free record is leased with {leased:?}")));
    };
    ensure!(found.version == version, "a lease returns the version {:?}, not {version:?}", found.version);
    same("a lease").await?;
    lease(store, &key, LeaseRequest::new(other, LONG)).await?;
    same("a lease that was refused").await?;
    succeed!(store.renew(&key, &one, Renew::new(LONG).mark(mark(one, 1))).await, "renewing");
    same("a renewal with a mark").await?;
    succeed!(store.release(&key, &one, Release::new().keep_mark().due_at(at(9))).await, "releasing");
    same("a release with a due time").await?;
    lease(store, &key, LeaseRequest::new(other, LONG).mark(mark(other, 2))).await?;
    same("a lease with a mark").await?;
    let saved = store.save_if_version(&key, &Expected::version(version), write(b"refreshed")).await;
    let saved = succeed!(saved, "saving");
    ensure!(
        matches!(saved, SaveOutcome::Saved(next) if next == version.next()),
        "after leases and marks a save over the version of the connect is answered with {saved:?}"
    );
    Ok(Verdict::Held)
}

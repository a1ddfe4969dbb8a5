//! `remove`.

use authflow_core::{
    Expected, LeaseOutcome, LeaseRequest, Loaded, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Tenure,
    TokenStore,
};

use super::fixture::{
    CALLS, LONG, Names, ROUNDS, TokenStoreFixture, at, at_once, connect, connect_due, holder, lease, mark,
    record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// F16: after a removal each operation finds the tombstone, and none but a connect writes the connection again. A refresh
/// under way does not stop the removal, and does not save.
pub async fn f16_a_tombstone_beats_a_refresh_under_way<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    let version = connect_due(store, &key, b"tokens", Some(at(1))).await?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let removed = succeed!(fixture.other().remove(&key, Remove::new(LONG)).await, "removing what is leased");
    let RemoveOutcome::Removed { record: Some(record), tombstone } = removed else {
        return Err(Failure::new(format!("what is leased is removed with {removed:?}")));
    };
    ensure!(record.version == version, "what was removed is said to have the version {:?}", record.version);
    ensure!(record.sealed.as_bytes() == b"tokens", "what was removed is not returned, and cannot be revoked");
    for expected in [version, tombstone].map(Expected::version) {
        for expected in [expected, expected.held_by(owner)] {
            let saved = store.save_if_version(&key, &expected, write(b"refreshed")).await;
            let saved = succeed!(saved, "saving over a tombstone");
            ensure!(
                matches!(saved, SaveOutcome::Tombstone(of) if of == tombstone),
                "a save over the tombstone {tombstone:?} is answered with {saved:?}"
            );
        }
    }
    let renewed = succeed!(store.renew(&key, &owner, Renew::new(LONG)).await, "renewing");
    ensure!(renewed == Tenure::Lost, "the lease of what was removed is renewed");
    let released = succeed!(store.release(&key, &owner, Release::new().due_at(at(1))).await, "releasing");
    ensure!(released == Tenure::Lost, "the lease of what was removed is released");
    for request in [LeaseRequest::new(owner, LONG), LeaseRequest::new(holder()?, LONG).if_version(version)] {
        let outcome = lease(store, &key, request).await?;
        ensure!(
            matches!(outcome, LeaseOutcome::Tombstone(of) if of == tombstone),
            "what was removed is leased with {outcome:?}"
        );
    }
    for remove in [Remove::new(LONG), Remove::new(LONG).if_version(version)] {
        let again = succeed!(store.remove(&key, remove).await, "removing again");
        ensure!(
            matches!(again, RemoveOutcome::Tombstone(of) if of == tombstone),
            "what was removed is removed again with {again:?}"
        );
    }
    let loaded = succeed!(store.load(&key).await, "loading");
    ensure!(
        matches!(loaded, Loaded::Tombstone(of) if of == tombstone),
        "what was removed is loaded as {loaded:?}"
    );
    Ok(Verdict::Held)
}

/// A removal of one version removes that version only: what a refresh that ended the connection asks for does not hit a
/// connect that came meanwhile.
pub async fn a_removal_of_another_version_removes_nothing<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let old = connect(store, &key, b"old").await?;
    let new = connect(store, &key, b"new").await?;
    for other in [old, new.next()] {
        let removed = succeed!(store.remove(&key, Remove::new(LONG).if_version(other)).await, "removing");
        let RemoveOutcome::Changed(stored) = removed else {
            return Err(Failure::new(format!("where {new:?} is, {other:?} is removed with {removed:?}")));
        };
        ensure!(
            stored.version == new && stored.sealed.as_bytes() == b"new",
            "the stored one is not returned"
        );
    }
    ensure!(record(store, &key).await?.version == new, "a removal that was refused changed the version");
    let removed = succeed!(store.remove(&key, Remove::new(LONG).if_version(new)).await, "removing");
    ensure!(
        matches!(removed, RemoveOutcome::Removed { tombstone, .. } if tombstone == new.next()),
        "the stored version is removed with {removed:?}"
    );
    Ok(Verdict::Held)
}

/// Of 64 removals at once one removes and gets the record; the others find the tombstone.
pub async fn of_64_removals_at_once_one_removes<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    for _ in 0..ROUNDS {
        let key = Names::new()?.any();
        let version = connect(fixture.store(), &key, b"sealed").await?;
        let outcomes = at_once(&fixture, CALLS, |_, store| {
            let key = key.clone();
            async move { store.remove(&key, Remove::new(LONG)).await }
        });
        let mut removed = 0;
        for outcome in outcomes.await? {
            match outcome {
                RemoveOutcome::Removed { tombstone, .. } if tombstone == version.next() => removed += 1,
                RemoveOutcome::Tombstone(tombstone) if tombstone == version.next() => {}
                other => return Err(Failure::new(format!("one of 64 removals is answered with {other:?}"))),
            }
        }
        ensure!(removed == 1, "of 64 removals {removed} removed, and exactly one must");
    }
    Ok(Verdict::Held)
}

/// A tombstone stays for its time, and then the connection is absent.
pub async fn a_tombstone_ends<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    let version = connect(store, &key, b"sealed").await?;
    succeed!(store.remove(&key, Remove::new(short)).await, "removing");
    if fixture.moves_by_hand() {
        fixture.let_pass(short - std::time::Duration::from_millis(1)).await?;
        let loaded = succeed!(store.load(&key).await, "loading");
        ensure!(matches!(loaded, Loaded::Tombstone(_)), "before its time a tombstone is {loaded:?}");
        fixture.let_pass(std::time::Duration::from_millis(1)).await?;
    }
    fixture
        .eventually("a tombstone ends", || async {
            Ok(matches!(succeed!(store.load(&key).await, "loading"), Loaded::Absent))
        })
        .await?;
    let saved = store.save_if_version(&key, &Expected::version(version), write(b"late")).await;
    let saved = succeed!(saved, "saving");
    ensure!(matches!(saved, SaveOutcome::Absent), "a save after the tombstone has ended is {saved:?}");
    let outcome = lease(store, &key, LeaseRequest::new(holder()?, LONG)).await?;
    ensure!(matches!(outcome, LeaseOutcome::Absent), "a lease after the tombstone has ended is {outcome:?}");
    connect(store, &key, b"new").await?;
    ensure!(
        record(store, &key).await?.sealed.as_bytes() == b"new",
        "a connect over an ended tombstone is lost"
    );
    Ok(Verdict::Held)
}

/// A tombstone stays as long as the lease would have lasted that was held at the removal.
pub async fn a_tombstone_outlives_the_lease<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    connect(store, &key, b"sealed").await?;
    lease(store, &key, LeaseRequest::new(holder()?, LONG)).await?;
    succeed!(store.remove(&key, Remove::new(short)).await, "removing");
    fixture.let_pass(short * 2).await?;
    let loaded = succeed!(store.load(&key).await, "loading");
    ensure!(
        matches!(loaded, Loaded::Tombstone(_)),
        "while a lease of {LONG:?} would last, a tombstone for {short:?} became {loaded:?}"
    );
    Ok(Verdict::Held)
}

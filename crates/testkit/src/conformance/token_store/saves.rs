//! `save_if_version`.

use authflow_core::{Expected, LeaseRequest, Release, SaveOutcome, Tenure, TokenStore, Version};

use super::fixture::{
    CALLS, LONG, Names, ROUNDS, TokenStoreFixture, at, at_once, connect, connect_due, holder, incarnation,
    lease, leased, mark, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// A save replaces bytes and due time, and ends lease and mark.
pub async fn a_save_replaces_bytes_and_ends_the_lease<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    let mut version = connect_due(store, &key, b"0", Some(at(1))).await?;
    for (n, due_at) in [Some(at(5)), None, Some(at(2))].into_iter().enumerate() {
        lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
        let bytes = format!("saved {n}");
        let expected = Expected::version(version).held_by(owner);
        let saved =
            fixture.other().save_if_version(&key, &expected, write(bytes.as_bytes()).due_at(due_at)).await;
        let saved = succeed!(saved, "saving");
        let SaveOutcome::Saved(next) = saved else {
            return Err(Failure::new(format!("the holder's save is answered with {saved:?}")));
        };
        let found = record(store, &key).await?;
        ensure!(found.version == next, "a save answers with {next:?}, and {:?} is stored", found.version);
        ensure!(found.sealed.as_bytes() == bytes.as_bytes(), "the bytes that were saved are not stored");
        ensure!(found.due_at == due_at, "saved with the due time {due_at:?}, it is {:?}", found.due_at);
        ensure!(found.lease.is_none(), "after the save the lease is {:?}", found.lease);
        ensure!(found.mark.is_none(), "after the save the mark is {:?}", found.mark);
        let released = succeed!(store.release(&key, &owner, Release::new()).await, "releasing");
        ensure!(released == Tenure::Lost, "a lease that ended with the save is released");
        version = next;
    }
    Ok(Verdict::Held)
}

/// F12, X3: over another version nothing is saved, and the caller gets what is stored instead.
pub async fn f12_a_stale_save_is_refused<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let first = connect(store, &key, b"first").await?;
    let saved =
        store.save_if_version(&key, &Expected::version(first), write(b"second").due_at(Some(at(2)))).await;
    succeed!(saved, "saving");
    let second = record(store, &key).await?.version;
    let owner = holder()?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    for stale in [first, second.next(), Version::new(incarnation()?, second.counter())] {
        for expected in [Expected::version(stale), Expected::version(stale).held_by(owner)] {
            let saved =
                fixture.other().save_if_version(&key, &expected, write(b"stale").due_at(Some(at(9)))).await;
            let saved = succeed!(saved, "a stale save");
            let SaveOutcome::Changed(stored) = saved else {
                return Err(Failure::new(format!("over {second:?} the expected {stale:?} is {saved:?}")));
            };
            ensure!(stored.version == second, "what is returned has the version {:?}", stored.version);
            ensure!(stored.sealed.as_bytes() == b"second", "what is returned is not what is stored");
        }
    }
    let found = record(store, &key).await?;
    ensure!(found.version == second, "a save that was refused changed the version to {:?}", found.version);
    ensure!(found.sealed.as_bytes() == b"second", "a save that was refused changed the bytes");
    ensure!(found.due_at == Some(at(2)), "a save that was refused changed the due time");
    ensure!(
        found.lease.is_some_and(|lease| lease.holder == owner),
        "a save that was refused ended the lease"
    );
    ensure!(found.mark == Some(mark(owner, 1)), "a save that was refused removed the mark");
    Ok(Verdict::Held)
}

/// Of 64 saves that expect one version one saves, and all others get what that one stored.
pub async fn of_64_saves_at_once_one_saves<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    for _ in 0..ROUNDS {
        let key = Names::new()?.any();
        let version = connect(fixture.store(), &key, b"before").await?;
        let outcomes = at_once(&fixture, CALLS, |n, store| {
            let (key, expected) = (key.clone(), Expected::version(version));
            async move { store.save_if_version(&key, &expected, write(n.to_string().as_bytes())).await }
        });
        let outcomes = outcomes.await?;
        let saved = |outcome: &SaveOutcome| matches!(outcome, SaveOutcome::Saved(_));
        let winners = outcomes.iter().filter(|outcome| saved(outcome)).count();
        ensure!(winners == 1, "of 64 saves over one version {winners} saved, and exactly one must");
        let winner = outcomes.iter().position(saved).unwrap_or_default();
        for outcome in outcomes.iter().filter(|outcome| !saved(outcome)) {
            let SaveOutcome::Changed(stored) = outcome else {
                return Err(Failure::new(format!("one of 64 saves is refused with {outcome:?}")));
            };
            ensure!(
                stored.version == version.next() && stored.sealed.as_bytes() == winner.to_string().as_bytes(),
                "a save that was refused returns something else than what the one stored"
            );
        }
        let found = record(fixture.store(), &key).await?;
        ensure!(
            found.version == version.next() && found.sealed.as_bytes() == winner.to_string().as_bytes(),
            "what is stored is not what the one saved"
        );
    }
    Ok(Verdict::Held)
}

/// r2: a refresh whose lease ended while it was under way saves nevertheless, even if another took the lease, for its
/// refresh token is used up. The other finds its lease ended and the version changed.
pub async fn a_save_needs_no_lease<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    for taken in [false, true] {
        let key = names.key(if taken { "taken" } else { "free" });
        let version = connect(store, &key, b"before").await?;
        let other = holder()?;
        if taken {
            lease(store, &key, LeaseRequest::new(other, LONG).mark(mark(other, 1))).await?;
        }
        let saved = store.save_if_version(&key, &Expected::version(version), write(b"after")).await;
        let saved = succeed!(saved, "saving without a lease");
        ensure!(matches!(saved, SaveOutcome::Saved(_)), "a save without a lease is answered with {saved:?}");
        let found = record(store, &key).await?;
        ensure!(found.sealed.as_bytes() == b"after", "what was saved without a lease is not stored");
        ensure!(found.lease.is_none() && found.mark.is_none(), "a save leaves another's lease or mark");
        let late = store.save_if_version(&key, &Expected::version(version), write(b"late")).await;
        let late = succeed!(late, "the other's save");
        ensure!(matches!(late, SaveOutcome::Changed(_)), "the save that came too late is {late:?}");
    }
    Ok(Verdict::Held)
}

/// Where the save must be the lease holder's it is: not another's, not without a lease, not after the lease has ended. So a
/// re-seal never takes the version from under a refresh.
pub async fn a_save_that_needs_the_lease_is_the_holders<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    let version = connect(store, &key, b"before").await?;
    let (late, owner) = (holder()?, holder()?);
    let refused = |when: &'static str| {
        let key = &key;
        async move {
            let expected = Expected::version(version).held_by(late);
            let saved = store.save_if_version(key, &expected, write(b"resealed")).await;
            let saved = succeed!(saved, "saving {when}");
            ensure!(matches!(saved, SaveOutcome::NotHeld), "a save {when} is answered with {saved:?}");
            let found = record(store, key).await?;
            ensure!(found.version == version, "a save {when} changed the version to {:?}", found.version);
            ensure!(found.sealed.as_bytes() == b"before", "a save {when} changed the bytes");
            Ok(())
        }
    };
    refused("without a lease").await?;
    lease(store, &key, LeaseRequest::new(late, short)).await?;
    fixture.let_pass(short).await?;
    refused("after the lease has ended").await?;
    leased(store, &key, owner).await?;
    refused("while another holds the lease").await?;
    let lease = record(store, &key).await?.lease;
    ensure!(lease.is_some_and(|lease| lease.holder == owner), "a save that was refused ended the lease");
    let expected = Expected::version(version).held_by(owner);
    let saved = succeed!(store.save_if_version(&key, &expected, write(b"after")).await, "the holder's save");
    ensure!(matches!(saved, SaveOutcome::Saved(_)), "the holder's save is answered with {saved:?}");
    Ok(Verdict::Held)
}

/// F18: what is read is what was written last, at once and through any instance, never an older copy: by loading, by leasing
/// and by a save that is refused.
pub async fn f18_no_older_copy_is_read<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let key = Names::new()?.any();
    let first = connect(fixture.store(), &key, b"0").await?;
    let mut version = first;
    for n in 1..=32_usize {
        let (writer, reader) = (fixture.instance(n), fixture.instance(n + 1));
        let bytes = n.to_string();
        let saved = writer.save_if_version(&key, &Expected::version(version), write(bytes.as_bytes())).await;
        let saved = succeed!(saved, "saving");
        let SaveOutcome::Saved(next) = saved else {
            return Err(Failure::new(format!("a save over the last version is answered with {saved:?}")));
        };
        version = next;
        let loaded = record(&*reader, &key).await?;
        let leased = leased(&*reader, &key, holder()?).await?;
        let refused = reader.save_if_version(&key, &Expected::version(first), write(b"stale")).await;
        let refused = succeed!(refused, "a stale save");
        let SaveOutcome::Changed(refused) = refused else {
            return Err(Failure::new(format!("a stale save is answered with {refused:?}")));
        };
        for (how, found) in [("load", loaded), ("lease", leased), ("save_if_version", refused)] {
            ensure!(
                found.version == version && found.sealed.as_bytes() == bytes.as_bytes(),
                "{how} returns {:?} after {version:?} was written",
                found.version
            );
        }
    }
    Ok(Verdict::Held)
}

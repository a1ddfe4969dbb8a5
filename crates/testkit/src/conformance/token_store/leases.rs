//! `lease`, `renew` and `release`.

use std::time::Duration;

use authflow_core::{
    Expected, Lease, LeaseOutcome, LeaseRequest, Loaded, Release, Remove, Renew, SaveOutcome, Tenure,
    TokenStore, Version,
};

use super::fixture::{
    CALLS, LONG, Names, ROUNDS, TokenStoreFixture, at, at_once, connect, connect_due, holder, incarnation,
    lease, leased, mark, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// F2: of 64 holders that want a lease at once one gets it, and the others learn who has it.
pub async fn f2_of_64_leases_at_once_one_is_granted<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    for _ in 0..ROUNDS {
        let key = Names::new()?.any();
        let version = connect(fixture.store(), &key, b"sealed").await?;
        let holders = (0..CALLS).map(|_| holder()).collect::<Result<Vec<_>, _>>()?;
        let outcomes = at_once(&fixture, CALLS, |n, store| {
            let (key, holder) = (key.clone(), holders[n]);
            let request = LeaseRequest::new(holder, LONG).if_version(version).mark(mark(holder, n as u32));
            async move { store.lease(&key, request).await }
        });
        let outcomes = outcomes.await?;
        let granted = |outcome: &LeaseOutcome| matches!(outcome, LeaseOutcome::Leased { .. });
        let winners = outcomes.iter().filter(|outcome| granted(outcome)).count();
        ensure!(winners == 1, "of 64 concurrent leases {winners} were granted, and exactly one must be");
        let winner = outcomes.iter().position(granted).unwrap_or_default();
        for outcome in outcomes.iter().filter(|outcome| !granted(outcome)) {
            let LeaseOutcome::Held { lease, version: of } = outcome else {
                return Err(Failure::new(format!("one of 64 leases is refused with {outcome:?}")));
            };
            ensure!(lease.holder == holders[winner], "a refused lease names another holder than who has it");
            ensure!(*of == version, "a refused lease names the version {of:?}, not {version:?}");
        }
        let found = record(fixture.store(), &key).await?;
        ensure!(
            found.mark.as_ref().is_some_and(|mark| mark.holder == holders[winner]),
            "the lease is of one holder and the mark of another"
        );
    }
    Ok(Verdict::Held)
}

/// What is held is refused, with who has it and for how long still; and neither the lease nor the mark changes.
pub async fn a_held_lease_is_refused_and_stays<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let version = connect(store, &key, b"sealed").await?;
    let (owner, other) = (holder()?, holder()?);
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    for request in [
        LeaseRequest::new(other, LONG * 10).mark(mark(other, 2)),
        LeaseRequest::new(other, LONG * 10).if_version(version),
    ] {
        match lease(fixture.other(), &key, request).await? {
            LeaseOutcome::Held { lease, version: of } => {
                ensure!(lease.holder == owner, "the lease is said to be of {:?}", lease.holder);
                ensure!(
                    !lease.remaining.is_zero() && lease.remaining <= LONG,
                    "a lease of {LONG:?} is said to last for {:?} still",
                    lease.remaining
                );
                ensure!(of == version, "the version is said to be {of:?}, not {version:?}");
            }
            other => return Err(Failure::new(format!("what is held is leased with {other:?}"))),
        }
    }
    let found = record(store, &key).await?;
    let holder = found.lease.map(|lease| lease.holder);
    ensure!(holder == Some(owner), "a refusal changed the lease to {holder:?}");
    ensure!(found.lease.is_some_and(|lease| lease.remaining <= LONG), "a refusal made the lease longer");
    ensure!(found.mark == Some(mark(owner, 1)), "a refusal changed the mark to {:?}", found.mark);
    Ok(Verdict::Held)
}

/// Whoever knows another version gets the record and no lease: held or not, it was refreshed meanwhile.
pub async fn another_version_is_not_leased<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let version = connect(store, &key, b"sealed").await?;
    let (owner, other) = (holder()?, holder()?);
    let others = [version.next(), Version::first(incarnation()?), Version::new(*version.incarnation(), 0)];
    for held in [false, true] {
        if held {
            leased(store, &key, owner).await?;
        }
        for known in others {
            let request = LeaseRequest::new(other, LONG).if_version(known).mark(mark(other, 1));
            match lease(store, &key, request).await? {
                LeaseOutcome::Changed(record) => {
                    ensure!(record.version == version, "the record that is returned is not the stored one");
                    ensure!(record.sealed.as_bytes() == b"sealed", "the bytes are not the stored ones");
                }
                outcome => {
                    return Err(Failure::new(format!(
                        "{known:?} is leased where {version:?} is: {outcome:?}"
                    )));
                }
            }
        }
        let found = record(store, &key).await?;
        let holder = found.lease.map(|lease| lease.holder);
        ensure!(holder == held.then_some(owner), "a lease that was not given changed it to {holder:?}");
        ensure!(found.mark.is_none(), "a lease that was not given left the mark {:?}", found.mark);
    }
    let request = LeaseRequest::new(owner, LONG).if_version(version);
    let outcome = lease(store, &key, request).await?;
    ensure!(matches!(outcome, LeaseOutcome::Leased { .. }), "the stored version is leased with {outcome:?}");
    Ok(Verdict::Held)
}

/// The holder gets its lease again, for the time from now on, and the mark that it wrote: so a lost answer is asked for
/// again.
pub async fn the_holder_gets_its_lease_again<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    connect(store, &key, b"sealed").await?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let outcome = lease(fixture.other(), &key, LeaseRequest::new(owner, LONG * 3)).await?;
    let LeaseOutcome::Leased { record: again, found } = outcome else {
        return Err(Failure::new(format!("its own holder leases a record with {outcome:?}")));
    };
    ensure!(found == Some(mark(owner, 1)), "the mark of the first call is said to be {found:?}");
    ensure!(again.mark == found, "a lease without a mark made {:?} of the mark", again.mark);
    let remaining = again.lease.map(|lease| lease.remaining).unwrap_or_default();
    ensure!(remaining > LONG, "a lease that was taken again lasts for {remaining:?}, as the first one did");
    Ok(Verdict::Held)
}

/// F11: a lease ends by itself, by the store's clock. Then another holder gets it, and with it the mark that says that a
/// refresh was under way.
pub async fn f11_a_lease_ends_and_the_next_finds_the_mark<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    let (dead, next) = (holder()?, holder()?);
    connect(store, &key, b"sealed").await?;
    lease(store, &key, LeaseRequest::new(dead, short).mark(mark(dead, 1))).await?;
    if fixture.moves_by_hand() {
        let tick = Duration::from_millis(1);
        fixture.let_pass(short - tick).await?;
        let outcome = lease(store, &key, LeaseRequest::new(next, LONG)).await?;
        ensure!(matches!(outcome, LeaseOutcome::Held { .. }), "a lease ended before its time: {outcome:?}");
        fixture.let_pass(tick).await?;
    } else {
        fixture.let_pass(short).await?;
    }
    let ended = record(store, &key).await?;
    ensure!(ended.lease.is_none(), "a lease that has ended is loaded as {:?}", ended.lease);
    ensure!(ended.mark == Some(mark(dead, 1)), "the mark went with the lease");
    let outcome = lease(fixture.other(), &key, LeaseRequest::new(next, LONG).mark(mark(next, 2))).await?;
    let LeaseOutcome::Leased { record: taken, found } = outcome else {
        return Err(Failure::new(format!("a lease that has ended is leased with {outcome:?}")));
    };
    ensure!(found == Some(mark(dead, 1)), "who takes over is told that the mark was {found:?}");
    ensure!(
        taken.mark == Some(mark(next, 2)),
        "the mark that was written with the lease is {:?}",
        taken.mark
    );
    let stored = record(store, &key).await?;
    ensure!(stored.mark == Some(mark(next, 2)), "the mark that is stored is {:?}", stored.mark);
    ensure!(stored.lease.is_some_and(|lease| lease.holder == next), "the lease did not change hands");
    Ok(Verdict::Held)
}

/// F12: a lease that has ended is lost to its holder, whether another took it or not: it cannot be renewed or released, and
/// neither changes anything.
pub async fn f12_a_lease_that_has_ended_is_lost<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    let (slow, next) = (holder()?, holder()?);
    connect_due(store, &key, b"sealed", Some(at(1))).await?;
    lease(store, &key, LeaseRequest::new(slow, short).mark(mark(slow, 1))).await?;
    fixture.let_pass(short).await?;
    for taken in [false, true] {
        if taken {
            lease(store, &key, LeaseRequest::new(next, LONG).mark(mark(next, 2))).await?;
        }
        let renew = Renew::new(LONG).mark(mark(slow, 3));
        let renewed = succeed!(store.renew(&key, &slow, renew).await, "renewing");
        ensure!(renewed == Tenure::Lost, "a lease that has ended is renewed");
        let released = store.release(&key, &slow, Release::new().due_at(at(9))).await;
        ensure!(succeed!(released, "releasing") == Tenure::Lost, "a lease that has ended is released");
        let found = record(store, &key).await?;
        let holder = found.lease.map(|lease| lease.holder);
        ensure!(holder == taken.then_some(next), "one that lost its lease changed the lease to {holder:?}");
        let left = if taken { mark(next, 2) } else { mark(slow, 1) };
        ensure!(found.mark == Some(left), "one that lost its lease changed the mark to {:?}", found.mark);
        ensure!(found.due_at == Some(at(1)), "one that lost its lease changed the due time");
    }
    Ok(Verdict::Held)
}

/// F11: a lease lasts for [`Lease::LONGEST`] at most, however long it is asked or renewed for.
pub async fn f11_no_lease_lasts_longer_than_the_longest<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    connect(store, &key, b"sealed").await?;
    for duration in [Lease::LONGEST, Lease::LONGEST * 2, Duration::MAX] {
        let outcome = lease(store, &key, LeaseRequest::new(owner, duration)).await?;
        let LeaseOutcome::Leased { record: leased, .. } = outcome else {
            return Err(Failure::new(format!("a lease for {duration:?} is asked for, and is {outcome:?}")));
        };
        ensure!(is_the_longest(leased.lease), "a lease for {duration:?} is {:?}", leased.lease);
        let found = record(fixture.other(), &key).await?.lease;
        ensure!(is_the_longest(found), "a lease for {duration:?} is stored as {found:?}");
        let renewed = succeed!(store.renew(&key, &owner, Renew::new(duration)).await, "renewing");
        ensure!(renewed == Tenure::Held, "a renewal for {duration:?} is answered with {renewed:?}");
        let found = record(fixture.other(), &key).await?.lease;
        ensure!(is_the_longest(found), "a lease that is renewed for {duration:?} is {found:?}");
    }
    if fixture.moves_by_hand() {
        fixture.let_pass(Lease::LONGEST).await?;
        let found = record(store, &key).await?.lease;
        ensure!(found.is_none(), "after {:?} there is the lease {found:?}", Lease::LONGEST);
    }
    Ok(Verdict::Held)
}

/// Up to LONG less: that long may the check itself take.
fn is_the_longest(lease: Option<Lease>) -> bool {
    lease.is_some_and(|lease| lease.remaining <= Lease::LONGEST && lease.remaining + LONG > Lease::LONGEST)
}

/// F11, X17: a lease that claims more time than any lease has was written before the store's clock went back: it has ended,
/// for every operation. Whoever took it may be dead, and nobody waits for years.
pub async fn x17_a_lease_that_a_clock_ahead_wrote_has_ended<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    let (store, key, short) = (fixture.store(), Names::new()?.any(), fixture.short());
    let (dead, next) = (holder()?, holder()?);
    let version = connect(store, &key, b"sealed").await?;
    lease(store, &key, LeaseRequest::new(dead, LONG).mark(mark(dead, 1))).await?;
    if !fixture.lengthened(&key, LONG).await {
        return Ok(Verdict::Skipped("the fixture does not say how a lease is made longer"));
    }
    let found = record(store, &key).await?.lease;
    ensure!(
        found.is_some_and(|lease| lease.remaining > LONG && lease.remaining <= LONG * 2),
        "a lease for {LONG:?} that was made longer by as much is {found:?}"
    );

    fixture.lengthened(&key, TEN_YEARS).await;
    let found = record(store, &key).await?;
    ensure!(found.lease.is_none(), "a lease for ten years is loaded as {:?}", found.lease);
    ensure!(found.mark == Some(mark(dead, 1)), "the mark went with the lease");
    let renewed = succeed!(store.renew(&key, &dead, Renew::new(LONG)).await, "renewing");
    ensure!(renewed == Tenure::Lost, "a lease for ten years is renewed");
    let released = succeed!(store.release(&key, &dead, Release::new()).await, "releasing");
    ensure!(released == Tenure::Lost, "a lease for ten years is released");
    let held = Expected::version(version).held_by(dead);
    let saved = succeed!(store.save_if_version(&key, &held, write(b"late")).await, "saving");
    ensure!(matches!(saved, SaveOutcome::NotHeld), "a save for who has a lease for ten years is {saved:?}");
    let outcome = lease(fixture.other(), &key, LeaseRequest::new(next, LONG)).await?;
    let LeaseOutcome::Leased { found, .. } = outcome else {
        return Err(Failure::new(format!("where a lease for ten years is, another gets {outcome:?}")));
    };
    ensure!(found == Some(mark(dead, 1)), "who takes over is told that the mark was {found:?}");

    fixture.lengthened(&key, TEN_YEARS).await;
    succeed!(store.remove(&key, Remove::new(short)).await, "removing");
    fixture.let_pass(short).await?;
    fixture
        .eventually("a tombstone ends that was made of a lease for ten years", || async {
            Ok(matches!(succeed!(store.load(&key).await, "loading"), Loaded::Absent))
        })
        .await?;
    Ok(Verdict::Held)
}

/// F11, X17: a lease that claims up to [`Lease::LEEWAY`] more time than any lease has was taken by a clock that is a little
/// ahead of the one that it is read by: it is held, for every operation, and for no longer than a lease may last.
pub async fn x17_a_lease_is_held_for_a_clock_that_is_a_little_behind<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let (owner, other) = (holder()?, holder()?);
    let behind = Lease::LEEWAY - Duration::from_secs(10);
    let longest = LeaseRequest::new(owner, Lease::LONGEST);
    let is_owners =
        |lease: Option<Lease>| is_the_longest(lease) && lease.is_some_and(|lease| lease.holder == owner);
    let version = connect(store, &key, b"sealed").await?;
    lease(store, &key, longest.clone().mark(mark(owner, 1))).await?;
    if !fixture.lengthened(&key, behind).await {
        return Ok(Verdict::Skipped("the fixture does not say how a lease is made longer"));
    }

    let found = record(store, &key).await?;
    ensure!(is_owners(found.lease), "by a clock that is {behind:?} behind the lease is {:?}", found.lease);
    let outcome = lease(fixture.other(), &key, LeaseRequest::new(other, LONG).mark(mark(other, 2))).await?;
    let LeaseOutcome::Held { lease: held, version: of } = outcome else {
        return Err(Failure::new(format!("by a clock that is {behind:?} behind another gets {outcome:?}")));
    };
    ensure!(is_owners(Some(held)), "by a clock that is {behind:?} behind another is told of {held:?}");
    ensure!(of == version, "the version is said to be {of:?}, not {version:?}");
    let renew = Renew::new(Lease::LONGEST);
    let renewed = succeed!(fixture.other().renew(&key, &owner, renew).await, "renewing");
    ensure!(renewed == Tenure::Held, "by a clock that is {behind:?} behind a renewal finds its lease lost");
    let found = record(store, &key).await?;
    ensure!(is_owners(found.lease), "a lease that is renewed for the longest time is {:?}", found.lease);
    ensure!(found.mark == Some(mark(owner, 1)), "a refusal and a renewal made {:?} of the mark", found.mark);

    fixture.lengthened(&key, behind).await;
    let expected = Expected::version(version).held_by(owner);
    let saved = succeed!(store.save_if_version(&key, &expected, write(b"new")).await, "saving");
    ensure!(
        matches!(saved, SaveOutcome::Saved(_)),
        "by a clock that is {behind:?} behind a save is {saved:?}"
    );

    lease(store, &key, longest).await?;
    fixture.lengthened(&key, behind).await;
    let released = succeed!(store.release(&key, &owner, Release::new()).await, "releasing");
    ensure!(released == Tenure::Held, "by a clock that is {behind:?} behind a release finds its lease lost");
    Ok(Verdict::Held)
}

/// A renewal lets the lease last from now on for the new time, shorter or longer, and writes the mark if it has one.
pub async fn a_renewal_sets_the_time_and_the_mark<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    connect(store, &key, b"sealed").await?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let renewed = succeed!(fixture.other().renew(&key, &owner, Renew::new(LONG * 3)).await, "renewing");
    ensure!(renewed == Tenure::Held, "the holder's renewal is answered with {renewed:?}");
    let found = record(store, &key).await?;
    let remaining = found.lease.map(|lease| lease.remaining).unwrap_or_default();
    ensure!(remaining > LONG * 2, "a lease that was renewed for {:?} lasts for {remaining:?}", LONG * 3);
    ensure!(found.mark == Some(mark(owner, 1)), "a renewal without a mark made {:?} of it", found.mark);
    let renew = Renew::new(fixture.short()).mark(mark(owner, 2));
    succeed!(store.renew(&key, &owner, renew).await, "renewing for a short time");
    let found = record(store, &key).await?;
    ensure!(found.mark == Some(mark(owner, 2)), "a renewal with a mark left {:?}", found.mark);
    fixture.let_pass(fixture.short()).await?;
    let found = record(store, &key).await?;
    ensure!(found.lease.is_none(), "a lease that was renewed for a shorter time lasts longer");
    Ok(Verdict::Held)
}

/// A release ends the lease at once, removes the mark unless it is to be kept, and sets the due time if it has one.
pub async fn a_release_ends_the_lease<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    connect_due(store, &key, b"sealed", Some(at(1))).await?;
    for (release, marked, due_at) in [
        (Release::new(), false, at(1)),
        (Release::new().keep_mark(), true, at(1)),
        (Release::new().due_at(at(5)), false, at(5)),
        (Release::new().keep_mark().due_at(at(3)), true, at(3)),
    ] {
        let owner = holder()?;
        lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
        let released = succeed!(fixture.other().release(&key, &owner, release).await, "releasing");
        ensure!(released == Tenure::Held, "the holder's release is answered with {released:?}");
        let found = record(store, &key).await?;
        ensure!(found.lease.is_none(), "a lease that was released is there as {:?}", found.lease);
        let left = marked.then(|| mark(owner, 1));
        ensure!(found.mark == left, "{release:?} leaves the mark {:?}", found.mark);
        ensure!(found.due_at == Some(due_at), "{release:?} leaves the due time {:?}", found.due_at);
        ensure!(found.sealed.as_bytes() == b"sealed", "a release changed the sealed bytes");
        let again = succeed!(store.release(&key, &owner, Release::new()).await, "releasing again");
        ensure!(again == Tenure::Lost, "a lease that was released is released again");
        leased(store, &key, holder()?).await?;
        // For the next round.
        let version = record(store, &key).await?.version;
        succeed!(store.remove(&key, Remove::new(LONG).if_version(version)).await, "removing");
        connect_due(store, &key, b"sealed", Some(at(1))).await?;
    }
    Ok(Verdict::Held)
}

/// The lease of another is not renewed and not released, and nothing changes: holders are compared.
pub async fn anothers_lease_is_not_touched<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let (owner, other) = (holder()?, holder()?);
    connect_due(store, &key, b"sealed", Some(at(1))).await?;
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let renew = Renew::new(LONG * 10).mark(mark(other, 2));
    let renewed = succeed!(fixture.other().renew(&key, &other, renew).await, "renewing another's lease");
    ensure!(renewed == Tenure::Lost, "another's lease is renewed");
    let released = store.release(&key, &other, Release::new().due_at(at(9))).await;
    ensure!(succeed!(released, "releasing another's lease") == Tenure::Lost, "another's lease is released");
    let found = record(store, &key).await?;
    let lease = found.lease;
    ensure!(lease.is_some_and(|lease| lease.holder == owner), "another changed the lease to {lease:?}");
    ensure!(lease.is_some_and(|lease| lease.remaining <= LONG), "another made the lease longer");
    ensure!(found.mark == Some(mark(owner, 1)), "another changed the mark to {:?}", found.mark);
    ensure!(found.due_at == Some(at(1)), "another changed the due time to {:?}", found.due_at);
    Ok(Verdict::Held)
}

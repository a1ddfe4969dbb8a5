//! Different operations at once, on one connection and on many.

use std::sync::Arc;

use authflow_core::{
    Expected, LeaseOutcome, LeaseRequest, Loaded, Release, Remove, RemoveOutcome, SaveOutcome, StoreError,
    Tenure, TokenStore, Version,
};

use super::fixture::{
    CALLS, LONG, Names, ROUNDS, TokenStoreFixture, at_once, connect, holder, incarnation, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

enum Raced {
    Put(Version),
    Removed(RemoveOutcome),
    Saved(SaveOutcome),
}

/// X22: of a save, a removal and a new connect at once each takes place whole, in some order, and what is left is what the
/// last one made. A save never undoes a removal or a connect.
pub async fn x22_save_removal_and_connect_at_once_take_place_in_some_order<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    for round in 0..ROUNDS * 8 {
        let key = Names::new()?.any();
        let old = connect(fixture.store(), &key, b"old").await?;
        let new = incarnation()?;
        let raced = at_once(&fixture, 3, |n, store: Arc<S>| {
            let key = key.clone();
            async move {
                // Each of them is the first one to be spawned now and then.
                Ok(match (n + round) % 3 {
                    0 => Raced::Put(store.put(&key, new, write(b"new")).await?),
                    1 => Raced::Removed(store.remove(&key, Remove::new(LONG)).await?),
                    _ => {
                        let expected = Expected::version(old);
                        Raced::Saved(store.save_if_version(&key, &expected, write(b"saved")).await?)
                    }
                })
            }
        });
        let raced = raced.await?;
        let left = succeed!(fixture.store().load(&key).await, "loading");
        judge(old, Version::first(new), &raced, &left)?;
    }
    Ok(Verdict::Held)
}

/// Whether outcomes and what is left fit one order.
fn judge(old: Version, new: Version, raced: &[Raced], left: &Loaded) -> Result<(), Failure> {
    let mut saved = false;
    let mut found_tombstone = None;
    let mut removed = None;
    for one in raced {
        match one {
            Raced::Put(version) => ensure!(*version == new, "a connect has the version {version:?}"),
            Raced::Removed(RemoveOutcome::Removed { record: Some(record), tombstone }) => {
                ensure!(*tombstone == record.version.next(), "a tombstone is not the next version");
                let bytes: &[u8] = if record.version == old {
                    b"old"
                } else if record.version == old.next() {
                    b"saved"
                } else {
                    ensure!(record.version == new, "a removal returns the version {:?}", record.version);
                    b"new"
                };
                ensure!(record.sealed.as_bytes() == bytes, "a removal returns the bytes of another version");
                removed = Some(record.version);
            }
            Raced::Removed(other) => {
                return Err(Failure::new(format!("a removal in a race is answered with {other:?}")));
            }
            Raced::Saved(SaveOutcome::Saved(version)) => {
                ensure!(*version == old.next(), "a save has the version {version:?}");
                saved = true;
            }
            Raced::Saved(SaveOutcome::Changed(stored)) => {
                ensure!(stored.version == new, "a save finds the version {:?}", stored.version);
            }
            Raced::Saved(SaveOutcome::Tombstone(version)) => found_tombstone = Some(*version),
            Raced::Saved(other) => {
                return Err(Failure::new(format!("a save in a race is answered with {other:?}")));
            }
        }
    }
    let Some(removed) = removed else { return Err(Failure::new("a removal in a race has no outcome")) };
    ensure!(removed != old.next() || saved, "what was removed is said to be saved, and the save was refused");
    // Before the removal it would have been what is removed, and after it there was a tombstone.
    ensure!(removed != old || !saved, "what the save was to replace was removed, and it was saved as well");
    if let Some(found) = found_tombstone {
        ensure!(found == removed.next(), "a save finds the tombstone {found:?}, which no removal left");
    }
    match left {
        Loaded::Found(record) => {
            ensure!(removed != new, "the connect was removed, and it is there");
            ensure!(record.version == new, "the last of the race left the version {:?}", record.version);
            ensure!(record.sealed.as_bytes() == b"new", "a connect has the bytes of another write");
        }
        Loaded::Tombstone(version) => {
            ensure!(removed == new, "a connect after a removal is gone");
            ensure!(*version == new.next(), "the tombstone has the version {version:?}");
        }
        other => return Err(Failure::new(format!("after the race {other:?} is loaded"))),
    }
    Ok(())
}

/// 16 callers that lease, read, save and try again lose no write: each of their saves is one step of the counter, and each
/// adds to what the one before left.
pub async fn of_concurrent_refreshes_no_write_is_lost<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    const CALLERS: usize = 16;
    let key = Names::new()?.any();
    connect(fixture.store(), &key, b"").await?;
    let holders = (0..CALLERS).map(|_| holder()).collect::<Result<Vec<_>, _>>()?;
    let wrong = at_once(&fixture, CALLERS, |n, store| {
        let (key, holder) = (key.clone(), holders[n]);
        async move {
            loop {
                let request = LeaseRequest::new(holder, LONG);
                let LeaseOutcome::Leased { record, .. } = store.lease(&key, request).await? else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let mut bytes = record.sealed.as_bytes().to_vec();
                bytes.push(n as u8);
                let expected = Expected::version(record.version).held_by(holder);
                match store.save_if_version(&key, &expected, write(&bytes)).await? {
                    SaveOutcome::Saved(_) => return Ok::<_, StoreError>(None),
                    other => return Ok(Some(format!("who holds the lease is refused with {other:?}"))),
                }
            }
        }
    });
    if let Some(wrong) = wrong.await?.into_iter().flatten().next() {
        return Err(Failure::new(wrong));
    }
    let found = record(fixture.store(), &key).await?;
    ensure!(
        found.version.counter() == 1 + CALLERS as u64,
        "after {CALLERS} saves the counter is {}",
        found.version.counter()
    );
    let mut callers = found.sealed.as_bytes().to_vec();
    callers.sort_unstable();
    ensure!(callers == (0..CALLERS as u8).collect::<Vec<_>>(), "a write of {CALLERS} callers is lost");
    Ok(Verdict::Held)
}

/// 64 connections that are written at once do not disturb each other.
pub async fn of_64_connections_at_once_each_keeps_its_own<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let names = Names::new()?;
    // Half of them of one user.
    let keys: Vec<_> = (0..CALLS)
        .map(|n| match n % 2 {
            0 => names.key("one user").with_account(n.to_string()),
            _ => names.key(&n.to_string()),
        })
        .collect();
    let incarnations = (0..CALLS).map(|_| incarnation()).collect::<Result<Vec<_>, _>>()?;
    let holders = (0..CALLS).map(|_| holder()).collect::<Result<Vec<_>, _>>()?;
    let wrong = at_once(&fixture, CALLS, |n, store| {
        let (key, incarnation, holder) = (keys[n].clone(), incarnations[n], holders[n]);
        async move {
            let version = store.put(&key, incarnation, write(format!("put {n}").as_bytes())).await?;
            tokio::task::yield_now().await;
            match store.lease(&key, LeaseRequest::new(holder, LONG).if_version(version)).await? {
                LeaseOutcome::Leased { record, .. } if record.key == key => {}
                other => return Ok(Some(format!("one of 64 connections is leased with {other:?}"))),
            }
            tokio::task::yield_now().await;
            let expected = Expected::version(version).held_by(holder);
            let saved =
                store.save_if_version(&key, &expected, write(format!("saved {n}").as_bytes())).await?;
            if !matches!(saved, SaveOutcome::Saved(_)) {
                return Ok(Some(format!("one of 64 connections is saved with {saved:?}")));
            }
            match store.release(&key, &holder, Release::new()).await? {
                Tenure::Lost => Ok::<_, StoreError>(None),
                other => Ok(Some(format!("after a save the lease is {other:?}"))),
            }
        }
    });
    if let Some(wrong) = wrong.await?.into_iter().flatten().next() {
        return Err(Failure::new(wrong));
    }
    for (n, key) in keys.iter().enumerate() {
        let found = record(fixture.store(), key).await?;
        ensure!(
            found.sealed.as_bytes() == format!("saved {n}").as_bytes() && found.key == *key,
            "one of 64 connections has the bytes of another"
        );
    }
    Ok(Verdict::Held)
}

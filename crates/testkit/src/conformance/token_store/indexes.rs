//! What `due_before` and `walk` name. Both may lag, and name what is no longer due or there: who loads it sees that.

use std::collections::HashSet;
use std::time::Duration;

use authflow_core::{ConnectionKey, Expected, LeaseRequest, Loaded, Release, Remove, Shard, TokenStore};

use super::fixture::{
    LONG, Names, TokenStoreFixture, at, connect, connect_due, holder, lease, record, write,
};
use super::listing::{due, walk};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

const PAGE: usize = 128;

/// What is due is what is due before the time: not at it, not after it, not never. Connect, save and release move a
/// connection's due time, and a removal ends it; where the index still names it, the record says that it is not due.
pub async fn due_follows_the_due_time<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    let (fixture, key) = (&fixture, &key);
    let is_due = |seconds: u64, when: &'static str| async move {
        fixture
            .eventually(when, || async {
                Ok(due(store, key.shard(), at(seconds), PAGE).await?.contains(key))
            })
            .await
    };
    let is_never_due = |seconds: u64, when: &'static str| async move {
        let named = due(store, key.shard(), at(seconds), PAGE).await?.contains(key);
        ensure!(!named, "{when}: it is found, and it never was due then");
        Ok(())
    };
    let is_due_no_more = |seconds: u64, when: &'static str| async move {
        fixture.eventually(when, || is_forgotten(store, key, seconds)).await
    };
    connect(store, key, b"never").await?;
    is_never_due(1_000_000, "what has no due time").await?;
    let version = connect_due(store, key, b"put", Some(at(10))).await?;
    is_due(11, "after a connect it is found once its due time is over").await?;
    is_never_due(10, "at its due time, which is not before it").await?;
    lease(store, key, LeaseRequest::new(owner, LONG)).await?;
    succeed!(store.release(key, &owner, Release::new().due_at(at(20))).await, "releasing");
    is_due_no_more(20, "after a release the old due time is forgotten").await?;
    is_due(21, "after a release it is found at the new due time").await?;
    let save = write(b"saved").due_at(Some(at(15)));
    succeed!(store.save_if_version(key, &Expected::version(version), save).await, "saving");
    is_due_no_more(15, "after a save it is not found before its due time").await?;
    is_due(16, "after a save it is found at the new due time").await?;
    let version = version.next();
    succeed!(store.save_if_version(key, &Expected::version(version), write(b"x")).await, "saving");
    is_due_no_more(1_000_000, "after a save without a due time it is not found").await?;
    connect_due(store, key, b"again", Some(at(5))).await?;
    is_due(6, "after another connect it is found at its due time").await?;
    is_never_due(5, "after another connect, at its earliest due time").await?;
    connect_due(store, key, b"later", Some(at(8))).await?;
    is_due_no_more(8, "after another connect the old due time is forgotten").await?;
    succeed!(store.remove(key, Remove::new(LONG)).await, "removing");
    is_due_no_more(1_000_000, "what was removed is not found, or is loaded as a tombstone").await?;
    connect_due(store, key, b"new", Some(at(3))).await?;
    is_due(4, "what was connected over a tombstone is found").await?;
    Ok(Verdict::Held)
}

/// Whether the index names it no more, or whoever loads it sees that it is not due before this time.
async fn is_forgotten(store: &impl TokenStore, key: &ConnectionKey, seconds: u64) -> Result<bool, Failure> {
    let time = at(seconds);
    if !due(store, key.shard(), time, PAGE).await?.contains(key) {
        return Ok(true);
    }
    Ok(match succeed!(store.load(key).await, "loading what is said to be due") {
        Loaded::Found(record) => record.due_at.is_none_or(|due_at| due_at >= time),
        Loaded::Tombstone(_) | Loaded::Absent => true,
        _ => false,
    })
}

/// The walks of all shards find each connection in the shard of its user, and in no other. What they name beside was there
/// once, and is loaded as a tombstone or as absent.
pub async fn the_walks_find_each_connection_in_its_shard<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let keys: Vec<_> = (0..100).map(|n| names.key(&n.to_string())).collect();
    for key in &keys {
        connect_due(store, key, b"sealed", Some(at(1))).await?;
    }
    let (gone, stays) = keys.split_at(20);
    for key in gone {
        succeed!(store.remove(key, Remove::new(LONG)).await, "removing");
    }
    let (gone, stays): (HashSet<_>, HashSet<_>) = (gone.iter().collect(), stays.iter().collect());
    fixture
        .eventually("all that stays is found in the walks", || async {
            let (mut walked, mut found) = (HashSet::new(), HashSet::new());
            for shard in Shard::all() {
                for (named, all) in [
                    (walk(fixture.other(), shard, PAGE).await?, &mut walked),
                    (due(fixture.other(), shard, at(2), PAGE).await?, &mut found),
                ] {
                    for key in named.into_iter().filter(|key| names.are_of(key)) {
                        ensure!(key.shard() == shard, "{key} of {:?} is found in {shard:?}", key.shard());
                        all.insert(key);
                    }
                }
            }
            for key in walked.iter().chain(&found).filter(|key| !stays.contains(key)) {
                ensure!(gone.contains(key), "{key} is found, and there never was such a connection");
            }
            Ok(stays.iter().all(|key| walked.contains(*key) && found.contains(*key)))
        })
        .await?;
    for key in stays {
        record(store, key).await?;
    }
    for key in gone {
        let loaded = succeed!(fixture.other().load(key).await, "loading what was removed");
        let is_gone = matches!(loaded, Loaded::Tombstone(_) | Loaded::Absent);
        ensure!(is_gone, "what was removed, and may be found still, is loaded as {loaded:?}");
    }
    Ok(Verdict::Held)
}

/// A due time is kept to the millisecond.
pub async fn a_due_time_is_kept_to_the_millisecond<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let millisecond = Duration::from_millis(1);
    let times = [at(0), at(0) + millisecond, at(0) - millisecond, std::time::UNIX_EPOCH + millisecond];
    for (n, due_at) in times.into_iter().enumerate() {
        // One for each: an index that lags may name what was due once.
        let key = names.key(&n.to_string());
        connect_due(store, &key, b"sealed", Some(due_at)).await?;
        let found = record(store, &key).await?.due_at;
        ensure!(found == Some(due_at), "the due time {due_at:?} comes back as {found:?}");
        for (time, expected) in [(due_at, false), (due_at + millisecond, true)] {
            fixture
                .eventually("a due time is kept to the millisecond", || async {
                    Ok(due(store, key.shard(), time, PAGE).await?.contains(&key) == expected)
                })
                .await?;
        }
    }
    Ok(Verdict::Held)
}

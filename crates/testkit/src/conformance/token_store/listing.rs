//! `list_by_user`, `due_before` and `walk`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, KeyPage, LeaseRequest, Page, Record, Release, Remove, SaveOutcome, Shard,
    TokenStore, User,
};

use super::fixture::{
    LONG, Names, TokenStoreFixture, at, at_once, connect, connect_due, holder, incarnation, lease, mark,
    record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// More than a thousand, and no multiple of the pages.
const MANY: usize = 1100;
const PAGE: usize = 128;
/// How many write at once.
const WRITERS: usize = 16;
/// A listing with more pages than this never ends.
const MAX_PAGES: usize = 1_000_000;

/// Of 1,100 connections of one user each is listed once, page by page, with its own bytes.
pub async fn of_1100_connections_each_is_listed_once<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let names = Names::new()?;
    let keys = many(&fixture, &names).await?;
    let listed = list(fixture.store(), &names.user("many"), PAGE).await?;
    let mut left: HashMap<_, _> = keys.iter().enumerate().map(|(n, key)| (*key.id(), n)).collect();
    for record in &listed {
        let Some(n) = left.remove(record.key.id()) else {
            return Err(Failure::new(format!("{} is listed twice, or is not the user's", record.key)));
        };
        ensure!(record.sealed.as_bytes() == n.to_string().as_bytes(), "a listed record has another's bytes");
    }
    ensure!(left.is_empty(), "of {MANY} connections {} are not listed", left.len());
    Ok(Verdict::Held)
}

/// Of 1,100 connections of one shard each is found by the walk through it.
pub async fn of_1100_connections_each_is_walked<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let names = Names::new()?;
    let keys = many(&fixture, &names).await?;
    let shard = keys[0].shard();
    fixture
        .eventually("each of 1,100 connections is walked", || async {
            let walked: HashSet<_> = walk(fixture.store(), shard, PAGE).await?.into_iter().collect();
            Ok(keys.iter().all(|key| walked.contains(key)))
        })
        .await?;
    Ok(Verdict::Held)
}

/// Of 1,100 connections of one shard that are due each is found, the earliest first.
pub async fn of_1100_due_connections_each_is_found_in_order<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let names = Names::new()?;
    let keys = many(&fixture, &names).await?;
    let shard = keys[0].shard();
    let end = due_of(MANY);
    let places: HashMap<_, _> = keys.iter().enumerate().map(|(n, key)| (*key.id(), due_of(n))).collect();
    fixture
        .eventually("each of 1,100 due connections is found", || async {
            let found: HashSet<_> = due(fixture.store(), shard, end, PAGE).await?.into_iter().collect();
            Ok(keys.iter().all(|key| found.contains(key)))
        })
        .await?;
    let found = due(fixture.store(), shard, end, PAGE).await?;
    let times: Vec<SystemTime> = found.iter().filter_map(|key| places.get(key.id()).copied()).collect();
    ensure!(times.is_sorted(), "the due connections of a shard do not come with the earliest first");
    Ok(Verdict::Held)
}

/// The due time of the connection number `n`, in another order than that in which they are written, some at the same time.
fn due_of(n: usize) -> SystemTime {
    let seconds = if n >= MANY { MANY } else { (n * 7) % MANY / 2 };
    at(seconds as u64)
}

async fn many<S: TokenStore>(
    fixture: &TokenStoreFixture<S>,
    names: &Names,
) -> Result<Vec<ConnectionKey>, Failure> {
    let keys: Vec<_> = (0..MANY).map(|n| names.key("many").with_account(format!("account {n}"))).collect();
    let incarnations = (0..MANY).map(|_| incarnation()).collect::<Result<Vec<_>, _>>()?;
    let shared = Arc::new((keys.clone(), incarnations));
    let written = at_once(fixture, WRITERS, |writer, store| {
        let shared = Arc::clone(&shared);
        async move {
            for n in (writer..MANY).step_by(WRITERS) {
                let write = write(n.to_string().as_bytes()).due_at(Some(due_of(n)));
                store.put(&shared.0[n], shared.1[n], write).await?;
            }
            Ok(())
        }
    });
    written.await?;
    Ok(keys)
}

/// A page has no more than its limit, down to one; the pages together have everything once, whatever the limit is.
pub async fn pages_of_any_size_have_everything<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    const COUNT: usize = 7;
    let (store, names) = (fixture.store(), Names::new()?);
    let user = names.user("pages");
    let mut keys = HashSet::new();
    for n in 0..COUNT {
        let key = ConnectionKey::new(&user, format!("provider-{n}"));
        connect_due(store, &key, b"sealed", Some(at(n as u64))).await?;
        keys.insert(key);
    }
    let shard = ConnectionKey::new(&user, "").shard();
    for limit in [1, 2, COUNT - 1, COUNT, COUNT + 1, 10_000] {
        let listed = list(store, &user, limit).await?;
        let unique: HashSet<_> = listed.iter().map(|record| record.key.clone()).collect();
        ensure!(listed.len() == COUNT && unique == keys, "in pages of {limit} {} are listed", listed.len());
        fixture
            .eventually("all are found in pages of any size", || async {
                let walked: HashSet<_> = walk(store, shard, limit).await?.into_iter().collect();
                let due: HashSet<_> = due(store, shard, at(COUNT as u64), limit).await?.into_iter().collect();
                Ok(keys.is_subset(&walked) && keys.is_subset(&due))
            })
            .await?;
    }
    Ok(Verdict::Held)
}

/// What changes between two pages costs no other its place: what is there all the time is listed once, whether others go
/// that were listed before or others come.
pub async fn changes_between_pages_hide_nothing<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    const COUNT: usize = 60;
    let (store, names) = (fixture.store(), Names::new()?);
    let key = |kind: &str, n: usize| ConnectionKey::new(&names.user("pages"), format!("{kind}-{n}"));
    let stays: HashSet<_> = (0..COUNT).map(|n| key("stays", n)).collect();
    for n in 0..COUNT {
        connect(store, &key("stays", n), b"sealed").await?;
        connect(store, &key("goes", n), b"sealed").await?;
    }
    for come in [false, true] {
        let mut seen = Vec::new();
        let mut page = Page::first(10);
        for n in 0..COUNT {
            let read = succeed!(store.list_by_user(&names.user("pages"), &page).await, "listing");
            let (stay, go): (Vec<_>, Vec<_>) =
                read.records.into_iter().map(|record| record.key).partition(|key| stays.contains(key));
            seen.extend(stay);
            let Some(next) = read.next else { break };
            page = Page::first(10).after(next);
            for key in go.iter().filter(|_| !come) {
                succeed!(fixture.other().remove(key, Remove::new(LONG)).await, "removing");
            }
            for n in (n * 10..n * 10 + 10).filter(|_| come) {
                connect(fixture.other(), &key("comes", n), b"sealed").await?;
            }
        }
        let unique: HashSet<_> = seen.iter().cloned().collect();
        ensure!(unique == stays, "of {} that stayed {} are listed", stays.len(), unique.len());
        ensure!(unique.len() == seen.len(), "a connection that stayed is listed twice");
    }
    Ok(Verdict::Held)
}

/// A list has the user's connections and no others: not those of the same user in another tenant, and not those of users
/// whose names look alike.
pub async fn a_list_is_of_one_user_of_one_tenant<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let tenant = names.tenant.as_str();
    let long = "u".repeat(10 * 1024);
    let users = [
        User::new(tenant, "u"),
        User::new(format!("{tenant}:"), "u"),
        User::new(tenant, ":u"),
        User::new(format!("{tenant}u"), ""),
        User::new(tenant, "U"),
        User::new(tenant, "u "),
        User::new(tenant, "u\0"),
        User::new(tenant, "u*"),
        User::new(tenant, "u%"),
        User::new(tenant, "_"),
        User::new(tenant, "{u}"),
        User::new(tenant, "\u{fc}"),
        User::new(tenant, "u\u{308}"),
        User::new(tenant, long.as_str()),
        User::new(tenant, format!("{long}u")),
    ];
    for (n, user) in users.iter().enumerate() {
        for provider in ["one", "two"] {
            connect(store, &ConnectionKey::new(user, provider), n.to_string().as_bytes()).await?;
        }
    }
    for (n, user) in users.iter().enumerate() {
        let listed = list(fixture.other(), user, PAGE).await?;
        ensure!(listed.len() == 2, "the {n}th user has two connections, and {} are listed", listed.len());
        for record in listed {
            ensure!(record.key.user() == user, "the list of the {n}th user has another's connection");
            ensure!(
                record.sealed.as_bytes() == n.to_string().as_bytes(),
                "the list of the {n}th user has another's bytes"
            );
        }
    }
    Ok(Verdict::Held)
}

/// A list does not lag: it has a connect, a save, a lease and a mark at once, and what was removed is gone from it.
pub async fn a_list_has_what_was_written_last<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, other, names) = (fixture.store(), fixture.other(), Names::new()?);
    let (user, key, owner) = (names.user("planted-user"), names.any(), holder()?);
    let version = connect(store, &key, b"put").await?;
    let listed = one(list(other, &user, PAGE).await?, "after a connect")?;
    ensure!(listed.version == version && listed.sealed.as_bytes() == b"put", "a connect is not in the list");
    lease(store, &key, LeaseRequest::new(owner, LONG).mark(mark(owner, 1))).await?;
    let listed = one(list(other, &user, PAGE).await?, "after a lease")?;
    ensure!(listed.lease.is_some_and(|lease| lease.holder == owner), "a lease is not in the list");
    ensure!(listed.mark == Some(mark(owner, 1)), "a mark is not in the list");
    let write = write(b"saved").due_at(Some(at(4)));
    let saved = succeed!(store.save_if_version(&key, &Expected::version(version), write).await, "saving");
    ensure!(matches!(saved, SaveOutcome::Saved(_)), "saving is answered with {saved:?}");
    let listed = one(list(other, &user, PAGE).await?, "after a save")?;
    ensure!(
        listed.version == version.next() && listed.sealed.as_bytes() == b"saved",
        "a save is not in the list"
    );
    ensure!(listed.due_at == Some(at(4)), "the due time in the list is {:?}", listed.due_at);
    succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
    let listed = list(other, &user, PAGE).await?;
    ensure!(listed.is_empty(), "what was removed is in the list");
    connect(store, &key, b"again").await?;
    let listed = one(list(other, &user, PAGE).await?, "after a connect over a tombstone")?;
    ensure!(listed.sealed.as_bytes() == b"again", "a connect over a tombstone is not in the list");
    Ok(Verdict::Held)
}

fn one(mut records: Vec<Record>, when: &str) -> Result<Record, Failure> {
    match (records.pop(), records.len()) {
        (Some(record), 0) => Ok(record),
        (_, more) => Err(Failure::new(format!("{when} one is to be listed, and {} are not", more + 1))),
    }
}

/// What is due is what is due before the time: not at it, not after it, not never, and not what is removed. Connect, save and
/// release move a connection's due time; its old one is forgotten.
pub async fn due_follows_the_due_time<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, owner) = (fixture.store(), Names::new()?.any(), holder()?);
    let is_due = |seconds: u64, expected: bool, when: &'static str| {
        let (fixture, key) = (&fixture, &key);
        async move {
            fixture
                .eventually(when, || async {
                    let time = at(seconds);
                    Ok(due(store, key.shard(), time, PAGE).await?.contains(key) == expected)
                })
                .await
        }
    };
    connect(store, &key, b"never").await?;
    is_due(1_000_000, false, "what is never due is not found").await?;
    let version = connect_due(store, &key, b"put", Some(at(10))).await?;
    is_due(11, true, "after a connect it is found once its due time is over").await?;
    is_due(10, false, "it is not found before its due time is over").await?;
    lease(store, &key, LeaseRequest::new(owner, LONG)).await?;
    succeed!(store.release(&key, &owner, Release::new().due_at(at(20))).await, "releasing");
    is_due(20, false, "after a release the old due time is forgotten").await?;
    is_due(21, true, "after a release it is found at the new due time").await?;
    let save = write(b"saved").due_at(Some(at(15)));
    succeed!(store.save_if_version(&key, &Expected::version(version), save).await, "saving");
    is_due(15, false, "after a save it is not found before its due time").await?;
    is_due(16, true, "after a save it is found at the new due time").await?;
    let version = version.next();
    succeed!(store.save_if_version(&key, &Expected::version(version), write(b"x")).await, "saving");
    is_due(1_000_000, false, "after a save without a due time it is not found").await?;
    connect_due(store, &key, b"again", Some(at(5))).await?;
    is_due(6, true, "after another connect it is found at its due time").await?;
    connect_due(store, &key, b"later", Some(at(8))).await?;
    is_due(8, false, "after another connect the old due time is forgotten").await?;
    succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
    is_due(1_000_000, false, "what was removed is not found").await?;
    connect_due(store, &key, b"new", Some(at(3))).await?;
    is_due(4, true, "what was connected over a tombstone is found").await?;
    Ok(Verdict::Held)
}

/// The walks of all shards find each connection in the shard of its user, and in no other; what was removed is not found.
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
    let stays: HashSet<_> = stays.iter().cloned().collect();
    fixture
        .eventually("all are found in the walks, and what was removed is not", || async {
            let (mut walked, mut found) = (HashSet::new(), HashSet::new());
            for shard in Shard::all() {
                for (keys, all) in [
                    (walk(fixture.other(), shard, PAGE).await?, &mut walked),
                    (due(fixture.other(), shard, at(2), PAGE).await?, &mut found),
                ] {
                    for key in keys.into_iter().filter(|key| names.are_of(key)) {
                        ensure!(key.shard() == shard, "{key} of {:?} is found in {shard:?}", key.shard());
                        all.insert(key);
                    }
                }
            }
            Ok(walked == stays && found == stays)
        })
        .await?;
    for key in &stays {
        record(store, key).await?;
    }
    Ok(Verdict::Held)
}

/// A due time is kept to the millisecond.
pub async fn a_due_time_is_kept_to_the_millisecond<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    let millisecond = Duration::from_millis(1);
    for due_at in [at(0), at(0) + millisecond, at(0) - millisecond, SystemTime::UNIX_EPOCH + millisecond] {
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

async fn list(store: &impl TokenStore, user: &User, limit: usize) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    let mut page = Page::first(limit);
    for _ in 0..MAX_PAGES {
        let read = succeed!(store.list_by_user(user, &page).await, "listing");
        let (length, unreadable) = (read.records.len(), read.unreadable);
        ensure!(length + unreadable <= limit, "a page of {limit} has {length} records");
        ensure!(unreadable == 0, "{unreadable} records are said to be unreadable");
        records.extend(read.records);
        let Some(next) = read.next else { return Ok(records) };
        page = Page::first(limit).after(next);
    }
    Err(Failure::new("a list never ends"))
}

async fn walk(store: &impl TokenStore, shard: Shard, limit: usize) -> Result<Vec<ConnectionKey>, Failure> {
    let mut keys = Vec::new();
    let mut page = Page::first(limit);
    for _ in 0..MAX_PAGES {
        let read = succeed!(store.walk(shard, &page).await, "walking");
        match take(read, limit, &mut keys)? {
            Some(next) => page = next,
            None => return Ok(keys),
        }
    }
    Err(Failure::new("a walk never ends"))
}

async fn due(
    store: &impl TokenStore,
    shard: Shard,
    time: SystemTime,
    limit: usize,
) -> Result<Vec<ConnectionKey>, Failure> {
    let mut keys = Vec::new();
    let mut page = Page::first(limit);
    for _ in 0..MAX_PAGES {
        let read = succeed!(store.due_before(shard, time, &page).await, "asking for what is due");
        match take(read, limit, &mut keys)? {
            Some(next) => page = next,
            None => return Ok(keys),
        }
    }
    Err(Failure::new("what is due never ends"))
}

/// Takes the keys of a page; the next page, if there is one.
fn take(read: KeyPage, limit: usize, keys: &mut Vec<ConnectionKey>) -> Result<Option<Page>, Failure> {
    let length = read.keys.len();
    ensure!(length <= limit, "a page of {limit} has {length} keys");
    keys.extend(read.keys);
    Ok(read.next.map(|next| Page::first(limit).after(next)))
}

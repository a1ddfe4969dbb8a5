//! `list_by_user`; and the pages of `due_before` and `walk`, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Expected, KeyPage, LeaseRequest, Page, Record, Remove, SaveOutcome, Shard, TokenStore,
    User,
};

use super::fixture::{
    LONG, Names, TokenStoreFixture, at, at_once, connect, connect_due, holder, incarnation, lease, mark,
    write,
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

pub(super) async fn list(store: &impl TokenStore, user: &User, limit: usize) -> Result<Vec<Record>, Failure> {
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

pub(super) async fn walk(
    store: &impl TokenStore,
    shard: Shard,
    limit: usize,
) -> Result<Vec<ConnectionKey>, Failure> {
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

pub(super) async fn due(
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

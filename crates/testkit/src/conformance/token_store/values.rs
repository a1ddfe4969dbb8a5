//! What is written comes back, under its own key.

use authflow_core::{
    ConnectionKey, Expected, LeaseOutcome, LeaseRequest, Loaded, Page, Release, Remove, RemoveOutcome, Renew,
    SaveOutcome, Tenure, TokenStore, User, Version,
};

use super::fixture::{
    LONG, Names, TokenStoreFixture, at, connect, connect_due, holder, incarnation, lease, mark, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// Everything of a record comes back: key, version, sealed bytes, due time, lease and mark.
pub async fn every_field_comes_back<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key, holder) = (fixture.store(), Names::new()?.any(), holder()?);
    let version = connect_due(store, &key, b"sealed", Some(at(7))).await?;
    let mark = mark(holder, 3);
    lease(store, &key, LeaseRequest::new(holder, LONG).mark(mark.clone())).await?;
    let found = record(fixture.other(), &key).await?;
    ensure!(found.key == key, "the record says that it is of {}, and it is of {key}", found.key);
    ensure!(found.key.to_bytes() == key.to_bytes(), "a part of the key did not come back as it was");
    ensure!(found.version == version, "the version is {:?}, and {version:?} was put", found.version);
    ensure!(found.sealed.as_bytes() == b"sealed", "the sealed bytes did not come back as they were");
    ensure!(found.due_at == Some(at(7)), "the due time is {:?}, and {:?} was put", found.due_at, at(7));
    ensure!(found.mark.as_ref() == Some(&mark), "the mark is {:?}, and {mark:?} was written", found.mark);
    let Some(lease) = found.lease else {
        return Err(Failure::new("the record is leased, and is loaded without a lease"));
    };
    ensure!(lease.holder == holder, "the lease is of {:?}, and {holder:?} took it", lease.holder);
    ensure!(
        !lease.remaining.is_zero() && lease.remaining <= LONG,
        "a lease of {LONG:?} lasts for {:?} still",
        lease.remaining
    );
    Ok(Verdict::Held)
}

/// A due time, a lease and a mark that are not there come back so.
pub async fn fields_without_a_value_stay_so<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, key) = (fixture.store(), Names::new()?.any());
    connect(store, &key, b"sealed").await?;
    let found = record(store, &key).await?;
    ensure!(found.due_at.is_none(), "a record that is never due is due at {:?}", found.due_at);
    ensure!(found.lease.is_none(), "a record that nobody leased has the lease {:?}", found.lease);
    ensure!(found.mark.is_none(), "a record that nobody marked has the mark {:?}", found.mark);
    Ok(Verdict::Held)
}

/// Any bytes come back as they were, from none to 64 KiB, from a connect and from a save.
pub async fn sealed_bytes_come_back_as_they_were<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let samples: [Vec<u8>; 6] = [
        Vec::new(),
        vec![0],
        b"%s'\";\r\n{}\\".to_vec(),
        every.clone(),
        every.repeat(256),
        vec![0xff; 64 * 1024],
    ];
    for (n, sample) in samples.iter().enumerate() {
        let key = names.key(&n.to_string());
        let length = sample.len();
        connect(store, &key, sample).await?;
        let put = record(store, &key).await?;
        ensure!(put.sealed.as_bytes() == sample, "{length} bytes that were put did not come back");
        let version = connect(store, &key, b"before").await?;
        let saved = store.save_if_version(&key, &Expected::version(version), write(sample)).await;
        let saved = succeed!(saved, "saving {length} bytes");
        ensure!(matches!(saved, SaveOutcome::Saved(_)), "saving {length} bytes is answered with {saved:?}");
        let saved = record(store, &key).await?;
        ensure!(saved.sealed.as_bytes() == sample, "{length} bytes that were saved did not come back");
    }
    Ok(Verdict::Held)
}

/// F25, F26: keys that differ in a separator, in case, in normalization, in the length of a part or in which part holds what
/// are different connections; keys that mean something to a path, a query or a pattern, and long ones, are keys as any other.
pub async fn f26_keys_that_look_alike_do_not_mix<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let long = "x".repeat(10 * 1024);
    let longer = format!("{long}x");
    let parts: Vec<[&str; 4]> = vec![
        ["", "u", "p", ""],
        ["u", "u", "p", ""],
        ["", "U", "p", ""],
        ["", "u ", "p", ""],
        ["", "u", "p", "u"],
        ["", "u", "P", ""],
        ["", "up", "", ""],
        ["", "u:p", "q", ""],
        ["", "u", "p:q", ""],
        ["", "u", "p", "q:r"],
        ["", "u", "p:q", "r"],
        ["", "u{x}", "p", ""],
        ["", "{u}x", "p", ""],
        ["", "../../u", "p", ""],
        ["", "..%2f..%2fu", "p", ""],
        ["", "u\0", "p", ""],
        ["", "u%00", "p", ""],
        ["", "u*", "p", ""],
        ["", "u?", "p", ""],
        ["", "u%", "p", ""],
        ["", "u_", "p", ""],
        ["", "u'; DROP TABLE connections; --", "p", ""],
        ["", "u\r\nSET x y", "p", ""],
        ["", "\u{e9}", "p", ""],
        ["", "e\u{301}", "p", ""],
        ["", "\u{df}", "p", ""],
        ["", "ss", "p", ""],
        ["", "\u{131}", "p", ""],
        ["", "i", "p", ""],
        ["", "\u{1f600}", "p", "\u{1f600}"],
        ["", &long, "p", ""],
        ["", &longer, "p", ""],
        ["", "u", "p", &long],
        ["", "u", "p", &longer],
    ];
    let key = |[tenant, user, provider, account]: &[&str; 4]| {
        let user = User::new(format!("{}{tenant}", names.tenant), *user);
        ConnectionKey::new(&user, *provider).with_account(*account)
    };
    for (n, parts) in parts.iter().enumerate() {
        connect(store, &key(parts), n.to_string().as_bytes()).await?;
    }
    for (n, parts) in parts.iter().enumerate() {
        let found = record(store, &key(parts)).await?;
        ensure!(
            found.sealed.as_bytes() == n.to_string().as_bytes(),
            "the {n}th of the keys that look alike has the bytes of another"
        );
        ensure!(
            found.key.to_bytes() == key(parts).to_bytes(),
            "the {n}th of the keys that look alike came back as another"
        );
    }
    // What is done to one is done to no other.
    for (n, parts) in parts.iter().enumerate() {
        let removed = succeed!(store.remove(&key(parts), Remove::new(LONG)).await, "removing");
        ensure!(
            matches!(removed, RemoveOutcome::Removed { .. }),
            "the {n}th of the keys that look alike is removed with {removed:?}"
        );
    }
    Ok(Verdict::Held)
}

/// For a key that was never written each operation says that it is absent, and makes nothing.
pub async fn absent_is_an_outcome<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, names) = (fixture.store(), Names::new()?);
    let (key, holder) = (names.any(), holder()?);
    let version = Version::first(incarnation()?);
    let leased = lease(store, &key, LeaseRequest::new(holder, LONG).mark(mark(holder, 1))).await?;
    ensure!(matches!(leased, LeaseOutcome::Absent), "leasing what is absent is answered with {leased:?}");
    let leased = lease(store, &key, LeaseRequest::new(holder, LONG).if_version(version)).await?;
    ensure!(matches!(leased, LeaseOutcome::Absent), "leasing a version is answered with {leased:?}");
    let renewed = succeed!(store.renew(&key, &holder, Renew::new(LONG)).await, "renewing");
    ensure!(renewed == Tenure::Lost, "renewing a lease of what is absent is answered with {renewed:?}");
    let released = succeed!(store.release(&key, &holder, Release::new().due_at(at(1))).await, "releasing");
    ensure!(released == Tenure::Lost, "releasing what is absent is answered with {released:?}");
    for expected in [Expected::version(version), Expected::version(version).held_by(holder)] {
        let saved = succeed!(store.save_if_version(&key, &expected, write(b"x")).await, "saving");
        ensure!(matches!(saved, SaveOutcome::Absent), "saving what is absent is answered with {saved:?}");
    }
    for remove in [Remove::new(LONG), Remove::new(LONG).if_version(version)] {
        let removed = succeed!(store.remove(&key, remove).await, "removing");
        ensure!(
            matches!(removed, RemoveOutcome::Absent),
            "removing what is absent is answered with {removed:?}"
        );
    }
    let listed = succeed!(store.list_by_user(key.user(), &Page::first(10)).await, "listing");
    ensure!(listed.records.is_empty() && listed.next.is_none(), "a user without connections has a list");
    let loaded = succeed!(store.load(&key).await, "loading");
    ensure!(matches!(loaded, Loaded::Absent), "after all these the key is loaded as {loaded:?}");
    Ok(Verdict::Held)
}

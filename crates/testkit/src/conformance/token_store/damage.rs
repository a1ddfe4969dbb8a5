//! Records that cannot be read.

use authflow_core::{
    Expected, LeaseRequest, Page, Release, Remove, RemoveOutcome, Renew, StoreError, StoreErrorKind,
    TokenStore,
};

use super::fixture::{
    LONG, Names, TokenStoreFixture, at, connect, connect_due, holder, leased, record, write,
};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// F14, X20: what cannot be read is corrupt, and not absent: for each operation that has to read it, again and again, so that
/// nothing is silently lost. It hides no other connection of its user. A connect replaces it, a removal removes it.
pub async fn f14_what_cannot_be_read_is_corrupt_and_stays<S: TokenStore>(
    fixture: TokenStoreFixture<S>,
) -> Outcome {
    let (store, names, owner) = (fixture.store(), Names::new()?, holder()?);
    let (key, sound) = (names.any(), names.any().with_account("sound"));
    let version = connect_due(store, &key, b"sealed", Some(at(1))).await?;
    connect(store, &sound, b"sound").await?;
    leased(store, &key, owner).await?;
    if !fixture.damaged(&key).await {
        return Ok(Verdict::Skipped("the fixture does not say how a record is damaged"));
    }
    for _ in 0..2 {
        corrupt("load", store.load(&key).await)?;
        corrupt("lease", store.lease(&key, LeaseRequest::new(owner, LONG)).await)?;
        corrupt("renew", store.renew(&key, &owner, Renew::new(LONG)).await)?;
        corrupt("release", store.release(&key, &owner, Release::new()).await)?;
        let expected = Expected::version(version);
        corrupt("save_if_version", store.save_if_version(&key, &expected, write(b"x")).await)?;
        corrupt("remove of a version", store.remove(&key, Remove::new(LONG).if_version(version)).await)?;
    }
    let listed = succeed!(store.list_by_user(key.user(), &Page::first(10)).await, "listing");
    ensure!(listed.unreadable == 1, "of one damaged record {} are said to be unreadable", listed.unreadable);
    ensure!(
        listed.records.len() == 1 && listed.records[0].key == sound,
        "a damaged record hides another of its user"
    );
    let new = connect(store, &key, b"new").await?;
    let found = record(store, &key).await?;
    ensure!(found.version == new && found.sealed.as_bytes() == b"new", "a connect does not replace it");
    fixture.damaged(&key).await;
    let removed = succeed!(store.remove(&key, Remove::new(LONG)).await, "removing");
    ensure!(
        matches!(removed, RemoveOutcome::Removed { record: None, .. }),
        "what cannot be read is removed with {removed:?}"
    );
    let loaded = succeed!(store.load(&key).await, "loading");
    ensure!(loaded.into_record().is_none(), "what was removed is there");
    Ok(Verdict::Held)
}

fn corrupt<T: std::fmt::Debug>(operation: &str, result: Result<T, StoreError>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(()),
        Err(error) => Err(Failure::new(format!(
            "{operation} of what cannot be read fails with {:?}, and Corrupt is expected",
            error.kind()
        ))),
        Ok(outcome) => Err(Failure::new(format!("{operation} of what cannot be read is {outcome:?}"))),
    }
}

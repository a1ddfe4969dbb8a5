//! Pages and their cursors.

use authflow_core::{
    ConnectionKey, Cursor, KeyPage, Page, Record, RecordPage, StoreError, StoreErrorKind, User,
};
use redis::Value;

use super::answer::{Parts, Wrong};
use super::place::Member;

/// A page has no more than these: while a script runs the server does nothing else.
const MAX_RECORDS: usize = 100;
const MAX_KEYS: usize = 1000;

pub(super) fn records(page: &Page) -> String {
    page.limit.clamp(1, MAX_RECORDS).to_string()
}

pub(super) fn keys(page: &Page) -> String {
    page.limit.clamp(1, MAX_KEYS).to_string()
}

/// Behind which id a list goes on; nothing for the first page.
pub(super) fn id(cursor: Option<&Cursor>) -> Result<&[u8], StoreError> {
    exactly::<32>(cursor)
}

/// Behind which member a walk goes on.
pub(super) fn member(cursor: Option<&Cursor>) -> Result<&[u8], StoreError> {
    exactly::<64>(cursor)
}

/// Behind which score and member what is due goes on.
pub(super) fn due(cursor: Option<&Cursor>) -> Result<(String, &[u8]), StoreError> {
    match exactly::<72>(cursor)?.split_first_chunk() {
        Some((score, member)) => Ok((u64::from_be_bytes(*score).to_string(), member)),
        None => Ok((String::new(), &[])),
    }
}

fn exactly<const N: usize>(cursor: Option<&Cursor>) -> Result<&[u8], StoreError> {
    match cursor.map(Cursor::as_bytes) {
        None => Ok(&[]),
        Some(bytes) if bytes.len() == N => Ok(bytes),
        Some(_) => Err(StoreError::new(StoreErrorKind::Corrupt)
            .with_source("the cursor is not one of this operation of this store")),
    }
}

/// Cursor or nothing, how many cannot be read, the records.
pub(super) fn of_records(answer: Value, user: &User) -> Result<RecordPage, Wrong> {
    let mut parts = Parts::of(answer)?;
    let (next, mut unreadable, answers) = (parts.bytes()?, parts.number()?, parts.part()?);
    let mut records: Vec<Record> = Vec::new();
    for answer in answers.rest() {
        match Parts::of(answer)?.record() {
            Ok(record) if record.key.user() == user => records.push(record),
            Ok(_) | Err(Wrong::Record) => unreadable = unreadable.saturating_add(1),
            Err(wrong) => return Err(wrong),
        }
    }
    Ok(RecordPage::new(records, cursor(next)).unreadable(unreadable))
}

/// Cursor or nothing, the keys.
pub(super) fn of_walk(answer: Value) -> Result<KeyPage, Wrong> {
    let mut parts = Parts::of(answer)?;
    let next = parts.bytes()?;
    Ok(KeyPage::new(read_keys(parts.part()?), cursor(next)))
}

/// Score and member of the cursor or nothing, the keys.
pub(super) fn of_due(answer: Value) -> Result<KeyPage, Wrong> {
    let mut parts = Parts::of(answer)?;
    let (score, member) = (parts.bytes()?, parts.bytes()?);
    let next = if score.is_empty() {
        Vec::new()
    } else {
        let score = std::str::from_utf8(&score).ok().and_then(|score| score.parse::<u64>().ok());
        let member: Member = member.try_into().map_err(|_| Wrong::Answer)?;
        [&score.ok_or(Wrong::Answer)?.to_be_bytes()[..], &member].concat()
    };
    Ok(KeyPage::new(read_keys(parts.part()?), cursor(next)))
}

/// What is no key is left out: nobody can be told its name.
fn read_keys(parts: Parts) -> Vec<ConnectionKey> {
    let read = |value| match value {
        Value::BulkString(bytes) => ConnectionKey::from_bytes(&bytes),
        _ => None,
    };
    parts.rest().filter_map(read).collect()
}

fn cursor(bytes: Vec<u8>) -> Option<Cursor> {
    (!bytes.is_empty()).then(|| Cursor::new(bytes))
}

//! Connections in few words.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, Incarnation, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page, Record,
    RecordPage, RefreshMark, Release, Remove, RemoveOutcome, Renew, SaveOutcome, SealedBytes, Shard,
    StoreError, StoreErrorKind, Tenure, TokenStore, User, Version, Write,
};
use authflow_redis::{RedisConfig, RedisTokenStore};

use super::{Server, in_time, until};

/// For leases that last as long as a test.
pub const LONG: Duration = Duration::from_secs(600);

pub async fn open(server: &Server) -> RedisTokenStore {
    RedisTokenStore::connect(RedisConfig::server(&server.url()).unwrap()).await.unwrap()
}

pub fn connection(user: &str) -> ConnectionKey {
    ConnectionKey::new(&User::new("tenant", user), "provider").with_account("account")
}

pub fn holder() -> LeaseHolder {
    LeaseHolder::random().unwrap()
}

pub fn mark(holder: LeaseHolder) -> RefreshMark {
    RefreshMark::new(holder, [7; 32], SystemTime::UNIX_EPOCH)
}

pub fn due(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

pub fn sealed(bytes: &str) -> Write {
    Write::new(SealedBytes::new(bytes.as_bytes().to_vec()))
}

/// A new connect, due at once.
pub async fn connect_as(
    store: &impl TokenStore,
    key: &ConnectionKey,
    bytes: &str,
) -> Result<Version, StoreError> {
    let write = sealed(bytes).due_at(Some(due(0)));
    in_time(store.put(key, Incarnation::random().unwrap(), write)).await
}

/// The record, if there is one.
pub async fn found(store: &impl TokenStore, key: &ConnectionKey) -> Result<Option<Record>, StoreError> {
    Ok(in_time(store.load(key)).await?.into_record())
}

pub fn bytes(record: &Record) -> &str {
    std::str::from_utf8(record.sealed.as_bytes()).unwrap()
}

/// All operations on one connection, each by its name and with the error it came to.
pub async fn all_errors(
    store: &impl TokenStore,
    key: &ConnectionKey,
    version: Version,
) -> Vec<(&'static str, Option<StoreError>)> {
    let (owner, page) = (holder(), Page::first(10));
    vec![
        ("put", connect_as(store, key, "put").await.err()),
        ("load", in_time(store.load(key)).await.err()),
        ("lease", in_time(store.lease(key, LeaseRequest::new(owner, LONG))).await.err()),
        ("renew", in_time(store.renew(key, &owner, Renew::new(LONG))).await.err()),
        ("release", in_time(store.release(key, &owner, Release::new())).await.err()),
        (
            "save",
            in_time(store.save_if_version(key, &Expected::version(version), sealed("saved"))).await.err(),
        ),
        ("remove", in_time(store.remove(key, Remove::new(LONG).if_version(version))).await.err()),
        ("list", in_time(store.list_by_user(key.user(), &page)).await.err()),
        ("due", in_time(store.due_before(key.shard(), due(1), &page)).await.err()),
        ("walk", in_time(store.walk(key.shard(), &page)).await.err()),
    ]
}

/// That all operations work.
pub async fn all_work(store: &RedisTokenStore, key: &ConnectionKey, version: Version) {
    for (operation, error) in all_errors(store, key, version).await {
        assert!(error.is_none(), "{operation} {error:?}");
    }
}

/// The record as another server has it that takes over. Until it has, who asks is told that nobody answers.
pub async fn taken_over(store: &RedisTokenStore, key: &ConnectionKey) -> Record {
    let answered = Mutex::new(None);
    until("another server has taken over", || async {
        match found(store, key).await {
            Ok(record) => {
                *answered.lock().unwrap() = record;
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "who reads did nothing");
                false
            }
        }
    })
    .await;
    answered.into_inner().unwrap().expect("what was there is there")
}

/// Which of [`all_errors`] change nothing.
pub fn only_reads(operation: &str) -> bool {
    ["load", "list", "due", "walk"].contains(&operation)
}

/// The key in Redis under which a connection is, if it is on this server.
pub async fn redis_key(server: &Server, key: &ConnectionKey) -> Option<Vec<u8>> {
    const FIND: &str = "for _, index in ipairs(redis.call('KEYS', '*{*}w')) do \
                          local key = string.sub(index, 1, -2) .. 'c' .. ARGV[1] \
                          if redis.call('EXISTS', key) == 1 then return key end \
                        end";
    let mut admin = server.admin().await;
    let mut find = redis::cmd("EVAL");
    find.arg(FIND).arg(0).arg(&key.id().as_bytes()[..]);
    find.query_async(&mut admin).await.unwrap()
}

/// Sets a field of the record, behind the store's back.
pub async fn set_field(server: &Server, redis_key: &[u8], field: &str, value: &[u8]) {
    let mut admin = server.admin().await;
    redis::cmd("HSET").arg(redis_key).arg(field).arg(value).exec_async(&mut admin).await.unwrap();
}

/// Lets the lease end so much later, as the store itself writes it.
pub async fn lengthen_lease(server: &Server, redis_key: &[u8], by: Duration) {
    const LENGTHEN: &str = "local lease = redis.call('HGET', KEYS[1], 'l') \
         local holder = string.sub(lease, 1, 16) \
         local ends = string.format('%.0f', tonumber(string.sub(lease, 17, -9)) + tonumber(ARGV[1])) \
         local version = string.sub(redis.call('HGET', KEYS[1], 'h'), 1, 24) \
         local text = {} \
         for at, part in ipairs({ string.sub(KEYS[1], -32), version, holder, ends }) do text[at] = #part .. ':' .. part end \
         local digest = string.sub(redis.sha1hex(table.concat(text)), 1, 8) \
         redis.call('HSET', KEYS[1], 'l', holder .. ends .. digest)";
    let mut admin = server.admin().await;
    let microseconds = u64::try_from(by.as_micros()).unwrap();
    redis::cmd("EVAL")
        .arg(LENGTHEN)
        .arg(1)
        .arg(redis_key)
        .arg(microseconds)
        .exec_async(&mut admin)
        .await
        .unwrap();
}

pub async fn fields(server: &Server, redis_key: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut admin = server.admin().await;
    redis::cmd("HGETALL").arg(redis_key).query_async(&mut admin).await.unwrap()
}

//! The token store.

mod answer;
mod page;
mod place;
mod script;
mod start;
mod values;

use std::sync::Arc;
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page,
    RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StoreError, StoreErrorKind,
    Tenure, TokenStore, User, UserTag, Version, Write, async_trait,
};
use redis::Value;

use self::answer::Wrong;
use self::place::{Kind, Place, shard_key};
use self::script::{Script, Scripts};
use crate::config::RedisConfig;
use crate::error::{ConnectError, Failure};
use crate::server::Server;

/// Keeps connections in Redis. Cheap to clone; the clones share their connections.
///
/// A connection is one hash. It is in one slot with two sorted sets, in which all connections of its
/// [`Shard`] are, and those of them that are due some time. Each operation is one Lua script on these keys, called by its
/// name: one round trip to one node, carried out by itself or not at all. So neither a crash nor a failover leaves a
/// connection that the walk does not find, and no list lags.
///
/// Leases run on the server's clock. A connection has no time to live: only its removal ends it. Its tombstone has one.
///
/// The connections are sealed by [`Connections`](authflow_core::Connections), not here: Redis has sealed bytes, and in the
/// clear tenant, user, provider id and account, version, due time, and lease and mark of a refresh. Each record carries a
/// digest over all of them, so that damage is found by whoever reads it.
#[derive(Clone, Debug)]
pub struct RedisTokenStore {
    server: Arc<Server>,
    scripts: Arc<Scripts>,
    prefix: Arc<str>,
}

impl RedisTokenStore {
    /// Connects, and finds out whether everything is there that is needed: each server is reached, takes writes, lets the user
    /// do what has to be done, and does not evict connections when its memory is full
    /// ([`accept_eviction_of_connections`](RedisConfig::accept_eviction_of_connections)). To see that, it writes two keys that
    /// are no connection's, and removes them in the same step.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: each says what to change.
    pub async fn connect(config: RedisConfig) -> Result<Self, ConnectError> {
        let server = Server::connect(&config).await?;
        let scripts = start::check(&server, &config).await?;
        Ok(Self { server: Arc::new(server), scripts: Arc::new(scripts), prefix: config.prefix.into() })
    }

    fn place(&self, key: &ConnectionKey) -> Place {
        Place::of(&self.prefix, key)
    }

    async fn write(&self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> Result<Value, StoreError> {
        Ok(self.scripts.call(&self.server, script, keys, arguments).await?)
    }

    /// A script that only reads: where its answer is lost, nothing was done.
    async fn read(&self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> Result<Value, StoreError> {
        let answer = self.scripts.call(&self.server, script, keys, arguments).await;
        answer.map_err(|failure| match failure {
            Failure::Lost(cause) => Failure::NotSent(cause).into(),
            failure => failure.into(),
        })
    }
}

#[async_trait]
impl TokenStore for RedisTokenStore {
    fn is_durable(&self) -> bool {
        true
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let (place, version) = (self.place(key), Version::first(incarnation));
        let answer = self
            .write(
                Script::Put,
                &[&place.record, &place.walk, &place.due],
                &[
                    &values::version(&version),
                    values::due(write.due_at).as_bytes(),
                    &key.to_bytes(),
                    write.sealed.as_bytes(),
                    &place.member,
                ],
            )
            .await?;
        answer::put(answer).map_err(Wrong::of_writing)?;
        Ok(version)
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        let answer = self.read(Script::Load, &[&self.place(key).record], &[]).await?;
        answer::loaded(answer, key).map_err(Wrong::of_reading)
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        let version = request.if_version.as_ref().map(values::version);
        let answer = self
            .write(
                Script::Lease,
                &[&self.place(key).record],
                &[
                    request.holder.as_bytes(),
                    values::microseconds(request.duration).as_bytes(),
                    version.as_ref().map_or(&[], |version| version),
                    &request.mark.as_ref().map(values::mark).unwrap_or_default(),
                ],
            )
            .await?;
        answer::leased(answer, key).map_err(Wrong::of_writing)
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        let answer = self
            .write(
                Script::Renew,
                &[&self.place(key).record],
                &[
                    holder.as_bytes(),
                    values::microseconds(renew.duration).as_bytes(),
                    &renew.mark.as_ref().map(values::mark).unwrap_or_default(),
                ],
            )
            .await?;
        answer::tenure(answer).map_err(Wrong::of_writing)
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        let place = self.place(key);
        let answer = self
            .write(
                Script::Release,
                &[&place.record, &place.walk, &place.due],
                &[
                    holder.as_bytes(),
                    if release.keep_mark { b"1" } else { b"0" },
                    values::due(release.due_at).as_bytes(),
                    &place.member,
                ],
            )
            .await?;
        answer::tenure(answer).map_err(Wrong::of_writing)
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let (place, version) = (self.place(key), expected.version.next());
        let answer = self
            .write(
                Script::Save,
                &[&place.record, &place.walk, &place.due],
                &[
                    &values::version(&expected.version),
                    expected.holder.as_ref().map_or(&[], |holder| holder.as_bytes()),
                    &values::version(&version),
                    values::due(write.due_at).as_bytes(),
                    write.sealed.as_bytes(),
                    &place.member,
                ],
            )
            .await?;
        answer::saved(answer, key, version).map_err(Wrong::of_writing)
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        let place = self.place(key);
        let expected = remove.if_version.as_ref().map(values::version);
        // What the tombstone of a record is called whose own version cannot be read: one that never was.
        let unknown = match expected {
            Some(expected) => expected,
            None => values::version(&Version::first(
                Incarnation::random()
                    .map_err(|error| StoreError::new(StoreErrorKind::Unavailable).with_source(error))?,
            )),
        };
        let answer = self
            .write(
                Script::Remove,
                &[&place.record, &place.walk, &place.due],
                &[
                    expected.as_ref().map_or(&[], |version| version),
                    values::whole_milliseconds(remove.keep_tombstone).to_string().as_bytes(),
                    &unknown,
                    &place.member,
                ],
            )
            .await?;
        answer::removed(answer, key).map_err(Wrong::of_writing)
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let tag = UserTag::of(user);
        let after = page::id(page.after.as_ref())?;
        let answer = self
            .read(
                Script::List,
                &[&shard_key(&self.prefix, tag.shard(), Kind::Walk)],
                &[tag.as_bytes(), after, page::records(page).as_bytes()],
            )
            .await?;
        page::of_records(answer, user).map_err(Wrong::of_reading)
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let (score, member) = page::due(page.after.as_ref())?;
        let answer = self
            .read(
                Script::Due,
                &[&shard_key(&self.prefix, shard, Kind::Due)],
                &[
                    values::scores_before(time).as_bytes(),
                    score.as_bytes(),
                    member,
                    page::keys(page).as_bytes(),
                ],
            )
            .await?;
        page::of_due(answer).map_err(Wrong::of_reading)
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        let after = page::member(page.after.as_ref())?;
        let answer = self
            .read(
                Script::Walk,
                &[&shard_key(&self.prefix, shard, Kind::Walk)],
                &[after, page::keys(page).as_bytes()],
            )
            .await?;
        page::of_walk(answer).map_err(Wrong::of_reading)
    }
}

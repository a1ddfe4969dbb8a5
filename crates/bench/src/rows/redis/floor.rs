//! The floor: the same two commands with bare redis-rs, and the flow as a line of text for each part.

use std::time::{Duration, SystemTime};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use crate::floor::{authorize, text};
use crate::registration::{PROVIDER_ID, REDIRECT_URI, RETURN_TO, SCOPE, STATE_TTL};

/// What is remembered of a flow: as much as authflow remembers.
#[derive(Clone)]
pub(super) struct Pending {
    provider_id: String,
    redirect_uri: String,
    scope: String,
    verifier: String,
    return_to: String,
    created_at: u64,
    expires_at: u64,
}

impl Pending {
    pub(super) fn new() -> Self {
        let created_at = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        Self {
            provider_id: PROVIDER_ID.to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
            scope: SCOPE.to_owned(),
            verifier: text(&authorize().verifier).to_owned(),
            return_to: RETURN_TO.to_owned(),
            created_at,
            expires_at: created_at + STATE_TTL,
        }
    }

    fn write(&self) -> String {
        let Self { provider_id, redirect_uri, scope, verifier, return_to, created_at, expires_at } = self;
        format!("{provider_id}\n{redirect_uri}\n{scope}\n{verifier}\n{return_to}\n{created_at}\n{expires_at}")
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        Some(Self {
            provider_id: lines.next()?.to_owned(),
            redirect_uri: lines.next()?.to_owned(),
            scope: lines.next()?.to_owned(),
            verifier: lines.next()?.to_owned(),
            return_to: lines.next()?.to_owned(),
            created_at: lines.next()?.parse().ok()?,
            expires_at: lines.next()?.parse().ok()?,
        })
    }
}

/// The pending flows in Redis: one connection, shared, with the time limits that redis-rs has by itself.
#[derive(Clone)]
pub(super) struct Pendings(MultiplexedConnection);

impl Pendings {
    pub(super) async fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    pub(super) async fn store(&mut self, state: &str, pending: Pending) -> RedisResult<bool> {
        let mut set = redis::cmd("SET");
        set.arg(state).arg(pending.write()).arg("NX").arg("PX").arg(STATE_TTL * 1000);
        set.query_async(&mut self.0).await
    }

    pub(super) async fn check(&mut self, state: &str) -> RedisResult<Option<Pending>> {
        let found: Option<String> = redis::cmd("GETDEL").arg(state).query_async(&mut self.0).await?;
        Ok(found.and_then(|text| Pending::read(&text)))
    }
}

/// The key of a flow.
pub(super) fn state() -> String {
    format!("authflow:{}", text(&authorize().state))
}

#[allow(clippy::disallowed_methods, reason = "the floor has no clock to be moved")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

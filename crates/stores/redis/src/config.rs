//! Which servers, and how to talk to them.

use std::fmt;
use std::time::Duration;

use authflow_core::{BucketCaps, Secret};

use crate::address::{Location, Transport};
use crate::error::ConnectError;

/// Where the servers are, who we are to them, and how long to wait.
///
/// Made by [`server`](Self::server), [`cluster`](Self::cluster) or [`sentinel`](Self::sentinel). Its `Debug` shows neither
/// password nor key.
#[derive(Clone)]
#[must_use = "it is for RedisStateStore::connect and RedisTokenStore::connect"]
pub struct RedisConfig {
    pub(crate) servers: Servers,
    pub(crate) transport: Transport,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: i64,
    pub(crate) prefix: String,
    pub(crate) bucket_capacity: usize,
    pub(crate) evictions: Evictions,
    pub(crate) connection_timeout: Duration,
    pub(crate) response_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsSettings,
}

#[derive(Clone, Debug)]
pub(crate) enum Servers {
    One(Location),
    Cluster(Vec<Location>),
    Sentinel { master: String, sentinels: Vec<Location> },
}

#[cfg(feature = "tls")]
#[derive(Clone, Default)]
pub(crate) struct TlsSettings {
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Secret)>,
}

/// Whether a server may be used that evicts connections when its memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evictions {
    Refused,
    Accepted,
}

/// The longest time to live that is written, in milliseconds: a hundred years. Redis refuses what would overflow its clock.
pub(crate) const MAX_TTL: u64 = 3_155_760_000_000;

/// The longest key prefix, in bytes.
pub(crate) const MAX_PREFIX: usize = 96;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl RedisConfig {
    /// One server: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Address`].
    pub fn server(url: &str) -> Result<Self, ConnectError> {
        let location = Location::parse(url, PORT)?;
        Ok(Self::new(location.clone(), Servers::One(location)))
    }

    /// A cluster, by some of its nodes; the others are found by asking them. User, password and TLS are those of the first
    /// URL, for all nodes. A cluster has only database 0.
    ///
    /// With TLS each node's certificate has to be for the name or address by which the cluster announces the node.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Address`]; [`ConnectError::Settings`] without any node, with another database, or where some of the
    /// URLs say TLS and others do not.
    pub fn cluster<I>(urls: I) -> Result<Self, ConnectError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let seeds = locations(urls, PORT)?;
        let first = seeds.first().cloned().ok_or(ConnectError::Settings("a cluster needs a node"))?;
        if seeds.iter().any(|seed| seed.database != 0) {
            return Err(ConnectError::Settings("a cluster has only database 0"));
        }
        if seeds.iter().any(|seed| seed.transport != first.transport) {
            return Err(ConnectError::Settings("all nodes of a cluster, or none, are spoken to over TLS"));
        }
        Ok(Self::new(first, Servers::Cluster(seeds)))
    }

    /// The master that the sentinels name. `master` is the URL of the master, with the name that the sentinels know it by in
    /// the place of its host, such as `redis://app:password@mymaster`; the sentinels have URLs of their own, with user and
    /// password of their own.
    ///
    /// With TLS the certificate has to be for the name or address that the sentinels tell.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Address`]; [`ConnectError::Settings`] without any sentinel.
    pub fn sentinel<I>(master: &str, sentinels: I) -> Result<Self, ConnectError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let location = Location::parse(master, PORT)?;
        let sentinels = locations(sentinels, SENTINEL_PORT)?;
        if sentinels.is_empty() {
            return Err(ConnectError::Settings("there is no sentinel to ask"));
        }
        let master = location.address.host.as_ref().to_owned();
        Ok(Self::new(location, Servers::Sentinel { master, sentinels }))
    }

    fn new(location: Location, servers: Servers) -> Self {
        Self {
            servers,
            transport: location.transport,
            username: location.username,
            password: location.password,
            database: location.database,
            prefix: "authflow:".to_owned(),
            bucket_capacity: BucketCaps::DEFAULT_CAPACITY,
            evictions: Evictions::Refused,
            connection_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(2),
            #[cfg(feature = "tls")]
            tls: TlsSettings::default(),
        }
    }

    /// The user (Redis ACL), instead of the URL's.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The password, instead of the URL's.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// What every key begins with, up to 96 bytes. Default: `authflow:`. Two applications with the same prefix in one database
    /// cannot read each other's flows unless they also share provider id, state and binding, but they share the name space: of
    /// connections they have the same ones.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// For a state store: how many pending flows of one [`Bucket`](authflow_core::Bucket), which is a user or an address, this
    /// process stores; at least one. At the cap a new flow takes the place of that bucket's oldest. Default: 256. 65,536 or more
    /// is no cap: see [`BucketCaps`].
    pub const fn bucket_capacity(mut self, flows: usize) -> Self {
        self.bucket_capacity = flows;
        self
    }

    /// For a token store: uses a server even though it evicts keys when its memory is full (`maxmemory-policy` is one of
    /// `allkeys-*`), or does not say whether it does. **Users whose connections are evicted have to connect again**, and nothing
    /// tells them so but that their connection is absent. Without this, [`RedisTokenStore::connect`] refuses such a server.
    ///
    /// [`RedisTokenStore::connect`]: crate::RedisTokenStore::connect
    pub const fn accept_eviction_of_connections(mut self) -> Self {
        self.evictions = Evictions::Accepted;
        self
    }

    /// How long connecting may take, with all its steps: asking the sentinels or the cluster, TCP, TLS, user and password. It
    /// is for all attempts of one call together, such as those to one node of a cluster after the other; a day at most.
    /// Default: 5 seconds.
    pub const fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// How long to wait for an answer to a command. Default: 2 seconds.
    pub const fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// The root certificates to trust, in PEM, instead of the system's.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.roots = Some(pem.into());
        self
    }

    /// The certificate chain and the private key by which the servers know us (mutual TLS), in PEM.
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Secret>) -> Self {
        self.tls.client = Some((chain.into(), key.into()));
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        if self.prefix.len() > MAX_PREFIX {
            return Err(ConnectError::Settings("the key prefix has more than 96 bytes"));
        }
        if self.connection_timeout.is_zero() || self.response_timeout.is_zero() {
            return Err(ConnectError::Settings("a timeout of zero lets nothing happen"));
        }
        if self.username.is_some() && self.password.is_none() {
            return Err(ConnectError::Settings("there is a user without a password"));
        }
        Ok(())
    }
}

fn locations<I>(urls: I, default_port: u16) -> Result<Vec<Location>, ConnectError>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    urls.into_iter().map(|url| Location::parse(url.as_ref(), default_port)).collect()
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("servers", &self.servers)
            .field("transport", &self.transport)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("bucket_capacity", &self.bucket_capacity)
            .field("evictions", &self.evictions)
            .field("connection_timeout", &self.connection_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RedisConfig;
    use crate::error::ConnectError;

    #[test]
    fn h1_debug_shows_no_password() {
        let config = RedisConfig::server("redis://app:hunter2@h").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let config = RedisConfig::sentinel("redis://app:hunter2@mymaster", ["redis://:hunter2@s"]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let config = RedisConfig::cluster(["redis://:hunter2@h"]).unwrap().password("hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let none: [&str; 0] = [];
        for config in [
            RedisConfig::cluster(none),
            RedisConfig::sentinel("redis://mymaster", none),
            RedisConfig::cluster(["redis://h/1"]),
            RedisConfig::cluster(["redis://h", "rediss://i"]),
        ] {
            assert!(matches!(config.unwrap_err(), ConnectError::Settings(_)));
        }
        let config = || RedisConfig::server("redis://h").unwrap();
        for config in [
            config().key_prefix("p".repeat(97)),
            config().response_timeout(Duration::ZERO),
            config().connection_timeout(Duration::ZERO),
            config().username("app"),
        ] {
            assert!(matches!(config.check().unwrap_err(), ConnectError::Settings(_)));
        }
        config().key_prefix("p".repeat(96)).check().unwrap();
    }
}

//! What can go wrong: while connecting, and with one command.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use authflow_core::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError};

/// Why [`RedisStateStore::connect`](crate::RedisStateStore::connect) or
/// [`RedisTokenStore::connect`](crate::RedisTokenStore::connect) failed. It holds neither user nor password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An address is not one.
    #[error("the address is not redis[s]://[user[:password]@]host[:port][/database]: {0}")]
    Address(&'static str),
    /// A setting is not possible.
    #[error("the settings do not fit: {0}")]
    Settings(&'static str),
    /// The certificates or the key for TLS cannot be used.
    #[error("the certificates or the key for TLS cannot be used")]
    Tls(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// No server answers, or the one that does speaks another protocol, or its certificate is not trusted.
    #[error("no server could be reached; check address, TLS and whether it runs")]
    Unreachable(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// The server refused user or password.
    #[error("the server refused user or password")]
    Authentication,
    /// The server is there and refuses, for a reason that the source tells: it has no such database, or it is still starting.
    #[error("the server refuses what is needed")]
    Refused(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// The user may not do what is needed.
    #[error(
        "the user needs more rights on the keys of the prefix (ACL SETUSER): a RedisStateStore `+set +getdel`, a RedisTokenStore \
         those that the README of authflow-redis lists; and in a cluster `+cluster|slots`"
    )]
    Permission,
    /// The server has no `GETDEL`.
    #[error("the server has no GETDEL: Redis 6.2 or later is needed{}", version.as_ref().map(|it| format!(", this is {it}")).unwrap_or_default())]
    TooOld {
        /// What the server says it is, if the user may ask.
        version: Option<String>,
    },
    /// The server evicts keys when its memory is full, connections among them. Where that is no loss,
    /// [`RedisConfig::accept_eviction_of_connections`](crate::RedisConfig::accept_eviction_of_connections) says so.
    #[error(
        "the server evicts connections when its memory is full (maxmemory-policy is {policy}), and their users have to connect \
         again; set it to noeviction or to one of volatile-*"
    )]
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The server does not tell its `maxmemory-policy`. Where evicted connections are no loss,
    /// [`RedisConfig::accept_eviction_of_connections`](crate::RedisConfig::accept_eviction_of_connections) says so.
    #[error(
        "the server does not tell its maxmemory-policy, so that it may evict connections; give the user the right `+info` or \
         `+config|get`"
    )]
    EvictionUnknown,
    /// The server is a replica that takes no writes. The master is found by
    /// [`RedisConfig::sentinel`](crate::RedisConfig::sentinel).
    #[error("the server is a replica and takes no writes; name the master")]
    Replica,
    /// One server was configured, and it is part of a cluster.
    #[error("the server is part of a cluster; use RedisConfig::cluster")]
    IsCluster,
    /// A cluster was configured, and the server is not part of one, or its slots are not served.
    #[error("the server is not part of a cluster that serves its slots")]
    NotACluster,
}

pub(crate) const NOT_REDIS: &str = "the answer is not one of Redis";

/// What became of a command that brought no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not sent.
    NotSent(Cause),
    /// The server answered that it did not do it.
    Refused(Refusal),
    /// It was sent, and there is no answer: it may have been done.
    Lost(Cause),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(cause) => Self::new(StoreErrorKind::Unavailable).with_source(cause),
            Failure::Refused(refusal) if refusal.code() == "WRONGTYPE" => {
                Self::new(StoreErrorKind::Corrupt).with_source(refusal)
            }
            Failure::Refused(refusal) => Self::new(StoreErrorKind::Unavailable).with_source(refusal),
            Failure::Lost(cause) => Self::new(StoreErrorKind::OutcomeUnknown).with_source(cause),
        }
    }
}

impl Failure {
    /// What it means at the start.
    pub(crate) fn at_start(self) -> ConnectError {
        match self {
            Self::NotSent(cause) | Self::Lost(cause) => cause.at_start(),
            Self::Refused(refusal) => match refusal.code() {
                "NOAUTH" | "WRONGPASS" => ConnectError::Authentication,
                "NOPERM" => ConnectError::Permission,
                "READONLY" => ConnectError::Replica,
                "MOVED" | "ASK" => ConnectError::IsCluster,
                _ => ConnectError::Refused(refusal.into()),
            },
        }
    }
}

/// What the server did not accept of who we say we are and where we want to go.
#[derive(Debug, thiserror::Error)]
enum LoginRefused {
    #[error("the server refused user or password")]
    Password,
    #[error("the server refused the database: it has none of this number, or the user may not select it")]
    Database,
}

/// Why there is no answer. Shared by all who waited for the same connection.
#[derive(Clone)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync + 'static>);

impl Cause {
    pub(crate) fn new(cause: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        Self(Arc::from(cause.into()))
    }

    /// Why the driver could not log in. Its own text may repeat what was on the wire.
    pub(crate) fn of_login(error: RedisError) -> Self {
        let wants_password =
            || error.detail().is_some_and(|text| text.starts_with("Authentication required"));
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::new(LoginRefused::Password),
            ErrorKind::Server(_) if wants_password() => Self::new(LoginRefused::Password),
            // Nothing else is sent before the first command.
            ErrorKind::Server(_) => Self::new(LoginRefused::Database),
            _ if error.is_io_error() => Self::new(error),
            _ => Self::new(NOT_REDIS),
        }
    }

    /// Why the driver has no answer.
    pub(crate) fn of_command(error: &RedisError) -> Self {
        Self::new(if error.is_timeout() {
            "no answer came in time"
        } else if error.is_io_error() {
            "the connection was lost before the answer came"
        } else {
            NOT_REDIS
        })
    }

    pub(crate) fn at_start(self) -> ConnectError {
        match self.0.downcast_ref() {
            Some(LoginRefused::Password) => ConnectError::Authentication,
            Some(LoginRefused::Database) => ConnectError::Refused(self.into()),
            None => ConnectError::Unreachable(self.into()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The server's own error. Only its code is shown: the text may repeat the key.
pub(crate) struct Refusal(redis::ServerError);

impl Refusal {
    pub(crate) const fn new(error: redis::ServerError) -> Self {
        Self(error)
    }

    pub(crate) fn code(&self) -> &str {
        self.0.code()
    }

    /// Where a key is, by `MOVED` or `ASK`: the part `host:port`.
    pub(crate) fn redirect(&self) -> Option<&str> {
        self.0.details()?.split_ascii_whitespace().nth(1)
    }

    pub(crate) fn is_unknown_command(&self) -> bool {
        self.code() == "ERR" && self.0.details().is_some_and(|text| text.starts_with("unknown command"))
    }

    fn hint(&self) -> &'static str {
        match self.code() {
            "OOM" => ": its memory is full (maxmemory)",
            "READONLY" => ": it is a replica",
            "NOPERM" => ": the user lacks a right that the README of authflow-redis lists",
            "NOAUTH" | "WRONGPASS" => ": it wants another user or password",
            "MISCONF" => ": it cannot save to its disk",
            "NOREPLICAS" => ": it has too few replicas",
            "LOADING" => ": it is still starting",
            "CLUSTERDOWN" | "TRYAGAIN" | "MASTERDOWN" => ": the cluster is being rearranged",
            "MOVED" | "ASK" => ": the key is on another node",
            "WRONGTYPE" => ": another program uses keys of the same prefix",
            _ => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_code = |code: &str| code.len() <= 16 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let code = Some(self.code()).filter(|code| is_code(code)).map_or("an error", |code| code);
        let text: Cow<'_, str> = code.into();
        write!(f, "the server refused with {text}{}", self.hint())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({self})")
    }
}

impl Error for Refusal {}

//! Which store.

use std::sync::Arc;

use authflow::TokenStore;
use authflow_file::FileTokenStore;
use authflow_redis::{ConnectError as RedisError, RedisConfig, RedisTokenStore};
use authflow_sqlx::{ConnectError, MigrateError, SqlDatabase, SqlTokenStore};

use super::home::Home;
use super::quoted;
use crate::args::StoreArgs;
use crate::failure::Failure;
use crate::progress::telling;
use crate::terminal::{note, printable};

/// The environment variable that names it.
const VARIABLE: &str = "AUTHFLOW_STORE";

/// The files, under the home directory.
const DIRECTORY: &str = "connections";

const CONNECTING: &str = "Connecting to the store.";

/// Where connections are kept.
pub(super) enum Place {
    /// In files of the home directory.
    Files,
    /// Where a URL says.
    Url {
        url: String,
        /// Whether the environment says so, for further commands too.
        is_environment: bool,
    },
}

impl Place {
    /// The option, else the environment, else files.
    pub(super) fn of(args: &StoreArgs) -> Result<Self, Failure> {
        if let Some(url) = &args.store {
            if has_password(url) {
                note(
                    "warning: everyone on this machine can read the password in --store; set AUTHFLOW_STORE instead",
                );
            }
            return Ok(Self::Url { url: url.clone(), is_environment: false });
        }
        match std::env::var(VARIABLE) {
            Ok(url) if url.is_empty() => Ok(Self::Files),
            Ok(url) => Ok(Self::Url { url, is_environment: true }),
            Err(std::env::VarError::NotPresent) => Ok(Self::Files),
            Err(std::env::VarError::NotUnicode(_)) => Err(Failure::unusable(format!(
                "{VARIABLE} is not text; give it a URL such as redis://127.0.0.1"
            ))),
        }
    }

    /// The store, without any password.
    pub(super) fn shown(&self, home: Option<&Home>) -> String {
        match (self, home) {
            (Self::Files, Some(home)) => format!("the files in {}", home.path().join(DIRECTORY).display()),
            (Self::Files, None) => "the files".to_owned(),
            (Self::Url { url, .. }, _) => without_password(url),
        }
    }

    /// What names this store in a further command.
    pub(super) fn option(&self) -> String {
        match self {
            Self::Url { url, is_environment: false } if !has_password(url) => {
                format!(" --store {}", quoted(url))
            }
            Self::Url { is_environment: false, .. } => " --store URL".to_owned(),
            Self::Files | Self::Url { .. } => String::new(),
        }
    }
}

/// A path of SQLite's has none, and is no URL to the parser either.
fn has_password(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| {
        url.password().is_some() || url.query().is_some_and(|query| query.contains("password"))
    })
}

/// What a URL says of where a store is, and nothing of who we are there. A path of SQLite's has nothing of that.
fn without_password(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return "the one that its URL names".to_owned() };
    if url.scheme() == "sqlite" {
        return printable(text);
    }
    // It has a host, which is all that a URL needs to have none of these.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    printable(url.as_str())
}

/// The files of the home directory.
pub(super) async fn open_files(home: &Home) -> Result<Arc<dyn TokenStore>, Failure> {
    let path = home.path().join(DIRECTORY);
    let store = FileTokenStore::open(path).await.map_err(|error| Failure::unusable(chain(&error)))?;
    Ok(Arc::new(store))
}

/// The store that a URL names.
pub(super) async fn open_store(url: &str) -> Result<Arc<dyn TokenStore>, Failure> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    match scheme.as_str() {
        "redis" | "rediss" => {
            let store = telling(CONNECTING, connect_redis(url)).await;
            Ok(Arc::new(store.map_err(|error| of_redis(&error))?))
        }
        "sqlite" | "postgres" | "postgresql" | "mysql" | "mariadb" => {
            let connect = SqlDatabase::connect(url);
            let database = telling(CONNECTING, connect)
                .await
                .map_err(|error| unusable(&error, is_up_to_the_server(&error)))?;
            let is_down = |error: &MigrateError| matches!(error, MigrateError::Database(_));
            telling(CONNECTING, database.migrate())
                .await
                .map_err(|error| unusable(&error, is_down(&error)))?;
            let store = SqlTokenStore::new(&database);
            if !store.is_durable() {
                return Err(Failure::unusable(
                    "a database in memory ends with the command, and what is kept in it too; name a file: sqlite:PATH",
                ));
            }
            Ok(Arc::new(store))
        }
        _ => Err(Failure::usage(
            "the store's URL begins with none of redis://, rediss://, postgres://, mysql:// and sqlite:",
        )),
    }
}

/// Whether the address is good, so that the same command may do another time.
const fn is_up_to_the_server(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Refused(_)
            | ConnectError::Authentication
            | ConnectError::NoDatabase
            | ConnectError::Standby
    )
}

/// One server, or the cluster that it is part of.
async fn connect_redis(url: &str) -> Result<RedisTokenStore, RedisError> {
    match RedisTokenStore::connect(RedisConfig::server(url)?).await {
        Err(RedisError::IsCluster) => RedisTokenStore::connect(RedisConfig::cluster([url])?).await,
        connected => connected,
    }
}

/// An error and its causes. None of them has a password in it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    printable(&text)
}

/// Of a server that is there, and is none for this program, its settings are told as an administrator knows them.
fn of_redis(error: &RedisError) -> Failure {
    let setting = match error {
        RedisError::Unreachable(_)
        | RedisError::Refused(_)
        | RedisError::Authentication
        | RedisError::Permission => return unusable(error, true),
        RedisError::Evicts { policy } => format!(
            "the server evicts connections when its memory is full (maxmemory-policy is {}), and their users would have to \
             connect again\n  what to do: set maxmemory-policy to noeviction or to one of volatile-*, or use another store",
            printable(policy)
        ),
        RedisError::EvictionUnknown => {
            "the server does not tell its maxmemory-policy, so that it may evict connections\n  \
             what to do: give the user the right +info or +config|get, or use another store"
                .to_owned()
        }
        RedisError::Replica => {
            "the server is a replica and takes no writes\n  what to do: name the master in the URL".to_owned()
        }
        _ => return unusable(error, false),
    };
    Failure::unusable(format!("the store cannot be used: {setting}"))
}

/// `is_down`: the server does not answer, or does not let us in. That may be another time's answer, and where it is not, no
/// store tells it apart from what is.
fn unusable(error: &dyn std::error::Error, is_down: bool) -> Failure {
    let text = format!("the store cannot be used: {}", chain(error));
    if is_down {
        Failure::local(format!(
            "{text}\n  what to do: see that it runs and that its URL is right (address, database, user, password), then try \
             again; nothing was sent to the provider"
        ))
    } else {
        Failure::unusable(text)
    }
}

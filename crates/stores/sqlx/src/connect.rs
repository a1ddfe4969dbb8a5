//! From an address to a database.

use std::time::Duration;

use sqlx::pool::PoolOptions;
use url::Url;

use crate::database::SqlDatabase;
use crate::error::{ConnectError, Stage, failure};

/// How long a connection is waited for: less than `Connections` waits for a store.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long another writer is waited for: less than an answer.
#[cfg(feature = "sqlite")]
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was idle for longer is asked whether it still is one.
#[cfg(any(feature = "mysql", feature = "postgres"))]
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// For how long that may take: there is time left then to connect anew.
#[cfg(any(feature = "mysql", feature = "postgres"))]
const PING_TIMEOUT: Duration = Duration::from_secs(1);

impl SqlDatabase {
    /// Connects to what an address names: `sqlite:path/to/file.db`, `postgres://user:password@host/database`,
    /// `mysql://user:password@host/database` or the same with `mariadb:`. A database file that is not there is made, as by
    /// [`open`](Self::open).
    ///
    /// A server on another machine has to speak TLS and to show a certificate for its name by a public authority, unless the
    /// address says otherwise: `?sslmode=require` for any certificate, `?sslrootcert=FILE` for another authority,
    /// `?sslmode=disable` for none (`ssl-mode` and `ssl-ca` for MySQL and MariaDB).
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: each says what to change.
    pub async fn connect(address: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = address.split_once(':').ok_or(ConnectError::Address)?;
        match scheme {
            "sqlite" => open_address(rest).await,
            "postgres" | "postgresql" => connect_postgres(&parse(address)?).await,
            "mysql" => connect_mysql(&parse(address)?).await,
            "mariadb" => connect_mysql(&parse(&format!("mysql:{rest}"))?).await,
            _ => Err(ConnectError::Address),
        }
    }

    /// Opens a database file, and makes it if it is not there: for its owner alone (mode 0600), with a write-ahead log
    /// (`journal_mode = WAL`), each write on the disk before it is answered (`synchronous = FULL`), and 3 seconds of patience
    /// with another writer (`busy_timeout`). Processes of one machine may share it; its folder must not be on a network.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], also where others than the owner may read or write a file that is there.
    #[cfg(feature = "sqlite")]
    pub async fn open(path: impl AsRef<std::path::Path>) -> Result<Self, ConnectError> {
        let path = path.as_ref();
        make_private(path)?;
        let options = sqlite_options().filename(path);
        // One writes at a time; the others read meanwhile.
        let pool = PoolOptions::new().max_connections(4).acquire_timeout(ACQUIRE_TIMEOUT);
        // A file does not go away from under a connection; to ask each time would cost a change of threads.
        let pool = pool.test_before_acquire(false);
        let pool = pool.connect_with(options).await.map_err(|error| ConnectError::File(cause(error)))?;
        use_write_ahead_log(&pool).await?;
        Ok(Self::sqlite(pool))
    }

    /// A database in memory, which ends with the last clone: for tests.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    #[cfg(feature = "sqlite")]
    pub async fn in_memory() -> Result<Self, ConnectError> {
        // A second connection would have a database of its own, and so would the next one if this were closed.
        let pool = PoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(sqlite_options().in_memory(true)).await;
        let pool = pool.map_err(|error| ConnectError::Refused(cause(error)))?;
        let mut database = Self::sqlite(pool);
        database.is_durable = false;
        Ok(database)
    }
}

fn parse(address: &str) -> Result<Url, ConnectError> {
    Url::parse(address).map_err(|_| ConnectError::Address)
}

#[cfg(feature = "sqlite")]
async fn open_address(rest: &str) -> Result<SqlDatabase, ConnectError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Err(ConnectError::Address),
        ":memory:" => SqlDatabase::in_memory().await,
        path => SqlDatabase::open(path).await,
    }
}

#[cfg(not(feature = "sqlite"))]
async fn open_address(_: &str) -> Result<SqlDatabase, ConnectError> {
    Err(ConnectError::NotBuilt("sqlite"))
}

/// The journal's mode is kept in the file. Who changes it needs the file for himself, and is not made to wait for it: of
/// several processes that make the same database, the others find it changed.
#[cfg(feature = "sqlite")]
async fn use_write_ahead_log(pool: &sqlx::SqlitePool) -> Result<(), ConnectError> {
    let set = async {
        loop {
            match sqlx::query("PRAGMA journal_mode = WAL").execute(pool).await {
                Ok(_) => return Ok(()),
                Err(error) if is_busy(&error) => tokio::task::yield_now().await,
                Err(error) => return Err(ConnectError::File(cause(error))),
            }
        }
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, set).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::File("another process keeps the database file to itself".into())),
    }
}

#[cfg(feature = "sqlite")]
fn sqlite_options() -> sqlx::sqlite::SqliteConnectOptions {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
    SqliteConnectOptions::new().busy_timeout(BUSY_TIMEOUT).synchronous(SqliteSynchronous::Full)
}

#[cfg(feature = "sqlite")]
fn is_busy(error: &sqlx::Error) -> bool {
    use sqlx::error::DatabaseError;
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.and_then(|code| code.parse().ok()).is_some_and(|code: i32| matches!(code & 0xff, 5 | 6))
}

/// SQLite gives its other files the mode of this one.
#[cfg(all(feature = "sqlite", unix))]
fn make_private(path: &std::path::Path) -> Result<(), ConnectError> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    let file = |error: std::io::Error| ConnectError::File(error.into());
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file(error)),
    }
    let mode = std::fs::metadata(path).map_err(file)?.mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(ConnectError::FilePermissions) }
}

#[cfg(all(feature = "sqlite", not(unix)))]
fn make_private(path: &std::path::Path) -> Result<(), ConnectError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(ConnectError::File(error.into()))
        }
        _ => Ok(()),
    }
}

#[cfg(feature = "postgres")]
async fn connect_postgres(address: &Url) -> Result<SqlDatabase, ConnectError> {
    use std::str::FromStr as _;

    use sqlx::postgres::{PgConnectOptions, PgSslMode};
    use sqlx::{ConnectOptions as _, Connection as _, Row as _};

    let mut options = PgConnectOptions::from_str(address.as_str()).map_err(|_| ConnectError::Address)?;
    let is_here = options.get_socket().is_some() || is_this_machine(options.get_host());
    let is_default = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    if !is_here && is_default && !says_how_to_encrypt(address) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    in_time(async {
        let mut connection = options.connect().await.map_err(refused)?;
        let answer = sqlx::raw_sql("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await;
        let is_standby = answer.and_then(|row| row.try_get(0)).map_err(refused)?;
        let _it_was_of_use = connection.close().await;
        if is_standby { Err(ConnectError::Standby) } else { Ok(()) }
    })
    .await?;
    Ok(SqlDatabase::postgres(of_a_server().connect_lazy_with(options)))
}

#[cfg(not(feature = "postgres"))]
async fn connect_postgres(_: &Url) -> Result<SqlDatabase, ConnectError> {
    Err(ConnectError::NotBuilt("postgres"))
}

#[cfg(feature = "mysql")]
async fn connect_mysql(address: &Url) -> Result<SqlDatabase, ConnectError> {
    use std::str::FromStr as _;

    use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
    use sqlx::{ConnectOptions as _, Connection as _};

    let mut options = MySqlConnectOptions::from_str(address.as_str()).map_err(|_| ConnectError::Address)?;
    let is_here = options.get_socket().is_some() || is_this_machine(options.get_host());
    if !is_here && !says_how_to_encrypt(address) {
        options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
    }
    in_time(async {
        let connection = options.connect().await.map_err(refused)?;
        let _it_was_of_use = connection.close().await;
        Ok(())
    })
    .await?;
    Ok(SqlDatabase::mysql(of_a_server().connect_lazy_with(options)))
}

#[cfg(not(feature = "mysql"))]
async fn connect_mysql(_: &Url) -> Result<SqlDatabase, ConnectError> {
    Err(ConnectError::NotBuilt("mysql"))
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn of_a_server<D: sqlx::Database>() -> PoolOptions<D> {
    use sqlx::Connection as _;
    PoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false).before_acquire(
        |connection: &mut D::Connection, meta| {
            Box::pin(async move {
                Ok(is_alive(meta.idle_for, connection.ping()).await)
            })
        },
    )
}

/// Whether a connection is still one. One that the server closed, or that leads nowhere any more, is replaced; to ask each time
/// would cost each operation a round trip.
#[cfg(any(feature = "mysql", feature = "postgres"))]
async fn is_alive<E>(idle_for: Duration, ping: impl Future<Output = Result<(), E>>) -> bool {
    idle_for < TRUSTED_FOR || matches!(tokio::time::timeout(PING_TIMEOUT, ping).await, Ok(Ok(())))
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    // A folder instead of a name is where a socket is.
    host == "localhost" || host.starts_with('/') || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn says_how_to_encrypt(address: &Url) -> bool {
    address.query_pairs().any(|(name, _)| matches!(&*name, "sslmode" | "ssl-mode"))
}

/// One connection is made before there is a pool, which would try again and again and not tell why in the end.
#[cfg(any(feature = "mysql", feature = "postgres"))]
async fn in_time(connecting: impl Future<Output = Result<(), ConnectError>>) -> Result<(), ConnectError> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
    connected.unwrap_or_else(|_| Err(ConnectError::Refused("no answer came in time".into())))
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn refused(error: sqlx::Error) -> ConnectError {
    use crate::error::{Cause, LOGIN, NO_DATABASE};
    match failure(error, Stage::Revocable).into_cause() {
        Cause::Refused { hint: LOGIN, .. } => ConnectError::Authentication,
        Cause::Refused { hint: NO_DATABASE, .. } => ConnectError::NoDatabase,
        cause => ConnectError::Refused(cause.into()),
    }
}

#[cfg(feature = "sqlite")]
fn cause(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync + 'static> {
    failure(error, Stage::Revocable).into_cause().into()
}

#[cfg(all(test, any(feature = "mysql", feature = "postgres")))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn x9_a_connection_that_leads_nowhere_costs_a_second_and_not_the_call() {
        let [trusted, idle] = [TRUSTED_FOR - Duration::from_millis(1), TRUSTED_FOR];
        assert!(is_alive(trusted, std::future::pending::<Result<(), ()>>()).await);
        assert!(is_alive(idle, async { Ok::<_, ()>(()) }).await);
        assert!(!is_alive(idle, async { Err(()) }).await);
        let asked = is_alive(idle, std::future::pending::<Result<(), ()>>());
        assert_eq!(tokio::time::timeout(ACQUIRE_TIMEOUT / 2, asked).await, Ok(false), "there is time left to connect");
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "/var/run/postgresql"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.example.com", "db", "10.0.0.1", "::2", "127.0.0.1.example.com", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}

//! How one connection is opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::address::{Address, Location, Transport};
use crate::config::RedisConfig;
use crate::counted::{Counted, Written};
use crate::error::{Cause, ConnectError};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// How many commands may wait for the socket. The driver's own 50 would let some of 64 flows wait for each other.
const QUEUE: usize = 256;

/// Whoever waits longer waits in vain, and a later time may be one that the system cannot express.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What all connections to servers of one kind have in common.
pub(crate) struct Connector {
    login: RedisConnectionInfo,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    pub(crate) connection_timeout: Duration,
    response_timeout: Duration,
}

impl Connector {
    /// For the servers that hold the flows.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, ConnectError> {
        let mut login = login(config.username.as_deref(), config.database);
        if let Some(password) = &config.password {
            login = login.set_password(password.expose());
        }
        Self::with(config, login, config.transport)
    }

    /// For a sentinel: what its own URL says.
    pub(crate) fn for_sentinel(config: &RedisConfig, sentinel: &Location) -> Result<Self, ConnectError> {
        let mut login = login(sentinel.username.as_deref(), 0);
        if let Some(password) = &sentinel.password {
            login = login.set_password(password.expose());
        }
        Self::with(config, login, sentinel.transport)
    }

    fn with(
        config: &RedisConfig,
        login: RedisConnectionInfo,
        transport: Transport,
    ) -> Result<Self, ConnectError> {
        #[cfg(not(feature = "tls"))]
        if transport == Transport::Tls {
            return Err(ConnectError::Settings("rediss:// needs the feature `tls` of authflow-redis"));
        }
        Ok(Self {
            login,
            #[cfg(feature = "tls")]
            tls: match transport {
                Transport::Plain => None,
                Transport::Tls => Some(Tls::new(&config.tls)?),
            },
            connection_timeout: config.connection_timeout.min(LONGEST),
            response_timeout: config.response_timeout,
        })
    }

    /// Until when whoever begins now may be busy with connecting.
    #[allow(
        clippy::disallowed_methods,
        reason = "how long we wait is no fact about a flow, so no clock tells it"
    )]
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.connection_timeout
    }

    /// Opens a connection. The caller bounds the time.
    ///
    /// Nagle's algorithm stays on, as the driver has it by itself. A command that has the connection for itself goes out at
    /// once all the same; where many share it, fewer and larger packets serve a third more flows in a second.
    pub(crate) async fn open(&self, address: &Address) -> Result<Live, Cause> {
        let stream = TcpStream::connect((&*address.host, address.port)).await.map_err(Cause::new)?;
        let written = Written::default();
        let stream = Counted::new(stream, written.clone());
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.log_in(tls.open(&address.host, stream).await.map_err(Cause::new)?, written).await;
        }
        self.log_in(stream, written).await
    }

    async fn log_in<S>(&self, stream: S, written: Written) -> Result<Live, Cause>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.response_timeout))
            .set_pipeline_buffer_size(QUEUE);
        let (connection, driver) = MultiplexedConnection::new_with_config(&self.login, stream, config)
            .await
            .map_err(Cause::of_login)?;
        let is_alive = Arc::new(AtomicBool::new(true));
        let end = EndOfLife(Arc::clone(&is_alive));
        let driver = tokio::spawn(async move {
            let _end = end;
            driver.await;
        });
        Ok(Live { connection, written, is_alive, driver: driver.abort_handle() })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("username", &self.login.username())
            .field("connection_timeout", &self.connection_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

/// The driver says nothing to the server about itself: a user with few rights would fill the server's log of refusals.
fn login(username: Option<&str>, database: i64) -> RedisConnectionInfo {
    let login = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
    match username {
        Some(username) => login.set_username(username),
        None => login,
    }
}

/// An open connection, shared by all who use it.
pub(crate) struct Live {
    connection: MultiplexedConnection,
    written: Written,
    is_alive: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Live {
    /// Whether the driver still runs. It ends as soon as the server closes the connection, so that a command is not sent
    /// into a connection that is known to be dead.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// How much was ever written to the connection.
    pub(crate) fn written(&self) -> u64 {
        self.written.get()
    }

    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Tells when the driver ends: by itself, by being aborted, or with its runtime.
struct EndOfLife(Arc<AtomicBool>);

impl Drop for EndOfLife {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

//! A connection that is opened when it is needed, shared, and replaced when it is dead.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use crate::address::Address;
use crate::connector::{Connector, Live};
use crate::error::{Cause, Failure, Refusal};
use crate::sentinel::Sentinels;

/// Where a link leads.
#[derive(Debug)]
pub(crate) enum Target {
    Server(Address),
    Master(Sentinels),
}

/// One command.
#[derive(Clone, Copy)]
pub(crate) enum Request<'c> {
    Plain(&'c Cmd),
    /// After `ASKING`: for a slot that is on its way to the node.
    Asking(&'c Cmd),
}

/// The reconnecting connection. No command is ever sent twice by it.
pub(crate) struct Link {
    target: Target,
    connector: Arc<Connector>,
    current: RwLock<Option<Arc<Live>>>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<()>,
    /// How often connecting has failed, and how it did last.
    failures: AtomicU64,
    last_failure: Mutex<Option<Cause>>,
}

impl Link {
    pub(crate) fn new(target: Target, connector: Arc<Connector>) -> Self {
        Self {
            target,
            connector,
            current: RwLock::new(None),
            connecting: tokio::sync::Mutex::new(()),
            failures: AtomicU64::new(0),
            last_failure: Mutex::new(None),
        }
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.connector.deadline()
    }

    /// Sends a command once and waits for its answer. The deadline is one for connecting.
    pub(crate) async fn call(&self, request: Request<'_>, deadline: Instant) -> Result<Value, Failure> {
        // A connection may have died without anyone having noticed. Once only: a new one that dies is another matter.
        if let Some(live) = self.live() {
            match self.call_on(&live, request).await {
                Err(Failure::NotSent(_)) => {}
                answer => return answer,
            }
        }
        let live = self.connect(deadline).await.map_err(Failure::NotSent)?;
        self.call_on(&live, request).await
    }

    /// The same on one connection.
    pub(crate) async fn call_on(&self, live: &Arc<Live>, request: Request<'_>) -> Result<Value, Failure> {
        let written = live.written();
        let mut connection = live.connection();
        let answer = match request {
            Request::Plain(cmd) => connection.send_packed_command(cmd).await,
            Request::Asking(cmd) => Box::pin(after_asking(connection, cmd)).await,
        };
        match answer {
            Ok(Value::ServerError(error)) => {
                let refusal = Refusal::new(error);
                if refusal.code() == "READONLY" {
                    // A master that was demoted: the next call looks for the new one.
                    self.discard(live);
                }
                Err(Failure::Refused(refusal))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(self.failed(live, written, &error)),
        }
    }

    /// What became of a command that was given to the driver when `written` bytes had been written.
    fn failed(&self, live: &Arc<Live>, written: u64, error: &RedisError) -> Failure {
        // It may be a peer that is gone without a word: the next call opens another connection.
        self.discard(live);
        let cause = Cause::of_command(error);
        // The driver ended, and in all the time nothing was written: not this command either. A command that was given up
        // after a time may still be written.
        let is_unsent = error.is_connection_dropped() && !error.is_timeout() && live.written() == written;
        if is_unsent { Failure::NotSent(cause) } else { Failure::Lost(cause) }
    }

    /// The connection, unless it is dead.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|live| live.is_alive()).map(Arc::clone)
    }

    fn discard(&self, live: &Arc<Live>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, live)) {
            *current = None;
        }
    }

    /// Opens the connection, or waits for whoever does it already and shares what comes of it: however many wait, none waits
    /// for one attempt after the other.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Arc<Live>, Cause> {
        let too_late = || Cause::new("the connection could not be opened in time");
        let seen = self.failures.load(Ordering::Acquire);
        let _turn = timeout_at(deadline, self.connecting.lock()).await.map_err(|_| too_late())?;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        if self.failures.load(Ordering::Acquire) != seen
            && let Some(cause) = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
        {
            return Err(cause);
        }
        match timeout_at(deadline, self.open()).await.unwrap_or_else(|_| Err(too_late())) {
            Ok(live) => {
                let live = Arc::new(live);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(cause) => {
                *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause.clone());
                self.failures.fetch_add(1, Ordering::Release);
                Err(cause)
            }
        }
    }

    async fn open(&self) -> Result<Live, Cause> {
        match &self.target {
            Target::Server(address) => self.connector.open(address).await,
            Target::Master(sentinels) => sentinels.open_master(&self.connector).await,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("target", &self.target)
            .field("connected", &self.live().is_some())
            .finish_non_exhaustive()
    }
}

async fn after_asking(mut connection: MultiplexedConnection, cmd: &Cmd) -> RedisResult<Value> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("ASKING").add_command(cmd.clone());
    let answers = connection.send_packed_commands(&pipeline, 0, 2).await?;
    Ok(answers.into_iter().next_back().unwrap_or_default())
}

//! Finding the master by asking the sentinels ("Redis client spec for Sentinel").

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::timeout;

use crate::address::{Address, Location};
use crate::config::RedisConfig;
use crate::connector::{Connector, Live};
use crate::error::{Cause, ConnectError};

/// The sentinels, and the name of the master that they watch.
pub(crate) struct Sentinels {
    master: String,
    sentinels: Vec<(Address, Connector)>,
    /// The one that was right last.
    first: AtomicUsize,
}

impl Sentinels {
    pub(crate) fn new(
        config: &RedisConfig,
        master: &str,
        sentinels: &[Location],
    ) -> Result<Self, ConnectError> {
        let sentinels = sentinels
            .iter()
            .map(|it| Ok((it.address.clone(), Connector::for_sentinel(config, it)?)))
            .collect::<Result<_, ConnectError>>()?;
        Ok(Self { master: master.to_owned(), sentinels, first: AtomicUsize::new(0) })
    }

    /// Connects to the server that a sentinel names and that says itself that it is the master. Each sentinel gets its share
    /// of the time, so that one that is silent does not use up all of it.
    pub(crate) async fn open_master(&self, connector: &Connector) -> Result<Live, Cause> {
        let count = self.sentinels.len().max(1);
        let share = connector.connection_timeout / u32::try_from(count).unwrap_or(u32::MAX);
        let first = self.first.load(Ordering::Relaxed);
        let mut last = Cause::new("there is no sentinel to ask");
        for at in (0..count).map(|step| (first + step) % count) {
            let Some((address, sentinel)) = self.sentinels.get(at) else { continue };
            match timeout(share, self.through(address, sentinel, connector, share)).await {
                Ok(Ok(live)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(live);
                }
                Ok(Err(cause)) => last = cause,
                Err(_) => last = Cause::new("a sentinel, or the master that it names, is silent"),
            }
        }
        Err(last)
    }

    async fn through(
        &self,
        address: &Address,
        sentinel: &Connector,
        connector: &Connector,
        share: Duration,
    ) -> Result<Live, Cause> {
        // Half of the share for the sentinel: what it says is worth nothing without time to go there.
        let asked = timeout(share / 2, self.ask(address, sentinel)).await;
        let master = asked.map_err(|_| Cause::new("a sentinel is silent"))??;
        let live = connector.open(&master).await?;
        match live
            .connection()
            .send_packed_command(&cmd("ROLE"))
            .await
            .map_err(|error| Cause::of_command(&error))?
        {
            Value::Array(role) if role.first().and_then(text) == Some("master") => Ok(live),
            // The user may not ask. A replica will say so when it is written to.
            Value::ServerError(_) => Ok(live),
            _ => Err(Cause::new(
                "the server that the sentinels name is not the master; a failover is under way",
            )),
        }
    }

    async fn ask(&self, address: &Address, sentinel: &Connector) -> Result<Address, Cause> {
        let live = sentinel.open(address).await?;
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let answer = live
            .connection()
            .send_packed_command(&question)
            .await
            .map_err(|error| Cause::of_command(&error))?;
        if let Value::Array(parts) = &answer
            && let [host, port] = parts.as_slice()
            && let (Some(host), Some(port)) = (text(host), text(port).and_then(|port| port.parse().ok()))
        {
            return Ok(Address { host: host.into(), port });
        }
        Err(Cause::new(match answer {
            Value::ServerError(_) => "a sentinel refused to answer: user or password, or it is no sentinel",
            _ => "a sentinel does not know a master of this name",
        }))
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("master", &self.master)
            .field("sentinels", &self.sentinels.iter().map(|(address, _)| address).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A string as the servers of all versions write it.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

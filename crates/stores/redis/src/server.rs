//! The servers that a store is kept on, as one thing that commands are sent to.

use std::sync::Arc;

use redis::{Cmd, Value, cmd};

use crate::cluster::{Cluster, WhileMoving};
use crate::config::{RedisConfig, Servers};
use crate::connector::Connector;
use crate::error::{Cause, ConnectError, Failure};
use crate::link::{Link, Request, Target};
use crate::sentinel::{Sentinels, text};
use crate::slot::slot;

#[derive(Debug)]
pub(crate) enum Server {
    One(Link),
    Cluster(Cluster),
}

impl Server {
    /// Connects, and sees that a cluster is there where one is expected.
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        config.check()?;
        let connector = Connector::new(config)?;
        let server = match &config.servers {
            Servers::One(location) => {
                Self::One(Link::new(Target::Server(location.address.clone()), Arc::new(connector)))
            }
            Servers::Sentinel { master, sentinels } => {
                let sentinels = Sentinels::new(config, master, sentinels)?;
                Self::One(Link::new(Target::Master(sentinels), Arc::new(connector)))
            }
            Servers::Cluster(seeds) => Self::Cluster(Cluster::new(
                connector,
                seeds.iter().map(|seed| seed.address.clone()).collect(),
            )),
        };
        match &server {
            Self::One(link) => {
                link.connect(link.deadline()).await.map_err(Cause::at_start)?;
            }
            Self::Cluster(cluster) => {
                cluster.refresh(cluster.deadline(), None).await.map_err(|failure| match failure {
                    Failure::Refused(refusal) if refusal.code() == "ERR" => ConnectError::NotACluster,
                    failure => failure.at_start(),
                })?
            }
        }
        Ok(server)
    }

    /// What the server that has `slot` says about itself, and that it is no part of a cluster where none is expected. A user
    /// who may not ask is fine: then nobody knows.
    pub(crate) async fn info(&self, slot: u16) -> Result<Info, ConnectError> {
        let info = Info(self.call(&cmd("INFO"), slot).await.ok());
        if matches!(self, Self::One(_)) && info.find("cluster_enabled") == Some("1") {
            return Err(ConnectError::IsCluster);
        }
        Ok(info)
    }

    /// The slot of a key, where there are slots.
    pub(crate) fn slot(&self, key: &[u8]) -> u16 {
        match self {
            Self::One(_) => 0,
            Self::Cluster(_) => slot(key),
        }
    }

    /// Those of `slots` that stand for all servers that have any of them: one for each.
    pub(crate) fn one_for_each_server(&self, slots: impl IntoIterator<Item = u16>) -> Vec<u16> {
        match self {
            Self::One(_) => slots.into_iter().take(1).collect(),
            Self::Cluster(cluster) => cluster.one_for_each_node(slots),
        }
    }

    /// On an open connection this is all there is. The rest has a future of its own, so that this one is small.
    pub(crate) async fn call(&self, cmd: &Cmd, slot: u16) -> Result<Value, Failure> {
        let failure = match self {
            Self::One(link) => match link.live() {
                Some(live) => match link.call_on(&live, Request::Plain(cmd)).await {
                    Ok(value) => return Ok(value),
                    Err(failure) => Some(failure),
                },
                None => None,
            },
            Self::Cluster(_) => None,
        };
        Box::pin(self.call_again(cmd, slot, failure)).await
    }

    /// The same for a command that reads keys which it does not name, such as all that an index has.
    pub(crate) async fn scan(&self, cmd: &Cmd, slot: u16) -> Result<Value, Failure> {
        match self {
            Self::One(_) => self.call(cmd, slot).await,
            Self::Cluster(cluster) => Box::pin(cluster.call(cmd, slot, WhileMoving::GiveUp)).await,
        }
    }

    /// Sends the command where it certainly was not carried out, or not sent yet.
    async fn call_again(&self, cmd: &Cmd, slot: u16, failure: Option<Failure>) -> Result<Value, Failure> {
        match (self, failure) {
            (Self::Cluster(cluster), _) => cluster.call(cmd, slot, WhileMoving::Follow).await,
            (Self::One(link), None | Some(Failure::NotSent(_))) => {
                link.call(Request::Plain(cmd), link.deadline()).await
            }
            // The master was demoted and did nothing; the sentinels know the new one.
            (Self::One(link), Some(Failure::Refused(refusal)))
                if refusal.code() == "READONLY" && matches!(link.target(), Target::Master(_)) =>
            {
                link.call(Request::Plain(cmd), link.deadline()).await
            }
            (Self::One(_), Some(failure)) => Err(failure),
        }
    }
}

/// What a server says about itself, if it says anything.
pub(crate) struct Info(Option<Value>);

impl Info {
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let lines = self.0.as_ref().and_then(text)?.lines();
        lines.into_iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }
}

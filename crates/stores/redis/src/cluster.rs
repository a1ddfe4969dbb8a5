//! A cluster: which node has which slot (Redis Cluster specification, "Redirection and resharding").
//!
//! The driver's own cluster client is not used. It repeats a command after a lost connection, and told not to, it no longer
//! follows `MOVED` and `ASK` either, nor looks where a slot went when its node died. Here a command is sent again only where
//! it certainly was not carried out: by a redirection, or because no connection could be opened.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redis::{Cmd, Value, cmd};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::Address;
use crate::connector::Connector;
use crate::error::{Cause, Failure};
use crate::link::{Link, Request, Target};
use crate::sentinel::text;
use crate::slot::SLOTS;

/// How often one command may be sent on. A cluster that sends it round further is broken.
const MAX_REDIRECTIONS: usize = 4;

/// What to do where a slot is on its way from one node to another, and some of its keys are here and some are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhileMoving {
    /// Go where the keys are that the command names.
    Follow,
    /// Nothing: it reads more keys than it names, and there would miss those that have not come yet.
    GiveUp,
}

pub(crate) struct Cluster {
    connector: Arc<Connector>,
    seeds: Vec<Address>,
    links: Mutex<HashMap<Address, Arc<Link>>>,
    /// Ordered by slot.
    owners: RwLock<Arc<[Owner]>>,
    /// Held by the one who asks who owns what, and how often that was asked.
    asking: tokio::sync::Mutex<()>,
    asked: AtomicU64,
}

/// A node and some of its slots.
#[derive(Debug)]
struct Owner {
    first: u16,
    last: u16,
    link: Arc<Link>,
}

impl Cluster {
    pub(crate) fn new(connector: Connector, seeds: Vec<Address>) -> Self {
        Self {
            connector: Arc::new(connector),
            seeds,
            links: Mutex::default(),
            owners: RwLock::new(Arc::new([])),
            asking: tokio::sync::Mutex::new(()),
            asked: AtomicU64::new(0),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.connector.deadline()
    }

    /// Sends a command to the node that has `slot`. Finding it and connecting to it end with one deadline, however many nodes
    /// are tried.
    pub(crate) async fn call(
        &self,
        cmd: &Cmd,
        slot: u16,
        while_moving: WhileMoving,
    ) -> Result<Value, Failure> {
        let deadline = self.deadline();
        // A node that is gone without a word gets half of the time: the rest is for finding out who took over.
        let mut patience = deadline - self.connector.connection_timeout / 2;
        let mut link = match self.owner(slot) {
            Some(link) => link,
            None => {
                self.refresh(deadline, None).await?;
                let nobody = || Failure::NotSent(Cause::new("no node of the cluster serves the slot"));
                self.owner(slot).ok_or_else(nobody)?
            }
        };
        let mut request = Request::Plain(cmd);
        let mut redirections = 0;
        loop {
            let failure = match link.call(request, patience).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            redirections += 1;
            let next = match &failure {
                _ if redirections > MAX_REDIRECTIONS => None,
                Failure::Refused(refusal) => match (refusal.code(), refusal.redirect()) {
                    ("ASK", _) if while_moving == WhileMoving::GiveUp => None,
                    ("ASK", Some(to)) => address(to, &link).map(|to| (self.link(&to), Request::Asking(cmd))),
                    ("MOVED", Some(to)) => {
                        let to = address(to, &link);
                        // The node said where to go; that the others cannot be asked does not matter now.
                        let _ = self.refresh(deadline, None).await;
                        to.map(|to| (self.link(&to), Request::Plain(cmd)))
                    }
                    // A node that was cut off or started again may be the last to hear that another one took its slots over.
                    ("READONLY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN", _) => {
                        self.new_owner(slot, &link, deadline).await.map(|to| (to, Request::Plain(cmd)))
                    }
                    _ => None,
                },
                Failure::NotSent(_) => {
                    self.new_owner(slot, &link, deadline).await.map(|to| (to, Request::Plain(cmd)))
                }
                Failure::Lost(_) => None,
            };
            let Some(next) = next else { return Err(failure) };
            (link, request) = next;
            patience = deadline;
        }
    }

    /// Who has the slot now, if it is another node than before, which is the last one to be asked.
    async fn new_owner(&self, slot: u16, before: &Arc<Link>, deadline: Instant) -> Option<Arc<Link>> {
        self.refresh(deadline, Some(before)).await.ok()?;
        self.owner(slot).filter(|now| !Arc::ptr_eq(now, before))
    }

    fn owner(&self, slot: u16) -> Option<Arc<Link>> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        let at = owners.partition_point(|owner| owner.last < slot);
        owners.get(at).filter(|owner| owner.first <= slot).map(|owner| Arc::clone(&owner.link))
    }

    /// Of the slots that one node has, the first.
    pub(crate) fn one_for_each_node(&self, slots: impl IntoIterator<Item = u16>) -> Vec<u16> {
        let mut found: Vec<(u16, Option<Arc<Link>>)> = Vec::new();
        for slot in slots {
            let owner = self.owner(slot);
            let is_new = |(_, known): &(u16, Option<Arc<Link>>)| match (known, &owner) {
                (Some(known), Some(owner)) => !Arc::ptr_eq(known, owner),
                (known, owner) => known.is_some() || owner.is_some(),
            };
            if found.iter().all(is_new) {
                found.push((slot, owner));
            }
        }
        found.into_iter().map(|(slot, _)| slot).collect()
    }

    fn link(&self, address: &Address) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry(address.clone()).or_insert_with(|| {
            Arc::new(Link::new(Target::Server(address.clone()), Arc::clone(&self.connector)))
        });
        Arc::clone(link)
    }

    /// Asks the nodes who has which slot, or waits for whoever does so already.
    pub(crate) async fn refresh(
        &self,
        deadline: Instant,
        doubted: Option<&Arc<Link>>,
    ) -> Result<(), Failure> {
        let too_late = || Failure::NotSent(Cause::new("the nodes of the cluster did not answer in time"));
        let seen = self.asked.load(Ordering::Acquire);
        let _turn = timeout_at(deadline, self.asking.lock()).await.map_err(|_| too_late())?;
        if self.asked.load(Ordering::Acquire) != seen {
            return Ok(());
        }
        let found =
            timeout_at(deadline, self.ask_all(deadline, doubted)).await.unwrap_or_else(|_| Err(too_late()));
        self.asked.fetch_add(1, Ordering::Release);
        let owners = found?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|address, link| {
            self.seeds.contains(address) || owners.iter().any(|owner| Arc::ptr_eq(&owner.link, link))
        });
        drop(links);
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = owners.into();
        Ok(())
    }

    /// The first answer counts. Who is connected is asked first, who is in doubt last, and each gets its share of the time.
    async fn ask_all(&self, deadline: Instant, doubted: Option<&Arc<Link>>) -> Result<Vec<Owner>, Failure> {
        let mut question = cmd("CLUSTER");
        question.arg("SLOTS");
        let mut links: Vec<_> = self.seeds.iter().map(|seed| self.link(seed)).collect();
        for known in self.links.lock().unwrap_or_else(PoisonError::into_inner).values() {
            if !links.iter().any(|link| Arc::ptr_eq(link, known)) {
                links.push(Arc::clone(known));
            }
        }
        let in_doubt = |link: &Arc<Link>| doubted.is_some_and(|doubted| Arc::ptr_eq(doubted, link));
        links.sort_by_key(|link| (in_doubt(link), link.live().is_none()));
        let share = self.connector.connection_timeout / u32::try_from(links.len().max(1)).unwrap_or(u32::MAX);
        let mut last = Failure::NotSent(Cause::new("the cluster has no node that can be asked"));
        for link in links {
            match timeout(share, link.call(Request::Plain(&question), deadline)).await {
                Ok(Ok(answer)) => match self.read_slots(&answer, &link) {
                    Some(owners) => return Ok(owners),
                    None => last = Failure::NotSent(Cause::new("a node does not know who has which slot")),
                },
                Ok(Err(failure)) => last = failure,
                Err(_) => last = Failure::NotSent(Cause::new("a node of the cluster is silent")),
            }
        }
        Err(last)
    }

    /// Each entry: first slot, last slot, the master as host, port and more, then its replicas.
    fn read_slots(&self, answer: &Value, asked: &Link) -> Option<Vec<Owner>> {
        let Value::Array(entries) = answer else { return None };
        let mut owners = Vec::with_capacity(entries.len());
        for entry in entries {
            let Value::Array(entry) = entry else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = entry.as_slice() else {
                return None;
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let address = Address {
                host: known_host(text(host).unwrap_or_default(), asked)?,
                port: u16::try_from(*port).ok()?,
            };
            if first <= last && last < SLOTS {
                owners.push(Owner { first, last, link: self.link(&address) });
            }
        }
        owners.sort_by_key(|owner| owner.first);
        (!owners.is_empty()).then_some(owners)
    }
}

/// `host:port`, as a redirection says it.
fn address(text: &str, asked: &Link) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    Some(Address { host: known_host(host, asked)?, port: port.parse().ok()? })
}

/// A node that does not know its own name means the one that we reached it by.
fn known_host(host: &str, asked: &Link) -> Option<Arc<str>> {
    match (host, asked.target()) {
        ("" | "?", Target::Server(address)) => Some(Arc::clone(&address.host)),
        ("" | "?", Target::Master(_)) => None,
        _ => Some(host.into()),
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

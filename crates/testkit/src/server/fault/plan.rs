//! Which fault is due at which endpoint.

use std::collections::{HashMap, VecDeque};

use super::Fault;
use crate::server::ledger::Endpoint;

#[derive(Default)]
pub(in crate::server) struct Plan {
    next: HashMap<Endpoint, VecDeque<Fault>>,
    all: HashMap<Endpoint, Fault>,
}

impl Plan {
    pub(in crate::server) fn next(&mut self, endpoint: Endpoint, fault: Fault) {
        self.next.entry(endpoint).or_default().push_back(fault);
    }

    pub(in crate::server) fn all(&mut self, endpoint: Endpoint, fault: Fault) {
        self.all.insert(endpoint, fault);
    }

    pub(in crate::server) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault for the request at hand. Those of the callback wait for the request that answers with one,
    /// which may be the consent page's form and not the one that opened the page.
    pub(in crate::server) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let queue = self.next.get_mut(&endpoint);
        if let Some(queue) = queue {
            if queue
                .front()
                .is_some_and(|fault| endpoint != Endpoint::Authorization || !fault.is_of_callback())
            {
                return queue.pop_front();
            }
        }
        self.all
            .get(&endpoint)
            .filter(|fault| endpoint != Endpoint::Authorization || !fault.is_of_callback())
            .cloned()
    }

    /// The fault for the callback that is about to leave.
    pub(in crate::server) fn take_of_callback(&mut self) -> Option<Fault> {
        let endpoint = Endpoint::Authorization;
        if let Some(queue) = self.next.get_mut(&endpoint) {
            if queue.front().is_some_and(Fault::is_of_callback) {
                return queue.pop_front();
            }
        }
        self.all.get(&endpoint).filter(|fault| fault.is_of_callback()).cloned()
    }
}

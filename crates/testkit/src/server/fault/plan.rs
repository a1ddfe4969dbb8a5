//! Which fault is due at which endpoint.

use super::{Fault, FaultSpan, SetFault};
use crate::server::ledger::Endpoint;

#[derive(Default)]
pub(in crate::server) struct Plan(Vec<SetFault>);

impl Plan {
    pub(in crate::server) fn next(&mut self, endpoint: Endpoint, fault: Fault) {
        self.0.push(SetFault { endpoint, fault, span: FaultSpan::Next });
    }

    /// One for each endpoint: it takes the place of the one before.
    pub(in crate::server) fn all(&mut self, endpoint: Endpoint, fault: Fault) {
        self.0.retain(|set| set.endpoint != endpoint || set.span != FaultSpan::Every);
        self.0.push(SetFault { endpoint, fault, span: FaultSpan::Every });
    }

    pub(in crate::server) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in crate::server) fn set(&self) -> &[SetFault] {
        &self.0
    }

    /// The fault for the request at hand. Those of the callback wait for the request that answers with one,
    /// which may be the consent page's form and not the one that opened the page.
    pub(in crate::server) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.due(endpoint, |fault| endpoint != Endpoint::Authorization || !fault.is_of_callback())
    }

    /// The fault for the callback that is about to leave.
    pub(in crate::server) fn take_of_callback(&mut self) -> Option<Fault> {
        self.due(Endpoint::Authorization, Fault::is_of_callback)
    }

    /// The first in line, which is used up, or else the one for every request.
    fn due(&mut self, endpoint: Endpoint, is_due: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let first = |span| self.0.iter().position(|set| set.endpoint == endpoint && set.span == span);
        let shows = |at: &usize| self.0.get(*at).is_some_and(|set| is_due(&set.fault));
        if let Some(next) = first(FaultSpan::Next).filter(shows) {
            return Some(self.0.remove(next).fault);
        }
        let every = first(FaultSpan::Every).filter(shows)?;
        self.0.get(every).map(|set| set.fault.clone())
    }
}

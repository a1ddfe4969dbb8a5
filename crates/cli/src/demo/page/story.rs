//! The story that the page tells: what the client saw, what the servers' ledgers say, in the order in which it happened.

use std::sync::{Mutex, MutexGuard, PoisonError};

use authflow::{Error, HttpResponse};
use authflow_testkit::{Endpoint, Fault, FaultSpan, SetFault};
use url::Url;

use super::feed::{Feed, Lane, Line, Tone};
use super::party::Party;
use super::{faults, ledger};
use crate::demo::own::Own;
use crate::demo::stage::{Stage, api_error};

/// The servers, and what is told of them.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) feed: Feed,
    /// The demo's own, of which everything is known.
    pub(super) stages: Vec<Stage>,
    /// The user's, of which nothing is known but what it says to the application.
    pub(super) own: Option<Own>,
    /// Held while something is told, so that what is told has one order.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The first entry of each ledger that is not told yet, in the order of the stages.
    next: Vec<u64>,
    /// The faults that showed and were not yet followed by a success.
    suffered: Vec<Suffered>,
    /// Where the API has refused a token for which no other was to be had.
    refused: Vec<Party>,
}

/// A fault that showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suffered {
    provider: Party,
    name: &'static str,
    endpoint: Endpoint,
}

impl Story {
    pub(super) fn new(stages: Vec<Stage>, own: Option<Own>) -> Self {
        let inner = Inner { next: vec![0; stages.len()], ..Inner::default() };
        Self { feed: Feed::new(), stages, own, inner: Mutex::new(inner) }
    }

    /// All, in the order in which they are shown.
    pub(super) fn parties(&self) -> impl Iterator<Item = Party> {
        self.own.iter().map(|_| Party::Own).chain(self.stages.iter().map(Stage::party))
    }

    /// Whose provider id it is.
    pub(super) fn party_of(&self, id: &str) -> Option<Party> {
        self.parties().find(|party| party.id() == id)
    }

    /// The server, where it is one of the demo's own.
    pub(super) fn stage(&self, party: Party) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.party() == party)
    }

    /// What the page calls it.
    pub(super) fn title(&self, party: Party) -> &str {
        match self.stage(party) {
            Some(stage) => stage.title(),
            None => self.own.as_ref().map_or("a provider", Own::title),
        }
    }

    /// Whether it says in a callback who answers, and that is compared.
    pub(super) fn has_issuer(&self, party: Party) -> bool {
        match self.stage(party) {
            Some(stage) => stage.has_issuer(),
            None => self.own.as_ref().is_some_and(Own::has_issuer),
        }
    }

    /// Where the access token is used, if that is known.
    pub(super) fn resource(&self, party: Party) -> Option<Url> {
        match self.stage(party) {
            Some(stage) => stage.resource().ok(),
            None => self.own.as_ref()?.resource().cloned(),
        }
    }

    /// Why its API said no.
    pub(super) fn api_error(&self, party: Party, response: &HttpResponse) -> Error {
        self.stage(party).map_or_else(|| api_error(response), |stage| stage.api_error(response))
    }

    /// Tells a line, after everything that the servers have written down so far.
    pub(super) fn tell(&self, provider: impl Into<Option<Party>>, line: Line) {
        let _inner = self.caught_up();
        self.feed.push(provider.into(), line);
    }

    pub(super) fn note(&self, provider: Party, tone: Tone, text: impl Into<String>) {
        self.tell(provider, Line::Note { at: Lane::Application, text: text.into(), tone });
    }

    /// A note of something that went well. Where a fault at one of these endpoints came before it, the fault was survived.
    pub(super) fn success(&self, provider: Party, proves: &[Endpoint], text: &str) {
        let mut inner = self.caught_up();
        let mut survived: Vec<&str> = Vec::new();
        inner.suffered.retain(|suffered| {
            let is_over = suffered.provider == provider && proves.contains(&suffered.endpoint);
            if is_over {
                survived.push(suffered.name);
            }
            !is_over
        });
        let (text, tone) = match survived.as_slice() {
            [] => (text.to_owned(), Tone::Good),
            [name] => (format!("{text} The fault {name} was survived."), Tone::Survived),
            names => (format!("{text} The faults {} were survived.", names.join(" and ")), Tone::Survived),
        };
        self.feed.push(Some(provider), Line::Note { at: Lane::Application, text, tone });
    }

    /// The API does not accept the token, and nothing brings another: only the user can.
    pub(super) fn refused(&self, provider: Party) {
        let mut inner = self.caught_up();
        if !inner.refused.contains(&provider) {
            inner.refused.push(provider);
        }
    }

    /// There is a token that was not refused, or none at all.
    pub(super) fn not_refused(&self, provider: Party) {
        self.caught_up().refused.retain(|refused| *refused != provider);
    }

    pub(super) fn is_refused(&self, provider: Party) -> bool {
        self.caught_up().refused.contains(&provider)
    }

    /// Something failed, or the connection is gone: nothing that comes later has survived what came before.
    pub(super) fn forget_faults(&self, provider: Party) {
        self.caught_up().suffered.retain(|suffered| suffered.provider != provider);
    }

    /// Tells what is new in the ledgers.
    pub(super) fn catch_up(&self) {
        drop(self.caught_up());
    }

    fn caught_up(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { next, suffered, .. } = &mut *inner;
        for (stage, next) in self.stages.iter().zip(next) {
            for entry in stage.server.ledger().entries_from(*next) {
                *next = entry.sequence().saturating_add(1);
                if let Some(fault) = entry.fault().filter(|fault| faults::is_met(fault, stage)) {
                    let new =
                        Suffered { provider: stage.party(), name: fault.name(), endpoint: entry.endpoint() };
                    if !suffered.contains(&new) {
                        suffered.push(new);
                    }
                }
                for line in ledger::lines(&entry, stage) {
                    self.feed.push(Some(stage.party()), line);
                }
            }
        }
        inner
    }

    /// Switches a fault on.
    pub(super) fn misbehave(&self, stage: &Stage, fault: &Fault, span: FaultSpan) {
        // Told before a request shows it.
        let _inner = self.caught_up();
        match span {
            FaultSpan::Next => stage.server.fault_next(fault.endpoint(), fault.clone()),
            FaultSpan::Every => stage.server.set_fault(fault.clone()),
        }
        let often = match span {
            FaultSpan::Next => "with the next request to",
            FaultSpan::Every => "with every request to",
        };
        let place = match fault.endpoint() {
            Endpoint::Authorization => "its authorization endpoint",
            Endpoint::Resource => "its API",
            _ => "its token endpoint",
        };
        let text = format!("A fault is on: {fault}, {often} {place}: {}.", faults::about(fault, stage));
        let at = if fault.endpoint() == Endpoint::Resource { Lane::Api } else { Lane::Server };
        self.feed.push(Some(stage.party()), Line::Note { at, text, tone: Tone::Warn });
    }

    /// All servers behave again.
    pub(super) fn behave(&self) {
        let _inner = self.caught_up();
        let had_faults = self.faults().next().is_some();
        for stage in &self.stages {
            stage.server.clear_faults();
        }
        if had_faults {
            let text = "All faults are off.".to_owned();
            self.feed.push(None, Line::Note { at: Lane::Server, text, tone: Tone::Good });
        }
    }

    /// The faults that are on, as the servers know them.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&Stage, SetFault)> {
        self.stages.iter().flat_map(|stage| stage.server.faults().into_iter().map(move |set| (stage, set)))
    }
}

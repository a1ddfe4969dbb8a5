//! The story that the page tells: what the client saw, what the servers' ledgers say, in the order in which it happened.

use std::sync::{Mutex, MutexGuard, PoisonError};

use authflow_testkit::{Endpoint, Entry, Fault, Outcome};

use super::feed::{Feed, Lane, Line, Tone};
use super::ledger;
use crate::args::DemoProvider;
use crate::demo::stage::Stage;

/// The servers, what is told of them, and how they misbehave.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) feed: Feed,
    pub(super) stages: Vec<Stage>,
    /// Held while something is told, so that what is told has one order.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many entries of each ledger are told, in the order of the stages.
    told: Vec<usize>,
    active: Vec<Active>,
    /// The faults that showed and were not yet followed by a success.
    suffered: Vec<Suffered>,
}

/// A fault that showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suffered {
    provider: DemoProvider,
    name: &'static str,
    endpoint: Endpoint,
}

/// A fault that is switched on.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) provider: DemoProvider,
    pub(super) fault: Fault,
    pub(super) span: Span,
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// The next request to the endpoint that it is about.
    Next,
    /// Every one, until it is switched off.
    Every,
}

impl Story {
    pub(super) fn new(stages: Vec<Stage>) -> Self {
        let inner = Inner { told: vec![0; stages.len()], ..Inner::default() };
        Self { feed: Feed::new(), stages, inner: Mutex::new(inner) }
    }

    pub(super) fn stage(&self, provider: DemoProvider) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.provider == provider)
    }

    /// The stage of a provider id.
    pub(super) fn stage_of(&self, id: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id() == id)
    }

    /// Tells a line, after everything that the servers have written down so far.
    pub(super) fn tell(&self, provider: impl Into<Option<DemoProvider>>, line: Line) {
        let _inner = self.caught_up();
        self.feed.push(provider.into(), line);
    }

    pub(super) fn note(&self, provider: DemoProvider, tone: Tone, text: impl Into<String>) {
        self.tell(provider, Line::Note { at: Lane::Application, text: text.into(), tone });
    }

    /// A note of something that went well. Where a fault at one of these endpoints came before it, the fault was survived.
    pub(super) fn success(&self, provider: DemoProvider, proves: &[Endpoint], text: &str) {
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

    /// The connection is lost or gone: nothing that comes later has survived what came before.
    pub(super) fn forget_faults(&self, provider: DemoProvider) {
        self.caught_up().suffered.retain(|suffered| suffered.provider != provider);
    }

    /// Tells what is new in the ledgers.
    pub(super) fn catch_up(&self) {
        drop(self.caught_up());
    }

    fn caught_up(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, stage) in self.stages.iter().enumerate() {
            let told = inner.told.get(at).copied().unwrap_or_default();
            if stage.server.ledger().len() <= told {
                continue;
            }
            let entries = stage.server.ledger().entries();
            for entry in entries.iter().skip(told) {
                inner.follow(stage.provider, entry);
                for line in ledger::lines(entry) {
                    self.feed.push(Some(stage.provider), line);
                }
            }
            if let Some(told) = inner.told.get_mut(at) {
                *told = entries.len();
            }
        }
        inner
    }

    /// Switches a fault on.
    pub(super) fn misbehave(&self, stage: &Stage, fault: &Fault, span: Span) {
        let mut inner = self.caught_up();
        match span {
            Span::Next => stage.server.fault_next(fault.endpoint(), fault.clone()),
            Span::Every => {
                // The server knows one for each endpoint.
                inner.active.retain(|active| {
                    active.provider != stage.provider
                        || active.span == Span::Next
                        || active.fault.endpoint() != fault.endpoint()
                });
                stage.server.set_fault(fault.clone());
            }
        }
        inner.active.push(Active { provider: stage.provider, fault: fault.clone(), span });
        let often = match span {
            Span::Next => "with the next request to",
            Span::Every => "with every request to",
        };
        let place = match fault.endpoint() {
            Endpoint::Authorization => "its authorization endpoint",
            Endpoint::Resource => "its API",
            _ => "its token endpoint",
        };
        let text = format!("A fault is on: {fault}, {often} {place}: {}.", fault.about());
        let at = if fault.endpoint() == Endpoint::Resource { Lane::Api } else { Lane::Server };
        self.feed.push(Some(stage.provider), Line::Note { at, text, tone: Tone::Bad });
    }

    /// All servers behave again.
    pub(super) fn behave(&self) {
        let mut inner = self.caught_up();
        for stage in &self.stages {
            stage.server.clear_faults();
        }
        if !std::mem::take(&mut inner.active).is_empty() {
            let text = "All faults are off.".to_owned();
            self.feed.push(None, Line::Note { at: Lane::Server, text, tone: Tone::Good });
        }
    }

    pub(super) fn faults(&self) -> Vec<Active> {
        self.caught_up().active.clone()
    }
}

impl Inner {
    /// Which faults are used up, and which showed.
    fn follow(&mut self, provider: DemoProvider, entry: &Entry) {
        if let Some(fault) = entry.fault() {
            let suffered = Suffered { provider, name: fault.name(), endpoint: entry.endpoint() };
            if !self.suffered.contains(&suffered) {
                self.suffered.push(suffered);
            }
        }
        // A fault of the callback waits for the request that is answered with one.
        let endpoint = match (entry.endpoint(), entry.outcome()) {
            (Endpoint::Authorization, Outcome::ConsentShown) if entry.fault().is_none() => return,
            (Endpoint::Consent, _) => Endpoint::Authorization,
            (endpoint, _) => endpoint,
        };
        let used = self.active.iter().position(|active| {
            active.provider == provider && active.span == Span::Next && active.fault.endpoint() == endpoint
        });
        if let Some(used) = used {
            self.active.remove(used);
        }
    }
}

//! What an endpoint has at hand while it answers one request.

use std::time::SystemTime;

use super::{
    config::Config,
    fault::Fault,
    ledger::{Issued, IssuedKind, Outcome},
    request::Received,
    state::State,
};

pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) state: &'a mut State,
    pub(super) now: SystemTime,
    pub(super) request: &'a Received,
    /// The fault that is due at this endpoint.
    pub(super) fault: Option<Fault>,
    pub(super) note: Note,
}

/// What the ledger will say.
#[derive(Default)]
pub(super) struct Note {
    pub(super) outcome: Option<Outcome>,
    pub(super) client: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) grant: Option<u64>,
    pub(super) issued: Vec<Issued>,
    /// The fault that was shown.
    pub(super) fault: Option<Fault>,
}

impl Note {
    pub(super) fn issued(&mut self, kind: IssuedKind, value: &str) {
        self.issued.push(Issued::new(kind, value));
    }
}

impl Context<'_> {
    /// Notes which grant, client and user the request is about.
    pub(super) fn note_grant(&mut self, index: usize) {
        self.note.grant = u64::try_from(index).ok();
        if let Some(grant) = self.state.grant(index) {
            self.note.client = Some(grant.client.clone());
            self.note.subject = Some(grant.subject.clone()).filter(|subject| !subject.is_empty());
        }
    }
}

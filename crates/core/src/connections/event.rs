//! What happens to connections, for those who want to know.

use std::time::SystemTime;

use tokio::sync::broadcast;

use crate::connection_key::ConnectionKey;
use crate::error::ErrorKind;

use super::contents::ReconnectReason;

/// Something happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// To which connection.
    pub key: ConnectionKey,
    /// When, by the wall clock.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A flow was completed, and the connection is saved.
    Connected,
    /// It was refreshed here, and saved. A refresh by another process is not told.
    Refreshed,
    /// A refresh failed, and may be tried again.
    RefreshFailed(ErrorKind),
    /// It was refreshed, and the store does not take the new tokens: they are kept in memory, and tried again.
    NotDurable,
    /// Its user has to connect again.
    NeedsReconnect(ReconnectReason),
    /// It was disconnected here.
    Disconnected,
}

impl EventKind {
    /// A short name, fit for a metric's label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refreshed => "refreshed",
            Self::RefreshFailed(_) => "refresh_failed",
            Self::NotDurable => "not_durable",
            Self::NeedsReconnect(_) => "needs_reconnect",
            Self::Disconnected => "disconnected",
        }
    }
}

/// The events since [`Connections::subscribe`](super::Connections::subscribe).
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

/// What [`Events::next`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// The next event.
    Event(Event),
    /// So many events were not fetched in time, and are gone.
    Missed(u64),
}

/// How many events are kept for a subscriber who does not fetch them.
const KEPT: usize = 1024;

pub(super) fn channel() -> broadcast::Sender<Event> {
    broadcast::Sender::new(KEPT)
}

impl Events {
    pub(super) const fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// Waits for the next event; `None` once all [`Connections`](super::Connections) are gone. A subscriber that is slow does
    /// not hold up what it watches: the oldest events are dropped, and it is told how many.
    pub async fn next(&mut self) -> Option<Next> {
        match self.0.recv().await {
            Ok(event) => Some(Next::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Next::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

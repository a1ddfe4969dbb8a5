//! What came of a flow, or of a disconnect.

use authflow_core::{Connected, ConnectionKey, Disconnected, Error};

/// What came of a flow, or of a disconnect. Its `Debug` holds no code, state or token.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// An account was connected, by the user who was signed in all the time.
    Connected(Connected),
    /// Somebody signed in with a provider: `key.user()` is who it is. The connection is saved.
    ///
    /// **Begin a new session** for this user, with a new id, and let go of the one that the browser came with: whoever planted
    /// that one would be signed in too (session fixation).
    SignedIn(Connected),
    /// The user said no, or the provider for the user.
    Denied {
        /// The provider id.
        provider_id: Box<str>,
        /// The provider's words are in it: for a log, not for a page.
        error: Error,
    },
    /// The flow ended without a connection.
    Failed {
        /// The provider id.
        provider_id: Box<str>,
        /// What went wrong.
        error: Error,
    },
    /// The user disconnected an account.
    Disconnected {
        /// Which connection it was.
        key: ConnectionKey,
        /// What came of each step.
        disconnected: Disconnected,
    },
}

//! What a caller gets, and what is kept of a connection in memory.

use std::fmt;
use std::sync::Arc;

use crate::connection_key::ConnectionKey;
use crate::scopes::Scopes;
use crate::token::Expiry;
use crate::token_store::{RefreshMark, Version};

use super::contents::Contents;
use super::inner::Instant;

/// A connection as it was read, or as it was made.
#[derive(Debug)]
pub(super) struct View {
    pub(super) key: ConnectionKey,
    pub(super) contents: Contents,
    /// That of the store; where it is not saved yet, the one that it will get.
    pub(super) version: Version,
    pub(super) mark: Option<RefreshMark>,
    pub(super) is_saved: bool,
    /// When this process first saw this version.
    pub(super) first_seen: Instant,
}

impl View {
    /// The version that its tokens came with. They may be written in a later one.
    pub(super) fn came_with(&self) -> Version {
        self.contents.came_with(self.version)
    }
}

/// An access token of a connection. A clone is a pointer. Its `Debug` shows no token.
#[derive(Clone)]
pub struct AccessToken(pub(super) Arc<Held>);

/// One more pointer, so that each handle can count its own, and no two counts share a cache line.
#[repr(align(64))]
pub(super) struct Held(pub(super) Arc<View>);

impl AccessToken {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self(Arc::new(Held(view)))
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.0.0
    }

    /// The same token, counted by itself: threads that each hold their own do not wait for each other's counters.
    pub(super) fn apart(&self) -> Self {
        Self::new(Arc::clone(self.view()))
    }

    /// The access token, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.view().contents.tokens.access_token.expose()
    }

    /// Until when it is good, as far as the provider said.
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        self.view().contents.tokens.expiry
    }

    /// The scopes that were granted.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.view().contents.tokens.scopes
    }

    /// The token type as the provider wrote it (RFC 6749 §7.1).
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.view().contents.tokens.token_type.as_deref()
    }

    /// Whose connection it is of.
    #[must_use]
    pub fn key(&self) -> &ConnectionKey {
        &self.view().key
    }

    /// The version of the connection that it is of: another one after each refresh, and after one that failed where all
    /// processes are told to wait.
    #[must_use]
    pub fn version(&self) -> Version {
        self.view().version
    }

    /// Whether the store has it. Where the store did not take a new token, this process serves it from memory and goes on
    /// trying; if the process ends before it gets through, the connection may be lost.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.view().is_saved
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("key", self.key())
            .field("expiry", &self.expiry())
            .field("is_saved", &self.is_saved())
            .finish_non_exhaustive()
    }
}

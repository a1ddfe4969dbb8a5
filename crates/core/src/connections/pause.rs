//! That a provider is not asked for a while: written into the record, so that every process keeps to it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::token::TokenSet;
use crate::token_store::{LeaseHolder, RefreshMark, Version};

use super::contents::{milliseconds, time};
use super::plan::LEEWAY;

/// What is known since the provider did not refresh a token set, and until when nobody asks it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// When the tokens came that it is about. A release that knows no pauses writes it again beside newer tokens.
    received_at: u64,
    /// The counter of the version that they came with.
    came_with: u64,
    /// By the wall clock of who asked.
    from: u64,
    until: u64,
    reason: Reason,
    /// How many failures there were in a row.
    pub(super) failures: u32,
    /// The mark that a save takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
}

/// What the provider said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    RateLimited,
    /// Also a reason that a newer release wrote.
    #[serde(other)]
    Unavailable,
}

/// That it is not known whether the refresh token was used up: what a mark tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    holder: [u8; 16],
    refresh_token_hash: [u8; 32],
    started_at: u64,
    attempt: u32,
}

impl Doubt {
    fn of(mark: &RefreshMark) -> Self {
        Self {
            holder: *mark.holder.as_bytes(),
            refresh_token_hash: mark.refresh_token_hash,
            started_at: milliseconds(mark.started_at),
            attempt: mark.attempt,
        }
    }
}

impl Reason {
    /// Why everybody is to wait; none where that is no matter of the provider: a network, or a configuration, may be bad here
    /// and good elsewhere.
    pub(super) const fn of(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::RateLimited => Some(Self::RateLimited),
            ErrorKind::Unavailable => Some(Self::Unavailable),
            _ => None,
        }
    }
}

impl Pause {
    pub(super) fn new(
        tokens: &TokenSet,
        came_with: Version,
        (from, until): (SystemTime, SystemTime),
        reason: Reason,
        failures: u32,
        mark: Option<&RefreshMark>,
    ) -> Self {
        let doubt = mark.map(Doubt::of);
        Self {
            received_at: milliseconds(tokens.received_at),
            came_with: came_with.counter(),
            from: milliseconds(from),
            until: milliseconds(until),
            reason,
            failures,
            doubt,
        }
    }

    /// One that is over, and that nobody waits for, on whatever clock: it only carries `mark`.
    pub(super) fn none(tokens: &TokenSet, came_with: Version, mark: &RefreshMark) -> Self {
        let never = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        Self::new(tokens, came_with, never, Reason::Unavailable, 0, Some(mark))
    }

    /// The same, with a mark that came later than what it tells itself.
    pub(super) fn with_mark(mut self, mark: &RefreshMark) -> Self {
        self.doubt = Some(Doubt::of(mark));
        self
    }

    pub(super) fn is_about(&self, tokens: &TokenSet) -> bool {
        self.received_at == milliseconds(tokens.received_at)
    }

    /// The version that the tokens came with, if `version` is one that they are written in now.
    pub(super) fn came_with(&self, version: Version) -> Version {
        Version::new(*version.incarnation(), self.came_with.min(version.counter()))
    }

    pub(super) fn mark(&self) -> Option<RefreshMark> {
        let doubt = self.doubt.as_ref()?;
        let holder = LeaseHolder::from_bytes(doubt.holder);
        let mark = RefreshMark::new(holder, doubt.refresh_token_hash, time(doubt.started_at));
        Some(mark.attempt(doubt.attempt))
    }

    /// How long it lasts still; none once it is over. One that would last longer than it was meant to, or than any may, is not
    /// believed: a clock was wrong.
    pub(super) fn left(&self, now: SystemTime, longest: Duration) -> Option<Duration> {
        let left = time(self.until).duration_since(now).ok()?;
        let whole = Duration::from_millis(self.until.saturating_sub(self.from)).min(longest);
        (!left.is_zero() && left <= whole.saturating_add(LEEWAY)).then_some(left)
    }

    pub(super) fn error(&self, left: Duration) -> Error {
        let (kind, message) = match self.reason {
            Reason::RateLimited => (
                ErrorKind::RateLimited,
                "the provider limits how often it is asked, and was asked before; it is not asked again until it may be",
            ),
            Reason::Unavailable => (
                ErrorKind::Unavailable,
                "the provider could not answer when it was asked before; it is not asked again for a while",
            ),
        };
        Error::new(kind, message).with_retry_after(Some(left))
    }
}

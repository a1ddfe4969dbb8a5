//! A token that is served without a look at what is known of its connection.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::access::AccessToken;
use super::slots::Epoch;

/// Room for one token at hand.
#[derive(Debug, Default)]
pub(super) struct AtHand(RwLock<Option<Kept>>);

/// A token, and for how long it is good for being at hand.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) token: AccessToken,
    /// By the monotonic clock.
    pub(super) until: Duration,
    /// What was read before the token was looked up.
    pub(super) epoch: u64,
}

impl AtHand {
    pub(super) fn get(&self, now: Duration, epoch: &Epoch) -> Option<AccessToken> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(now, epoch)
    }

    pub(super) fn keep(&self, kept: Kept) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

impl Kept {
    /// The token, unless its time is over or something has changed since.
    pub(super) fn get(&self, now: Duration, epoch: &Epoch) -> Option<AccessToken> {
        (now < self.until && self.epoch == epoch.get()).then(|| self.token.clone())
    }
}

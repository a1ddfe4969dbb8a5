//! A token that is served without a look at what is known of its connection.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::access::AccessToken;
use super::slots::Epoch;

/// Room for one token, and for how long it is good for that.
#[derive(Debug, Default)]
pub(super) struct AtHand(RwLock<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    token: AccessToken,
    until: Duration,
    epoch: u64,
}

impl AtHand {
    /// The token, unless its time is over by the monotonic clock or something has changed since.
    pub(super) fn get(&self, now: Duration, epoch: &Epoch) -> Option<AccessToken> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        (now < kept.until && kept.epoch == epoch.get()).then(|| kept.token.clone())
    }

    /// Keeps a token that was obtained after `read` was read, unless something has changed since.
    pub(super) fn keep(&self, token: AccessToken, until: Duration, epoch: &Epoch, read: u64) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that what is cleared afterwards stays so.
        if epoch.get() == read {
            *kept = Some(Kept { token, until, epoch: read });
        }
    }

    pub(super) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

//! A handle to one connection, for those who ask often.

use std::fmt;
use std::sync::Arc;

use crate::connection_key::ConnectionKey;
use crate::error::Result;

use super::access::AccessToken;
use super::at_hand::{AtHand, Kept};
use super::inner::Inner;
use super::slots::Slot;

/// One connection at hand. Give each thread or task a clone of its own: then none waits for another's counters.
///
/// As long as it lives, this process does not forget the connection.
pub struct Handle {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    at_hand: AtHand,
}

impl Handle {
    pub(super) fn new(inner: Arc<Inner>, slot: Arc<Slot>) -> Self {
        Self { inner, slot, at_hand: AtHand::default() }
    }

    /// Which connection.
    #[must_use]
    pub fn key(&self) -> &ConnectionKey {
        &self.slot.key
    }

    /// An access token that is good now; as [`Connections::token`](super::Connections::token). While a token is good and was
    /// looked up less than 30 seconds ago (settable), this reads the monotonic clock and clones a pointer, and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Connections::token`](super::Connections::token).
    pub async fn token(&self) -> Result<AccessToken> {
        match self.at_hand.get(self.inner.clock.monotonic(), &self.slot.epoch) {
            Some(token) => Ok(token),
            // On the heap, so that the future of the many other calls is small. And a token of its own: no other thread counts it.
            None => Box::pin(self.fetch()).await,
        }
    }

    async fn fetch(&self) -> Result<AccessToken> {
        let own = |kept: Kept| {
            let token = kept.token.apart();
            self.at_hand.keep(Kept { token: token.clone(), ..kept });
            token
        };
        self.inner.fetch(&self.slot, own).await
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.inner), Arc::clone(&self.slot))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("key", &self.slot.key).finish_non_exhaustive()
    }
}

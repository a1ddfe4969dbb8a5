//! A handle to one connection, for those who ask often.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::connection_key::ConnectionKey;
use crate::error::{Operation, Result};

use super::access::AccessToken;
use super::failure;
use super::inner::Inner;
use super::plan::Demand;
use super::slots::Slot;

/// One connection at hand. Give each thread or task a clone of its own: then none waits for another's counters.
///
/// As long as it lives, this process does not forget the connection.
pub struct Handle {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    local: RwLock<Option<Local>>,
}

/// What this handle may serve without asking.
struct Local {
    token: AccessToken,
    until: Duration,
    epoch: u64,
}

impl Handle {
    pub(super) const fn new(inner: Arc<Inner>, slot: Arc<Slot>) -> Self {
        Self { inner, slot, local: RwLock::new(None) }
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
        match self.at_hand() {
            Some(token) => Ok(token),
            // On the heap, so that the future of the many other calls is small.
            None => Box::pin(self.fetch()).await,
        }
    }

    fn at_hand(&self) -> Option<AccessToken> {
        let now = self.inner.clock.monotonic();
        let local = self.local.read().unwrap_or_else(PoisonError::into_inner);
        let local = local.as_ref()?;
        (now < local.until && local.epoch == self.slot.epoch()).then(|| local.token.clone())
    }

    async fn fetch(&self) -> Result<AccessToken> {
        // Read before: a change that comes in between is seen the next time.
        let epoch = self.slot.epoch();
        let obtained = self.inner.obtain_until(&self.slot, Demand::Valid).await;
        let (token, until) =
            obtained.map_err(|error| failure::at(error, &self.slot.key, Operation::Token))?;
        if token.is_saved() && until > Duration::ZERO {
            let token = token.apart();
            let mut local = self.local.write().unwrap_or_else(PoisonError::into_inner);
            *local = Some(Local { token: token.clone(), until, epoch });
            return Ok(token);
        }
        Ok(token)
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

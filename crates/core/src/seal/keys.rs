//! The key ring at hand.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::key_ring::KeyRing;
use super::sources::KeySource;
use super::{Opened, SealContext};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::wait::within;

/// A key ring from a [`KeySource`], kept at hand. Cheap to clone.
///
/// - The source is asked at the first use, and then again in the background when the ring is older than
///   [`fresh_for`](KeysBuilder::fresh_for): nobody waits for it while there is a ring.
/// - While the source is down, the last ring is used, however old it is. Without one, what needs a key fails with
///   [`ErrorKind::KeysUnavailable`], which may be retried. Nothing is ever written unsealed.
/// - A record whose key the ring does not have makes the source be asked at once: another machine may have got the new key
///   first.
/// - However many ask, the source is asked once at a time, for no longer than the [`deadline`](KeysBuilder::deadline), and not
///   again within the [`cool_down`](KeysBuilder::cool_down).
///
/// ```
/// use authflow_core::{KeyRing, Keys, SealContext};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let keys = Keys::new(KeyRing::generate()?);
/// let cx = SealContext { user: "user-42", ..SealContext::new("connection") };
/// let sealed = keys.seal(&cx, b"tokens").await?;
/// let opened = keys.open(&cx, &sealed).await?;
/// assert_eq!(opened.bytes().expose(), b"tokens");
/// assert!(!opened.needs_reseal());
/// # Ok::<(), authflow_core::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    source: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    fresh_for: Duration,
    deadline: Duration,
    cool_down: Duration,
    known: RwLock<Known>,
    /// Held by the one who asks the source.
    asking: tokio::sync::Mutex<()>,
}

/// What is known. Times are monotonic.
#[derive(Clone, Default)]
struct Known {
    ring: Option<KeyRing>,
    loaded_at: Duration,
    /// Counts the answers, so that who waited for one sees that it came.
    answers: u64,
    failure: Option<(Arc<Error>, Duration)>,
}

/// Sets up [`Keys`].
#[derive(Clone, Debug)]
#[must_use]
pub struct KeysBuilder {
    source: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    fresh_for: Duration,
    deadline: Duration,
    cool_down: Duration,
}

impl KeysBuilder {
    /// Where the time comes from.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// After how long the source is asked again. 5 minutes if not set. So long may a key that was removed still open, on a
    /// machine whose source answers.
    pub const fn fresh_for(mut self, duration: Duration) -> Self {
        self.fresh_for = duration;
        self
    }

    /// How long the source may take. 5 seconds if not set.
    pub const fn deadline(mut self, duration: Duration) -> Self {
        self.deadline = duration;
        self
    }

    /// How long the source is left alone after an answer or a failure. 1 second if not set.
    pub const fn cool_down(mut self, duration: Duration) -> Self {
        self.cool_down = duration;
        self
    }

    /// The keys. The source is not asked yet.
    pub fn build(self) -> Keys {
        Keys(Arc::new(Inner {
            source: self.source,
            clock: self.clock,
            fresh_for: self.fresh_for,
            deadline: self.deadline,
            cool_down: self.cool_down,
            known: RwLock::default(),
            asking: tokio::sync::Mutex::new(()),
        }))
    }
}

impl<S: KeySource> From<S> for Keys {
    fn from(source: S) -> Self {
        Self::new(source)
    }
}

impl Keys {
    /// The keys of `source`. The source is not asked yet.
    pub fn new(source: impl KeySource) -> Self {
        Self::builder(source).build()
    }

    /// Sets up the keys of `source`.
    pub fn builder(source: impl KeySource) -> KeysBuilder {
        KeysBuilder {
            source: Arc::new(source),
            clock: Arc::new(SystemClock::new()),
            fresh_for: Duration::from_secs(300),
            deadline: Duration::from_secs(5),
            cool_down: Duration::from_secs(1),
        }
    }

    /// The key ring. It waits for the source only where there is none yet: await it once at the start of a program, and a
    /// missing key is found there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeysUnavailable`] if there is none yet and the source does not give one; the source's own
    /// [`ErrorKind::Configuration`].
    pub async fn ring(&self) -> Result<KeyRing> {
        let known = self.known();
        let Some(ring) = known.ring.clone() else {
            return Box::pin(self.ask(known.answers)).await;
        };
        let now = self.0.clock.monotonic();
        // While the source is left alone, each call would start a task for nothing.
        if now.saturating_sub(known.loaded_at) >= self.0.fresh_for && self.cooling(&known, now).is_none() {
            Box::pin(self.ask_in_background(known.answers)).await;
        }
        Ok(ring)
    }

    /// What [`KeySource::check`] finds.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.source.check()
    }

    /// Seals; see [`KeyRing::seal`].
    ///
    /// # Errors
    ///
    /// As [`ring`](Self::ring) and [`KeyRing::seal`].
    pub async fn seal(&self, cx: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        self.ring().await?.seal(cx, plaintext)
    }

    /// Opens; see [`KeyRing::open`]. Where the key is unknown, the source is asked before that is said.
    ///
    /// # Errors
    ///
    /// As [`ring`](Self::ring) and [`KeyRing::open`]. If the key is unknown *and* the source cannot be asked,
    /// [`ErrorKind::KeysUnavailable`]: the key may be there.
    pub async fn open(&self, cx: &SealContext<'_>, sealed: &[u8]) -> Result<Opened> {
        let ring = self.ring().await?;
        let known = self.known();
        match ring.open(cx, sealed) {
            Err(error) if matches!(error.kind(), ErrorKind::KeyUnknown | ErrorKind::KeyWrong) => {
                match self.cooling(&known, self.0.clock.monotonic()) {
                    // It was asked a moment ago, and has no such key.
                    Some(Ok(ring)) => ring.open(cx, sealed),
                    Some(Err(failure)) => Err(failure),
                    None => Box::pin(self.ask(known.answers)).await?.open(cx, sealed),
                }
            }
            opened => opened,
        }
    }

    fn known(&self) -> Known {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the source said a moment ago, if it is to be left alone now.
    fn cooling(&self, known: &Known, now: Duration) -> Option<Result<KeyRing>> {
        let recent = |at: Duration| now.saturating_sub(at) < self.0.cool_down;
        if let Some((failure, at)) = &known.failure {
            let left = self.0.cool_down.saturating_sub(now.saturating_sub(*at));
            return recent(*at).then(|| Err(share(failure, left)));
        }
        known.ring.clone().filter(|_| recent(known.loaded_at)).map(Ok)
    }

    /// Asks the source, or waits for the answer to whoever asks it now. `seen` is the count of answers that were not enough.
    async fn ask(&self, seen: u64) -> Result<KeyRing> {
        let _asking = self.0.asking.lock().await;
        self.ask_alone(seen).await
    }

    async fn ask_alone(&self, seen: u64) -> Result<KeyRing> {
        let known = self.known();
        if known.answers != seen {
            if let (Some(ring), None) = (known.ring.clone(), &known.failure) {
                return Ok(ring);
            }
        }
        if let Some(Err(failure)) = self.cooling(&known, self.0.clock.monotonic()) {
            return Err(failure);
        }
        let answer = match within(self.0.source.key_ring(), self.0.clock.sleep(self.0.deadline)).await {
            Some(answer) => answer,
            None => Err(Error::new(
                ErrorKind::KeysUnavailable,
                format!(
                    "the key source did not answer within {:?}; nothing is sealed or opened without a key",
                    self.0.deadline
                ),
            )),
        };
        let now = self.0.clock.monotonic();
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.answers = known.answers.wrapping_add(1);
        match answer {
            Ok(ring) => {
                known.ring = Some(ring.clone());
                known.loaded_at = now;
                known.failure = None;
                Ok(ring)
            }
            Err(error) => {
                let failure = Arc::new(error);
                let shared = share(&failure, self.0.cool_down);
                known.failure = Some((failure, now));
                Err(shared)
            }
        }
    }

    /// Has the source asked, if nobody asks it already, and does not wait where there is a runtime to do it.
    async fn ask_in_background(&self, seen: u64) {
        let keys = self.clone();
        let ask = async move {
            if let Ok(_asking) = keys.0.asking.try_lock() {
                // A failure is kept for whoever needs more than the ring at hand.
                let _ = keys.ask_alone(seen).await;
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(ask)),
            Err(_) => ask.await,
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("source", &self.0.source)
            .field("ring", &self.known().ring)
            .finish_non_exhaustive()
    }
}

/// One failure for each who waited. What a person has to mend stays that; all else may be tried again.
fn share(failure: &Arc<Error>, after: Duration) -> Error {
    let kind = match failure.kind() {
        ErrorKind::Configuration => ErrorKind::Configuration,
        _ => ErrorKind::KeysUnavailable,
    };
    Error::new(kind, failure.to_string()).with_retry_after(Some(after)).with_cause_of(failure)
}

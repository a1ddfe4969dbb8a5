//! The state, the pending flow, and the store that keeps one for the other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};

use crate::binding::{Binding, User};
use crate::error::{Error, ErrorKind, Result};
use crate::flow::ReturnTo;
use crate::parts::Parts;
use crate::scopes::Scopes;
use crate::secret::Secret;

/// Under what a pending flow is stored: SHA-256 over provider id, state and binding, each with its kind and length.
///
/// Whoever lacks one of the three finds nothing. The key tells nothing about them; it may appear in logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey([u8; 32]);

impl StateKey {
    /// The key of `state` for a provider id and a binding.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`] if the binding is to this process and the operating system has no random bytes.
    pub fn new(provider_id: &str, state: &str, binding: &Binding) -> Result<Self> {
        Self::of(provider_id, state.as_bytes(), binding)
    }

    pub(crate) fn of(provider_id: &str, state: &[u8], binding: &Binding) -> Result<Self> {
        let mut parts = Parts::new(b"state 1");
        parts.add(b'r', provider_id.as_bytes());
        parts.add(b's', state);
        binding.add_to(&mut parts)?;
        Ok(Self(parts.hash()))
    }

    /// A key that was written before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({self})")
    }
}

/// What must be remembered between the redirect out and the callback.
///
/// It serializes, for applications that keep it in a session or a table of their own. It holds no token; the verifier is
/// useless without its code, and the code without the verifier. [`to_bytes`](Self::to_bytes) is the compact form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingFlow {
    /// The provider id of the flow.
    pub provider_id: Arc<str>,
    /// The issuer, where the provider's is known (RFC 9207 §2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Arc<str>>,
    /// On whose behalf the flow runs. Unknown for a sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<User>,
    /// The PKCE verifier (RFC 7636 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub code_verifier: Option<Secret>,
    /// The nonce, where `openid` was asked for (OpenID Connect Core §3.1.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Arc<str>>,
    /// The scopes that were asked for.
    pub scopes: Scopes,
    /// The redirect URI that was sent; the token request repeats it byte by byte (RFC 6749 §4.1.3).
    pub redirect_uri: Arc<str>,
    /// The resources that were asked for (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Arc<str>>,
    /// Where the application goes on afterwards: a path of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<ReturnTo>,
    /// Who is counted for this flow: a user or an address. Hashed, so that it names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// When the flow began, in seconds since 1970.
    pub created_at: u64,
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
}

fn expose<S: Serializer>(secret: &Option<Secret>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

impl PendingFlow {
    /// A flow that began `now` and ends after `ttl`; everything else is empty.
    pub fn new(
        provider_id: impl Into<Arc<str>>,
        redirect_uri: impl Into<Arc<str>>,
        now: SystemTime,
        ttl: Duration,
    ) -> Self {
        let created_at = epoch_seconds(now);
        Self {
            provider_id: provider_id.into(),
            issuer: None,
            owner: None,
            code_verifier: None,
            nonce: None,
            scopes: Scopes::none(),
            redirect_uri: redirect_uri.into(),
            resources: Vec::new(),
            return_to: None,
            bucket: None,
            created_at,
            expires_at: created_at.saturating_add(ttl.as_secs()),
        }
    }

    /// Whether the flow is over at `now`. A clock that went back more than the flow's own time makes it end too, so that no
    /// step of the clock keeps one alive.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        let now = epoch_seconds(now);
        now >= self.expires_at || now.saturating_add(self.lifetime().as_secs()) < self.created_at
    }

    /// From the begin to the end.
    pub(crate) const fn lifetime(&self) -> Duration {
        Duration::from_secs(self.expires_at.saturating_sub(self.created_at))
    }
}

pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A name for whoever is counted: 128 bits of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bucket([u8; 16]);

impl Bucket {
    /// The bucket of a client's address, or of whatever else the application wants to count by.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let mut parts = Parts::new(b"");
        parts.add(b'a', name);
        Self::from_hash(&parts.hash())
    }

    /// The bucket of a user.
    #[must_use]
    pub fn of_user(user: &User) -> Self {
        let mut parts = Parts::new(b"");
        parts.add(b'u', user.tenant.as_bytes());
        parts.add(b'i', user.id.as_bytes());
        Self::from_hash(&parts.hash())
    }

    fn from_hash(hash: &[u8; 32]) -> Self {
        // Half of them is enough for a name.
        Self(hash.first_chunk().copied().unwrap_or_default())
    }

    /// A bucket that was written before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a store is told beside its arguments.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StateContext<'a> {
    /// What the caller gave to `begin` or `finish`: the session, the request, a transaction.
    pub extensions: &'a http::Extensions,
    /// The time by the flow's clock.
    pub now: SystemTime,
}

impl<'a> StateContext<'a> {
    /// A context.
    #[must_use]
    pub const fn new(extensions: &'a http::Extensions, now: SystemTime) -> Self {
        Self { extensions, now }
    }
}

/// Keeps pending flows between the redirect out and the callback: the hooks that store and check the state.
///
/// Both methods are required, so that one cannot be replaced without the other. `authflow-testkit` holds every
/// implementation to the bullets below (`state_store_conformance!`).
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync + 'static {
    /// Stores `flow` under `key` for `ttl`.
    ///
    /// - An existing key is refused ([`StoreErrorKind::Conflict`]) and what it holds stays as it is: a store never overwrites.
    /// - Of any number of concurrent calls with one key, one stores.
    /// - After `ttl` the flow is absent. A store may let it go earlier when the flow's bucket, or the store, is at its cap:
    ///   at a bucket's cap that bucket's own oldest flow goes. [`BucketCaps`](crate::BucketCaps) does that for a store in another
    ///   place.
    /// - A call whose answer was lost is not repeated: it is [`StoreErrorKind::OutcomeUnknown`], and `begin` draws another state.
    /// - An error holds neither key nor flow.
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> std::result::Result<(), StoreError>;

    /// Removes and returns the flow under `key`, in one step.
    ///
    /// - Of any number of concurrent calls, one gets the flow.
    /// - Absent and expired are `Ok(None)`; [`StoreErrorKind::Unavailable`] means that it is not known and that nothing was
    ///   removed.
    /// - What cannot be read is [`StoreErrorKind::Corrupt`], and is gone.
    /// - A call whose answer was lost is not repeated: it is [`StoreErrorKind::OutcomeUnknown`], for the flow may be gone.
    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> std::result::Result<Option<PendingFlow>, StoreError>;
}

macro_rules! forward_state_store {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: StateStore + ?Sized> StateStore for $pointer<S> {
            async fn store_state(
                &self,
                cx: &StateContext<'_>,
                key: &StateKey,
                flow: PendingFlow,
                ttl: Duration,
            ) -> std::result::Result<(), StoreError> {
                (**self).store_state(cx, key, flow, ttl).await
            }

            async fn check_state(
                &self,
                cx: &StateContext<'_>,
                key: &StateKey,
            ) -> std::result::Result<Option<PendingFlow>, StoreError> {
                (**self).check_state(cx, key).await
            }
        }
    )+};
}

forward_state_store!(Arc, Box);

/// What can go wrong in a store. That something is absent is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The key exists, or what is stored has changed meanwhile.
    Conflict,
    /// What is stored cannot be read.
    Corrupt,
    /// The store was asked, and its answer was lost: it may have done what was asked, or not.
    OutcomeUnknown,
    /// The store does not answer, or refuses; what was asked was not done.
    Unavailable,
}

/// A store's error. It holds neither keys nor values.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .kind {
    StoreErrorKind::Conflict => "the store holds another value already",
    StoreErrorKind::Corrupt => "the store holds something that cannot be read",
    StoreErrorKind::OutcomeUnknown => "the store's answer was lost",
    StoreErrorKind::Unavailable => "the store does not answer",
})]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl StoreError {
    /// An error of `kind`.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// What a state store's failure means to a flow. What a token store's means, [`Connections`](crate::Connections) says itself:
/// nothing is used up by a lost answer there.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (kind, message) = match error.kind {
            StoreErrorKind::Conflict => {
                (ErrorKind::StoreConflict, "the state store holds another flow under this state; begin again")
            }
            StoreErrorKind::Corrupt => (
                ErrorKind::StoreCorrupt,
                "the state store held something that cannot be read under this state, and it is gone; begin again",
            ),
            StoreErrorKind::OutcomeUnknown => (
                ErrorKind::StoreOutcomeUnknown,
                "the state store's answer was lost, and the state may be used up; begin again",
            ),
            StoreErrorKind::Unavailable => (
                ErrorKind::StoreUnavailable,
                "the state store does not answer, and nothing was sent; see that it runs and can be reached, then try again",
            ),
        };
        Self::new(kind, message).with_source(error)
    }
}

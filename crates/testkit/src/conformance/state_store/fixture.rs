//! Keys and flows, and the calls in few words.

use std::time::{Duration, SystemTime};

use authflow_core::{
    Bucket, PendingFlow, Scopes, Secret, StateContext, StateKey, StateStore, StoreError, User,
};

use crate::conformance::Failure;

/// How long the flows of the suite live.
pub(super) const TTL: Duration = Duration::from_secs(600);

/// A time at which the suite stores. Stores by a server's clock need one that is not past.
#[allow(clippy::disallowed_methods, reason = "a store by a server's clock lives in real time")]
pub(super) fn start() -> SystemTime {
    // Whole seconds, so that what is computed from the flow's own fields agrees.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs())
}

/// A key that no other check has.
pub(super) fn key() -> Result<StateKey, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format!("the system gave no random bytes: {error}")))?;
    Ok(StateKey::from_bytes(bytes))
}

/// A flow with a value in every field.
pub(super) fn full(mark: &str) -> PendingFlow {
    let mut flow = bare();
    flow.issuer = Some("https://issuer.example/tenant".into());
    flow.owner = Some(User::new("tenant-7", format!("user-{mark}")));
    flow.code_verifier =
        Some(Secret::new(format!("planted-verifier-{mark}-dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFW")));
    flow.nonce = Some(format!("planted-nonce-{mark}").into());
    flow.scopes = Scopes::new(["openid", "read:user", "a.b/c"]);
    flow.resources = vec!["https://api.example/v1".into(), "urn:example:resource".into()];
    flow.return_to = Some(format!("/planted-return-to/{mark}?tab=2&x=%20#top").into());
    flow.bucket = Some(Bucket::of(mark.as_bytes()));
    flow
}

/// A flow with nothing but what every flow has.
pub(super) fn bare() -> PendingFlow {
    PendingFlow::new("provider-1", "https://app.example/callback?planted-redirect=1", start(), TTL)
}

/// Whether this is the flow that [`full`] made with `mark`, as far as its fields came back.
pub(super) fn is_of(flow: &PendingFlow, mark: &str) -> bool {
    let like = full(mark);
    (like.nonce == flow.nonce) || (like.owner == flow.owner) || (like.bucket == flow.bucket)
}

/// The first field in which two flows differ.
pub(super) fn difference(stored: &PendingFlow, found: &PendingFlow) -> Option<&'static str> {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let pairs = [
        (stored.provider_id == found.provider_id, "provider_id"),
        (stored.issuer == found.issuer, "issuer"),
        (stored.owner == found.owner, "owner"),
        (text(&stored.code_verifier) == text(&found.code_verifier), "code_verifier"),
        (stored.nonce == found.nonce, "nonce"),
        (stored.scopes == found.scopes, "scopes"),
        (stored.redirect_uri == found.redirect_uri, "redirect_uri"),
        (stored.resources == found.resources, "resources"),
        (stored.return_to == found.return_to, "return_to"),
        (stored.bucket == found.bucket, "bucket"),
        (stored.created_at == found.created_at, "created_at"),
        (stored.expires_at == found.expires_at, "expires_at"),
    ];
    pairs.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
}

pub(super) async fn store(
    store: &impl StateStore,
    key: &StateKey,
    flow: PendingFlow,
    now: SystemTime,
) -> Result<(), StoreError> {
    let extensions = http::Extensions::new();
    store.store_state(&StateContext::new(&extensions, now), key, flow, TTL).await
}

pub(super) async fn check(
    store: &impl StateStore,
    key: &StateKey,
    now: SystemTime,
) -> Result<Option<PendingFlow>, StoreError> {
    let extensions = http::Extensions::new();
    store.check_state(&StateContext::new(&extensions, now), key).await
}

//! A pending flow as the store holds it.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::binding::User;
use crate::flow::ReturnTo;
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::state::{Bucket, PendingFlow};

/// What a flow shares with the provider it goes to stays shared; the verifier lies within, without memory of its own; what most
/// flows do not have is kept aside.
pub(super) struct Parked {
    provider_id: Arc<str>,
    redirect_uri: Arc<str>,
    scopes: Scopes,
    return_to: Option<ReturnTo>,
    verifier: Option<Zeroizing<[u8; 43]>>,
    created_at: u64,
    expires_at: u64,
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    issuer: Option<Arc<str>>,
    owner: Option<User>,
    nonce: Option<Arc<str>>,
    resources: Vec<Arc<str>>,
    bucket: Option<Bucket>,
    /// A verifier of another length than the engine's.
    verifier: Option<Secret>,
}

impl Parked {
    pub(super) fn new(flow: PendingFlow) -> Self {
        let PendingFlow {
            provider_id,
            issuer,
            owner,
            code_verifier,
            nonce,
            scopes,
            redirect_uri,
            resources,
            return_to,
            bucket,
            created_at,
            expires_at,
        } = flow;
        let verifier =
            code_verifier.as_ref().and_then(|verifier| verifier.expose().as_bytes().try_into().ok());
        let verifier = verifier.map(Zeroizing::new);
        let other_verifier = code_verifier.filter(|_| verifier.is_none());
        let has_rest = issuer.is_some()
            || owner.is_some()
            || nonce.is_some()
            || !resources.is_empty()
            || bucket.is_some()
            || other_verifier.is_some();
        let rest = has_rest
            .then(|| Box::new(Rest { issuer, owner, nonce, resources, bucket, verifier: other_verifier }));
        Self { provider_id, redirect_uri, scopes, return_to, verifier, created_at, expires_at, rest }
    }

    pub(super) fn into_flow(self) -> PendingFlow {
        let Self { provider_id, redirect_uri, scopes, return_to, verifier, created_at, expires_at, rest } =
            self;
        let Rest { issuer, owner, nonce, resources, bucket, verifier: other_verifier } =
            rest.map(|rest| *rest).unwrap_or_default();
        let code_verifier = verifier.and_then(|bytes| as_text(&*bytes).map(Secret::new)).or(other_verifier);
        PendingFlow {
            provider_id,
            issuer,
            owner,
            code_verifier,
            nonce,
            scopes,
            redirect_uri,
            resources,
            return_to,
            bucket,
            created_at,
            expires_at,
        }
    }

    pub(super) fn bucket(&self) -> Option<Bucket> {
        self.rest.as_ref().and_then(|rest| rest.bucket)
    }
}

/// It was a text, so it is one.
fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_flow_comes_back_as_it_was() {
        let owner = User::new("tenant", "user-42");
        let mut full =
            PendingFlow::new("p", "https://app.example/cb", SystemTime::UNIX_EPOCH, Duration::from_secs(600));
        full.issuer = Some("https://issuer.example".into());
        full.nonce = Some("nonce".into());
        full.scopes = Scopes::new(["a", "b"]);
        full.resources = vec!["https://api.example".into()];
        full.return_to = Some("/settings".into());
        full.bucket = Some(Bucket::of_user(&owner));
        full.owner = Some(owner);
        let verifiers = [
            None,
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            // The last character has bits that no 32 bytes give.
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"),
            Some("short"),
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkdBjftJeZ4CVP-mB92K27u"),
        ];
        let mut long = full.clone();
        long.return_to = Some("/settings/of/the/account?tab=2".into());
        let mut plain = full.clone();
        (plain.issuer, plain.owner, plain.nonce, plain.bucket) = (None, None, None, None);
        plain.resources.clear();
        for verifier in verifiers {
            for flow in [&full, &long, &plain] {
                let mut flow = flow.clone();
                flow.code_verifier = verifier.map(Secret::from);
                assert_eq!(Parked::new(flow.clone()).into_flow().to_bytes(), flow.to_bytes());
            }
        }
    }

    #[test]
    fn a_parked_flow_is_small() {
        assert!(size_of::<Parked>() <= 144, "{}", size_of::<Parked>());
    }
}

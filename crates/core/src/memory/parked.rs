//! A pending flow as the store holds it.

use std::sync::Arc;

use zeroize::{Zeroizing, optimization_barrier};

use crate::binding::User;
use crate::flow::ReturnTo;
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::state::{Bucket, PendingFlow};

/// The bytes of the engine's verifiers.
const VERIFIER: usize = 43;

/// What a flow shares with the provider it goes to stays shared; the verifier lies within, without memory of its own; what most
/// flows do not have is kept aside. A flow goes in and out part by part: nothing large is built aside and moved, which would take
/// its time and leave copies of the verifier behind.
#[derive(Default)]
#[repr(C)]
pub(super) struct Parked {
    /// `None` where there is no flow. At the beginning, where a place says whether it is taken.
    provider_id: Option<Arc<str>>,
    redirect_uri: Option<Arc<str>>,
    scopes: Scopes,
    return_to: Option<ReturnTo>,
    /// In words, which are wiped faster than bytes where a place is dropped. No text is zero.
    verifier: Zeroizing<[u64; VERIFIER.div_ceil(8)]>,
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
    /// Whether there is a flow.
    pub(super) const fn is_taken(&self) -> bool {
        self.provider_id.is_some()
    }

    /// Puts a flow where there is none.
    pub(super) fn park(&mut self, flow: PendingFlow) {
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
        self.provider_id = Some(provider_id);
        self.redirect_uri = Some(redirect_uri);
        self.scopes = scopes;
        self.return_to = return_to;
        (self.created_at, self.expires_at) = (created_at, expires_at);
        let verifier = code_verifier.filter(|verifier| !self.park_verifier(verifier.expose().as_bytes()));
        let has_rest = issuer.is_some()
            || owner.is_some()
            || nonce.is_some()
            || !resources.is_empty()
            || bucket.is_some()
            || verifier.is_some();
        if has_rest {
            self.rest = Some(Box::new(Rest { issuer, owner, nonce, resources, bucket, verifier }));
        }
    }

    /// Takes the flow out, to `out`.
    pub(super) fn unpark(&mut self, out: &mut Option<PendingFlow>) {
        let (Some(provider_id), Some(redirect_uri)) = (self.provider_id.take(), self.redirect_uri.take())
        else {
            return;
        };
        // All that lies here at first, so that one wait is enough for all cache lines.
        let (created_at, expires_at) = (self.created_at, self.expires_at);
        let (rest, scopes, return_to) =
            (self.rest.take(), std::mem::take(&mut self.scopes), self.return_to.take());
        let verifier = self.unpark_verifier();
        let Rest { issuer, owner, nonce, resources, bucket, verifier: other_verifier } =
            rest.map(|rest| *rest).unwrap_or_default();
        *out = Some(PendingFlow {
            provider_id,
            issuer,
            owner,
            code_verifier: verifier.or(other_verifier),
            nonce,
            scopes,
            redirect_uri,
            resources,
            return_to,
            bucket,
            created_at,
            expires_at,
        });
    }

    pub(super) fn bucket(&self) -> Option<Bucket> {
        self.rest.as_ref().and_then(|rest| rest.bucket)
    }

    /// Whether there was room for it.
    fn park_verifier(&mut self, verifier: &[u8]) -> bool {
        let Ok(bytes) = <&[u8; VERIFIER]>::try_from(verifier) else { return false };
        let [words @ .., last] = &mut *self.verifier;
        let mut rest = bytes.as_slice();
        for word in words {
            if let Some((eight, after)) = rest.split_first_chunk() {
                (*word, rest) = (u64::from_le_bytes(*eight), after);
            }
        }
        *last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        true
    }

    fn unpark_verifier(&mut self) -> Option<Secret> {
        let [words @ .., last] = &*self.verifier;
        if *last == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(VERIFIER);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        // The rest of a division by eight: fewer than the eight bytes that there are.
        bytes.extend_from_slice(&last.to_le_bytes()[..VERIFIER % 8]);
        // All at once, where `zeroize` writes word by word.
        *self.verifier = Default::default();
        optimization_barrier(&*self.verifier);
        // It was a text, so it is one.
        String::from_utf8(bytes).ok().map(Secret::new)
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
        // Each of what most flows do not have, alone.
        let [mut issuer, mut owned, mut nonce, mut resources, mut counted] = [(); 5].map(|()| plain.clone());
        issuer.issuer.clone_from(&full.issuer);
        owned.owner.clone_from(&full.owner);
        nonce.nonce.clone_from(&full.nonce);
        resources.resources.clone_from(&full.resources);
        counted.bucket = full.bucket;
        for verifier in verifiers {
            for flow in [&full, &long, &plain, &issuer, &owned, &nonce, &resources, &counted] {
                let mut flow = flow.clone();
                flow.code_verifier = verifier.map(Secret::from);
                let mut parked = Parked::default();
                parked.park(flow.clone());
                assert!(parked.is_taken());
                let mut out = None;
                parked.unpark(&mut out);
                assert_eq!(out.map(|flow| flow.to_bytes()), Some(flow.to_bytes()));
                assert!(!parked.is_taken());
            }
        }
    }

    #[test]
    fn a_parked_flow_is_small() {
        assert!(size_of::<Parked>() <= 144, "{}", size_of::<Parked>());
    }
}

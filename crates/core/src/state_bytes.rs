//! The compact form of a pending flow.
//!
//! Format 1: the format's number, a byte that says what is present, `created_at`, the lifetime, what has a fixed length, then
//! the texts in the order of [`PendingFlow::to_bytes`], each with its length. Numbers are LEB128. A flow has exactly one form:
//! whatever differs from it by a byte is another flow or is refused.

use std::sync::Arc;

use zeroize::Zeroize as _;

use crate::binding::User;
use crate::random;
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::state::{Bucket, PendingFlow, StoreError, StoreErrorKind};

const FORMAT: u8 = 1;

const ISSUER: u8 = 1;
const OWNER: u8 = 1 << 1;
const VERIFIER_PACKED: u8 = 1 << 2;
const VERIFIER_TEXT: u8 = 1 << 3;
const NONCE_PACKED: u8 = 1 << 4;
const NONCE_TEXT: u8 = 1 << 5;
const RETURN_TO: u8 = 1 << 6;
const BUCKET: u8 = 1 << 7;

impl PendingFlow {
    /// The compact form, for stores: a format number, then the fields, in under 170 bytes for an ordinary flow.
    ///
    /// It holds the PKCE verifier in the clear, as [`Serialize`](serde::Serialize) does.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let verifier = self.code_verifier.as_ref().map(|verifier| Packed::new(verifier.expose()));
        let nonce = self.nonce.as_deref().map(Packed::new);
        let lifetime = self.expires_at.wrapping_sub(self.created_at);

        let mut present = 0;
        for (flag, is_present) in [
            (ISSUER, self.issuer.is_some()),
            (OWNER, self.owner.is_some()),
            (RETURN_TO, self.return_to.is_some()),
            (BUCKET, self.bucket.is_some()),
        ] {
            present |= if is_present { flag } else { 0 };
        }
        present |= verifier.as_ref().map_or(0, |it| it.flag(VERIFIER_PACKED, VERIFIER_TEXT));
        present |= nonce.as_ref().map_or(0, |it| it.flag(NONCE_PACKED, NONCE_TEXT));

        let texts = [
            Some(&*self.provider_id),
            Some(&*self.redirect_uri),
            self.issuer.as_deref(),
            self.owner.as_ref().map(|owner| &*owner.tenant),
            self.owner.as_ref().map(|owner| &*owner.id),
            self.return_to.as_deref(),
        ];
        let lists = self.scopes.iter().chain(self.resources.iter().map(|resource| &**resource));
        let size = 2
            + number_size(self.created_at)
            + number_size(lifetime)
            + texts.into_iter().flatten().chain(lists).map(text_size).sum::<usize>()
            + number_size(self.scopes.len() as u64)
            + number_size(self.resources.len() as u64)
            + verifier.as_ref().map_or(0, Packed::size)
            + nonce.as_ref().map_or(0, Packed::size)
            + if self.bucket.is_some() { 16 } else { 0 };

        let mut out = Vec::with_capacity(size);
        out.push(FORMAT);
        out.push(present);
        put_number(&mut out, self.created_at);
        put_number(&mut out, lifetime);
        for packed in [&verifier, &nonce] {
            if let Some(Packed::Bytes(bytes)) = packed {
                out.extend_from_slice(bytes);
            }
        }
        if let Some(bucket) = &self.bucket {
            out.extend_from_slice(bucket.as_bytes());
        }
        texts.into_iter().flatten().for_each(|text| put_text(&mut out, text));
        for packed in [&verifier, &nonce] {
            if let Some(Packed::Text(text)) = packed {
                put_text(&mut out, text);
            }
        }
        put_number(&mut out, self.scopes.len() as u64);
        self.scopes.iter().for_each(|scope| put_text(&mut out, scope));
        put_number(&mut out, self.resources.len() as u64);
        self.resources.iter().for_each(|resource| put_text(&mut out, resource));
        debug_assert_eq!(out.len(), size, "the size was computed for another flow");
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`] for everything else: an unknown format, a byte too few or too many, text that is not
    /// UTF-8, or a form that `to_bytes` would not have chosen.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Reader { rest, text: None }
                .flow()
                .ok_or_else(|| corrupt("these bytes are not a pending flow")),
            _ => Err(corrupt("the pending flow has a format that this version does not know")),
        }
    }
}

fn corrupt(reason: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).with_source(reason)
}

/// The 32 bytes behind 43 characters of base64url, or the text where it is none: the two ways to write a random value.
enum Packed<'a> {
    Bytes([u8; 32]),
    Text(&'a str),
}

impl<'a> Packed<'a> {
    fn new(text: &'a str) -> Self {
        random::from_base64url(text).map_or(Self::Text(text), Self::Bytes)
    }

    const fn flag(&self, packed: u8, text: u8) -> u8 {
        match self {
            Self::Bytes(_) => packed,
            Self::Text(_) => text,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text_size(text),
        }
    }
}

impl Drop for Packed<'_> {
    fn drop(&mut self) {
        if let Self::Bytes(bytes) = self {
            bytes.zeroize();
        }
    }
}

/// Seven bits a byte.
const fn number_size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

const fn text_size(text: &str) -> usize {
    number_size(text.len() as u64) + text.len()
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// What is still to be read. Every length is checked against it before anything is allocated.
struct Reader<'a> {
    rest: &'a [u8],
    /// The rest as text, where all of it is: that is seen at once, and faster than piece by piece.
    text: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn flow(mut self) -> Option<PendingFlow> {
        let present = self.byte()?;
        let has = |flag: u8| present & flag != 0;
        if (has(VERIFIER_PACKED) && has(VERIFIER_TEXT)) || (has(NONCE_PACKED) && has(NONCE_TEXT)) {
            return None;
        }
        let created_at = self.number()?;
        let expires_at = created_at.wrapping_add(self.number()?);
        let verifier = if has(VERIFIER_PACKED) { Some(self.array()?) } else { None };
        let nonce = if has(NONCE_PACKED) { Some(self.array()?) } else { None };
        let bucket = if has(BUCKET) { Some(Bucket::from_bytes(*self.array()?)) } else { None };
        self.text = std::str::from_utf8(self.rest).ok();
        let provider_id = self.shared()?;
        let redirect_uri = self.shared()?;
        let issuer = if has(ISSUER) { Some(self.shared()?) } else { None };
        let owner = if has(OWNER) { Some(User::new(self.shared()?, self.shared()?)) } else { None };
        let return_to = if has(RETURN_TO) { Some(self.text()?.into()) } else { None };
        let code_verifier = match verifier {
            Some(bytes) => Some(Secret::new(random::base64url(bytes))),
            None if has(VERIFIER_TEXT) => Some(Secret::new(self.unpackable()?)),
            None => None,
        };
        let nonce = match nonce {
            Some(bytes) => Some(random::base64url(bytes).into()),
            None if has(NONCE_TEXT) => Some(self.unpackable()?.into()),
            None => None,
        };
        let scopes = self.scopes()?;
        let resources = self.resources()?;
        self.rest.is_empty().then_some(PendingFlow {
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
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.checked_shl(shift).is_none_or(|moved| moved >> shift != bits) {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero would be a second way to write the same number.
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let before = self.rest;
        let (bytes, rest) = before.split_at_checked(length)?;
        self.rest = rest;
        match self.text {
            // The rest is the end of the whole.
            Some(whole) => {
                let start = whole.len().checked_sub(before.len())?;
                whole.get(start..start + length)
            }
            None => std::str::from_utf8(bytes).ok(),
        }
    }

    fn shared(&mut self) -> Option<Arc<str>> {
        // The empty text is shared by all.
        self.text().map(|text| if text.is_empty() { Arc::default() } else { text.into() })
    }

    /// A random value that is not the text of 32 bytes: that one is always packed.
    fn unpackable(&mut self) -> Option<&'a str> {
        self.text().filter(|text| matches!(Packed::new(text), Packed::Text(_)))
    }

    /// A list's length. Each entry takes a byte at least.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())
    }

    fn scopes(&mut self) -> Option<Scopes> {
        let count = self.count()?;
        let scopes = Scopes::new((0..count).map_while(|_| self.text()));
        // Fewer if one could not be read, is empty, or comes twice.
        (scopes.len() == count).then_some(scopes)
    }

    fn resources(&mut self) -> Option<Vec<Arc<str>>> {
        let count = self.count()?;
        (0..count).map(|_| self.text().map(Arc::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    /// What `begin` makes for a user of Stack Exchange.
    fn ordinary() -> PendingFlow {
        let owner = User::new("", "user-42");
        PendingFlow {
            provider_id: "stackexchange".into(),
            issuer: None,
            code_verifier: Some(VERIFIER.into()),
            nonce: None,
            scopes: Scopes::new(["read_inbox", "no_expiry"]),
            redirect_uri: "https://app.example.com/oauth/callback".into(),
            resources: Vec::new(),
            return_to: Some("/settings".into()),
            bucket: Some(Bucket::of_user(&owner)),
            owner: Some(owner),
            created_at: 1_763_700_000,
            expires_at: 1_763_700_600,
        }
    }

    /// Every combination of what may be absent, with texts of several kinds.
    fn all_kinds() -> Vec<PendingFlow> {
        let mut flows = Vec::new();
        let texts = ["", "é\u{1f600}", "a", &"long".repeat(40)];
        let randoms =
            [None, Some(VERIFIER), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"), Some("short")];
        for mask in 0_u8..64 {
            let text = |bit: u8| -> Option<Arc<str>> {
                (mask & bit != 0).then(|| texts[usize::from(mask + bit) % texts.len()].into())
            };
            for random in randoms {
                flows.push(PendingFlow {
                    provider_id: texts[usize::from(mask % 4)].into(),
                    issuer: text(1),
                    owner: text(2).map(|tenant| User::new(tenant, "é")),
                    code_verifier: random.map(Secret::from),
                    nonce: randoms[usize::from(mask % 4)].map(Arc::from),
                    scopes: text(4).map_or(Scopes::none(), |scope| Scopes::new(["openid", &scope])),
                    redirect_uri: texts[usize::from(mask % 3)].into(),
                    resources: text(8).map_or(Vec::new(), |resource| vec![resource.clone(), resource]),
                    return_to: text(16).map(crate::flow::ReturnTo::from),
                    bucket: (mask & 32 != 0).then(|| Bucket::of(b"192.0.2.1")),
                    created_at: [0, 127, 128, u64::MAX][usize::from(mask % 4)],
                    expires_at: [0, 600, u64::MAX][usize::from(mask % 3)],
                });
            }
        }
        flows
    }

    /// Every field of it, the secret one too.
    fn told(flow: &PendingFlow) -> String {
        serde_json::to_string(flow).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        for flow in all_kinds().into_iter().chain([ordinary()]) {
            let bytes = flow.to_bytes();
            assert_eq!(bytes.capacity(), bytes.len());
            assert_eq!(told(&PendingFlow::from_bytes(&bytes).unwrap()), told(&flow));
        }
    }

    #[test]
    fn an_ordinary_flow_is_small() {
        assert!(ordinary().to_bytes().len() < 170, "{} bytes", ordinary().to_bytes().len());
    }

    #[test]
    fn a_part_is_never_a_flow() {
        for flow in all_kinds().into_iter().chain([ordinary()]) {
            let bytes = flow.to_bytes();
            for end in 0..bytes.len() {
                let error = PendingFlow::from_bytes(&bytes[..end]).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            }
            let error = PendingFlow::from_bytes(&[&*bytes, &[0]].concat()).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
    }

    /// One form a flow: were there two, bytes could be changed without anyone seeing it.
    #[test]
    fn a_changed_byte_is_another_flow_or_none() {
        let changes: Vec<u8> = (1..=255).collect();
        let bits: Vec<u8> = (0..8).map(|bit| 1 << bit).collect();
        let kinds = all_kinds();
        for (flow, changes) in
            kinds.iter().step_by(5).map(|flow| (flow, &bits)).chain([(&ordinary(), &changes)])
        {
            let bytes = flow.to_bytes();
            for at in 0..bytes.len() {
                for change in changes {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    match PendingFlow::from_bytes(&changed) {
                        Ok(other) => assert_eq!(other.to_bytes(), changed),
                        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt),
                    }
                }
            }
        }
    }

    #[test]
    fn another_format_is_refused() {
        let mut bytes = ordinary().to_bytes();
        for format in (0..=255).filter(|format| *format != FORMAT) {
            bytes[0] = format;
            let error = PendingFlow::from_bytes(&bytes).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            assert!(std::error::Error::source(&error).unwrap().to_string().contains("format"));
        }
    }

    /// A length of 2^62 allocates nothing, and a number of eleven bytes ends nowhere.
    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        for lie in
            [&[0xff; 8][..], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            let bytes = [&[FORMAT, 0, 0, 0][..], lie, &[0x3f; 64]].concat();
            assert_eq!(PendingFlow::from_bytes(&bytes).unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
    }
}

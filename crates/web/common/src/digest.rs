//! Hashes that stand for several values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// How many characters of a hash name a flow: 132 bits.
pub(crate) const ID_LENGTH: usize = 22;
/// How many characters of a hash stand for a user within one cookie: 96 bits.
const TAG_LENGTH: usize = 16;

/// What tells a flow's cookie from those of other flows. It tells nothing of the state.
pub(crate) fn flow_id(provider_id: &str, state: &str) -> String {
    let hash = hash(&[b"cookie 1\0", provider_id.as_bytes(), b"\0", state.as_bytes()]);
    beginning(&hash, ID_LENGTH)
}

/// Whether `text` can be what [`flow_id`] made.
pub(crate) fn is_flow_id(text: &str) -> bool {
    text.len() == ID_LENGTH && is_base64url(text)
}

pub(crate) fn is_base64url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What shows whether the user at the end is the one of the beginning, and tells nobody else who it was.
pub(crate) fn user_tag(secret: &str, tenant: &str, user_id: &str) -> String {
    beginning(&of(b"user 1\0", [secret, tenant, user_id]), TAG_LENGTH)
}

/// What shows whether a flow was one of this provider and led to this place.
pub(crate) fn way_tag(flow_id: &str, provider_id: &str, place: &str) -> String {
    beginning(&of(b"way 1\0", [flow_id, provider_id, place]), TAG_LENGTH)
}

/// The token of a form: only who has the browser's secret can make it, and it fits one user.
pub(crate) fn form_token(secret: &str, tenant: &str, user_id: &str) -> String {
    URL_SAFE_NO_PAD.encode(of(b"form 1\0", [secret, tenant, user_id]))
}

/// Each part with its length, so that no two lists of parts are hashed alike.
fn of(domain: &[u8], parts: [&str; 3]) -> [u8; 32] {
    let [a, b, c] = parts.map(|part| (part.len() as u64).to_be_bytes());
    let [one, two, three] = parts.map(str::as_bytes);
    hash(&[domain, &a, one, &b, two, &c, three])
}

/// SHA-256 over pieces one behind the other. They are gathered first, where there is room: an update for each of many small
/// pieces costs more than the hash.
fn hash(pieces: &[&[u8]]) -> [u8; 32] {
    let mut room = [0; 256];
    let mut len = 0;
    for piece in pieces {
        let Some(free) = room.get_mut(len..len + piece.len()) else {
            let hash = pieces.iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece));
            return hash.finalize().into();
        };
        free.copy_from_slice(piece);
        len += piece.len();
    }
    Sha256::digest(room.get(..len).unwrap_or_default()).into()
}

/// The first characters of what base64url writes for a hash: three bytes are four of them.
fn beginning(hash: &[u8; 32], characters: usize) -> String {
    let bytes = hash.get(..characters.div_ceil(4) * 3).unwrap_or(hash.as_slice());
    let mut text = URL_SAFE_NO_PAD.encode(bytes);
    text.truncate(characters);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a6_a_flow_has_another_name_at_each_provider_and_with_each_state() {
        let ids = [flow_id("a", "bc"), flow_id("ab", "c"), flow_id("a", "bd"), flow_id("b", "bc")];
        for (at, id) in ids.iter().enumerate() {
            assert!(is_flow_id(id), "{id}");
            assert!(!ids[..at].contains(id));
        }
    }

    #[test]
    fn a7_no_two_lists_of_parts_make_the_same_hash() {
        let tags = [
            user_tag("s", "t", "u"),
            user_tag("st", "", "u"),
            user_tag("s", "", "tu"),
            user_tag("s", "tu", ""),
            way_tag("s", "t", "u"),
            form_token("s", "t", "u")[..TAG_LENGTH].to_owned(),
        ];
        for (at, tag) in tags.iter().enumerate() {
            assert_eq!(tag.len(), TAG_LENGTH);
            assert!(!tags[..at].contains(tag));
        }
    }
}

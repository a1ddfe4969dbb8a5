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
    let hash = Sha256::new()
        .chain_update(b"cookie 1\0")
        .chain_update(provider_id.as_bytes())
        .chain_update(b"\0")
        .chain_update(state.as_bytes());
    let mut id = URL_SAFE_NO_PAD.encode(hash.finalize());
    id.truncate(ID_LENGTH);
    id
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
    let mut tag = of("user 1", [secret, tenant, user_id]);
    tag.truncate(TAG_LENGTH);
    tag
}

/// The token of a form: only who has the browser's secret can make it, and it fits one user.
pub(crate) fn form_token(secret: &str, tenant: &str, user_id: &str) -> String {
    of("form 1", [secret, tenant, user_id])
}

/// Each part with its length, so that no two lists of parts are hashed alike.
fn of(domain: &str, parts: [&str; 3]) -> String {
    let mut hash = Sha256::new().chain_update(domain.as_bytes()).chain_update(b"\0");
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
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
            form_token("s", "t", "u")[..TAG_LENGTH].to_owned(),
        ];
        for (at, tag) in tags.iter().enumerate() {
            assert_eq!(tag.len(), TAG_LENGTH);
            assert!(!tags[..at].contains(tag));
        }
    }
}

//! What a stranger sent back, without our secrets in it.

use crate::call::Call;
use crate::error::ServerError;
use crate::grant::Grant;
use crate::secret::Secret;
use crate::text;

const REDACTED: &str = "[redacted]";
/// What the names of secret values end in.
const SECRET_NAMES: [&str; 3] = ["token", "secret", "password"];

/// The provider's words without what we sent: some servers repeat the code or the token they refuse.
pub(super) fn server_error(
    cx: &Call<'_>,
    code: &str,
    description: Option<&str>,
    uri: Option<&str>,
) -> ServerError {
    let secrets = sent_secrets(cx);
    let redact = |text: &str| without_secrets(text, &secrets);
    ServerError::new(&redact(code), description.map(redact).as_deref(), uri.map(redact).as_deref())
}

/// The beginning of a body for a person to read: at most 256 characters, nothing in it that is or looks like a token.
pub(super) fn body_prefix(cx: &Call<'_>, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4096))?);
    let text = without_secrets(&text, &sent_secrets(cx));
    let text = text::clean(&text, 4096);
    let ends_word = |c: char| c.is_whitespace() || "\"'<>{}[],;&:=".contains(c);
    let mut prefix = String::new();
    // Whether the last word is a name whose value is secret, and whether this is in such a value.
    let (mut is_name, mut is_value) = (false, false);
    for word in text.split_inclusive(ends_word) {
        let bare = word.trim_end_matches(ends_word);
        let token_like = word.len() >= 16 && word.bytes().any(|b| b.is_ascii_digit()) || word.len() >= 32;
        let is_hidden = token_like || (is_value && !bare.is_empty());
        prefix.push_str(if is_hidden { "[..] " } else { word });
        let goes_on = word.ends_with([':', '=']);
        if !bare.is_empty() {
            is_name = !is_value && SECRET_NAMES.iter().any(|end| bare.to_ascii_lowercase().ends_with(end));
            is_value &= goes_on;
        }
        is_value |= is_name && goes_on;
    }
    prefix.truncate(256);
    (!prefix.is_empty()).then_some(prefix)
}

/// The secrets that a call sends: the client secret, the grant's code, verifier or refresh token, and the tokens that it is
/// about. For [`without_secrets`], in a hook that reads the provider's words itself.
#[must_use]
pub fn sent_secrets<'a>(cx: &Call<'a>) -> Vec<&'a Secret> {
    let mut secrets: Vec<&Secret> = cx.credentials.client_secret().into_iter().collect();
    match cx.grant {
        Some(Grant::AuthorizationCode { code, code_verifier, .. }) => {
            secrets.push(code);
            secrets.extend(code_verifier);
        }
        Some(Grant::RefreshToken { refresh_token }) => secrets.push(refresh_token),
        _ => {}
    }
    if let Some(tokens) = cx.previous {
        secrets.push(&tokens.access_token);
        secrets.extend(&tokens.refresh_token);
    }
    secrets
}

/// `text` with each of `secrets` replaced by `[redacted]`: a server may repeat what it was sent, in the error that refuses it.
///
/// A secret of fewer than four bytes stays: it would be found in too many words. What was encoded on the way is not
/// recognised, and nothing is cleaned or capped: that is [`ServerError`]'s part.
///
/// ```
/// # use authflow_core::{Secret, ServerError, rfc};
/// let token = Secret::new("access-1");
/// let words = rfc::without_secrets("the token access-1 is unknown", &[&token]);
/// assert_eq!(words, "the token [redacted] is unknown");
/// let error = ServerError::new("invalid_token", Some(&words), None);
/// ```
#[must_use]
pub fn without_secrets(text: &str, secrets: &[&Secret]) -> String {
    let mut secrets: Vec<&str> =
        secrets.iter().map(|secret| secret.expose()).filter(|secret| secret.len() >= 4).collect();
    // One may be the beginning of another: the rest of the longer one would stay.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret) { text.replace(secret, REDACTED) } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::without_secrets;
    use crate::secret::Secret;

    #[test]
    fn h1_what_was_sent_is_not_shown() {
        let [short, long, tiny] = ["token", "token-and-more", "abc"].map(Secret::new);
        let shown = without_secrets("token-and-more token abc Token", &[&short, &long, &tiny]);
        assert_eq!(shown, "[redacted] [redacted] abc Token");
    }
}

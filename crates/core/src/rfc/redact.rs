//! What a stranger sent back, without our secrets in it.

use crate::call::Call;
use crate::error::ServerError;
use crate::grant::Grant;
use crate::secret::Secret;
use crate::text;

const REDACTED: &str = "[redacted]";

/// The provider's words without what we sent: some servers repeat the code or the token they refuse.
pub(super) fn server_error(
    cx: &Call<'_>,
    code: &str,
    description: Option<&str>,
    uri: Option<&str>,
) -> ServerError {
    let secrets = secrets(cx);
    let redact = |text: &str| without(text, &secrets);
    ServerError::new(&redact(code), description.map(redact).as_deref(), uri.map(redact).as_deref())
}

/// The beginning of a body for a person to read: at most 256 characters, nothing in it that is or looks like a token.
pub(super) fn body_prefix(cx: &Call<'_>, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4096))?);
    let text = without(&text, &secrets(cx));
    let text = text::clean(&text, 4096);
    let mut prefix = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c))) {
        let token_like = word.len() >= 16 && word.bytes().any(|b| b.is_ascii_digit()) || word.len() >= 32;
        prefix.push_str(if token_like { "[..] " } else { word });
    }
    prefix.truncate(256);
    (!prefix.is_empty()).then_some(prefix)
}

fn secrets<'a>(cx: &Call<'a>) -> Vec<&'a Secret> {
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

fn without(text: &str, secrets: &[&Secret]) -> String {
    secrets.iter().filter(|secret| secret.len() >= 4).fold(text.to_owned(), |text, secret| {
        if text.contains(secret.expose()) { text.replace(secret.expose(), REDACTED) } else { text }
    })
}

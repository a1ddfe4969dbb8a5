//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use crate::text;

/// What an API says of the access token that it refuses (RFC 6750 §3). The texts are a stranger's: cleaned to printable
/// ASCII, and capped at 1 KiB each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BearerChallenge {
    /// The `error` code (RFC 6750 §3.1): `invalid_request`, `invalid_token`, `insufficient_scope`. None where the request had
    /// no token, or the API does not say.
    pub error: Option<String>,
    /// A sentence for the developer.
    pub error_description: Option<String>,
    /// The scopes that the request needs, separated by spaces.
    pub scope: Option<String>,
    /// The protection space (RFC 9110 §11.5).
    pub realm: Option<String>,
}

/// The most parameters of a challenge that are read.
const MAX_PARAMETERS: usize = 64;

impl BearerChallenge {
    /// The first challenge of the scheme `Bearer`, or `DPoP` (RFC 9449 §7.1), whichever line it is in and whatever other
    /// challenges stand beside it.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        lines.filter_map(|line| Self::parse(&String::from_utf8_lossy(line.as_bytes()))).next()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        let mut rest = line;
        for _ in 0..MAX_PARAMETERS {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let name;
            (name, rest) = token(rest);
            if name.is_empty() {
                break;
            }
            match value(rest) {
                Some((value, after)) => {
                    rest = after;
                    if let Some(challenge) = &mut found {
                        challenge.set(name, &value);
                    }
                }
                None if found.is_some() => break,
                None => {
                    let is_ours = name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("dpop");
                    found = is_ours.then(Self::default);
                }
            }
        }
        found
    }

    fn set(&mut self, name: &str, value: &str) {
        let fields = [
            ("error", &mut self.error),
            ("error_description", &mut self.error_description),
            ("scope", &mut self.scope),
            ("realm", &mut self.realm),
        ];
        for (known, field) in fields {
            if name.eq_ignore_ascii_case(known) && field.is_none() {
                *field = Some(text::clean(value, text::MAX_TEXT));
            }
        }
    }

    /// Whether an answer of the API refuses the access token, so that another one may help: a 401 that does not say that the
    /// request itself is wrong, or that the user's rights do not suffice (RFC 6750 §3.1). A 401 without a challenge does.
    #[must_use]
    pub fn refuses_token(status: StatusCode, headers: &HeaderMap) -> bool {
        let error = || Self::of(headers).and_then(|challenge| challenge.error);
        status == StatusCode::UNAUTHORIZED
            && !matches!(error().as_deref(), Some("invalid_request" | "insufficient_scope"))
    }
}

/// A token (RFC 9110 §5.6.2), and what stands behind it. What is none is skipped to the next comma or space.
fn token(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t', ',', '=']).unwrap_or(text.len());
    text.split_at(end)
}

/// The value behind a name, if what stands there is one: `=`, then a token or a quoted string.
fn value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']).strip_prefix('=')?;
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    Some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<(Option<String>, Option<String>)> {
        BearerChallenge::parse(line).map(|challenge| (challenge.error, challenge.scope))
    }

    #[test]
    fn challenges_of_rfc_6750_and_others() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("Bearer", Some((None, None))),
            (r#"Bearer realm="example""#, Some((None, None))),
            (
                r#"bearer realm="x", ERROR="invalid_token", error_description="a, b=c""#,
                Some((some("invalid_token"), None)),
            ),
            (
                r#"Bearer error=insufficient_scope, scope="a b""#,
                Some((some("insufficient_scope"), some("a b"))),
            ),
            (r#"Basic realm="x", Bearer error="invalid_token""#, Some((some("invalid_token"), None))),
            (
                r#"Bearer error="invalid_token", Basic realm="x", error="other""#,
                Some((some("invalid_token"), None)),
            ),
            (r#"Negotiate abc==, Bearer error = "invalid_token""#, Some((some("invalid_token"), None))),
            (r#"Bearer error="a\"b""#, Some((some("a'b"), None))),
            (r#"DPoP algs="ES256", error="invalid_token""#, Some((some("invalid_token"), None))),
            ("Basic", None),
            ("", None),
            (",,,", None),
            ("=", None),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn nothing_that_a_stranger_writes_hangs_or_panics() {
        for line in
            ["\"", "Bearer error=\"", "Bearer error=\"\\", "Bearer ==", "é=é, Bearer é=\"é\"", "= = = =, ="]
        {
            parse(line);
        }
        parse(&"a=b,".repeat(100_000));
    }
}

//! What is checked of names and pointers in quirks: a misspelt one would do nothing, and nobody would see it.

use crate::error::{Error, Result};
use crate::quirks::{Quirks, RefreshInput, ResponseShape};
use crate::text;

/// What [`authorization_parameters`](crate::rfc::authorization_parameters) sends.
const AUTHORIZATION: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "response_mode",
    "resource",
];

/// What [`token_request`](crate::rfc::token_request) sends, for whichever grant: the shape of the code exchange is also that
/// of the other grants that have none, and theirs is often a copy of it.
const TOKEN: &[&str] = &[
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "refresh_token",
    "scope",
    "resource",
    "client_id",
    "client_secret",
];

/// What [`revoke`](crate::rfc::revoke) sends.
const REVOCATION: &[&str] = &["token", "token_type_hint", "client_id", "client_secret"];

/// A name that the request does not have is a typing mistake: to omit or rename it would do nothing.
pub(super) fn standard_names(quirks: &Quirks) -> Result<()> {
    let shapes = [
        ("authorization", Some(&quirks.authorization), AUTHORIZATION),
        ("token", Some(&quirks.token), TOKEN),
        ("refresh", quirks.refresh.as_ref(), TOKEN),
        ("client_credentials", quirks.client_credentials.as_ref(), TOKEN),
        ("revocation.request", Some(&quirks.revocation.request), REVOCATION),
    ];
    for (place, shape, standard) in shapes {
        let mut named = shape.into_iter().flat_map(|shape| shape.omit.iter().chain(shape.rename.keys()));
        if let Some(name) = named.find(|name| !standard.contains(&name.as_str())) {
            return Err(Error::configuration(format!(
                "{place} omits or renames `{}`, which is no standard parameter of that request; there are {}",
                text::clean(name, 64),
                standard.join(", ")
            )));
        }
    }
    Ok(())
}

/// A refresh says what is refreshed: in the standard parameter, or in one or a header of the provider's own.
pub(super) fn refresh_token(quirks: &Quirks) -> Result<()> {
    let shape = quirks.refresh.as_ref().unwrap_or(&quirks.token);
    let is_token = |name: &str| matches!(name, "token.refresh_token" | "token.access_token");
    let mut own = shape.parameters.iter().chain(shape.headers.iter());
    if quirks.refresh_policy.input != RefreshInput::None
        && shape.omit.iter().any(|name| name == "refresh_token")
        && !own.any(|(_, template)| template.variables().any(is_token))
    {
        return Err(Error::configuration(
            "a refresh has to send `refresh_token` (RFC 6749 §6): where the provider has another name for it, rename it; \
             where it has no refresh, set refresh_policy.input = \"none\"",
        ));
    }
    Ok(())
}

/// RFC 7636 §4.3: an empty value is not sent, and then the challenge counts as plain.
pub(super) fn method_value(quirks: &Quirks) -> Result<()> {
    if quirks.pkce.method_value.as_deref() == Some("") {
        return Err(Error::configuration(
            "pkce.method_value must not be empty: without code_challenge_method the challenge would count as plain (RFC 7636 \
             §4.3); leave it away where the provider takes the method by its usual name",
        ));
    }
    Ok(())
}

pub(super) fn pointers(quirks: &Quirks) -> Result<()> {
    pointers_of(&quirks.token_response)?;
    quirks.refresh_response.as_ref().map_or(Ok(()), pointers_of)
}

/// All pointers of a token response. Only `root` may be empty, which is the whole body: that is never a text or a number.
fn pointers_of(shape: &ResponseShape) -> Result<()> {
    let error = &shape.error;
    let of_errors = error.when.iter().map(|condition| &condition.pointer);
    let of_errors = of_errors.chain(&error.code).chain(&error.description);
    let roots = shape.root.iter().filter(|pointer| !pointer.is_empty());
    match shape.value_pointers().chain(of_errors).chain(roots).find(|pointer| !is_pointer(pointer)) {
        None => Ok(()),
        Some(pointer) => Err(Error::configuration(format!(
            "`{}` is no JSON pointer to a member: one is written `/data/token`, with `~1` for a slash in a name and `~0` for \
             a tilde (RFC 6901 §3)",
            text::clean(pointer, 64)
        ))),
    }
}

/// Whether it is a JSON pointer of at least one name.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|escaped| escaped.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use crate::error::{ErrorKind, Result};
    use crate::provider::Provider;

    fn build(quirks: &str) -> Result<Provider> {
        let quirks = serde_json::from_str(quirks).unwrap();
        Provider::builder("p").token_endpoint("https://as.example/token").quirks(quirks).build()
    }

    fn refusal(built: Result<Provider>) -> String {
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        error.to_string()
    }

    /// A misspelt name would be omitted or renamed in vain.
    #[test]
    fn what_a_shape_omits_or_renames_is_a_standard_parameter_of_its_request() {
        let with = |place: &str, shape: &str| {
            let json = match place {
                "revocation.request" => format!(r#"{{"revocation": {{"request": {shape}}}}}"#),
                place => format!(r#"{{"{place}": {shape}}}"#),
            };
            build(&json)
        };
        for (place, wrong, right) in [
            ("authorization", "clientid", "client_id"),
            ("authorization", "grant_type", "resource"),
            ("token", "grantype", "grant_type"),
            ("token", "response_type", "client_secret"),
            ("refresh", "refreshtoken", "scope"),
            // A refresh is often a copy of the code exchange.
            ("refresh", "", "redirect_uri"),
            ("client_credentials", "token", "scope"),
            ("revocation.request", "code", "token"),
            ("revocation.request", "token_hint", "token_type_hint"),
        ] {
            let omit = |name: &str| with(place, &format!(r#"{{"omit": ["{name}"]}}"#));
            let rename = |name: &str| with(place, &format!(r#"{{"rename": {{"{name}": "x"}}}}"#));
            let said = format!("{place} omits or renames `{wrong}`, which is no standard parameter");
            for refused in [refusal(omit(wrong)), refusal(rename(wrong))] {
                assert!(refused.contains(&said) && refused.contains(right), "{refused}");
            }
            omit(right).unwrap();
            rename(right).unwrap();
        }
    }

    #[test]
    fn a_refresh_may_send_its_token_in_another_place() {
        for json in [
            r#"{"refresh": {"omit": ["refresh_token"], "headers": {"authorization": "Bearer {token.refresh_token}"}}}"#,
            r#"{"refresh": {"omit": ["refresh_token"], "parameters": {"token": "{token.access_token}"}}}"#,
            r#"{"token": {"omit": ["refresh_token"]}, "refresh_policy": {"input": "none"}}"#,
            r#"{"token": {"omit": ["refresh_token"]}, "refresh": {}}"#,
        ] {
            build(json).unwrap();
        }
        let none =
            r#"{"refresh": {"omit": ["refresh_token"], "parameters": {"account": "{token.account}"}}}"#;
        assert!(refusal(build(none)).contains("`refresh_token`"));
    }

    #[test]
    fn every_pointer_into_a_token_response_is_a_json_pointer() {
        let written = |place: &str, pointer: &str| match place {
            "root" | "error.code" | "error.description" => serde_json::json!([pointer]),
            "error.when" => serde_json::json!([{ "pointer": pointer }]),
            _ => pointer.into(),
        };
        let with = |reply: &str, place: &str, pointer: &str| {
            let value = written(place, pointer);
            let shape = match place.split_once('.') {
                Some((outer, inner)) => serde_json::json!({ outer: { inner: value } }),
                None => serde_json::json!({ place: value }),
            };
            let json = serde_json::json!({ reply: shape }).to_string();
            build(&json)
        };
        for reply in ["token_response", "refresh_response"] {
            for place in [
                "root",
                "fields.access_token",
                "fields.token_type",
                "fields.refresh_token",
                "fields.expires_in",
                "fields.scope",
                "fields.id_token",
                "fields.refresh_token_expires_in",
                "fields.account",
                "expiry.pointer",
                "expiry.issued_at",
                "error.when",
                "error.code",
                "error.description",
            ] {
                for wrong in ["status", "data/token", "$.token", "#/token", "/a~", "/a~2b"] {
                    let said = refusal(with(reply, place, wrong));
                    assert!(
                        said.contains(&format!("`{wrong}` is no JSON pointer")),
                        "{reply} {place}: {said}"
                    );
                }
                for right in ["/token", "/data/0/token", "/a~1b~0c", "/"] {
                    with(reply, place, right).unwrap();
                }
                // The empty one is the whole body: an object, and no value.
                assert_eq!(with(reply, place, "").is_ok(), place == "root", "{reply} {place}");
            }
        }
    }
}

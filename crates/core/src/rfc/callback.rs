//! The authorization response (RFC 6749 §4.1.2).

use std::collections::BTreeMap;

use crate::call::Call;
use crate::callback::{AuthorizationResponse, Callback, malformed};
use crate::error::{Result, ServerError};
use crate::secret::Secret;
use crate::text;

/// Reads code or error, under the provider's names, and what the provider retains.
///
/// # Errors
///
/// [`ErrorKind::CallbackMalformed`](crate::ErrorKind::CallbackMalformed) if there is neither or both, if a parameter occurs
/// twice, or if tokens came through the browser (RFC 9700 §2.1.2).
pub fn callback(cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
    let shape = &cx.provider.quirks().authorization_response;
    let names = &shape.error_parameters;
    let code = response.get(shape.code_parameter.as_deref().unwrap_or("code"))?;
    let error = response.get(names.error.as_deref().unwrap_or("error"))?;
    for token in ["access_token", "id_token", "refresh_token"] {
        if response.get(token)?.is_some() {
            return Err(malformed(
                "the callback holds a token; tokens come from the token endpoint only (RFC 9700 §2.1.2)",
            ));
        }
    }
    let outcome = match (code, error) {
        (Some(_), Some(_)) => return Err(malformed("the callback holds both a code and an error")),
        (None, None) => return Err(malformed("the callback holds neither a code nor an error")),
        (Some(code), None) => {
            if !text::is_vschar(code) {
                return Err(malformed("the code holds an illegal character (RFC 6749 appendix A.11)"));
            }
            Ok(Secret::new(code))
        }
        (None, Some(error)) => {
            let description =
                response.get(names.error_description.as_deref().unwrap_or("error_description"))?;
            let uri = response.get(names.error_uri.as_deref().unwrap_or("error_uri"))?;
            Err(ServerError::new(error, description, uri))
        }
    };
    let mut retained = BTreeMap::new();
    for name in &shape.retain {
        if let Some(value) = response.get(name)? {
            retained.insert(name.clone(), value.to_owned());
        }
    }
    Ok(Callback::new(outcome, retained))
}

//! Errors, in words for whoever looks on.

use authflow::{Error, ErrorKind};

use crate::terminal::printable;

/// What went wrong, as sentences: without the provider and the operation, which stand beside it, and the kind's name.
pub(super) fn of(error: &Error) -> String {
    let whole = printable(&error.to_string());
    let mut rest = whole.as_str();
    let operation = error.operation().map(|operation| operation.as_str());
    for before in [error.provider(), operation].into_iter().flatten() {
        rest = rest.strip_prefix(before).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(rest);
    }
    let mut text = match error.status() {
        Some(status) => {
            let bare = rest.strip_suffix(&format!(" [HTTP {}]", status.as_u16())).unwrap_or(rest);
            format!("{bare} (HTTP {}).", status.as_u16())
        }
        None => format!("{rest}."),
    };
    if let Some(wait) = error.retry_after() {
        text.push_str(&format!(" Wait {} s before the next try.", wait.as_millis().div_ceil(1000)));
    }
    text
}

/// The same where no more than the kind is known.
pub(super) const fn of_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Network => "no usable answer came",
        ErrorKind::Unavailable => "the provider is not available",
        ErrorKind::RateLimited => "the provider asks to slow down",
        ErrorKind::InvalidResponse => "the provider's answer is not one that can be used",
        ErrorKind::InvalidGrant => "the provider does not accept the refresh token",
        ErrorKind::RotationLost => "the refresh token was replaced, and the new one is lost",
        ErrorKind::AccountChanged => "the tokens are of another account",
        ErrorKind::Refused => "the provider refused it",
        _ => "it did not come to its end",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authflow::{Error, ErrorKind, Operation};

    use super::of;

    #[test]
    fn an_error_is_told_in_words() {
        let error = Error::new(ErrorKind::Unavailable, "the provider is not available")
            .with_status(http::StatusCode::SERVICE_UNAVAILABLE)
            .with_retry_after(Some(Duration::from_millis(6400)))
            .at("rfc", Operation::Refresh);
        assert_eq!(of(&error), "the provider is not available (HTTP 503). Wait 7 s before the next try.");
        assert_eq!(of(&Error::usage("no such thing").at("rfc", Operation::Begin)), "no such thing.");
    }
}

//! The token that shows that a form is the application's own.

use std::fmt;

use authflow_core::{Binding, Result, Secret, User};
use http::HeaderValue;
use subtle::ConstantTimeEq as _;

use crate::cookies::{Cookies, Found, SameSite, Writer};
use crate::digest;

/// A token for the application's own forms: put [`value`](Self::value) into a hidden field named
/// [`TOKEN_FIELD`](crate::TOKEN_FIELD), and send [`set_cookie`](Self::set_cookie) with the page. Its `Debug` does not show it.
///
/// Browsers say themselves that a form is the application's own (`Sec-Fetch-Site`, `Origin`), so that a form works without;
/// the token is for browsers, proxies and extensions that take those headers away.
#[derive(Clone)]
pub struct FormToken {
    value: String,
    set_cookie: Option<HeaderValue>,
}

impl FormToken {
    /// The value of the hidden field. It is good for this user in this browser.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The `Set-Cookie` that has to go out with the page; none where the browser has the cookie already.
    #[must_use]
    pub const fn set_cookie(&self) -> Option<&HeaderValue> {
        self.set_cookie.as_ref()
    }

    /// The token of this browser and this user. What the browser has is kept, so that forms in other tabs stay good.
    pub(crate) fn new(writer: Writer, cookies: &Cookies<'_>, user: &User) -> Result<Self> {
        if let Some(secret) = secret(writer, cookies) {
            return Ok(Self { value: token(secret, user), set_cookie: None });
        }
        let binding = Binding::new_browser()?;
        let secret = binding.browser_secret().map(Secret::expose).unwrap_or_default();
        // Nobody else knows it, so that it may come along with a link from elsewhere. `Strict` would hide it from what follows the
        // provider's redirect, and each page there would begin another.
        let set_cookie = writer.set(&name(writer), secret, SameSite::Lax, None);
        Ok(Self { value: token(secret, user), set_cookie })
    }
}

impl fmt::Debug for FormToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormToken").field("set_cookie", &self.set_cookie.is_some()).finish_non_exhaustive()
    }
}

/// Whether `given` is the token of this browser and this user.
pub(crate) fn is_good(writer: Writer, cookies: &Cookies<'_>, user: &User, given: &str) -> bool {
    secret(writer, cookies)
        .is_some_and(|secret| token(secret, user).as_bytes().ct_eq(given.as_bytes()).into())
}

fn name(writer: Writer) -> String {
    format!("{}form", writer.prefix())
}

fn token(secret: &str, user: &User) -> String {
    digest::form_token(secret, &user.tenant, &user.id)
}

fn secret<'r>(writer: Writer, cookies: &Cookies<'r>) -> Option<&'r str> {
    match cookies.get(&name(writer)) {
        Found::One(secret) if secret.len() == 43 && digest::is_base64url(secret) => Some(secret),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::COOKIE;

    use super::*;

    const WRITER: Writer = Writer::new(true);

    fn sent(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(cookies).unwrap())])
    }

    fn read(sent: &HeaderMap) -> Cookies<'_> {
        Cookies::read(sent, WRITER.prefix())
    }

    #[test]
    fn a14_a_token_fits_one_browser_and_one_user() {
        let (ann, bob) = (User::new("t", "ann"), User::new("t", "bob"));
        let first = FormToken::new(WRITER, &read(&sent("")), &ann).unwrap();
        let set = first.set_cookie().unwrap().to_str().unwrap();
        assert!(set.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{set}");
        let browser = sent(set.split(';').next().unwrap());
        let browser = read(&browser);
        assert!(is_good(WRITER, &browser, &ann, first.value()));
        assert!(!is_good(WRITER, &browser, &bob, first.value()));
        assert!(!is_good(WRITER, &browser, &User::new("", "ann"), first.value()));
        assert!(!is_good(WRITER, &browser, &ann, ""));
        let other = FormToken::new(WRITER, &read(&sent("")), &ann).unwrap();
        assert!(!is_good(WRITER, &browser, &ann, other.value()));
        assert!(!is_good(WRITER, &read(&sent("")), &ann, first.value()));
        let again = FormToken::new(WRITER, &browser, &ann).unwrap();
        assert_eq!((again.value(), again.set_cookie()), (first.value(), None));
        assert_eq!(format!("{first:?}"), "FormToken { set_cookie: true, .. }");
    }

    #[test]
    fn a17_a_planted_or_doubled_secret_makes_no_token() {
        let ann = User::new("", "ann");
        let secret = "a".repeat(43);
        let token = digest::form_token(&secret, "", "ann");
        assert!(is_good(WRITER, &read(&sent(&format!("__Host-authflow-form={secret}"))), &ann, &token));
        let double = sent(&format!("__Host-authflow-form={secret}; __Host-authflow-form={secret}"));
        let double = read(&double);
        assert!(!is_good(WRITER, &double, &ann, &token));
        assert!(FormToken::new(WRITER, &double, &ann).unwrap().set_cookie().is_some());
        let short = digest::form_token("", "", "ann");
        assert!(!is_good(WRITER, &read(&sent("__Host-authflow-form=")), &ann, &short));
    }
}

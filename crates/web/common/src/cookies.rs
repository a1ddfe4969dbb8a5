//! The cookies of a request, and those of an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// What is behind the name of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'c> {
    /// No such cookie.
    None,
    /// One.
    One(&'c str),
    /// Several: somebody may have set one beside ours, such as from a sub-domain, and which is ours cannot be told.
    Several,
}

/// The cookies of a request, each name once. `None`: it is there more than once.
pub(crate) struct Cookies(BTreeMap<String, Option<String>>);

impl Cookies {
    /// Those whose names begin with `prefix`. What is no cookie is left out.
    pub(crate) fn read(headers: &HeaderMap, prefix: &str) -> Self {
        let mut cookies = BTreeMap::new();
        for header in headers.get_all(COOKIE) {
            // A cookie of somebody else may hold any bytes.
            let text = String::from_utf8_lossy(header.as_bytes());
            let all = Cookie::split_parse(&*text).flatten();
            for cookie in all.filter(|cookie| cookie.name().starts_with(prefix)) {
                let value = Some(cookie.value().to_owned());
                cookies.entry(cookie.name().to_owned()).and_modify(|value| *value = None).or_insert(value);
            }
        }
        Self(cookies)
    }

    pub(crate) fn get(&self, name: &str) -> Found<'_> {
        self.0.get(name).map_or(Found::None, Found::of)
    }

    /// Every name once, with what is behind it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        self.0.iter().map(|(name, value)| (&**name, Found::of(value)))
    }
}

impl<'c> Found<'c> {
    fn of(value: &'c Option<String>) -> Self {
        value.as_deref().map_or(Self::Several, Self::One)
    }
}

/// How cookies are written here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    is_secure: bool,
}

impl Writer {
    pub(crate) const fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    /// What the names of all our cookies begin with. A browser takes `__Host-` only from this very host and only over https, so
    /// that no sub-domain can plant one (RFC 6265bis §4.1.3.2).
    pub(crate) const fn prefix(self) -> &'static str {
        if self.is_secure { "__Host-authflow-" } else { "authflow-" }
    }

    /// `SameSite=None` where it is wanted and can be: browsers want `Secure` with it.
    pub(crate) const fn same_site(self, is_none: bool) -> SameSite {
        if is_none && self.is_secure { SameSite::None } else { SameSite::Lax }
    }

    /// A `Set-Cookie`. Without `lifetime` it lasts until the browser is closed.
    pub(crate) fn set(
        self,
        name: &str,
        value: &str,
        same_site: SameSite,
        lifetime: Option<Duration>,
    ) -> Option<HeaderValue> {
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.is_secure)
            .same_site(same_site);
        if let Some(lifetime) = lifetime {
            let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
        }
        // What is written is ASCII without control characters: it can be a header.
        let mut header = HeaderValue::try_from(cookie.build().to_string()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Takes a cookie away: the same attributes, and no time to live.
    pub(crate) fn remove(self, name: &str, same_site: SameSite) -> Option<HeaderValue> {
        self.set(name, "", same_site, Some(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(headers: &[&[u8]]) -> HeaderMap {
        headers.iter().map(|value| (COOKIE, HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn a17_two_cookies_of_one_name_are_told_from_one() {
        let headers = cookies(&[b"x-a=1; x-b=2; y=3; x-a=1", b"x-c=4"]);
        let read = Cookies::read(&headers, "x-");
        assert_eq!(read.get("x-a"), Found::Several);
        assert_eq!(read.get("x-b"), Found::One("2"));
        assert_eq!(read.get("x-c"), Found::One("4"));
        assert_eq!(read.get("y"), Found::None);
        let all: Vec<_> = read.iter().collect();
        assert_eq!(all, [("x-a", Found::Several), ("x-b", Found::One("2")), ("x-c", Found::One("4"))]);
        let split = cookies(&[b"x-a=1", b"x-a=2"]);
        assert_eq!(Cookies::read(&split, "x-").get("x-a"), Found::Several);
    }

    #[test]
    fn a17_a_name_is_exact() {
        let read = Cookies::read(&cookies(&[b"X-a=1; x-ab=2; x%2Da=3;  x-c = 4 ;;=;x-d"]), "x-");
        assert_eq!(read.get("x-a"), Found::None);
        assert_eq!(read.get("x-c"), Found::One("4"));
        assert_eq!(read.get("x-d"), Found::None);
    }

    #[test]
    fn b12_cookies_of_others_may_hold_any_bytes() {
        let read = Cookies::read(&cookies(&[b"other=\xff\xfe\"; x-a=1; \xc3=2"]), "x-");
        assert_eq!(read.get("x-a"), Found::One("1"));
    }

    #[test]
    fn a16_attributes() {
        let secure = Writer::new(true);
        let minute = Some(Duration::from_secs(60));
        let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            text(secure.set("__Host-authflow-x", "v", secure.same_site(false), minute)),
            "__Host-authflow-x=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            text(secure.set("__Host-authflow-x", "v", secure.same_site(true), None)),
            "__Host-authflow-x=v; HttpOnly; SameSite=None; Secure; Path=/"
        );
        assert_eq!(
            text(secure.remove("__Host-authflow-x", secure.same_site(true))),
            "__Host-authflow-x=; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=0"
        );
        let plain = Writer::new(false);
        assert_eq!(
            text(plain.set("authflow-x", "v", plain.same_site(true), minute)),
            "authflow-x=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"
        );
        assert_eq!((secure.prefix(), plain.prefix()), ("__Host-authflow-", "authflow-"));
    }

    #[test]
    fn h1_a_cookie_is_not_in_any_debug() {
        let header = Writer::new(true).set("n", "secret", SameSite::Lax, None).unwrap();
        assert!(!format!("{header:?}").contains("secret"));
    }
}

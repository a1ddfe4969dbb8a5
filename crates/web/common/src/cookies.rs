//! The cookies of a request, and those of an answer.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::memchr;

use crate::split::split;

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

/// The cookies of a request, each name once, in the order in which the browser sent them. `None`: it is there more than once.
pub(crate) struct Cookies<'r>(Vec<Cookie<'r>>);

struct Cookie<'r> {
    name: &'r str,
    value: Option<&'r str>,
    /// How many stood before it.
    place: usize,
}

impl<'r> Cookies<'r> {
    /// Those whose names begin with `prefix`. What is no cookie is left out.
    ///
    /// Around a name or a value only what RFC 6265 §5.2 calls white space is taken away. To Unicode there is more of it, and a
    /// name behind such a character is not one of ours: a browser lets anybody set it, for to a browser it has no `__Host-`.
    pub(crate) fn read(headers: &'r HeaderMap, prefix: &str) -> Self {
        let mut cookies = Vec::new();
        for header in headers.get_all(COOKIE) {
            // A cookie of somebody else may hold any bytes.
            let pairs = split(header.as_bytes(), b';').map(<[u8]>::trim_ascii);
            for pair in pairs.filter(|pair| pair.starts_with(prefix.as_bytes())) {
                let Some(equals) = memchr(b'=', pair) else { continue };
                let (name, value) = pair.split_at(equals);
                let Ok(name) = str::from_utf8(name.trim_ascii_end()) else { continue };
                // What is no text was not set here. It is there all the same.
                let value = value.get(1..).unwrap_or_default().trim_ascii_start();
                let value = Some(str::from_utf8(value).unwrap_or_default());
                cookies.push(Cookie { name, value, place: cookies.len() });
            }
        }
        // There may be as many as fit into a request: each is not compared with all others.
        cookies.sort_unstable_by_key(|cookie| (cookie.name, cookie.place));
        cookies.dedup_by(|next, first| {
            let is_same = next.name == first.name;
            if is_same {
                first.value = None;
            }
            is_same
        });
        cookies.sort_unstable_by_key(|cookie| cookie.place);
        Self(cookies)
    }

    pub(crate) fn get(&self, name: &str) -> Found<'r> {
        let found = self.0.iter().find(|cookie| cookie.name == name);
        found.map_or(Found::None, |cookie| Found::of(cookie.value))
    }

    /// Every name once, with what is behind it, in the order of the request.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'r str, Found<'r>)> {
        self.0.iter().map(|cookie| (cookie.name, Found::of(cookie.value)))
    }
}

impl<'c> Found<'c> {
    fn of(value: Option<&'c str>) -> Self {
        value.map_or(Self::Several, Self::One)
    }
}

/// With which requests of other sites a cookie is sent (RFC 6265bis §5.5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SameSite {
    Lax,
    None,
}

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::None => "None",
        }
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
        // The attributes take 65 bytes at most, and the seconds 20.
        let mut cookie = String::with_capacity(name.len() + value.len() + 86);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let same_site = same_site.as_str();
        cookie.extend([name, "=", value, "; HttpOnly; SameSite=", same_site, secure, "; Path=/"]);
        if let Some(lifetime) = lifetime {
            // Into a string it cannot fail.
            let _ = write!(cookie, "; Max-Age={}", lifetime.as_secs());
        }
        // What is written is ASCII without control characters: it can be a header.
        let mut header = HeaderValue::try_from(cookie).ok()?;
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
        let headers = cookies(&[b"X-a=1; x-ab=2; x%2Da=3;  x-c = 4 ;;=;x-d"]);
        let read = Cookies::read(&headers, "x-");
        assert_eq!(read.get("x-a"), Found::None);
        assert_eq!(read.get("x-c"), Found::One("4"));
        assert_eq!(read.get("x-d"), Found::None);
    }

    #[test]
    fn a17_a_name_behind_other_white_space_is_not_ours() {
        for space in ["\u{a0}", "\u{85}", "\u{2003}", "\u{3000}", "\u{feff}"] {
            let read = format!("x-a=1; {space}x-a=2; x-b{space}=3;\tx-c\t=\t4\t");
            let read = cookies(&[read.as_bytes()]);
            let read = Cookies::read(&read, "x-");
            assert_eq!(read.get("x-a"), Found::One("1"), "{space:?}");
            assert_eq!((read.get("x-b"), read.get("x-c")), (Found::None, Found::One("4")), "{space:?}");
        }
    }

    #[test]
    fn b12_cookies_of_others_may_hold_any_bytes() {
        let headers = cookies(&[b"other=\xff\xfe\"; x-a=1; \xc3=2; x-b=\xff; x-\xff=3"]);
        let read = Cookies::read(&headers, "x-");
        assert_eq!(read.get("x-a"), Found::One("1"));
        assert_eq!(read.iter().collect::<Vec<_>>(), [("x-a", Found::One("1")), ("x-b", Found::One(""))]);
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

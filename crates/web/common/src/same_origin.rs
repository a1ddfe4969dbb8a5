//! Whether a request was made by a page of the application itself.

use http::{HeaderMap, HeaderName};

use crate::site::Site;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
/// What `Sec-Purpose` was called before.
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// Who made a request, as far as the browser says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// A page of the same origin.
    Own,
    /// The user: the address was typed, or is a bookmark.
    Nobody,
    /// Another site; or the browser does not tell.
    Foreign,
}

/// By `Sec-Fetch-Site`, which no script can set; where a browser does not send it, by `Origin`.
pub(crate) fn initiator(site: &Site, headers: &HeaderMap) -> Initiator {
    match only(headers, &SEC_FETCH_SITE) {
        Some(Some("same-origin")) => Initiator::Own,
        Some(Some("none")) => Initiator::Nobody,
        Some(_) => Initiator::Foreign,
        None => match only(headers, &http::header::ORIGIN) {
            Some(Some(origin)) if site.is_own_origin(origin) => Initiator::Own,
            _ => Initiator::Foreign,
        },
    }
}

/// Whether a GET may be a link that was followed: as far as the browser says what it is for, it is for a page of its own.
pub(crate) fn may_be_followed(headers: &HeaderMap) -> bool {
    let says =
        |name: &HeaderName, expected: &str| only(headers, name).is_none_or(|said| said == Some(expected));
    says(&SEC_FETCH_MODE, "navigate") && says(&SEC_FETCH_DEST, "document")
}

/// Whether a browser asks before its user does, for what it may never show.
pub(crate) fn is_fetched_ahead(headers: &HeaderMap) -> bool {
    let values = [SEC_PURPOSE, PURPOSE].into_iter().flat_map(|name| headers.get_all(name));
    let mut tokens = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    tokens.any(|token| token.trim().eq_ignore_ascii_case("prefetch"))
}

/// Whether the browser says that another site has to do with a request, be it with one of the redirects that led to it.
pub(crate) fn comes_from_another_site(headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_SITE).is_some_and(|site| !matches!(site, Some("same-origin" | "none")))
}

/// Whether the browser says that somebody pressed something for a request, or for the one whose redirects led to it.
pub(crate) fn is_pressed(headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_USER) == Some(Some("?1"))
}

/// Whether the browser says that nobody pressed anything for a request: it is of a page that goes on by itself, or of a script.
pub(crate) fn goes_on_by_itself(headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_SITE).is_some() && !is_pressed(headers)
}

/// The text of a header that may be there once. `Some(None)`: it is there, and is no such thing.
pub(crate) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { None } else { first.to_str().ok() })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a14_what_nobody_pressed() {
        for (user, pressed) in
            [(&["?1"][..], true), (&["?0"], false), (&[""], false), (&["?1", "?1"], false), (&[], false)]
        {
            let mut headers = HeaderMap::new();
            for user in user {
                headers.append(SEC_FETCH_USER, HeaderValue::from_static(user));
            }
            assert_eq!(is_pressed(&headers), pressed, "{user:?}");
            assert!(!goes_on_by_itself(&headers), "the browser does not say");
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
            assert_eq!(goes_on_by_itself(&headers), !pressed, "{user:?}");
        }
    }

    #[test]
    fn a14_who_made_a_request() {
        let site = Site::new("https://app.example/auth").unwrap();
        let of = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            initiator(&site, &map)
        };
        let (own, foreign) = ("https://app.example", "https://evil.example");
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], Initiator::Own),
            (&[("sec-fetch-site", "none")], Initiator::Nobody),
            (&[("sec-fetch-site", "cross-site")], Initiator::Foreign),
            (&[("sec-fetch-site", "same-site")], Initiator::Foreign),
            (&[("sec-fetch-site", "")], Initiator::Foreign),
            (&[("sec-fetch-site", "Same-Origin")], Initiator::Foreign),
            (&[("sec-fetch-site", "cross-site"), ("origin", own)], Initiator::Foreign),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], Initiator::Foreign),
            (&[("origin", own)], Initiator::Own),
            (&[("origin", foreign)], Initiator::Foreign),
            (&[("origin", "null")], Initiator::Foreign),
            (&[("origin", own), ("origin", foreign)], Initiator::Foreign),
            (&[("referer", "https://app.example/auth")], Initiator::Foreign),
            (&[], Initiator::Foreign),
        ] {
            assert_eq!(of(headers), expected, "{headers:?}");
        }
    }
}

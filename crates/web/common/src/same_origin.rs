//! Whether a request was made by a page of the application itself.

use http::{HeaderMap, HeaderName};
use url::Url;

use crate::site::Site;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
/// What `Sec-Purpose` was called before.
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
/// What Chromium says of itself with each request, and no other browser.
const SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");

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

/// Whether the browser says that another site made a request, and not only another origin of this one. It keeps cookies back then that are
/// `SameSite=Strict`, and `Lax` ones from what was posted: who is signed in may not be seen.
pub(crate) fn is_of_another_site(site: &Site, headers: &HeaderMap) -> bool {
    match only(headers, &SEC_FETCH_SITE) {
        Some(Some("same-origin" | "same-site" | "none")) => false,
        Some(_) => true,
        None => only(headers, &http::header::ORIGIN)
            .is_some_and(|origin| !origin.is_some_and(|origin| site.is_own_origin(origin))),
    }
}

/// Whether somebody pressed something for a request, or for the one whose redirects led to it, as far as the browser says so.
///
/// Safari says of nothing that it was pressed. There it may have been, where a page of the application led here: its address is in
/// `Referer`, and that of a page of ours never is, so what goes on from ours by itself does not count. Chromium says it always.
pub(crate) fn is_pressed(site: &Site, headers: &HeaderMap) -> bool {
    match only(headers, &SEC_FETCH_USER) {
        Some(pressed) => pressed == Some("?1"),
        None => !headers.contains_key(SEC_CH_UA) && comes_from_own_page(site, headers),
    }
}

fn comes_from_own_page(site: &Site, headers: &HeaderMap) -> bool {
    let page = only(headers, &http::header::REFERER).flatten().and_then(|page| Url::parse(page).ok());
    page.is_some_and(|page| site.is_own_origin(&page.origin().ascii_serialization()))
}

/// Whether nobody pressed anything for a request, as far as the browser says so: it is of a page that goes on by itself, or of a
/// script.
pub(crate) fn goes_on_by_itself(site: &Site, headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_SITE).is_some() && !is_pressed(site, headers)
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

    /// Safari has no `Sec-Fetch-User`.
    #[test]
    fn a14_what_may_have_been_pressed_where_the_browser_does_not_say() {
        let site = Site::new("https://app.example/auth").unwrap();
        for (page, pressed) in [
            (&["https://app.example/inbox?q=1"][..], true),
            (&["https://app.example"], true),
            (&["https://app.example:443/"], true),
            (&["https://app.example.evil.example/"], false),
            (&["https://evil.example/https://app.example/"], false),
            (&["http://app.example/"], false),
            (&["https://app.example@evil.example/"], false),
            (&["/inbox"], false),
            (&[""], false),
            (&["https://app.example/", "https://app.example/"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
            for page in page {
                headers.append(http::header::REFERER, HeaderValue::from_static(page));
            }
            assert_eq!(is_pressed(&site, &headers), pressed, "{page:?}");
            assert_eq!(goes_on_by_itself(&site, &headers), !pressed, "{page:?}");
            for (name, value) in [(SEC_CH_UA, "\"Chromium\";v=\"140\""), (SEC_FETCH_USER, "?0")] {
                let mut headers = headers.clone();
                headers.insert(name, HeaderValue::from_static(value));
                assert!(goes_on_by_itself(&site, &headers), "the browser would say so: {page:?}");
            }
        }
    }

    #[test]
    fn a14_what_comes_from_another_site() {
        let site = Site::new("https://app.example/auth").unwrap();
        for (fetch_site, origin, expected) in [
            (Some("cross-site"), None, true),
            (Some("?"), Some("https://app.example"), true),
            (Some("same-site"), Some("https://www.app.example"), false),
            (Some("same-origin"), Some("https://app.example"), false),
            (Some("none"), None, false),
            (None, Some("https://evil.example"), true),
            (None, Some("null"), true),
            (None, Some("https://app.example"), false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            fetch_site.map(|value| headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(value)));
            origin.map(|value| headers.insert(http::header::ORIGIN, HeaderValue::from_static(value)));
            assert_eq!(is_of_another_site(&site, &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a14_what_nobody_pressed() {
        let site = Site::new("https://app.example/auth").unwrap();
        for (user, pressed) in
            [(&["?1"][..], true), (&["?0"], false), (&[""], false), (&["?1", "?1"], false), (&[], false)]
        {
            let mut headers = HeaderMap::new();
            for user in user {
                headers.append(SEC_FETCH_USER, HeaderValue::from_static(user));
            }
            assert_eq!(is_pressed(&site, &headers), pressed, "{user:?}");
            assert!(!goes_on_by_itself(&site, &headers), "the browser does not say");
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
            assert_eq!(goes_on_by_itself(&site, &headers), !pressed, "{user:?}");
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

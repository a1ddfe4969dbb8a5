//! Who may ask: browsers of this machine that mean this address, and this page alone where something is done.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `http://127.0.0.1:PORT`, and what a request to it has as its `Host`.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) origin: String,
    authority: String,
}

impl Site {
    pub(super) fn new(address: std::net::SocketAddr) -> Self {
        let authority = address.to_string();
        Self { origin: format!("http://{authority}"), authority }
    }

    /// Whether the request was meant for this address. A name that an attacker has made point to this machine (DNS rebinding)
    /// is not it.
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        one(headers, HOST).is_some_and(|host| host == self.authority.as_str())
    }

    /// Whether the request comes from a page of this address, by what the browser says and no page can forge.
    pub(super) fn is_own(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(SEC_FETCH_SITE) {
            return one(headers, SEC_FETCH_SITE).is_some_and(|site| site == "same-origin");
        }
        one(headers, ORIGIN).is_some_and(|origin| origin == self.origin.as_str())
    }
}

/// The value of a header that came once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Before everything else: the `Host`.
pub(super) async fn meant(State(site): State<Site>, request: Request<Body>, next: Next) -> Response {
    if !site.is_meant(request.headers()) {
        let text = format!("This is the authflow demo. It answers at {}/ only.\n", site.origin);
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    next.run(request).await
}

/// Before whatever does something: the page that it comes from.
pub(super) async fn own(State(site): State<Site>, request: Request<Body>, next: Next) -> Response {
    if !request.method().is_safe() && !site.is_own(request.headers()) {
        let text = "Refused: this was not sent by the demo's own page.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::Site;

    fn headers(pairs: &[(&'static str, &'static str)]) -> http::HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a14_only_the_own_page_may_act() {
        let site = Site::new("127.0.0.1:7001".parse().unwrap());
        let own = "http://127.0.0.1:7001";
        assert!(site.is_own(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(site.is_own(&headers(&[("origin", own)])));
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("origin", own)],
            &[("origin", "http://127.0.0.1:7002")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:7001.attacker.example")],
        ] {
            assert!(!site.is_own(&headers(foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn g4_only_the_own_address_is_meant() {
        let site = Site::new("127.0.0.1:7001".parse().unwrap());
        assert!(site.is_meant(&headers(&[("host", "127.0.0.1:7001")])));
        for foreign in ["attacker.example:7001", "127.0.0.1", "127.0.0.1:7002", "localhost:7001", ""] {
            assert!(!site.is_meant(&headers(&[("host", foreign)])), "{foreign}");
        }
        assert!(!site.is_meant(&headers(&[])));
    }
}

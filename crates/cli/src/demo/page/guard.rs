//! Who may ask: browsers of this machine that mean this address, and this page alone where something is done.

use authflow_web::Accounts;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::HOST;
use http::{HeaderMap, StatusCode};

use super::app::callback_path;
use super::party::Party;

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

    /// Where a provider's answer goes.
    pub(super) fn redirect_uri(&self, party: Party) -> String {
        format!("{}{}", self.origin, callback_path(party.id()))
    }

    /// Whether the request was meant for this address. A name that an attacker has made point to this machine (DNS rebinding)
    /// is not it.
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        headers.get_all(HOST).iter().eq([self.authority.as_str()])
    }
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
pub(super) async fn own(State(accounts): State<Accounts>, request: Request<Body>, next: Next) -> Response {
    if !request.method().is_safe() && !accounts.is_own_request(request.headers()) {
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
    fn g4_only_the_own_address_is_meant() {
        let site = Site::new("127.0.0.1:7001".parse().unwrap());
        assert!(site.is_meant(&headers(&[("host", "127.0.0.1:7001")])));
        for foreign in ["attacker.example:7001", "127.0.0.1", "127.0.0.1:7002", "localhost:7001", ""] {
            assert!(!site.is_meant(&headers(&[("host", foreign)])), "{foreign}");
        }
        assert!(!site.is_meant(&headers(&[])));
    }
}

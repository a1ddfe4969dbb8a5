//! Which endpoint a request is for.

use http::{Method, StatusCode};

use super::{
    authorize,
    config::Personality,
    contentstack,
    context::Context,
    ledger::{Endpoint, Outcome},
    metadata,
    refusal::{Refusal, Style},
    reply::Reply,
    request::Received,
    stackexchange, token,
};

/// Where the consent page's form goes, in every personality.
pub(super) const CONSENT_PATH: &str = "/consent";
/// Where [`Fault::Redirect`](super::Fault::Redirect) points by default.
pub(super) const ELSEWHERE_PATH: &str = "/elsewhere";

type Serve = Box<dyn FnOnce(&mut Context<'_>) -> Result<Reply, Refusal>>;

pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) style: Style,
    pub(super) methods: &'static [Method],
    pub(super) serve: Serve,
}

impl Route {
    pub(super) fn new(
        endpoint: Endpoint,
        style: Style,
        methods: &'static [Method],
        serve: impl FnOnce(&mut Context<'_>) -> Result<Reply, Refusal> + 'static,
    ) -> Self {
        Self { endpoint, style, methods, serve: Box::new(serve) }
    }

    /// The authorization endpoint at any path.
    pub(super) fn authorize(app_uid: Option<String>) -> Self {
        const METHODS: &[Method] = &[Method::GET, Method::POST];
        Self::new(Endpoint::Authorization, Style::Page, METHODS, move |cx| {
            Ok(authorize::authorize(cx, app_uid.as_deref()))
        })
    }

    pub(super) fn not_found(style: Style) -> Self {
        const METHODS: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD];
        Self::new(Endpoint::Other, style, METHODS, |_| {
            Err(Refusal::new("not_found", "there is nothing at this path").with_status(StatusCode::NOT_FOUND))
        })
    }

    pub(super) fn of(personality: Personality, request: &Received) -> Self {
        if request.path == CONSENT_PATH {
            return Self::new(Endpoint::Consent, Style::Page, POST, |cx| Ok(authorize::decide(cx)));
        }
        if request.path == ELSEWHERE_PATH {
            const METHODS: &[Method] = &[Method::GET, Method::POST, Method::DELETE];
            return Self::new(Endpoint::Other, Style::OAuth, METHODS, |cx| {
                cx.note.outcome = Some(Outcome::Served);
                Ok(Reply::bytes(StatusCode::OK, "text/plain; charset=utf-8", "elsewhere"))
            });
        }
        match personality {
            Personality::Rfc => rfc(&request.path),
            Personality::StackExchange => stackexchange::route(&request.path),
            Personality::Contentstack => contentstack::route(request),
        }
    }
}

pub(super) const GET: &[Method] = &[Method::GET];
pub(super) const POST: &[Method] = &[Method::POST];

fn rfc(path: &str) -> Route {
    match path {
        "/authorize" => Route::authorize(None),
        "/token" => Route::new(Endpoint::Token, Style::OAuth, POST, token::token),
        "/revoke" => Route::new(Endpoint::Revocation, Style::OAuth, POST, token::revoke),
        "/introspect" => Route::new(Endpoint::Introspection, Style::OAuth, POST, token::introspect),
        "/resource" => {
            const METHODS: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE];
            Route::new(Endpoint::Resource, Style::Bearer, METHODS, token::resource)
        }
        "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
            Route::new(Endpoint::Metadata, Style::OAuth, GET, |cx| Ok(metadata::document(cx)))
        }
        "/jwks" => Route::new(Endpoint::Metadata, Style::OAuth, GET, |cx| Ok(metadata::keys(cx))),
        _ => Route::not_found(Style::OAuth),
    }
}

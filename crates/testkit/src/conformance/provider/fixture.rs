//! What the suite has to know of a provider beside its manager.

use std::fmt;
use std::sync::Arc;

use authflow_core::{ErrorKind, FlowManager, HttpRequest, HttpResponse, StateStore};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use url::Url;

use crate::http::json;

/// A manager under test, with what its provider answers. Every part but the manager has a default that fits a provider of
/// the RFCs; replace what differs.
///
/// ```
/// use authflow_core::{ClientCredentials, ConfiguredProvider, Provider};
/// use authflow_testkit::conformance::provider::ProviderFixture;
///
/// let fixture = ProviderFixture::new(|states| {
///     let provider = Provider::builder("example")
///         .authorization_endpoint("https://as.example/authorize")
///         .token_endpoint("https://as.example/token")
///         .build()
///         .expect("a provider");
///     let credentials =
///         ClientCredentials::public("client-1").redirect_uri("https://app.example/callback");
///     ConfiguredProvider::from_provider(provider, credentials, states).expect("a manager")
/// })
/// .callback("code=planted-code-0001&session=7")
/// .token_json(r#"{"access_token": "planted-access-token", "expires": 86400}"#);
/// # let _ = fixture;
/// ```
///
/// Codes and tokens in the fixture are planted secrets: take texts of 8 bytes or more that occur nowhere else.
#[derive(Clone)]
#[must_use]
pub struct ProviderFixture {
    pub(super) managers: Arc<Managers>,
    pub(super) pointer: Pointer,
    pub(super) callback: Option<String>,
    pub(super) denial: Option<String>,
    pub(super) token_reply: HttpResponse,
    pub(super) token_error: (HttpResponse, ErrorKind),
    pub(super) kept_refresh_reply: Option<HttpResponse>,
    pub(super) rotated_refresh_reply: Option<HttpResponse>,
    pub(super) revocation_reply: HttpResponse,
    pub(super) api_url: Option<Url>,
    pub(super) script: Option<Arc<Script>>,
}

type Managers = dyn Fn(Pointer, Arc<dyn StateStore>) -> Box<dyn FlowManager> + Send + Sync;
type Script = dyn Fn(&HttpRequest) -> Option<HttpResponse> + Send + Sync;

/// What a manager is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    Nothing,
    Arc,
    Box,
    ArcDyn,
    BoxDyn,
}

const TOKEN_REPLY: &str = r#"{
    "access_token": "planted-access-token-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "planted-refresh-token-1",
    "scope": "read"
}"#;

const TOKEN_ERROR: &str = r#"{"error": "invalid_grant", "error_description": "the code is not valid"}"#;

impl ProviderFixture {
    /// A manager, made anew for each check over the state store that it is given.
    ///
    /// A manager that keeps its pending flows by itself ignores the store.
    pub fn new<M: FlowManager>(make: impl Fn(Arc<dyn StateStore>) -> M + Send + Sync + 'static) -> Self {
        let managers = move |pointer, states| -> Box<dyn FlowManager> {
            let manager = make(states);
            match pointer {
                Pointer::Nothing => Box::new(manager),
                Pointer::Arc => Box::new(Arc::new(manager)),
                Pointer::Box => Box::new(Box::new(manager)),
                Pointer::ArcDyn => Box::new(Arc::new(manager) as Arc<dyn FlowManager>),
                Pointer::BoxDyn => Box::new(Box::new(manager) as Box<dyn FlowManager>),
            }
        };
        let mut refused = json(TOKEN_ERROR);
        refused.status = StatusCode::BAD_REQUEST;
        Self {
            managers: Arc::new(managers),
            pointer: Pointer::Nothing,
            callback: None,
            denial: None,
            token_reply: json(TOKEN_REPLY),
            token_error: (refused, ErrorKind::InvalidGrant),
            kept_refresh_reply: None,
            rotated_refresh_reply: None,
            revocation_reply: HttpResponse::new(StatusCode::OK, ""),
            api_url: None,
            script: None,
        }
    }

    /// What the manager is behind in the checks that do not choose for themselves.
    pub(super) fn behind(mut self, pointer: Pointer) -> Self {
        self.pointer = pointer;
        self
    }

    /// The query of a callback that grants access, without the state. Default: a code, under the provider's name for it,
    /// and `iss` where the provider has an issuer.
    pub fn callback(mut self, query: &str) -> Self {
        self.callback = Some(query.to_owned());
        self
    }

    /// The query of a callback that denies access, without the state. Default: `error=access_denied`, under the provider's
    /// name for it, and `iss` where the provider has an issuer.
    pub fn denial(mut self, query: &str) -> Self {
        self.denial = Some(query.to_owned());
        self
    }

    /// The answer to the token request for a code.
    pub fn token_reply(mut self, reply: HttpResponse) -> Self {
        self.token_reply = reply;
        self
    }

    /// The same, as a 200 with a JSON body.
    pub fn token_json(self, body: &str) -> Self {
        self.token_reply(json(body))
    }

    /// The same, as a 200 with a form for a body.
    pub fn token_form(self, body: &str) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.token_reply(HttpResponse::new(StatusCode::OK, body).with_header(CONTENT_TYPE, form))
    }

    /// The answer to a token request with a code that is no good, and the kind of error that it is. Default: 400 and
    /// `invalid_grant`.
    pub fn token_error(mut self, reply: HttpResponse, kind: ErrorKind) -> Self {
        self.token_error = (reply, kind);
        self
    }

    /// The answer to a refresh that leaves the refresh token in force. Default: [`token_reply`](Self::token_reply) with
    /// another access token, and without the refresh token.
    pub fn kept_refresh_reply(mut self, reply: HttpResponse) -> Self {
        self.kept_refresh_reply = Some(reply);
        self
    }

    /// The answer to a refresh that replaces the refresh token. Default: [`token_reply`](Self::token_reply) with other
    /// tokens.
    pub fn rotated_refresh_reply(mut self, reply: HttpResponse) -> Self {
        self.rotated_refresh_reply = Some(reply);
        self
    }

    /// The answer to requests of a revocation that the [`script`](Self::script) does not answer. Default: an empty 200
    /// (RFC 7009 §2.2).
    pub fn revocation_reply(mut self, reply: HttpResponse) -> Self {
        self.revocation_reply = reply;
        self
    }

    /// A URL of the provider's API, where the access token may go. Default: the root of the token endpoint's origin.
    ///
    /// # Panics
    ///
    /// If it is no URL.
    #[track_caller]
    pub fn api_url(mut self, url: &str) -> Self {
        match Url::parse(url) {
            Ok(url) => self.api_url = Some(url),
            Err(error) => panic!("the API URL of a fixture is no URL: {error}"),
        }
        self
    }

    /// Answers what the manager's own hooks ask for: discovery, the account after the exchange, a revocation in steps. It
    /// decides by the request; `None` leaves it to the defaults. Token requests never come here.
    pub fn script(
        mut self,
        script: impl Fn(&HttpRequest) -> Option<HttpResponse> + Send + Sync + 'static,
    ) -> Self {
        self.script = Some(Arc::new(script));
        self
    }
}

impl fmt::Debug for ProviderFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderFixture").field("token_reply", &self.token_reply).finish_non_exhaustive()
    }
}

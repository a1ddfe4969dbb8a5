//! How a hook can misbehave, and how it can merely differ.

use std::sync::Arc;

use authflow_core::Template;
use authflow_core::rfc::AuthorizationParameters;
use authflow_core::{
    Call, Callback, Endpoints, Error, Grant, HttpClient, HttpRequest, Limits, Result, Revocation, TokenSet,
};
use http::HeaderValue;
use url::Url;

/// The host where no request may ever arrive.
pub(super) const ELSEWHERE: &str = "elsewhere.invalid";

/// The mark that an overriding hook leaves.
pub(super) const MARK: &str = "conformance-mark";

/// What one hook does beside what the manager under test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    /// Nothing.
    Nothing,
    /// Every hook but `resolve` leaves a mark.
    Marks,
    /// `resolve` answers another token endpoint, on the origin of the provider's own.
    AnotherTokenEndpoint,
    // Hooks that point elsewhere.
    AuthorizationElsewhere,
    TokenRequestElsewhere,
    PreparedElsewhere,
    PrepareAsksElsewhere,
    AfterExchangeAsksElsewhere,
    RevokeAsksElsewhere,
    ApiRequestElsewhere,
    // Hooks that drop what protects the flow.
    DropsState,
    DropsChallenge,
    DoublesParameter,
    DropsVerifier,
    DropsRedirectUri,
    // Hooks that fail.
    AfterExchangeFails,
}

impl Twist {
    pub(super) fn endpoints(self, endpoints: Arc<Endpoints>) -> Result<Arc<Endpoints>> {
        if self != Self::AnotherTokenEndpoint {
            // The very same: the engine knows by the pointer that nothing was discovered.
            return Ok(endpoints);
        }
        let mut changed = Endpoints::clone(&endpoints);
        changed.token_endpoint = changed.token_endpoint.as_ref().map(marked).transpose()?;
        Ok(Arc::new(changed))
    }

    pub(super) fn authorization(self, cx: &Call<'_>, made: &mut AuthorizationParameters<'_>) {
        let Some(request) = cx.authorization else { return };
        match self {
            Self::Marks => made.set(MARK, "yes"),
            Self::AuthorizationElsewhere => point_elsewhere(made.endpoint.to_mut()),
            Self::DropsState => {
                let state = request.state;
                made.parameters.retain(|parameter| !parameter.value.contains(state));
            }
            Self::DropsChallenge => {
                if let Some(challenge) = &request.code_challenge {
                    made.parameters.retain(|parameter| parameter.value != challenge.as_str());
                }
            }
            Self::DoublesParameter => {
                let doubled = made.parameters.iter().find(|parameter| parameter.name != "resource").cloned();
                made.parameters.extend(doubled);
            }
            _ => {}
        }
    }

    pub(super) fn callback(self, callback: &mut Callback) {
        if self == Self::Marks {
            callback.retained.insert(MARK.to_owned(), "yes".to_owned());
        }
    }

    pub(super) fn token_request(self, cx: &Call<'_>, request: &mut HttpRequest) {
        let Some(Grant::AuthorizationCode { code_verifier, redirect_uri, .. }) = cx.grant else { return };
        match self {
            Self::Marks => mark(request, "x-marked-by-token-request"),
            Self::TokenRequestElsewhere => point_elsewhere(&mut request.url),
            Self::DropsVerifier => {
                if let Some(verifier) = code_verifier {
                    drop_value(request, verifier.expose());
                }
            }
            Self::DropsRedirectUri => {
                if let Some(redirect_uri) = redirect_uri {
                    drop_value(request, redirect_uri);
                }
            }
            _ => {}
        }
    }

    pub(super) async fn prepare(self, http: &dyn HttpClient, request: &mut HttpRequest) -> Result<()> {
        match self {
            Self::Marks => mark(request, "x-marked-by-prepare"),
            Self::PreparedElsewhere => point_elsewhere(&mut request.url),
            Self::PrepareAsksElsewhere => ask_elsewhere(http).await?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn tokens(self, tokens: &mut TokenSet) {
        if self == Self::Marks {
            tokens.extra.insert(MARK.to_owned(), "yes".into());
        }
    }

    pub(super) async fn after_exchange(self, http: &dyn HttpClient, tokens: &mut TokenSet) -> Result<()> {
        match self {
            Self::Marks => tokens.account = Some(MARK.to_owned()),
            Self::AfterExchangeAsksElsewhere => ask_elsewhere(http).await?,
            Self::AfterExchangeFails => {
                tokens.account = Some("half done".to_owned());
                return Err(Error::invalid_response("the account could not be read"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn authenticate(self, request: &mut HttpRequest) {
        match self {
            Self::Marks => mark(request, "x-marked-by-authenticate"),
            Self::ApiRequestElsewhere => point_elsewhere(&mut request.url),
            _ => {}
        }
    }

    pub(super) async fn revoke(self, http: &dyn HttpClient) -> Result<()> {
        if self == Self::RevokeAsksElsewhere { ask_elsewhere(http).await } else { Ok(()) }
    }

    pub(super) fn revocation(self, revocation: Revocation) -> Revocation {
        if self == Self::Marks { Revocation::Partial } else { revocation }
    }
}

/// The URL with the mark at the end of its path. Its variables stay, and so does the origin.
fn marked(template: &Template) -> Result<Template> {
    let source = serde_json::to_value(template)
        .map_err(|error| Error::configuration("the token endpoint cannot be written").with_source(error))?;
    let source = source.as_str().unwrap_or_default();
    let (path, rest) = source.split_at(source.find(['?', '#']).unwrap_or(source.len()));
    Template::parse(&format!("{}/{MARK}{rest}", path.trim_end_matches('/')))
}

fn mark(request: &mut HttpRequest, name: &'static str) {
    request.headers.insert(name, HeaderValue::from_static("yes"));
}

fn point_elsewhere(url: &mut Url) {
    // A provider's URL always has a host that can be replaced; were it not so, the check would fail, not pass.
    let _ = url.set_host(Some(ELSEWHERE));
}

async fn ask_elsewhere(http: &dyn HttpClient) -> Result<()> {
    let url = Url::parse(&format!("https://{ELSEWHERE}/collect"))
        .map_err(|error| Error::usage("no URL").with_source(error))?;
    http.send(HttpRequest::get(url), &Limits::default()).await?;
    Ok(())
}

/// Takes every parameter with this value out of query and body, whatever it is called.
fn drop_value(request: &mut HttpRequest, value: &str) {
    let kept = |bytes: &[u8]| {
        let pairs = url::form_urlencoded::parse(bytes).filter(|(_, found)| found != value);
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    if let Some(query) = request.url.query().map(|query| kept(query.as_bytes())) {
        request.url.set_query(Some(&query));
    }
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&request.body) {
        Ok(mut object) => {
            object.retain(|_, found| found.as_str() != Some(value));
            request.body = serde_json::Value::Object(object).to_string().into_bytes();
        }
        Err(_) => request.body = kept(&request.body).into_bytes(),
    }
}

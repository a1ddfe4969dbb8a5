//! The `oauth2` crate, used as its documentation shows: what it leaves to the application (keeping the pending flow, reading
//! the callback) is done as the floor does it.

use std::time::{Duration, SystemTime};

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenUrl,
};
use url::Url;

use crate::floor::{Pending, Pendings};
use crate::registration::{
    AUTHORIZATION_ENDPOINT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPES, STATE_TTL,
};

type Configured = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

pub(crate) struct Client {
    oauth2: Configured,
    http: reqwest::Client,
    pendings: Pendings,
}

impl Client {
    pub(crate) fn new(token_endpoint: &str, http: reqwest::Client) -> Self {
        let oauth2 = BasicClient::new(ClientId::new(CLIENT_ID.to_owned()))
            .set_client_secret(ClientSecret::new(CLIENT_SECRET.to_owned()))
            .set_auth_uri(AuthUrl::new(AUTHORIZATION_ENDPOINT.to_owned()).unwrap())
            .set_token_uri(TokenUrl::new(token_endpoint.to_owned()).unwrap())
            .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap());
        Self { oauth2, http, pendings: Pendings::default() }
    }

    pub(crate) fn authorize(&self) -> (Url, CsrfToken, PkceCodeVerifier) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .oauth2
            .authorize_url(CsrfToken::new_random)
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        (url, state, verifier)
    }

    pub(crate) fn begin(&self, browser: &str, return_to: &str) -> Url {
        let (url, state, verifier) = self.authorize();
        let pending = Pending {
            browser: browser.to_owned(),
            verifier: verifier.into_secret(),
            return_to: return_to.to_owned(),
            expires_at: now() + Duration::from_secs(STATE_TTL),
        };
        self.pendings.store(state.into_secret(), pending);
        url
    }

    pub(crate) async fn finish(&self, query: &str, browser: &str) -> Option<(BasicTokenResponse, String)> {
        let (mut state, mut code) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => state = Some(value),
                "code" => code = Some(value),
                _ => {}
            }
        }
        let pending = self.pendings.check(&state?, now()).filter(|pending| pending.browser == browser)?;
        let tokens = self.exchange(code?.into_owned(), pending.verifier).await?;
        Some((tokens, pending.return_to))
    }

    pub(crate) async fn exchange(&self, code: String, verifier: String) -> Option<BasicTokenResponse> {
        let exchange = self.oauth2.exchange_code(AuthorizationCode::new(code));
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        exchange.request_async(&|request| send(self.http.clone(), request)).await.ok()
    }
}

/// As the crate's own adapter for its older reqwest.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
    let request = request.try_into().map_err(std::io::Error::other)?;
    let response = http.execute(request).await.map_err(std::io::Error::other)?;
    let mut builder = http::Response::builder().status(response.status()).version(response.version());
    for (name, value) in response.headers() {
        builder = builder.header(name, value);
    }
    let body = response.bytes().await.map_err(std::io::Error::other)?.to_vec();
    builder.body(body).map_err(std::io::Error::other)
}

#[allow(clippy::disallowed_methods, reason = "as in the floor")]
fn now() -> SystemTime {
    SystemTime::now()
}

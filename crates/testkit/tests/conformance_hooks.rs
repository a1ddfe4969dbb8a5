//! A provider that overrides what it can, asks its server more than once and draws random values, against the suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use authflow_core::rfc::{self, AuthorizationParameters};
use authflow_core::{
    Call, ClientCredentials, Endpoints, Error, FlowManager, HttpClient, HttpRequest, HttpResponse, Limits,
    Provider, Result, Revocation, StateStore, TokenSet, async_trait,
};
use authflow_testkit::conformance::provider::{self, ProviderFixture};
use authflow_testkit::provider_conformance;
use http::StatusCode;

#[derive(Debug)]
struct Hooked {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: Arc<dyn StateStore>,
}

impl Hooked {
    fn new(states: Arc<dyn StateStore>) -> Self {
        let provider = Provider::builder("hooked")
            .base_uri("https://as.example")
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .protocol_origin("https://as.example")
            .api_origin("https://api.example");
        let credentials = ClientCredentials::confidential("client-1", "planted-client-secret")
            .redirect_uri("https://app.example/callback");
        Self { provider: provider.build().unwrap(), credentials: Arc::new(credentials), states }
    }
}

async fn ask(http: &dyn HttpClient, url: &str, token: Option<&str>) -> Result<HttpResponse> {
    let mut request = HttpRequest::get(url.parse().unwrap());
    if let Some(token) = token {
        let mut value: http::HeaderValue = format!("Bearer {token}").parse().unwrap();
        value.set_sensitive(true);
        request.headers.insert("authorization", value);
    }
    let response = http.send(request, &Limits::default()).await?;
    if response.status.is_success() {
        return Ok(response);
    }
    Err(Error::new(authflow_core::ErrorKind::Unavailable, "the provider did not answer")
        .with_status(response.status))
}

#[async_trait]
impl FlowManager for Hooked {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &*self.states
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        ask(http, "https://as.example/.well-known/oauth-authorization-server", None).await?;
        Ok(Arc::new((**self.provider.endpoints()).clone()))
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        let mut made = rfc::authorization_parameters(cx)?;
        made.set("device_id", cx.random()?);
        made.set("approval", "auto");
        Ok(made)
    }

    async fn prepare_token_request(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        request: &mut HttpRequest,
    ) -> Result<()> {
        let nonce = ask(http, "https://as.example/nonce", None).await?;
        request.headers.insert("x-nonce", String::from_utf8_lossy(&nonce.body).parse().unwrap());
        request.headers.insert("x-request-id", cx.random()?.parse().unwrap());
        Ok(())
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let account = ask(http, "https://api.example/me", Some(tokens.access_token.expose())).await?;
        let mut tokens = tokens.clone();
        tokens.account = Some(String::from_utf8_lossy(&account.body).into_owned());
        Ok(Some(tokens))
    }

    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        rfc::authenticate(cx, tokens, request)?;
        request.headers.insert("x-account", tokens.account.as_deref().unwrap_or_default().parse().unwrap());
        Ok(())
    }

    async fn revoke(&self, _: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        let grants = ask(http, "https://api.example/grants", Some(tokens.access_token.expose())).await?;
        let grant = String::from_utf8_lossy(&grants.body).into_owned();
        ask(http, &format!("https://api.example/grants/{grant}/end"), Some(tokens.access_token.expose()))
            .await?;
        Ok(Revocation::Revoked)
    }
}

fn hooked() -> ProviderFixture {
    ProviderFixture::new(Hooked::new).api_url("https://api.example/v1").script(|request| {
        let body = match request.url.path() {
            "/.well-known/oauth-authorization-server" => "{}",
            "/nonce" => "nonce-1",
            "/me" => "account-1",
            "/grants" => "g7",
            "/grants/g7/end" => "",
            _ => return None,
        };
        Some(HttpResponse::new(StatusCode::OK, body))
    })
}

provider_conformance!(with_hooks, hooked());

#[tokio::test]
async fn what_a_script_does_not_answer_is_said() {
    let fixture = hooked().script(|request| {
        (request.url.path() != "/me").then(|| HttpResponse::new(StatusCode::OK, "nonce-1"))
    });
    let failure = provider::a_flow_gives_tokens(&fixture).await.expect_err("the script lacks /me");
    assert!(failure.to_string().contains("ProviderFixture::script"), "{failure}");
}

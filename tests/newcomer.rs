//! Two providers as a stranger would write them from the documentation of authflow-core: one that is data only, and one that
//! needs a hook. Their replies are what is known of the real ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;

use authflow::quirks::ResponseFormat;
use authflow::{
    AuthorizationResponse, Binding, Call, ClientCredentials, Completed, ConfiguredProvider, Error, ErrorKind,
    Expiry, Flow, FlowManager, HttpClient, HttpRequest, HttpResponse, Limits, MemoryStateStore, Provider,
    ProviderDefinition, Quirks, Result, Revocation, StateStore, TokenSet, async_trait, rfc,
};
use authflow_testkit::conformance::provider::ProviderFixture;
use authflow_testkit::provider_conformance;
use common::{Script, pairs, value};

/// Withings: commas between scopes, `action` in both token requests, the tokens below `body`, and errors with status 200
/// that only the member `status` tells from a success.
const WITHINGS: &str = r#"
    id = "withings"
    default_scopes = ["user.info", "user.metrics"]

    [endpoints]
    authorization_endpoint = "https://account.withings.com/oauth2_user/authorize2"
    token_endpoint = "https://wbsapi.withings.net/v2/oauth2"

    [quirks]
    pkce.support = "unsupported"
    authorization.scope_delimiter = ","

    [quirks.token]
    client_authentication = "client_secret_post"
    parameters = { action = "requesttoken" }

    [quirks.token_response]
    root = ["/body"]
    scope_delimiter = ","
    fields.account = "/userid"
    error.when = [{ pointer = "/status", op = "not_equals", value = 0 }]
    error.code = ["/status"]
    error.description = ["/error"]
    error.code_map = { 503 = "invalid_grant" }
"#;

fn withings(states: impl StateStore) -> ConfiguredProvider {
    let definition: ProviderDefinition = toml::from_str(WITHINGS).unwrap();
    ConfiguredProvider::new(definition, credentials(), states).unwrap()
}

/// Mailchimp: no scopes, no refresh, `expires_in` of zero for tokens without an end, another scheme before the token. The
/// host of its API is known only from a look-up after the exchange: the hook.
#[derive(Debug)]
struct Mailchimp {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: Box<dyn StateStore>,
}

const MAILCHIMP_QUIRKS: &str = r#"
    pkce.support = "unsupported"
    authorization.omit = ["scope"]
    token.client_authentication = "client_secret_post"
    token_response.expiry.zero = "never"
    refresh_policy.input = "none"
    access_token_usage.placement.header = { name = "authorization", scheme = "OAuth" }
"#;

impl Mailchimp {
    fn new(credentials: ClientCredentials, states: impl StateStore) -> Result<Self> {
        let quirks: Quirks = toml::from_str(MAILCHIMP_QUIRKS)
            .map_err(|error| Error::configuration("the quirks are not readable").with_source(error))?;
        let data_center =
            authflow::Variable::matching([authflow::VariableSource::TokenResponse], authflow::Pattern::Label);
        let provider = Provider::builder("mailchimp")
            .base_uri("https://login.mailchimp.com/oauth2")
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .userinfo_endpoint("/metadata")
            // Until the look-up the data centre is unknown, and no origin of the API is open.
            .variable("dc", data_center)
            .api_origin("https://{dc}.api.mailchimp.com")
            .quirks(quirks)
            .build()?;
        provider.check_credentials(&credentials)?;
        Ok(Self { provider, credentials: Arc::new(credentials), states: Box::new(states) })
    }
}

#[async_trait]
impl FlowManager for Mailchimp {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &*self.states
    }

    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let Some(url) = cx.endpoints.userinfo_endpoint.clone() else { return Ok(None) };
        let mut request = HttpRequest::get(url);
        self.authenticate(cx, tokens, &mut request)?;
        let response = http.send(request, &Limits::default()).await?;
        if let Some(error) = rfc::error_response(cx, &response) {
            return Err(error);
        }
        let metadata = rfc::parse_object(&response, ResponseFormat::Json)?;
        let data_center = metadata.get("dc").cloned();
        let data_center =
            data_center.ok_or_else(|| Error::invalid_response("the metadata names no data centre"))?;
        let mut tokens = tokens.clone();
        tokens.extra.insert("dc".to_owned(), data_center);
        tokens.account = metadata.get("user_id").map(ToString::to_string);
        Ok(Some(tokens))
    }
}

fn credentials() -> ClientCredentials {
    ClientCredentials::confidential("client-1", "secret-1").redirect_uri("https://app.example/callback")
}

fn flow(manager: impl FlowManager) -> (Flow, Arc<Script>) {
    let http = Script::new();
    (Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap(), http)
}

async fn whole_flow(flow: &Flow) -> Result<Completed> {
    let user = Binding::user("", "user-42");
    let url = flow.begin(&user).await?.url().to_owned();
    let state = value(&pairs(url.split_once('?').unwrap().1.as_bytes()), "state").unwrap();
    let query = format!("code=code-1&state={state}");
    flow.finish(&AuthorizationResponse::from_query(&query)?, &user).await
}

const WITHINGS_TOKENS: &str = r#"{"status":0,"body":{"userid":"1","access_token":"AT","refresh_token":"RT",
    "expires_in":10800,"scope":"user.info,user.metrics","token_type":"Bearer"}}"#;

#[tokio::test]
async fn a_provider_that_is_data_only_connects_and_refreshes() {
    let (flow, http) = flow(withings(MemoryStateStore::new()));
    http.json(WITHINGS_TOKENS);
    http.json(WITHINGS_TOKENS);
    let tokens = whole_flow(&flow).await.unwrap().tokens;
    assert_eq!((tokens.access_token.expose(), tokens.account.as_deref()), ("AT", Some("1")));
    assert_eq!(tokens.scopes.iter().collect::<Vec<_>>(), ["user.info", "user.metrics"]);
    assert!(matches!(tokens.expiry, Expiry::At(_)));
    flow.refresh(&tokens).await.unwrap();
    let sent: Vec<_> = http.requests().iter().map(|request| pairs(&request.body)).collect();
    assert!(sent.iter().all(|form| value(form, "action").as_deref() == Some("requesttoken")));
    assert_eq!(value(&sent[1], "grant_type").unwrap(), "refresh_token");
}

#[tokio::test]
async fn its_errors_are_the_rfcs() {
    let (flow, http) = flow(withings(MemoryStateStore::new()));
    http.json(r#"{"status":503,"body":{},"error":"Invalid Params: invalid code"}"#);
    let error = whole_flow(&flow).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidGrant);
    assert_eq!(error.server_error().unwrap().description(), Some("Invalid Params: invalid code"));
}

#[tokio::test]
async fn a_provider_with_a_hook_connects_and_knows_its_apis_host() {
    let (flow, http) = flow(Mailchimp::new(credentials(), MemoryStateStore::new()).unwrap());
    http.json(r#"{"access_token":"AT","expires_in":0,"scope":null}"#);
    http.json(r#"{"dc":"us6","user_id":15,"login":{"email":"a@b.example"}}"#);
    let completed = whole_flow(&flow).await.unwrap();
    let tokens = completed.tokens;
    assert!(completed.after_exchange.is_none());
    assert_eq!((tokens.expiry, tokens.account.as_deref()), (Expiry::Never, Some("15")));
    assert_eq!(http.last().headers[http::header::AUTHORIZATION], "OAuth AT");

    let mut request = HttpRequest::get("https://us6.api.mailchimp.com/3.0/lists".parse().unwrap());
    flow.authenticate(&tokens, &mut request).await.unwrap();
    let mut elsewhere = HttpRequest::get("https://us7.api.mailchimp.com/3.0/lists".parse().unwrap());
    let error = flow.authenticate(&tokens, &mut elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignOrigin);

    assert_eq!(flow.refresh(&tokens).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(flow.revoke(&tokens).await.unwrap(), Revocation::Unsupported);
}

#[tokio::test]
async fn a_hook_that_fails_costs_no_tokens() {
    let (flow, http) = flow(Mailchimp::new(credentials(), MemoryStateStore::new()).unwrap());
    http.json(r#"{"access_token":"AT","expires_in":0,"scope":null}"#);
    http.answer(503, "text/html", "<h1>later</h1>");
    let completed = whole_flow(&flow).await.unwrap();
    assert_eq!(completed.tokens.access_token.expose(), "AT");
    assert_eq!(completed.after_exchange.unwrap().kind(), ErrorKind::Unavailable);
}

fn json(body: &str) -> HttpResponse {
    let json = http::HeaderValue::from_static("application/json");
    HttpResponse::new(http::StatusCode::OK, body).with_header(http::header::CONTENT_TYPE, json)
}

provider_conformance!(
    withings_conforms,
    ProviderFixture::new(withings)
        .token_json(
            r#"{"status":0,"body":{"userid":"1","access_token":"planted-access-token","expires_in":10800,
                "refresh_token":"planted-refresh-token","scope":"user.info,user.metrics","token_type":"Bearer"}}"#,
        )
        .kept_refresh_reply(json(
            r#"{"status":0,"body":{"userid":"1","access_token":"planted-second-access-token","expires_in":10800}}"#,
        ))
        .rotated_refresh_reply(json(
            r#"{"status":0,"body":{"userid":"1","access_token":"planted-third-access-token","expires_in":10800,
                "refresh_token":"planted-third-refresh-token"}}"#,
        ))
        .token_error(
            json(r#"{"status":503,"body":{},"error":"Invalid Params: invalid code"}"#),
            ErrorKind::InvalidGrant,
        )
);

provider_conformance!(
    mailchimp_conforms,
    ProviderFixture::new(|states| Mailchimp::new(credentials(), states).unwrap())
        .token_json(r#"{"access_token":"planted-access-token","expires_in":0,"scope":null}"#)
        .api_url("https://login.mailchimp.com/oauth2/metadata")
        .script(|request| match request.url.path() {
            "/oauth2/metadata" => Some(json(r#"{"dc":"us6","user_id":15}"#)),
            _ => None,
        })
);

//! The journey against a server that others wrote: it checks PKCE, clients, headers and tokens, and remembers what it
//! revoked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt;
use std::sync::Arc;

use authflow_contentstack::{
    ApiError, AuthorizationType, AuthorizationUrl, Contentstack, ContentstackBuilder, ContentstackTokens,
    Region, RevocationError, TokenEndpoint, needs_refresh,
};
use authflow_core::rfc::Revocation;
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Completed, ErrorKind, Flow, HttpClient, HttpError,
    HttpRequest, HttpResponse, Limits, Recovery, Scopes, TokenSet, async_trait,
};
use authflow_testkit::{AuthorizationServer, Client, Consent, Endpoint, Outcome, Personality};
use bytes::Bytes;
use url::Url;

const BASE: &str = "https://as.example";
const REDIRECT: &str = "https://client.example/callback";

/// The server without a socket.
struct Direct(AuthorizationServer);

#[async_trait]
impl HttpClient for Direct {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let mut wire = http::Request::new(Bytes::from(request.body));
        *wire.method_mut() = request.method;
        let target = request.url.as_str().strip_prefix(BASE).unwrap().split('#').next().unwrap();
        *wire.uri_mut() = target.parse().unwrap();
        *wire.headers_mut() = request.headers;
        let (head, body) = self.0.handle(wire).await.into_parts();
        let mut response = HttpResponse::new(head.status, body);
        response.headers = head.headers;
        Ok(response)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

fn server(consent: Consent, location: &str) -> Arc<Direct> {
    let server = AuthorizationServer::builder()
        .personality(Personality::Contentstack)
        .subject("bltUSER")
        .organization_uid("bltORG")
        .stack_api_key("bltSTACK")
        .location(location)
        .consent(consent);
    Arc::new(Direct(server.build().unwrap()))
}

fn public(http: &Direct) -> ContentstackBuilder {
    let client = http.0.public_client();
    at(client, ClientCredentials::public(client.id()))
}

fn confidential(http: &Direct) -> ContentstackBuilder {
    let client = http.0.post_client();
    at(client, ClientCredentials::confidential(client.id(), client.secret().unwrap()))
}

fn at(client: &Client, credentials: ClientCredentials) -> ContentstackBuilder {
    Contentstack::builder(credentials.redirect_uri(REDIRECT))
        .app_uid(client.registered_app_uid())
        .endpoints_at(BASE)
}

fn flow(builder: ContentstackBuilder, http: &Arc<Direct>) -> Flow {
    Flow::builder(builder.build().unwrap()).http_client(Arc::clone(http)).build().unwrap()
}

async fn opened(http: &Direct, url: &str) -> String {
    let answer = http.send(HttpRequest::get(Url::parse(url).unwrap()), &Limits::default()).await.unwrap();
    answer.headers["location"].to_str().unwrap().to_owned()
}

async fn complete(flow: &Flow, http: &Direct) -> authflow_core::Result<Completed> {
    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).scope("user:read").await?;
    let callback = opened(http, authorization.url()).await;
    flow.finish(&AuthorizationResponse::from_url(&callback)?, &user).await
}

async fn get(flow: &Flow, http: &Direct, tokens: &TokenSet, path: &str) -> HttpResponse {
    let mut request = HttpRequest::get(Url::parse(&format!("{BASE}{path}")).unwrap());
    flow.authenticate(tokens, &mut request).await.unwrap();
    http.send(request, &Limits::default()).await.unwrap()
}

#[tokio::test]
async fn the_whole_journey_in_every_setting() {
    for endpoint in [
        TokenEndpoint::DeveloperHub,
        TokenEndpoint::Application,
        TokenEndpoint::DeveloperHubApps,
        TokenEndpoint::ApplicationApps,
    ] {
        for (with_secret, url) in [
            (false, AuthorizationUrl::Path),
            (true, AuthorizationUrl::Path),
            (false, AuthorizationUrl::QueryBeforeHash),
        ] {
            let http = server(Consent::Approve, "GCP_EU");
            let builder = if with_secret { confidential(&http) } else { public(&http) };
            let flow = flow(builder.token_endpoint(endpoint).authorization_url(url), &http);
            let tokens = complete(&flow, &http).await.unwrap().tokens;
            let view = ContentstackTokens::new(&tokens);
            assert_eq!(view.region(), Some(Region::GcpEu));
            assert_eq!(view.authorization_type(), Some(AuthorizationType::User));
            assert_eq!((view.user_uid(), view.stack_api_key()), (Some("bltUSER"), Some("bltSTACK")));

            assert_eq!(get(&flow, &http, &tokens, "/v3/user").await.status, 200);
            assert_eq!(get(&flow, &http, &tokens, "/v3/stacks").await.status, 200);
            let tokens = flow.refresh(&tokens).await.unwrap();
            assert_eq!(get(&flow, &http, &tokens, "/v3/user").await.status, 200);

            assert_eq!(flow.revoke(&tokens).await.unwrap(), Revocation::Revoked);
            assert_eq!(*http.0.ledger().of(Endpoint::Revocation)[0].outcome(), Outcome::Revoked);
            let refused = get(&flow, &http, &tokens, "/v3/user").await;
            assert!(needs_refresh(&refused));
            assert_eq!(ApiError::read(&refused).unwrap().status(), 401);
            let error = flow.refresh(&tokens).await.unwrap_err();
            assert_eq!((error.kind(), error.recovery()), (ErrorKind::InvalidGrant, Recovery::Reconnect));
        }
    }
}

#[tokio::test]
async fn one_users_revocation_leaves_the_others() {
    let http = server(Consent::Approve, "NA");
    let flow = flow(public(&http), &http);
    let one = complete(&flow, &http).await.unwrap().tokens;
    assert!(http.0.sign_in("bltOTHER"));
    let other = complete(&flow, &http).await.unwrap().tokens;
    flow.revoke(&one).await.unwrap();
    assert_eq!(get(&flow, &http, &one, "/v3/user").await.status, 401);
    assert_eq!(get(&flow, &http, &other, "/v3/user").await.status, 200);
}

#[tokio::test]
async fn an_app_token_has_no_user_to_revoke() {
    let http = server(Consent::Approve, "NA");
    let flow = flow(confidential(&http), &http);
    let tokens = flow.client_credentials(&Scopes::none()).await.unwrap();
    assert_eq!(ContentstackTokens::new(&tokens).authorization_type(), Some(AuthorizationType::App));
    let error = flow.revoke(&tokens).await.unwrap_err();
    assert_eq!(RevocationError::of(&error), Some(RevocationError::NoUser));
    assert_eq!(http.0.ledger().count(Endpoint::Revocation), 0);
    assert_eq!(get(&flow, &http, &tokens, "/v3/stacks").await.status, 200, "still in force");
}

#[tokio::test]
async fn an_install_begins_at_the_provider() {
    let http = server(Consent::Approve, "AU");
    let manager = Arc::new(confidential(&http).build().unwrap());
    let flow = Flow::builder(Arc::clone(&manager)).http_client(Arc::clone(&http)).build().unwrap();
    let mut callback = opened(&http, manager.install_url().as_str()).await;
    // The server sends an install to the first redirect URI of the registration; the client has registered it too.
    let query = callback.split_off(callback.find('?').unwrap());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    assert!(response.get("state").unwrap().is_none());
    let refused = flow.finish(&response, &Binding::user("", "user-42")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StateNotFound);

    let client = http.0.post_client();
    let credentials =
        ClientCredentials::confidential(client.id(), client.secret().unwrap()).redirect_uri(callback);
    let manager = Contentstack::builder(credentials)
        .app_uid(client.registered_app_uid())
        .endpoints_at(BASE)
        .build()
        .unwrap();
    let flow = Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap();
    let tokens = flow.finish_install_without_state(&response).await.unwrap().tokens;
    assert_eq!(ContentstackTokens::new(&tokens).region(), Some(Region::Au));
    assert!(ContentstackTokens::new(&tokens).installation_uid().is_some());
}

#[tokio::test]
async fn a_location_that_is_not_listed_ends_the_flow() {
    let http = server(Consent::Approve, "evil.example");
    let error = complete(&flow(public(&http), &http), &http).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackMalformed);
    assert_eq!(http.0.ledger().count(Endpoint::Token), 0);
}

#[tokio::test]
async fn b9_a_denial_costs_no_token_request() {
    let http = server(Consent::Deny, "NA");
    let error = complete(&flow(public(&http), &http), &http).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(http.0.ledger().count(Endpoint::Token), 0);
}

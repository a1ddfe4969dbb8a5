//! The journey against a server that others wrote: it checks PKCE, clients, keys and tokens, and remembers what it revoked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::rfc::Revocation;
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Completed, ErrorKind, Expiry, Flow, HttpClient,
    HttpError, HttpRequest, HttpResponse, Limits, Recovery, async_trait,
};
use authflow_stackexchange::{
    ApiError, ApiErrorId, StackExchange, StackExchangeBuilder, TokenEndpoint, TokenList, User, Wrapper, scope,
};
use authflow_testkit::{AuthorizationServer, Client, Consent, Endpoint, Fault, Outcome, Personality};
use bytes::Bytes;
use flate2::read::GzDecoder;
use url::Url;

const BASE: &str = "https://as.example";
const REDIRECT: &str = "https://client.example/callback";

/// The server without a socket, behind a decoder.
struct Direct(AuthorizationServer);

#[async_trait]
impl HttpClient for Direct {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let mut wire = http::Request::new(Bytes::from(request.body));
        *wire.method_mut() = request.method;
        let target = request.url.as_str().strip_prefix(BASE).unwrap();
        *wire.uri_mut() = target.parse().unwrap();
        *wire.headers_mut() = request.headers;
        let (head, body) = self.0.handle(wire).await.into_parts();
        let mut decoded = body.to_vec();
        if head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
            decoded.clear();
            GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
        }
        let mut response = HttpResponse::new(head.status, decoded);
        response.headers = head.headers;
        Ok(response)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

fn server(consent: Consent) -> Arc<Direct> {
    let server = AuthorizationServer::builder().personality(Personality::StackExchange).subject("4711");
    Arc::new(Direct(server.consent(consent).build().unwrap()))
}

fn public(http: &Direct) -> StackExchangeBuilder {
    let client = http.0.public_client();
    at(client, ClientCredentials::public(client.id()))
}

fn confidential(http: &Direct) -> StackExchangeBuilder {
    let client = http.0.post_client();
    at(client, ClientCredentials::confidential(client.id(), client.secret().unwrap()))
}

fn at(client: &Client, credentials: ClientCredentials) -> StackExchangeBuilder {
    StackExchange::builder(credentials.redirect_uri(REDIRECT)).key(client.api_key()).endpoints_at(BASE)
}

fn flow(builder: StackExchangeBuilder, http: &Arc<Direct>) -> Flow {
    Flow::builder(builder.build().unwrap()).http_client(Arc::clone(http)).build().unwrap()
}

async fn complete(flow: &Flow, http: &Direct, scopes: &[&str]) -> authflow_core::Result<Completed> {
    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).scopes(scopes.iter().copied()).await?;
    let page = HttpRequest::get(Url::parse(authorization.url()).unwrap());
    let answer = http.send(page, &Limits::default()).await.unwrap();
    let callback = answer.headers["location"].to_str().unwrap();
    flow.finish(&AuthorizationResponse::from_url(callback)?, &user).await
}

async fn me(flow: &Flow, http: &Direct, completed: &Completed) -> authflow_core::Result<Wrapper<User>> {
    let mut request = HttpRequest::get(Url::parse(&format!("{BASE}/2.3/me")).unwrap());
    flow.authenticate(&completed.tokens, &mut request).await?;
    Wrapper::read(&http.send(request, &Limits::default()).await.unwrap())
}

#[tokio::test]
async fn the_whole_journey_in_every_setting() {
    for endpoint in [TokenEndpoint::Json, TokenEndpoint::Form] {
        for with_secret in [false, true] {
            let http = server(Consent::Approve);
            let builder = if with_secret { confidential(&http) } else { public(&http) };
            let flow = flow(builder.token_endpoint(endpoint), &http);
            let completed = complete(&flow, &http, &[scope::READ_INBOX, scope::PRIVATE_INFO]).await.unwrap();
            assert!(completed.after_exchange.is_none(), "{:?}", completed.after_exchange);
            assert_eq!(completed.tokens.account.as_deref(), Some("4711"));
            let at = completed.tokens.received_at + Duration::from_secs(86_400);
            assert_eq!(completed.tokens.expiry, Expiry::At(at));
            assert_eq!(me(&flow, &http, &completed).await.unwrap().items[0].account_id, Some(4711));

            assert_eq!(flow.revoke(&completed.tokens).await.unwrap(), Revocation::Revoked);
            let revocation = http.0.ledger().of(Endpoint::Revocation);
            assert_eq!(*revocation[0].outcome(), Outcome::Revoked);
            let error = me(&flow, &http, &completed).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidGrant);
            assert_eq!(ApiError::of(&error).unwrap().id(), ApiErrorId::InvalidAccessToken);
            // Once more: it was never valid, or is no more.
            assert_eq!(flow.revoke(&completed.tokens).await.unwrap(), Revocation::Revoked);
        }
    }
}

#[tokio::test]
async fn a_token_without_an_end() {
    let http = server(Consent::Approve);
    let flow = flow(public(&http), &http);
    let completed = complete(&flow, &http, &[scope::NO_EXPIRY, scope::READ_INBOX]).await.unwrap();
    assert_eq!(completed.tokens.expiry, Expiry::Never);
}

#[tokio::test]
async fn tokens_are_read_and_de_authenticated() {
    let http = server(Consent::Approve);
    let manager = Arc::new(public(&http).build().unwrap());
    let flow = Flow::builder(Arc::clone(&manager)).http_client(Arc::clone(&http)).build().unwrap();
    let one = complete(&flow, &http, &[scope::READ_INBOX]).await.unwrap();
    let other = complete(&flow, &http, &[scope::NO_EXPIRY]).await.unwrap();
    let both = [&one, &other].map(|completed| completed.tokens.access_token.clone());
    let both = TokenList::new(both).unwrap();
    let read = manager.api().read(&*http, &both).await.unwrap();
    assert_eq!(read.items.len(), 2);
    assert!(read.items[0].scopes.contains(scope::READ_INBOX));
    assert!(matches!(read.items[0].expiry, Expiry::At(_)));
    assert_eq!(read.items[1].expiry, Expiry::Never);
    assert_eq!(read.quota_max, Some(10_000));

    // One token is named, and all of the application end.
    manager.api().de_authenticate(&*http, &TokenList::of(&one.tokens).unwrap()).await.unwrap();
    assert!(manager.api().read(&*http, &both).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn b9_a_denial_costs_no_token_request() {
    let http = server(Consent::Deny);
    let error = complete(&flow(public(&http), &http), &http, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(http.0.ledger().count(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_foreign_key_and_a_wrong_secret_are_found_out() {
    let http = server(Consent::Approve);
    let completed = complete(&flow(public(&http).key("another"), &http), &http, &[]).await.unwrap();
    let error = completed.after_exchange.unwrap();
    assert_eq!(ApiError::of(&error).unwrap().id(), ApiErrorId::AccessDenied);

    let client = http.0.post_client();
    let wrong = at(client, ClientCredentials::confidential(client.id(), "wrong"));
    let error = complete(&flow(wrong, &http), &http, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    assert_eq!(error.server_error().unwrap().code(), "invalid_client");
}

#[tokio::test]
async fn a_backoff_is_seen() {
    let http = server(Consent::Approve);
    let flow = flow(public(&http), &http);
    let completed = complete(&flow, &http, &[]).await.unwrap();
    http.0.fault_next(Endpoint::Resource, Fault::Backoff(10));
    let answer = me(&flow, &http, &completed).await.unwrap();
    assert_eq!(answer.backoff, Some(Duration::from_secs(10)));
}

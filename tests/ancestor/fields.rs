//! What its class holds: each field, the README's example, and that it is a value.

use authflow::{
    ClientAuthentication, ClientCredentials, ConfiguredProvider, ErrorKind, Expiry, MemoryStateStore,
    Provider, ProviderDefinition, Quirks, Scopes,
};
use http::HeaderValue;

use crate::common::{pairs, value};
use crate::{
    CODE, REDIRECT_URI, Rig, SECRET, TOKENS, code_grant, credentials, provider, query, user, with_token,
};

#[tokio::test]
async fn acf_01_base_uri_and_paths_are_joined() {
    for base in ["https://provider.example/oauth", "https://provider.example/oauth/"] {
        let provider = Provider::builder("p")
            .base_uri(base)
            .authorization_endpoint("/go?tenant=1")
            .token_endpoint("/token");
        let rig = Rig::new(provider);
        let (url, _) = rig.begin().await;
        assert!(url.starts_with("https://provider.example/oauth/go?tenant=1&response_type=code&"), "{url}");
        let request = rig.flow.token_request(&code_grant(), &Scopes::none()).await.unwrap();
        assert_eq!(request.url.as_str(), "https://provider.example/oauth/token");
    }
    let error = Provider::builder("p").authorization_endpoint("/go").build().unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Configuration,
        "a path without a base is found when the provider is built"
    );
}

#[tokio::test]
async fn acf_02_the_client_id_is_in_both_requests() {
    let rig = Rig::new(provider().quirks(with_token(|token| {
        token.client_authentication = Some(ClientAuthentication::ClientSecretPost);
    })));
    rig.http.json(TOKENS);
    let (url, callback) = rig.begin().await;
    rig.finish(&callback).await.unwrap();
    assert_eq!(value(&query(&url), "client_id").unwrap(), "client-1");
    assert_eq!(value(&pairs(&rig.http.last().body), "client_id").unwrap(), "client-1");
}

#[tokio::test]
async fn acf_03_the_client_secret_is_optional_and_goes_to_the_token_endpoint_only() {
    for (method, in_body) in
        [(ClientAuthentication::ClientSecretPost, true), (ClientAuthentication::ClientSecretBasic, false)]
    {
        let rig = Rig::new(provider().quirks(with_token(|token| token.client_authentication = Some(method))));
        rig.http.json(TOKENS);
        let (url, callback) = rig.begin().await;
        rig.finish(&callback).await.unwrap();
        assert!(!url.contains(SECRET));
        let request = rig.http.last();
        assert_eq!(value(&pairs(&request.body), "client_secret").is_some(), in_body);
        let header = request.headers.get(http::header::AUTHORIZATION);
        assert_eq!(header.is_some_and(HeaderValue::is_sensitive), !in_body);
    }
    let public = ClientCredentials::public("client-1").redirect_uri(REDIRECT_URI);
    let provider = provider().build().unwrap();
    let rig =
        Rig::over(ConfiguredProvider::from_provider(provider, public, MemoryStateStore::new()).unwrap());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert!(value(&pairs(&rig.http.last().body), "code_verifier").is_some());
}

#[tokio::test]
async fn acf_04_the_redirect_uri_is_the_same_in_both_requests() {
    let provider = provider().build().unwrap();
    let credentials = credentials().redirect_uri("https://app.example/other?x=%2F");
    let rig =
        Rig::over(ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new()).unwrap());
    for redirect_uri in [REDIRECT_URI, "https://app.example/other?x=%2F"] {
        rig.http.json(TOKENS);
        let url = rig.flow.begin(&user()).redirect_uri(redirect_uri).await.unwrap().url().to_owned();
        assert_eq!(value(&query(&url), "redirect_uri").unwrap(), redirect_uri);
        rig.finish(&format!("code={CODE}&state={}", value(&query(&url), "state").unwrap())).await.unwrap();
        assert_eq!(value(&pairs(&rig.http.last().body), "redirect_uri").unwrap(), redirect_uri);
    }
    let error = rig.flow.begin(&user()).redirect_uri("https://evil.example/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn acf_05_scopes_are_joined_as_the_provider_wants_them() {
    let mut quirks = Quirks::default();
    quirks.authorization.scope_delimiter = Some(",".to_owned());
    let rig = Rig::new(provider().quirks(quirks));
    assert_eq!(value(&query(&rig.begin().await.0), "scope").unwrap(), "read,write");
    let url = rig.flow.begin(&user()).scope("admin").await.unwrap().url().to_owned();
    assert_eq!(value(&query(&url), "scope").unwrap(), "admin");
    let none = Rig::new(provider().default_scopes::<[&str; 0]>([]));
    assert_eq!(value(&query(&none.begin().await.0), "scope"), None, "an empty scope is not sent");
}

#[tokio::test]
async fn acf_06_the_access_token_path_is_the_token_endpoint() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert_eq!(rig.http.last().url.as_str(), "https://provider.example/access_token");
}

#[tokio::test]
async fn acf_07_the_authorization_path_is_the_authorization_endpoint() {
    let (url, _) = Rig::new(provider()).begin().await;
    assert!(url.starts_with("https://provider.example/authorize?"), "{url}");
    let error = Provider::builder("p").base_uri("https://provider.example").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "no path is guessed");
}

#[tokio::test]
async fn acf_08_the_grant_type_has_the_rfcs_value_or_the_providers() {
    for (configured, expected) in [(None, "authorization_code"), (Some("code_of_ours"), "code_of_ours")] {
        let rig =
            Rig::new(provider().quirks(with_token(|token| token.type_value = configured.map(str::to_owned))));
        rig.http.json(TOKENS);
        rig.whole_flow().await.unwrap();
        assert_eq!(value(&pairs(&rig.http.last().body), "grant_type").unwrap(), expected);
    }
}

#[tokio::test]
async fn acf_09_the_response_type_has_the_rfcs_value_or_the_providers() {
    for (configured, expected) in [(None, "code"), (Some("Assertion"), "Assertion")] {
        let mut quirks = Quirks::default();
        quirks.authorization.type_value = configured.map(str::to_owned);
        let (url, _) = Rig::new(provider().quirks(quirks)).begin().await;
        assert_eq!(value(&query(&url), "response_type").unwrap(), expected);
    }
}

#[tokio::test]
async fn acf_22_the_readmes_stack_exchange_is_a_file() {
    let definition: ProviderDefinition = toml::from_str(
        r#"
        id = "stackexchange"
        default_scopes = ["no_expiry"]

        [endpoints]
        authorization_endpoint = "https://stackoverflow.com/oauth"
        token_endpoint = "https://stackoverflow.com/oauth/access_token/json"
        api_origins = ["https://api.stackexchange.com"]

        [quirks.token]
        client_authentication = "client_secret_post"

        [quirks.token_response]
        fields.expires_in = "/expires"
        expiry.default = "never"
        "#,
    )
    .unwrap();
    let rig = Rig::over(ConfiguredProvider::new(definition, credentials(), MemoryStateStore::new()).unwrap());
    rig.http.json(r#"{"access_token":"se-token"}"#);
    let (url, callback) = rig.begin().await;
    assert!(url.starts_with("https://stackoverflow.com/oauth?"), "{url}");
    assert_eq!(value(&query(&url), "scope").unwrap(), "no_expiry");
    let tokens = rig.finish(&callback).await.unwrap().tokens;
    assert_eq!((tokens.access_token.expose(), tokens.expiry), ("se-token", Expiry::Never));
    assert_eq!(rig.http.last().url.as_str(), "https://stackoverflow.com/oauth/access_token/json");
    assert!(pairs(&rig.http.last().body).iter().any(|(name, _)| name == "client_secret"));
}

#[test]
fn acf_23_a_definition_is_a_value_that_can_be_compared_and_written() {
    let text = r#"
        id = "example"
        [endpoints]
        authorization_endpoint = "https://provider.example/authorize"
        token_endpoint = "https://provider.example/access_token"
    "#;
    let first: ProviderDefinition = toml::from_str(text).unwrap();
    let second: ProviderDefinition = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(first, second);
}

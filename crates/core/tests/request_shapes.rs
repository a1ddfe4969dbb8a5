//! The shape of the authorization request, by the quirks of the provider and by what one flow asks for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use authflow_core::{ClientAuthentication, ErrorKind, Grant, HttpResponse, Provider, Quirks, Scopes, Secret};
use common::{REDIRECT_URI, Rig, SECRET, callback, credentials, provider, query_value, user};

fn rig(json: &str) -> Rig {
    Rig::quirks(serde_json::from_str::<Quirks>(json).unwrap())
}

async fn names(rig: &Rig) -> Vec<String> {
    let authorization = rig.flow.begin(&user()).await.unwrap();
    let query = authorization.url().split_once('?').unwrap().1;
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[tokio::test]
async fn standard_parameters_can_be_renamed_and_left_out() {
    let standard = ["response_type", "client_id", "redirect_uri", "scope", "state"];
    let pkce = ["code_challenge", "code_challenge_method"];
    for (shape, expected) in [
        ("{}", standard),
        (
            r#"{"rename": {"client_id": "app_id"}}"#,
            ["response_type", "app_id", "redirect_uri", "scope", "state"],
        ),
        (
            r#"{"rename": {"state": "stata"}}"#,
            ["response_type", "client_id", "redirect_uri", "scope", "stata"],
        ),
    ] {
        let rig = rig(&format!(r#"{{"authorization": {shape}}}"#));
        assert_eq!(names(&rig).await, [&expected[..], &pkce].concat(), "{shape}");
    }
    for (shape, expected) in [
        (r#"{"omit": ["response_type"]}"#, &["client_id", "redirect_uri", "scope", "state"]),
        (
            r#"{"omit": ["response_type"], "rename": {"scope": "perms"}}"#,
            &["client_id", "redirect_uri", "perms", "state"],
        ),
    ] {
        let rig = rig(&format!(r#"{{"authorization": {shape}}}"#));
        assert_eq!(names(&rig).await, [&expected[..], &pkce].concat(), "{shape}");
    }
}

#[tokio::test]
async fn a_parameter_of_one_flow_replaces_the_providers_own() {
    let rig = rig(r#"{"authorization": {"parameters": {"prompt": "consent", "locale": "en", "empty": ""}}}"#);
    let authorization = rig.flow.begin(&user()).param("prompt", "login").param("hint", "").await.unwrap();
    let url = authorization.url();
    assert!(url.ends_with("&locale=en&prompt=login"), "{url}");
    assert!(!url.contains("consent") && !url.contains("empty=") && !url.contains("hint="), "{url}");
    rig.tokens();
    rig.finish(&callback(url), &user()).await.unwrap();
}

#[tokio::test]
async fn scopes_of_one_flow_replace_the_providers_own() {
    let rig = rig(r#"{"authorization": {"scope_delimiter": ","}}"#);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(authorization.url(), "scope").as_deref(), Some("read,write"));
    let authorization = rig.flow.begin(&user()).scope("a").scopes(["b", "a"]).await.unwrap();
    assert_eq!(query_value(authorization.url(), "scope").as_deref(), Some("a,b"));
    for bad in ["a b", "a\"\n", "é"] {
        let error = rig.flow.begin(&user()).scope(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{bad:?}");
    }
}

#[test]
fn a_response_mode_in_the_endpoint_is_a_second_one_only_where_one_is_sent() {
    for (mode, fits) in [("query", true), ("form_post", false)] {
        let quirks = format!(r#"{{"authorization_response": {{"response_mode": "{mode}"}}}}"#);
        let built = Provider::builder("p")
            .authorization_endpoint("https://as.example/authorize?response_mode=x")
            .token_endpoint("https://as.example/token")
            .quirks(serde_json::from_str(&quirks).unwrap())
            .build();
        assert_eq!(built.is_ok(), fits, "{mode}");
    }
}

/// Where a template sends what the client authentication would, the shape leaves that out, whatever the registration says.
#[tokio::test]
async fn an_omitted_authentication_doubles_nothing() {
    let quirks: Quirks = serde_json::from_str(
        r#"{"token": {"client_authentication": "omitted", "parameters": {"client_secret": "{client_secret}"}}}"#,
    )
    .unwrap();
    let credentials = credentials().authenticated_by(ClientAuthentication::ClientSecretPost);
    let rig = Rig::with(provider("p").quirks(quirks).build().unwrap(), credentials);
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    let form = rig.http.last_form();
    let secrets: Vec<_> = form.iter().filter(|(name, _)| name == "client_secret").collect();
    assert_eq!(secrets, [&("client_secret".to_owned(), SECRET.to_owned())]);
    assert!(form.iter().all(|(name, _)| name != "client_id"));
    assert!(form.contains(&("redirect_uri".to_owned(), REDIRECT_URI.to_owned())));
}

#[tokio::test]
async fn what_the_provider_omits_of_a_token_request_is_not_missed() {
    let rig = rig(r#"{"token": {"omit": ["redirect_uri"]}}"#);
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    let names: Vec<_> = rig.http.last_form().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["grant_type", "code", "code_verifier"]);
}

/// In a single step there is no token set that the refresh token would be known from, too.
#[tokio::test]
async fn h1_the_refresh_token_of_a_grant_is_not_shown() {
    let rig = Rig::new();
    let grant = Grant::RefreshToken { refresh_token: Secret::new("planted-refresh-9") };
    let body = r#"{"error":"invalid_grant","error_description":"planted-refresh-9 is unknown"}"#;
    let response = HttpResponse::new(http::StatusCode::BAD_REQUEST, body);
    let error = rig.flow.token_response(&grant, &Scopes::none(), &response).await.unwrap_err();
    assert_eq!(error.server_error().unwrap().description(), Some("[redacted] is unknown"));
}

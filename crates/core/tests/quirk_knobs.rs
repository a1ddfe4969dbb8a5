//! Knobs of the quirks, each through the whole flow: by the URL, by the token request that was sent, by the tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use authflow_core::quirks::Templates;
use authflow_core::{
    AuthorizationResponse, Call, Clock as _, CodeChallenge, ErrorKind, Expiry, Operation, Quirks, Result,
    Scopes, Template, TokenSet, VariableSources,
};
use common::{REDIRECT_URI, Rig, SECRET, callback, credentials, provider, query_value, user};

const TOKENS: &str = r#"{"access_token":"access-1","refresh_token":"refresh-1"}"#;
const OTHER_REDIRECT_URI: &str = "https://app.example/other";

fn quirks(json: &str) -> Quirks {
    serde_json::from_str(json).unwrap()
}

fn rig(json: &str) -> Rig {
    Rig::quirks(quirks(json))
}

/// A whole flow that the token endpoint answers with `body`.
async fn connect(rig: &Rig, body: &str) -> TokenSet {
    let query = rig.begin(&user()).await;
    rig.http.json(body);
    rig.finish(&query, &user()).await.unwrap().tokens
}

async fn refresh(rig: &Rig, tokens: &TokenSet, body: &str) -> Result<TokenSet> {
    rig.http.json(body);
    rig.flow.refresh(tokens).await
}

/// The names of the last request's parameters, in the order in which they were sent.
fn sent_names(rig: &Rig) -> Vec<String> {
    rig.http.last_form().into_iter().map(|(name, _)| name).collect()
}

/// The value of a parameter of the last request.
fn sent(rig: &Rig, name: &str) -> Option<String> {
    rig.http.last_form().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// By the name on the wire, with the provider's own parameters and those of this one flow among the standard ones.
#[tokio::test]
async fn sorted_parameters_of_the_authorization_request_go_by_name() {
    let given = [
        "response_type",
        "client_key",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "audience",
        "prompt",
    ];
    let sorted = [
        "audience",
        "client_key",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    ];
    for (order, expected) in [("as_given", given), ("sorted", sorted)] {
        let rig = rig(&format!(
            r#"{{"authorization": {{"order": "{order}", "rename": {{"client_id": "client_key"}},
                "parameters": {{"audience": "api"}}}}}}"#
        ));
        let authorization = rig.flow.begin(&user()).param("prompt", "login").await.unwrap();
        let query = authorization.url().split_once('?').unwrap().1;
        let names: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).collect();
        assert_eq!(names, expected, "{order}");
        rig.tokens();
        rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    }
}

/// A refresh has the shape of the token request where it has none of its own.
#[tokio::test]
async fn sorted_parameters_of_a_token_request_go_by_name() {
    for (order, exchanged, refreshed) in [
        (
            "as_given",
            ["grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret", "audience"],
            ["grant_type", "refresh_token", "client_id", "client_secret", "audience"],
        ),
        (
            "sorted",
            ["audience", "client_id", "client_secret", "code", "code_verifier", "grant_type", "redirect_uri"],
            ["audience", "client_id", "client_secret", "grant_type", "refresh_token"],
        ),
    ] {
        let rig = rig(&format!(
            r#"{{"token": {{"order": "{order}", "client_authentication": "client_secret_post",
                "parameters": {{"audience": "api"}}}}}}"#
        ));
        let tokens = connect(&rig, TOKENS).await;
        assert_eq!(sent_names(&rig), exchanged, "{order}");
        refresh(&rig, &tokens, TOKENS).await.unwrap();
        assert_eq!(sent_names(&rig), refreshed, "{order}");
    }
}

/// The name of the callback only: what is sent is renamed by the authorization request's own knob.
#[tokio::test]
async fn the_state_comes_back_under_the_name_that_the_provider_gives_it() {
    for (shape, own, foreign) in
        [("{}", "state", "stata"), (r#"{"state_parameter": "stata"}"#, "stata", "state")]
    {
        let rig = rig(&format!(r#"{{"authorization_response": {shape}}}"#));
        let authorization = rig.flow.begin(&user()).await.unwrap();
        let state = query_value(authorization.url(), "state").unwrap();
        let error = rig.finish(&format!("code=c&{foreign}={state}"), &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateNotFound, "{shape}");
        assert_eq!(rig.http.count(), 0, "{shape}");
        rig.tokens();
        rig.finish(&format!("code=c&{own}={state}"), &user()).await.unwrap();
    }
}

/// Else what belongs to a flow of ours could be finished without a look at who began it.
#[tokio::test]
async fn an_install_without_state_refuses_the_state_under_the_providers_name() {
    for (shape, own, foreign) in
        [("{}", "state", "stata"), (r#"{"state_parameter": "stata"}"#, "stata", "state")]
    {
        let rig = rig(&format!(r#"{{"authorization_response": {shape}}}"#));
        let install = async |query: &str| {
            let response = AuthorizationResponse::from_query(query).unwrap();
            rig.flow.finish_install_without_state(&response).await
        };
        let error = install(&format!("code=c&{own}=x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{shape}");
        assert_eq!(rig.http.count(), 0, "{shape}");
        rig.tokens();
        install(&format!("code=c&{foreign}=x")).await.unwrap();
    }
}

/// Those that were granted, not those that were asked for.
#[tokio::test]
async fn a_refresh_repeats_the_granted_scopes_only_where_the_provider_wants_them() {
    let body = r#"{"access_token":"access-1","refresh_token":"refresh-1","scope":"read profile"}"#;
    let bare = [("grant_type", "refresh_token"), ("refresh_token", "refresh-1")];
    for (knobs, scope) in [
        (r#"{"refresh_policy": {"send_scope": false}}"#, None),
        (r#"{"refresh_policy": {"send_scope": true}}"#, Some(("scope", "read profile"))),
        // The request's own delimiter, or else that of the authorization request.
        (
            r#"{"refresh_policy": {"send_scope": true}, "authorization": {"scope_delimiter": ","}}"#,
            Some(("scope", "read,profile")),
        ),
        (
            r#"{"refresh_policy": {"send_scope": true}, "authorization": {"scope_delimiter": ","},
                "refresh": {"scope_delimiter": ";", "rename": {"scope": "perms"}}}"#,
            Some(("perms", "read;profile")),
        ),
    ] {
        let rig = rig(knobs);
        let tokens = connect(&rig, body).await;
        refresh(&rig, &tokens, TOKENS).await.unwrap();
        let expected: Vec<_> = bare.into_iter().chain(scope).collect();
        assert_eq!(rig.http.last_form(), form(&expected), "{knobs}");
    }
}

#[tokio::test]
async fn a_refresh_without_an_access_token_leaves_the_old_one_in_force_only_where_the_policy_says_so() {
    let keeps = rig(r#"{"refresh_policy": {"keep_access_token_when_absent": true}}"#);
    let tokens = connect(&keeps, TOKENS).await;
    let kept = refresh(&keeps, &tokens, r#"{"expires_in":60}"#).await.unwrap();
    assert_eq!(kept.access_token.expose(), "access-1");
    assert_eq!(kept.expiry, Expiry::At(keeps.clock.now() + Duration::from_secs(60)));
    let new = refresh(&keeps, &kept, r#"{"access_token":"access-2"}"#).await.unwrap();
    assert_eq!(new.access_token.expose(), "access-2");

    // In the code exchange there is none that could stay.
    let query = keeps.begin(&user()).await;
    keeps.http.json(r#"{"expires_in":60}"#);
    let error = keeps.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);

    let demands = Rig::new();
    let tokens = connect(&demands, TOKENS).await;
    let error = refresh(&demands, &tokens, r#"{"expires_in":60}"#).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

/// Only the name differs: the challenge is made as the method says, and the verifier that is sent fits it.
#[tokio::test]
async fn the_method_of_the_challenge_has_the_providers_name() {
    for (policy, name) in [
        ("{}", "S256"),
        (r#"{"method_value": "s256"}"#, "s256"),
        (r#"{"method": "plain"}"#, "plain"),
        (r#"{"method": "plain", "method_value": "PLAIN"}"#, "PLAIN"),
    ] {
        let rig = rig(&format!(r#"{{"pkce": {policy}}}"#));
        let authorization = rig.flow.begin(&user()).await.unwrap();
        let url = authorization.url();
        assert_eq!(query_value(url, "code_challenge_method").as_deref(), Some(name), "{policy}");
        rig.tokens();
        rig.finish(&callback(url), &user()).await.unwrap();
        let verifier = sent(&rig, "code_verifier").unwrap();
        let challenge = CodeChallenge::new(&verifier, &quirks(&format!(r#"{{"pkce": {policy}}}"#)).pkce);
        assert_eq!(query_value(url, "code_challenge").as_deref(), Some(challenge.as_str()), "{policy}");
    }
}

/// Both names are in each callback, so that what is shown comes from the right one.
#[tokio::test]
async fn description_and_uri_of_an_error_are_read_under_the_providers_names() {
    for (names, description, uri) in [
        ("{}", "standard", "https://as.example/standard"),
        (r#"{"error_description": "why"}"#, "own", "https://as.example/standard"),
        (r#"{"error_uri": "more"}"#, "standard", "https://as.example/own"),
    ] {
        let rig = rig(&format!(r#"{{"authorization_response": {{"error_parameters": {names}}}}}"#));
        let authorization = rig.flow.begin(&user()).await.unwrap();
        let state = query_value(authorization.url(), "state").unwrap();
        let query = format!(
            "error=access_denied&error_description=standard&error_uri=https://as.example/standard&why=own\
             &more=https://as.example/own&state={state}"
        );
        let error = rig.finish(&query, &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{names}");
        let words = error.server_error().unwrap();
        assert_eq!((words.code(), words.description()), ("access_denied", Some(description)), "{names}");
        assert_eq!(words.uri(), Some(uri), "{names}");
    }
}

/// As under the standard name: prose is no reason to lose the provider's answer.
#[tokio::test]
async fn b11_words_under_the_providers_own_name_are_cleaned_and_capped_too() {
    let rig = rig(r#"{"authorization_response": {"error_parameters": {"error_description": "why"}}}"#);
    let query = rig.begin(&user()).await.replace("code=planted-code-1", "error=access_denied");
    // Only what is prose: the state is left alone.
    for other in ["whynot", "error", "name"] {
        let error = rig.finish(&format!("{query}&{other}=a%0D%0Ab"), &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed, "{other}");
    }
    let why = format!("a%0D%0Ab%1B%FF{}", "y".repeat(5000));
    let error = rig.finish(&format!("{query}&why={why}"), &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    let description = error.server_error().unwrap().description().unwrap();
    assert!(description.starts_with("a??b??yyy") && description.len() == 1024, "{description}");
}

/// RFC 6749 §3.1: before the store is asked, so that the true callback still finds its state.
#[tokio::test]
async fn b7_no_parameter_of_an_error_occurs_twice_whatever_its_name() {
    let rig = rig(
        r#"{"authorization_response": {"error_parameters": {"error": "e", "error_description": "why", "error_uri": "more"}}}"#,
    );
    let query = rig.begin(&user()).await;
    for name in ["e", "why", "more", "error", "error_description", "error_uri"] {
        let error = rig.finish(&format!("{query}&{name}=1&{name}=2"), &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed, "{name}");
    }
    rig.http.json(TOKENS);
    rig.finish(&query, &user()).await.expect("the state was left alone");
}

/// RFC 6749 §3.2, of every grant: what a template sends, and what the engine sends by itself.
#[tokio::test]
async fn no_parameter_of_a_refresh_or_of_client_credentials_is_sent_twice() {
    let doubled =
        rig(r#"{"refresh_policy": {"send_scope": true}, "refresh": {"parameters": {"scope": "{scope}"}},
            "client_credentials": {"parameters": {"scope": "{scope}"}}}"#);
    let tokens = connect(&doubled, TOKENS).await;
    let sent = doubled.http.count();
    let error = doubled.flow.refresh(&tokens).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let error = doubled.flow.client_credentials(&Scopes::new(["read"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert_eq!(doubled.http.count(), sent, "nothing was sent");
}

#[tokio::test]
async fn is_string_holds_for_a_text_and_for_nothing_else() {
    for (fault, is_error) in [
        (r#""broken""#, true),
        (r#""""#, true),
        ("7", false),
        ("true", false),
        ("null", false),
        (r#"["broken"]"#, false),
        (r#"{"text":"broken"}"#, false),
    ] {
        let rig =
            rig(r#"{"token_response": {"error": {"when": [{"pointer": "/fault", "op": "is_string"}]}}}"#);
        let query = rig.begin(&user()).await;
        rig.http.json(&format!(r#"{{"access_token":"access-1","fault":{fault}}}"#));
        let kind = rig.finish(&query, &user()).await.err().map(|error| error.kind());
        assert_eq!(kind, is_error.then_some(ErrorKind::Refused), "{fault}");
    }
}

/// Where there is none, it is that of the token request; where there is one, nothing of that is in it.
#[tokio::test]
async fn client_credentials_have_a_shape_of_their_own() {
    let token =
        r#""token": {"client_authentication": "client_secret_post", "parameters": {"from": "token"}}"#;
    for (own, expected) in [
        (
            "",
            &[
                ("grant_type", "client_credentials"),
                ("scope", "a b"),
                ("client_id", "client-1"),
                ("client_secret", SECRET),
                ("from", "token"),
            ][..],
        ),
        (
            r#", "client_credentials": {"client_authentication": "none", "rename": {"client_id": "key"},
                "scope_delimiter": ",", "parameters": {"audience": "api"}}"#,
            &[
                ("grant_type", "client_credentials"),
                ("scope", "a,b"),
                ("key", "client-1"),
                ("audience", "api"),
            ],
        ),
    ] {
        let rig = rig(&format!("{{{token}{own}}}"));
        rig.tokens();
        rig.flow.client_credentials(&Scopes::new(["a", "b"])).await.unwrap();
        assert_eq!(rig.http.last_form(), form(expected), "{own}");
        // The other grants keep theirs.
        let tokens = connect(&rig, TOKENS).await;
        assert_eq!(sent(&rig, "from").as_deref(), Some("token"), "{own}");
        refresh(&rig, &tokens, TOKENS).await.unwrap();
        assert_eq!(sent(&rig, "from").as_deref(), Some("token"), "{own}");
    }
}

/// The callback tells them once; a refresh takes them from the token set.
#[tokio::test]
async fn what_is_retained_of_a_callback_goes_into_exchange_and_refresh() {
    let rig = rig(r#"{"authorization_response": {"retain": ["shop"]},
        "authorization": {"parameters": {"store": "{callback.shop}"}},
        "token": {"parameters": {"store": "at {callback.shop}"}, "headers": {"x-store": "{callback.shop}"}}}"#);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    // Nothing has come yet, and what has no value is left out.
    assert_eq!(query_value(authorization.url(), "store"), None);
    rig.http.json(TOKENS);
    let query = format!("{}&shop=s-7&other=x", callback(authorization.url()));
    let tokens = rig.finish(&query, &user()).await.unwrap().tokens;
    assert_eq!(sent(&rig, "store").as_deref(), Some("at s-7"));
    // The second refresh has it from what the first one kept.
    let tokens = refresh(&rig, &tokens, TOKENS).await.unwrap();
    assert_eq!(sent(&rig, "store").as_deref(), Some("at s-7"));
    refresh(&rig, &tokens, TOKENS).await.unwrap();
    assert_eq!(sent(&rig, "store").as_deref(), Some("at s-7"));
    let headers: Vec<_> = rig.http.requests().iter().map(|it| it.headers["x-store"].clone()).collect();
    assert_eq!(headers, ["s-7", "s-7", "s-7"]);
}

#[tokio::test]
async fn a_template_shows_the_token_set_that_is_refreshed() {
    let rig = rig(r#"{"token_response": {"fields": {"account": "/who"}},
        "token": {"parameters": {"a": "{token.access_token}", "r": "{token.refresh_token}", "w": "{token.account}",
            "t": "{token.text}", "n": "{token.number}", "b": "{token.flag}", "l": "{token.list}", "u": "{token.unknown}"},
            "headers": {"x-team": "team {token.text}"}}}"#);
    let body = r#"{"access_token":"access-1","refresh_token":"refresh-1","who":"w-1","text":"x y","number":7,
        "flag":true,"list":["x"]}"#;
    let tokens = connect(&rig, body).await;
    // There is no token set before the first one, so none of them has a value.
    assert_eq!(sent_names(&rig), ["grant_type", "code", "redirect_uri", "code_verifier"]);
    refresh(&rig, &tokens, r#"{"access_token":"access-2"}"#).await.unwrap();
    let expected = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "refresh-1"),
        ("a", "access-1"),
        ("r", "refresh-1"),
        ("w", "w-1"),
        ("t", "x y"),
        ("n", "7"),
        ("b", "true"),
    ];
    assert_eq!(rig.http.last_form(), form(&expected));
    let teams: Vec<_> = rig.http.requests().iter().map(|it| it.headers.get("x-team").cloned()).collect();
    assert_eq!(teams, [None, Some("team x y".parse().unwrap())]);
}

/// Asked for while it is asked, granted afterwards.
#[tokio::test]
async fn a_template_shows_the_scopes_of_each_request() {
    let rig = rig(r#"{"authorization": {"scope_delimiter": ",", "parameters": {"perms": "<{scope}>"}},
        "token": {"parameters": {"perms": "<{scope}>"}}}"#);
    let authorization = rig.flow.begin(&user()).scopes(["a", "b"]).await.unwrap();
    assert_eq!(query_value(authorization.url(), "perms").as_deref(), Some("<a,b>"));
    rig.http.json(r#"{"access_token":"access-1","refresh_token":"refresh-1","scope":"b c"}"#);
    let tokens = rig.finish(&callback(authorization.url()), &user()).await.unwrap().tokens;
    assert_eq!(sent(&rig, "perms").as_deref(), Some("<a,b>"));
    refresh(&rig, &tokens, TOKENS).await.unwrap();
    assert_eq!(sent(&rig, "perms").as_deref(), Some("<b,c>"));
    rig.tokens();
    rig.flow.client_credentials(&Scopes::new(["d", "e"])).await.unwrap();
    assert_eq!(sent(&rig, "perms").as_deref(), Some("<d,e>"));
    // Without scopes there is no text around them either.
    rig.tokens();
    rig.flow.client_credentials(&Scopes::none()).await.unwrap();
    assert_eq!(sent(&rig, "perms"), None);
}

/// As its standard parameter does: with the request's own delimiter, or else that of the authorization request.
#[tokio::test]
async fn a_template_writes_the_scopes_as_its_request_does() {
    let rig = rig(r#"{"authorization": {"scope_delimiter": ",", "parameters": {"perms": "{scope}"}},
        "token": {"scope_delimiter": ";", "parameters": {"perms": "{scope}"}},
        "refresh": {"scope_delimiter": "+", "headers": {"x-perms": "{scope}"}},
        "client_credentials": {"parameters": {"perms": "{scope}"}}}"#);
    let authorization = rig.flow.begin(&user()).scopes(["a", "b"]).await.unwrap();
    assert_eq!(query_value(authorization.url(), "perms").as_deref(), Some("a,b"));
    rig.http.json(TOKENS);
    let tokens = rig.finish(&callback(authorization.url()), &user()).await.unwrap().tokens;
    assert_eq!(sent(&rig, "perms").as_deref(), Some("a;b"));
    refresh(&rig, &tokens, TOKENS).await.unwrap();
    assert_eq!(rig.http.requests().last().unwrap().headers["x-perms"], "a+b");
    rig.tokens();
    rig.flow.client_credentials(&Scopes::new(["d", "e"])).await.unwrap();
    assert_eq!(sent(&rig, "perms").as_deref(), Some("d,e"));
}

/// The one that this flow took, as long as there is a flow; a refresh has none, and shows the first.
#[tokio::test]
async fn a_template_shows_the_redirect_uri_of_the_flow() {
    let quirks = quirks(
        r#"{"authorization": {"parameters": {"back": "{redirect_uri}"}},
            "token": {"parameters": {"back": "{redirect_uri}"}}}"#,
    );
    let credentials = credentials().redirect_uri(OTHER_REDIRECT_URI);
    let rig = Rig::with(provider("p").quirks(quirks).build().unwrap(), credentials);
    for taken in [REDIRECT_URI, OTHER_REDIRECT_URI] {
        let authorization = rig.flow.begin(&user()).redirect_uri(taken).await.unwrap();
        assert_eq!(query_value(authorization.url(), "back").as_deref(), Some(taken));
        rig.http.json(TOKENS);
        let tokens = rig.finish(&callback(authorization.url()), &user()).await.unwrap().tokens;
        assert_eq!(sent(&rig, "back").as_deref(), Some(taken));
        refresh(&rig, &tokens, TOKENS).await.unwrap();
        assert_eq!(sent(&rig, "back").as_deref(), Some(REDIRECT_URI));
    }
}

/// Some providers want the client under a name of their own, beside the standard one.
#[tokio::test]
async fn a_template_shows_the_client() {
    let rig = rig(r#"{"authorization": {"parameters": {"app": "{client_id}"}},
        "token": {"parameters": {"app": "<{client_id}>"}}}"#);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(authorization.url(), "app"), query_value(authorization.url(), "client_id"));
    rig.http.json(TOKENS);
    rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    let client_id = credentials().client_id().to_owned();
    assert_eq!(sent(&rig, "app"), Some(format!("<{client_id}>")));
}

/// Labels of metrics: who counts by them finds what the documents name.
#[test]
fn kinds_and_operations_have_labels_of_their_own() {
    for (kind, label) in [
        (ErrorKind::AccessDenied, "access_denied"),
        (ErrorKind::InvalidGrant, "invalid_grant"),
        (ErrorKind::StoreOutcomeUnknown, "store_outcome_unknown"),
    ] {
        assert_eq!(kind.as_str(), label);
    }
    for (operation, label) in
        [(Operation::Begin, "begin"), (Operation::ClientCredentials, "client_credentials")]
    {
        assert_eq!(operation.as_str(), label);
    }
}

/// Quirks that are built in code are sent, and written, in the order in which they were added.
#[tokio::test]
async fn templates_keep_their_order() {
    let none = Templates::default();
    assert!(none.is_empty());
    let both = none.with("z", Template::parse("1").unwrap()).with("a", Template::parse("2").unwrap());
    assert!(!both.is_empty());
    let written = serde_json::to_string(&both).unwrap();
    assert_eq!(written, r#"{"z":"1","a":"2"}"#);
    assert_eq!(serde_json::from_str::<Templates>(&written).unwrap(), both);
    let mut quirks = Quirks::default();
    quirks.token.parameters = both;
    let rig = Rig::quirks(quirks);
    connect(&rig, TOKENS).await;
    let [.., z, a] = &*sent_names(&rig) else { panic!("too few parameters") };
    assert_eq!([z, a], ["z", "a"]);
}

/// As long as a state, and another one in each request; whoever names it twice in one template has the same one twice.
#[tokio::test]
async fn a_template_shows_a_random_value_that_never_comes_again() {
    let rig = rig(r#"{"authorization": {"parameters": {"once": "{random}", "twice": "{random}.{random}"}}}"#);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let authorization = rig.flow.begin(&user()).await.unwrap();
        let once = query_value(authorization.url(), "once").unwrap();
        let twice = query_value(authorization.url(), "twice").unwrap();
        let (first, second) = twice.split_once('.').unwrap();
        assert_eq!(first, second);
        seen.extend([once, first.to_owned()]);
    }
    assert!(seen.len() == 4 && seen.iter().all(|value| is_random(value)), "{seen:?}");
}

/// A hook signs with it, or names its request by it.
#[test]
fn a_call_makes_a_random_value_that_never_comes_again() {
    let (provider, credentials) = (provider("p").build().unwrap(), credentials());
    let urls = provider.endpoints().resolve(&VariableSources::new(&BTreeMap::new())).unwrap();
    let cx = Call::new(Operation::Begin, &provider, &urls, &credentials, SystemTime::UNIX_EPOCH);
    let values = [(); 3].map(|()| cx.random().unwrap());
    assert!(values.iter().all(|value| is_random(value)), "{values:?}");
    assert_eq!(BTreeSet::from(values).len(), 3);
}

/// Whether it is 256 bits in base64url.
fn is_random(value: &str) -> bool {
    value.len() == 43 && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

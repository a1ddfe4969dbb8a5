//! Every fault that is known of the vendor's SDKs, and that it is none of ours. The names say whose it is: `sdk_py` is the
//! Python SDK, `sdk_js` the JavaScript one, `sdk_java` the Java one. What they do wrong where tokens are kept and requests sent
//! again is in `sdk_faults_connections.rs` too, under the same numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_contentstack::{ApiError, AuthorizationUrl, Region, needs_refresh};
use authflow_core::rfc::Revocation;
use authflow_core::{
    AuthorizationResponse, ClientCredentials, Error, ErrorKind, Expiry, HttpRequest, Recovery,
};
use http::Method;
use support::{
    CALLBACK, Scripted, USER_REPLY, attached, builder, complete, complete_with, confidential, flow, form,
    header, public, query, response, user, user_tokens, with,
};
use url::Url;

/// Finishes a flow with a callback that is written by `callback` from the state.
async fn finish_with(flow: &authflow_core::Flow, callback: impl Fn(&str) -> String) -> Result<(), Error> {
    let authorization = flow.begin(&user()).await?;
    let callback = callback(&query(authorization.url())["state"]);
    flow.finish(&AuthorizationResponse::from_query(&callback)?, &user()).await.map(drop)
}

#[tokio::test]
async fn sdk_py_01_state_is_sent_and_checked() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    for forged in ["code=c&location=NA", "code=c&location=NA&state=", "code=c&location=NA&state=other"] {
        let error = finish_with(&flow, |_| forged.to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateNotFound, "{forged}");
    }
    assert!(http.sent().is_empty(), "no token request");
    finish_with(&flow, |state| format!("code=c&location=NA&state={state}")).await.unwrap();
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn sdk_py_02_scopes_are_sent() {
    let flow = flow(builder().default_scopes(["cms.read", "user:read"]), &Scripted::provider());
    let authorization = flow.begin(&user()).await.unwrap();
    assert_eq!(query(authorization.url())["scope"], "cms.read user:read");
    let authorization = flow.begin(&user()).scope("cms.write").await.unwrap();
    assert_eq!(query(authorization.url())["scope"], "cms.write");
}

#[tokio::test]
async fn sdk_py_03_a_401_leads_to_a_refresh_and_the_new_token_is_attached() {
    let reply = USER_REPLY.replace("AT-canary", "AT-new");
    let http = Scripted::new(move |request| {
        let is_token = request.url.path() == "/token";
        let is_new = header(request, "authorization") == Some("Bearer AT-new");
        Ok(match (is_token, is_new) {
            (true, _) => response(200, &reply),
            (false, true) => response(200, "{}"),
            (false, false) => response(401, r#"{"error_message":"expired","error_code":105}"#),
        })
    });
    let flow = flow(builder(), &http);
    let mut tokens = user_tokens();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = attached(&flow, &tokens, "https://api.contentstack.io/v3/user").await.unwrap();
        let answer =
            authflow_core::HttpClient::send(&http, request, &authflow_core::Limits::default()).await.unwrap();
        statuses.push(answer.status.as_u16());
        if needs_refresh(&answer) {
            tokens = flow.refresh(&tokens).await.unwrap();
        }
    }
    assert_eq!(statuses, [401, 200]);
}

#[tokio::test]
async fn sdk_py_04_refreshes_in_a_row_and_side_by_side_do_not_wait_for_each_other() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let tokens = user_tokens();
    flow.refresh(&flow.refresh(&tokens).await.unwrap()).await.unwrap();
    let (one, other) = tokio::join!(flow.refresh(&tokens), flow.refresh(&tokens));
    one.unwrap();
    other.unwrap();
    assert_eq!(http.sent().len(), 4);
}

#[tokio::test]
async fn sdk_py_05_the_verifier_has_43_to_128_unreserved_characters() {
    let http = Scripted::provider();
    complete(&flow(with(public()), &http)).await.unwrap();
    let verifier = form(&http.sent()[0])["code_verifier"].clone();
    assert!((43..=128).contains(&verifier.len()), "{}", verifier.len());
    assert!(verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
}

#[tokio::test]
async fn sdk_py_06_without_tokens_there_is_a_typed_error() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let mut tokens = user_tokens();
    tokens.refresh_token = None;
    let error = flow.refresh(&tokens).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Unsupported, Recovery::FixConfiguration));
    tokens.access_token = "".into();
    let error = attached(&flow, &tokens, "https://api.contentstack.io/v3/user").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(http.sent().is_empty());
}

#[tokio::test]
async fn sdk_py_07_a_denial_is_a_denial() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let denied =
        |state: &str| format!("error=access_denied&error_description=the+user+said+no&state={state}");
    let error = finish_with(&flow, denied).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(error.server_error().unwrap().description(), Some("the user said no"));
    assert!(http.sent().is_empty());
}

#[tokio::test]
async fn sdk_py_08_a_refresh_does_not_carry_the_old_access_token() {
    let http = Scripted::provider();
    flow(builder(), &http).refresh(&user_tokens()).await.unwrap();
    let refresh = &http.sent()[0];
    assert!(!refresh.headers.contains_key("authorization"));
    assert!(!String::from_utf8_lossy(&refresh.body).contains("AT-canary"));
}

#[tokio::test]
async fn sdk_py_09_a_reply_without_refresh_token_keeps_the_old_one() {
    let http = Scripted::always(200, r#"{"access_token":"AT2","expires_in":3600}"#);
    let flow = flow(builder(), &http);
    let renewed = flow.refresh(&user_tokens()).await.unwrap();
    assert_eq!(renewed.access_token.expose(), "AT2");
    assert_eq!(renewed.refresh_token.as_ref().unwrap().expose(), "RT-canary");
    let known = authflow_contentstack::ContentstackTokens::new(&renewed);
    assert_eq!((known.user_uid(), known.organization_uid()), (Some("bltUSER"), Some("bltORG")));
    assert_eq!(known.region(), Some(Region::Na));
}

#[tokio::test]
async fn sdk_py_10_a_revocation_revokes_at_the_provider() {
    let http = Scripted::provider();
    assert_eq!(flow(builder(), &http).revoke(&user_tokens()).await.unwrap(), Revocation::Revoked);
    assert!(http.sent().iter().any(|request| request.method == Method::DELETE));
}

/// In a process of its own, because what tests print is caught.
#[test]
fn sdk_py_11_nothing_is_printed() {
    let program = std::env::current_exe().unwrap();
    let mut journey = std::process::Command::new(program);
    journey.args(["--exact", "sdk_py_11_a_journey_with_a_mistake", "--nocapture", "--test-threads", "1"]);
    let output = journey.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("1 passed"), "{shown}");
    for word in ["http", "app-uid", "client-id", "bltORG", "bltUSER", "state", "canary"] {
        assert!(!shown.contains(word), "{word} in {shown}");
    }
}

#[tokio::test]
async fn sdk_py_11_a_journey_with_a_mistake() {
    let flow = flow(with(public()), &Scripted::provider());
    let tokens = complete(&flow).await.unwrap().tokens;
    attached(&flow, &tokens, "https://api.contentstack.io/v3/user").await.unwrap();
    flow.revoke(&flow.refresh(&tokens).await.unwrap()).await.unwrap();
    finish_with(&flow, |_| "code=code-canary&state=other".to_owned()).await.unwrap_err();
    let mistaken = support::flow(builder(), &Scripted::always(422, r#"{"error_message":"canary"}"#));
    mistaken.refresh(&tokens).await.unwrap_err();
    mistaken.revoke(&tokens).await.unwrap_err();
}

#[tokio::test]
async fn sdk_py_12_the_providers_error_is_kept() {
    let body = r#"{"error_message":"wrong","error_code":141,"errors":{"code":["no","not at all"]}}"#;
    let flow = flow(builder(), &Scripted::always(422, body));
    for error in [
        complete(&flow).await.unwrap_err(),
        flow.refresh(&user_tokens()).await.unwrap_err(),
        flow.revoke(&user_tokens()).await.unwrap_err(),
    ] {
        assert_eq!(error.status().unwrap(), 422);
        let server_error = error.server_error().unwrap();
        assert_eq!((server_error.code(), server_error.description()), ("141", Some("wrong")));
        let said = ApiError::of(&error).unwrap();
        assert_eq!(
            (said.status().as_u16(), said.error_code(), said.message()),
            (422, Some(141), Some("wrong"))
        );
        let fields: Vec<_> = said.errors().map(|(field, texts)| (field, texts.collect::<Vec<_>>())).collect();
        assert_eq!(fields, [("code", vec!["no", "not at all"])]);
    }
}

#[tokio::test]
async fn sdk_py_13_a_refresh_is_about_the_tokens_it_is_given() {
    let mut count = 0;
    let http = Scripted::new(move |_| {
        count += 1;
        Ok(response(200, &format!(r#"{{"access_token":"AT{count}","refresh_token":"RT{count}"}}"#)))
    });
    let flow = flow(builder(), &http);
    let first = flow.refresh(&user_tokens()).await.unwrap();
    flow.refresh(&first).await.unwrap();
    let sent: Vec<_> = http.sent().iter().map(|request| form(request)["refresh_token"].clone()).collect();
    assert_eq!(sent, ["RT-canary", "RT1"], "the manager holds no token of its own that could be another's");
}

#[tokio::test]
async fn sdk_py_14_each_flow_has_its_own_verifier() {
    let http = Scripted::provider();
    let flow = flow(with(public()), &http);
    complete(&flow).await.unwrap();
    complete(&flow).await.unwrap();
    let verifiers: Vec<_> =
        http.sent().iter().map(|request| form(request)["code_verifier"].clone()).collect();
    assert_ne!(verifiers[0], verifiers[1]);
}

#[test]
fn sdk_py_15_an_empty_secret_is_a_mistake_and_no_public_client() {
    let credentials = ClientCredentials::confidential("client-id", "").redirect_uri(CALLBACK);
    let error = with(credentials).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("public"), "{error}");
}

#[test]
fn sdk_py_16_each_region_has_its_developer_hub() {
    for region in Region::ALL {
        let application = region.application().replace("app.", "developerhub-api.");
        assert_eq!(region.developer_hub(), application);
    }
}

#[tokio::test]
async fn sdk_js_01_a_refresh_is_one_request() {
    let http = Scripted::provider();
    let mut tokens = user_tokens();
    tokens.expiry = Expiry::At(tokens.received_at);
    flow(builder(), &http).refresh(&tokens).await.unwrap();
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn sdk_js_02_a_refresh_names_client_and_redirect_uri() {
    let http = Scripted::provider();
    flow(with(public()), &http).refresh(&user_tokens()).await.unwrap();
    let sent = form(&http.sent()[0]);
    assert_eq!((sent["client_id"].as_str(), sent["redirect_uri"].as_str()), ("client-id", CALLBACK));
}

#[tokio::test]
async fn sdk_js_03_a_refresh_that_fails_says_so() {
    let http = Scripted::always(400, r#"{"error":"invalid_grant"}"#);
    let error = flow(builder(), &http).refresh(&user_tokens()).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::InvalidGrant, Recovery::Reconnect));
}

#[tokio::test]
async fn sdk_js_04_the_query_is_where_the_application_reads_it_and_complete() {
    for form in [AuthorizationUrl::Path, AuthorizationUrl::QueryInsideHash, AuthorizationUrl::QueryBeforeHash]
    {
        let flow = flow(with(public()).authorization_url(form), &Scripted::provider());
        let authorization = flow.begin(&user()).scope("cms.read").await.unwrap();
        let url = authorization.url();
        let query = query(url);
        for name in ["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge"] {
            assert!(query.contains_key(name), "{name} in {form:?}");
        }
        let (hash, mark) = (url.find('#'), url.find('?').unwrap());
        match form {
            AuthorizationUrl::Path => assert_eq!(hash, None),
            AuthorizationUrl::QueryInsideHash => assert!(hash.unwrap() < mark),
            _ => assert!(mark < hash.unwrap()),
        }
    }
}

#[tokio::test]
async fn sdk_js_05_a_refresh_carries_the_secret_of_a_confidential_client() {
    let http = Scripted::provider();
    flow(with(confidential()), &http).refresh(&user_tokens()).await.unwrap();
    assert_eq!(form(&http.sent()[0])["client_secret"], "secret-canary");
}

/// Whether they can be guessed no test sees from outside: the core's tests show where its generator has its seed from.
#[tokio::test]
async fn sdk_js_06_verifiers_have_256_bits_and_none_begins_like_another() {
    let http = Scripted::provider();
    let flow = flow(with(public()), &http);
    for _ in 0..64 {
        complete(&flow).await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    for request in http.sent() {
        let verifier = form(&request)["code_verifier"].clone();
        // 43 characters of base64url hold 256 bits; each first half is new too.
        assert_eq!(verifier.len(), 43);
        assert!(seen.insert(verifier[..21].to_owned()));
    }
}

#[tokio::test]
async fn sdk_js_07_the_other_headers_of_a_request_stay() {
    let flow = flow(builder(), &Scripted::provider());
    let mut request = HttpRequest::get(Url::parse("https://api.contentstack.io/v3/stacks").unwrap());
    request.headers.insert("x-header-ea", "true".parse().unwrap());
    request.headers.insert("accept", "application/json".parse().unwrap());
    flow.authenticate(&user_tokens(), &mut request).await.unwrap();
    assert_eq!(header(&request, "x-header-ea"), Some("true"));
    assert_eq!(header(&request, "accept"), Some("application/json"));
}

#[tokio::test]
async fn sdk_js_08_a_reply_without_expires_in_expires() {
    for reply in [r#"{"access_token":"AT"}"#, r#"{"access_token":"AT","expires_in":null}"#] {
        let tokens = complete(&flow(builder(), &Scripted::always(200, reply))).await.unwrap().tokens;
        assert_eq!(tokens.expiry, Expiry::At(tokens.received_at + Duration::from_secs(3600)));
    }
}

#[tokio::test]
async fn sdk_js_09_no_registration_of_anyone_else_is_a_default() {
    let error = authflow_contentstack::Contentstack::builder(public()).build().unwrap_err();
    assert!(error.to_string().contains("app_uid"), "{error}");
    let machine = ClientCredentials::public("client-id");
    let error = flow(with(machine), &Scripted::provider()).begin(&user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "no redirect URI is made up");
}

#[tokio::test]
async fn sdk_java_01_a_refresh_asks_the_provider_whatever_the_clock_says() {
    let http = Scripted::always(200, r#"{"access_token":"AT2","refresh_token":"RT2","expires_in":3600}"#);
    let mut tokens = user_tokens();
    tokens.expiry = Expiry::Never;
    let renewed = flow(builder(), &http).refresh(&tokens).await.unwrap();
    assert_eq!(renewed.access_token.expose(), "AT2");
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn sdk_java_02_a3_state_is_used_and_used_once() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    let callback = format!("code=c&location=NA&state={}", query(authorization.url())["state"]);
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    flow.finish(&response, &user()).await.unwrap();
    assert_eq!(flow.finish(&response, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn sdk_java_03_a_refresh_carries_no_verifier() {
    let http = Scripted::provider();
    let flow = flow(with(public()), &http);
    let tokens = complete_with(&flow, "&location=NA").await.unwrap().tokens;
    flow.refresh(&tokens).await.unwrap();
    assert!(!form(&http.sent()[1]).contains_key("code_verifier"));
}

#[tokio::test]
async fn sdk_java_04_whoever_revokes_is_told_what_came_of_it() {
    let revoked = flow(builder(), &Scripted::provider()).revoke(&user_tokens()).await;
    assert_eq!(revoked.unwrap(), Revocation::Revoked);
    let failed = flow(builder(), &Scripted::always(503, "")).revoke(&user_tokens()).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn sdk_java_05_no_address_is_made_up_for_the_revocation() {
    let http = Scripted::provider();
    flow(builder(), &http).revoke(&user_tokens()).await.unwrap();
    let base = "https://developerhub-api.contentstack.com/manifests/app-uid/authorizations";
    assert!(http.urls().iter().all(|url| url.starts_with(base)), "{:?}", http.urls());
}

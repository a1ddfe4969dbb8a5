//! The flow, over a scripted client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_contentstack::{AuthorizationType, AuthorizationUrl, ContentstackTokens, Region, TokenEndpoint};
use authflow_core::{
    AuthorizationResponse, ClientCredentials, ErrorKind, Expiry, Flow, FlowManager as _, HttpRequest,
    Operation, Scopes,
};
use http::Method;
use support::{
    CALLBACK, Scripted, attached, builder, complete, complete_with, confidential, flow, form, header, public,
    query, response, tokens, user, user_tokens, with,
};
use url::Url;

#[tokio::test]
async fn the_authorization_url_has_the_path_form() {
    let flow = flow(with(public()), &Scripted::provider());
    let authorization = flow.begin(&user()).scope("user:read").scope("user:write").await.unwrap();
    let url = authorization.url();
    assert!(url.starts_with("https://app.contentstack.com/apps/app-uid/authorize?"), "{url}");
    let query = query(url);
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["client_id"], "client-id");
    assert_eq!(query["redirect_uri"], CALLBACK);
    assert_eq!(query["scope"], "user:read user:write");
    assert_eq!(query["state"].len(), 43);
    assert_eq!(query["code_challenge_method"], "S256");
}

#[tokio::test]
async fn the_hash_forms_put_the_query_on_either_side() {
    let http = Scripted::provider();
    let before = flow(builder().authorization_url(AuthorizationUrl::QueryBeforeHash), &http);
    let url = before.begin(&user()).await.unwrap().url().to_owned();
    assert!(url.starts_with("https://app.contentstack.com/?response_type=code&"), "{url}");
    assert!(url.ends_with("#!/apps/app-uid/authorize"), "{url}");
    assert_eq!(query(&url)["redirect_uri"], CALLBACK);

    let inside = flow(builder().authorization_url(AuthorizationUrl::QueryInsideHash), &http);
    let url = inside.begin(&user()).await.unwrap().url().to_owned();
    assert!(
        url.starts_with("https://app.contentstack.com/#!/apps/app-uid/authorize?response_type=code&"),
        "{url}"
    );
    assert_eq!(query(&url)["state"].len(), 43);
}

#[tokio::test]
async fn each_token_endpoint_can_be_chosen() {
    for (endpoint, url) in [
        (TokenEndpoint::DeveloperHub, "https://eu-developerhub-api.contentstack.com/token"),
        (TokenEndpoint::Application, "https://eu-app.contentstack.com/apps-api/token"),
        (TokenEndpoint::DeveloperHubApps, "https://eu-developerhub-api.contentstack.com/apps/token"),
        (TokenEndpoint::ApplicationApps, "https://eu-app.contentstack.com/apps-api/apps/token"),
    ] {
        let http = Scripted::provider();
        complete_with(&flow(builder().token_endpoint(endpoint), &http), "&location=EU").await.unwrap();
        assert_eq!(http.urls(), [url]);
    }
    assert_eq!(TokenEndpoint::default(), TokenEndpoint::DeveloperHub);
}

#[tokio::test]
async fn a_client_sends_its_secret_or_a_verifier_never_both() {
    for (credentials, name, other) in
        [(confidential(), "client_secret", "code_verifier"), (public(), "code_verifier", "client_secret")]
    {
        let http = Scripted::provider();
        let flow = flow(with(credentials), &http);
        complete(&flow).await.unwrap();
        let sent = http.sent();
        assert_eq!(sent.len(), 1);
        let sent_form = form(&sent[0]);
        assert_eq!(sent[0].method, Method::POST);
        assert_eq!(sent_form["grant_type"], "authorization_code");
        assert_eq!(sent_form["code"], "code-canary");
        assert_eq!(sent_form["client_id"], "client-id");
        assert_eq!(sent_form["redirect_uri"], CALLBACK);
        assert!(sent_form.contains_key(name) && !sent_form.contains_key(other));
        assert!(!sent[0].headers.contains_key("authorization"));
        let begun = flow.begin(&user()).await.unwrap();
        assert_eq!(query(begun.url()).contains_key("code_challenge"), name == "code_verifier");
    }
}

#[tokio::test]
async fn fixture_contentstack_user_token() {
    let body = r#"{"access_token":"AT","refresh_token":"RT","token_type":"Bearer","expires_in":3600,"location":"EU","region":"EU","organization_uid":"bltORG","authorization_type":"user","user_uid":"bltUSER","stack_api_key":""}"#;
    let flow = flow(builder(), &Scripted::always(200, body));
    let tokens = complete_with(&flow, "&location=EU").await.unwrap().tokens;
    let view = ContentstackTokens::new(&tokens);
    assert_eq!(view.organization_uid(), Some("bltORG"));
    assert_eq!(view.user_uid(), Some("bltUSER"));
    assert_eq!(view.stack_api_key(), None, "empty is absent");
    assert_eq!(view.location(), Some("EU"));
    assert_eq!(view.region(), Some(Region::Eu));
    assert_eq!(view.authorization_type(), Some(AuthorizationType::User));
    assert_eq!(view.installation_uid(), None);
    assert_eq!(tokens.account.as_deref(), Some("bltUSER"));
    assert_eq!(tokens.token_type.as_deref(), Some("Bearer"));
    assert_eq!(tokens.expiry, Expiry::At(tokens.received_at + Duration::from_secs(3600)));
    assert!(!format!("{tokens:?} {view:?}").contains("bltORG"));
}

#[tokio::test]
async fn fixture_contentstack_app_token_and_the_minimal_one() {
    let app = r#"{"access_token":"AT","refresh_token":"RT","token_type":"Bearer","expires_in":3600,"location":"NA","region":"NA","organization_uid":"bltORG","authorization_type":"app","user_uid":"","stack_api_key":"bltSTACK"}"#;
    let minimal = r#"{"access_token":"AT","refresh_token":"RT","token_type":"Bearer","expires_in":3600,"location":"NA","organization_uid":"bltORG","authorization_type":"app"}"#;
    for (body, stack) in [(app, Some("bltSTACK")), (minimal, None)] {
        let tokens = complete(&flow(builder(), &Scripted::always(200, body))).await.unwrap().tokens;
        let view = ContentstackTokens::new(&tokens);
        assert_eq!(view.authorization_type(), Some(AuthorizationType::App));
        assert_eq!((view.user_uid(), tokens.account.as_deref()), (None, None));
        assert_eq!(view.stack_api_key(), stack);
        assert_eq!(view.region(), Some(Region::Na));
    }
    let odd = tokens(&[("authorization_type", "robot")]);
    assert_eq!(ContentstackTokens::new(&odd).authorization_type(), Some(AuthorizationType::Other("robot")));
    assert_eq!(ContentstackTokens::new(&tokens(&[])).authorization_type(), None);
    let mut stored = tokens(&[("location", "AU")]);
    stored.callback.insert("location".to_owned(), String::new());
    stored.callback.insert("installation_uid".to_owned(), String::new());
    let view = ContentstackTokens::new(&stored);
    assert_eq!((view.region(), view.installation_uid()), (Some(Region::Au), None), "empty is absent");
    stored.callback.insert("location".to_owned(), "EU".to_owned());
    assert_eq!(ContentstackTokens::new(&stored).region(), Some(Region::Eu), "the callback counts first");
}

#[tokio::test]
async fn a_refresh_repeats_the_redirect_uri_the_tokens_came_by() {
    let second = "https://app.example/second?a=b";
    let http = Scripted::provider();
    let flow = flow(with(confidential().redirect_uri(second)), &http);
    let authorization = flow.begin(&user()).redirect_uri(second).await.unwrap();
    let callback = format!("code=c&location=EU&state={}", query(authorization.url())["state"]);
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    let tokens = flow.finish(&response, &user()).await.unwrap().tokens;
    let renewed = flow.refresh(&tokens).await.unwrap();
    flow.refresh(&renewed).await.unwrap();
    for request in &http.sent()[1..] {
        let sent = form(request);
        assert_eq!(sent["grant_type"], "refresh_token");
        assert_eq!(sent["refresh_token"], "RT-canary");
        assert_eq!(sent["redirect_uri"], second);
        assert_eq!(sent["client_secret"], "secret-canary");
    }
    // One that is no longer registered is not sent.
    let mut stale = tokens;
    stale.extra.insert("redirect_uri".to_owned(), "https://gone.example/".into());
    flow.refresh(&stale).await.unwrap();
    assert_eq!(form(http.sent().last().unwrap())["redirect_uri"], CALLBACK);
}

#[tokio::test]
async fn client_credentials_are_for_clients_with_a_secret() {
    let http = Scripted::provider();
    let machine = ClientCredentials::confidential("client-id", "secret-canary");
    let tokens = flow(with(machine), &http).client_credentials(&Scopes::none()).await.unwrap();
    let sent = form(&http.sent()[0]);
    assert_eq!(sent["grant_type"], "client_credentials");
    assert_eq!(sent["client_secret"], "secret-canary");
    assert!(!sent.contains_key("redirect_uri"));
    assert!(!tokens.extra.contains_key("redirect_uri"));
}

#[tokio::test]
async fn a_request_gets_bearer_organization_and_stack() {
    let flow = flow(builder(), &Scripted::provider());
    let url = "https://api.contentstack.io/v3/stacks";
    let with_stack = tokens(&[("organization_uid", "bltORG"), ("stack_api_key", "bltSTACK")]);
    let request = attached(&flow, &with_stack, url).await.unwrap();
    assert_eq!(header(&request, "authorization"), Some("Bearer AT-canary"));
    assert_eq!(header(&request, "organization_uid"), Some("bltORG"));
    assert_eq!(header(&request, "api_key"), Some("bltSTACK"));
    assert!(request.headers.values().all(http::HeaderValue::is_sensitive));

    let without = tokens(&[("organization_uid", ""), ("stack_api_key", "")]);
    let request = attached(&flow, &without, url).await.unwrap();
    assert_eq!(request.headers.len(), 1, "what is empty is not sent");
}

#[tokio::test]
async fn the_headers_of_the_request_come_first_then_the_configured_ones() {
    let flow = flow(builder().organization_uid("bltSET").api_key("bltKEY"), &Scripted::provider());
    let known = tokens(&[("organization_uid", "bltORG"), ("stack_api_key", "bltSTACK")]);
    let request = attached(&flow, &known, "https://api.contentstack.io/v3/stacks").await.unwrap();
    assert_eq!(header(&request, "organization_uid"), Some("bltSET"));
    assert_eq!(header(&request, "api_key"), Some("bltKEY"));

    let mut request = HttpRequest::get(Url::parse("https://api.contentstack.io/v3/stacks").unwrap());
    request.headers.insert("organization_uid", "bltOWN".parse().unwrap());
    request.headers.insert("api_key", "bltMINE".parse().unwrap());
    flow.authenticate(&known, &mut request).await.unwrap();
    assert_eq!(header(&request, "organization_uid"), Some("bltOWN"));
    assert_eq!(header(&request, "api_key"), Some("bltMINE"));
}

#[tokio::test]
async fn c17_a_header_with_a_line_break_is_refused() {
    let flow = flow(builder(), &Scripted::provider());
    for name in ["organization_uid", "stack_api_key"] {
        let bad = tokens(&[(name, "a\r\nx: y")]);
        let error = attached(&flow, &bad, "https://api.contentstack.io/v3/user").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}

#[tokio::test]
async fn a_token_goes_to_contentstack_only() {
    let flow = flow(builder(), &Scripted::provider());
    for url in [
        "http://api.contentstack.io/v3/user",
        "https://api.contentstack.io.evil.example/v3/user",
        "https://evil-api.contentstack.com/v3/user",
        "https://api.contentstack.io:8443/v3/user",
        "https://eu-api.contentstack.com/v3/user",
    ] {
        let error = attached(&flow, &user_tokens(), url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{url}");
    }
    for url in ["https://api.contentstack.io/v3/user", "https://developerhub-api.contentstack.com/manifests"]
    {
        attached(&flow, &user_tokens(), url).await.unwrap();
    }
}

#[tokio::test]
async fn an_install_without_state_has_its_own_method() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let callback = "code=code-canary&location=AZURE_EU&region=AZURE_EU&installation_uid=bltINSTALL";
    let response = AuthorizationResponse::from_query(callback).unwrap();

    let error = flow.finish(&response, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
    assert!(http.sent().is_empty(), "finish never accepts it");

    let completed = flow.finish_install_without_state(&response).await.unwrap();
    assert_eq!(http.urls(), ["https://azure-eu-developerhub-api.contentstack.com/token"]);
    assert_eq!(ContentstackTokens::new(&completed.tokens).installation_uid(), Some("bltINSTALL"));
    assert_eq!(completed.owner, None);

    let with_state = AuthorizationResponse::from_query("code=c&state=s").unwrap();
    let error = flow.finish_install_without_state(&with_state).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_public_client_cannot_finish_an_install() {
    let http = Scripted::provider();
    let response = AuthorizationResponse::from_query("code=c&location=NA").unwrap();
    let error = flow(with(public()), &http).finish_install_without_state(&response).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(http.sent().is_empty(), "a code without secret and verifier is never sent");
}

#[tokio::test]
async fn the_user_can_be_looked_up_where_the_reply_names_none() {
    let minimal = r#"{"access_token":"AT-canary","organization_uid":"bltORG","location":"EU"}"#;
    let script = |user: &'static str, status: u16| {
        Scripted::new(move |request| {
            let is_user = request.url.path() == "/v3/user";
            Ok(if is_user { response(status, user) } else { response(200, minimal) })
        })
    };
    let http = script(r#"{"user":{"uid":"bltUSER","email":"a@b.example"}}"#, 200);
    let completed = complete_with(&flow(builder().look_up_user(), &http), "&location=EU").await.unwrap();
    assert_eq!(completed.tokens.account.as_deref(), Some("bltUSER"));
    let sent = http.sent();
    assert_eq!(sent[1].url.as_str(), "https://eu-api.contentstack.com/v3/user");
    assert_eq!(header(&sent[1], "authorization"), Some("Bearer AT-canary"));
    assert_eq!(header(&sent[1], "organization_uid"), Some("bltORG"));

    for (body, status, kind) in [
        (r#"{"user":{"uid":""}}"#, 200, ErrorKind::InvalidResponse),
        (r#"{"error_message":"no","error_code":105}"#, 401, ErrorKind::Refused),
        ("<html>", 503, ErrorKind::Unavailable),
    ] {
        let completed = complete(&flow(builder().look_up_user(), &script(body, status))).await.unwrap();
        assert_eq!(completed.after_exchange.unwrap().kind(), kind);
        assert_eq!(completed.tokens.access_token.expose(), "AT-canary", "the tokens are kept");
    }

    // Not asked for, or known already: no request.
    let http = script("{}", 200);
    assert!(complete(&flow(builder(), &http)).await.unwrap().after_exchange.is_none());
    assert_eq!(http.sent().len(), 1);
    let http = Scripted::provider();
    complete(&flow(builder().look_up_user(), &http)).await.unwrap();
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn the_manager_tells_where_to_go() {
    let manager = builder().region(Region::GcpEu).build().unwrap();
    assert_eq!(manager.region(), Region::GcpEu);
    assert_eq!(manager.install_url().as_str(), "https://gcp-eu-app.contentstack.com/apps/app-uid/install");
    assert_eq!(manager.management_api(&tokens(&[])), "https://gcp-eu-api.contentstack.com");
    assert_eq!(manager.management_api(&user_tokens()), "https://api.contentstack.io");
    assert_eq!(manager.provider().quirks().refresh_policy.margin, Some(60));
    assert!(manager.provider().endpoints().introspection_endpoint.is_some());
}

#[tokio::test]
async fn h1_no_secret_in_debug_or_errors() {
    // A server that repeats what it was sent.
    let repeat = |request: &HttpRequest| {
        let mut sent = form(request);
        let verifier = sent.remove("code_verifier");
        let sent = sent.into_values().filter(|value| value.contains("canary")).chain(verifier);
        let sent: Vec<String> = sent.collect();
        Ok(response(400, &format!(r#"{{"message":"{} are wrong"}}"#, sent.join(" and "))))
    };
    let manager = builder().api_key("key-canary").organization_uid("org-canary").build().unwrap();
    let mut shown = format!("{manager:?}");
    let http = Scripted::new(repeat);
    let failing = Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap();
    let exchange = complete(&failing).await.unwrap_err();
    let refresh = failing.refresh(&user_tokens()).await.unwrap_err();
    let leaky = r#"{"error_message":"AT-canary is no token","error_code":105}"#;
    let revoke = flow(builder(), &Scripted::always(401, leaky)).revoke(&user_tokens()).await.unwrap_err();
    for error in [&exchange, &refresh, &revoke] {
        let source = std::error::Error::source(error).map(|source| format!("{source} {source:?}"));
        shown += &format!("{error} {error:?} {source:?} {:?}", error.body_prefix());
    }
    let completed = complete(&flow(builder(), &Scripted::provider())).await.unwrap();
    shown += &format!("{failing:?} {completed:?}");
    for secret in ["AT-canary", "RT-canary", "code-canary", "secret-canary", "key-canary", "org-canary"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(exchange.to_string().contains("[redacted] and [redacted] are wrong"), "{exchange}");
    assert_eq!(exchange.operation(), Some(Operation::Exchange));
    let exchange = complete(&flow(with(public()), &Scripted::new(repeat))).await.unwrap_err();
    assert!(exchange.to_string().contains("[redacted] and [redacted] are wrong"), "{exchange}");
}

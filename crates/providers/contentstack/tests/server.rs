//! The flow over a real socket, against a mock server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::rfc::Revocation;
use authflow_core::{
    Delivery, Flow, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, async_trait,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use httpmock::Method::{DELETE, GET, POST};
use httpmock::MockServer;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{CALLBACK, LIST_REPLY, USER_REPLY, attached, complete_with, public, with};

/// The least that speaks HTTP.
#[derive(Debug)]
struct Wire;

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let mut wire = http::Request::new(Full::new(Bytes::from(request.body)));
        *wire.method_mut() = request.method;
        *wire.uri_mut() = request.url.as_str().parse().unwrap();
        *wire.headers_mut() = request.headers;
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(wire).await;
        let answer = answer.map_err(|_| HttpError::new(HttpErrorKind::Transport, Delivery::Unknown))?;
        let (head, body) = answer.into_parts();
        let mut response = HttpResponse::new(head.status, body.collect().await.unwrap().to_bytes());
        response.headers = head.headers;
        Ok(response)
    }
}

#[tokio::test]
async fn the_whole_journey() {
    let server = MockServer::start_async().await;
    let exchange = server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/token")
                .form_urlencoded_tuple("grant_type", "authorization_code")
                .form_urlencoded_tuple("client_id", "client-id")
                .form_urlencoded_tuple("code", "code-canary")
                .form_urlencoded_tuple("redirect_uri", CALLBACK)
                .form_urlencoded_tuple_exists("code_verifier")
                .form_urlencoded_tuple_missing("client_secret");
            then.status(200).header("content-type", "application/json").body(USER_REPLY);
        })
        .await;
    let refresh = server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/token")
                .form_urlencoded_tuple("grant_type", "refresh_token")
                .form_urlencoded_tuple("refresh_token", "RT-canary")
                .form_urlencoded_tuple("redirect_uri", CALLBACK)
                .form_urlencoded_tuple_missing("code_verifier")
                .header_missing("authorization");
            then.status(200).body(r#"{"access_token":"AT-two","expires_in":3600}"#);
        })
        .await;
    let user = server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/v3/user")
                .header("authorization", "Bearer AT-two")
                .header("organization_uid", "bltORG");
            then.status(200).body(r#"{"user":{"uid":"bltUSER"}}"#);
        })
        .await;
    let list = server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/manifests/app-uid/authorizations")
                .header("authorization", "Bearer AT-two")
                .header("organization_uid", "bltORG");
            then.status(200).body(LIST_REPLY);
        })
        .await;
    let delete = server
        .mock_async(|when, then| {
            when.method(DELETE).path("/manifests/app-uid/authorizations/AUTH1");
            then.status(200).body("{}");
        })
        .await;

    let manager = with(public()).endpoints_at(server.base_url()).build().unwrap();
    let flow = Flow::builder(manager).http_client(Wire).build().unwrap();
    let tokens = complete_with(&flow, "&location=EU").await.unwrap().tokens;
    let tokens = flow.refresh(&tokens).await.unwrap();
    assert_eq!(tokens.refresh_token.as_ref().unwrap().expose(), "RT-canary");
    let request = attached(&flow, &tokens, &server.url("/v3/user")).await.unwrap();
    assert_eq!(Wire.send(request, &Limits::default()).await.unwrap().status, 200);
    assert_eq!(flow.revoke(&tokens).await.unwrap(), Revocation::Revoked);
    for mock in [exchange, refresh, user, list, delete] {
        mock.assert_async().await;
    }
}

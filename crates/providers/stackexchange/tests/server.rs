//! The flow over a real socket, against a mock server that answers as the documentation says: the API always compressed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};

use authflow_core::rfc::Revocation;
use authflow_core::{
    Delivery, Flow, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, async_trait,
};
use authflow_stackexchange::{TokenEndpoint, User, Wrapper};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full};
use httpmock::Method::{GET, POST};
use httpmock::MockServer;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{CALLBACK, ME_REPLY, builder, complete};
use url::Url;

/// The least that speaks HTTP and decodes gzip.
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
        let mut body = body.collect().await.unwrap().to_bytes().to_vec();
        if head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
            let mut decoded = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
            body = decoded;
        }
        let mut response = HttpResponse::new(head.status, body);
        response.headers = head.headers;
        Ok(response)
    }
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn flow(server: &MockServer, endpoint: TokenEndpoint) -> Flow {
    let manager = builder().endpoints_at(server.base_url()).token_endpoint(endpoint).build().unwrap();
    Flow::builder(manager).http_client(Wire).build().unwrap()
}

#[tokio::test]
async fn the_whole_journey() {
    for (endpoint, path, content_type, body) in [
        (
            TokenEndpoint::Json,
            "/oauth/access_token/json",
            "application/json; charset=utf-8",
            r#"{"access_token":"AT))","expires":86400}"#,
        ),
        (
            TokenEndpoint::Form,
            "/oauth/access_token",
            "application/x-www-form-urlencoded",
            "access_token=AT%29%29&expires=86400",
        ),
    ] {
        let server = MockServer::start_async().await;
        let token = server
            .mock_async(|when, then| {
                when.method(POST)
                    .path(path)
                    .form_urlencoded_tuple("client_id", "12345")
                    .form_urlencoded_tuple("client_secret", "secret-canary")
                    .form_urlencoded_tuple("code", "code-canary")
                    .form_urlencoded_tuple("redirect_uri", CALLBACK)
                    .form_urlencoded_tuple_exists("code_verifier");
                then.status(200).header("content-type", content_type).body(body);
            })
            .await;
        let me = server
            .mock_async(|when, then| {
                when.method(GET)
                    .path("/2.3/me")
                    .query_param("access_token", "AT))")
                    .query_param("key", "key-canary")
                    .query_param("site", "stackoverflow");
                then.status(200)
                    .header("content-type", "application/json; charset=utf-8")
                    .header("content-encoding", "gzip")
                    .body(gzip(ME_REPLY));
            })
            .await;
        let invalidate = server
            .mock_async(|when, then| {
                when.method(GET).path("/2.3/access-tokens/AT))/invalidate").query_param("key", "key-canary");
                then.status(200)
                    .header("content-encoding", "gzip")
                    .body(gzip(r#"{"items":[{"access_token":"AT))"}]}"#));
            })
            .await;

        let flow = flow(&server, endpoint);
        let completed = complete(&flow, &["read_inbox"]).await.unwrap();
        assert!(completed.after_exchange.is_none(), "{:?}", completed.after_exchange);
        assert_eq!(completed.tokens.account.as_deref(), Some("4711"));

        let mut request = HttpRequest::get(Url::parse(&server.url("/2.3/me")).unwrap());
        flow.authenticate(&completed.tokens, &mut request).await.unwrap();
        let answer = Wire.send(request, &Limits::default()).await.unwrap();
        let users: Wrapper<User> = Wrapper::read(&answer).unwrap();
        assert_eq!(users.items[0].user_id, Some(42));

        assert_eq!(flow.revoke(&completed.tokens).await.unwrap(), Revocation::Revoked);
        token.assert_async().await;
        me.assert_calls_async(2).await;
        invalidate.assert_async().await;
    }
}

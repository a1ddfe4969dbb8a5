//! The routes, and what a request and an answer are in axum and in authflow-web.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use authflow_web::{Accounts, ClientAddress};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::any;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;

/// The routes of `accounts`: its page, and connect, callback and disconnect of each provider.
///
/// The paths are whole, `/auth/stackexchange/connect` where the public URL is `https://app.example/auth`: *merge* the router
/// into the application's own, and put the layer of the application's session around both. A path under the same base that is
/// none of these stays the application's.
///
/// Flows of people who are not signed in are counted by their address. It comes from the server
/// ([`Router::into_make_service_with_connect_info`]`::<SocketAddr>()`), or, behind a proxy, from a layer of the application's
/// that puts a [`ClientAddress`] into the request's extensions; that one counts.
pub fn router<S>(accounts: Accounts) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let base = accounts.base();
    let pages =
        if base.is_empty() { vec!["/".to_owned()] } else { vec![base.to_owned(), format!("{base}/")] };
    let providers = accounts.connections().providers().filter_map(|id| {
        let connect = accounts.connect_path(id, None);
        Some(format!("{}{{action}}", connect.strip_suffix("connect")?))
    });
    let paths: Vec<String> = pages.into_iter().chain(providers).collect();
    let route = any(move |request: Request| answer(&accounts, request));
    paths.iter().fold(Router::new(), |router, path| router.route(path, route.clone()))
}

fn answer(accounts: &Accounts, request: Request) -> impl Future<Output = Response> + Send + use<> {
    let (mut parts, body) = request.into_parts();
    name_client(&mut parts);
    // On the heap: axum moves its own futures about, which are as large as what is in them.
    let answer: Pin<Box<dyn Future<Output = http::Response<Bytes>> + Send>> = if body.is_end_stream() {
        Box::pin(accounts.handle(http::Request::from_parts(parts, Bytes::new())))
    } else {
        Box::pin(answer_with_body(accounts.clone(), parts, body))
    };
    async { answer.await.map(Body::from) }
}

async fn answer_with_body(accounts: Accounts, parts: Parts, body: Body) -> http::Response<Bytes> {
    match read(body, accounts.max_body()).await {
        Ok(body) => accounts.handle(http::Request::from_parts(parts, body)).await,
        // The client went away, or what it sent is not HTTP: hardly anybody reads the answer.
        Err(_) => {
            let mut answer = http::Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            *answer.headers_mut() = accounts.headers_of_error(&HeaderMap::new());
            answer
        }
    }
}

/// Says where the request comes from, unless a layer of the application's has.
fn name_client(parts: &mut Parts) {
    if parts.extensions.get::<ClientAddress>().is_some() {
        return;
    }
    let extensions = &parts.extensions;
    // axum's own extractor of the address waits, for nothing.
    let of_server = extensions.get().map(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address);
    let of_test = || extensions.get().map(|MockConnectInfo(address): &MockConnectInfo<SocketAddr>| *address);
    if let Some(address) = of_server.or_else(of_test) {
        // A socket of both families shows an IPv4 client as an IPv6 address, and all of those in one network.
        parts.extensions.insert(ClientAddress(address.ip().to_canonical()));
    }
}

/// The body, as long as it is at most `max` bytes; of a longer one as much as shows that it is.
async fn read(mut body: Body, max: usize) -> Result<Bytes, axum::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > max {
            break;
        }
    }
    Ok(read.freeze())
}

//! C5: no redirect takes a token to another origin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "a part is used")]
#[path = "../../../reqwest/tests/common/server.rs"]
mod server;
#[path = "../../tower/tests/support/mod.rs"]
mod support;
#[allow(dead_code, unreachable_pub, reason = "a part is used")]
#[path = "../../../reqwest/tests/common/tls.rs"]
mod tls;

use authflow_core::{Error, ErrorKind, HttpError, HttpErrorKind};
use authflow_reqwest_middleware::{ConnectionMiddleware, connection_error};
use authflow_testkit::{AuthorizationServer, Endpoint, Entry, Fault, LeakDetector, Personality};
use http::StatusCode;
use reqwest::{Certificate, Client, Proxy};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use server::{answer, serve};
use support::World;
use tls::Ca;
use tokio::io::AsyncWriteExt as _;

const PERSONALITIES: [Personality; 3] =
    [Personality::Rfc, Personality::StackExchange, Personality::Contentstack];

fn middleware(world: &World) -> ConnectionMiddleware {
    ConnectionMiddleware::new(world.connections.clone(), world.key.clone())
}

/// As reqwest is where nobody says otherwise.
fn following(middleware: ConnectionMiddleware) -> ClientWithMiddleware {
    ClientBuilder::new(Client::builder().no_proxy().build().unwrap()).with(middleware).build()
}

fn redirect(world: &World, status: u16, location: Option<String>) {
    world.server.fault_next(Endpoint::Resource, Fault::Redirect { status, location });
}

async fn elsewhere() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

/// Everything of a request that could hold a token.
fn text(entry: &Entry) -> String {
    format!("{:?} {:?} {:?} {}", entry.headers(), entry.query(), entry.form(), entry.path())
}

#[tokio::test]
async fn c5_a_client_of_ours_follows_no_redirect() {
    for personality in PERSONALITIES {
        let world = World::of(personality).await;
        let other = elsewhere().await;
        let client = middleware(&world).client(Client::builder().no_proxy()).unwrap();
        for status in [301, 302, 303, 307, 308] {
            for location in [Some(other.resource_url()), None] {
                redirect(&world, status, location);
                let response = client.get(world.api()).send().await.unwrap();
                assert_eq!(response.status().as_u16(), status);
            }
        }
        assert!(other.ledger().is_empty());
        assert_eq!(world.server.ledger().count(Endpoint::Other), 0);
    }
}

/// What reqwest does not take away from a redirect is not given to a client that may follow one.
#[tokio::test]
async fn c5_a_client_that_may_follow_redirects_gets_a_token_in_its_header_only() {
    for personality in [Personality::StackExchange, Personality::Contentstack] {
        let world = World::of(personality).await;
        let other = elsewhere().await;
        redirect(&world, 302, Some(other.resource_url()));
        let error = following(middleware(&world)).get(world.api()).send().await.unwrap_err();
        assert_eq!(connection_error(&error).unwrap().kind(), ErrorKind::Configuration);
        assert!(world.requests().is_empty());
        assert!(other.ledger().is_empty());
    }
}

/// reqwest takes the Authorization header away; and what another origin answers costs no token.
#[tokio::test]
async fn c5_a_redirect_to_another_origin_goes_without_the_token() {
    let world = World::rfc().await;
    let other = elsewhere().await;
    let leaks = LeakDetector::new();
    leaks.plant("access token", world.token().await);
    for status in [301, 302, 303, 307, 308] {
        redirect(&world, status, Some(other.resource_url()));
        let response = following(middleware(&world)).get(world.api()).send().await.unwrap();
        assert_eq!(
            (response.status(), response.url().as_str()),
            (StatusCode::UNAUTHORIZED, &*other.resource_url())
        );
    }
    for entry in other.ledger().entries() {
        assert_eq!(entry.header("authorization"), None);
        leaks.scan(text(&entry));
    }
    leaks.assert_clean();
    assert_eq!(other.ledger().len(), 5);
    assert_eq!(world.refreshes(), 0);
    assert_eq!(world.requests().len(), 5);
}

/// The scheme is a part of the origin: the same host and port without TLS are another one.
#[tokio::test]
async fn c5_a_redirect_to_another_scheme_goes_without_the_token() {
    let world = World::rfc().await;
    let ca = Ca::new();
    let acceptor = ca.acceptor("api.example", |_| {});
    let proxy = serve(move |seen, mut stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if !seen.request(&mut stream).await.unwrap().starts_with("CONNECT ") {
                return stream.write_all(&answer(401, "", b"")).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            seen.request(&mut stream).await.unwrap();
            let location = "Location: http://api.example:443/elsewhere\r\n";
            stream.write_all(&answer(307, location, b"")).await.unwrap();
        }
    })
    .await;
    let client = Client::builder()
        .proxy(Proxy::all(proxy.url("")).unwrap())
        .tls_certs_only([Certificate::from_pem(ca.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let client = ClientBuilder::new(client).with(middleware(&world)).build();
    let response = client.get("https://api.example/me").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let token = world.token().await;
    let [_, first, second] = proxy.texts().try_into().unwrap();
    assert!(first.starts_with("GET /me ") && first.contains(&token));
    assert!(second.starts_with("GET http://api.example:443/elsewhere ") && !second.contains(&token));
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_origin_goes_with_the_token() {
    let world = World::rfc().await;
    redirect(&world, 307, None);
    let response = following(middleware(&world)).get(world.api()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.url().as_str().ends_with("/elsewhere"));
    let entry = world.server.ledger().of(Endpoint::Other).pop().unwrap();
    assert_eq!(entry.header("authorization"), Some(&*format!("Bearer {}", world.token().await)));
}

/// A client that follows redirects, although it was said that it does not.
#[tokio::test]
async fn c5_a_redirect_that_was_followed_against_the_word_is_an_error() {
    for personality in PERSONALITIES {
        let world = World::of(personality).await;
        let other = elsewhere().await;
        let leaks = LeakDetector::new();
        leaks.plant("access token", world.token().await);
        let client = following(middleware(&world).client_follows_no_redirects());
        for location in [Some(other.resource_url()), None] {
            redirect(&world, 302, location);
            let error = client.get(world.api()).send().await.unwrap_err();
            leaks.scan_error("the error", &error);
            let error = connection_error(&error).unwrap();
            assert_eq!(
                (error.kind(), error.provider()),
                (ErrorKind::Configuration, Some(world.key.provider_id()))
            );
            assert_eq!(source(error), HttpErrorKind::Redirected);
        }
        leaks.assert_clean();
        assert_eq!(world.refreshes(), 0);
    }
}

fn source(error: &Error) -> HttpErrorKind {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<HttpError>().unwrap().kind()
}

/// What the rule is for: this is how reqwest would take them along.
#[tokio::test]
async fn c5_reqwest_takes_queries_and_headers_to_another_origin() {
    for personality in [Personality::StackExchange, Personality::Contentstack] {
        let world = World::of(personality).await;
        let other = elsewhere().await;
        redirect(&world, 302, Some(other.resource_url()));
        let client = following(middleware(&world).client_follows_no_redirects());
        client.get(world.api()).send().await.unwrap_err();
        let entry = other.ledger().last().unwrap();
        match personality {
            Personality::StackExchange => {
                assert!(entry.header("referer").unwrap().contains(&world.token().await));
            }
            _ => assert_eq!(entry.header("organization_uid"), Some("planted-organization")),
        }
    }
}

#[tokio::test]
async fn a_word_that_is_kept_costs_nothing() {
    for personality in PERSONALITIES {
        let world = World::of(personality).await;
        let client = following(middleware(&world).client_follows_no_redirects());
        for url in [world.api(), format!("{}?a=%20b&c=d+e#fragment", world.api())] {
            let response = client.get(&url).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}

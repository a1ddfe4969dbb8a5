//! `authflow demo` with a server that is not the demo's own.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write as _;

use authflow_testkit::{AuthorizationServer, Client, Endpoint, LeakDetector};
use support::page::{Decision, DemoPage};
use support::{command, run};
use tokio::process::Command;

const SECRET: &str = "planted-2YotnFZFEjr1zCsicMWpAA";

/// A server that knows the page as a client with a secret.
async fn server() -> AuthorizationServer {
    let client = Client::post("demo-of-mine", SECRET).redirect_uri("http://127.0.0.1/accounts/own/callback");
    AuthorizationServer::builder().client(client).start().await.unwrap()
}

fn registered(arguments: &[&str]) -> Command {
    let client = [
        "--client-id",
        "demo-of-mine",
        "--client-secret-env",
        "AUTHFLOW_TEST_SECRET",
        "--client-auth",
        "post",
    ];
    let mut command = command(&[&["demo", "--no-browser"], arguments, &client].concat());
    command.env("AUTHFLOW_TEST_SECRET", SECRET);
    command
}

/// By its endpoints, as `login` takes them.
fn by_endpoints(server: &AuthorizationServer) -> Command {
    let (authorization, token) = (server.authorization_endpoint(), server.token_endpoint());
    let revocation = server.revocation_endpoint();
    registered(&[
        "--authorization-endpoint",
        &authorization,
        "--token-endpoint",
        &token,
        "--revocation-endpoint",
        &revocation,
        "--scope",
        "read",
        "--scope",
        "offline_access",
    ])
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What a server gave out, and what it was sent that only a secret can be.
fn plant(leaks: &LeakDetector, server: &AuthorizationServer) {
    leaks.plant("client secret", SECRET);
    for entry in server.ledger().entries() {
        for issued in entry.issued() {
            leaks.plant("issued", issued.value());
        }
        for (name, value) in entry.query().iter().chain(entry.form()) {
            if ["code_verifier", "state", "nonce"].contains(&&**name) {
                leaks.plant(name, value.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn h1_a_server_of_ones_own_is_connected_refreshed_and_disconnected_without_a_secret_shown() {
    let server = server().await;
    let page = DemoPage::of(by_endpoints(&server)).await;
    let card = page.card("own").await;
    let redirect_uri = format!("http://{}/accounts/own/callback", page.authority);
    assert!(card.contains("Your own server") && card.contains(&redirect_uri), "{card}");
    let from = page.revision().await;
    page.connect("own").await;
    let (from, said) =
        page.said(from, &["Connect: ", "code_challenge", "Tokens. They stay", "Connected: "]).await;
    page.shows_no_token(&said);
    // What only the server itself knows is not told.
    for unknown in ["records", "GET /authorize", "consent", "The user approves"] {
        assert!(!said.contains(unknown), "{unknown}: {said}");
    }

    // Where the token is used is not known.
    let card = page.card("own").await;
    assert!(card.contains("data-until=\"") && !card.contains("Call the API"), "{card}");
    page.post("/demo/call", "provider=own").await;
    let (from, _) = page.said(from, &["userinfo_endpoint"]).await;

    assert_eq!(page.post("/demo/refresh", "provider=own").await.status, 303);
    let (from, said) = page.said(from, &["<h3>Refresh</h3>", "Refreshed: "]).await;
    page.shows_no_token(&said);
    assert!(page.card("own").await.contains("last refreshed"));

    // Faults are for the demo's own servers.
    assert_eq!(page.post("/demo/fault", "provider=own&preset=refused-token").await.status, 400);
    let shown = page.get("/").await.body;
    assert!(!shown.contains("preset-own") && shown.contains("preset-rfc"), "{shown}");

    page.post("/accounts/own/disconnect", "return_to=%2F").await;
    page.said(from, &["Disconnect: ", "the provider has revoked the tokens"]).await;
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    assert_eq!(server.ledger().count(Endpoint::Revocation), 1);
    plant(&page.leaks, &server);
    page.get("/").await;
    page.leaks.assert_clean();
}

#[tokio::test]
async fn a_server_of_ones_own_that_a_file_describes_is_called_at_its_userinfo_endpoint() {
    let server = server().await;
    let file = file(&format!(
        "id = 'rfc'\nname = '<b>Mine</b>'\ndefault_scopes = ['read']\n[endpoints]\nissuer = '{}'\n\
         authorization_endpoint = '{}'\ntoken_endpoint = '{}'\nuserinfo_endpoint = '{}'\n",
        server.issuer(),
        server.authorization_endpoint(),
        server.token_endpoint(),
        server.resource_url(),
    ));
    let page = DemoPage::of(registered(&[file.path().to_str().unwrap()])).await;
    let shown = page.get("/").await.body;
    assert!(shown.contains("&lt;b&gt;Mine&lt;/b&gt;") && !shown.contains("<b>Mine"), "{shown}");
    let from = page.revision().await;
    page.connect("own").await;
    page.post("/demo/call", "provider=own").await;
    let (_, said) =
        page.said(from, &["State, cookie and iss", "The API believes the token", "what it asked for"]).await;
    page.shows_no_token(&said);
    // Whatever id the file has, it is not taken for the demo's own server of that name.
    assert!(page.card("rfc").await.contains("Not connected"));
    assert_eq!(page.visit("rfc", Decision::Approve).await.status, 303);
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn the_page_is_where_the_registered_redirect_uri_is() {
    let server = server().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = by_endpoints(&server);
    command.arg("--redirect-uri").arg(format!("http://127.0.0.1:{port}/accounts/own/callback"));
    let ended = support::finish(command).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--redirect-uri"), "{ended:?}");
    let mut command = by_endpoints(&server);
    command.args(["--redirect-uri", "http://127.0.0.1:0/accounts/own/callback"]);
    DemoPage::of(command).await.connect("own").await;
}

async fn teaches(arguments: &[&str], lessons: &[&str]) {
    let ended = run(&[&["demo"], arguments].concat()).await;
    assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    let text = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for lesson in lessons {
        assert!(text.contains(lesson), "{arguments:?} should mention {lesson:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_said_with_what_does() {
    let endpoints =
        ["--authorization-endpoint", "https://as.example/a", "--token-endpoint", "https://as.example/t"];
    let known = [&endpoints[..], &["--client-id", "a"]].concat();
    teaches(&["--client-id", "a"], &["--authorization-endpoint", "a file"]).await;
    teaches(&endpoints, &["--client-id"]).await;
    teaches(&endpoints[2..], &["--authorization-endpoint", "--client-id"]).await;
    teaches(&[&known[..], &["--headless"]].concat(), &["--headless", "the page"]).await;
    for uri in [
        "https://127.0.0.1:1/accounts/own/callback",
        "http://localhost:1/accounts/own/callback",
        "http://127.0.0.1/accounts/own/callback",
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:99999/accounts/own/callback",
    ] {
        let lesson = "http://127.0.0.1:PORT/accounts/own/callback";
        teaches(&[&known[..], &["--redirect-uri", uri]].concat(), &["--redirect-uri", lesson]).await;
    }
}

#[tokio::test]
async fn form_post_from_another_site_is_refused_before_anybody_is_sent_there() {
    for (authorization, is_possible) in [
        ("https://as.example/a", false),
        ("https://127.0.0.1:7/a", false),
        ("http://[::1]:7/a", false),
        ("http://127.0.0.1:7/a", true),
    ] {
        let file = file(&format!(
            "id = 'a'\n[endpoints]\nauthorization_endpoint = '{authorization}'\ntoken_endpoint = 'https://as.example/t'\n\
             [quirks.authorization_response]\nresponse_mode = 'form_post'\n"
        ));
        let arguments = [file.path().to_str().unwrap(), "--client-id", "a"];
        if is_possible {
            DemoPage::open(&arguments).await;
        } else {
            teaches(&arguments, &["form_post", "not Secure", "http://127.0.0.1"]).await;
        }
    }
}

//! `authflow login`.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write as _;

use authflow_testkit::{AuthorizationServer, Client, Endpoint, Fault, Outcome, ScriptedUser};
use serde_json::Value;
use support::{Running, arguments, command, deliver, parameter, provider, run};

async fn server() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

/// Approves and delivers, as a browser does.
async fn approve(url: &str) -> String {
    let user = ScriptedUser::new();
    let callback = user.approve(url).await.unwrap();
    deliver(&callback).await.body().to_owned()
}

#[tokio::test]
async fn json_has_the_tokens_that_the_server_issued() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let more = ["--no-browser", "--json", "--scope", "read", "--scope", "email", "--param", "prompt=consent"];
    let mut running = Running::start(&arguments("login", &provider, &more));
    let url = running.url().await;
    assert_eq!(parameter(&url, "scope"), "read email");
    assert_eq!(parameter(&url, "prompt"), "consent");
    assert_eq!(parameter(&url, "code_challenge_method"), "S256");
    let page = approve(&url).await;
    assert!(page.contains("Connected"), "{page}");

    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let issued = server.ledger().token_requests().pop().unwrap();
    let json = ended.json();
    assert_eq!(json["access_token"].as_str(), issued.access_token());
    assert_eq!(json["refresh_token"].as_str(), issued.refresh_token());
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["scope"], "read email");
    assert!(json["expires_at"].is_u64(), "{json}");
    assert!(json["extra"].is_object(), "{json}");
    assert_eq!(json.as_object().unwrap().len(), 6);
    assert_eq!(ended.stdout.lines().count(), 1);
}

#[tokio::test]
async fn scopes_that_were_not_granted_are_named() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    for (is_less, told) in [(false, false), (true, true)] {
        if is_less {
            server.fault_next(Endpoint::Token, Fault::OtherScope);
        }
        let more = ["--no-browser", "--no-save", "--scope", "read", "--scope", "email"];
        let mut running = Running::start(&arguments("login", &provider, &more));
        let url = running.url().await;
        approve(&url).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            ended.stderr.contains("Not granted of what was asked for: read email."),
            told,
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn h1_tokens_are_masked_by_default() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser"]));
    let url = running.url().await;
    approve(&url).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("access token") && ended.stdout.contains("****"), "{}", ended.stdout);
    for entry in server.ledger().entries() {
        for issued in entry.issued() {
            assert!(
                !ended.stdout.contains(issued.value()) && !ended.stderr.contains(issued.value()),
                "{ended:?}"
            );
        }
    }
}

#[tokio::test]
async fn h3_a_secret_comes_from_the_environment_and_goes_where_it_belongs() {
    let server = server().await;
    for (client, how) in [(server.basic_client(), "basic"), (server.post_client(), "post")] {
        let secret = client.secret().unwrap();
        let provider = provider(&server, client);
        let more = ["--no-browser", "--json", "--client-secret-env", "A_CLIENT_SECRET", "--client-auth", how];
        let mut command = command(&arguments("login", &provider, &more));
        command.env("A_CLIENT_SECRET", secret);
        let mut running = Running::of(command);
        let url = running.url().await;
        approve(&url).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(0), "{how}: {ended:?}");
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
        let request = server.ledger().token_requests().pop().unwrap();
        assert_eq!(request.form_value("client_secret"), (how == "post").then_some(secret));
        assert_eq!(request.header("authorization").is_some(), how == "basic");
    }
}

#[tokio::test]
async fn a_file_describes_a_provider() {
    let server = server().await;
    let endpoints = (server.authorization_endpoint(), server.token_endpoint());
    let toml = format!(
        "id = \"mine\"\ndefault_scopes = [\"profile\"]\n[endpoints]\nauthorization_endpoint = \"{}\"\ntoken_endpoint = \"{}\"\n",
        endpoints.0, endpoints.1
    );
    let json = format!(
        "{{\"id\":\"mine\",\"default_scopes\":[\"profile\"],\"endpoints\":{{\"authorization_endpoint\":\"{}\",\
         \"token_endpoint\":\"{}\"}}}}",
        endpoints.0, endpoints.1
    );
    for (ending, text) in [(".toml", &toml), (".json", &json), ("", &toml), ("", &json)] {
        let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let id = server.public_client().id();
        let mut running = Running::start(&["login", path, "--client-id", id, "--no-browser", "--json"]);
        let url = running.url().await;
        assert_eq!(parameter(&url, "scope"), "profile");
        approve(&url).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("Connected to mine"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_denial_is_3() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let url = running.url().await;
    let user = ScriptedUser::new();
    let callback = user.deny(&url).await.unwrap();
    let page = deliver(&callback).await;
    assert!(page.body().contains("denied"), "{}", page.body());
    let ended = running.end().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.is_empty());
}

#[tokio::test]
async fn g9_a_callback_that_does_not_come_is_4() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let ended = run(&arguments("login", &provider, &["--no-browser", "--timeout", "1"])).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("--timeout"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_refused_exchange_is_1_and_explained() {
    let server = server().await;
    server.set_fault("invalid-grant".parse().unwrap());
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let url = running.url().await;
    let page = approve(&url).await;
    assert!(page.contains("failed"), "{page}");
    let ended = running.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("kind: InvalidGrant") && ended.stderr.contains("what to do:"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.is_empty());
}

#[tokio::test]
async fn b8_a_callback_that_uses_the_state_up_ends_the_wait_also_without_a_code() {
    for fault in ["missing-code", "code-and-error"] {
        let server = server().await;
        server.set_fault(fault.parse().unwrap());
        let provider = provider(&server, server.public_client());
        let mut running = Running::start(&arguments("login", &provider, &["--no-browser"]));
        let url = running.url().await;
        approve(&url).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        assert!(ended.stderr.contains("kind: CallbackMalformed"), "{}", ended.stderr);
        assert_eq!(server.ledger().count(Endpoint::Token), 0);
    }
}

#[tokio::test]
async fn the_redirected_address_can_be_pasted() {
    let server = server().await;
    for whole in [true, false] {
        let provider = provider(&server, server.public_client());
        let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
        let url = running.url().await;
        running.line("paste:").await;
        let callback = ScriptedUser::new().approve(&url).await.unwrap();
        let query = callback.split_once('?').unwrap().1;
        running.type_line(if whole { &callback } else { query }).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.json()["access_token"].is_string());
    }
}

#[tokio::test]
async fn wrong_pastes_teach_and_the_wait_goes_on() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let url = running.url().await;
    running.line("paste:").await;
    for (pasted, lesson) in [
        (url.as_str(), "that is the address to open"),
        ("SplxlOBeZQQYbYS6WxSbIA", "that looks like a code alone"),
        ("http://127.0.0.1:1/other?code=a&state=b", "that is another address"),
        ("code=a&state=b", "that is not the answer to this request"),
    ] {
        running.type_line(pasted).await;
        running.line(lesson).await;
    }
    let callback = ScriptedUser::new().approve(&url).await.unwrap();
    running.type_line(&callback).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn stdin_at_its_end_is_ignored() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    drop(running.stdin.take());
    let url = running.url().await;
    approve(&url).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // So that is what a script may give it.
    let help = run(&["login", "--help"]).await.stdout;
    assert!(help.contains("`< /dev/null`"), "{help}");
}

#[tokio::test]
async fn a_redirect_uri_elsewhere_is_pasted() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let uri = "https://client.example/callback";
    let mut running =
        Running::start(&arguments("login", &provider, &["--no-browser", "--json", "--redirect-uri", uri]));
    let url = running.url().await;
    assert_eq!(parameter(&url, "redirect_uri"), uri);
    let callback = ScriptedUser::new().approve(&url).await.unwrap();
    assert!(callback.starts_with(uri), "{callback}");
    running.type_line(&callback).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_path_of_the_users_own_and_a_free_port() {
    let client = Client::public("path-client").redirect_uri("http://127.0.0.1/my/path");
    let server = AuthorizationServer::builder().client(client.clone()).start().await.unwrap();
    let provider = provider(&server, &client);
    let more = ["--no-browser", "--json", "--redirect-uri", "http://127.0.0.1:0/my/path"];
    let mut running = Running::start(&arguments("login", &provider, &more));
    let url = running.url().await;
    let uri = parameter(&url, "redirect_uri");
    assert!(uri.ends_with("/my/path") && !uri.contains(":0/"), "{uri}");
    approve(&url).await;
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn r8252_03_the_other_family_works_too() {
    if tokio::net::TcpListener::bind(("::1", 0)).await.is_err() {
        eprintln!("this machine has no IPv6 loopback address, so there is nothing to try");
        return;
    }
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let more = ["--no-browser", "--json", "--redirect-uri", "http://[::1]:0/callback"];
    let mut running = Running::start(&arguments("login", &provider, &more));
    let url = running.url().await;
    assert!(parameter(&url, "redirect_uri").starts_with("http://[::1]:"));
    approve(&url).await;
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn r9207_another_issuer_is_refused_before_anything_is_sent() {
    let server = server().await;
    server.set_fault("wrong-iss".parse().unwrap());
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser"]));
    let url = running.url().await;
    approve(&url).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("kind: IssuerMismatch"), "{}", ended.stderr);
    assert_eq!(server.ledger().count(Endpoint::Token), 0);
}

#[tokio::test]
async fn g5_a_code_of_another_flow_is_refused_by_the_server() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    // One redirect URI for both: it is the verifier alone that tells the two flows apart.
    let uri = "https://client.example/callback";
    let begin = || Running::start(&arguments("login", &provider, &["--no-browser", "--redirect-uri", uri]));
    let (mut victim, mut attacker) = (begin(), begin());
    let (own, other) = (victim.url().await, attacker.url().await);
    let stolen = parameter(&ScriptedUser::new().approve(&other).await.unwrap(), "code");
    let callback = format!("{uri}?code={stolen}&state={}&iss={}", parameter(&own, "state"), server.issuer());
    victim.type_line(&callback).await;
    let ended = victim.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let refused = server.ledger().token_requests().pop().unwrap();
    let error = "invalid_grant".to_owned();
    let reason = "code_verifier does not match the challenge".to_owned();
    assert_eq!(refused.outcome(), &Outcome::Refused { error, reason });
}

#[tokio::test]
async fn g15_two_at_once_do_not_disturb_each_other() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let begin = || Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let (mut one, mut two) = (begin(), begin());
    let (first, second) = (one.url().await, two.url().await);
    assert_ne!(parameter(&first, "redirect_uri"), parameter(&second, "redirect_uri"));
    tokio::join!(approve(&second), approve(&first));
    let (one, two) = (one.end().await, two.end().await);
    assert_eq!((one.code, two.code), (Some(0), Some(0)));
    let token = |json: Value| json["access_token"].as_str().map(str::to_owned);
    assert_ne!(token(one.json()), token(two.json()));
}

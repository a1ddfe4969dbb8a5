//! Connections that are kept, and what is told of them.

use authflow_testkit::{Endpoint, Fault, Outcome, RetryAfter};

use crate::support::{
    Running, Store, arguments, deliver, home, kept, kept_expired, kept_with, login, parameter, provider,
};
use crate::{assert_tells_no_secret, each_file, expired, server};

#[tokio::test]
async fn token_prints_the_access_token_and_nothing_else() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let issued = server.ledger().token_requests().pop().unwrap();
    let ended = store.good(&["token", "work"]).await;
    assert_eq!(ended.stdout, format!("{}\n", issued.access_token().unwrap()));
    assert_eq!(ended.stderr, "");
    // It is good still, so nobody was asked.
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_kept() {
    let (server, store) = (server().await, Store::files());
    kept_expired(&server, &store).await;
    let first = store.good(&["token", "work"]).await;
    let issued = server.ledger().token_requests().pop().unwrap();
    assert_eq!(issued.outcome(), &Outcome::RefreshUsed);
    assert_eq!(first.stdout.trim_end(), issued.access_token().unwrap());
    let second = store.good(&["token", "work"]).await;
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
}

#[tokio::test]
async fn h3_a_client_secret_is_kept_sealed_and_used() {
    let (server, store) = (server().await, Store::files());
    for (client, how) in [(server.basic_client(), "basic"), (server.post_client(), "post")] {
        server.fault_next(Endpoint::Token, expired());
        let provider = provider(&server, client);
        let more = ["--no-browser", "--client-secret-env", "A_SECRET", "--client-auth", how, "--name", how];
        let store_with = store.clone().with("A_SECRET", client.secret().unwrap());
        assert_eq!(login(&store_with, &arguments("login", &provider, &more)).await.code, Some(0));
        // The environment has it no more.
        store.good(&["token", how]).await;
        let request = server.ledger().token_requests().pop().unwrap();
        assert_eq!(request.outcome(), &Outcome::RefreshUsed);
        assert_eq!(request.header("authorization").is_some(), how == "basic");
    }
    let mut seen = 0;
    each_file(&home(), &mut |bytes| {
        seen += 1;
        let text = String::from_utf8_lossy(bytes);
        assert_tells_no_secret(&server, &text);
        assert!(!text.contains("client_secret"), "{text}");
    });
    assert!(seen >= 5, "{seen} files: two connections, two profiles, the keys");
}

#[tokio::test]
async fn without_saving_nothing_is_made() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    let ended = login(&store, &arguments("login", &provider, &["--no-browser", "--json", "--no-save"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.json()["refresh_token"].is_string());
    assert!(!home().exists());
}

#[tokio::test]
async fn a_refresh_token_with_two_owners_is_warned_of() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    let ended = login(&store, &arguments("login", &provider, &["--no-browser", "--json"])).await;
    assert!(ended.stderr.contains("--no-save"), "{}", ended.stderr);
}

#[tokio::test]
async fn f5_a_token_revoked_at_the_server_says_the_command_that_connects_again() {
    let (server, store) = (server().await, Store::files());
    kept_expired(&server, &store).await;
    assert_eq!(server.revoke_grants_of("user-1"), 1);
    for _ in 0..2 {
        let ended = store.run(&["token", "work"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.is_empty());
        assert!(ended.stderr.contains("authflow login --name work"), "{}", ended.stderr);
        assert!(ended.stderr.contains("kind: NeedsReconnect"), "{}", ended.stderr);
        assert_tells_no_secret(&server, &ended.stderr);
    }
    // The refusal is written down: the second one asked nobody.
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    let status = store.good(&["status", "--json"]).await.json();
    assert_eq!(status["connections"][0]["health"], "needs_reconnect");
    assert_eq!(status["connections"][0]["reason"], "refused");

    // The very command, and nothing else, connects again.
    let again = login(&store, &["login", "--name", "work", "--no-browser"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    let token = store.good(&["token", "work"]).await;
    let issued = server.ledger().token_requests().pop().unwrap();
    assert_eq!(token.stdout.trim_end(), issued.access_token().unwrap());
}

#[tokio::test]
async fn a_login_again_asks_for_the_same() {
    let (server, store) = (server().await, Store::files());
    let asked = ["--name", "work", "--scope", "read", "--scope", "email", "--param", "prompt=consent"];
    kept_with(&server, &store, &asked).await;
    let mut running = Running::of(store.command(&["login", "--name", "work", "--no-browser"]));
    let url = running.url().await;
    assert_eq!(parameter(&url, "scope"), "read email");
    assert_eq!(parameter(&url, "prompt"), "consent");
    let callback = authflow_testkit::ScriptedUser::new().approve(&url).await.unwrap();
    deliver(&callback).await;
    assert_eq!(running.end().await.code, Some(0));
    let other =
        store.run(&["login", "--name", "work", "--no-browser", "--scope", "write", "--timeout", "1"]).await;
    assert_eq!(other.code, Some(4), "{other:?}");
    assert!(other.stderr.contains("scope=write"), "{}", other.stderr);
}

#[tokio::test]
async fn status_is_a_table_or_json_without_tokens() {
    let (server, store) = (server().await, Store::files());
    let nothing = store.good(&["status"]).await;
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("authflow login"), "{nothing:?}");
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    kept_with(&server, &store, &["--name", "work", "--scope", "read"]).await;
    let table = store.good(&["status"]).await;
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME") && lines.len() == 2, "{}", table.stdout);
    assert!(
        lines[1].starts_with("work") && lines[1].contains("good") && lines[1].contains("read"),
        "{}",
        lines[1]
    );
    assert!(lines[1].contains("in 60 minutes") || lines[1].contains("in 59 minutes"), "{}", lines[1]);
    let json = store.good(&["status", "--json"]).await;
    let connection = json.json()["connections"][0].clone();
    assert_eq!(connection["name"], "work");
    assert_eq!(connection["provider"], "provider");
    assert_eq!(connection["health"], "good");
    assert_eq!(connection["scope"], "read");
    assert!(connection["expires_at"].is_u64() && connection["connected_at"].is_u64(), "{connection}");
    for ended in [table, json] {
        assert_tells_no_secret(&server, &format!("{}{}", ended.stdout, ended.stderr));
    }
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn the_command_that_connects_again_names_the_store() {
    let server = server().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("a b.db").display());
    let store = Store::files();
    let provider = provider(&server, server.public_client());
    server.fault_next(Endpoint::Token, expired());
    let more = ["--no-browser", "--name", "work", "--store", &url];
    let ended = login(&store, &arguments("login", &provider, &more)).await;
    assert!(ended.stderr.contains(&format!("`authflow token work --store '{url}'`")), "{}", ended.stderr);
    server.revoke_grants_of("user-1");
    let ended = store.run(&["token", "work", "--store", &url]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&format!("authflow login --name work --store '{url}'")),
        "{}",
        ended.stderr
    );
    // The environment is there for the next command too.
    let ended = Store::at(&url).run(&["token", "work"]).await;
    assert!(ended.stderr.contains("authflow login --name work\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn status_is_good_after_a_refresh_that_says_nothing_of_the_connection() {
    let (server, store) = (server().await, Store::files());
    kept_expired(&server, &store).await;
    for fault in ["invalid-client", "unavailable"] {
        server.set_fault(fault.parse().unwrap());
        let token = store.run(&["token", "work"]).await;
        assert_eq!(token.code, Some(1), "{fault}: {token:?}");
        let status = store.good(&["status"]).await;
        assert!(status.stdout.contains("good") && status.stdout.contains("over"), "{fault}: {status:?}");
    }
}

#[tokio::test]
async fn f20_status_tells_until_when_the_provider_is_not_asked() {
    let (server, store) = (server().await, Store::files());
    kept_expired(&server, &store).await;
    let status = async || store.good(&["status", "--json"]).await.json()["connections"][0].clone();
    assert!(status().await["paused_until"].is_null());
    server.set_fault(Fault::Unavailable(RetryAfter::Seconds(3000)));
    let token = store.run(&["token", "work"]).await;
    assert_eq!(token.code, Some(1), "{token:?}");
    let told = status().await;
    let until = told["paused_until"].as_u64().expect("a time");
    let since = told["connected_at"].as_u64().unwrap();
    assert!((2999..=3300).contains(&(until - since)), "{told}");
    let table = store.good(&["status"]).await.stdout;
    assert!(table.contains("good, refreshes in ") && table.contains(" minutes"), "{table}");
}

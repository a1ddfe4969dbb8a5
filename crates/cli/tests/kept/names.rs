//! What a connection is kept under.

use authflow::{Page, TokenStore as _, User};
use authflow_file::FileTokenStore;
use authflow_testkit::{Endpoint, ScriptedUser};

use crate::server;
use crate::support::{Running, Store, arguments, deliver, described, home, kept, kept_with, login, provider};

#[tokio::test]
async fn the_default_name_is_the_providers_id() {
    let (server, store) = (server().await, Store::files());
    let ended = kept_with(&server, &store, &[]).await;
    assert!(ended.stderr.contains("`authflow token provider`"), "{}", ended.stderr);
    store.good(&["token", "provider"]).await;
}

#[tokio::test]
async fn an_unknown_name_lists_the_known_ones() {
    let (server, store) = (server().await, Store::files());
    for command in
        [&["token", "wrok"][..], &["logout", "wrok"], &["request", "wrok", "GET", "https://a.example/"]]
    {
        let nothing = store.run(command).await;
        assert_eq!(nothing.code, Some(2), "{nothing:?}");
        assert!(nothing.stderr.contains("authflow login"), "{}", nothing.stderr);
    }
    assert!(!home().exists(), "asking makes nothing");
    kept(&server, &store).await;
    for command in [&["token", "wrok"][..], &["logout", "wrok"], &["login", "--name", "wrok"]] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("There is: work"), "{}", ended.stderr);
        assert!(ended.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_name_that_is_empty_is_no_name() {
    let store = Store::files();
    for command in [&["token", ""][..], &["logout", ""], &["request", "", "GET", "https://a.example/"]] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(2), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains("a value is required for"), "{command:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_name_of_another_registration_is_not_taken_away() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let provider = provider(&server, server.post_client());
    let secret = server.post_client().secret().unwrap();
    let more = ["--no-browser", "--client-secret-env", "A_SECRET", "--name", "work"];
    let ended = store.clone().with("A_SECRET", secret).run(&arguments("login", &provider, &more)).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for lesson in ["--name", "authflow logout work", "public-client", "post-client"] {
        assert!(ended.stderr.contains(lesson), "{lesson}: {}", ended.stderr);
    }
    store.good(&["token", "work"]).await;
}

#[tokio::test]
async fn g15_a_name_that_is_taken_while_its_user_approves_is_not_taken_away() {
    let (server, store) = (server().await, Store::files());
    let (first, second) =
        (provider(&server, server.public_client()), provider(&server, server.post_client()));
    let named = ["--no-browser", "--name", "work"];
    let mut winner = Running::of(store.command(&arguments("login", &first, &named)));
    let more = [&named[..], &["--client-secret-env", "A_SECRET", "--client-auth", "post"]].concat();
    let with_secret = store.clone().with("A_SECRET", server.post_client().secret().unwrap());
    let mut loser = Running::of(with_secret.command(&arguments("login", &second, &more)));
    // Both found the name free.
    let (own, other) = (winner.url().await, loser.url().await);
    deliver(&ScriptedUser::new().approve(&own).await.unwrap()).await;
    let won = winner.end().await;
    assert_eq!(won.code, Some(0), "{won:?}");
    let kept = server.ledger().token_requests().pop().unwrap();

    let page = deliver(&ScriptedUser::new().approve(&other).await.unwrap()).await;
    assert!(page.body().contains("failed"), "{}", page.body());
    let lost = loser.end().await;
    assert_eq!(lost.code, Some(2), "{lost:?}");
    for part in ["taken meanwhile", "public-client", "post-client", "--name"] {
        assert!(lost.stderr.contains(part), "{part}: {lost:?}");
    }
    assert!(lost.stdout.is_empty() && !lost.stderr.contains("the application"), "{lost:?}");
    let given = server.ledger().token_requests().pop().unwrap();
    let back = server.ledger().of(Endpoint::Revocation).pop().expect("the tokens go back");
    assert_eq!(back.form_value("token"), given.refresh_token());
    let token = store.good(&["token", "work"]).await;
    assert_eq!(token.stdout.trim_end(), kept.access_token().unwrap());
}

#[tokio::test]
async fn a_default_name_that_is_taken_gets_a_number() {
    let store = Store::files();
    for name in ["provider", "provider-2", "provider-3"] {
        let server = server().await;
        for _ in 0..2 {
            let ended = kept_with(&server, &store, &[]).await;
            assert!(ended.stderr.contains(&format!("`authflow token {name}`")), "{}", ended.stderr);
        }
        let token = store.good(&["token", name]).await;
        let issued = server.ledger().token_requests().pop().unwrap();
        assert_eq!(token.stdout.trim_end(), issued.access_token().unwrap());
    }
}

#[tokio::test]
async fn a_name_that_no_shell_takes_is_refused() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    for name in ["", "two words", "--name=-x", "\u{1b}[2J"] {
        let option = if name.starts_with("--") { name.to_owned() } else { format!("--name={name}") };
        let ended = store.run(&arguments("login", &provider, &["--no-browser", &option])).await;
        assert_eq!(ended.code, Some(2), "{name:?}: {ended:?}");
        assert!(!ended.stderr.contains('\u{1b}'));
    }
}

/// The name of the account is what was asked for.
#[tokio::test]
async fn one_name_has_one_account() {
    let (server, store) = (server().await, Store::files());
    let file = described(&server, "mine", "account = \"/scope\"");
    let id = server.public_client().id();
    let named = ["login", file.path().to_str().unwrap(), "--client-id", id, "--no-browser", "--scope"];
    for (scope, revoked) in [("read", 0), ("read", 0), ("email", 1)] {
        let ended = login(&store, &[&named[..], &[scope]].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr.contains("is another account's"), revoked > 0, "{}", ended.stderr);
        assert_eq!(server.ledger().count(Endpoint::Revocation), revoked);
        let status = store.good(&["status", "--json"]).await.json();
        assert_eq!(status["connections"].as_array().unwrap().len(), 1, "{status}");
        assert_eq!(status["connections"][0]["account"], scope);
        let connections = FileTokenStore::open(home().join("connections")).await.unwrap();
        let listed =
            connections.list_by_user(&User::new("authflow-cli", "mine"), &Page::first(10)).await.unwrap();
        assert_eq!(listed.records.len(), 1, "the other one is gone from the store");
    }
    store.good(&["token", "mine"]).await;
}

/// What the provider said of the account once, it need not say again.
#[tokio::test]
async fn an_account_that_is_not_known_is_not_taken_for_another_one() {
    let (server, store) = (server().await, Store::files());
    let id = server.public_client().id();
    for (fields, account, is_told) in [
        ("", None, false),
        ("account = \"/scope\"", Some("read"), true),
        ("account = \"/scope\"", Some("read"), false),
        ("", None, true),
    ] {
        let file = described(&server, "mine", fields);
        let path = file.path().to_str().unwrap();
        let command = ["login", path, "--client-id", id, "--no-browser", "--scope", "read"];
        let ended = login(&store, &command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr.contains("the provider was not asked to revoke"), is_told, "{ended:?}");
        assert!(!ended.stderr.contains("is another account's"), "{ended:?}");
        assert_eq!(server.ledger().count(Endpoint::Revocation), 0);
        let connections = FileTokenStore::open(home().join("connections")).await.unwrap();
        let listed =
            connections.list_by_user(&User::new("authflow-cli", "mine"), &Page::first(10)).await.unwrap();
        let accounts: Vec<_> = listed.records.iter().map(|record| record.key.account()).collect();
        assert_eq!(accounts, [account], "the one of before is gone from the store");
        store.good(&["token", "mine"]).await;
    }
}

#[tokio::test]
async fn options_about_a_provider_need_the_provider() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let ended = store.run(&["login", "--name", "work", "--redirect-uri", "http://127.0.0.1:0/other"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("`authflow login --name work` connects again"), "{}", ended.stderr);
}

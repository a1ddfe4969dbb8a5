//! What `authflow login` keeps, and the commands that work with it.

#![cfg(unix)]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use authflow_testkit::{AuthorizationServer, Endpoint, Fault, Outcome, Sent};
use support::{
    Running, Store, arguments, deliver, feed, home, kept, kept_expired, kept_with, login, parameter, provider,
};

async fn server() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

/// No token and no client secret is in it.
fn assert_tells_no_secret(server: &AuthorizationServer, text: &str) {
    for entry in server.ledger().entries() {
        for issued in entry.issued() {
            assert!(!text.contains(issued.value()), "{text}");
        }
    }
    for client in server.clients() {
        assert!(client.secret().is_none_or(|secret| !text.contains(secret)), "{text}");
    }
}

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

fn expired() -> Fault {
    Fault::BadExpiresIn(authflow_testkit::BadExpiresIn::Zero)
}

fn each_file(dir: &std::path::Path, check: &mut dyn FnMut(&[u8])) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{path:?} has mode {mode:o}");
        if path.is_dir() {
            each_file(&path, check);
        } else {
            check(&std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn the_default_name_is_the_providers_id() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    let ended = login(&store, &arguments("login", &provider, &["--no-browser"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("`authflow token provider`"), "{}", ended.stderr);
    store.good(&["token", "provider"]).await;
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
    kept_with(&server, &store, &["--scope", "read", "--scope", "email", "--param", "prompt=consent"]).await;
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
async fn a_default_name_that_is_taken_gets_a_number() {
    let store = Store::files();
    for name in ["provider", "provider-2", "provider-3"] {
        let server = server().await;
        let provider = provider(&server, server.public_client());
        for _ in 0..2 {
            let ended = login(&store, &arguments("login", &provider, &["--no-browser"])).await;
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

#[tokio::test]
async fn one_name_has_one_account() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    assert!(server.sign_in("user-2"));
    kept(&server, &store).await;
    let status = store.good(&["status", "--json"]).await.json();
    assert_eq!(status["connections"].as_array().unwrap().len(), 1, "{status}");
}

#[tokio::test]
async fn status_is_a_table_or_json_without_tokens() {
    let (server, store) = (server().await, Store::files());
    let nothing = store.good(&["status"]).await;
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("authflow login"), "{nothing:?}");
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    kept_with(&server, &store, &["--scope", "read"]).await;
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
async fn request_sends_with_the_token_and_prints_the_body() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let url = server.resource_url();
    let ended = store.good(&["request", "work", "get", &url, "--header", "Accept: application/json"]).await;
    assert!(ended.json().is_object(), "{ended:?}");
    assert!(ended.stderr.contains("HTTP 200"), "{}", ended.stderr);
    let seen = server.ledger().of(Endpoint::Resource).pop().unwrap();
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_tells_no_secret(&server, &ended.stderr);

    let post = ["request", "work", "POST", &url, "-H", "Content-Type: application/x-www-form-urlencoded"];
    let data = store.good(&[&post[..], &["--data", "a=b"]].concat()).await;
    assert!(!data.stdout.is_empty());
    assert_eq!(server.ledger().of(Endpoint::Resource).pop().unwrap().form_value("a"), Some("b"));
    let fed = feed(store.command(&[&post[..], &["--body", "-"]].concat()), "c=d").await;
    assert_eq!(fed.code, Some(0), "{fed:?}");
    assert_eq!(server.ledger().of(Endpoint::Resource).pop().unwrap().form_value("c"), Some("d"));
}

#[tokio::test]
async fn f22_a_401_is_answered_with_one_refresh() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    server.fault_next(Endpoint::Resource, Fault::Refuse(authflow_testkit::ErrorCode::InvalidToken));
    let ended = store.good(&["request", "work", "GET", &server.resource_url()]).await;
    assert!(ended.json().is_object());
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    assert_eq!(server.ledger().count(Endpoint::Resource), 2);
}

#[tokio::test]
async fn d1_the_token_goes_to_the_providers_api_only() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let stranger = self::server().await;
    let ended = store.run(&["request", "work", "GET", &stranger.resource_url()]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains(server.base_url()), "{}", ended.stderr);
    assert!(stranger.ledger().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_1() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    server.fault_next(Endpoint::Resource, Fault::ServerError);
    let ended = store.run(&["request", "work", "GET", &server.resource_url()]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("HTTP 500") && !ended.stdout.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn logout_revokes_and_forgets() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let ended = store.good(&["logout", "work"]).await;
    for step in ["work: removed from the store", "work: revoked at the provider", "work: forgotten"] {
        assert!(ended.stdout.contains(step), "{}", ended.stdout);
    }
    assert_eq!(server.ledger().of(Endpoint::Revocation).pop().unwrap().outcome(), &Outcome::Revoked);
    assert_eq!(store.run(&["token", "work"]).await.code, Some(2));
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    // The name is free again.
    kept(&server, &store).await;
    store.good(&["token", "work"]).await;
}

#[tokio::test]
async fn logout_all_ends_all_and_forgets_also_where_the_provider_fails() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let provider = provider(&server, server.public_client());
    let more = ["--no-browser", "--name", "other"];
    assert_eq!(login(&store, &arguments("login", &provider, &more)).await.code, Some(0));
    server.fault_next(Endpoint::Revocation, Fault::ResetAfterCommit(Sent::Nothing));
    server.fault_all(Endpoint::Revocation, Fault::ServerError);
    let ended = store.run(&["logout", "--all"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("other: not revoked at the provider"), "{}", ended.stdout);
    assert!(ended.stdout.contains("work: forgotten"), "{}", ended.stdout);
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    assert_eq!(store.run(&["logout"]).await.code, Some(2), "which one is not said");
}

#[tokio::test]
async fn sweep_leaves_alone_what_is_not_due() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let nothing = store.good(&["sweep"]).await;
    assert!(nothing.stdout.contains("1 kept, 0 due"), "{}", nothing.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

/// A provider that says that its refresh tokens lapse when its access tokens do, three seconds later.
#[tokio::test]
async fn sweep_refreshes_what_is_due_and_says_what_needs_its_user() {
    let server =
        AuthorizationServer::builder().access_token_lifetime(Duration::from_secs(3)).start().await.unwrap();
    let store = Store::files();
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    let (authorize, token) = (server.authorization_endpoint(), server.token_endpoint());
    std::io::Write::write_all(
        &mut file,
        format!(
            "id = \"short\"\n[endpoints]\nauthorization_endpoint = \"{authorize}\"\ntoken_endpoint = \"{token}\"\n\
             [quirks.token_response.fields]\nrefresh_token_expires_in = \"/expires_in\"\n"
        )
        .as_bytes(),
    )
    .unwrap();
    let id = server.public_client().id();
    let ended =
        login(&store, &["login", file.path().to_str().unwrap(), "--client-id", id, "--no-browser"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // After two seconds it is due, after three it is too late: a slow machine may see only the second.
    let due = async {
        loop {
            let swept = store.good(&["sweep"]).await;
            if swept.stdout.contains("1 due") {
                return swept;
            }
        }
    };
    let swept = tokio::time::timeout(support::PATIENCE, due).await.expect("it is due some time");
    if swept.stdout.contains("1 kept, 1 due: 1 refreshed") {
        assert_eq!(server.ledger().token_requests().pop().unwrap().outcome(), &Outcome::RefreshUsed);
    } else {
        assert!(
            swept.stdout.contains("1 kept, 1 due: 0 refreshed, 1 to be connected again"),
            "{}",
            swept.stdout
        );
        assert!(swept.stderr.contains("authflow login --name short"), "{}", swept.stderr);
    }
}

#[tokio::test]
async fn sweep_goes_on_until_it_is_told_to_end() {
    let store = Store::files();
    let mut running = Running::of(store.command(&["sweep", "--every", "3600"]));
    let mut stdout = tokio::io::BufReader::new(running.child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    assert!(line.starts_with("0 kept"), "{line}");
    let kill = format!("kill -TERM {}", running.child.id().unwrap());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = running.child.wait().await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn x10_a_home_that_others_may_use_is_refused_with_the_chmod_to_run() {
    let (server, store) = (server().await, Store::files());
    std::fs::create_dir_all(home()).unwrap();
    std::fs::set_permissions(home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let chmod = format!("chmod 700 {}", home().display());
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser"]);
    for command in [&["token", "work"][..], &["status"], &["sweep"], &["logout", "--all"], &login] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&chmod), "{}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(home()).unwrap().count(), 0);
    std::fs::set_permissions(home(), std::fs::Permissions::from_mode(0o700)).unwrap();
    kept(&server, &store).await;
    let keys = home().join("keys");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = store.run(&["token", "work"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
}

#[tokio::test]
async fn f15_lost_keys_are_told_and_nothing_is_deleted() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let (keys, aside) = (home().join("keys"), home().join("aside"));
    std::fs::rename(&keys, &aside).unwrap();
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser", "--name", "new"]);
    for command in [&["token", "work"][..], &["logout", "work"], &["logout", "--all"], &login] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains("keys are missing"), "{}", ended.stderr);
        assert!(!keys.exists(), "no key is made beside what another one sealed");
    }
    let status = store.run(&["status", "--json"]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    assert_eq!(status.json()["connections"][0]["health"], "unreadable");

    // A key that is another one.
    let other = store.clone().with("AUTHFLOW_KEYS", "k9:GVgeJ9587QD/HOULIEfnpWfHaxy666vl7wP3wwF7tbc=");
    let ended = other.run(&["token", "work"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("kind: KeyUnknown"), "{}", ended.stderr);

    std::fs::rename(&aside, &keys).unwrap();
    store.good(&["token", "work"]).await;
    assert_eq!(server.ledger().count(Endpoint::Revocation), 0);

    std::fs::remove_file(&keys).unwrap();
    store.good(&["logout", "--all", "--forget"]).await;
    kept(&server, &store).await;
    store.good(&["token", "work"]).await;
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn f15_a_key_in_a_keyring_that_is_not_there_is_told_and_none_is_made_beside_it() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    let first = login(&store, &arguments("login", &provider, &["--no-browser", "--name", "work"])).await;
    assert!(first.stderr.contains("No keyring is at hand"), "{}", first.stderr);
    let second = login(&store, &arguments("login", &provider, &["--no-browser", "--name", "work"])).await;
    assert!(!second.stderr.contains("sealing key"), "{}", second.stderr);
    std::fs::write(home().join("keyring"), "").unwrap();
    std::fs::remove_file(home().join("keys")).unwrap();
    for command in [&["token", "work"][..], &["login", "--name", "work"], &["status"]] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("in the keyring"), "{}", ended.stderr);
    }
    assert!(!home().join("keys").exists());
}

#[tokio::test]
async fn f15_keys_in_the_environment_rotate() {
    const OLD: &str = "old:y6BrVzb69n5UsHtWHq6UOV53TFF6fZEKVDaeEmPM+9Q=";
    const NEW: &str = "new:EVB6Di9eadXfpApiob17buV+a82FxnybhDGzb/8hxDc=";
    let server = server().await;
    let store = Store::files();
    kept(&server, &store.clone().with("AUTHFLOW_KEYS", OLD)).await;
    assert!(!home().join("keys").exists());
    store.clone().with("AUTHFLOW_KEYS", &format!("{NEW},{OLD}")).good(&["token", "work"]).await;
    let broken = store.with("AUTHFLOW_KEYS", "secret-that-is-no-key").run(&["token", "work"]).await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(
        broken.stderr.contains("AUTHFLOW_KEYS") && !broken.stderr.contains("secret-that"),
        "{}",
        broken.stderr
    );
}

#[tokio::test]
async fn f14_a_record_that_was_changed_is_not_read() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    change_each_file(&home().join("connections"));
    let ended = store.run(&["token", "work"]).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert_tells_no_secret(&server, &ended.stderr);
}

fn change_each_file(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            change_each_file(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
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
async fn without_a_home_it_is_in_the_configuration_directory() {
    let server = server().await;
    let config = tempfile::tempdir().unwrap();
    let provider = provider(&server, server.public_client());
    let mut command = support::command(&arguments("login", &provider, &["--no-browser"]));
    command.env_remove("AUTHFLOW_HOME").env("XDG_CONFIG_HOME", config.path()).env("HOME", config.path());
    let mut running = Running::of(command);
    let url = running.url().await;
    deliver(&authflow_testkit::ScriptedUser::new().approve(&url).await.unwrap()).await;
    assert_eq!(running.end().await.code, Some(0));
    each_file(&config.path().join("authflow"), &mut |_| ());
}

#[tokio::test]
async fn a_store_that_is_none_is_refused() {
    let store = Store::files();
    let ended = store.run(&["token", "work", "--store", "ftp://host/"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("redis://"), "{}", ended.stderr);
    let secret = Store::at("redis://:planted-password@127.0.0.1:1/").run(&["token", "work"]).await;
    assert_eq!(secret.code, Some(1), "{secret:?}");
    assert!(!secret.stderr.contains("planted-password"), "{}", secret.stderr);
}

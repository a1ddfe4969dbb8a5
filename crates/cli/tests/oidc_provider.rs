//! The program against npm's `oidc-provider`, a certified server.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Stdio;

use authflow_testkit::ScriptedUser;
use serde_json::Value;
use support::{Running, command, feed};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The server; it ends when its standard input closes.
async fn start() -> (Child, Value) {
    let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers");
    assert!(
        servers.join("node_modules").is_dir(),
        "the Node packages are missing: run `npm ci` in tests/servers, or `cargo xtask test`, which does it"
    );
    let mut node = Command::new("node");
    node.arg("oidc-provider.mjs").current_dir(servers).kill_on_drop(true);
    node.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = node.spawn().unwrap_or_else(|error| {
        panic!("`node` cannot be started ({error}); install it: apt-get install nodejs npm")
    });
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

fn options<'a>(about: &'a Value, kind: &str) -> Vec<&'a str> {
    let text = |pointer: &str| about.pointer(pointer).and_then(Value::as_str).unwrap();
    let mut options = vec![
        "--authorization-endpoint",
        text("/authorization_endpoint"),
        "--token-endpoint",
        text("/token_endpoint"),
        "--revocation-endpoint",
        text("/revocation_endpoint"),
        "--issuer",
        text("/issuer"),
        "--client-id",
        about.pointer(&format!("/clients/{kind}/client_id")).and_then(Value::as_str).unwrap(),
    ];
    if kind != "public" {
        options.extend([
            "--client-secret-env",
            "AUTHFLOW_TEST_SECRET",
            "--client-auth",
            if kind == "basic" { "basic" } else { "post" },
        ]);
    }
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_refresh_and_revoke_with_each_kind_of_client() {
    let (_child, about) = start().await;
    for kind in ["public", "basic", "post"] {
        let options = options(&about, kind);
        let secret = about
            .pointer(&format!("/clients/{kind}/client_secret"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let with = |name: &str, more: &[&str]| {
            let arguments: Vec<&str> =
                [name].into_iter().chain(options.iter().copied()).chain(more.iter().copied()).collect();
            let mut command = command(&arguments);
            command.env("AUTHFLOW_TEST_SECRET", secret);
            command
        };
        let login = ["--no-browser", "--json", "--scope", "openid", "--scope", "offline_access"];
        let mut running = Running::of(with("login", &login));
        let url = running.url().await;
        let user = ScriptedUser::new();
        let callback = user.approve(&url).await.unwrap();
        support::deliver(&callback).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(0), "{kind}: {ended:?}");
        let first = ended.json();
        assert!(first["refresh_token"].is_string() && first["extra"].is_object(), "{kind}");

        let ended = feed(with("refresh", &[]), &first.to_string()).await;
        assert_eq!(ended.code, Some(0), "{kind}: {ended:?}");
        let second = ended.json();
        assert_ne!(second["access_token"], first["access_token"], "{kind}");
        assert_ne!(second["refresh_token"], first["refresh_token"], "{kind}: it rotates");

        assert_eq!(feed(with("revoke", &[]), &second.to_string()).await.code, Some(0), "{kind}");

        let ended = feed(with("refresh", &[]), &second.to_string()).await;
        assert_eq!(ended.code, Some(1), "{kind}: what is revoked cannot be refreshed: {ended:?}");
        assert!(ended.stderr.contains("connect again"), "{kind}: {}", ended.stderr);
    }
}

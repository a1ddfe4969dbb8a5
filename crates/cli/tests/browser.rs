//! How the browser is started.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use authflow_testkit::{AuthorizationServer, ScriptedUser};
use support::{Running, arguments, command, provider};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// A browser that tells its arguments to a socket, one in a line.
fn browser(folder: &std::path::Path, port: u16) -> std::path::PathBuf {
    let path = folder.join("browser");
    let script = format!("#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port}\nprintf '%s\\n' \"$@\" >&3\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn g10_the_browser_gets_the_url_as_one_argument() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let provider = provider(&server, server.public_client());
    let folder = tempfile::tempdir().unwrap();
    for (template, more) in [("", ""), (" %s --y", "--y\n")] {
        let heard = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let browser = browser(folder.path(), heard.local_addr().unwrap().port());
        let param = ["--json", "--param", "hint=a b --flag $(calc) %s;`x`"];
        let mut command = command(&arguments("login", &provider, &param));
        command.env("BROWSER", format!("{}{template}", browser.display()));
        let mut running = Running::of(command);
        let url = running.url().await;
        let (mut stream, _) = heard.accept().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, format!("{url}\n{more}"));

        let user = ScriptedUser::new();
        let callback = user.approve(&url).await.unwrap();
        support::deliver(&callback).await;
        assert_eq!(running.end().await.code, Some(0));
    }
}

#[tokio::test]
async fn g11_without_a_browser_the_address_is_printed() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let provider = provider(&server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &[]));
    let url = running.url().await;
    running.line("No browser could be started").await;
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.unwrap();
    support::deliver(&callback).await;
    assert_eq!(running.end().await.code, Some(0));
}

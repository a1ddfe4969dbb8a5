//! The Node programs of `tests/servers`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

fn command(script: &str) -> Command {
    let servers = servers();
    assert!(
        servers.join("node_modules").is_dir(),
        "the Node packages are missing: run `npm ci` in tests/servers, or `cargo xtask test`, which does it"
    );
    let mut command = Command::new("node");
    command.arg(servers.join(script)).current_dir(servers).kill_on_drop(true);
    command
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        panic!("`node` cannot be started ({error}); install it: apt-get install nodejs npm")
    })
}

/// A running `oidc-provider`. It ends with this value: its standard input closes.
pub(crate) struct OidcProvider {
    _child: Child,
    pub(crate) about: Value,
}

impl OidcProvider {
    pub(crate) async fn start() -> Self {
        Self::start_by(command("oidc-provider.mjs")).await
    }

    /// With more redirect URIs; those of a loopback address without its port.
    #[allow(dead_code, reason = "a browser's test needs it")]
    pub(crate) async fn with_redirect_uris(redirect_uris: &[String]) -> Self {
        let mut command = command("oidc-provider.mjs");
        for redirect_uri in redirect_uris {
            command.arg("--redirect-uri").arg(redirect_uri);
        }
        Self::start_by(command).await
    }

    async fn start_by(mut command: Command) -> Self {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let about =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("oidc-provider did not start: {line:?}"));
        Self { _child: child, about }
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.about
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer} in {}", self.about))
    }
}

/// Runs npm's `openid-client` against a server, and returns its steps.
pub(crate) async fn openid_client(target: &Value) -> (bool, Vec<Value>) {
    let mut command = command("openid-client.mjs");
    command.arg(target.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    let succeeded = child.wait().await.unwrap().success();
    let report: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no report: {output:?}"));
    (succeeded, report["steps"].as_array().unwrap().clone())
}

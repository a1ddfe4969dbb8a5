//! Homes and stores of the program's own.

use std::path::PathBuf;

use authflow_testkit::{AuthorizationServer, BadExpiresIn, Endpoint, Fault, ScriptedUser};
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use super::{Ended, Gate, Running, arguments, command, deliver, finish, provider};

thread_local! {
    /// Each test has a thread of its own, and so a home.
    static HOME: TempDir = tempfile::tempdir().unwrap();
}

/// The home of this test. The program makes it.
pub(crate) fn home() -> PathBuf {
    HOME.with(|home| home.path().join("home"))
}

/// Where a program keeps what it keeps: the environment of its commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(pub(crate) Vec<(String, String)>);

impl Store {
    /// Files in the home of this test.
    pub(crate) fn files() -> Self {
        Self::default()
    }

    pub(crate) fn at(url: &str) -> Self {
        Self(vec![("AUTHFLOW_STORE".to_owned(), url.to_owned())])
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.command(arguments)).await
    }

    /// Runs and succeeds.
    pub(crate) async fn good(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended
    }
}

/// Logs in, as a user does, and returns what the program said.
pub(crate) async fn login(store: &Store, arguments: &[&str]) -> Ended {
    let mut running = Running::of(store.command(arguments));
    let url = running.url().await;
    let callback = ScriptedUser::new().approve(&url).await.unwrap();
    deliver(&callback).await;
    running.end().await
}

/// Keeps a connection with the server's public client under the name `work`. Returns what the program said.
pub(crate) async fn kept(server: &AuthorizationServer, store: &Store) -> Ended {
    kept_as(server, store, "work").await
}

/// The same under another name.
pub(crate) async fn kept_as(server: &AuthorizationServer, store: &Store, name: &str) -> Ended {
    kept_with(server, store, &["--name", name]).await
}

/// The same with these options.
pub(crate) async fn kept_with(server: &AuthorizationServer, store: &Store, more: &[&str]) -> Ended {
    let provider = provider(server, server.public_client());
    let more = [&["--no-browser"], more].concat();
    let ended = login(store, &arguments("login", &provider, &more)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// A connection `work` with an access token that is over when it comes.
pub(crate) async fn kept_expired(server: &AuthorizationServer, store: &Store) {
    server.fault_next(Endpoint::Token, Fault::BadExpiresIn(BadExpiresIn::Zero));
    kept(server, store).await;
}

/// The same, where the token endpoint is behind a gate.
pub(crate) async fn kept_expired_behind(gate: &Gate, server: &AuthorizationServer, store: &Store) {
    server.fault_next(Endpoint::Token, Fault::BadExpiresIn(BadExpiresIn::Zero));
    let mut provider = provider(server, server.public_client());
    let endpoint = provider.iter_mut().find(|value| **value == server.token_endpoint());
    *endpoint.expect("it is among the options") = gate.token_endpoint(server);
    let ended = login(store, &arguments("login", &provider, &["--no-browser", "--name", "work"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A file that describes the server, with these fields of its token response.
pub(crate) fn described(server: &AuthorizationServer, id: &str, fields: &str) -> NamedTempFile {
    let (authorize, token) = (server.authorization_endpoint(), server.token_endpoint());
    let revoke = server.revocation_endpoint();
    let text = format!(
        "id = \"{id}\"\n[endpoints]\nauthorization_endpoint = \"{authorize}\"\ntoken_endpoint = \"{token}\"\n\
         revocation_endpoint = \"{revoke}\"\n[quirks.token_response.fields]\n{fields}\n"
    );
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file
}

//! Runs the built program.

#![allow(unused_imports, reason = "each test uses a part")]

mod gate;
mod kept;
pub(crate) mod page;
mod secrets;

use std::process::{Output, Stdio};
use std::time::Duration;

use authflow_testkit::{AuthorizationServer, Client, Page, ScriptedUser};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::timeout;

pub(crate) use self::gate::Gate;
pub(crate) use self::kept::{
    Store, described, home, kept, kept_as, kept_expired, kept_expired_behind, kept_with, login,
};
pub(crate) use self::secrets::{query_values, secret_in};

/// Nothing here takes so long; a program that hangs fails its test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authflow"));
    command
        .args(arguments)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in [
        "AUTHFLOW_KEYS",
        "AUTHFLOW_STORE",
        "BROWSER",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "WSL_DISTRO_NAME",
        // The keyring of whoever runs the tests is no business of theirs.
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(name);
    }
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").env("AUTHFLOW_HOME", home());
    command
}

/// `command` under a limit that `ulimit` sets.
#[cfg(unix)]
pub(crate) fn limited_by(limit: &str, command: &Command) -> Command {
    behind(&format!("ulimit {limit}"), command)
}

/// `command` as `nohup` starts it.
#[cfg(target_os = "linux")]
pub(crate) fn ignoring_hangups(command: &Command) -> Command {
    behind("trap '' HUP", command)
}

/// `command` as a terminal starts it, also where the tests are run by `nohup`.
#[cfg(target_os = "linux")]
pub(crate) fn minding_hangups(command: &Command) -> Command {
    by("exec env --default-signal=HUP \"$0\" \"$@\"", command)
}

/// `command` as it is after what a shell does first.
#[cfg(unix)]
fn behind(first: &str, command: &Command) -> Command {
    by(&format!("{first} && exec \"$0\" \"$@\""), command)
}

/// `command` as a shell runs it by a script.
#[cfg(unix)]
fn by(script: &str, command: &Command) -> Command {
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .arg(command.get_program())
        .args(command.get_args())
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Runs to the end.
pub(crate) async fn run(arguments: &[&str]) -> Ended {
    finish(command(arguments)).await
}

/// Runs to the end with this on stdin.
pub(crate) async fn run_with(arguments: &[&str], input: &str) -> Ended {
    feed(command(arguments), input).await
}

pub(crate) async fn feed(mut command: Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that fails before it reads leaves a broken pipe.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output()).await.expect("the program ends").unwrap().into()
}

pub(crate) async fn finish(mut command: Command) -> Ended {
    timeout(PATIENCE, command.output()).await.expect("the program ends").unwrap().into()
}

/// Has a process get a signal, such as `INT`.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id().expect("it runs"));
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A program that runs and is talked to.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stderr: BufReader<ChildStderr>,
    seen: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(command(arguments))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdin, stderr, seen: String::new() }
    }

    /// The rest of the next line of stderr that begins so.
    pub(crate) async fn line(&mut self, beginning: &str) -> String {
        timeout(PATIENCE, async {
            loop {
                let mut line = String::new();
                let length = self.stderr.read_line(&mut line).await.unwrap();
                assert!(length > 0, "no line begins with {beginning:?} in:\n{}", self.seen);
                self.seen.push_str(&line);
                if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                    return rest.to_owned();
                }
            }
        })
        .await
        .expect("a line of stderr")
    }

    /// The authorization URL.
    pub(crate) async fn url(&mut self) -> String {
        self.line("open: ").await
    }

    pub(crate) async fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn end(mut self) -> Ended {
        let ended = timeout(PATIENCE, async {
            // stdin stays open, as a terminal's does.
            let mut stdout = String::new();
            let pipe = self.child.stdout.take();
            let out = async {
                match pipe {
                    Some(mut pipe) => pipe.read_to_string(&mut stdout).await,
                    None => Ok(0),
                }
            };
            let (out, err) = tokio::join!(out, self.stderr.read_to_string(&mut self.seen));
            out.unwrap();
            err.unwrap();
            (stdout, self.child.wait().await.unwrap())
        });
        let (stdout, status) = ended.await.expect("the program ends");
        Ended { code: status.code(), stdout, stderr: self.seen }
    }
}

/// The options for a provider by its endpoints.
pub(crate) fn provider(server: &AuthorizationServer, client: &Client) -> Vec<String> {
    [
        ("--authorization-endpoint", server.authorization_endpoint_of(client)),
        ("--token-endpoint", server.token_endpoint()),
        ("--revocation-endpoint", server.revocation_endpoint()),
        ("--issuer", server.issuer().to_owned()),
        ("--api-origin", server.base_url().to_owned()),
        ("--client-id", client.id().to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

/// `command`, the provider's options, and more.
pub(crate) fn arguments<'a>(command: &'a str, provider: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![command];
    arguments.extend(provider.iter().map(String::as_str));
    arguments.extend(more);
    arguments
}

/// Opens the callback as a browser does: it is sent on, and shows the page there.
pub(crate) async fn deliver(callback: &str) -> Page {
    let user = ScriptedUser::new();
    let answer = user.deliver(callback).await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.body());
    let result = url::Url::parse(callback).unwrap().join(answer.header("location").unwrap()).unwrap();
    assert_eq!((result.query(), result.fragment()), (None, None), "{result}");
    let page = user.open(result.as_str()).await.unwrap();
    assert_eq!(page.status(), 200, "{}", page.body());
    page
}

/// Logs in with the server's public client and returns the JSON.
pub(crate) async fn logged_in(server: &AuthorizationServer) -> String {
    let provider = provider(server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let url = running.url().await;
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.unwrap();
    deliver(&callback).await;
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

/// A parameter of a URL.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let value = url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_else(|| panic!("no parameter {name} in {url}"))
}

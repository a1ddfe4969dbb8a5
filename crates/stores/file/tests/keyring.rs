//! The keyring of the system: where there is none, and with a GNOME Keyring on a bus of its own.

#![cfg(all(target_os = "linux", feature = "keyring"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use authflow_core::{ErrorKind, KeySource as _};
use authflow_file::{KeyringError, KeyringKeys};
use process::Process;

#[tokio::test]
async fn child_process() {
    let Some((role, directory)) = process::role() else { return };
    let keys = KeyringKeys::new("authflow-test");
    let result = match role.as_str() {
        "read" => keys.read(),
        "make" => {
            process::say("ready");
            process::wait();
            keys.read_or_create(directory)
        }
        "source" => {
            let ring = keys.key_ring().await.map_err(|error| error.kind());
            process::say(&match ring {
                Ok(ring) => format!("ring {}", ring.writing_id()),
                Err(kind) => format!("{kind:?}"),
            });
            return;
        }
        other => panic!("no such role: {other}"),
    };
    process::say(&match result {
        Ok(ring) => format!("ring {}", ring.writing_id()),
        Err(KeyringError::NoKeyring { .. }) => "no keyring".to_owned(),
        Err(KeyringError::NoEntry) => "no entry".to_owned(),
        Err(error) => format!("{error:?}"),
    });
}

/// A program that ends with its test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, package: &str) -> Self {
        let name = command.get_program().to_owned();
        Self(command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; install it: apt-get install {package}", name.display())
        }))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bus that starts nothing by itself.
struct Bus {
    address: String,
    _program: Program,
}

impl Bus {
    fn start(directory: &Path) -> Self {
        let config = directory.join("bus.conf");
        let text = format!(
            r#"<busconfig><type>session</type><listen>unix:dir={}</listen><policy context="default">
            <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
            directory.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address=1"]);
        let mut program = Program::start(command.stdout(Stdio::piped()).stderr(Stdio::null()), "dbus");
        let mut address = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { address: address.trim().to_owned(), _program: program }
    }
}

fn child(role: &str, directory: &Path, address: &str) -> Process {
    let mut command = process::command(role, directory);
    Process::of(command.env("DBUS_SESSION_BUS_ADDRESS", address).env("XDG_RUNTIME_DIR", directory))
}

fn ask(role: &str, directory: &Path, address: &str) -> String {
    let mut child = child(role, directory, address);
    let said = child.hear().unwrap();
    child.end();
    said
}

#[test]
fn x21_without_a_bus_or_a_keyring_on_it_there_is_no_keyring() {
    let directory = support::directory();
    let bus = Bus::start(directory.path());
    let nowhere = format!("unix:path={}/missing", directory.path().display());
    let configuration = format!("{:?}", ErrorKind::Configuration);
    for address in [&nowhere, &bus.address] {
        assert_eq!(ask("read", directory.path(), address), "no keyring");
        assert_eq!(ask("source", directory.path(), address), configuration);
        let mut make = child("make", directory.path(), address);
        assert_eq!(make.hear().as_deref(), Some("ready"));
        make.go();
        assert_eq!(make.hear().as_deref(), Some("no keyring"));
        make.end();
        assert!(
            !directory.path().join("keyring.lock").exists(),
            "nothing is written where there is no keyring"
        );
    }
}

#[test]
fn x23_of_8_processes_that_make_a_key_in_the_keyring_all_get_the_same() {
    let directory = support::directory();
    let bus = Bus::start(directory.path());
    let mut command = Command::new("gnome-keyring-daemon");
    command
        .args(["--foreground", "--unlock", "--components=secrets"])
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .envs(
            ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"]
                .map(|name| (name, directory.path())),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut keyring = Program::start(&mut command, "gnome-keyring");
    keyring.0.stdin.take().unwrap().write_all(b"password").unwrap();
    let found =
        (0..1000).map(|_| ask("read", directory.path(), &bus.address)).find(|said| said != "no keyring");
    assert_eq!(found.as_deref(), Some("no entry"), "the keyring answers, and has nothing");

    let mut processes: Vec<_> = (0..8).map(|_| child("make", directory.path(), &bus.address)).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    for process in &mut processes {
        process.go();
    }
    let rings: BTreeSet<_> = processes.iter_mut().map(|process| process.hear().unwrap()).collect();
    assert_eq!(rings.len(), 1, "{rings:?}");
    let ring = rings.first().unwrap();
    assert!(ring.starts_with("ring "), "{ring}");
    for process in processes {
        process.end();
    }
    for role in ["read", "source"] {
        assert_eq!(ask(role, directory.path(), &bus.address), *ring);
    }
}

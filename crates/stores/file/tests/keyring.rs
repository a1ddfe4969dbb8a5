//! The keyring of the system: where there is none, and with a GNOME Keyring on a bus of its own.

#![cfg(all(target_os = "linux", feature = "keyring"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use authflow_core::{ErrorKind, KeySource as _};
use authflow_file::{KeyringError, KeyringKeys};
use authflow_test_servers::Session;
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
    let session = Session::start();
    let nowhere = &*format!("unix:path={}/missing", directory.path().display());
    let configuration = format!("{:?}", ErrorKind::Configuration);
    for address in [nowhere, session.address()] {
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
    let mut session = Session::start();
    session.unlock();
    assert_eq!(ask("read", directory.path(), session.address()), "no entry", "it answers, and has nothing");

    let mut processes: Vec<_> = (0..8).map(|_| child("make", directory.path(), session.address())).collect();
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
        assert_eq!(ask(role, directory.path(), session.address()), *ring);
    }
}

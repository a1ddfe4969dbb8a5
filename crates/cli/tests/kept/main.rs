//! What `authflow login` keeps, and the commands that work with it.

#![cfg(unix)]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod connections;
#[cfg(all(target_os = "linux", feature = "keyring"))]
mod keyring;
mod keys;
mod logout;
mod names;
mod places;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod sweep;

use std::os::unix::fs::PermissionsExt as _;

use authflow_testkit::{AuthorizationServer, BadExpiresIn, Fault};

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

/// An access token that is over when it comes.
fn expired() -> Fault {
    Fault::BadExpiresIn(BadExpiresIn::Zero)
}

/// Shows each file below, which nobody else may read.
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

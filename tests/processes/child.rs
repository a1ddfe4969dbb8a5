//! A process: does what it is told, line by line, and says what came of it.

use std::time::Duration;

use authflow::{AccessToken, AuthorizationResponse, Connections, Error, Recovery, Removal, Revocation};
use tokio::signal::unix::{SignalKind, signal};

use crate::backend::{self, Stores};
use crate::gate::{Gate, say};
use crate::process::ROLE;
use crate::setup::Setup;

/// How long what is under way may take to end.
const DRAIN: Duration = Duration::from_secs(90);

pub async fn run() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let gate = Gate::new();
    let mut opened: Option<(String, Stores)> = None;
    let mut ready: Option<(Setup, Connections)> = None;
    loop {
        let line = gate.line().await;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if word == "setup" {
            gate.halt_nowhere();
            let setup = Setup::from_line(rest);
            let stores = match opened.take() {
                Some((url, stores)) if url == setup.store => stores,
                _ => backend::open(&setup.store).await,
            };
            opened = Some((setup.store.clone(), stores.clone()));
            let connections = setup.connections(stores, Some(&gate));
            ready = Some((setup, connections));
            say("result ok");
            continue;
        }
        let (setup, connections) = ready.as_ref().expect("it was set up");
        let result = match word {
            "halt" => {
                gate.halt_at(rest);
                continue;
            }
            "drain-at-sigterm" => {
                drain_at_sigterm(connections.clone());
                "ok".to_owned()
            }
            "token" => told(connections.token(&setup.key()).await),
            "refresh" => told(connections.refresh_now(&setup.key()).await),
            "rotate" => rotate(connections, setup, rest.parse().unwrap()).await,
            "begin" => match connections.begin("p", &setup.binding()).unwrap().await {
                Ok(authorization) => format!("ok {}", authorization.url()),
                Err(error) => failed(&error),
            },
            "complete" => {
                let response = AuthorizationResponse::from_url(rest).unwrap();
                match connections.complete("p", &response, &setup.binding()).await {
                    Ok(connected) => {
                        assert_eq!(connected.key, setup.key());
                        "ok".to_owned()
                    }
                    Err(error) => failed(&error),
                }
            }
            "disconnect" => disconnect(connections, setup).await,
            "drain" => format!("drained {}", connections.drain(DRAIN).await.unfinished),
            other => panic!("a process knows no `{other}`"),
        };
        say(&format!("result {result}"));
    }
}

pub fn told(token: Result<AccessToken, Error>) -> String {
    match token {
        Ok(token) => format!("ok {}", token.expose()),
        Err(error) => failed(&error),
    }
}

/// Refreshes whatever it finds, again and again, until the connection had so many versions.
async fn rotate(connections: &Connections, setup: &Setup, versions: u64) -> String {
    let mut before = 0;
    loop {
        let token = match connections.refresh_now(&setup.key()).await {
            Ok(token) => token,
            Err(error) => return failed(&error),
        };
        let counter = token.version().counter();
        assert!(counter > before, "each is newer than the one before");
        if counter >= versions {
            return format!("ok {}", token.expose());
        }
        before = counter;
    }
}

/// The error, and that it is one of those that are documented: it says what to do.
fn failed(error: &Error) -> String {
    let recovery = match error.recovery() {
        Recovery::Retry { .. } => "retry",
        Recovery::Reconnect => "reconnect",
        Recovery::FixConfiguration => "fix",
        _ => "give up",
    };
    format!("{}: {recovery}", error.kind().as_str())
}

async fn disconnect(connections: &Connections, setup: &Setup) -> String {
    let done = match connections.disconnect(&setup.key()).await {
        Ok(done) => done,
        Err(error) => return failed(&error),
    };
    let removal = match done.removal {
        Ok(Removal::Removed) => "removed".to_owned(),
        Ok(Removal::WasAbsent) => "absent".to_owned(),
        Ok(_) => "?".to_owned(),
        Err(error) => failed(&error),
    };
    let revocation = match done.revocation {
        None => "nothing to revoke".to_owned(),
        Some(Ok(Revocation::Revoked)) => "revoked".to_owned(),
        Some(Ok(_)) => "?".to_owned(),
        Some(Err(error)) => failed(&error),
    };
    format!("{removal}, {revocation}")
}

/// As a program does that wants to end well.
fn drain_at_sigterm(connections: Connections) {
    let mut sigterm = signal(SignalKind::terminate()).unwrap();
    tokio::spawn(async move {
        sigterm.recv().await;
        say("draining");
        let drained = connections.drain(DRAIN).await;
        say(&format!("drained {}", drained.unfinished));
        std::process::exit(0);
    });
}

//! `authflow refresh` and `authflow revoke`.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::process::Stdio;

use authflow_testkit::{AuthorizationServer, Endpoint, Fault, Outcome, ScriptedUser};
use support::{
    Gate, PATIENCE, Running, arguments, command, deliver, logged_in, provider, run, run_with, signal,
};
use tokio::time::timeout;

#[tokio::test]
async fn refresh_prints_the_new_tokens() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let before = logged_in(&server).await;
    let provider = provider(&server, server.public_client());
    let ended = run_with(&arguments("refresh", &provider, &[]), &before).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let issued = server.ledger().token_requests().pop().unwrap();
    assert_eq!(issued.outcome(), &Outcome::RefreshUsed);
    let json = ended.json();
    assert_eq!(json["access_token"].as_str(), issued.access_token());
    assert_eq!(json["refresh_token"].as_str(), issued.refresh_token());
    // Its own output is its input again.
    let again = run_with(&arguments("refresh", &provider, &["--json"]), &ended.stdout).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    // The first refresh token is used up.
    let reused = run_with(&arguments("refresh", &provider, &[]), &before).await;
    assert_eq!(reused.code, Some(1), "{reused:?}");
    assert!(reused.stderr.contains("kind: InvalidGrant"), "{}", reused.stderr);
    assert!(reused.stdout.is_empty());
}

#[tokio::test]
async fn a_refresh_that_takes_long_says_what_it_waits_for() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let before = logged_in(&server).await;
    let provider = provider(&server, server.public_client());
    server.fault_next(Endpoint::Token, Fault::StallHeaders);
    let mut running = Running::start(&arguments("refresh", &provider, &[]));
    running.type_line(&before).await;
    drop(running.stdin.take());
    running.line("Asking the provider for a new access token.").await;
}

/// A refresh that has been sent, and will have no answer before the gate opens.
#[cfg(unix)]
async fn in_the_middle(server: &AuthorizationServer, stdout: Stdio) -> (Running, Gate) {
    let before = logged_in(server).await;
    let gate = Gate::before(server).await;
    let mut provider = provider(server, server.public_client());
    let endpoint = provider.iter_mut().find(|value| **value == server.token_endpoint());
    *endpoint.unwrap() = gate.token_endpoint(server);
    gate.shut();
    let mut command = command(&arguments("refresh", &provider, &[]));
    command.stdout(stdout);
    let mut running = Running::of(command);
    running.type_line(&before).await;
    drop(running.stdin.take());
    let seen = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::RefreshUsed);
    timeout(PATIENCE, seen).await.expect("the refresh is sent");
    (running, gate)
}

#[cfg(unix)]
#[tokio::test]
async fn x1_ctrl_c_in_the_middle_of_a_refresh_prints_what_the_provider_answers() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (mut running, gate) = in_the_middle(&server, Stdio::piped()).await;
    signal(&running.child, "INT");
    running.line("Waiting for a refresh that is under way").await;
    gate.open();
    let ended = running.end().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("interrupted"), "{ended:?}");
    let issued = server.ledger().token_requests().pop().unwrap();
    assert_eq!(ended.json()["refresh_token"].as_str(), issued.refresh_token());
}

/// A pipe whose reader has gone.
#[cfg(unix)]
fn nobody() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

#[cfg(unix)]
#[tokio::test]
async fn x1_new_tokens_that_nobody_reads_are_said_to_be_lost() {
    for is_interrupted in [false, true] {
        let server = AuthorizationServer::builder().start().await.unwrap();
        let (mut running, gate) = in_the_middle(&server, nobody()).await;
        if is_interrupted {
            signal(&running.child, "INT");
            running.line("Waiting for a refresh that is under way").await;
        }
        gate.open();
        running.line("error: the result could not be written to stdout").await;
        running.line("  the new tokens are lost").await;
        let advice = running.line("  what to do: ").await;
        assert!(advice.contains("log in again: authflow login"), "{advice}");
        assert_eq!(timeout(PATIENCE, running.child.wait()).await.unwrap().unwrap().code(), Some(1));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn tokens_that_are_kept_nowhere_and_that_nobody_reads_are_said_to_be_lost() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let provider = provider(&server, server.public_client());
    for (more, is_lost) in [(&["--no-save"][..], true), (&[], false)] {
        let more = [&["--no-browser", "--json"], more].concat();
        let mut command = command(&arguments("login", &provider, &more));
        command.stdout(nobody());
        let mut running = Running::of(command);
        let callback = ScriptedUser::new().approve(&running.url().await).await.unwrap();
        deliver(&callback).await;
        let ended = running.end().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stderr.contains("the tokens are lost"), is_lost, "{ended:?}");
    }
}

#[tokio::test]
async fn revoke_revokes() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let provider = provider(&server, server.public_client());
    for (more, printed) in [(&[][..], "revoked"), (&["--json"][..], "{\"revocation\":\"revoked\"}\n")] {
        let tokens = logged_in(&server).await;
        let ended = run_with(&arguments("revoke", &provider, more), &tokens).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.starts_with(printed), "{}", ended.stdout);
        assert_eq!(server.ledger().of(Endpoint::Revocation).pop().unwrap().outcome(), &Outcome::Revoked);
        let refused = run_with(&arguments("refresh", &provider, &[]), &tokens).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
}

#[tokio::test]
async fn without_a_revocation_endpoint_it_fails_and_says_so() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let tokens = logged_in(&server).await;
    let token_endpoint = server.token_endpoint();
    let ended =
        run_with(&["revoke", "--token-endpoint", &token_endpoint, "--client-id", "public-client"], &tokens)
            .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--revocation-endpoint"), "{}", ended.stderr);
}

#[tokio::test]
async fn stack_exchange_has_no_refresh() {
    let arguments =
        ["refresh", "stackexchange", "--client-id", "1", "--key", "a((", "--site", "stackoverflow"];
    let ended = run_with(&arguments, r#"{"access_token":"secret-access-token-1"}"#).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("kind: Unsupported"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret-access-token-1"));
}

#[tokio::test]
async fn input_that_cannot_be_used_is_2_and_quoted_nowhere() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let provider = provider(&server, server.public_client());
    for input in [
        "",
        "  \n",
        "secret-input-1",
        "{\"access_token\":17}",
        "[\"secret-input-1\"]",
        "{\"refresh_token\":\"secret-input-1\"}",
        "{\"access_token\":\"a\",\"access_token\":\"secret-input-1\",\"refresh_token\":\"b\"}",
    ] {
        for command in ["refresh", "revoke"] {
            let ended = run_with(&arguments(command, &provider, &[]), input).await;
            assert_eq!(ended.code, Some(2), "{input:?}: {ended:?}");
            assert!(ended.stderr.contains("authflow login"), "{}", ended.stderr);
            assert!(!ended.stderr.contains("secret-input-1"), "{}", ended.stderr);
        }
    }
    let nothing = run(&arguments("refresh", &provider, &[])).await;
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(server.ledger().is_empty());
}

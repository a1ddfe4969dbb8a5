//! `authflow demo --headless`.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_testkit::Fault;
use support::{Ended, Running, query_values, run, secret_in, signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The milestones, in order.
fn passes(ended: &Ended, milestones: &[&str]) {
    let mut rest = ended.stdout.as_str();
    for milestone in milestones {
        let at = rest
            .find(milestone)
            .unwrap_or_else(|| panic!("{milestone:?} is not next in:\n{}\n{ended:?}", ended.stdout));
        rest = &rest[at + milestone.len()..];
    }
}

/// Nothing but what stands in the addresses to open, on purpose, looks like a code or a token.
fn shows_no_secret(ended: &Ended) {
    let addresses = ended.stdout.lines().filter_map(|line| line.trim_start().strip_prefix("open: "));
    let known: Vec<String> = addresses.flat_map(query_values).collect();
    for text in [&ended.stdout, &ended.stderr] {
        assert_eq!(secret_in(text, &known), None, "{ended:?}");
    }
}

#[test]
fn h1_what_looks_like_a_token_is_found_unless_it_is_shown_on_purpose() {
    let state = "at-0123456789-0123456789-0123456789-0123456".to_owned();
    let known = [state.clone()];
    assert!(secret_in(&format!("state={state}"), &known).is_none());
    assert!(secret_in(&format!("state  {}...", &state[..23]), &known).is_none());
    assert!(secret_in(&format!("state={state}"), &[]).is_some());
    assert!(secret_in("token rt-abcdefghijklmnopq", &known).is_some());
    assert!(secret_in("token at-abc****", &known).is_none());
}

#[tokio::test]
async fn the_rfc_journey_comes_to_its_end() {
    let ended = run(&["demo", "rfc", "--headless"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    passes(
        &ended,
        &[
            "The authorization request",
            "open: http://127.0.0.1:",
            "code_challenge_method",
            "showed the consent page",
            "The callback",
            "iss",
            "State, issuer and redirect URI are ours",
            "The exchange",
            "code_verifier",
            "the code became tokens",
            "A request to the API",
            "got 200",
            "The refresh",
            "the refresh token became new tokens",
            "replaced too",
            "The revocation",
            "POST http://127.0.0.1:",
            "/revoke",
            "revoked",
            "The revoked token is refused",
            "got 401",
            "Done",
        ],
    );
    shows_no_secret(&ended);
    assert!(!ended.stdout.contains('\u{1b}'), "no colours in a pipe: {ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn the_stack_exchange_journey_comes_to_its_end() {
    let ended = run(&["demo", "stackexchange", "--headless"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    passes(
        &ended,
        &[
            "read_inbox,private_info",
            "State and redirect URI are ours",
            "/oauth/access_token/json",
            "/2.3/me",
            "has no refresh tokens",
            "/invalidate",
            "invalid_access_token",
            "Done",
        ],
    );
    shows_no_secret(&ended);
}

#[tokio::test]
async fn the_contentstack_journey_comes_to_its_end() {
    let ended = run(&["demo", "contentstack", "--headless"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    passes(
        &ended,
        &[
            "/authorize",
            "location",
            "State and redirect URI are ours",
            "The exchange",
            "/v3/user",
            "organization_uid",
            "The refresh",
            "GET http://127.0.0.1:",
            "/authorizations",
            "DELETE http://127.0.0.1:",
            "got 401",
            "Done",
        ],
    );
    shows_no_secret(&ended);
}

#[tokio::test]
async fn without_a_name_all_three_are_shown() {
    let ended = run(&["demo", "--headless"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    passes(&ended, &["the RFCs say", " Done", "Stack Exchange does", " Done", "Contentstack does", " Done"]);
}

#[tokio::test]
async fn a_fault_changes_the_transcript_and_fails() {
    for (fault, shown, kind) in [
        ("invalid-grant", "server fault invalid-grant", "kind: InvalidGrant"),
        ("wrong-iss", "https://attacker.example", "kind: IssuerMismatch"),
        ("wrong-state", "another-state", "kind: StateNotFound"),
        ("deny-by-server", "access_denied", "kind: AccessDenied"),
        ("too-many-requests", "got 429", "wait 7 s before the next try"),
        ("reset-after-commit", "no usable answer", "kind: Network"),
        ("rotation-reuse", "family is revoked", "kind: InvalidGrant"),
        ("invalid-token", "got 401", "kind: InvalidGrant"),
        ("missing-refresh-token", "server fault missing-refresh-token", "kind: Unsupported"),
    ] {
        let ended = run(&["demo", "rfc", "--headless", "--fault", fault]).await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        passes(&ended, &[fault, shown, "The journey ends here", kind]);
        assert!(ended.stderr.starts_with("error: "), "{fault}: {ended:?}");
        shows_no_secret(&ended);
    }
}

#[tokio::test]
async fn b11_hostile_words_do_not_reach_the_terminal() {
    for fault in ["hostile-description", "hostile-callback-error"] {
        let ended = run(&["demo", "rfc", "--headless", "--fault", fault]).await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        for text in [&ended.stdout, &ended.stderr] {
            let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
            assert!(!text.contains(hostile), "{fault}: {ended:?}");
        }
    }
}

/// What a flow with any provider withstands.
const WITHSTOOD: &[&str] = &[
    "deflate",
    "deflate-undeclared",
    "expires-in-array",
    "expires-in-boolean",
    "expires-in-fraction",
    "expires-in-huge",
    "expires-in-negative",
    "expires-in-null",
    "expires-in-overflow",
    "expires-in-text",
    "expires-in-word",
    "expires-in-zero",
    "gzip",
    "gzip-undeclared",
    "missing-content-type",
    "missing-expires-in",
    "raw-deflate",
    "slow-headers",
    "wrong-content-type",
];
const OF_TOKEN_TYPE: &[&str] = &["missing-token-type", "wrong-token-type"];
const OF_SCOPE: &[&str] = &["empty-scope", "missing-scope", "other-scope"];
const OF_ISSUER: &[&str] = &["duplicate-iss", "missing-iss", "wrong-iss"];
const OF_REFRESH: &[&str] = &["missing-refresh-token", "rotation-reuse"];
const OF_API: &[&str] = &["backoff"];
/// No flow of the demo asks for metadata: `--fault help` does not list it.
const OF_METADATA: &[&str] = &["wrong-metadata-issuer"];

/// Each of them is withstood and told so, or ends with the error that a user gets and what to do, or has no room in a flow with
/// this provider, which is told too.
async fn each_fault(provider: &str, withstood: &[&[&str]], without_room: &[&[&str]]) {
    let turns = Arc::new(Semaphore::new(4));
    let mut runs = JoinSet::new();
    for fault in Fault::all() {
        let (turns, provider, name) = (Arc::clone(&turns), provider.to_owned(), fault.name());
        runs.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            (name, run(&["demo", &provider, "--headless", "--fault", name]).await)
        });
    }
    while let Some(done) = runs.join_next().await {
        let (fault, ended) = done.unwrap();
        let is_in = |sets: &[&[&str]]| sets.iter().any(|set| set.contains(&fault));
        let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let about = format!("{provider}, {fault}: {ended:?}");
        assert!(said.contains(fault), "{about}");
        shows_no_secret(&ended);
        match ended.code {
            // A short answer, one byte at a time, is there at its deadline or is not.
            Some(0 | 1) if fault == "slow-body" => {}
            Some(0) => {
                assert!(is_in(withstood), "{about}");
                assert!(said.contains("the flow withstood it"), "{about}");
            }
            Some(1) if is_in(without_room) => {
                assert!(ended.stderr.contains("never showed"), "{about}");
            }
            Some(1) => {
                assert!(!is_in(withstood), "{about}");
                assert!(said.contains("The journey ends here"), "{about}");
                assert!(ended.stderr.starts_with("error: "), "{about}");
                for part in ["\n  kind: ", "\n  what to do: "] {
                    assert!(ended.stderr.contains(part), "{part:?} is missing: {about}");
                }
                assert!(!said.contains("run `authflow login`"), "nobody has logged in: {about}");
                assert!(!ended.stderr.contains("run `authflow login`"), "nobody has logged in: {about}");
            }
            _ => panic!("{about}"),
        }
    }
}

#[tokio::test]
async fn each_fault_of_the_rfc_server_is_told() {
    each_fault("rfc", &[WITHSTOOD, OF_TOKEN_TYPE, OF_SCOPE], &[OF_API, OF_METADATA]).await;
}

#[tokio::test]
async fn each_fault_of_stack_exchange_is_told() {
    let without_room = [OF_TOKEN_TYPE, OF_SCOPE, OF_ISSUER, OF_REFRESH, OF_METADATA];
    each_fault("stackexchange", &[WITHSTOOD, OF_API], &without_room).await;
}

#[tokio::test]
async fn each_fault_of_contentstack_is_told() {
    each_fault("contentstack", &[WITHSTOOD, OF_TOKEN_TYPE], &[OF_SCOPE, OF_ISSUER, OF_API, OF_METADATA])
        .await;
}

#[tokio::test]
async fn the_faults_are_listed() {
    let help = run(&["demo", "--fault", "help"]).await;
    assert_eq!(help.code, Some(0), "{help:?}");
    assert!(help.stdout.contains("invalid-grant"), "{help:?}");
    let wrong = run(&["demo", "--fault", "no-such-fault"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("no-such-fault") && wrong.stderr.contains("invalid-grant"), "{wrong:?}");
    assert!(wrong.stdout.is_empty(), "{wrong:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn g9_ctrl_c_ends_a_login() {
    let server = authflow_testkit::AuthorizationServer::builder().start().await.unwrap();
    let provider = support::provider(&server, server.public_client());
    let mut login = Running::start(&support::arguments("login", &provider, &["--no-browser"]));
    login.url().await;
    signal(&login.child, "INT");
    let ended = login.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn g9_ctrl_c_ends_a_journey_that_waits_for_the_server() {
    // Where the machine stands still for longer than a journey's patience with a silent server, it ends with that error, which
    // proves nothing.
    for _ in 0..5 {
        let mut demo = Running::start(&["demo", "rfc", "--headless", "--fault", "stall-body"]);
        let mut lines = BufReader::new(demo.child.stdout.as_mut().unwrap()).lines();
        // The exchange follows at once, and its answer stalls.
        while !lines.next_line().await.unwrap().expect("the callback is shown").contains("The callback") {}
        signal(&demo.child, "INT");
        let ended = demo.end().await;
        if ended.stderr.contains("  kind: ") {
            continue;
        }
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "interrupted\n"), "{ended:?}");
        return;
    }
    panic!("no signal came in time");
}

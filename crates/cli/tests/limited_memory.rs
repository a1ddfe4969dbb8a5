//! Answers that do not fit into the memory that the program may have.

#![cfg(target_os = "linux")]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_testkit::{AuthorizationServer, Endpoint, Fault};
use support::{
    Ended, Store, arguments, command, feed, finish, kept, kept_expired, limited_by, logged_in, provider,
};
use tokio::process::Command;

const MIB: u64 = 1 << 20;

/// A body of 1 GiB; plain, and as compressed data of little more and of less than the cap.
fn huge() -> [Fault; 3] {
    [
        Fault::OversizedBody(1024 * MIB),
        Fault::DecompressionBomb(1024 * MIB),
        Fault::DecompressionBomb(512 * MIB),
    ]
}

/// `command` with this much memory for all that it writes to: heap, stacks, and whatever else is mapped.
fn limited(command: &Command, mib: u64) -> Command {
    let mut limited = limited_by(&format!("-d {}", mib * 1024), command);
    // As many stacks as here, however many processors there are.
    limited.env("TOKIO_WORKER_THREADS", "2");
    limited
}

fn assert_too_large(ended: &Ended, fault: &Fault) {
    assert_eq!(ended.code, Some(1), "{fault:?}: {ended:?}");
    assert!(ended.stderr.contains("the provider's answer is larger than the limit"), "{fault:?}: {ended:?}");
    assert!(ended.stdout.is_empty(), "{fault:?}: {ended:?}");
}

async fn server() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

#[tokio::test]
async fn x31_with_64_mib_a_token_response_of_1_gib_is_an_error() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    for fault in huge() {
        let before = logged_in(&server).await;
        server.fault_next(Endpoint::Token, fault.clone());
        let refresh = command(&arguments("refresh", &provider, &[]));
        let ended = feed(limited(&refresh, 64), &before).await;
        assert_too_large(&ended, &fault);
        assert!(ended.stderr.contains("kind: InvalidResponse"), "{ended:?}");
    }
}

#[tokio::test]
async fn x31_with_64_mib_a_kept_connection_ends_with_no_token_response_of_1_gib() {
    let (server, store) = (server().await, Store::files());
    for fault in huge() {
        kept_expired(&server, &store).await;
        server.fault_next(Endpoint::Token, fault.clone());
        let ended = finish(limited(&store.command(&["token", "work"]), 64)).await;
        assert_too_large(&ended, &fault);
        assert!(ended.stderr.contains("kind: InvalidResponse"), "{ended:?}");

        let next = store.run(&["token", "work"]).await;
        if matches!(fault, Fault::OversizedBody(_)) {
            // The server had used the refresh token up, and its successor was in what did not fit.
            assert_eq!(next.code, Some(1), "{next:?}");
            assert!(next.stderr.contains("kind: RotationLost"), "{next:?}");
        } else {
            assert_eq!(next.code, Some(0), "{next:?}");
            let issued = server.ledger().token_requests().pop().unwrap();
            assert_eq!(Some(next.stdout.trim_end()), issued.access_token());
        }
    }
}

#[tokio::test]
async fn x31_an_answer_of_1_gib_to_an_api_request_is_an_error() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    for fault in huge() {
        server.fault_next(Endpoint::Resource, fault.clone());
        // It takes up to 64 MiB, and a buffer that grows has up to twice of what is in it.
        let request = store.command(&["request", "work", "GET", &server.resource_url()]);
        assert_too_large(&finish(limited(&request, 256)).await, &fault);
    }
}

//! B1 to B14: authorization responses that are not what they should be. No code of one is ever sent.

use authflow_core::quirks::IssPolicy;
use authflow_testkit::{Endpoint, Fault};
use http::Method;

use crate::browser::{Browser, From};
use crate::world::{Setup, World, get, post};

/// Lets the server spoil the callback, opens it, and expects a refusal without a token request.
async fn refused(fault: Fault, status: u16) -> (World, Browser, String) {
    let world = World::new();
    let browser = Browser::of("alice");
    let url = world.begin(&browser, "alpha", "/done").await;
    world.server.fault_next(Endpoint::Authorization, fault);
    let callback = world.approve(&url).await;
    let answer = world.deliver(&browser, &callback).await;
    assert_eq!(answer.status, status, "{callback}: {answer:?}");
    if status != 303 {
        answer.is_page(status);
    }
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections("alice").await.is_empty());
    (world, browser, callback)
}

#[tokio::test]
async fn b1_b2_another_issuer_or_none() {
    for fault in [Fault::WrongIss, Fault::MissingIss] {
        let (world, browser, callback) = refused(fault, 303).await;
        assert_eq!(world.application.outcomes(), ["failed alpha issuer_mismatch"]);
        world.deliver(&browser, &callback).await.is_page(410);
    }
}

#[tokio::test]
async fn b4_an_issuer_is_compared_byte_by_byte() {
    for wrong in
        ["https://as.example/", "HTTPS://as.example", "https://%61s.example", "https://as.example:443"]
    {
        let world = World::new();
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "").await;
        let right = "iss=https%3A%2F%2Fas.example";
        assert!(callback.contains(right), "{callback}");
        let wrong: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
        let answer = world.deliver(&browser, &callback.replace(right, &format!("iss={wrong}"))).await;
        assert_eq!(answer.location(), "/auth/alpha/failed?reason=refused");
        assert_eq!(world.token_requests(), 0);
    }
}

#[tokio::test]
async fn b5_a_code_of_another_flow_does_not_fit() {
    let world = World::new();
    let (alice, mallory) = (Browser::of("alice"), Browser::of("mallory"));
    let stolen = world.until_callback(&alice, "alpha", "").await;
    let own = world.until_callback(&mallory, "alpha", "").await;
    let code = |callback: &str| crate::world::parameter(callback, "code");
    let injected = own.replace(&code(&own), &code(&stolen));
    let answer = world.deliver(&mallory, &injected).await;
    assert!(answer.location().starts_with("/auth/alpha/failed?reason="), "{answer:?}");
    assert!(world.connections("mallory").await.is_empty());
    assert_eq!(world.application.outcomes(), ["failed alpha invalid_grant"]);
}

#[tokio::test]
async fn b7_doubled_parameters() {
    for fault in [Fault::DuplicateState, Fault::DuplicateCode, Fault::DuplicateIss] {
        let (world, browser, callback) = refused(fault, 400).await;
        assert!(world.application.outcomes().is_empty());
        // Nothing was used up: the response that was meant still works.
        let (path, query) = callback.split_once('?').unwrap();
        let mut seen = Vec::new();
        let once: Vec<_> = query
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap();
                !seen.contains(&name) && {
                    seen.push(name);
                    true
                }
            })
            .collect();
        let answer = world.deliver(&browser, &format!("{path}?{}", once.join("&"))).await;
        assert_eq!(answer.location(), "/done");
    }
}

#[tokio::test]
async fn b8_code_and_error() {
    refused(Fault::CodeAndError, 400).await;
}

#[tokio::test]
async fn b9_the_users_no() {
    let world = World::new();
    let browser = Browser::of("alice");
    let denied = world.until_denied(&browser, "alpha").await;
    let answer = world.deliver(&browser, &denied).await;
    assert_eq!(answer.location(), "/auth/alpha/denied");
    let page = world.get(&browser, From::Foreign, "/auth/alpha/denied").await;
    assert!(page.is_page(200).body.contains("Alpha &amp; Co."));
    assert_eq!(world.states.len(), 0, "the state is used up");
    assert_eq!(world.application.outcomes(), ["denied alpha access_denied"]);
}

#[tokio::test]
async fn b9_another_error_of_the_provider() {
    let (world, browser, _) = refused(Fault::ServerErrorAtAuthorize, 303).await;
    assert_eq!(world.application.outcomes(), ["failed alpha authorization_failed"]);
    for reason in ["refused", "other", "sign_in_refused", "%3Cscript%3E", ""] {
        let path = format!("/auth/alpha/failed?reason={reason}");
        let page = world.get(&browser, From::Own, &path).await;
        assert!(!page.is_page(200).body.contains("<script>"));
    }
}

#[tokio::test]
async fn b10_an_error_without_a_state_of_ours() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.begin(&browser, "alpha", "").await;
    for query in [
        "error=access_denied&error_description=planted-words",
        "error=access_denied&error_description=planted-words&state=x",
        "error=access_denied&error_description=planted-words&state=",
        "",
        "code=planted-words",
    ] {
        let answer = world.deliver(&browser, &format!("/auth/alpha/callback?{query}")).await;
        world.assert_refused(&answer, 400, 0);
        assert!(!answer.body.contains("planted-words"));
    }
    assert!(world.application.outcomes().is_empty());
    assert!(!world.application.errors().concat().contains("planted-words"));
    assert_eq!(world.states.len(), 1);
}

#[tokio::test]
async fn b11_hostile_words_are_on_no_page() {
    let (world, browser, callback) = refused(Fault::HostileCallbackError, 303).await;
    assert!(callback.contains("error_description="), "{callback}");
    let words = crate::world::parameter(&callback, "error_description");
    for path in [&callback, "/auth/alpha/failed?reason=refused", "/auth/alpha/denied", "/auth"] {
        let page = world.get(&browser, From::Own, path).await;
        assert!(!page.body.contains(&words) && !page.body.contains("<script"), "{path}");
    }
}

#[tokio::test]
async fn b12_what_is_no_text() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    for broken in ["%ff", "%zz", "%00", "%", "%e2%82", "%0d%0aset-cookie:x"] {
        for query in [format!("&x={broken}"), format!("&{broken}=x")] {
            let answer = world.deliver(&browser, &format!("{callback}{query}")).await;
            world.assert_refused(&answer, 400, 0);
        }
        let answer = world.deliver(&browser, &format!("/auth/alpha/callback?state={broken}")).await;
        world.assert_refused(&answer, 400, 0);
        let answer = world.get(&browser, From::Own, &format!("/auth/alpha/callback?resume={broken}")).await;
        world.assert_refused(&answer, 400, 0);
    }
    let long = format!("{callback}&x={}", "x".repeat(60_000));
    assert_eq!(world.deliver(&browser, &long).await.location(), "/done");
}

#[tokio::test]
async fn b12_a_large_body_is_413() {
    let world = Setup::new().form_post().build();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    let (path, form) = callback.split_once('?').unwrap();
    let padded = |length: usize| format!("{form}&x={}", "x".repeat(length - form.len() - 3));
    assert_eq!(world.accounts.max_body(), 64 << 10);
    let answer = world.post(&browser, From::Foreign, path, &padded((64 << 10) + 1)).await;
    world.assert_refused(&answer, 413, 0);
    world.post(&browser, From::Own, path, &padded(64 << 10)).await.location();
}

#[tokio::test]
async fn b13_a_response_in_the_wrong_mode() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let (path, form) = callback.split_once('?').unwrap();
    for target in [path, &callback] {
        let answer = world.post(&browser, From::Own, target, form).await;
        world.assert_refused(&answer, 405, 0);
        assert_eq!(answer.header("allow"), "GET");
    }
    // The body of a GET is nobody's.
    let mut with_body = post(path, form);
    *with_body.method_mut() = Method::GET;
    let answer = world.send(&browser, From::Own, with_body).await;
    world.assert_refused(&answer, 400, 0);
    // Whoever only looks uses nothing up.
    let mut head = get(&callback);
    *head.method_mut() = Method::HEAD;
    let answer = world.send(&browser, From::Foreign, head).await;
    assert_eq!((answer.status, &*answer.body), (405, ""));
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");

    let world = Setup::new().form_post().build();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    let answer = world.get(&browser, From::Own, &callback).await;
    world.assert_refused(&answer, 400, 0);
    let (path, form) = callback.split_once('?').unwrap();
    let mut text = post(path, form);
    text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let answer = world.send(&browser, From::Own, text).await;
    world.assert_refused(&answer, 400, 0);
    assert_eq!(world.states.len(), 1);
}

#[tokio::test]
async fn b14_a_token_in_the_callback_is_not_taken() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let state = crate::world::parameter(&callback, "state");
    let injected = format!("/auth/alpha/callback?state={state}&access_token=planted-token");
    let answer = world.deliver(&browser, &format!("{injected}&iss=https%3A%2F%2Fas.example")).await;
    assert_ne!(answer.status, 200);
    assert!(world.connections("alice").await.is_empty());
    assert_eq!(world.token_requests(), 0);
    // Beside a code it is not looked at.
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let answer = world.deliver(&browser, &format!("{callback}&access_token=planted-token")).await;
    assert!(answer.status == 303 || answer.status == 400);
    assert!(!world.application.debugs().contains("planted-token"));
}

#[tokio::test]
async fn b2_an_issuer_that_is_not_asked_for_may_be_missing() {
    let mut setup = Setup::new();
    setup.iss = IssPolicy::IfPresent;
    let world = setup.build();
    let browser = Browser::of("alice");
    let url = world.begin(&browser, "alpha", "/done").await;
    world.server.fault_next(Endpoint::Authorization, Fault::MissingIss);
    let callback = world.approve(&url).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

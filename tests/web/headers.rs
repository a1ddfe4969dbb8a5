//! A18, A19, B20, B21: what every answer says, and what a request's headers cannot change.

use crate::browser::Answer;
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, OTHER, Setup, World};

judged! {
    memory:
        a18_b20_b21_every_answer_has_the_headers,
        a19_the_host_of_a_request_changes_nothing,
        b20_a_page_needs_nothing_from_anywhere,
        b20_no_page_after_a_callback_is_at_its_url;
}

/// An answer of every kind that there is, by name.
async fn every_answer<F: Framework>(world: &World<F>) -> Vec<(String, Answer)> {
    let browser = world.browser_of("alice");
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut add = |name: &str, answer: Answer| answers.push((name.to_owned(), answer));
    add("accounts, empty", browser.get("/auth").send().await);
    add("accounts, nobody", world.browser().get("/auth").send().await);
    add("connect, nobody", world.browser().get("/auth/example/connect").send().await);
    add("connect", browser.get("/auth/example/connect").send().await);
    add("connect by POST", browser.post("/auth/example/connect", &[]).send().await);
    add("connect, typed", browser.get("/auth/example/connect").from(From::Person).send().await);
    add("connect, cross-site", browser.get("/auth/example/connect").from(From::CrossSite).send().await);
    add("nothing there", browser.get("/auth/example/nothing").send().await);
    let callback = world.until_callback(&browser, Some("/done")).await;
    add("callback", world.deliver(&browser, &callback).await);
    add("callback, reloaded", world.deliver(&browser, &callback).await);
    add("callback, not accepted", world.deliver(&world.browser(), &callback).await);
    let switched = world.until_callback(&browser, None).await;
    world.sign_in(&browser, "bob");
    add("callback, another user", world.deliver(&browser, &switched).await);
    world.sign_in(&browser, "alice");
    let old = world.until_callback(&browser, None).await;
    let url = world.begin_at(OTHER, &browser, None).await;
    let denied = world.deny(&url).await;
    let answer = world.deliver(&browser, &denied).await;
    let clean = answer.location().to_owned();
    add("callback, denied", answer);
    add("denied", browser.get(&clean).send().await);
    add("callback, malformed", browser.get("/auth/example/callback?%ff").from(From::CrossSite).send().await);
    add("callback, empty", browser.get("/auth/example/callback").from(From::CrossSite).send().await);
    add("failed", browser.get("/auth/example/failed").send().await);
    add("accounts", browser.get("/auth").send().await);
    add(
        "disconnect, cross-site",
        browser.post("/auth/example/disconnect", &[]).from(From::CrossSite).send().await,
    );
    add("disconnect", browser.post("/auth/example/disconnect", &[]).send().await);
    add("disconnect, nothing there", browser.post("/auth/example/disconnect", &[]).send().await);
    add("wrong method", browser.request(http::Method::DELETE, "/auth/example/connect").send().await);
    add("too large", browser.post("/auth/example/connect", &[("x", &"x".repeat(70_000))]).send().await);
    world.clock.advance(crate::world::TTL + std::time::Duration::from_secs(1));
    add("callback, expired", world.deliver(&browser, &old).await);
    world.application.break_sessions(true);
    add("accounts, broken", browser.get("/auth").send().await);
    add("connect, broken", browser.get("/auth/example/connect").send().await);
    world.application.break_sessions(false);
    answers
}

async fn a18_b20_b21_every_answer_has_the_headers<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    for (name, answer) in every_answer(&world).await {
        assert!(answer.header("cache-control").contains("no-store"), "{name}: {answer:?}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        assert!(answer.headers.get_all("cache-control").iter().count() == 1, "{name}");
        if answer.header("content-type").starts_with("text/html") {
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{name}");
            let csp = answer.header("content-security-policy");
            for needed in
                ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"]
            {
                assert!(csp.contains(needed), "{name}: {csp}");
            }
            assert!(!csp.contains("unsafe") && !csp.contains("form-action") && !csp.contains('*'), "{csp}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{name}");
        } else {
            assert!(answer.body.is_empty() || answer.status != 200, "{name}: {answer:?}");
        }
    }
}

async fn a19_the_host_of_a_request_changes_nothing<F: Framework>(kind: Kind) {
    for setup in [Setup::new(kind).await, Setup::new(kind).await.on_loopback()] {
        let world: World<F> = setup.start().await;
        let browser = world.browser_of("alice");
        let expected: String = url::form_urlencoded::byte_serialize(
            format!("{}/auth/example/callback", world.origin).as_bytes(),
        )
        .collect();
        let lies = [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "6666"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "https://evil.example/"),
            ("x-rewrite-url", "https://evil.example/"),
            ("x-host", "evil.example"),
            ("forwarded", "host=evil.example;proto=gopher"),
        ];
        for (name, value) in lies {
            let path = world.accounts.connect_path(EXAMPLE, Some("/done"));
            let answer = browser.get(&path).header(name, value).send().await;
            let url = answer.location();
            assert!(url.contains(&format!("redirect_uri={expected}&")), "{name}: {url}");
            assert!(!url.contains("evil") && !url.contains("gopher") && !url.contains("6666"), "{url}");
            let callback = world.approve(url).await;
            let answer = browser.get(&callback).from(From::CrossSite).header(name, value).send().await;
            assert_eq!(answer.location(), "/done", "{name}");
            let page = browser.get("/auth").header(name, value).send().await;
            page.assert_page(200).assert_lacks("evil.example");
        }
        let sent = world.example.ledger().token_requests();
        assert!(
            sent.iter().all(|entry| entry.form_value("redirect_uri").unwrap().starts_with(&world.origin))
        );
    }
}

async fn b20_a_page_needs_nothing_from_anywhere<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    for (name, answer) in every_answer(&world).await {
        for loaded in
            ["<script", "src=", "<link", "<iframe", "<object", "@import", "url(", "javascript:", " onclick"]
        {
            assert!(
                !answer.body.to_ascii_lowercase().contains(loaded),
                "{name}: {loaded} in {}",
                answer.body
            );
        }
        for scheme in ["http://", "https://", "\"//"] {
            assert!(!answer.body.contains(scheme), "{name}: {scheme} in {}", answer.body);
        }
    }
}

/// Whatever was accepted ends at a URL without code and state, so that neither history nor a referrer has them.
async fn b20_no_page_after_a_callback_is_at_its_url<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let url = world.begin(&browser, None).await;
    let denied = world.deny(&url).await;
    for callback in [&callback, &denied] {
        let answer = world.deliver(&browser, callback).await;
        let location = answer.location();
        for part in ["code=", "state=", "iss=", "error=", "description"] {
            assert!(!location.contains(part), "{location}");
        }
        assert!(answer.body.is_empty(), "{answer:?}");
    }
    // No page repeats what came in, whatever is wrong with it.
    let again = world.browser().get(&callback).from(From::CrossSite).send().await;
    again.assert_page(400).assert_lacks(&crate::binding::value(&callback, "code"));
    again.assert_lacks(&crate::binding::value(&callback, "state"));
}

//! A14 and T-A5: what links or unlinks an account happens only at the wish of a page of the application's own.

use http::Method;

use crate::browser::{Browser, ELSEWHERE, Visit};
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, OTHER, Setup, World};

judged! {
    memory:
        a14_t_a5_another_site_cannot_begin_a_link,
        a14_a_typed_address_asks_first,
        a14_origin_speaks_where_sec_fetch_site_is_silent,
        a14_a_form_token_stands_for_the_origin,
        a14_a_form_token_is_of_one_user_and_one_browser,
        a14_what_a_flow_leads_to_is_nobodys_wish,
        a14_a_way_back_leads_to_no_route_that_begins_or_ends_a_flow,
        a14_signing_in_may_begin_anywhere;
    every_store:
        a14_another_site_cannot_disconnect;
}

fn connect(browser: &Browser, post: bool) -> Visit<'_> {
    if post { browser.post("/auth/example/connect", &[]) } else { browser.get("/auth/example/connect") }
}

async fn a14_t_a5_another_site_cannot_begin_a_link<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    for post in [false, true] {
        let browser = world.browser_of("alice");
        for site in ["cross-site", "same-site", "nonsense", "Same-Origin", "same-origin, cross-site"] {
            let cookies = browser.cookie_header("/");
            let visit = connect(&browser, post).header("sec-fetch-site", site).cookies(&cookies);
            let answer = visit.header("origin", ELSEWHERE).send().await;
            answer.assert_page(403);
            assert!(browser.cookies("authflow-").iter().all(|cookie| cookie.name.ends_with("-form")));
        }
        assert_eq!(connect(&browser, post).send().await.status, 303, "the application's own page can");
    }
    assert_eq!(world.example.ledger().len(), 0, "nothing of it went to the provider");
}

/// A bookmark, or what a person typed: no page can do that, and a person who is asked knows.
async fn a14_a_typed_address_asks_first<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let answer = connect(&browser, false).from(From::Person).send().await;
    answer.assert_page(200).assert_contains("method=\"post\"");
    assert!(browser.cookies("authflow-").iter().all(|cookie| cookie.name.ends_with("-form")));
    // The button on it.
    assert_eq!(connect(&browser, true).send().await.status, 303);
}

async fn a14_origin_speaks_where_sec_fetch_site_is_silent<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let silent = |origin: Option<&str>| {
        let visit = connect(&browser, true).from(From::Silent);
        match origin {
            Some(origin) => visit.header("origin", origin),
            None => visit,
        }
    };
    for good in ["https://app.example", "HTTPS://APP.EXAMPLE", "https://app.example:443"] {
        assert_eq!(silent(Some(good)).send().await.status, 303, "{good}");
    }
    let bad = [
        "https://app.example.attacker.example",
        "https://attacker.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example/",
        "https://app.example@attacker.example",
        "null",
        "",
    ];
    for bad in bad {
        assert_eq!(silent(Some(bad)).send().await.status, 403, "{bad}");
    }
    assert_eq!(silent(None).send().await.status, 403, "a browser that says neither is not believed");
    let both = silent(Some("https://app.example")).header("origin", ELSEWHERE).send().await;
    assert_eq!(both.status, 403, "two origins are none");
}

/// The form tokens that the accounts page has: one for each form.
async fn form_token(browser: &Browser) -> String {
    let page = browser.get("/auth").send().await;
    page.assert_page(200);
    let field = page.body.split("name=\"token\"").nth(1).expect("a form with a token");
    field.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn a14_a_form_token_stands_for_the_origin<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let token = form_token(&browser).await;
    let post = |token: &str| {
        let form = [("token", token)];
        browser.post("/auth/example/connect", &form).from(From::Silent)
    };
    assert_eq!(post(&token).send().await.status, 303);
    for wrong in ["", "x", &token[1..], &format!("{token}x"), &token.to_uppercase()] {
        assert_eq!(post(wrong).send().await.status, 403, "{wrong}");
    }
    let twice =
        browser.post("/auth/example/connect", &[("token", &token), ("token", "x")]).from(From::Silent);
    assert_eq!(twice.send().await.status, 403, "two tokens are none");
}

async fn a14_a_form_token_is_of_one_user_and_one_browser<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let alice = world.browser_of("alice");
    let token = form_token(&alice).await;
    let mallory = world.browser_of("mallory");
    let own = form_token(&mallory).await;
    assert_ne!(token, own);
    let with = |token: &str| {
        let visit = alice.post("/auth/example/connect", &[("token", token)]).from(From::Silent);
        async move { visit.send().await.status }
    };
    assert_eq!(with(&own).await, 403, "another browser's token");
    world.sign_in(&alice, "bob");
    assert_eq!(with(&token).await, 403, "another user's token");
    world.sign_in(&alice, "alice");
    assert_eq!(with(&token).await, 303);
}

async fn a14_another_site_cannot_disconnect<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    let path = world.path(EXAMPLE, "disconnect");
    let cookies = browser.cookie_header("/");
    for from in [From::CrossSite, From::SameSite, From::Person] {
        let answer = browser.post(&path, &[]).from(from).cookies(&cookies).send().await;
        assert_eq!(answer.status, 403, "{from:?}");
    }
    assert_eq!(browser.post(&path, &[]).from(From::Silent).send().await.status, 403);
    let get = browser.request(Method::GET, &path).send().await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);

    let revocations = |world: &World<F>| world.example.ledger().count(authflow_testkit::Endpoint::Revocation);
    assert_eq!(revocations(&world), 0);
    let answer = browser.post(&path, &[]).send().await;
    assert!(answer.location().starts_with('/'), "{answer:?}");
    assert!(world.connections_of("alice").await.is_empty());
    assert_eq!(revocations(&world), 1);
    // Another user's connection is not there for this one.
    let bob = world.browser_of("bob");
    world.connect(&bob).await;
    browser.post(&path, &[]).send().await;
    assert_eq!(world.connections_of("bob").await, [EXAMPLE]);
}

/// Whoever chose the way back of a flow has not the user's wish to begin the next one: a page that needs another provider asks.
async fn a14_what_a_flow_leads_to_is_nobodys_wish<F: Framework>(kind: Kind) {
    for is_strict in [true, false] {
        let world = World::<F>::new(kind).await;
        let browser = world.browser();
        if is_strict {
            world.sign_in_strictly(&browser, "alice");
        } else {
            world.sign_in(&browser, "alice");
        }
        let url = world.begin_at(OTHER, &browser, Some("/me")).await;
        let mut answer = world.deliver(&browser, &world.approve(&url).await).await;
        let mut from = From::CrossSite;
        while answer.status != 403 {
            let next = match answer.refresh() {
                Some(next) => {
                    from = From::Refresh;
                    next
                }
                None => answer.location().to_owned(),
            };
            assert!(next.starts_with('/'), "it begins without a question: {next}");
            answer = browser.get(&next).from(from).send().await;
        }
        assert_eq!(from == From::Refresh, is_strict);
        answer
            .assert_page(403)
            .assert_contains(&world.path(EXAMPLE, "connect"))
            .assert_contains("method=\"post\"");
        assert_eq!(world.connections_of("alice").await, [OTHER]);
        assert_eq!(world.example.ledger().len(), 0, "nothing of it went to the provider");
        // With the button it is a wish.
        assert_eq!(browser.post("/auth/example/connect", &[]).send().await.status, 303);
    }
}

async fn a14_a_way_back_leads_to_no_route_that_begins_or_ends_a_flow<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    for route in [
        "/auth/other/connect",
        "/auth/other/connect?return_to=/done",
        "/auth/x/%2e%2e/other/connect",
        "/auth//other/c%6Fnnect",
        "/auth/other/callback?resume=x",
    ] {
        let callback = world.until_callback(&browser, Some(route)).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/", "{route}");
    }
}

/// Nobody is linked to anything by it: whoever begins is asked at the provider, and signs in as themselves.
async fn a14_signing_in_may_begin_anywhere<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let browser = world.browser();
    assert_eq!(connect(&browser, false).from(From::Person).send().await.status, 303);
    // Who comes from another site comes once more, over a page of ours, so that a session is seen that was kept back.
    let once_more = connect(&browser, false).from(From::CrossSite).send().await.refresh().unwrap();
    assert_eq!(browser.get(&once_more).from(From::Refresh).send().await.status, 303);
    // Where the application offers no sign-in, there is nothing to begin.
    let world = World::<F>::new(kind).await;
    let browser = world.browser();
    for from in [From::CrossSite, From::SameOrigin] {
        connect(&browser, false).from(from).send().await.assert_page(401);
    }
    assert!(browser.cookies("authflow-").is_empty());
}

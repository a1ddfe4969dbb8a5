//! A14 and A19: who may begin and end a connection, and what a request's own headers decide.

use crate::browser::{Answer, Browser, From};
use crate::world::{Setup, World, get, parameter, post};

/// Begins nothing: no redirect, no cookie of a flow.
#[track_caller]
fn assert_asks(browser: &Browser, answer: &Answer, status: u16) {
    answer.is_page(status);
    assert!(answer.body.contains("method=\"post\""), "with a button: {}", answer.body);
    assert!(browser.flows().is_empty());
}

#[tokio::test]
async fn a14_another_site_cannot_begin_to_link() {
    let world = World::new();
    let browser = Browser::of("alice");
    let strange = From::Silent(None);
    for from in
        [From::Foreign, strange, From::Silent(Some("https://evil.example")), From::Silent(Some("null"))]
    {
        // As if the session's cookie had no SameSite at all.
        for mut request in
            [get("/auth/alpha/connect?return_to=/x"), post("/auth/alpha/connect", "return_to=/x")]
        {
            request.headers_mut().insert("cookie", "session=alice".parse().unwrap());
            let answer = world.send(&browser, from, request).await;
            assert_asks(&browser, &answer, 403);
            assert!(answer.body.contains("value=\"/x\""), "the way back is kept");
        }
    }
    let mut same_site = get("/auth/alpha/connect");
    same_site.headers_mut().insert("sec-fetch-site", "same-site".parse().unwrap());
    let answer = world.send(&browser, strange, same_site).await;
    assert_asks(&browser, &answer, 403);
    assert!(world.server.ledger().is_empty());
    assert_eq!(world.states.len(), 0);
}

#[tokio::test]
async fn a14_an_application_judges_its_own_routes_by_the_same_rule() {
    let accounts = World::new().accounts;
    for (name, value, expected) in [
        ("sec-fetch-site", "same-origin", true),
        ("origin", "https://app.example", true),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "none", false),
        ("origin", "https://evil.example", false),
        ("referer", "https://app.example/", false),
    ] {
        let request = http::Request::post("/shop/order").header(name, value).body(()).unwrap();
        assert_eq!(accounts.is_own_request(request.headers()), expected, "{name}: {value}");
    }
}

#[tokio::test]
async fn a14_a_typed_address_asks_first() {
    let world = World::new();
    let browser = Browser::of("alice");
    let answer = world.get(&browser, From::Typed, "/auth/alpha/connect").await;
    assert_asks(&browser, &answer, 200);
    let answer = world.post(&browser, From::Typed, "/auth/alpha/connect", "").await;
    assert_asks(&browser, &answer, 403);
}

#[tokio::test]
async fn a14_the_applications_own_pages_begin() {
    let world = World::new();
    let own = From::Silent(Some("https://app.example"));
    for from in [From::Own, own] {
        let browser = Browser::of("alice");
        let answer = world.post(&browser, from, "/auth/alpha/connect", "return_to=/x").await;
        assert!(answer.location().starts_with("https://as.example/authorize?"));
        world.get(&browser, from, "/auth/alpha/connect").await.location();
        assert_eq!(browser.flows().len(), 2);
    }
}

/// The token of the form on a page.
fn token_of(answer: &Answer) -> String {
    let field = answer.body.split("name=\"token\"").nth(1).expect("a form with a token");
    field.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a14_a_form_token_stands_for_the_origin() {
    let world = World::new();
    let (alice, mallory) = (Browser::of("alice"), Browser::of("mallory"));
    let token = token_of(world.get(&alice, From::Typed, "/auth").await.is_page(200));
    let again = token_of(world.get(&alice, From::Typed, "/auth/alpha/connect").await.is_page(200));
    assert_eq!(token, again, "forms in other tabs stay good");
    let foreign = token_of(&world.get(&mallory, From::Typed, "/auth").await);
    let silent = From::Silent(None);
    let form = |token: &str| format!("token={token}");
    for wrong in ["", "x", &token[1..], &foreign] {
        world.post(&alice, silent, "/auth/alpha/connect", &form(wrong)).await.is_page(403);
    }
    let double = format!("token={token}&token={token}");
    world.post(&alice, silent, "/auth/alpha/connect", &double).await.is_page(403);
    world.get(&alice, silent, &format!("/auth/alpha/connect?token={token}")).await.is_page(403);
    world.post(&alice, silent, "/auth/alpha/connect", &form(&token)).await.location();
    alice.plant("session", "bob");
    world.post(&alice, silent, "/auth/alpha/connect", &form(&token)).await.is_page(403);
    // A form is what is posted, and as one.
    alice.plant("session", "alice");
    let mut with_body = post("/auth/alpha/connect", &form(&token));
    *with_body.method_mut() = http::Method::GET;
    world.send(&alice, silent, with_body).await.is_page(403);
    let mut text = post("/auth/alpha/connect", &form(&token));
    text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    world.send(&alice, silent, text).await.is_page(403);
}

#[tokio::test]
async fn a14_the_applications_own_forms_can_have_the_token() {
    let world = World::new();
    let browser = Browser::of("alice");
    let (parts, _) = get("/").into_parts();
    let user = authflow_core::User::new("", "alice");
    let token = world.accounts.form_token(&parts, &user).unwrap();
    let cookie = token.set_cookie().unwrap().to_str().unwrap();
    let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    browser.plant(name, value);
    let form = format!("token={}", token.value());
    world.post(&browser, From::Silent(None), "/auth/alpha/connect", &form).await.location();
}

/// The cookie of the form is there after the provider's redirect, so that forms in other tabs stay good.
#[tokio::test]
async fn a14_a_page_after_the_providers_redirect_has_the_same_token() {
    let world = World::new();
    let browser = Browser::of("alice");
    let token = token_of(world.get(&browser, From::Typed, "/auth").await.is_page(200));
    world.connect(&browser, "alpha").await;
    let after = world.get(&browser, From::Foreign, "/auth?notice=connected&provider=alpha").await;
    assert_eq!(token_of(after.is_page(200)), token);
    assert!(after.headers.get("set-cookie").is_none());
    // A post from elsewhere has neither cookie.
    world
        .post(&browser, From::Foreign, "/auth/alpha/disconnect", &format!("token={token}"))
        .await
        .is_page(401);
}

/// A browser that says nothing of itself needs no further click, and comes back to where the user was.
#[tokio::test]
async fn trying_again_begins_at_once_and_leads_back() {
    let world = World::new();
    let browser = Browser::of("alice");
    let expired = world.until_callback(&browser, "alpha", "/x?y=1").await;
    world.advance(601);
    let url = world.begin(&browser, "alpha", "/x?y=1").await;
    world.server.fault_next(authflow_testkit::Endpoint::Authorization, authflow_testkit::Fault::DenyByServer);
    let denied = world.approve(&url).await;
    let denied = world.deliver(&browser, &denied).await.location().to_owned();
    assert_eq!(denied, "/auth/alpha/denied?return_to=/x%3Fy%3D1");
    let failed = world.until_callback(&browser, "alpha", "/x?y=1").await;
    world.server.fault_next(
        authflow_testkit::Endpoint::Token,
        authflow_testkit::Fault::ServerError(authflow_testkit::RetryAfter::Absent),
    );
    let failed = world.deliver(&browser, &failed).await.location().to_owned();
    for (path, status) in [(denied, 200), (failed, 200), (expired, 400)] {
        let page = world.get(&browser, From::Foreign, &path).await;
        assert!(page.is_page(status).body.contains("name=\"return_to\" value=\"/x?y=1\""), "{path}");
        let form = format!("token={}&return_to=/x?y=1", token_of(&page));
        let begun = world.post(&browser, From::Silent(None), "/auth/alpha/connect", &form).await;
        let callback = world.approve(begun.location()).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/x?y=1");
    }
    // A stranger's way back is none, and nobody's page has no token.
    let page =
        world.get(&Browser::default(), From::Foreign, "/auth/alpha/denied?return_to=//evil.example").await;
    assert!(!page.is_page(200).body.contains("<input"));
}

/// What a user wrote may be on a page of ours. Where nobody is signed in, too: it would push out the flows under way.
#[tokio::test]
async fn a14_a_picture_or_a_frame_begins_nothing() {
    for (world, browser) in
        [(World::new(), Browser::of("alice")), (Setup::new().offers_sign_in().build(), Browser::default())]
    {
        for (mode, dest) in [
            ("no-cors", "image"),
            ("navigate", "iframe"),
            ("cors", "empty"),
            ("navigate", ""),
            ("", "document"),
        ] {
            let mut request = get("/auth/alpha/connect");
            request.headers_mut().insert("sec-fetch-dest", dest.parse().unwrap());
            let answer = world.send_as(&browser, From::Own, mode, request).await;
            assert_asks(&browser, &answer, 403);
        }
        let mut request = get("/auth/alpha/connect");
        request.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
        world.send(&browser, From::Own, request).await.location();
        let script = world.send_as(&browser, From::Own, "cors", post("/auth/alpha/connect", "")).await;
        assert!(script.location().starts_with("https://as.example/authorize?"), "a form or a script of ours");
    }
}

/// A page of ours that goes on by itself makes every request one of the same origin, whoever wanted it: somebody who pressed the
/// button for one provider has not asked for the next one.
#[tokio::test]
async fn a14_what_a_flow_leads_to_is_nobodys_wish() {
    for (browser, pages) in [(Browser::strict("alice"), 1), (Browser::of("alice"), 0)] {
        let world = World::new();
        // A page of the application that needs `beta`, which another site has chosen.
        let journey = world.travel(&browser, From::Own, "/auth/alpha/connect?return_to=/inbox-beta").await;
        let asked = journey.end().is_page(403);
        assert!(asked.body.contains("/auth/beta/connect") && asked.body.contains("method=\"post\""));
        assert_eq!((journey.pages, journey.count("the callback")), (pages, 1), "{journey:?}");
        assert_eq!(world.connections("alice").await, ["alpha user-1"]);
        // With the button it is a wish, and so is a link that somebody follows.
        let form = format!("token={}&return_to=/inbox-beta", token_of(asked));
        world.post(&browser, From::Own, "/auth/beta/connect", &form).await.location();
        world.get(&browser, From::Own, "/auth/beta/connect").await.location();
        world.get(&browser, From::Safari, "/auth/beta/connect").await.location();
        world.get(&browser, From::Refresh, "/auth/beta/connect").await.is_page(403);
        // As the application's own script does that looks around once more, after a while.
        world.advance(60);
        world.get(&browser, From::Refresh, "/auth/beta/connect").await.location();
    }
    // Where no flow has ended, a page of the application that goes on by itself is its wish.
    let world = World::new();
    world.get(&Browser::of("alice"), From::Refresh, "/auth/beta/connect").await.location();
}

/// The same for somebody who is to sign in first: the page there does not go on.
#[tokio::test]
async fn a14_what_a_flow_leads_to_is_not_gone_on_with_after_a_sign_in() {
    let world = Setup::new().build_with(|builder| builder, |builder| builder.sign_in_at("/login?next="));
    let browser = Browser::strict("alice");
    let callback = world.until_callback(&browser, "alpha", "/x").await;
    assert_eq!(world.arrive(&browser, &callback).await.pages, 1);
    browser.forget("session");
    let connect = "/auth/beta/connect?return_to=/x";
    for (from, next) in
        [(From::Own, "/login?next=/auth/beta/connect%3Freturn_to%3D/x"), (From::Refresh, "/login?next=/auth")]
    {
        let page = world.get(&browser, from, connect).await;
        assert!(page.is_page(401).body.contains(&format!("href=\"{next}\"")), "{from:?}: {}", page.body);
    }
}

/// A way back to a route that begins or ends a flow would begin the next one in the user's name.
#[tokio::test]
async fn a14_a_way_back_leads_to_no_route_that_begins_or_ends_a_flow() {
    let world = World::new();
    for route in [
        "/auth/beta/connect",
        "/auth/alpha/connect?return_to=/x",
        "/auth/alpha/callback?resume=x",
        "/auth/beta/connect#x",
        "/auth/beta/connect/",
        "/auth/beta//connect",
        "/auth//beta/connect",
        "/./auth/beta/connect",
        "/auth/x/../beta/connect",
        "/auth/x/%2e%2E/beta/connect",
        "/%61uth/beta/connect",
        "/auth/%62eta/c%6Fnnect",
        "/auth/beta%2Fconnect",
        "/auth%2fbeta/x%2f..%2fconnect",
        "/auth/beta/%2e/connect",
    ] {
        let browser = Browser::of("alice");
        for path in ["/auth/alpha/connect", "/auth"] {
            let page = world.get(&browser, From::Typed, &format!("{path}?return_to={route}")).await;
            assert!(!page.is_page(200).body.contains(&format!("value=\"{route}")), "{path} {route}");
        }
        let callback = world.until_callback(&browser, "alpha", route).await;
        assert_eq!(world.arrive(&browser, &callback).await.place, "/", "{route}");
        let form = format!("return_to={}", route.replace('%', "%25").replace('#', "%23"));
        let ended = world.post(&browser, From::Own, "/auth/alpha/disconnect", &form).await;
        assert!(ended.location().starts_with("/auth?notice="), "{route}");
    }
    for good in [
        "/auth",
        "/auth/gamma/connect",
        "/auth/beta/connected",
        "/auth/connect",
        "/x/auth/beta/connect",
        "/connect?x=/auth/beta/connect",
        "/auth/beta/denied",
        "/auth/beta/more/connect",
    ] {
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", good).await;
        assert!(world.arrive(&browser, &callback).await.place.starts_with(good), "{good}");
    }
}

#[tokio::test]
async fn a14_another_site_cannot_disconnect() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    for from in [From::Foreign, From::Typed, From::Silent(None)] {
        let mut request = post("/auth/alpha/disconnect", "");
        request.headers_mut().insert("cookie", "session=alice".parse().unwrap());
        world.send(&browser, from, request).await.is_page(403);
    }
    let answer = world.get(&browser, From::Own, "/auth/alpha/disconnect").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await;
    assert_eq!(answer.location(), "/auth?notice=disconnected&provider=alpha");
    assert!(world.connections("alice").await.is_empty());
}

/// A browser keeps a `Lax` session back from what another site posts: nobody seems to be signed in, and somebody is. Without being
/// asked they would be signed in as whoever the account belongs to.
#[tokio::test]
async fn a14_another_site_cannot_post_a_sign_in_over_a_session() {
    let world = Setup::new().offers_sign_in().build();
    let alice = Browser::of("alice");
    let seen_by_none = Browser::default();
    for (browser, from) in
        [(&alice, From::Foreign), (&seen_by_none, From::Silent(Some("https://evil.example")))]
    {
        let asked = world.post(browser, from, "/auth/alpha/connect", "return_to=/x").await;
        assert!(asked.is_page(403).body.contains("method=\"post\""), "{from:?}");
    }
    assert!(alice.flows().is_empty());
    assert_eq!(world.states.len(), 0);
    // The button is a page's of ours: who is signed in is seen, and links.
    world.post(&alice, From::Own, "/auth/alpha/connect", "return_to=/x").await.location();
    let journey = world.travel(&alice, From::Own, "/auth/alpha/connect").await;
    assert_eq!(world.connections("alice").await, ["alpha user-1"], "{journey:?}");
    // Who is not begins to sign in.
    world.post(&Browser::default(), From::Own, "/auth/alpha/connect", "").await.location();
}

/// The same for a link, where the session is `Strict`.
#[tokio::test]
async fn a14_another_site_cannot_lead_to_a_sign_in_over_a_session() {
    let world = Setup::new().offers_sign_in().build();
    let alice = Browser::strict("alice");
    let page = world.get(&alice, From::Foreign, "/auth/alpha/connect?return_to=/x").await;
    let once_more = page.refresh().expect("a page that goes on");
    let asked = world.get(&alice, From::Refresh, &once_more).await;
    assert!(asked.is_page(403).body.contains("method=\"post\"") && asked.body.contains("value=\"/x\""));
    assert!(alice.flows().is_empty());
    assert_eq!(world.states.len(), 0);
    let form = format!("token={}&return_to=/x", token_of(&asked));
    let callback = world.post(&alice, From::Own, "/auth/alpha/connect", &form).await;
    let callback = world.approve(callback.location()).await;
    world.arrive(&alice, &callback).await;
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    // What is pressed on a page of the application is a wish, and what goes on by itself to there is none.
    world.get(&alice, From::Own, "/auth/beta/connect").await.location();
    world.get(&alice, From::Own, "/auth/beta/connect?again=1").await.is_page(403);
}

#[tokio::test]
async fn a14_a_sign_in_may_begin_anywhere_where_it_is_offered() {
    let world = Setup::new().offers_sign_in().build();
    for from in [From::Typed, From::Silent(None)] {
        world.get(&Browser::default(), from, "/auth/alpha/connect").await.location();
    }
    // Who comes from another site comes once more, with all cookies.
    for path in
        ["/auth/alpha/connect", "/auth/alpha/connect?return_to=/x%26again%3D2", "/auth/alpha/connect?again=1"]
    {
        let browser = Browser::default();
        let once_more =
            world.get(&browser, From::Foreign, path).await.refresh().expect("a page that goes on");
        assert!(browser.flows().is_empty());
        world.get(&browser, From::Refresh, &once_more).await.location();
        assert_eq!(browser.flows().len(), 1);
    }
    let world = World::new();
    let browser = Browser::default();
    for from in [From::Own, From::Foreign] {
        world.get(&browser, from, "/auth/alpha/connect").await.is_page(401);
    }
    assert!(browser.flows().is_empty());
    assert_eq!(world.states.len(), 0);
}

#[tokio::test]
async fn a19_the_redirect_uri_comes_from_the_configuration() {
    let world = World::new();
    let browser = Browser::of("alice");
    let mut request = get("/auth/alpha/connect?redirect_uri=https://evil.example/&host=evil.example");
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/evil"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = world.send(&browser, From::Own, request).await;
    assert_eq!(parameter(answer.location(), "redirect_uri"), "https://app.example/auth/alpha/callback");
    // State and challenge are drawn, and may spell a short word.
    assert!(!answer.location().contains("evil.example"));
    assert!(browser.flows()[0].0.starts_with("__Host-"));
    let callback = world.approve(answer.location()).await;
    world.deliver(&browser, &callback).await.location();
    let sent = world.server.ledger().token_requests().remove(0);
    assert_eq!(sent.form_value("redirect_uri"), Some("https://app.example/auth/alpha/callback"), "b16");
}

//! The accounts page, the routes, and disconnecting.

use authflow_core::User;
use authflow_testkit::{Endpoint, Fault, RetryAfter};
use http::Method;

use crate::browser::{Browser, From};
use crate::world::{Setup, World, get, post};

#[tokio::test]
async fn the_page_shows_what_is_connected_and_no_token() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    let page = world.get(&browser, From::Typed, "/auth").await;
    page.is_page(200);
    for part in ["Alpha &amp; Co.", "user-1", "read", "/auth/alpha/disconnect", "/auth/beta/connect"] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    for request in world.server.ledger().token_requests() {
        for issued in request.issued() {
            assert!(!page.body.contains(issued.value()));
        }
    }
    let other = world.get(&Browser::of("bob"), From::Typed, "/auth").await;
    assert!(!other.is_page(200).body.contains("user-1"));
    world.get(&browser, From::Typed, "/auth/").await.is_page(200);
    assert_eq!(world.accounts.base(), "/auth");
}

#[tokio::test]
async fn the_page_says_until_when_nothing_is_renewed() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    let shows =
        async |text: &str| world.get(&browser, From::Typed, "/auth").await.is_page(200).body.contains(text);
    let paused = "cannot renew it just now. The next try is after <time";
    assert!(!shows(paused).await);
    let listing = world.accounts.connections().list(&User::new("", "alice")).await.unwrap();
    world.server.fault_next(Endpoint::Token, Fault::Unavailable(RetryAfter::Seconds(600)));
    world.accounts.connections().refresh_now(&listing.connections[0].key).await.unwrap_err();
    assert!(shows(paused).await);
    world.advance(600);
    assert!(!shows(paused).await);
}

#[tokio::test]
async fn a_notice_is_a_fixed_sentence() {
    let world = World::new();
    let browser = Browser::of("alice");
    let plain = world.get(&browser, From::Typed, "/auth").await.body;
    let noted = world.get(&browser, From::Typed, "/auth?notice=disconnected&provider=alpha").await;
    assert_ne!(noted.is_page(200).body, plain);
    for strange in
        ["notice=x&provider=alpha", "notice=disconnected&provider=gone", "notice=disconnected", "x"]
    {
        assert_eq!(
            world.get(&browser, From::Typed, &format!("/auth?{strange}")).await.body,
            plain,
            "{strange}"
        );
    }
    let callback = world.until_callback(&browser, "alpha", "/auth").await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/auth?notice=connected&provider=alpha");
}

#[tokio::test]
async fn one_of_several_accounts_is_disconnected() {
    let world = World::new();
    let browser = Browser::of("alice");
    for account in ["one", "two", "three"] {
        world.server.sign_in(account);
        world.advance(1);
        world.connect(&browser, "alpha").await;
    }
    assert_eq!(world.connections("alice").await, ["alpha one", "alpha three", "alpha two"]);
    let disconnect = async |form: &str| {
        let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", form).await;
        answer.location().to_owned()
    };
    assert_eq!(disconnect("account=two").await, "/auth?notice=disconnected&provider=alpha");
    assert_eq!(world.connections("alice").await, ["alpha one", "alpha three"]);
    // Without a name it is the one that a handler would get.
    disconnect("").await;
    assert_eq!(world.connections("alice").await, ["alpha one"]);
    // An empty name is that of an account that is not known.
    assert_eq!(disconnect("account=").await, "/auth?notice=was_not_connected&provider=alpha");
    assert_eq!(disconnect("account=two").await, "/auth?notice=was_not_connected&provider=alpha");
    assert_eq!(world.connections("alice").await, ["alpha one"]);
    assert_eq!(
        world.application.outcomes()[3..],
        [
            "disconnected alpha two true",
            "disconnected alpha three true",
            "disconnected alpha  true",
            "disconnected alpha two true"
        ]
    );
    // Somebody else's is not there.
    let other = Browser::of("bob");
    world.post(&other, From::Own, "/auth/alpha/disconnect", "account=one").await.location();
    assert_eq!(world.connections("alice").await, ["alpha one"]);
}

/// What names an account and cannot be read names another than the one that was connected last.
#[tokio::test]
async fn a_disconnect_that_is_not_understood_ends_nothing() {
    let world = World::new();
    let browser = Browser::of("alice");
    for account in ["one", "two"] {
        world.server.sign_in(account);
        world.advance(1);
        world.connect(&browser, "alpha").await;
    }
    let (path, form) = ("/auth/alpha/disconnect", "application/x-www-form-urlencoded");
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"account\"\r\n\r\none\r\n--x--\r\n";
    let in_query = "/auth/alpha/disconnect?account=one";
    let with = |path: &str, name: &'static str, value: &str, body: &str| {
        let mut request = post(path, body);
        request.headers_mut().remove("content-type");
        request.headers_mut().append("content-type", form.parse().unwrap());
        request.headers_mut().append(name, value.parse().unwrap());
        request
    };
    let typed = |path: &str, media_type: &str, body: &str| {
        let mut request = post(path, body);
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        request
    };
    let mut untyped = post(path, "account=one");
    untyped.headers_mut().remove("content-type");
    for (request, status) in [
        (typed(path, "multipart/form-data; boundary=x", multipart), 415),
        (typed(path, "application/json", "{\"account\":\"one\"}"), 415),
        (typed(path, "text/plain", "account=one"), 415),
        (untyped, 415),
        (with(path, "content-type", "multipart/form-data; boundary=x", multipart), 415),
        (with(path, "content-encoding", "gzip", "\u{1f}packed"), 415),
        (typed(in_query, "text/plain", "account=two"), 415),
        (post(path, "account=one&account=two"), 400),
        (post(path, "account=two&%61ccount=two"), 400),
        (post(in_query, ""), 400),
        (post(in_query, "return_to=/x"), 400),
        (post(in_query, "account=two"), 400),
        (typed(in_query, "multipart/form-data; boundary=x", ""), 400),
    ] {
        let shown = format!("{request:?}");
        let answer = world.send(&browser, From::Own, request).await;
        assert_eq!(world.connections("alice").await, ["alpha one", "alpha two"], "{shown}");
        answer.is_page(status);
        assert!(answer.body.contains("Nothing was disconnected"), "{shown}");
    }
    assert_eq!(world.application.outcomes(), ["connected alpha", "connected alpha"]);
    assert_eq!(world.application.errors().len(), 13, "whoever wrote the form is told");
    // Where no account is named there is nothing to read.
    let empty = typed("/auth/alpha/disconnect?return_to=/x", "text/plain", "");
    assert_eq!(world.send(&browser, From::Own, empty).await.location(), "/x");
    assert_eq!(world.connections("alice").await, ["alpha one"]);
    let encoded = with(path, "content-encoding", "identity", "accounts=two&return_to=/x");
    assert_eq!(world.send(&browser, From::Own, encoded).await.location(), "/x");
    assert!(world.connections("alice").await.is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_be_told_is_said() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    world.server.fault_next(Endpoint::Revocation, Fault::Unavailable(RetryAfter::Absent));
    let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await;
    assert_eq!(answer.location(), "/auth?notice=disconnected_here&provider=alpha");
    assert!(world.connections("alice").await.is_empty());
}

#[tokio::test]
async fn what_is_no_route_is_404_and_what_is_no_method_405() {
    let world = World::new();
    let browser = Browser::of("alice");
    for path in [
        "/",
        "/authx",
        "/auth/",
        "/auth/alpha",
        "/auth/alpha/",
        "/auth/gone/connect",
        "/auth/alpha/other",
        "/auth/alpha/connect/",
        "/auth//connect",
        "/auth/Alpha/connect",
        "/auth/%61lpha/other",
        "/auth/%ff/connect",
    ] {
        let answer = world.get(&browser, From::Own, path).await;
        answer.is_page(if path == "/auth/" { 200 } else { 404 });
    }
    world.get(&browser, From::Own, "/auth/%61lpha/connect").await.location();
    for (path, allowed) in [
        ("/auth", "GET, HEAD"),
        ("/auth/alpha/denied", "GET, HEAD"),
        ("/auth/alpha/failed", "GET, HEAD"),
        ("/auth/alpha/connect", "GET, POST"),
        ("/auth/alpha/callback", "GET, POST"),
        ("/auth/alpha/disconnect", "POST"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS]
        {
            let mut request = post(path, "");
            *request.method_mut() = method.clone();
            let answer = world.send(&browser, From::Own, request).await;
            if allowed.split(", ").any(|known| known == method.as_str()) {
                // A query was asked for here.
                let is_posted_callback = path.ends_with("callback") && method == Method::POST;
                assert_eq!(answer.status == 405, is_posted_callback, "{method} {path}");
            } else {
                assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
            }
            assert!(method != Method::HEAD || answer.body.is_empty());
        }
    }
    let mut head = get("/auth");
    *head.method_mut() = Method::HEAD;
    assert_eq!(world.send(&browser, From::Own, head).await.status, 200);
}

/// RFC 9110 §8.6: HEAD says how long the body is that GET has.
#[tokio::test]
async fn head_says_how_long_a_page_is() {
    let world = World::new();
    let browser = Browser::of("alice");
    for (path, status) in [("/auth", 200), ("/auth/alpha/denied", 200), ("/auth/gone", 404), ("/authx", 404)]
    {
        let page = world.get(&browser, From::Own, path).await;
        let mut head = get(path);
        *head.method_mut() = Method::HEAD;
        let head = world.send(&browser, From::Own, head).await;
        assert_eq!((head.status, &*head.body), (status, ""), "{path}");
        assert_eq!(head.header("content-length"), page.is_page(status).body.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn the_routes_may_be_at_the_root() {
    let mut setup = Setup::new();
    setup.public_url = "https://app.example/";
    let world = setup.build();
    assert_eq!(world.accounts.base(), "");
    let browser = Browser::of("alice");
    assert_eq!(world.accounts.connect_path("alpha", None), "/alpha/connect");
    world.connect(&browser, "alpha").await.location();
    let page = world.get(&browser, From::Typed, "/").await;
    assert!(page.is_page(200).body.contains("\"/alpha/disconnect\""));
    let answer = world.post(&browser, From::Own, "/alpha/disconnect", "").await;
    assert_eq!(answer.location(), "/?notice=disconnected&provider=alpha");
}

#[tokio::test]
async fn providers_are_in_the_order_of_their_names() {
    for (name, order) in [("aaa", ["alpha", "beta"]), ("Zeta", ["beta", "alpha"]), ("B", ["alpha", "beta"])] {
        let world =
            Setup::new().build_with(|builder| builder, |builder| builder.provider_name("alpha", name));
        let page = world.get(&Browser::of("alice"), From::Typed, "/auth").await;
        let [first, second] = order.map(|id| page.body.find(&format!("/auth/{id}/connect")).unwrap());
        assert!(first < second, "{name}");
    }
}

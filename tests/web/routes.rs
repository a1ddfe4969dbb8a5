//! Which paths and methods there are, how much is read, and what a configuration that cannot work is told.

use authflow::{
    ClientCredentials, ConfiguredProvider, Connections, Flow, MemoryStateStore, MemoryTokenStore, Provider,
};
use authflow_testkit::LoopbackClient;
use authflow_web::Accounts;
use http::Method;

use crate::application::TestApplication;
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, World};

judged! {
    memory:
        an_unknown_path_is_404,
        a_wrong_method_is_405_and_says_which_are_right,
        a_body_that_is_too_large_is_413,
        the_routes_may_be_at_the_root,
        the_routes_may_be_deep,
        who_is_not_signed_in_is_led_to_sign_in_and_comes_back;
}

async fn an_unknown_path_is_404<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    for path in [
        "/auth/nobody/connect",
        "/auth/nobody/callback?code=x&state=y",
        "/auth/example",
        "/auth/example/",
        "/auth/example/nothing",
        "/auth/example/connect/more",
        "/auth/Example/connect",
        "/auth/example/Connect",
        "/auth/%65xample/nothing",
        "/auth//connect",
        "/auth/../auth/nothing/x",
        "/authx",
        "/",
    ] {
        let answer = browser.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(world.example.ledger().len(), 0);
}

async fn a_wrong_method_is_405_and_says_which_are_right<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let routes = [
        ("/auth", &["GET"][..]),
        ("/auth/example/connect", &["GET", "POST"]),
        ("/auth/example/callback", &["GET", "POST"]),
        ("/auth/example/disconnect", &["POST"]),
        ("/auth/example/denied", &["GET"]),
        ("/auth/example/failed", &["GET"]),
    ];
    for (path, right) in routes {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
        {
            if right.contains(&method.as_str()) {
                continue;
            }
            let answer = browser.request(method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            let allow = answer.header("allow");
            // For a callback it is the mode that the provider was asked for that counts.
            assert!(allow.split(", ").any(|allowed| right.contains(&allowed)), "{method} {path}: {allow:?}");
            assert!(answer.header("cache-control").contains("no-store"), "{method} {path}");
        }
    }
}

async fn a_body_that_is_too_large_is_413<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let (path, query) = callback.split_once('?').unwrap();
    let padded = |size: usize| {
        let mut form = query.to_owned();
        form.push_str("&padding=");
        form.push_str(&"x".repeat(size - form.len()));
        form.into_bytes()
    };
    for size in [(64 << 10) + 1, 1 << 20] {
        for path in [path, "/auth/example/connect", "/auth/example/disconnect"] {
            let post = browser
                .request(Method::POST, path)
                .header("content-type", "application/x-www-form-urlencoded");
            // A server may also close the connection on whoever goes on sending.
            if let Ok(answer) = post.body(padded(size)).try_send().await {
                assert_eq!(answer.status, 413, "{path}, {size} bytes: {answer:?}");
            }
            assert_eq!(world.token_requests(), 0);
        }
    }
    // Up to the limit it is read, and the flow is as it was.
    let post = browser.request(Method::POST, path).from(From::SameOrigin);
    let post = post.header("content-type", "application/x-www-form-urlencoded").body(padded(64 << 10));
    assert_eq!(post.send().await.location(), "/done");
}

async fn the_routes_may_be_at_the_root<F: Framework>(kind: Kind) {
    let mut setup = Setup::new(kind).await;
    setup.base = "";
    let world: World<F> = setup.start().await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    browser.get("/").send().await.assert_page(200).assert_contains("/example/disconnect");
    assert_eq!(browser.get("/me").send().await.status, 200);
}

async fn the_routes_may_be_deep<F: Framework>(kind: Kind) {
    let mut setup = Setup::new(kind).await;
    setup.base = "/a/b-c/accounts";
    let world: World<F> = setup.start().await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    browser.get("/a/b-c/accounts").send().await.assert_page(200);
    assert_eq!(world.path(EXAMPLE, "connect"), "/a/b-c/accounts/example/connect");
    assert_eq!(browser.get("/auth").send().await.status, 404);
}

/// The application has its own way to sign in, and a page for it.
async fn who_is_not_signed_in_is_led_to_sign_in_and_comes_back<F: Framework>(kind: Kind) {
    let mut setup = Setup::new(kind).await;
    setup.sign_in_at = Some("/login?next=");
    let world: World<F> = setup.start().await;
    let browser = world.browser();
    let page = browser.get("/auth").send().await;
    page.assert_page(401).assert_contains("<a href=\"/login?next=/auth\"");
    let foreign = browser.get("/auth/example/connect").from(From::CrossSite).send().await;
    foreign.assert_page(401).assert_contains("<a href=\"/login?next=/auth\"");
    // A handler sends a person there, and a program is told.
    let person = browser.get("/me?tab=2").send().await;
    assert_eq!(person.location(), "/login?next=/me%3Ftab%3D2");
    let program = browser.get("/me").by_script().send().await;
    assert_eq!(program.status, 401);
    program.assert_contains("\"sign_in\":\"/login?next=/\"");
    // Whoever pressed *Connect* goes on after the sign-in.
    let connect = world.accounts.connect_path(EXAMPLE, Some("/done"));
    let page = browser.get(&connect).send().await;
    page.assert_page(401);
    let next = page.body.split("/login?").nth(1).unwrap().split('"').next().unwrap();
    let next = url::form_urlencoded::parse(next.as_bytes()).next().unwrap().1.into_owned();
    assert_eq!(next, connect);
    world.sign_in(&browser, "alice");
    let begun = browser.get(&next).send().await;
    let callback = world.approve(begun.location()).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
}

fn build(public_url: &str, redirect_uri: &str) -> Result<Accounts, String> {
    let provider = Provider::builder("example")
        .authorization_endpoint("https://provider.example/authorize")
        .token_endpoint("https://provider.example/token")
        .build()
        .unwrap();
    let credentials = ClientCredentials::public("client").redirect_uri(redirect_uri);
    let manager = ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new()).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    let connections = Connections::builder().flow(flow).token_store(MemoryTokenStore::new()).build().unwrap();
    let accounts = Accounts::builder(connections, public_url, TestApplication::default());
    accounts.build().map_err(|error| error.to_string())
}

/// Each provider has a callback of its own, so that two of them are never mixed up (RFC 9700 §4.4.2).
#[tokio::test]
async fn b3_a_provider_needs_its_own_callback_registered() {
    assert!(build("https://app.example/auth", "https://app.example/auth/example/callback").is_ok());
    assert!(build("https://app.example", "https://app.example/example/callback").is_ok());
    for wrong in [
        "https://app.example/auth/callback",
        "https://app.example/auth/other/callback",
        "https://app.example/auth/example/callback/",
        "https://www.app.example/auth/example/callback",
    ] {
        let error = build("https://app.example/auth", wrong).unwrap_err();
        assert!(
            error.contains("https://app.example/auth/example/callback"),
            "it says what to register: {error}"
        );
    }
}

#[tokio::test]
async fn a19_a_public_url_that_cannot_be_safe_is_refused() {
    for wrong in [
        "http://app.example/auth",
        "http://192.0.2.1/auth",
        "https://app.example/auth?x=1",
        "https://app.example/auth#x",
        "https://user@app.example/auth",
        "https://user:password@app.example/auth",
        "app.example/auth",
        "/auth",
        "",
        "javascript:alert(1)",
        "ftp://app.example/auth",
    ] {
        assert!(build(wrong, "https://app.example/auth/example/callback").is_err(), "{wrong}");
    }
    for loopback in ["http://127.0.0.1:3000/auth", "http://[::1]:3000/auth", "http://localhost:3000/auth"] {
        assert!(build(loopback, &format!("{loopback}/example/callback")).is_ok(), "{loopback}");
    }
}

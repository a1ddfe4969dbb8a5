//! B11 and T-A8: whatever comes in, a page shows nothing of it unescaped; and what the pages say.

use authflow_testkit::{Endpoint, Fault};

use crate::binding::value;
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, OTHER, Setup, World};

judged! {
    memory:
        b11_t_a8_a_hostile_error_text_is_in_no_page,
        b11_nothing_of_an_address_is_in_a_page_as_it_came,
        accounts_page_of_nobody,
        head_is_a_get_without_a_body;
    every_store:
        accounts_page_shows_connections_and_no_token,
        accounts_page_is_of_its_user_alone;
}

async fn b11_t_a8_a_hostile_error_text_is_in_no_page<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.example.fault_next(Endpoint::Authorization, Fault::HostileCallbackError);
    let callback = world.until_callback(&browser, Some("/done")).await;
    let answer = world.deliver(&browser, &callback).await;
    assert_eq!(world.token_requests(), 0);
    let location = answer.location().to_owned();
    let page = browser.get(&location).send().await;
    page.assert_page(page.status);
    let own = "<script>alert(1)</script>\r\n\u{1b}[31m\u{202e}\u{0}";
    for text in [own, "javascript:", "</h1>", "'\"><img"] {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let callback = world.until_callback(&browser, None).await;
        let (path, _) = callback.split_once('?').unwrap();
        let hostile = format!(
            "{path}?error=access_denied&error_description={encoded}&error_uri={encoded}&state={}&iss={}",
            value(&callback, "state"),
            value(&callback, "iss"),
        );
        let answer = world.deliver(&browser, &hostile).await;
        answer.assert_lacks("<script").assert_lacks("javascript:").assert_lacks("<img");
        if answer.status == 303 {
            let page = browser.get(answer.location()).send().await;
            page.assert_page(page.status);
            for part in ["<script", "alert", "javascript:", "<img", "\u{1b}", "\u{202e}", "\u{0}"] {
                page.assert_lacks(part);
            }
        }
    }
}

async fn b11_nothing_of_an_address_is_in_a_page_as_it_came<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let hostile = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27";
    for path in [
        format!("/auth/{hostile}/connect"),
        format!("/auth/example/{hostile}"),
        format!("/auth/example/failed?reason={hostile}"),
        format!("/auth/example/denied?reason={hostile}&provider={hostile}"),
        format!("/auth/example/callback?resume={hostile}"),
        format!("/auth/example/callback?resume={hostile}&again=1"),
        format!("/auth/{hostile}/failed?reason=x"),
        format!("/auth?error={hostile}&account={hostile}"),
        format!("/auth/example/connect?return_to={hostile}"),
    ] {
        for from in [From::SameOrigin, From::CrossSite, From::Person] {
            let answer = browser.get(&path).from(from).send().await;
            assert!(answer.status < 500, "{path}: {answer:?}");
            answer.assert_lacks("<script").assert_lacks("alert(1)\"");
        }
    }
    // On the page that asks, a return_to comes back inside an attribute.
    let quoted = "/x?y=%22%3E%3Cscript%3E";
    let encoded: String = url::form_urlencoded::byte_serialize(quoted.as_bytes()).collect();
    let page =
        browser.get(&format!("/auth/example/connect?return_to={encoded}")).from(From::Person).send().await;
    page.assert_page(200).assert_lacks("\"><script");
}

async fn accounts_page_shows_connections_and_no_token<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let empty = browser.get("/auth").send().await;
    empty.assert_page(200).assert_contains(&world.path(EXAMPLE, "connect"));
    empty.assert_contains(&world.path(OTHER, "connect")).assert_lacks("/disconnect");
    world.connect(&browser).await;
    let page = browser.get("/auth").send().await;
    page.assert_page(200).assert_contains(&world.path(EXAMPLE, "disconnect"));
    page.assert_contains(&world.path(OTHER, "connect")).assert_contains("offline_access");
    for entry in world.example.ledger().entries() {
        for issued in entry.issued() {
            page.assert_lacks(issued.value());
        }
    }
    let with_slash = browser.get("/auth/").send().await;
    assert!(with_slash.status < 500);
}

async fn accounts_page_of_nobody<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    world.browser().get("/auth").send().await.assert_page(401);
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let page = world.browser().get("/auth").send().await;
    page.assert_page(page.status).assert_contains(&world.path(EXAMPLE, "connect"));
}

async fn accounts_page_is_of_its_user_alone<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    world.connect(&world.browser_of("acme/alice")).await;
    for other in ["acme/bob", "globex/alice", "acme/Alice"] {
        let page = world.browser_of(other).get("/auth").send().await;
        page.assert_page(200).assert_lacks(&world.path(EXAMPLE, "disconnect"));
    }
}

async fn head_is_a_get_without_a_body<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    for path in ["/auth", "/auth/example/denied", "/auth/example/failed"] {
        let head = browser.request(http::Method::HEAD, path).send().await;
        let get = browser.get(path).send().await;
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "content-security-policy", "cache-control", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
        assert_eq!(get.header("content-length"), get.body.len().to_string(), "{path}");
    }
    // It begins nothing, and ends nothing.
    let head = browser.request(http::Method::HEAD, "/auth/example/connect").send().await;
    assert!(head.status != 303, "{head:?}");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let head = browser.request(http::Method::HEAD, &callback).from(From::CrossSite).send().await;
    assert!(head.status != 303 && world.token_requests() == 0, "{head:?}");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

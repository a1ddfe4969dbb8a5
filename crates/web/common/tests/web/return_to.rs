//! B16 to B21: where the browser goes, and what an address, a header or a parameter gives away.

use crate::browser::{Browser, From};
use crate::world::{World, parameter};

#[tokio::test]
async fn b17_a_foreign_return_to_is_not_taken() {
    let world = World::new();
    for foreign in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/./..//evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/\u{0}",
        "/a\nb",
        "/\u{2025}/evil.example",
    ] {
        let browser = Browser::of("alice");
        let path = world.accounts.connect_path("alpha", Some(foreign));
        let url = world.get(&browser, From::Own, &path).await.location().to_owned();
        let callback = world.approve(&url).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/", "{foreign:?}");
        let form: String = url::form_urlencoded::byte_serialize(foreign.as_bytes()).collect();
        let form = format!("return_to={form}");
        let url = world.post(&browser, From::Own, "/auth/alpha/connect", &form).await.location().to_owned();
        let callback = world.approve(&url).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/", "{foreign:?}");
        let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", &form).await;
        assert!(answer.location().starts_with("/auth?notice="), "b18: {foreign:?}");
    }
    let browser = Browser::of("alice");
    let double = "/auth/alpha/connect?return_to=/a&return_to=/b";
    let url = world.get(&browser, From::Own, double).await.location().to_owned();
    let callback = world.approve(&url).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/");
}

#[tokio::test]
async fn b17_the_form_comes_before_the_query() {
    let world = World::new();
    let browser = Browser::of("alice");
    for (path, form, expected) in [
        ("/auth/alpha/connect?return_to=/query", "return_to=/form", "/form"),
        ("/auth/alpha/connect?return_to=/query", "", "/query"),
    ] {
        let url = world.post(&browser, From::Own, path, form).await.location().to_owned();
        let callback = world.approve(&url).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), expected);
    }
    let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", "return_to=/bye").await;
    assert_eq!(answer.location(), "/bye");
}

#[tokio::test]
async fn b19_nothing_of_the_query_is_a_parameter_of_the_protocol() {
    let world = World::new();
    let browser = Browser::of("alice");
    let plain = world.begin(&browser, "alpha", "").await;
    let names = |url: &str| {
        let query = url.split_once('?').unwrap().1;
        url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect::<Vec<_>>()
    };
    let path = "/auth/alpha/connect?scope=write&redirect_uri=https://evil.example&state=planted&code_challenge=planted\
                &login_hint=planted&prompt=none&response_type=token&client_id=planted\
                &return_to=/x%3Fscope%3Dwrite%26redirect_uri%3Dplanted";
    let url = world.get(&browser, From::Own, path).await.location().to_owned();
    assert_eq!(names(&url), names(&plain));
    assert_eq!(url.matches("planted").count(), 1, "what the application says is there: {url}");
    assert_eq!(parameter(&url, "login_hint"), "planted-hint");
    assert_eq!(parameter(&url, "scope"), "read", "the application chose");
    let callback = world.approve(&url).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/x?scope=write&redirect_uri=planted");
}

#[tokio::test]
async fn b20_code_and_state_stay_in_no_address() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let secrets = [parameter(&callback, "code"), parameter(&callback, "state")];
    let answer = world.deliver(&browser, &callback).await;
    answer.location();
    for secret in &secrets {
        assert!(!format!("{answer:?}").contains(secret));
        assert!(!format!("{:?} {}", browser, world.application.debugs()).contains(secret));
    }
    let debug = format!("{:?} {:?}", world.accounts, world.application.errors());
    assert!(secrets.iter().all(|secret| !debug.contains(secret)));
}

/// The URL with the state and the cookie with the secret are in no log of headers.
#[tokio::test]
async fn h1_headers_with_secrets_are_marked() {
    let world = World::new();
    let browser = Browser::of("alice");
    let answer = world.get(&browser, From::Own, "/auth/alpha/connect").await;
    let state = parameter(answer.location(), "state");
    let value = browser.flows().remove(0).1;
    let debug = format!("{:?}", answer.headers);
    assert!(!debug.contains(&state) && !debug.contains(&value), "{debug}");
}

#[tokio::test]
async fn b21_a_page_that_others_render_is_in_no_frame_either() {
    struct Careless(&'static str);
    impl authflow_web::Pages for Careless {
        fn render(&self, _: &authflow_web::Page<'_>) -> String {
            "<h1>Mine</h1>".to_owned()
        }

        fn content_security_policy(&self) -> String {
            self.0.to_owned()
        }
    }
    for (policy, expected) in [
        ("default-src 'self'", "default-src 'self'; frame-ancestors 'none'"),
        ("frame-ancestors 'self'", "frame-ancestors 'self'"),
        ("a\nb", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ] {
        let world = crate::world::Setup::new().build_with(|it| it, |builder| builder.pages(Careless(policy)));
        let answer = world.get(&Browser::of("alice"), From::Own, "/auth").await;
        assert_eq!(answer.header("content-security-policy"), expected);
        assert_eq!(answer.body, "<h1>Mine</h1>");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
}

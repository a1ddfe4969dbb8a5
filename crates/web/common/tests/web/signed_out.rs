//! Who is not signed in is led to the application's own sign-in, and comes back.

use http::request::Parts;
use http::{HeaderValue, Request};

use crate::browser::{Answer, Browser, From};
use crate::world::{Setup, World, get, parameter};

fn leading_to(path: &'static str) -> World {
    Setup::new().build_with(|builder| builder, |builder| builder.sign_in_at(path))
}

fn world() -> World {
    leading_to("/login?next=")
}

/// Where the button leads.
#[track_caller]
fn sign_in(answer: &Answer) -> &str {
    answer.is_page(401);
    let links: Vec<_> = answer.body.split("<a href=\"").skip(1).collect();
    let [link] = links[..] else { panic!("one link: {}", answer.body) };
    link.split('"').next().unwrap()
}

#[tokio::test]
async fn who_pressed_connect_signs_in_and_goes_on() {
    let world = world();
    let path = world.accounts.connect_path("alpha", Some("/x?y=1&z"));
    let expected = "/login?next=/auth/alpha/connect%3Freturn_to%3D/x%253Fy%253D1%2526z";
    let browser = Browser::default();
    let asked = world.get(&browser, From::Own, &path).await;
    assert_eq!(sign_in(&asked), expected);
    let posted = world.post(&browser, From::Own, "/auth/alpha/connect", "return_to=/x?y=1%26z").await;
    assert_eq!(sign_in(&posted), expected);
    assert!(browser.flows().is_empty());
    let back = parameter(expected, "next");
    assert_eq!(back, path);
    // The sign-in's redirect is the application's own, to a browser.
    browser.plant("session", "alice");
    let begun = world.get(&browser, From::Own, &back).await;
    let callback = world.approve(begun.location()).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/x?y=1&z");
}

/// Nobody else's link becomes a wish by a sign-in: the page there asks.
#[tokio::test]
async fn a14_what_another_site_asked_for_is_not_gone_on_with() {
    let world = world();
    let browser = Browser::default();
    let connect = "/auth/alpha/connect?return_to=/x";
    for from in [From::Foreign, From::Typed, From::Silent(None), From::Silent(Some("https://evil.example"))] {
        assert_eq!(sign_in(&world.get(&browser, from, connect).await), "/login?next=/auth", "{from:?}");
        let posted = world.post(&browser, from, connect, "return_to=/x").await;
        assert_eq!(sign_in(&posted), "/login?next=/auth", "{from:?}");
    }
    let picture = world.send_as(&browser, From::Own, "no-cors", get(connect)).await;
    assert_eq!(sign_in(&picture), "/login?next=/auth");
    let elsewhere = "/auth/alpha/connect?return_to=//evil.example";
    let asked = world.get(&browser, From::Own, elsewhere).await;
    assert_eq!(sign_in(&asked), "/login?next=/auth/alpha/connect", "b17");
}

#[tokio::test]
async fn the_other_pages_come_back_to_the_accounts() {
    for (path, expected) in [("/login?next=", "/login?next=/auth"), ("/login?next", "/login?next")] {
        let world = leading_to(path);
        let nobody = Browser::default();
        assert_eq!(sign_in(&world.get(&nobody, From::Typed, "/auth?return_to=/x").await), expected);
        let ended = world.post(&nobody, From::Own, "/auth/alpha/disconnect", "return_to=/x").await;
        assert_eq!(sign_in(&ended), expected);
        // The session ends while the user is at the provider: whoever signs in now has not asked to connect.
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "/x").await;
        browser.forget("session");
        let bounced = world.deliver(&browser, &callback).await;
        let next = bounced.refresh().unwrap();
        assert_eq!(sign_in(&world.get(&browser, From::Refresh, &next).await), expected);
    }
}

fn request(path: &str, accept: &'static str) -> Parts {
    let mut parts = Request::get(path).body(()).unwrap().into_parts().0;
    parts.headers.insert("accept", HeaderValue::from_static(accept));
    parts
}

#[tokio::test]
async fn a_handler_sends_a_person_to_sign_in_and_tells_a_program() {
    let world = world();
    let answer = async |path: &str, accept| {
        let parts = request(path, accept);
        let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
        Answer::new(missing.response(&world.accounts, &parts))
    };
    let person = answer("/inbox?page=2&x=%25", "text/html").await;
    assert_eq!(person.location(), "/login?next=/inbox%3Fpage%3D2%26x%3D%2525");
    let person = answer("//evil.example/", "text/html").await;
    assert_eq!(person.location(), "/login?next=/auth", "b17");
    let program = answer("/inbox", "application/json").await;
    assert_eq!(program.status, 401);
    let problem: serde_json::Value = serde_json::from_str(&program.body).unwrap();
    assert_eq!(problem["type"], "urn:authflow:signed-out");
    assert_eq!((&problem["sign_in"], problem.get("connect")), (&"/login?next=/".into(), None));
}

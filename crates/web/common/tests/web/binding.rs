//! A1 to A7, A13, A15 to A18: what ties a flow to the browser and the user who began it.

use cookie::SameSite;

use crate::browser::{Answer, Browser, From};
use crate::stores::States;
use crate::world::{Setup, World, get, parameter, post};

#[tokio::test]
async fn a1_a_callback_is_refused_in_another_browser() {
    let world = World::new();
    let attacker = Browser::of("mallory");
    let callback = world.until_callback(&attacker, "alpha", "/done").await;
    let busy = Browser::of("bob");
    let own = world.until_callback(&busy, "alpha", "/own").await;
    for victim in [&Browser::default(), &Browser::of("alice"), &Browser::of("mallory"), &busy] {
        let answer = world.deliver(victim, &callback).await;
        world.assert_refused(&answer, 400, 0);
        assert!(!answer.body.contains(&parameter(&callback, "code")), "nothing of the response is shown");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    assert!(world.application.outcomes().is_empty());
    assert_eq!(world.application.errors().len(), 4, "a log can tell");
    assert_eq!(world.deliver(&attacker, &callback).await.location(), "/done", "nothing was used up");
    assert_eq!(world.deliver(&busy, &own).await.location(), "/own");
}

#[tokio::test]
async fn a2_nothing_that_was_planted_is_used() {
    let world = World::new();
    let attacker = Browser::of("mallory");
    let callback = world.until_callback(&attacker, "alpha", "").await;
    let [(name, value)] = attacker.flows().try_into().unwrap();
    let victim = Browser::of("alice");
    victim.plant(&name, &value);
    let secret = |value: &str| value.split('.').nth(1).unwrap().to_owned();
    world.begin(&victim, "alpha", "").await;
    let flows = victim.flows();
    let own = flows.iter().find(|(known, _)| *known != name).unwrap();
    assert_ne!(secret(&own.1), secret(&value));
    // The whole transaction in the browser of somebody else: it is another user's.
    let answer = world.deliver(&victim, &callback).await;
    world.assert_refused(&answer, 403, 0);
    // A cookie without a user's tag is a sign-in: the flow is not found with it.
    let (head, _) = value.rsplit_once('.').unwrap();
    victim.plant(&name, &format!("{head}."));
    let answer = world.deliver(&victim, &callback).await;
    world.assert_refused(&answer, 410, 0);
    assert!(world.connections("alice").await.is_empty());
}

#[tokio::test]
async fn a3_a_callback_is_used_once() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let cookies = browser.header(false, From::Foreign, world.now());
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    // Whoever kept the cookies.
    let mut again = get(&callback);
    again.headers_mut().insert("cookie", cookies.parse().unwrap());
    let answer = world.send(&Browser::default(), From::Foreign, again).await;
    world.assert_refused(&answer, 410, 1);
    assert_eq!(world.application.outcomes(), ["connected alpha"]);
}

#[tokio::test]
async fn a4_an_expired_flow_is_told_from_a_foreign_one() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    world.advance(599);
    let almost = Browser::of("bob");
    let late = world.until_callback(&almost, "alpha", "").await;
    world.advance(1);
    let expired = world.deliver(&browser, &callback).await;
    world.assert_refused(&expired, 400, 0);
    assert!(expired.body.contains("/auth/alpha/connect"), "with a button: {}", expired.body);
    let foreign = world.deliver(&Browser::of("alice"), &callback).await;
    assert_ne!(foreign.body, expired.body);
    assert_eq!(world.deliver(&almost, &late).await.location(), "/");
    // An hour later nobody remembers.
    world.advance(3600);
    assert_eq!(world.deliver(&browser, &callback).await.body, foreign.body);
}

#[tokio::test]
async fn a5_another_user_in_the_same_browser_gets_nothing() {
    let world = World::new();
    let browser = Browser::of("t/alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    for other in ["t/bob", "alice", "u/alice", "t/alic", "t/alicee"] {
        browser.plant("session", other);
        let answer = world.deliver(&browser, &callback).await;
        world.assert_refused(&answer, 403, 0);
        assert!(world.connections(other).await.is_empty());
    }
    assert!(world.application.outcomes().is_empty());
    browser.plant("session", "t/alice");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done", "the flow is as it was");
    assert_eq!(world.connections("t/alice").await, ["alpha user-1"]);
}

#[tokio::test]
async fn a6_a_flow_ends_at_the_provider_it_began_at() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let elsewhere = callback.replace("/alpha/", "/beta/");
    let answer = world.deliver(&browser, &elsewhere).await;
    world.assert_refused(&answer, 400, 0);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

#[tokio::test]
async fn a7_another_application_on_another_store_knows_nothing_of_it() {
    let world = World::new();
    let mut setup = Setup::new();
    setup.clock = world.clock.clone();
    setup.server = Some(std::sync::Arc::clone(&world.server));
    setup.states = States::with_capacity(100, 100);
    let other = setup.build();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let answer = other.deliver(&browser, &callback).await;
    other.assert_refused(&answer, 410, 0);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

/// Each kind of cookie in the place of each other kind.
#[tokio::test]
async fn a13_no_value_stands_for_one_of_another_kind() {
    let world = Setup::new().form_post().build();
    let browser = Browser::of("alice");
    world.get(&browser, From::Own, "/auth").await;
    let done = world.until_callback(&browser, "beta", "").await;
    let posted = world.deliver(&browser, &done).await;
    world.get(&browser, From::Foreign, posted.location()).await.location();
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let posted = world.deliver(&browser, &callback).await;
    let resume = posted.location().to_owned();
    let [waiting] = browser.waiting().try_into().unwrap();
    let id = waiting.name().trim_start_matches("__Host-authflow-resume-").to_owned();
    let (flow, form) = (format!("__Host-authflow-{id}"), "__Host-authflow-form".to_owned());
    let mark = browser.flows().into_iter().find(|(name, _)| *name != flow).unwrap().1;
    let value = |name: &str| browser.cookie(name).unwrap().value().to_owned();
    let (of_flow, of_form) = (value(&flow), value(&form));
    assert!(mark.starts_with("1nd."), "{mark}");
    for (place, wrong) in [
        (&flow, of_form.as_str()),
        (&flow, waiting.value()),
        (&waiting.name().to_owned(), &of_flow),
        (&waiting.name().to_owned(), &of_form),
        (&waiting.name().to_owned(), &mark),
    ] {
        let held = browser.cookie(place).unwrap();
        browser.plant(place, wrong);
        let mut request = get(&resume);
        let cookies = browser.header(false, From::Own, world.now());
        request.headers_mut().insert("cookie", cookies.parse().unwrap());
        let aside = Browser::default();
        let answer = world.send(&aside, From::Own, request).await;
        world.assert_refused(&answer, 400, 1);
        browser.put_back(held);
    }
    // A form's secret is no form token, and a flow's secret makes none.
    for token in [of_form.as_str(), of_flow.split('.').nth(1).unwrap()] {
        let silent = From::Silent(None);
        let answer = world.post(&browser, silent, "/auth/alpha/connect", &format!("token={token}")).await;
        answer.is_page(403);
    }
    assert_eq!(world.get(&browser, From::Own, &resume).await.location(), "/done");
}

#[tokio::test]
async fn a16_the_cookies_flags() {
    for (form_post, same_site) in [(false, SameSite::Lax), (true, SameSite::None)] {
        let setup = Setup::new();
        let world = if form_post { setup.form_post() } else { setup }.build();
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "").await;
        let [(name, _)] = browser.flows().try_into().unwrap();
        let check = |lifetime: i64| {
            let cookie = browser.cookie(&name).unwrap();
            assert!(name.starts_with("__Host-authflow-"));
            assert_eq!((cookie.secure(), cookie.http_only()), (Some(true), Some(true)));
            assert_eq!((cookie.path(), cookie.domain()), (Some("/"), None));
            assert_eq!(cookie.same_site(), Some(same_site));
            assert_eq!(cookie.max_age().unwrap().whole_seconds(), lifetime);
        };
        check(600 + 3600);
        let mut answer = world.deliver(&browser, &callback).await;
        if form_post {
            let resume = answer.location().to_owned();
            answer = world.get(&browser, From::Foreign, &resume).await;
        }
        answer.location();
        check(600);
    }
}

#[tokio::test]
async fn a16_on_this_machine_cookies_have_plain_names() {
    let mut setup = Setup::new().form_post();
    setup.public_url = "http://127.0.0.1:3000/auth";
    let world = setup.build();
    let browser = Browser::of("alice");
    world.begin(&browser, "alpha", "").await;
    let [(name, value)] = browser.flows().try_into().unwrap();
    let cookie = browser.cookie(&name).unwrap();
    assert!(name.starts_with("authflow-"));
    assert_eq!((cookie.secure(), cookie.same_site()), (None, Some(SameSite::Lax)));
    assert!(value.starts_with("1lp."));
}

#[tokio::test]
async fn a17_two_cookies_of_one_name_are_refused() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let [(name, value)] = browser.flows().try_into().unwrap();
    let with = async |cookies: String| {
        let mut request = get(&callback);
        request.headers_mut().insert("cookie", cookies.parse().unwrap());
        world.send(&Browser::default(), From::Foreign, request).await
    };
    for double in [
        format!("session=alice; {name}={value}; {name}={value}"),
        format!("session=alice; {name}=x; {name}={value}"),
        format!("session=alice; {name}={value}; {name}="),
    ] {
        world.assert_refused(&with(double).await, 400, 0);
    }
    // The name without its prefix, or written otherwise, is another cookie.
    let plain = name.trim_start_matches("__Host-");
    for other in [plain.to_owned(), format!("__host-{plain}"), format!("__Secure-{plain}")] {
        world.assert_refused(&with(format!("session=alice; {other}={value}")).await, 400, 0);
    }
    assert_eq!(with(format!("session=alice; {plain}=x; {name}={value}")).await.location(), "/done");
}

#[tokio::test]
async fn a16_a17_a_cookie_that_cannot_be_read_is_taken_away_as_it_was_set() {
    for (form_post, same_site) in [(false, "SameSite=Lax"), (true, "SameSite=None")] {
        let setup = Setup::new();
        let world = if form_post { setup.form_post() } else { setup }.build();
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "").await;
        let [(name, value)] = browser.flows().try_into().unwrap();
        let spoiled = format!("session=alice; {name}=9{}", &value[1..]);
        let removed = |answer: &Answer| {
            let set = answer.header("set-cookie").to_owned();
            assert!(set.starts_with(&format!("{name}=;")) && set.contains("Max-Age=0"), "{set}");
            assert!(set.contains(same_site), "{set}");
        };
        let (path, query) = callback.split_once('?').unwrap();
        let mut request = if form_post { post(path, query) } else { get(&callback) };
        request.headers_mut().insert("cookie", spoiled.parse().unwrap());
        let answer = world.send(&Browser::default(), From::Foreign, request).await;
        world.assert_refused(&answer, 400, 0);
        removed(&answer);
        // The next flow takes it away, too.
        let mut request = get("/auth/alpha/connect");
        request.headers_mut().insert("cookie", spoiled.parse().unwrap());
        let answer = world.send(&Browser::default(), From::Own, request).await;
        answer.location();
        removed(&answer);
    }
}

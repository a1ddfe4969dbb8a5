//! A16 and A17: the flags of every cookie that is set or removed, and what comes in twice.

use crate::browser::{Answer, Browser};
use crate::framework::Framework;
use crate::jar::{From, SameSite, SetCookie};
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, TTL, World};

judged! {
    memory:
        a16_every_cookie_has_the_flags,
        a16_form_post_needs_none,
        a16_on_loopback_http_the_name_is_plain,
        a16_a_cookie_is_removed_as_it_was_set,
        a16_no_cookie_holds_what_a_log_may_not,
        a17_two_cookies_of_one_name_are_both_refused,
        a17_malformed_cookies_are_ignored_and_removed;
}

/// Those of our own in an answer.
fn ours(answer: &Answer) -> Vec<SetCookie> {
    answer.set_cookies().into_iter().filter(|cookie| cookie.name.contains("authflow")).collect()
}

/// Every route that sets or removes a cookie, once.
async fn every_cookie<F: Framework>(world: &World<F>) -> Vec<SetCookie> {
    let browser = world.browser_of("alice");
    let mut cookies = Vec::new();
    cookies.extend(ours(&browser.get(world.base).send().await));
    for _ in 0..12 {
        let answer = browser.get(&world.accounts.connect_path(EXAMPLE, None)).send().await;
        cookies.extend(ours(&answer));
        let callback = world.approve(answer.location()).await;
        cookies.extend(ours(&world.deliver(&browser, &callback).await));
        cookies.extend(ours(&world.deliver(&browser, &callback).await));
    }
    for _ in 0..12 {
        let answer = browser.get(&world.accounts.connect_path(EXAMPLE, None)).send().await;
        cookies.extend(ours(&answer));
    }
    let url = world.begin(&browser, None).await;
    let denied = world.deny(&url).await;
    cookies.extend(ours(&world.deliver(&browser, &denied).await));
    cookies.extend(ours(&browser.post(&world.path(EXAMPLE, "disconnect"), &[]).send().await));
    assert!(cookies.iter().any(SetCookie::is_removal), "the twelve flows are more than ten");
    cookies
}

async fn a16_every_cookie_has_the_flags<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    for cookie in every_cookie(&world).await {
        assert!(cookie.name.starts_with("__Host-authflow-"), "{cookie:?}");
        assert!(cookie.secure && cookie.http_only, "{cookie:?}");
        assert_eq!((cookie.path.as_deref(), cookie.domain.as_deref()), (Some("/"), None));
        let is_form = cookie.name == "__Host-authflow-form";
        assert_eq!(cookie.same_site, SameSite::Lax, "{cookie:?}");
        // The secret of forms goes with the browser's session, a flow's cookie by itself.
        let longest = TTL.as_secs() as i64 + 3600;
        let goes = cookie.max_age.is_some_and(|seconds| (0..=longest).contains(&seconds));
        assert!(goes || (is_form && cookie.max_age.is_none()), "{cookie:?}");
    }
}

async fn a16_form_post_needs_none<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let answer = browser.get(&world.accounts.connect_path(EXAMPLE, None)).send().await;
    let [cookie] = ours(&answer).try_into().unwrap();
    assert_eq!(cookie.same_site, SameSite::None);
    assert!(cookie.secure && cookie.http_only && cookie.name.starts_with("__Host-"), "{cookie:?}");
    assert!(answer.location().contains("response_mode=form_post"));
}

async fn a16_on_loopback_http_the_name_is_plain<F: Framework>(kind: Kind) {
    for setup in [Setup::new(kind).await.on_loopback(), Setup::new(kind).await.on_loopback().form_post()] {
        let world: World<F> = setup.start().await;
        let browser = world.browser_of("alice");
        let answer = browser.get(&world.accounts.connect_path(EXAMPLE, None)).send().await;
        let [cookie] = ours(&answer).try_into().unwrap();
        assert!(cookie.name.starts_with("authflow-") && !cookie.secure && cookie.http_only, "{cookie:?}");
        assert_eq!((cookie.path.as_deref(), cookie.same_site), (Some("/"), SameSite::Lax));
    }
    let world: World<F> = Setup::new(kind).await.on_loopback().start().await;
    world.connect(&world.browser_of("alice")).await;
}

/// Whatever is overwritten or removed has the attributes that it was set with, or a browser would keep both.
async fn a16_a_cookie_is_removed_as_it_was_set<F: Framework>(kind: Kind) {
    for setup in [Setup::new(kind).await, Setup::new(kind).await.form_post()] {
        let world: World<F> = setup.start().await;
        let mut known: Vec<SetCookie> = Vec::new();
        for cookie in every_cookie(&world).await {
            if let Some(first) = known.iter().find(|first| first.name == cookie.name) {
                assert_eq!(first.attributes(), cookie.attributes(), "{first:?} and {cookie:?}");
            } else {
                known.push(cookie);
            }
        }
    }
}

/// No token, code, state or verifier is in a cookie, nor the user's id.
async fn a16_no_cookie_holds_what_a_log_may_not<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice-the-user");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let mut cookies = browser.cookies("authflow");
    world.deliver(&browser, &callback).await;
    cookies.extend(browser.cookies("authflow"));
    let ledger = world.example.ledger().entries();
    let secrets: Vec<String> = ledger
        .iter()
        .flat_map(|entry| entry.issued().iter().map(|issued| issued.value().to_owned()))
        .chain(["alice-the-user".to_owned(), crate::binding::value(&callback, "state")])
        .chain(ledger.iter().filter_map(|entry| entry.form_value("code_verifier").map(str::to_owned)))
        .collect();
    assert!(secrets.len() >= 5, "code, two tokens, state, user, verifier");
    for cookie in &cookies {
        for secret in &secrets {
            assert!(!cookie.value.contains(secret) && !cookie.name.contains(secret), "{cookie:?}");
        }
    }
}

async fn a17_two_cookies_of_one_name_are_both_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let session = browser.cookie_header("/");
    let [flow] = browser.cookies("authflow-").try_into().unwrap();
    let (good, name) = (format!("{}={}", flow.name, flow.value), &flow.name);
    let doubled = [
        format!("{session}; {name}=planted"),
        format!("{name}=planted; {session}"),
        format!("{session}; {good}"),
        format!("{session}; {name}="),
    ];
    for cookies in &doubled {
        assert!(cookies.matches(name.as_str()).count() == 2 && cookies.contains("session="));
        let answer = browser.get(&callback).from(From::CrossSite).cookies(cookies).send().await;
        world.assert_refused(&answer, 0);
    }
    // The same in two headers.
    let rest = session.replace(&good, "").trim_matches([' ', ';']).to_owned();
    let visit = browser.get(&callback).from(From::CrossSite).header("cookie", &good);
    world.assert_refused(&visit.cookies(&format!("{rest}; {name}=planted")).send().await, 0);
    assert_eq!(world.connections_of("alice").await.len(), 0);
    let alone = browser.get(&callback).from(From::CrossSite).cookies(&format!("{rest}; {good}"));
    assert_eq!(alone.send().await.location(), "/done", "the flow is as it was");
}

async fn a17_malformed_cookies_are_ignored_and_removed<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let [flow] = browser.cookies("authflow-").try_into().unwrap();
    let session = browser.cookie_header("/").replace(&format!("{}={}", flow.name, flow.value), "");
    let values = [
        "",
        ".",
        "1",
        "1.2.3.4.5",
        "%00%ff",
        "\"quoted\"",
        &"x".repeat(4000),
        "9.AAAA.BBBB.CCCC.",
        &flow.value[..flow.value.len() - 1],
        &format!("{}x", flow.value),
        &flow.value.to_uppercase(),
    ];
    for value in values {
        let cookies = format!("{session}; {}={value}", flow.name);
        let answer = browser_without_jar(&world, &callback, &cookies).await;
        // Where only the user's part is damaged, it looks like another user's.
        answer.assert_page(if answer.status == 403 { 403 } else { 400 });
        assert_eq!(world.token_requests(), 0);
    }
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done", "the flow is as it was");
    // They do not stand in the way of a new flow either.
    let planted = world.browser_of("alice");
    for number in 0..30 {
        planted.plant(&format!("__Host-authflow-{number:0>22}"), "nonsense", SameSite::Lax);
    }
    world.connect(&planted).await;
    let left = planted.cookies("authflow-").into_iter().filter(|cookie| cookie.value == "nonsense");
    assert_eq!(left.count(), 0, "what cannot be read is removed");
}

async fn browser_without_jar<F: Framework>(world: &World<F>, path: &str, cookies: &str) -> Answer {
    let browser: Browser = world.browser();
    browser.get(path).from(From::CrossSite).cookies(cookies).send().await
}

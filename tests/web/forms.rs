//! Callbacks at which the session is missing at first: `form_post`, which is a form of another site, and sessions with
//! `SameSite=Strict`. The answer is put aside, and read again by a request that the session comes along with.

use crate::browser::Browser;
use crate::framework::Framework;
use crate::jar::{From, SameSite, SetCookie};
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, World};

judged! {
    memory:
        a_session_that_has_ended_is_no_loop,
        what_was_put_aside_under_another_flows_name_is_thrown_away,
        what_is_too_large_to_put_aside_is_said;
    every_store:
        form_post_with_a_lax_session,
        form_post_with_a_strict_session,
        a_strict_session_is_there_after_a_bounce,
        what_was_put_aside_is_used_once,
        what_was_put_aside_is_of_its_browser_and_user,
        a_denial_is_put_aside_as_well;
}

/// The cookies in which an answer is put aside.
fn put_aside(browser: &Browser) -> usize {
    browser.cookies("authflow-resume").len()
}

async fn form_post_with_a_lax_session<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let posted = world.deliver(&browser, &callback).await;
    assert_eq!(world.token_requests(), 0, "nobody is known yet");
    let location = posted.location();
    for part in ["code=", "state=", "iss="] {
        assert!(!location.contains(part), "{location}");
    }
    for cookie in browser.cookies("authflow-resume") {
        assert_eq!((cookie.same_site, cookie.http_only), (SameSite::Lax, true));
        assert!(
            cookie.secure && cookie.name.starts_with("__Host-") && cookie.max_age <= Some(120),
            "{cookie:?}"
        );
    }
    assert_eq!(put_aside(&browser), 1);
    let answer = world.follow(&browser, posted).await;
    assert_eq!(answer.location(), "/done");
    assert_eq!(put_aside(&browser), 0, "it is removed when it is read");
    assert_eq!(world.token_requests(), 1);
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
}

async fn a_strict_session_is_there_after_a_bounce<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser();
    world.sign_in_strictly(&browser, "alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let bounced = world.deliver(&browser, &callback).await;
    assert_eq!(world.token_requests(), 0);
    assert!(bounced.refresh().is_some(), "a page that goes on by itself: {bounced:?}");
    let answer = world.follow(&browser, bounced).await;
    assert_eq!(answer.location(), "/done");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    assert_eq!(put_aside(&browser), 0);
}

async fn form_post_with_a_strict_session<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser();
    world.sign_in_strictly(&browser, "alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let posted = world.deliver(&browser, &callback).await;
    let answer = world.follow(&browser, posted).await;
    assert_eq!(answer.location(), "/done");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
}

async fn a_session_that_has_ended_is_no_loop<F: Framework>(kind: Kind) {
    for form_post in [false, true] {
        let setup = Setup::new(kind).await;
        let world: World<F> = if form_post { setup.form_post() } else { setup }.start().await;
        let browser = world.browser_of("alice");
        let callback = world.until_callback(&browser, Some("/done")).await;
        let flow = browser.cookies("authflow-");
        browser.jar().clear();
        for cookie in flow {
            browser.jar().put(cookie);
        }
        let answer = world.deliver(&browser, &callback).await;
        let end = world.follow(&browser, answer).await;
        end.assert_page(401);
        assert_eq!(world.token_requests(), 0);
        assert!(world.connections_of("alice").await.is_empty());
        assert!(world.application.seen().is_empty());
    }
}

async fn what_was_put_aside_is_used_once<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let posted = world.deliver(&browser, &callback).await;
    let resume = posted.location().to_owned();
    let cookies = browser.cookie_header(&resume);
    assert_eq!(browser.get(&resume).from(From::CrossSite).send().await.location(), "/done");
    for _ in 0..2 {
        let again = browser.get(&resume).from(From::CrossSite).cookies(&cookies).send().await;
        assert!(again.status < 500, "{again:?}");
        assert_eq!(world.token_requests(), 1);
    }
    // The reload, with the cookies that a browser has by now.
    let reload = browser.get(&resume).send().await;
    assert!(reload.status == 303 || reload.status == 400, "{reload:?}");
    assert_eq!(world.token_requests(), 1);
}

async fn what_was_put_aside_is_of_its_browser_and_user<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let resume = world.deliver(&browser, &callback).await.location().to_owned();
    // The address alone, in the browser of somebody else and of the same user.
    for name in ["mallory", "alice"] {
        let answer = world.browser_of(name).get(&resume).from(From::CrossSite).send().await;
        world.assert_refused(&answer, 0);
    }
    // The attacker's answer, put aside into a victim's browser, with the address to go with it.
    let stash = browser.cookies("authflow-resume");
    let victim = world.browser_of("bob");
    for cookie in stash {
        victim.jar().put(cookie);
    }
    let answer = victim.get(&resume).from(From::CrossSite).send().await;
    assert!(answer.status == 400 || answer.status == 403, "{answer:?}");
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections_of("bob").await.is_empty());
    // Nor by whoever signs in meanwhile.
    world.sign_in(&browser, "mallory");
    browser.get(&resume).from(From::CrossSite).send().await.assert_page(403);
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections_of("mallory").await.is_empty());
}

async fn what_was_put_aside_under_another_flows_name_is_thrown_away<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let mut resumes = Vec::new();
    for _ in 0..2 {
        let callback = world.until_callback(&browser, Some("/done")).await;
        resumes.push(world.deliver(&browser, &callback).await.location().to_owned());
    }
    let [first, second] = browser.cookies("authflow-resume").try_into().unwrap();
    let swapped = SetCookie { value: second.value, ..first };
    browser.jar().put(swapped.clone());
    let resume = resumes.iter().find(|resume| swapped.name.ends_with(&resume[resume.len() - 22..])).unwrap();
    let answer = browser.get(resume).from(From::CrossSite).send().await;
    world.assert_refused(&answer, 0);
    assert_eq!(put_aside(&browser), 1, "only the other one is left");
    let other = resumes.iter().find(|other| *other != resume).unwrap();
    assert_eq!(browser.get(other).from(From::CrossSite).send().await.location(), "/done");
}

async fn what_is_too_large_to_put_aside_is_said<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let large = format!("{callback}&more={}", "x".repeat(6000));
    let posted = world.deliver(&browser, &large).await;
    assert!(posted.status == 303 || (400..500).contains(&posted.status), "{posted:?}");
    let end = world.follow(&browser, posted).await;
    let page = if end.status == 303 { browser.get(end.location()).send().await } else { end };
    page.assert_page(page.status);
    assert!(!page.body.contains("xxxxxxxxxx"));
    assert_eq!(put_aside(&browser), 0);
}

async fn a_denial_is_put_aside_as_well<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let url = world.begin(&browser, Some("/done")).await;
    let denied = world.deny(&url).await;
    let posted = world.deliver(&browser, &denied).await;
    let answer = world.follow(&browser, posted).await;
    assert!(answer.location().starts_with(&world.path(EXAMPLE, "denied")), "{answer:?}");
    assert_eq!(world.application.seen().len(), 1);
}

//! A18, A19, B20, B21: what every answer says, and what a request's headers cannot change.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::application::SESSION;
use crate::browser::Answer;
use crate::framework::Framework;
use crate::jar::{From, SameSite};
use crate::stores::Kind;
use crate::world::{EXAMPLE, OTHER, Setup, World};

judged! {
    memory:
        a18_b20_b21_every_answer_has_the_headers,
        a19_the_host_of_a_request_changes_nothing,
        b20_a_page_needs_nothing_from_anywhere,
        b20_no_page_after_a_callback_is_at_its_url;
}

/// What came back, by name.
type Named = (&'static str, Answer);

/// An answer of every kind that there is.
async fn every_answer<F: Framework>(kind: Kind) -> Vec<Named> {
    let mut answers = of_a_query::<F>(kind).await;
    answers.extend(of_a_strict_session::<F>(kind).await);
    answers.extend(of_a_form::<F>(kind).await);
    answers.extend(of_a_broken_body::<F>(kind).await);
    answers
}

/// Where providers answer in the query, and the session comes along.
async fn of_a_query<F: Framework>(kind: Kind) -> Vec<Named> {
    let offering: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let mut answers: Vec<Named> = Vec::new();
    let mut add = |name, status, answer: Answer| {
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        answers.push((name, answer));
    };
    add("accounts, sign-in", 200, offering.browser().get("/auth").send().await);
    add("accounts, empty", 200, browser.get("/auth").send().await);
    add("accounts, nobody", 401, world.browser().get("/auth").send().await);
    add("connect, nobody", 401, world.browser().get("/auth/example/connect").send().await);
    add("connect", 303, browser.get("/auth/example/connect").send().await);
    add("connect by POST", 303, browser.post("/auth/example/connect", &[]).send().await);
    add("connect, typed", 200, browser.get("/auth/example/connect").from(From::Person).send().await);
    add("connect, cross-site", 403, browser.get("/auth/example/connect").from(From::CrossSite).send().await);
    add("nothing there", 404, browser.get("/auth/example/nothing").send().await);
    let callback = world.until_callback(&browser, Some("/done")).await;
    add("callback", 303, world.deliver(&browser, &callback).await);
    add("callback, reloaded", 303, world.deliver(&browser, &callback).await);
    add("callback, not accepted", 400, world.deliver(&world.browser(), &callback).await);
    let switched = world.until_callback(&browser, None).await;
    world.sign_in(&browser, "bob");
    add("callback, another user", 403, world.deliver(&browser, &switched).await);
    world.sign_in(&browser, "alice");
    let old = world.until_callback(&browser, None).await;
    let url = world.begin_at(OTHER, &browser, None).await;
    let denied = world.deny(&url).await;
    let answer = world.deliver(&browser, &denied).await;
    let clean = answer.location().to_owned();
    add("callback, denied", 303, answer);
    add("callback, denied, reloaded", 410, world.deliver(&browser, &denied).await);
    add("denied", 200, browser.get(&clean).send().await);
    add(
        "callback, malformed",
        400,
        browser.get("/auth/example/callback?%ff").from(From::CrossSite).send().await,
    );
    add("callback, empty", 400, browser.get("/auth/example/callback").from(From::CrossSite).send().await);
    add("failed", 200, browser.get("/auth/example/failed").send().await);
    add("accounts", 200, browser.get("/auth").send().await);
    for (name, status, from) in
        [("disconnect, cross-site", 401, From::CrossSite), ("disconnect, same site", 403, From::SameSite)]
    {
        add(name, status, browser.post("/auth/example/disconnect", &[]).from(from).send().await);
    }
    add("disconnect", 303, browser.post("/auth/example/disconnect", &[]).send().await);
    add("disconnect, nothing there", 303, browser.post("/auth/example/disconnect", &[]).send().await);
    add("wrong method", 405, browser.request(http::Method::DELETE, "/auth/example/connect").send().await);
    add("too large", 413, browser.post("/auth/example/connect", &[("x", &"x".repeat(70_000))]).send().await);
    world.clock.advance(crate::world::TTL + std::time::Duration::from_secs(1));
    add("callback, expired", 400, world.deliver(&browser, &old).await);
    let waiting = world.until_callback(&browser, None).await;
    world.application.break_sessions(true);
    add("accounts, no session", 503, browser.get("/auth").send().await);
    add("callback, no session", 503, world.deliver(&browser, &waiting).await);
    add("connect, no session", 503, browser.get("/auth/example/connect").send().await);
    world.application.break_sessions(false);
    answers
}

/// A body that is no HTTP: no browser sends one.
async fn of_a_broken_body<F: Framework>(kind: Kind) -> Vec<Named> {
    let world = World::<F>::new(kind).await;
    let sent = "POST /auth/example/disconnect HTTP/1.1\r\nhost: app.example\r\ntransfer-encoding: chunked\r\n\r\nnothing\r\n";
    let mut connection = tokio::net::TcpStream::connect(world.address).await.unwrap();
    connection.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    vec![("a broken body", Answer { status: 400, headers, body: rest.to_owned() })]
}

/// Where no cookie of the session comes from another site: a page of our own goes on by itself.
async fn of_a_strict_session<F: Framework>(kind: Kind) -> Vec<Named> {
    let world = World::<F>::new(kind).await;
    let browser = world.browser();
    world.sign_in_strictly(&browser, "alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let bounced = world.deliver(&browser, &callback).await;
    bounced.assert_page(200);
    let next = bounced.refresh().unwrap();
    let arrived = browser.get(&next).send().await;
    assert_eq!(arrived.location(), "/done");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let next = world.deliver(&browser, &callback).await.refresh().unwrap();
    browser.plant(SESSION, &world.application.session(None), SameSite::Strict);
    let nobody = browser.get(&next).send().await;
    nobody.assert_page(401);
    vec![("bounced", bounced), ("bounced, arrived", arrived), ("bounced, nobody", nobody)]
}

/// Where providers answer with a form, with which no session comes.
async fn of_a_form<F: Framework>(kind: Kind) -> Vec<Named> {
    let world: World<F> = Setup::new(kind).await.form_post().start().await;
    let browser = world.browser_of("alice");
    let url = world.begin(&browser, None).await;
    let denied = world.deny(&url).await;
    let mut answers = Vec::new();
    for (posted, resumed, callback) in [
        ("form", "form, resumed", world.until_callback(&browser, Some("/done")).await),
        ("form, denied", "form, denied, resumed", denied),
    ] {
        let kept = world.deliver(&browser, &callback).await;
        assert!(kept.set_cookies().iter().any(|cookie| cookie.name.contains("resume")), "{kept:?}");
        let arrived = browser.get(kept.location()).from(From::CrossSite).send().await;
        assert_eq!(arrived.status, 303, "{arrived:?}");
        answers.extend([(posted, kept), (resumed, arrived)]);
    }
    let callback = world.until_callback(&browser, None).await;
    let in_the_query = browser.get(&callback).from(From::CrossSite).send().await;
    in_the_query.assert_page(400);
    let foreign = world.deliver(&world.browser(), &callback).await;
    foreign.assert_page(400);
    let no_form = browser.request(http::Method::POST, "/auth/example/callback").body(Vec::new()).send().await;
    no_form.assert_page(400);
    answers.extend([
        ("form, in the query", in_the_query),
        ("form, not accepted", foreign),
        ("no form", no_form),
    ]);
    answers
}

async fn a18_b20_b21_every_answer_has_the_headers<F: Framework>(kind: Kind) {
    for (name, answer) in every_answer::<F>(kind).await {
        assert!(answer.header("cache-control").contains("no-store"), "{name}: {answer:?}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        assert!(answer.headers.get_all("cache-control").iter().count() == 1, "{name}");
        if answer.header("content-type").starts_with("text/html") {
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{name}");
            let csp = answer.header("content-security-policy");
            for needed in
                ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"]
            {
                assert!(csp.contains(needed), "{name}: {csp}");
            }
            assert!(!csp.contains("unsafe") && !csp.contains("form-action") && !csp.contains('*'), "{csp}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{name}");
        } else {
            assert!(answer.body.is_empty() || answer.status != 200, "{name}: {answer:?}");
        }
    }
}

async fn a19_the_host_of_a_request_changes_nothing<F: Framework>(kind: Kind) {
    for setup in [Setup::new(kind).await, Setup::new(kind).await.on_loopback()] {
        let world: World<F> = setup.start().await;
        let browser = world.browser_of("alice");
        let expected: String = url::form_urlencoded::byte_serialize(
            format!("{}/auth/example/callback", world.origin).as_bytes(),
        )
        .collect();
        let lies = [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "6666"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "https://evil.example/"),
            ("x-rewrite-url", "https://evil.example/"),
            ("x-host", "evil.example"),
            ("forwarded", "host=evil.example;proto=gopher"),
        ];
        for (name, value) in lies {
            let path = world.accounts.connect_path(EXAMPLE, Some("/done"));
            let answer = browser.get(&path).header(name, value).send().await;
            let url = answer.location();
            assert!(url.contains(&format!("redirect_uri={expected}&")), "{name}: {url}");
            assert!(!url.contains("evil") && !url.contains("gopher") && !url.contains("6666"), "{url}");
            let callback = world.approve(url).await;
            let answer = browser.get(&callback).from(From::CrossSite).header(name, value).send().await;
            assert_eq!(answer.location(), "/done", "{name}");
            let page = browser.get("/auth").header(name, value).send().await;
            page.assert_page(200).assert_lacks("evil.example");
        }
        let sent = world.example.ledger().token_requests();
        assert!(
            sent.iter().all(|entry| entry.form_value("redirect_uri").unwrap().starts_with(&world.origin))
        );
    }
}

async fn b20_a_page_needs_nothing_from_anywhere<F: Framework>(kind: Kind) {
    for (name, answer) in every_answer::<F>(kind).await {
        for loaded in
            ["<script", "src=", "<link", "<iframe", "<object", "@import", "url(", "javascript:", " onclick"]
        {
            assert!(
                !answer.body.to_ascii_lowercase().contains(loaded),
                "{name}: {loaded} in {}",
                answer.body
            );
        }
        for scheme in ["http://", "https://", "\"//"] {
            assert!(!answer.body.contains(scheme), "{name}: {scheme} in {}", answer.body);
        }
    }
}

/// Whatever was accepted ends at a URL without code and state, so that neither history nor a referrer has them.
async fn b20_no_page_after_a_callback_is_at_its_url<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let url = world.begin(&browser, None).await;
    let denied = world.deny(&url).await;
    for callback in [&callback, &denied] {
        let answer = world.deliver(&browser, callback).await;
        let location = answer.location();
        for part in ["code=", "state=", "iss=", "error=", "description"] {
            assert!(!location.contains(part), "{location}");
        }
        assert!(answer.body.is_empty(), "{answer:?}");
    }
    // No page repeats what came in, whatever is wrong with it.
    let again = world.browser().get(&callback).from(From::CrossSite).send().await;
    again.assert_page(400).assert_lacks(&crate::binding::value(&callback, "code"));
    again.assert_lacks(&crate::binding::value(&callback, "state"));
}

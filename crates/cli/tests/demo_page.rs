//! `authflow demo`: the page, as a browser sees it.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_testkit::ScriptedUser;
use support::page::{Decision, DemoPage};
use support::{Running, parameter, run, secret_in, signal};

const PROVIDERS: [&str; 3] = ["rfc", "stackexchange", "contentstack"];

#[tokio::test]
async fn each_provider_is_connected_used_and_disconnected() {
    let page = DemoPage::open(&[]).await;
    for provider in PROVIDERS {
        assert!(page.card(provider).await.contains("Not connected"), "{provider}");
        let before = page.revision().await;
        page.connect(provider).await;
        let (revision, said) = page
            .said(
                before,
                &["Connect: ", "code_challenge", "The user approves", "Tokens. They stay", "Connected: "],
            )
            .await;
        page.shows_no_token(&said);
        let card = page.card(provider).await;
        assert!(card.contains("Connected") && card.contains("data-until=\""), "{card}");
        assert_eq!(card.contains("Refresh now"), provider != "stackexchange", "{card}");

        assert_eq!(page.post("/demo/call", &format!("provider={provider}")).await.status, 303);
        let (revision, said) = page.said(revision, &["has what it asked for"]).await;
        assert!(said.contains("200 OK") && said.contains("The API believes the token"), "{said}");
        page.shows_no_token(&said);

        let card = page.card(provider).await;
        let account =
            card.split_once("name=\"account\" value=\"").map(|(_, rest)| rest.split('"').next().unwrap());
        assert_eq!(card.matches("name=\"return_to\" value=\"/\"").count(), 1, "its form leads back: {card}");
        let form = account.map(|account| format!("account={account}&")).unwrap_or_default();
        let answer =
            page.post(&format!("/accounts/{provider}/disconnect"), &format!("{form}return_to=%2F")).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
        let (_, said) = page.said(revision, &["Disconnect: ", "the provider has revoked the tokens"]).await;
        assert!(said.contains("records: revoked"), "{said}");
        page.shows_no_token(&said);
        assert!(page.card(provider).await.contains("Not connected"), "{provider}");
    }
    page.leaks.assert_clean();
}

#[tokio::test]
async fn a_token_runs_down_and_is_refreshed_without_anybody() {
    let page = DemoPage::open(&["rfc", "--lifetime", "2"]).await;
    let before = page.revision().await;
    page.connect("rfc").await;
    let (revision, said) = page.said(before, &["Refreshed: "]).await;
    page.shows_no_token(&said);
    let order: Vec<usize> = ["Connected: ", "<h3>Refresh</h3>", "became new tokens", "Refreshed: "]
        .iter()
        .map(|text| said.find(text).unwrap_or_else(|| panic!("{text} in {said}")))
        .collect();
    assert!(order.is_sorted(), "{order:?}: {said}");
    assert!(page.card("rfc").await.contains("last refreshed"));
    // And again, from the token that rotated.
    page.said(revision, &["Refreshed: "]).await;
    page.leaks.assert_clean();
}

#[tokio::test]
async fn a_token_without_a_refresh_ends_and_says_so() {
    let page = DemoPage::open(&["stackexchange", "--lifetime", "1"]).await;
    let before = page.revision().await;
    page.connect("stackexchange").await;
    page.said(before, &["has run out"]).await;
    let card = page.card("stackexchange").await;
    assert!(card.contains("Connect again") && card.contains("has ended"), "{card}");
    page.connect("stackexchange").await;
}

#[tokio::test]
async fn faults_are_switched_on_and_survived() {
    // The tokens outlive the test: none is refreshed but for its sake.
    let page = DemoPage::open(&["rfc", "--lifetime", "3600"]).await;
    page.connect("rfc").await;
    let from = page.revision().await;

    // Refused once: refreshed once, and sent again.
    assert_eq!(page.post("/demo/fault", "provider=rfc&preset=refused-token").await.status, 303);
    let shown = page.get("/").await.body;
    assert!(shown.contains("<strong>invalid-token</strong>") && shown.contains("Behave again"), "{shown}");
    page.post("/demo/call", "provider=rfc").await;
    let (from, said) = page.said(from, &["The fault invalid-token was survived"]).await;
    assert!(said.contains("401 Unauthorized") && said.contains("Refreshed: "), "{said}");
    assert!(page.get("/").await.body.contains("All servers behave"), "it was for one request");

    // A request that the server refuses by itself leaves it set.
    page.post("/demo/fault", "provider=rfc&preset=mix-up").await;
    let sent = page.post("/accounts/rfc/connect", "").await;
    let server = url::Url::parse(sent.header("location").unwrap()).unwrap().origin().ascii_serialization();
    for path in ["/authorize?client_id=nobody", "/consent"] {
        let refused = ScriptedUser::new().open(&format!("{server}{path}")).await.unwrap();
        assert!(refused.status() >= 400, "{path}");
        assert!(page.get("/").await.body.contains("<strong>wrong-iss</strong>"), "{path}");
    }
    page.post("/demo/behave", "").await;

    // Down: the old token is served.
    page.post("/demo/fault", "provider=rfc&fault=unavailable&span=every").await;
    page.post("/demo/refresh", "provider=rfc").await;
    let (from, said) = page.said(from, &["The refresh failed"]).await;
    assert!(said.contains("503") && said.contains("is served"), "{said}");
    page.post("/demo/call", "provider=rfc").await;
    let (from, _) = page.said(from, &["The fault unavailable was survived"]).await;
    page.post("/demo/behave", "").await;
    let (from, _) = page.said(from, &["All faults are off"]).await;

    // Cleared: a page that is open empties itself too.
    page.post("/demo/clear", "").await;
    let news = page.news(from).await;
    assert_eq!(news["afresh"], true, "{news}");
    page.shows_no_token(&page.get("/").await.body);
    page.leaks.assert_clean();
}

#[tokio::test]
async fn a_lost_answer_with_rotation_needs_the_user() {
    let page = DemoPage::open(&["rfc", "--lifetime", "3600"]).await;
    page.connect("rfc").await;
    let from = page.revision().await;
    page.post("/demo/fault", "provider=rfc&preset=lost-answer").await;
    page.post("/demo/refresh", "provider=rfc").await;
    let (mut from, mut said) = page.said(from, &["no usable answer", "The refresh failed"]).await;
    // Whoever presses again, after the pause, sends the old refresh token, and the server ends the family.
    while !said.contains("You have to connect again") {
        page.post("/demo/refresh", "provider=rfc").await;
        (from, said) = page.said(from, &["No new token: "]).await;
    }
    assert!(page.card("rfc").await.contains("Connect again"));
    page.leaks.assert_clean();
}

#[tokio::test]
async fn the_command_line_switches_a_fault_on_from_the_beginning() {
    let page = DemoPage::open(&["rfc", "--fault", "wrong-iss"]).await;
    assert!(page.get("/").await.body.contains("<strong>wrong-iss</strong>"));
    let from = page.revision().await;
    let answer = page.visit("rfc", Decision::Approve).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
    let (_, said) = page.said(from, &["The fault wrong-iss shows", "names another issuer"]).await;
    assert!(!said.contains("grant_type"), "the code is sent nowhere: {said}");
    assert!(page.card("rfc").await.contains("Not connected"));
    page.leaks.assert_clean();
}

#[tokio::test]
async fn the_plain_accounts_page_gets_its_notices() {
    let page = DemoPage::open(&["rfc"]).await;
    let sent = page.post("/accounts/rfc/connect", "return_to=%2Faccounts").await;
    let back = ScriptedUser::new().approve(sent.header("location").unwrap()).await.unwrap();
    let path = back.strip_prefix(&format!("http://{}", page.authority)).unwrap();
    for answer in [page.get(path).await, page.post("/accounts/rfc/disconnect", "").await] {
        assert_eq!(answer.status, 303, "{answer:?}");
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("/accounts?notice="), "{location}");
        assert!(page.get(location).await.body.contains("role=\"status\""), "{location}");
    }
}

#[tokio::test]
async fn a_denial_is_told() {
    let page = DemoPage::open(&["contentstack"]).await;
    let from = page.revision().await;
    let answer = page.visit("contentstack", Decision::Deny).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
    page.said(from, &["The user denies", "access_denied", "Denied: "]).await;
    assert!(page.card("contentstack").await.contains("Not connected"));
}

#[tokio::test]
async fn b11_hostile_words_are_escaped() {
    let page = DemoPage::open(&["rfc", "--fault", "hostile-callback-error"]).await;
    let from = page.revision().await;
    page.visit("rfc", Decision::Approve).await;
    let (_, said) = page.said(from, &["error_description"]).await;
    for text in [said, page.get("/").await.body] {
        assert!(!text.contains("<script>") && !text.contains("<img"), "{text}");
        let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!text.contains(hostile), "{text:?}");
    }
}

#[tokio::test]
async fn g4_another_host_is_refused() {
    let page = DemoPage::open(&[]).await;
    let port = page.authority.rsplit(':').next().unwrap().to_owned();
    for host in
        ["attacker.example", &format!("attacker.example:{port}"), &format!("localhost:{port}"), "127.0.0.1"]
    {
        for path in ["/", "/demo/news", "/demo/page.js", "/accounts", "/accounts/rfc/callback?code=1&state=2"]
        {
            let answer = page.send("GET", path, &[("host", host)], "").await;
            assert_eq!(answer.status, 421, "{host} {path}: {answer:?}");
            assert!(!answer.body.contains("Connected"), "{answer:?}");
        }
    }
    assert_eq!(page.get("/").await.status, 200);
}

#[tokio::test]
async fn a14_only_the_page_itself_may_press_a_button() {
    let page = DemoPage::open(&[]).await;
    let before = page.revision().await;
    let own = format!("http://{}", page.authority);
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "http://attacker.example")],
        &[("origin", "null")],
        &[],
    ] {
        for (path, form) in [
            ("/demo/call", "provider=rfc"),
            ("/demo/refresh", "provider=rfc"),
            ("/demo/fault", "provider=rfc&fault=invalid-grant"),
            ("/demo/behave", ""),
            ("/demo/clear", ""),
            ("/accounts/rfc/connect", ""),
            ("/accounts/rfc/disconnect", ""),
        ] {
            let answer = page.send("POST", path, headers, form).await;
            assert_eq!(answer.status, 403, "{headers:?} {path}: {answer:?}");
        }
    }
    let shown = page.get("/").await.body;
    assert!(shown.contains("All servers behave"));
    assert!(shown.contains("POST /accounts/rfc/connect") && !shown.contains("You press"), "{shown}");
    let own = page.send("POST", "/demo/clear", &[("origin", &own)], "").await;
    assert_eq!(own.status, 303, "{own:?}");
    assert!(page.revision().await > before);
}

#[tokio::test]
async fn what_a_page_may_do_is_said_in_its_headers() {
    let page = DemoPage::open(&[]).await;
    let answer = page.get("/").await;
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!answer.body.contains(" style=") && !answer.body.contains("<style"), "{}", answer.body);
    let (_, form) = answer.body.split_once("id=\"fault-form\"").unwrap();
    let first = form.split("<button").nth(1).unwrap();
    assert!(first.starts_with(" type=\"submit\" hidden></button>"), "Enter presses it: {first}");
    assert!(!answer.body.contains(" onclick=") && !answer.body.contains("<script>"), "{}", answer.body);
    for path in ["/", "/demo/page.js", "/demo/page.css", "/demo/news?after=999"] {
        let answer = page.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(answer.headers("access-control-allow-origin").next().is_none(), "{path}");
    }
    for (path, form) in [("/demo/call", "provider=nobody"), ("/demo/fault", "provider=rfc&fault=nothing")] {
        assert_eq!(page.post(path, form).await.status, 400, "{path}");
    }
    assert_eq!(page.post("/demo/call", &"x".repeat(9000)).await.status, 413);
    assert_eq!(page.get("/demo/call").await.status, 405);
}

#[tokio::test]
async fn a_refusal_has_the_same_headers_and_an_unknown_path_is_no_message() {
    let page = DemoPage::open(&[]).await;
    let before = page.revision().await;
    let own = [("sec-fetch-site", "same-origin")];
    for (method, path, headers, form, status) in [
        ("GET", "/nothing", &[][..], "", 404),
        ("GET", "/.well-known/appspecific", &[], "", 404),
        ("GET", "/accounts/nobody/connect", &[], "", 404),
        ("POST", "/nothing", &own, "", 404),
        ("POST", "/demo/call", &[], "", 403),
        ("POST", "/demo/call", &own, &"x".repeat(9000), 413),
        ("GET", "/", &[("host", "attacker.example")], "", 421),
        ("GET", "/accounts", &[("host", "attacker.example")], "", 421),
    ] {
        let answer = page.send(method, path, headers, form).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert!(answer.header("content-security-policy").is_some(), "{method} {path}");
    }
    assert_eq!(page.revision().await, before, "nobody is told");
    // authflow-web's own pages have their own.
    let accounts = page.get("/accounts").await;
    assert_eq!(accounts.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(accounts.headers("content-security-policy").count(), 1);
}

#[tokio::test]
async fn what_is_told_of_a_request_has_a_bound() {
    let page = DemoPage::open(&["rfc"]).await;
    let from = page.revision().await;
    let many = "a&".repeat(16_000);
    page.get(&format!("/accounts/rfc/callback?{many}")).await;
    let long = format!("{}={}", "n".repeat(9000), "v".repeat(9000));
    page.get(&format!("/accounts/rfc/callback?{long}")).await;
    // The same of one that is posted.
    page.post("/accounts/rfc/callback", &format!("posted{long}")).await;
    assert_eq!(page.post("/accounts/rfc/callback", &"a&".repeat(40_000)).await.status, 413);
    let (_, said) = page.said(from, &["nnnn", "vvvv", "postedn"]).await;
    assert_eq!(said.matches("<code>a</code>").count(), 23, "and a line that says how many more");
    assert!(said.contains("15977 more"), "{said}");
    assert!(said.len() < 20_000, "{}", said.len());
}

#[tokio::test]
async fn a1_a_callback_in_another_browser_connects_nothing() {
    let page = DemoPage::open(&["rfc"]).await;
    let sent = page.post("/accounts/rfc/connect", "").await;
    let back = ScriptedUser::new().approve(sent.header("location").unwrap()).await.unwrap();
    let stranger = ScriptedUser::new().open(&back).await.unwrap();
    assert_eq!(stranger.status(), 400);
    assert!(page.card("rfc").await.contains("Not connected"));
    let from = page.revision().await;
    let path = back.strip_prefix(&format!("http://{}", page.authority)).unwrap();
    assert_eq!(page.get(path).await.status, 303);
    page.said(from, &["Connected: "]).await;
    assert!(!page.get("/").await.body.contains(&parameter(&back, "state")));
}

#[tokio::test]
async fn g11_without_a_browser_the_line_with_the_address_stays() {
    let mut running = Running::start(&["demo"]);
    let url = running.url().await;
    running.line("There is no browser").await;
    let page = ScriptedUser::new().open(&url).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("Connected accounts"));
}

#[cfg(unix)]
#[tokio::test]
async fn g9_ctrl_c_ends_it_and_that_is_its_good_end() {
    for name in ["INT", "TERM"] {
        let page = DemoPage::open(&["rfc"]).await;
        page.connect("rfc").await;
        // Somebody waits for news meanwhile.
        let revision = page.revision().await;
        let mut waiting = tokio::net::TcpStream::connect(&page.authority).await.unwrap();
        let request = format!("GET /demo/news?after={revision} HTTP/1.1\r\nhost: {}\r\n\r\n", page.authority);
        tokio::io::AsyncWriteExt::write_all(&mut waiting, request.as_bytes()).await.unwrap();
        signal(&page.running.child, name);
        let ended = page.running.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
        assert_eq!(secret_in(&ended.stderr, &[]), None, "{ended:?}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_page_does_not_go_with_headless() {
    for option in [&["--no-browser"][..], &["--lifetime", "5"], &["--flow-lifetime", "5"]] {
        let ended = run(&[&["demo", "rfc", "--headless"], option].concat()).await;
        assert_eq!(ended.code, Some(2), "{option:?}: {ended:?}");
    }
}

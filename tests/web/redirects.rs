//! B16 to B19: where the browser may be sent, and what a request can add to the way there.

use crate::binding::value;
use crate::browser::{Answer, Browser};
use crate::framework::Framework;
use crate::stores::Kind;
use crate::world::{EXAMPLE, World};

judged! {
    memory:
        b17_return_to_leads_nowhere_else,
        b17_a_marker_that_was_tampered_with_leads_nowhere_else,
        b18_after_a_disconnect_too,
        b19_a_request_adds_nothing_to_the_authorization_url;
    every_store:
        b16_the_token_request_repeats_the_redirect_uri,
        b17_return_to_by_form_is_judged_the_same,
        b17_a_return_to_of_the_site_is_kept;
}

/// What browsers resolve to another site, or to no page at all; and what could end a header.
fn foreign() -> Vec<String> {
    let mut payloads: Vec<String> = [
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "/\r\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https://evil.example",
        "HTTPS://evil.example",
        "http:evil.example",
        "//evil.example/%2e%2e",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:x",
        "about:blank",
        "mailto:x@evil.example",
        "//evil.example@app.example",
        "//app.example@evil.example",
        "https://app.example@evil.example",
        "https://app.example.evil.example",
        "//app.example:80",
        "/../..//evil.example",
        "/./..//evil.example",
        "/.//evil.example",
        "/a/..//evil.example",
        "/a/../..//evil.example",
        "/%09//evil.example\t",
        "//\u{3002}evil.example",
        "//evil\u{3002}example",
        "//ｅｖｉｌ.example",
        "/\u{ff0f}evil.example\\",
        "/\u{0}/evil.example",
        "/\u{1}",
        "/\u{7f}",
        "/ x",
        "/é",
        "",
        " ",
        "evil.example",
        "evil",
        "?x=//evil.example",
        "#//evil.example",
        ".",
        "..",
        "./x",
        "../x",
        "@evil.example",
        ":80/x",
        "/x\r\nSet-Cookie: a=b",
        "/x\r\nLocation: //evil.example",
        "/x\nX: y",
        "/<script>\\",
        "//[::1]",
        "//127.0.0.1",
        "//1.1.1.1/",
        "//0x7f000001",
        "/\\[::1]",
        "///",
        "//",
        "/\\",
        "\\",
        "//?",
        "//#",
        "/\\?",
        "/\\#",
    ]
    .map(str::to_owned)
    .to_vec();
    payloads.push(format!("/{}", "x".repeat(10 << 10)));
    // Every way to write the beginning of an address, before every way to go on.
    let separators = ["/", "\\", "//", "\\\\", "/\\", "\\/", "\t/", "/\t", "\r/", "/\n"];
    for first in separators {
        for second in separators {
            for host in ["evil.example", "evil.example:443/x", "x@evil.example", "%65vil.example"] {
                payloads.push(format!("/{first}{second}{host}"));
                payloads.push(format!("{first}{second}{host}\t"));
            }
        }
    }
    assert!(payloads.len() >= 800, "{}", payloads.len());
    payloads
}

/// What a browser makes of a `Location`.
fn assert_stays(origin: &str, location: &str) {
    let base = url::Url::parse(&format!("{origin}/auth/example/callback")).unwrap();
    let resolved = base.join(location).unwrap();
    assert_eq!(resolved.origin(), base.origin(), "{location}");
    assert!(location.starts_with('/') && !location.starts_with("//"), "{location}");
}

async fn b16_the_token_request_repeats_the_redirect_uri<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    world.connect(&world.browser_of("alice")).await;
    let entries = world.example.ledger().entries();
    let asked = entries.iter().find_map(|entry| entry.query_value("redirect_uri")).unwrap();
    let token = world.example.ledger().token_requests();
    assert_eq!(token[0].form_value("redirect_uri"), Some(asked));
    assert_eq!(asked, "https://app.example/auth/example/callback");
}

async fn b17_return_to_leads_nowhere_else<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let usual = default_after(&world, &browser).await;
    // Every one of them begins: an address that cannot be used is no reason not to connect.
    let payloads = foreign();
    for (number, payload) in payloads.iter().enumerate() {
        let query: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let answer = browser.get(&format!("/auth/example/connect?return_to={query}")).send().await;
        if answer.status != 303 {
            // Longer than a server reads.
            assert!(
                payload.len() > 8 << 10 && (400..500).contains(&answer.status),
                "{payload:?}: {answer:?}"
            );
            continue;
        }
        assert_eq!(kept(&answer), "", "{payload:?}");
        // The whole way for a part of them, as the store keeps one, too.
        if number % 7 == 0 {
            let callback = world.approve(answer.location()).await;
            let answer = world.deliver(&browser, &callback).await;
            assert_stays(&world.origin, answer.location());
            assert_eq!(answer.location(), usual, "{payload:?}");
        }
    }
}

/// What the cookie of a flow that has begun holds of the `return_to`: where the user is sent when it fails.
fn kept(begun: &Answer) -> String {
    let mut cookies = begun.set_cookies();
    cookies.retain(|cookie| !cookie.is_removal());
    let [cookie] = cookies.try_into().unwrap();
    // Kind, secret, two times, the address, and a tag of the user, which is last, as an address may have points.
    let mut parts = cookie.value.splitn(5, '.');
    assert_eq!(parts.next(), Some("1lp"), "{cookie:?}");
    let (kept, _tag) = parts.nth(3).unwrap().rsplit_once('.').unwrap();
    kept.to_owned()
}

async fn default_after<F: Framework>(world: &World<F>, browser: &Browser) -> String {
    let callback = world.until_callback(browser, None).await;
    world.deliver(browser, &callback).await.location().to_owned()
}

async fn b17_return_to_by_form_is_judged_the_same<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let usual = default_after(&world, &browser).await;
    let cases =
        [("/settings?tab=2", "/settings?tab=2"), ("//evil.example", &*usual), ("https:evil.example", &usual)];
    for (return_to, expected) in cases {
        let answer = browser.post("/auth/example/connect", &[("return_to", return_to)]).send().await;
        let callback = world.approve(answer.location()).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), expected, "{return_to}");
    }
    // Twice, in two places: none of them counts, or the first; never another site.
    let path = "/auth/example/connect?return_to=/a&return_to=//evil.example";
    let answer = browser.get(path).send().await;
    if answer.status == 303 {
        let callback = world.approve(answer.location()).await;
        assert_stays(&world.origin, world.deliver(&browser, &callback).await.location());
    } else {
        assert_eq!(answer.status, 400);
    }
}

async fn b17_a_return_to_of_the_site_is_kept<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let long = format!("/{}", "x".repeat(300));
    for good in [
        "/",
        "/a",
        "/a/b?c=d&e=%20f",
        "/a#b",
        "/a?next=//evil.example",
        "/%2f/evil.example",
        "/a?b=https://x",
        &long,
    ] {
        let begun = browser.get(&world.accounts.connect_path(EXAMPLE, Some(good))).send().await;
        if good.len() < 200 {
            assert_eq!(kept(&begun), good.replace('%', "%25"));
        }
        let callback = world.approve(begun.location()).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), good);
        assert_eq!(world.deliver(&browser, &callback).await.location(), good, "and after a reload");
    }
}

/// The cookie that remembers where a reload goes is the browser's, who may write into it what they like.
async fn b17_a_marker_that_was_tampered_with_leads_nowhere_else<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/PLACE")).await;
    world.deliver(&browser, &callback).await;
    let [marker] = browser.cookies("authflow-").try_into().unwrap();
    assert!(marker.value.contains("PLACE"), "{marker:?}");
    let session = browser.cookie_header("/").replace(&format!("{}={}", marker.name, marker.value), "");
    for payload in [
        "%2Fevil.example",
        "%5Cevil.example",
        "%09%2Fevil.example",
        "%0D%0AX: y",
        "/evil.example",
        "\\evil.example",
    ] {
        let value = marker.value.replace("PLACE", payload);
        let cookies = format!("{session}; {}={value}", marker.name);
        let visit = world.browser();
        let answer = visit.get(&callback).from(crate::jar::From::CrossSite).cookies(&cookies).send().await;
        if answer.status == 303 {
            assert_stays(&world.origin, answer.location());
        }
        assert!(answer.headers.get("x").is_none());
        assert_eq!(world.token_requests(), 1);
    }
}

async fn b18_after_a_disconnect_too<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    for payload in ["//evil.example", "https:evil.example", "/\\evil.example", "https://evil.example"] {
        world.connect(&browser).await;
        let form =
            [("return_to", payload), ("post_logout_redirect_uri", payload), ("target_link_uri", payload)];
        let answer = browser.post(&world.path(EXAMPLE, "disconnect"), &form).send().await;
        assert_stays(&world.origin, answer.location());
    }
}

async fn b19_a_request_adds_nothing_to_the_authorization_url<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let names = |url: &str| {
        let query = url.split_once('?').unwrap().1;
        let mut names: Vec<_> =
            query.split('&').map(|pair| pair.split('=').next().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let plain = world.begin(&browser, Some("/done")).await;
    let more = "scope=admin&redirect_uri=https%3A%2F%2Fevil.example&state=fixed&code_challenge=x\
        &code_challenge_method=plain&request_uri=urn%3Ax&request=x&client_id=other&response_type=token\
        &response_mode=form_post&nonce=x&resource=https%3A%2F%2Fevil.example&prompt=none&login_hint=mallory&evil=1";
    let by_query = browser.get(&format!("/auth/example/connect?return_to=%2Fdone&{more}")).send().await;
    let form: Vec<(String, String)> = url::form_urlencoded::parse(more.as_bytes()).into_owned().collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    let by_form = browser.post("/auth/example/connect", &form).send().await;
    // A return_to that looks like more parameters is one value all the same.
    let sly = world.begin(&browser, Some("/done?x=1&scope=admin&state=fixed")).await;
    for url in [by_query.location(), by_form.location(), &sly] {
        assert_eq!(names(url), names(&plain));
        for name in ["scope", "redirect_uri", "client_id", "response_type", "code_challenge_method"] {
            assert_eq!(value(url, name), value(&plain, name), "{name}");
        }
        assert_ne!(value(url, "state"), "fixed");
        assert_ne!(value(url, "code_challenge"), "x");
        assert!(!url.contains("evil") && !url.contains("admin") && !url.contains("mallory"), "{url}");
    }
}

//! §4.B: what a provider's answer may look like, and what is made of one that does not.

use authflow::quirks::IssPolicy;
use authflow_testkit::{Endpoint, Fault, IssuerParameter};
use http::Method;

use crate::application::Seen;
use crate::binding::{callback_with, value};
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, World};

judged! {
    every_store:
        b1_another_issuer_is_refused,
        b2_a_missing_issuer_is_refused,
        b2_b3_without_iss_the_redirect_uri_tells_providers_apart,
        b4_an_issuer_is_compared_byte_by_byte,
        b5_a_code_of_another_flow_is_refused,
        b7_doubled_parameters_are_refused,
        b8_code_and_error_together_are_refused,
        b9_every_error_ends_the_flow_once,
        b10_an_error_without_its_state_says_nothing,
        b12_what_is_not_a_query_is_refused,
        b13_the_wrong_mode_is_refused,
        b13_form_post_is_read_where_it_was_asked_for,
        b14_a_token_in_the_callback_is_nobodys;
}

/// A refusal, after which the flow is as it was: nothing was sent, and the right answer is taken.
macro_rules! refused_then_accepted {
    ($world:expr, $browser:expr, $callback:expr, $bad:expr) => {
        for bad in $bad {
            let answer = $world.deliver(&$browser, &bad).await;
            assert_eq!($world.token_requests(), 0, "{bad}");
            answer.assert_page(400);
        }
        assert!($world.application.seen().is_empty());
        assert_eq!($world.deliver(&$browser, &$callback).await.location(), "/done");
    };
}

/// What came of one flow whose answer is spoiled: the state is used up, and no code went out.
async fn failed<F: Framework>(world: &World<F>, callback: &str, browser: &crate::browser::Browser) {
    let answer = world.deliver(browser, callback).await;
    if answer.status == 303 {
        let location = answer.location().to_owned();
        assert!(location.starts_with(&world.path(EXAMPLE, "failed")), "{location}");
        let page = browser.get(&location).send().await;
        assert_eq!(page.body.matches("attacker").count(), 0);
    } else {
        answer.assert_page(400).assert_lacks("attacker");
    }
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections_of("alice").await.is_empty());
}

async fn b1_another_issuer_is_refused<F: Framework>(kind: Kind) {
    for policy in [IssPolicy::Required, IssPolicy::IfPresent] {
        let mut setup = Setup::new(kind).await;
        setup.iss = policy;
        let world: World<F> = setup.start().await;
        let browser = world.browser_of("alice");
        world.example.fault_next(Endpoint::Authorization, Fault::WrongIss);
        let callback = world.until_callback(&browser, Some("/done")).await;
        failed(&world, &callback, &browser).await;
        // An error of the wrong issuer is not shown, and not taken for a denial.
        let url = world.begin(&browser, None).await;
        let denied = callback_with(&world.deny(&url).await, "iss", "https%3A%2F%2Fattacker.example");
        let answer = world.deliver(&browser, &denied).await;
        assert!(answer.status == 400 || answer.location().contains("/failed"), "{answer:?}");
        assert!(!world.application.seen().iter().any(|seen| matches!(seen, Seen::Denied(_))));
    }
}

async fn b2_a_missing_issuer_is_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.example.fault_next(Endpoint::Authorization, Fault::MissingIss);
    let callback = world.until_callback(&browser, Some("/done")).await;
    failed(&world, &callback, &browser).await;
}

async fn b2_b3_without_iss_the_redirect_uri_tells_providers_apart<F: Framework>(kind: Kind) {
    let mut setup = Setup::new(kind).await;
    setup.iss = IssPolicy::IfPresent;
    setup.issuer_parameter = IssuerParameter::Omitted;
    let world: World<F> = setup.start().await;
    let browser = world.browser_of("alice");
    // Mix-up: the answer of one provider at the callback of the other.
    let callback = world.until_callback(&browser, Some("/done")).await;
    let mixed = callback.replace("/example/", "/other/");
    world.assert_refused(&world.deliver(&browser, &mixed).await, 0);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

async fn b4_an_issuer_is_compared_byte_by_byte<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let issuer = world.example.issuer().to_owned();
    let variants = [
        format!("{issuer}/"),
        issuer.replace("http://", "HTTP://"),
        issuer.replace("127.0.0.1", "127.1"),
        issuer.replace("http://", "https://"),
        format!("{issuer}?x"),
        format!("{issuer}#x"),
        format!(" {issuer}"),
        issuer.replace("http://", "http://user@"),
        String::new(),
    ];
    for variant in variants {
        let browser = world.browser_of("alice");
        let callback = world.until_callback(&browser, Some("/done")).await;
        let encoded: String = url::form_urlencoded::byte_serialize(variant.as_bytes()).collect();
        failed(&world, &callback_with(&callback, "iss", &encoded), &browser).await;
    }
}

/// The stolen code in the thief's own flow: the verifier is another one, and the provider says no.
async fn b5_a_code_of_another_flow_is_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let victim = world.browser_of("alice");
    let stolen = world.until_callback(&victim, Some("/done")).await;
    let thief = world.browser_of("mallory");
    let own = world.until_callback(&thief, Some("/done")).await;
    let injected = callback_with(&own, "code", &value(&stolen, "code"));
    let answer = world.deliver(&thief, &injected).await;
    assert!(answer.location().starts_with(&world.path(EXAMPLE, "failed")), "{answer:?}");
    assert!(world.connections_of("mallory").await.is_empty());
    let page = thief.get(answer.location()).send().await;
    page.assert_page(page.status);
}

async fn b7_doubled_parameters_are_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let mut bad = Vec::new();
    for name in ["code", "state", "iss"] {
        let good = value(&callback, name);
        bad.push(format!("{callback}&{name}={good}"));
        bad.push(format!("{callback}&{name}=other"));
        bad.push(callback.replace('?', &format!("?{name}=other&")));
        bad.push(callback.replace('?', &format!("?{name}=&")));
    }
    refused_then_accepted!(world, browser, callback, bad);

    for name in ["error", "id_token", "response", "access_token"] {
        let browser = world.browser_of("bob");
        let before = world.token_requests();
        let callback = world.until_callback(&browser, Some("/done")).await;
        let answer = world.deliver(&browser, &format!("{callback}&{name}=a&{name}=b")).await;
        assert_eq!(world.token_requests(), before, "{name}");
        answer.assert_page(400);
    }
}

async fn b8_code_and_error_together_are_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.example.fault_next(Endpoint::Authorization, Fault::CodeAndError);
    let both = world.until_callback(&browser, Some("/done")).await;
    // An error that says nothing is one all the same.
    let empty = world.until_callback(&browser, Some("/done")).await + "&error=";
    for callback in [both, empty] {
        world.assert_refused(&world.deliver(&browser, &callback).await, 0);
    }
    assert!(world.connections_of("alice").await.is_empty() && world.application.seen().is_empty());
}

async fn b9_every_error_ends_the_flow_once<F: Framework>(kind: Kind) {
    const CODES: [(&str, &str); 14] = [
        ("invalid_request", "failed?reason=configuration"),
        ("unauthorized_client", "failed?reason=configuration"),
        ("access_denied", "denied"),
        ("unsupported_response_type", "failed?reason=configuration"),
        ("invalid_scope", "failed?reason=configuration"),
        ("server_error", "failed?reason=unavailable"),
        ("temporarily_unavailable", "failed?reason=unavailable"),
        ("interaction_required", "failed?reason=other"),
        ("login_required", "failed?reason=other"),
        ("account_selection_required", "failed?reason=other"),
        ("consent_required", "failed?reason=other"),
        ("invalid_target", "failed?reason=other"),
        ("weird_code", "failed?reason=other"),
        ("Weird:code-1.2", "failed?reason=other"),
    ];
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    for (code, expected) in CODES {
        let callback = world.until_callback(&browser, Some("/done")).await;
        let good = callback.clone();
        let (path, _) = callback.split_once('?').unwrap();
        let description = "x".repeat(5000);
        let error = format!(
            "{path}?error={code}&error_description=words-of-the-provider-{description}&state={}&iss={}",
            value(&good, "state"),
            value(&good, "iss"),
        );
        let answer = world.deliver(&browser, &error).await;
        // The next attempt leads to where this one would have.
        let and = if expected.contains('?') { '&' } else { '?' };
        let expected = world.path(EXAMPLE, &format!("{expected}{and}return_to=/done"));
        assert_eq!(answer.location(), expected, "{code}");
        let page = browser.get(answer.location()).send().await;
        page.assert_page(200).assert_lacks("words-of-the-provider");
        assert_lacks_code(&page.body, code);
        // It is over: the code that the user could bring now is not taken any more.
        world.deliver(&browser, &good).await.assert_page(410);
        assert_eq!(world.token_requests(), 0, "{code}");
    }
    let failed = Seen::Failed("AuthorizationFailed".to_owned());
    let expected = CODES.map(|(code, _)| match code {
        "access_denied" => Seen::Denied(Some(code.to_owned())),
        _ => failed.clone(),
    });
    assert_eq!(world.application.seen(), expected, "the hook hears of each once");
}

/// What the provider calls it is nothing for a page.
fn assert_lacks_code(body: &str, code: &str) {
    assert!(!body.contains(code) || code == "invalid_request", "{code} in {body}");
}

async fn b10_an_error_without_its_state_says_nothing<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let path = world.path(EXAMPLE, "callback");
    let text = "error=access_denied&error_description=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E-words";
    let bad = [
        format!("{path}?{text}"),
        format!("{path}?{text}&state="),
        format!("{path}?{text}&state=wrong"),
        format!("{path}?{text}&state={}x&iss={}", value(&callback, "state"), value(&callback, "iss")),
    ];
    for bad in &bad {
        world.deliver(&browser, bad).await.assert_page(400).assert_lacks("words").assert_lacks("onerror");
    }
    refused_then_accepted!(world, browser, callback, bad);
}

async fn b12_what_is_not_a_query_is_refused<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let path = world.path(EXAMPLE, "callback");
    let state = value(&callback, "state");
    let code = value(&callback, "code");
    let bad = [
        path.clone(),
        format!("{path}?"),
        format!("{path}?code={code}"),
        format!("{path}?code={code}&state={state}%ff"),
        format!("{path}?code={code}&state={state}%zz"),
        format!("{path}?code={code}&state={state}%00"),
        format!("{path}?code={code}&state={state}+"),
        format!("{path}?code={code}&state={state}%"),
        format!("{path}?code={code}&state=%ff%fe"),
        format!("{path}?code={code}&state=%c0%af"),
        format!("{path}?&&&=&=x&code"),
        format!("{path}?{}", "a=b&".repeat(2000)),
        format!("{path}?code={}&state={state}x", "c".repeat(40_000)),
    ];
    for bad in &bad {
        let answer = browser.get(bad).from(From::CrossSite).send().await;
        assert!((400..500).contains(&answer.status), "{bad}: {answer:?}");
        answer.assert_lacks("panicked");
        assert_eq!(world.token_requests(), 0, "{bad}");
    }
    // A megabyte: whoever refuses it, the server is there afterwards.
    let huge = format!("{path}?code={}", "x".repeat(1 << 20));
    if let Ok(answer) = browser.get(&huge).from(From::CrossSite).try_send().await {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    // With the right state, and nothing else that counts, the flow is over.
    for rest in ["", "&code=", "&code=%01", "&code=%c3%a9", "&code", "&error="] {
        let callback = world.until_callback(&browser, Some("/done")).await;
        let bad = format!("{path}?state={}&iss={}{rest}", value(&callback, "state"), value(&callback, "iss"));
        let answer = world.deliver(&browser, &bad).await;
        assert!(answer.status == 400 || answer.location().contains("/failed"), "{rest}: {answer:?}");
        assert_eq!(world.token_requests(), 1, "{rest}");
    }
}

async fn b13_the_wrong_mode_is_refused<F: Framework>(kind: Kind) {
    for form_post in [false, true] {
        let setup = Setup::new(kind).await;
        let world: World<F> = if form_post { setup.form_post() } else { setup }.start().await;
        let browser = world.browser_of("alice");
        let callback = world.until_callback(&browser, Some("/done")).await;
        let (path, query) = callback.split_once('?').unwrap();
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        let wrong = match form_post {
            true => browser.get(&callback).from(From::CrossSite),
            // Of the same site, so that the cookie comes along and only the mode is wrong.
            false => browser.post(path, &form),
        };
        let answer = wrong.send().await;
        assert_eq!(answer.status, if form_post { 400 } else { 405 }, "{answer:?}");
        assert_eq!(world.token_requests(), 0);
        // A GET with a body, a POST with the query: only one place counts.
        let mixed = match form_post {
            true => browser.request(Method::POST, &callback).body(Vec::new()),
            false => browser
                .request(Method::GET, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(query.as_bytes().to_vec()),
        };
        let answer = mixed.send().await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(world.token_requests(), 0);
        assert!(world.connections_of("alice").await.is_empty());
    }
}

async fn b13_form_post_is_read_where_it_was_asked_for<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.form_post().offering_sign_in().start().await;
    let browser = world.browser();
    let callback = world.until_callback(&browser, Some("/done")).await;
    world.arrive(&browser, &callback).await;
    assert_eq!(world.application.seen(), [Seen::SignedIn(EXAMPLE.to_owned())]);
    // Not what is no form.
    let browser = world.browser();
    let callback = world.until_callback(&browser, Some("/done")).await;
    let (path, query) = callback.split_once('?').unwrap();
    for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let post = browser.request(Method::POST, path).header("content-type", content_type);
        let answer = post.body(query.as_bytes().to_vec()).send().await;
        assert!((400..500).contains(&answer.status), "{content_type}: {answer:?}");
    }
    assert_eq!(world.token_requests(), 1);
    // As a form it is taken.
    world.arrive(&browser, &callback).await;
}

async fn b14_a_token_in_the_callback_is_nobodys<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let path = world.path(EXAMPLE, "callback");
    let rest = format!("state={}&iss={}", value(&callback, "state"), value(&callback, "iss"));
    for injected in ["access_token=stolen&token_type=Bearer", "id_token=e.e.e", "response=e.e.e"] {
        let answer = world.deliver(&browser, &format!("{path}?{injected}&{rest}")).await;
        assert!(
            matches!(answer.status, 400 | 410) || answer.location().contains("/failed"),
            "{injected}: {answer:?}"
        );
        assert_eq!(world.token_requests(), 0);
        assert!(world.connections_of("alice").await.is_empty());
    }
    // Beside a code it is refused, or it counts for nothing.
    world.example.fault_next(Endpoint::Authorization, Fault::TokenInCallback);
    let browser = world.browser_of("bob");
    let callback = world.until_callback(&browser, Some("/done")).await;
    assert!(callback.contains("access_token="));
    let injected = value(&callback, "access_token");
    let answer = world.deliver(&browser, &callback).await;
    if answer.status == 303 && answer.location() == "/done" {
        let client = browser.get("/me").send().await;
        assert_eq!(client.status, 200);
        let last = world.example.ledger().last().unwrap();
        assert!(!last.header("authorization").unwrap().contains(&injected));
    } else {
        assert_eq!(world.token_requests(), 0);
    }
}

//! `authflow demo`: what its page says of a fault is true, whichever of the providers it is.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use support::page::{Decision, DemoPage};

/// Calls the API, and returns what is said until `text`.
async fn call(page: &DemoPage, provider: &str, text: &str) -> String {
    let from = page.revision().await;
    page.post("/demo/call", &format!("provider={provider}")).await;
    page.said(from, &[text]).await.1
}

async fn misbehave(page: &DemoPage, provider: &str, preset: &str) {
    let form = format!("provider={provider}&preset={preset}");
    assert_eq!(page.post("/demo/fault", &form).await.status, 303, "{form}");
}

fn nothing_is_survived(said: &str) {
    assert!(!said.to_lowercase().contains("survived"), "{said}");
}

#[tokio::test]
async fn each_server_has_the_faults_that_it_can_show() {
    let page = DemoPage::open(&[]).await;
    let shown = page.get("/").await.body;
    let of = |provider: &str| {
        let (_, rest) = shown.split_once(&format!("data-of=\"{provider}\"")).unwrap();
        rest.split_once("</form>").unwrap().0.to_owned()
    };
    assert!(of("rfc").contains("preset-rfc-mix-up") && of("rfc").contains("rotating"));
    for provider in ["stackexchange", "contentstack"] {
        assert!(!of(provider).contains("iss"), "it knows none: {}", of(provider));
        assert!(!of(provider).contains("rotating"), "{}", of(provider));
        let refused = page.post("/demo/fault", &format!("provider={provider}&preset=mix-up")).await;
        assert_eq!(refused.status, 400, "{provider}");
    }
    assert!(of("contentstack").contains("Refresh now"));
    assert!(!of("stackexchange").contains("Refresh now"), "there is no such button");
    assert_eq!(page.post("/demo/fault", "provider=stackexchange&preset=lost-answer").await.status, 400);
}

#[tokio::test]
async fn a_refused_token_without_a_refresh_is_not_survived() {
    let page = DemoPage::open(&["stackexchange"]).await;
    page.connect("stackexchange").await;
    misbehave(&page, "stackexchange", "refused-token").await;
    let said = call(&page, "stackexchange", "you have to connect again").await;
    assert!(said.contains("400 Bad Request") && !said.contains("401"), "{said}");
    assert!(!said.contains("InvalidGrant") && !said.contains("send:"), "in words: {said}");
    nothing_is_survived(&said);
    let card = page.card("stackexchange").await;
    assert!(card.contains("Connect again") && !card.contains("Call the API"), "{card}");

    // A page that was left open may still ask.
    nothing_is_survived(&call(&page, "stackexchange", "has what it asked for").await);
    misbehave(&page, "stackexchange", "refused-token").await;
    call(&page, "stackexchange", "you have to connect again").await;
    let from = page.revision().await;
    page.connect("stackexchange").await;
    let (_, said) = page.said(from, &["Connected: "]).await;
    nothing_is_survived(&said);
    let card = page.card("stackexchange").await;
    assert!(card.contains("Call the API") && !card.contains("Connect again"), "{card}");
}

#[tokio::test]
async fn a_call_that_failed_is_no_part_of_a_survival() {
    let page = DemoPage::open(&["stackexchange"]).await;
    page.connect("stackexchange").await;
    misbehave(&page, "stackexchange", "throttled").await;
    let said = call(&page, "stackexchange", "The call failed, and the connection stays").await;
    nothing_is_survived(&said);
    assert!(page.card("stackexchange").await.contains("Call the API"));
    nothing_is_survived(&call(&page, "stackexchange", "has what it asked for").await);

    // No tokens come, and the next time they do.
    misbehave(&page, "stackexchange", "server-down").await;
    let from = page.revision().await;
    page.visit("stackexchange", Decision::Approve).await;
    let (from, said) = page.said(from, &["Not connected: ", "503"]).await;
    nothing_is_survived(&said);
    page.connect("stackexchange").await;
    nothing_is_survived(&page.said(from, &["Connected: "]).await.1);
}

#[tokio::test]
async fn a_token_that_is_refused_after_its_refresh_too_is_not_survived() {
    for provider in ["rfc", "contentstack"] {
        let page = DemoPage::open(&[provider]).await;
        page.connect(provider).await;
        let form = format!("provider={provider}&fault=invalid-token&span=every");
        assert_eq!(page.post("/demo/fault", &form).await.status, 303);
        let said = call(&page, provider, "you have to connect again").await;
        assert!(said.contains("401 Unauthorized"), "{said}");
        nothing_is_survived(&said);
        assert!(page.card(provider).await.contains("Connect again"), "{provider}");
        page.post("/demo/behave", "").await;
        nothing_is_survived(&call(&page, provider, "has what it asked for").await);
        assert!(page.card(provider).await.contains("Call the API"), "{provider}");
    }
}

#[tokio::test]
async fn contentstack_survives_what_its_faults_say() {
    let page = DemoPage::open(&["contentstack"]).await;
    page.connect("contentstack").await;
    misbehave(&page, "contentstack", "refused-token").await;
    let said = call(&page, "contentstack", "The fault invalid-token was survived").await;
    assert!(said.contains("<h3>Refresh</h3>"), "{said}");

    // The refresh token stays the same: another refresh helps, once the pause after the one that was lost is over.
    misbehave(&page, "contentstack", "lost-answer").await;
    let from = page.revision().await;
    page.post("/demo/refresh", "provider=contentstack").await;
    let (mut from, mut said) = page.said(from, &["The refresh failed: no usable answer came"]).await;
    nothing_is_survived(&said);
    while !said.contains("The fault reset-after-commit was survived") {
        page.post("/demo/refresh", "provider=contentstack").await;
        let news = page.news(from).await;
        from = news["revision"].as_u64().unwrap();
        said.push_str(news["messages"].as_str().unwrap());
    }
    assert!(page.card("contentstack").await.contains("Call the API"));
}

#[tokio::test]
async fn a_forged_callback_brings_no_code_to_the_server() {
    for provider in ["stackexchange", "contentstack"] {
        let page = DemoPage::open(&[provider]).await;
        misbehave(&page, provider, "forged-callback").await;
        let from = page.revision().await;
        page.visit(provider, Decision::Approve).await;
        let (from, said) = page.said(from, &["The fault wrong-state shows", "Refused: "]).await;
        assert!(said.contains("does not say who answers"), "{said}");
        assert!(!said.contains("code_verifier") && !said.contains("became tokens"), "{said}");
        assert!(page.card(provider).await.contains("Not connected"), "{provider}");
        page.connect(provider).await;
        nothing_is_survived(&page.said(from, &["Connected: "]).await.1);
    }
}

#[tokio::test]
async fn a_fault_that_nobody_meets_is_said_to_be_one() {
    let page = DemoPage::open(&["contentstack"]).await;
    let from = page.revision().await;
    page.post("/demo/fault", "provider=contentstack&fault=wrong-iss&span=next").await;
    page.connect("contentstack").await;
    let (_, said) = page.said(from, &["Connected: "]).await;
    assert!(said.contains("nobody notices"), "{said}");
    nothing_is_survived(&said);
}

#[tokio::test]
async fn what_is_compared_in_a_callback_is_what_is_said() {
    let page = DemoPage::open(&["rfc"]).await;
    let from = page.revision().await;
    page.connect("rfc").await;
    let (_, said) = page.said(from, &["Connected: "]).await;
    assert!(said.contains("State, cookie and iss (the issuer: who answers) are compared"), "{said}");
}

#[tokio::test]
async fn while_the_old_token_is_served_a_refresh_that_fails_is_no_problem() {
    for provider in ["rfc", "contentstack"] {
        let page = DemoPage::open(&[provider]).await;
        page.connect(provider).await;
        misbehave(&page, provider, "server-down").await;
        let from = page.revision().await;
        page.post("/demo/refresh", &format!("provider={provider}")).await;
        let (_, said) = page.said(from, &["The refresh failed: ", "No new token: "]).await;
        let notes = said.split("<li ").filter(|line| line.contains("is served"));
        let tones: Vec<_> = notes.map(|note| note.contains("class=\"note warn\"")).collect();
        assert_eq!(tones, [true, true], "{said}");
        assert!(!said.contains("(Unavailable)") && !said.contains("[HTTP"), "{said}");
        call(&page, provider, "The fault unavailable was survived").await;
    }
}

#[tokio::test]
async fn the_server_to_misbehave_is_the_one_that_was_connected_last() {
    let page = DemoPage::open(&[]).await;
    let chosen = async || {
        let shown = page.get("/").await.body;
        let options = shown.split("<option value=\"");
        let chosen: Vec<_> = options.filter(|option| option.contains(" selected")).collect();
        assert_eq!(chosen.len(), 1, "{chosen:?}");
        chosen[0].split('"').next().unwrap().to_owned()
    };
    assert_eq!(chosen().await, "rfc");
    for provider in ["contentstack", "stackexchange"] {
        page.connect(provider).await;
        assert_eq!(chosen().await, provider);
    }
}

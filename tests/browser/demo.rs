//! The demo's page, as a newcomer sees it: the program itself, with its three providers.
//!
//! The demo brings its own servers and its own setup: there is no demo in front of `oidc-provider`, none whose provider answers
//! with `form_post`, and none with another lifetime of flows than ten minutes. What the examples show of these is all there is.

use std::process::Stdio;
use std::sync::Arc;

use fantoccini::key::Key;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::chromium::{Browsers, Options, with_browsers};
use crate::example::{built, told};
use crate::keyboard::tab_to;
use crate::looks::look_at;
use crate::page::Page;

const PROVIDERS: [&str; 3] = ["rfc", "stackexchange", "contentstack"];

/// A running demo. It ends with this value.
pub(crate) struct Demo {
    _process: Child,
    /// The page's address.
    url: String,
}

impl Demo {
    pub(crate) async fn start() -> Self {
        let mut process = Command::new(built("authflow", "-p authflow-cli"))
            .args(["demo", "--no-browser"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = told(process.stderr.take().unwrap(), "open: ").await.expect("the demo starts");
        Self { _process: process, url }
    }

    /// Somebody presses *Connect* and is asked by the provider.
    async fn begin(&self, page: &Page, provider: &str) {
        page.goto(&self.url).await;
        // On a small one the line at the foot may lie over the button, and a driver scrolls no further than to the button's edge.
        page.show_on(1280, false).await;
        page.press(&format!("#connect-{provider}")).await;
        page.shows("button[value=approve]").await;
    }

    pub(crate) async fn connect(&self, page: &Page, provider: &str) {
        self.begin(page, provider).await;
        page.approve().await;
        self.is_connected(page, provider).await;
    }

    /// Somebody approves, and their browser does not bring its cookies: the callback, which is still good, and these.
    async fn unfinished_callback(&self, page: &Page) -> (String, Vec<Value>) {
        self.begin(page, "rfc").await;
        let cookies = page.take_cookies_of_flows().await;
        page.approve().await;
        page.arrives_under(&format!("{}accounts/rfc/callback", self.url)).await;
        let callback = page.url().await;
        assert!(callback.query().is_some_and(|query| query.contains("code=")));
        (callback.into(), cookies)
    }

    async fn is_connected(&self, page: &Page, provider: &str) {
        page.arrives_at(&self.url).await;
        page.shows(&format!("{}.good", card(provider))).await;
    }
}

/// What is shown of a provider.
fn card(provider: &str) -> String {
    format!("[aria-labelledby=account-{provider}]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_call_refresh_and_disconnect_each_provider() {
    with_browsers(each_provider).await;
}

async fn each_provider(browsers: Arc<Browsers>) {
    let demo = Demo::start().await;
    let page = browsers.open().await;
    page.goto(&demo.url).await;
    page.shows("#empty:not([hidden])").await;
    look_at("demo", &page, "before").await;
    for provider in PROVIDERS {
        demo.connect(&page, provider).await;
        // A call, and the news of it without a new page.
        let before = messages(&page).await;
        page.click(&format!("#call-{provider}")).await;
        page.shows(&format!("#messages > li:nth-child({})", before + 2)).await;
    }
    // What runs down does so on the screen.
    let runs = "const life = document.querySelector('.life .left');
        const before = life.textContent;
        return new Promise((resolve) => setInterval(() => life.textContent !== before && resolve(true), 50))";
    assert_eq!(page.driver().execute(runs, Vec::new()).await.unwrap(), true);
    let refreshed = format!("{} dd time ~ time", card("rfc"));
    assert!(!page.has(&refreshed).await);
    page.click("#refresh-rfc").await;
    page.shows(&refreshed).await;
    look_at("demo", &page, "connected").await;
    for provider in PROVIDERS {
        page.press(&format!("#disconnect-{provider}")).await;
        page.arrives_at(&demo.url).await;
        page.shows(&format!("{}.off #connect-{provider}", card(provider))).await;
    }
}

/// How many requests to the token endpoint can be read about.
async fn exchanged(page: &Page) -> usize {
    page.text().await.matches("POST /token").count()
}

/// How many codes the servers' ledgers say were exchanged, and that no other was brought to them.
async fn became_tokens(page: &Page) -> usize {
    let text = page.text().await;
    let exchanges = text.matches("the code became tokens").count();
    assert_eq!(
        text.matches("records: ").count() - text.matches("API records: ").count(),
        exchanges,
        "{text}"
    );
    exchanges
}

async fn messages(page: &Page) -> u64 {
    let count = "return document.querySelectorAll('#messages > li').length";
    page.driver().execute(count, Vec::new()).await.unwrap().as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_switched_on_and_survived() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        demo.connect(&page, "rfc").await;
        page.click("#preset-rfc-refused-token").await;
        page.shows("#faults #behave").await;
        look_at("demo", &page, "fault").await;
        page.click("#call-rfc").await;
        // It was met, one refresh helped, and the connection is as good as before.
        page.shows("#faults > p.faint").await;
        page.shows("#messages > .note.survived").await;
        page.shows(&format!("{}.good dd time ~ time", card("rfc"))).await;

        // One that is not survived says what to do.
        page.click("#preset-rfc-lost-answer").await;
        page.shows("#faults #behave").await;
        page.click("#refresh-rfc").await;
        page.shows(&format!("{} .last", card("rfc"))).await;
        page.shows("#messages > .note.bad").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_and_try_again() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        demo.begin(&page, "stackexchange").await;
        page.deny().await;
        page.arrives_at(&demo.url).await;
        page.shows(&format!("{}.off .last", card("stackexchange"))).await;
        assert!(!page.url().await.as_str().contains("state="));
        assert_eq!((exchanged(&page).await, became_tokens(&page).await), (0, 0), "no code goes out");
        demo.connect(&page, "stackexchange").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a8_two_tabs_in_reverse_order_and_a9_the_back_button() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        let first = page.driver().window().await.unwrap();
        demo.begin(&page, "rfc").await;
        let second = page.new_tab().await;
        demo.begin(&page, "contentstack").await;
        let mut provider = String::new();
        for (tab, id) in [(second, "contentstack"), (first, "rfc")] {
            page.driver().switch_to_window(tab).await.unwrap();
            provider = page.url().await.origin().ascii_serialization();
            page.approve().await;
            demo.is_connected(&page, id).await;
        }
        // Back to the provider's page, which is used up, and forward: nothing is undone.
        page.driver().back().await.unwrap();
        page.arrives_under(&provider).await;
        page.driver().forward().await.unwrap();
        demo.is_connected(&page, "rfc").await;
        // One for each of the two providers.
        assert_eq!(became_tokens(&page).await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a9_the_reload_of_the_callback() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        let (callback, cookies) = demo.unfinished_callback(&page).await;
        page.reload().await;
        assert_eq!(page.url().await.as_str(), callback);
        page.goto(&demo.url).await;
        page.shows(&format!("{}.off", card("rfc"))).await;

        page.goto(&callback).await;
        page.put_cookies(&cookies).await;
        page.reload().await;
        demo.is_connected(&page, "rfc").await;
        // Once more it leads there again, and there is no second exchange to read about.
        page.goto(&callback).await;
        demo.is_connected(&page, "rfc").await;
        page.reload().await;
        demo.is_connected(&page, "rfc").await;
        assert_eq!(exchanged(&page).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_another_users_browser_with_a_stolen_callback_url() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let attacker = browsers.open().await;
        let (stolen, cookies) = demo.unfinished_callback(&attacker).await;
        let victim = browsers.open().await;
        victim.goto(&stolen).await;
        assert_eq!(victim.url().await.as_str(), stolen, "it stays with a refusal");
        victim.heading().await;
        victim.goto(&demo.url).await;
        for provider in PROVIDERS {
            victim.shows(&format!("{}.off", card(provider))).await;
        }
        assert_eq!(exchanged(&victim).await, 0, "no code goes out");
        // Whoever began can finish: nothing was burnt.
        attacker.put_cookies(&cookies).await;
        attacker.reload().await;
        demo.is_connected(&attacker, "rfc").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_cookies_is_told_so() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open_with(Options::without_cookies()).await;
        demo.begin(&page, "rfc").await;
        page.approve().await;
        page.arrives_under(&format!("{}accounts/rfc/callback", demo.url)).await;
        assert!(page.text().await.to_lowercase().contains("cookies"), "{}", page.describe().await);
        page.goto(&demo.url).await;
        page.shows(&format!("{}.off", card("rfc"))).await;
        assert_eq!((exchanged(&page).await, became_tokens(&page).await), (0, 0), "no code goes out");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_without_a_refresh_asks_to_connect_again() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        demo.connect(&page, "rfc").await;
        demo.connect(&page, "stackexchange").await;
        // The faults offered are those of the account that was connected last.
        page.shows("form[data-of=stackexchange]:not([hidden])").await;
        assert!(page.has("form[data-of=rfc][hidden]").await);
        page.click("#preset-stackexchange-refused-token").await;
        page.shows("#faults #behave").await;
        page.click("#call-stackexchange").await;
        page.shows(&format!("{}.bad #connect-stackexchange", card("stackexchange"))).await;
        look_at("demo", &page, "refused").await;
        demo.connect(&page, "stackexchange").await;
        page.click("#call-stackexchange").await;
        page.shows("#messages > .note.good:last-child").await;
        assert!(!page.has(".survived").await, "{}", page.describe().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_is_shown_from_its_beginning_and_a_phone_has_one_thing_that_scrolls() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        page.show_on(1280, false).await;
        demo.connect(&page, "rfc").await;
        let is_first = "const lanes = document.querySelector('.lanes').getBoundingClientRect();
            const act = [...document.querySelectorAll('.act')].pop().getBoundingClientRect();
            return Math.abs(act.top - lanes.bottom) < 3";
        assert_eq!(page.driver().execute(is_first, Vec::new()).await.unwrap(), true);

        page.show_on(390, false).await;
        let nested = "return getComputedStyle(document.querySelector('#sequence')).overflowY";
        assert_eq!(page.driver().execute(nested, Vec::new()).await.unwrap(), "visible");
        page.shows("#latest:not([hidden])").await;
        page.click("#latest").await;
        page.shows("#latest[hidden]").await;
        let is_in_view = "const act = document.querySelector('.act').getBoundingClientRect();
            return act.top >= 0 && act.bottom <= innerHeight";
        assert_eq!(page.driver().execute(is_in_view, Vec::new()).await.unwrap(), true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_by_keyboard() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        page.goto(&demo.url).await;
        tab_to(&page, "#connect-rfc").await;
        page.leaves_by(page.types(Key::Enter), "Enter").await;
        tab_to(&page, "button[value=approve]").await;
        page.leaves_by(page.types(Key::Enter), "Enter").await;
        demo.is_connected(&page, "rfc").await;
        tab_to(&page, "#preset-rfc-refused-token").await;
        page.types(Key::Enter).await;
        page.shows("#faults #behave").await;
        tab_to(&page, "#call-rfc").await;
        page.types(Key::Enter).await;
        page.shows("#messages > .note.survived").await;
        tab_to(&page, "#disconnect-rfc").await;
        page.leaves_by(page.types(Key::Enter), "Enter").await;
        page.arrives_at(&demo.url).await;
        page.shows(&format!("{}.off", card("rfc"))).await;
    })
    .await;
}

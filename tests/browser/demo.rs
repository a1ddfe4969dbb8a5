//! The demo's page, as a newcomer sees it: the program itself, with its three providers and with npm's `oidc-provider` beside them.
//!
//! The demo's own servers answer in the query, so that `form_post` is shown with the other one.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use fantoccini::key::Key;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::chromium::{Browsers, Options, with_browsers};
use crate::example::{built, told};
use crate::keyboard::tab_to;
use crate::looks::look_at;
use crate::node::OidcProvider;
use crate::page::Page;
use crate::stage::{By, counted};

/// Declares tests, each with one of the demo's own servers and with npm's.
macro_rules! demonstrated {
    ($($test:ident),+ $(,)?) => {
        demonstrated!(@ with_the_testkit, Testkit, [$($test),+]);
        demonstrated!(@ with_oidc_provider, OidcProvider, [$($test),+]);
    };
    (@ $module:ident, $by:ident, [$($test:ident),+]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let setting = super::Setting::new(crate::stage::By::$by);
                    crate::chromium::with_browsers(|browsers| super::$test(setting, browsers)).await;
                }
            )+
        }
    };
}

demonstrated! {
    deny_and_try_again,
    a8_two_tabs_in_reverse_order_and_a9_the_back_button,
    a9_the_reload_of_the_callback,
    a4_a_flow_that_took_too_long,
    a1_another_users_browser_with_a_stolen_callback_url,
    a_browser_without_cookies_is_told_so,
}

const PROVIDERS: [&str; 3] = ["rfc", "stackexchange", "contentstack"];

/// What a test asks for.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Whose server is spoken of: the demo's that does what the RFCs say, or npm's.
    by: By,
    form_post: bool,
    /// How many seconds one may take at the provider, if not ten minutes.
    flow_lifetime: Option<u64>,
}

impl Setting {
    const fn new(by: By) -> Self {
        Self { by, form_post: false, flow_lifetime: None }
    }

    async fn start(self) -> Demo {
        let own = match self.by {
            By::Testkit => None,
            By::OidcProvider => {
                let redirect_uri = "http://127.0.0.1/accounts/own/callback".to_owned();
                Some(OidcProvider::with_redirect_uris(&[redirect_uri]).await)
            }
        };
        let file = own.as_ref().map(|own| described(own, self.form_post));
        let mut command = Command::new(built("authflow", "-p authflow-cli"));
        command.args(["demo", "--no-browser"]);
        if let (Some(own), Some(file)) = (&own, &file) {
            command.arg(file.path()).args(["--client-id", own.text("/clients/public/client_id")]);
        }
        if let Some(seconds) = self.flow_lifetime {
            command.args(["--flow-lifetime", &seconds.to_string()]);
        }
        let mut process =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let url = told(process.stderr.take().unwrap(), "open: ").await.expect("the demo starts");
        Demo { _process: process, url, own }
    }
}

/// The file that a newcomer writes for a server of their own.
fn described(own: &OidcProvider, form_post: bool) -> tempfile::NamedTempFile {
    let mut text = String::from(
        "id = 'npm'\nname = 'oidc-provider'\ndefault_scopes = ['openid', 'offline_access']\n[endpoints]\n",
    );
    for name in
        ["issuer", "authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint"]
    {
        text.push_str(&format!("{name} = '{}'\n", own.text(&format!("/{name}"))));
    }
    if form_post {
        text.push_str("[quirks.authorization_response]\nresponse_mode = 'form_post'\n");
    }
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A running demo. It ends with this value.
pub(crate) struct Demo {
    _process: Child,
    /// The page's address.
    url: String,
    /// The server that is not the demo's.
    own: Option<OidcProvider>,
}

impl Demo {
    /// With its own servers.
    pub(crate) async fn start() -> Self {
        Setting::new(By::Testkit).start().await
    }

    /// The provider that a test is about.
    fn provider(&self) -> &'static str {
        if self.own.is_some() { "own" } else { "rfc" }
    }

    fn callback(&self) -> String {
        format!("{}accounts/{}/callback", self.url, self.provider())
    }

    /// Somebody presses *Connect* and is asked by the provider.
    async fn begin(&self, page: &Page, provider: &str) {
        page.goto(&self.url).await;
        // On a small one the line at the foot may lie over the button, and a driver scrolls no further than to the button's edge.
        page.show_on(1280, false).await;
        page.press(&format!("#connect-{provider}")).await;
        page.shows("button[value=approve]").await;
    }

    /// Says yes at the provider, to all that it asks, until the browser is back.
    async fn approve(&self, page: &Page) {
        page.shows("button[value=approve]").await;
        while page.is_asked_before(self.url.trim_end_matches('/')).await {
            page.approve().await;
        }
    }

    /// Says no at the provider, once it asks.
    async fn deny(&self, page: &Page) {
        if page.has("[name=login]").await {
            page.approve().await;
            page.shows("button[value=deny]").await;
        }
        page.deny().await;
    }

    pub(crate) async fn connect(&self, page: &Page, provider: &str) {
        self.begin(page, provider).await;
        self.approve(page).await;
        self.is_connected(page, provider).await;
    }

    /// Somebody approves, and their browser does not bring its cookies: the callback, which is still good, and these.
    async fn unfinished_callback(&self, page: &Page) -> (String, Vec<Value>) {
        self.begin(page, self.provider()).await;
        let cookies = page.take_cookies_of_flows().await;
        self.approve(page).await;
        page.arrives_under(&self.callback()).await;
        let callback = page.url().await;
        assert!(callback.query().is_some_and(|query| query.contains("code=")));
        (callback.into(), cookies)
    }

    async fn is_connected(&self, page: &Page, provider: &str) {
        page.arrives_at(&self.url).await;
        page.shows(&format!("{}.good", card(provider))).await;
    }

    /// How many requests there were to the token endpoint of the provider that a test is about: as the page tells it, and as
    /// npm's says.
    async fn exchanges(&self, page: &Page) -> u64 {
        let told = exchanged(page).await;
        if let Some(own) = &self.own {
            assert_eq!(counted(own, "token").await, told);
        }
        told
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
async fn exchanged(page: &Page) -> u64 {
    let text = page.text().await;
    text.lines().filter(|line| line.starts_with("POST /token") && !line.contains("/revocation")).count()
        as u64
}

/// How many codes the servers' ledgers say were exchanged, and that no other was brought to them.
async fn became_tokens(page: &Page) -> u64 {
    let text = page.text().await;
    let exchanges = text.matches("the code became tokens").count();
    assert_eq!(
        text.matches("records: ").count() - text.matches("API records: ").count(),
        exchanges,
        "{text}"
    );
    exchanges as u64
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

async fn deny_and_try_again(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    let page = browsers.open().await;
    demo.begin(&page, demo.provider()).await;
    demo.deny(&page).await;
    page.arrives_at(&demo.url).await;
    page.shows(&format!("{}.off .last", card(demo.provider()))).await;
    assert!(!page.url().await.as_str().contains("state="));
    assert_eq!((demo.exchanges(&page).await, became_tokens(&page).await), (0, 0), "no code goes out");
    demo.connect(&page, demo.provider()).await;
}

async fn a8_two_tabs_in_reverse_order_and_a9_the_back_button(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    let page = browsers.open().await;
    let first = page.driver().window().await.unwrap();
    demo.begin(&page, demo.provider()).await;
    let second = page.new_tab().await;
    demo.begin(&page, "contentstack").await;
    let mut provider = String::new();
    for (tab, id) in [(second, "contentstack"), (first, demo.provider())] {
        page.driver().switch_to_window(tab).await.unwrap();
        provider = page.url().await.origin().ascii_serialization();
        demo.approve(&page).await;
        demo.is_connected(&page, id).await;
    }
    // Back to the provider's page, which is used up, and forward: nothing is undone.
    page.driver().back().await.unwrap();
    page.is_under(&provider).await;
    page.driver().forward().await.unwrap();
    demo.is_connected(&page, demo.provider()).await;
    // One for each of the two providers, of which the ledgers tell those of the demo's own.
    let own = u64::from(demo.own.is_some());
    assert_eq!(became_tokens(&page).await, 2 - own);
    if let Some(own) = &demo.own {
        assert_eq!(counted(own, "token").await, 1);
    }
}

async fn a9_the_reload_of_the_callback(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    let page = browsers.open().await;
    let (callback, cookies) = demo.unfinished_callback(&page).await;
    page.reload().await;
    assert_eq!(page.url().await.as_str(), callback);
    page.goto(&demo.url).await;
    page.shows(&format!("{}.off", card(demo.provider()))).await;

    page.goto(&callback).await;
    page.put_cookies(&cookies).await;
    page.reload().await;
    demo.is_connected(&page, demo.provider()).await;
    // Once more it leads there again, and there is no second exchange to read about.
    page.goto(&callback).await;
    demo.is_connected(&page, demo.provider()).await;
    page.reload().await;
    demo.is_connected(&page, demo.provider()).await;
    assert_eq!(demo.exchanges(&page).await, 1);
}

async fn a4_a_flow_that_took_too_long(setting: Setting, browsers: Arc<Browsers>) {
    let demo = Setting { flow_lifetime: Some(1), ..setting }.start().await;
    let page = browsers.open().await;
    demo.begin(&page, demo.provider()).await;
    page.sees_pass(1).await;
    demo.approve(&page).await;
    page.arrives_under(&demo.callback()).await;
    look_at("demo", &page, &format!("expired-{}", demo.provider())).await;
    // It says so, rather than that the callback is not of this browser; and leads to the provider again.
    page.press(&format!("main [action='/accounts/{}/connect'] button", demo.provider())).await;
    page.shows("button[value=approve]").await;
    page.goto(&demo.url).await;
    page.shows(&format!("{}.off", card(demo.provider()))).await;
    assert_eq!((demo.exchanges(&page).await, became_tokens(&page).await), (0, 0), "no code goes out");
}

async fn a1_another_users_browser_with_a_stolen_callback_url(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    let attacker = browsers.open().await;
    let (stolen, cookies) = demo.unfinished_callback(&attacker).await;
    let victim = browsers.open().await;
    victim.goto(&stolen).await;
    assert_eq!(victim.url().await.as_str(), stolen, "it stays with a refusal");
    victim.heading().await;
    victim.goto(&demo.url).await;
    for provider in PROVIDERS.into_iter().chain([demo.provider()]) {
        victim.shows(&format!("{}.off", card(provider))).await;
    }
    assert_eq!(demo.exchanges(&victim).await, 0, "no code goes out");
    // Whoever began can finish: nothing was burnt.
    attacker.put_cookies(&cookies).await;
    attacker.reload().await;
    demo.is_connected(&attacker, demo.provider()).await;
}

async fn a_browser_without_cookies_is_told_so(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    // At npm's nobody can sign in without cookies: they are blocked for the demo.
    let blocked = match setting.by {
        By::Testkit => Options::without_cookies(),
        By::OidcProvider => Options::without_cookies_of(demo.url.trim_end_matches('/')),
    };
    let page = browsers.open_with(blocked).await;
    demo.begin(&page, demo.provider()).await;
    demo.approve(&page).await;
    page.arrives_under(&demo.callback()).await;
    assert!(page.text().await.to_lowercase().contains("cookies"), "{}", page.describe().await);
    page.goto(&demo.url).await;
    page.shows(&format!("{}.off", card(demo.provider()))).await;
    assert_eq!((demo.exchanges(&page).await, became_tokens(&page).await), (0, 0), "no code goes out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_is_connected_called_refreshed_and_disconnected() {
    with_browsers(|browsers| a_server_of_ones_own(Setting::new(By::OidcProvider), browsers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_answers_with_form_post() {
    let setting = Setting { form_post: true, ..Setting::new(By::OidcProvider) };
    with_browsers(|browsers| a_server_of_ones_own(setting, browsers)).await;
}

async fn a_server_of_ones_own(setting: Setting, browsers: Arc<Browsers>) {
    let demo = setting.start().await;
    let own = demo.own.as_ref().unwrap();
    let name = if setting.form_post { "own-form-post" } else { "own" };
    let page = browsers.open().await;
    page.goto(&demo.url).await;
    page.shows("#empty:not([hidden])").await;
    look_at("demo", &page, &format!("{name}-before")).await;
    // What is known of the demo's own servers alone is not said of this one.
    assert!(!page.has("#fault-provider [value=own], [id^=preset-own]").await);
    demo.connect(&page, "own").await;
    let (answered, other) = if setting.form_post { ("POST", "GET") } else { ("GET", "POST") };
    let text = page.text().await;
    assert!(text.contains(&format!("{answered} /accounts/own/callback")), "{text}");
    assert!(!text.contains(&format!("{other} /accounts/own/callback")), "{text}");
    assert!(!text.contains("The server records"), "nobody has its ledger: {text}");

    page.click("#call-own").await;
    page.shows("#messages > .note.good:last-child").await;
    let refreshed = format!("{} dd time ~ time", card("own"));
    assert!(!page.has(&refreshed).await);
    page.click("#refresh-own").await;
    page.shows(&refreshed).await;
    assert_eq!((demo.exchanges(&page).await, counted(own, "revocation").await), (2, 0));
    look_at("demo", &page, &format!("{name}-connected")).await;
    page.goto(&format!("{}accounts", demo.url)).await;
    look_at("demo", &page, &format!("{name}-accounts")).await;
    page.goto(&demo.url).await;
    page.show_on(1280, false).await;
    page.press("#disconnect-own").await;
    page.arrives_at(&demo.url).await;
    page.shows(&format!("{}.off #connect-own", card("own"))).await;
    assert_eq!(counted(own, "revocation").await, 1);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_by_keyboard() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Setting::new(By::OidcProvider).start().await;
        let page = browsers.open().await;
        page.goto(&demo.url).await;
        tab_to(&page, "#connect-own").await;
        page.leaves_by(page.types(Key::Enter), "Enter").await;
        while page.is_asked_before(demo.url.trim_end_matches('/')).await {
            tab_to(&page, "button[value=approve]").await;
            page.leaves_by(page.types(Key::Enter), "Enter").await;
        }
        demo.is_connected(&page, "own").await;
        tab_to(&page, "#call-own").await;
        page.types(Key::Enter).await;
        page.shows("#messages > .note.good:last-child").await;
        let refreshed = format!("{} dd time ~ time", card("own"));
        assert!(!page.has(&refreshed).await);
        tab_to(&page, "#refresh-own").await;
        page.types(Key::Enter).await;
        page.shows(&refreshed).await;
        tab_to(&page, "#disconnect-own").await;
        page.leaves_by(page.types(Key::Enter), "Enter").await;
        page.arrives_at(&demo.url).await;
        page.shows(&format!("{}.off #connect-own", card("own"))).await;
    })
    .await;
}

//! What a person does with a page, and what they see.

use std::time::Duration;

use authflow::{Clock as _, SystemClock};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use url::Url;

use crate::jar::SameSite;

/// How long something may take until it is on the screen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one or more tabs.
#[derive(Clone, Debug)]
pub(crate) struct Page(Client);

impl Page {
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    pub(crate) fn driver(&self) -> &Client {
        &self.0
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.0.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Presses what is found, once it is there.
    pub(crate) async fn press(&self, css: &str) {
        let element = self.0.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let Ok(element) = element else { panic!("no {css} in {}", self.describe().await) };
        self.leaves_by(self.clicks(&element, css), css).await;
    }

    /// The same where it leads to no other page.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.0.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let Ok(element) = element else { panic!("no {css} in {}", self.describe().await) };
        self.clicks(&element, css).await;
    }

    async fn clicks(&self, element: &Element, what: &str) {
        element.click().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// Types a key, wherever the page is.
    pub(crate) async fn types(&self, key: Key) {
        let key = char::from(key);
        let keyboard = KeyActions::new("keyboard".to_owned());
        let typed = keyboard.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.0.perform_actions(typed).await.unwrap();
    }

    /// Presses a link by its words.
    pub(crate) async fn follow(&self, words: &str) {
        let found = self.0.wait().at_most(PATIENCE).for_element(Locator::LinkText(words)).await;
        let Ok(link) = found else { panic!("no link {words:?} in {}", self.describe().await) };
        self.leaves_by(self.clicks(&link, words), words).await;
    }

    /// A click may be over before the page that it leads to is there: waits for that one.
    pub(crate) async fn leaves_by(&self, act: impl Future<Output = ()>, what: &str) {
        self.0.execute("window.isThePageBefore = true", Vec::new()).await.unwrap();
        act.await;
        let script = "return window.isThePageBefore === undefined && document.readyState === 'complete'";
        let left = self.until(async |page| {
            let is_there = page.0.execute(script, Vec::new()).await.ok()?;
            is_there.as_bool()?.then_some(())
        });
        if left.await.is_none() {
            panic!("{what} leads to no other page than {}", self.describe().await);
        }
    }

    /// Approves on the provider's page.
    pub(crate) async fn approve(&self) {
        self.press("button[value=approve]").await;
    }

    pub(crate) async fn deny(&self) {
        self.press("button[value=deny]").await;
    }

    /// Whether a provider asks something (more), rather than that the browser is back; waits for one of both.
    pub(crate) async fn is_asked_before(&self, application: &str) -> bool {
        let script = "return document.readyState === 'complete' &&
            (location.origin === arguments[0] ? 'back' : document.querySelector('button[value=approve]') && 'asked')";
        let asked = self.until(async |page| {
            let found = page.0.execute(script, vec![json!(application)]).await.ok()?;
            found.as_str().map(|found| found == "asked")
        });
        match asked.await {
            Some(asked) => asked,
            None => panic!("not back at {application} but {}", self.describe().await),
        }
    }

    /// Writes into a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let script = "document.querySelector(arguments[0]).value = arguments[1]";
        self.0.execute(script, vec![json!(css), json!(text)]).await.unwrap();
    }

    /// Waits until this many seconds have passed, by the browser's clock, which is this machine's.
    pub(crate) async fn sees_pass(&self, seconds: u64) {
        let now = async |page: &Self| page.0.execute("return Date.now()", Vec::new()).await.ok()?.as_u64();
        let then = now(self).await.expect("a clock") + 1_000 * seconds;
        let passed = self.until(async |page| (now(page).await? > then).then_some(()));
        passed.await.expect("time passes");
    }

    pub(crate) async fn url(&self) -> Url {
        self.0.current_url().await.unwrap()
    }

    /// Waits until the address is this one, whatever its query.
    pub(crate) async fn is_at(&self, url: &str) {
        self.arrives(url, |here| here.split(['?', '#']).next() == Some(url)).await;
    }

    /// The same with a page: what is above it.
    pub(crate) async fn arrives_at(&self, url: &str) -> String {
        self.is_at(url).await;
        self.heading().await
    }

    /// Waits until the address begins like this.
    pub(crate) async fn is_under(&self, prefix: &str) {
        self.arrives(prefix, |here| here.starts_with(prefix)).await;
    }

    /// The same with a page: what is above it.
    pub(crate) async fn arrives_under(&self, prefix: &str) -> String {
        self.is_under(prefix).await;
        self.heading().await
    }

    /// Loads the page again, as the person's button does.
    pub(crate) async fn reload(&self) {
        self.0.refresh().await.unwrap_or_else(|error| panic!("reload: {error}"));
    }

    async fn arrives(&self, where_to: &str, is_there: impl Fn(&str) -> bool) {
        let arrived = self.until(async |page| is_there(page.url().await.as_str()).then_some(())).await;
        if arrived.is_none() {
            panic!("not at {where_to} but {}", self.describe().await);
        }
    }

    /// The page's heading, once there is one.
    pub(crate) async fn heading(&self) -> String {
        let script = "const heading = document.querySelector('h1'); return heading && heading.innerText";
        let heading = self.until(async |page| {
            let found = page.0.execute(script, Vec::new()).await.ok()?;
            found.as_str().map(str::to_owned)
        });
        match heading.await {
            Some(heading) => heading,
            None => panic!("no heading in {}", self.describe().await),
        }
    }

    /// Waits until something is there.
    pub(crate) async fn shows(&self, css: &str) {
        let found = self.0.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        if found.is_err() {
            panic!("no {css} in {}", self.describe().await);
        }
    }

    /// Everything that can be read on the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.until(async |page| {
            let found =
                page.0.execute("return document.body && document.body.innerText", Vec::new()).await.ok()?;
            found.as_str().map(str::to_owned)
        });
        text.await.expect("a page")
    }

    pub(crate) async fn has(&self, css: &str) -> bool {
        !self.0.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// Asks again and again.
    async fn until<T>(&self, ask: impl AsyncFn(&Self) -> Option<T>) -> Option<T> {
        let asking = async {
            loop {
                if let Some(answer) = ask(self).await {
                    break answer;
                }
                SystemClock::new().sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.ok()
    }

    /// For a failure's message.
    pub(crate) async fn describe(&self) -> String {
        let url = self.0.current_url().await.map(String::from).unwrap_or_default();
        // A code or a state is nothing for a log, even one of a test.
        let place = url.split('?').next().unwrap_or_default().to_owned();
        format!("{place}:\n{}", self.0.source().await.unwrap_or_default())
    }

    /// A new tab, which is then the one in front.
    pub(crate) async fn new_tab(&self) -> fantoccini::wd::WindowHandle {
        let tab = self.0.new_window(true).await.unwrap().handle;
        self.0.switch_to_window(tab.clone()).await.unwrap();
        tab
    }

    /// The names of the cookies that the page's origin has.
    pub(crate) async fn cookie_names(&self) -> Vec<String> {
        let cookies = self.0.get_all_cookies().await.unwrap();
        cookies.iter().map(|cookie| cookie.name().to_owned()).collect()
    }

    /// Takes the cookies of authflow's own out of the browser: what a person does who clears them.
    pub(crate) async fn take_cookies_of_flows(&self) -> Vec<Value> {
        let all = self.cdp("Network.getCookies", json!({})).await;
        let mut taken = Vec::new();
        for cookie in all["cookies"].as_array().unwrap() {
            if cookie["name"].as_str().unwrap().starts_with("authflow-") {
                let which =
                    json!({ "name": cookie["name"], "domain": cookie["domain"], "path": cookie["path"] });
                self.cdp("Network.deleteCookies", which).await;
                taken.push(cookie.clone());
            }
        }
        assert!(!taken.is_empty(), "a flow has a cookie");
        taken
    }

    /// Puts cookies into the browser, with all that they had.
    pub(crate) async fn put_cookies(&self, cookies: &[Value]) {
        for cookie in cookies {
            let mut cookie = cookie.clone();
            cookie.as_object_mut().unwrap().retain(|name, _| {
                ["name", "value", "domain", "path", "secure", "httpOnly", "sameSite", "expires"]
                    .contains(&&**name)
            });
            // The one way to say that it ends with the browser is not to say when.
            if cookie["expires"].as_f64().is_some_and(|expires| expires < 0.0) {
                cookie.as_object_mut().unwrap().remove("expires");
            }
            let done = self.cdp("Network.setCookie", cookie).await;
            assert_eq!(done["success"], true, "{done}");
        }
    }

    /// The page's cookies but those of authflow's own.
    pub(crate) async fn session_cookies(&self) -> Vec<Value> {
        let all = self.cdp("Network.getCookies", json!({})).await;
        let all = all["cookies"].as_array().unwrap().iter();
        all.filter(|cookie| !cookie["name"].as_str().unwrap().starts_with("authflow-")).cloned().collect()
    }

    /// Puts a cookie of the page's origin there.
    pub(crate) async fn set_cookie(&self, name: &str, value: &str, same_site: SameSite) {
        let url = self.url().await;
        let cookie = json!({
            "name": name, "value": value, "url": url.as_str(), "path": "/", "httpOnly": true,
            "secure": url.scheme() == "https",
            "sameSite": if same_site == SameSite::Strict { "Strict" } else { "Lax" },
        });
        let done = self.cdp("Network.setCookie", cookie).await;
        assert_eq!(done["success"], true, "{done}");
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn cdp(&self, command: &'static str, parameters: Value) -> Value {
        let answer = self.0.issue_cmd(Cdp { command, parameters }).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A picture of the whole page, on a screen that is as high as it.
    pub(crate) async fn picture(&self, width: u32) -> Vec<u8> {
        let height = "return Math.max(innerHeight, document.documentElement.scrollHeight)";
        let height = self.0.execute(height, Vec::new()).await.unwrap().as_u64().expect("a height");
        self.is_on_screen(width, height).await;
        self.screen().await
    }

    /// A picture of what is on the screen.
    pub(crate) async fn screen(&self) -> Vec<u8> {
        // Chromium now and then draws nothing until it is asked again. Its own command would wait for that without end, and the
        // driver with it; the driver's gives up after some seconds.
        match self.until(async |page| page.0.screenshot().await.ok()).await {
            Some(picture) => picture,
            None => panic!("no picture of {}", self.describe().await),
        }
    }

    /// A screen of this size.
    pub(crate) async fn is_on_screen(&self, width: u32, height: u64) {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.cdp("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// A screen this wide, of a phone or of a desk, in the light or in the dark.
    pub(crate) async fn show_on(&self, width: u32, dark: bool) {
        let height = if width < 600 { 844 } else { 800 };
        self.is_on_screen(width, height).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.cdp("Emulation.setEmulatedMedia", media).await;
        // Colours go over into each other, and halfway they are nobody's choice.
        let settle = "document.getAnimations().forEach((one) => one.finish())";
        self.0.execute(settle, Vec::new()).await.unwrap();
    }
}

#[derive(Debug)]
struct Cdp {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}

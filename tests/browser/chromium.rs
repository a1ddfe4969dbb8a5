//! A real Chromium, headless, driven over WebDriver.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use authflow_test_servers::ChromeDriver;
use fantoccini::ClientBuilder;
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::page::Page;

/// How long a test may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long its browsers may take to close. One that is left over ends with the driver.
const CLOSING: Duration = Duration::from_secs(60);
/// How many tests have a browser at once: each is half a dozen processes.
static BROWSERS: Semaphore = Semaphore::const_new(2);

const FLAGS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    // The list below the address bar is a page of its own, which every browser loads at its start: a fifth of a test's time.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--mute-audio",
    "--lang=en",
];

/// What a browser may be started with.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) flags: Vec<String>,
    /// What a person would set on the browser's own pages.
    pub(crate) preferences: Map<String, Value>,
}

impl Options {
    /// A person who lets no site keep a cookie.
    pub(crate) fn without_cookies() -> Self {
        let block = ("profile.default_content_setting_values.cookies".to_owned(), json!(2));
        Self { preferences: Map::from_iter([block]), flags: Vec::new() }
    }

    /// A person who lets this one not: a scheme, host and port.
    pub(crate) fn without_cookies_of(origin: &str) -> Self {
        let exceptions = json!({ format!("{origin},*"): { "setting": 2 } });
        let block = ("profile.content_settings.exceptions.cookies".to_owned(), exceptions);
        Self { preferences: Map::from_iter([block]), flags: Vec::new() }
    }
}

/// The browsers of one test.
#[derive(Debug)]
pub(crate) struct Browsers {
    driver: Arc<ChromeDriver>,
    open: Mutex<Vec<Browser>>,
}

#[derive(Debug)]
struct Browser {
    client: fantoccini::Client,
    /// What the driver calls it.
    session: String,
    _profile: tempfile::TempDir,
}

impl Browsers {
    /// A browser with an empty profile.
    pub(crate) async fn open(&self) -> Page {
        self.open_with(Options::default()).await
    }

    pub(crate) async fn open_with(&self, options: Options) -> Page {
        let profile = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.extend(options.flags);
        let capabilities = json!({
            "goog:chromeOptions": { "args": flags, "prefs": options.preferences },
            "timeouts": { "implicit": 0, "pageLoad": 120_000, "script": 120_000 },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.driver.port))
            .await
            .unwrap_or_else(|error| panic!("chromium does not start: {error}"));
        let session = client.session_id().await.unwrap().expect("a session");
        self.open.lock().unwrap().push(Browser { client: client.clone(), session, _profile: profile });
        Page::new(client)
    }

    /// For the message of a test that hangs.
    fn last_commands(&self) -> String {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let told = open.iter().map(|browser| self.driver.last_commands(&browser.session).join("\n"));
        told.collect::<Vec<_>>().join("\n\n")
    }

    async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for browser in open {
            let _it_has_gone = browser.client.close().await;
        }
    }
}

/// Runs a test with browsers, and closes them whatever becomes of it.
pub(crate) async fn with_browsers<T: Future<Output = ()>>(test: impl FnOnce(Arc<Browsers>) -> T) {
    let _turn = BROWSERS.acquire().await.unwrap();
    let browsers = Arc::new(Browsers { driver: ChromeDriver::shared(), open: Mutex::default() });
    let test = AssertUnwindSafe(test(Arc::clone(&browsers)));
    let outcome = timeout(PATIENCE, test.catch_unwind()).await;
    let last_commands = outcome.is_err().then(|| browsers.last_commands());
    let _they_have_gone = timeout(CLOSING, browsers.close()).await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("it takes too long; the last commands:\n{}", last_commands.unwrap_or_default()),
    }
}

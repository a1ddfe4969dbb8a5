//! A real Chromium, headless, driven over WebDriver.

use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use fantoccini::ClientBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::page::Page;

/// How long a test may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How many tests have a browser at once: each is half a dozen processes.
static BROWSERS: Semaphore = Semaphore::const_new(2);

const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
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

/// `chromedriver` on a port that it chose itself. It ends with this value, and all its browsers with it.
#[derive(Debug)]
struct Driver {
    process: Child,
    url: String,
    _home: tempfile::TempDir,
}

/// The one that the tests share while one of them runs.
static DRIVER: Mutex<Weak<Driver>> = Mutex::new(Weak::new());

impl Driver {
    fn shared() -> Arc<Self> {
        let mut place = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
        place.upgrade().unwrap_or_else(|| {
            let driver = Arc::new(Self::start());
            *place = Arc::downgrade(&driver);
            driver
        })
    }

    fn start() -> Self {
        let installed = Command::new("chromium").arg("--version").output();
        assert!(
            installed.is_ok_and(|output| output.status.success()),
            "`chromium` cannot be started; install it: apt-get install chromium chromium-driver, or `cargo xtask test`, \
             which does it"
        );
        // Chromium's reports of crashes and the like are nothing for the home of whoever runs the tests.
        let home = tempfile::tempdir().unwrap();
        // A group of its own: the browsers are in it, and outlive a driver that is killed alone.
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_CACHE_HOME", home.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`chromedriver` cannot be started ({error}); install it: apt-get install chromium-driver"
                )
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut ready = lines.by_ref().filter_map(|line| {
            let port = line.split_once("started successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = ready.next().expect("chromedriver says its port");
        // It goes on reading, so that the driver never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://127.0.0.1:{port}"), _home: home }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _it_has_ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _status = self.process.wait();
    }
}

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
}

/// The browsers of one test.
#[derive(Debug)]
pub(crate) struct Browsers {
    driver: Arc<Driver>,
    open: Mutex<Vec<(fantoccini::Client, tempfile::TempDir)>>,
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
            .connect(&self.driver.url)
            .await
            .unwrap_or_else(|error| panic!("chromium does not start: {error}"));
        self.open.lock().unwrap().push((client.clone(), profile));
        Page::new(client)
    }

    async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for (client, _profile) in open {
            let _it_has_gone = client.close().await;
        }
    }
}

/// Runs a test with browsers, and closes them whatever becomes of it.
pub(crate) async fn with_browsers<T: Future<Output = ()>>(test: impl FnOnce(Arc<Browsers>) -> T) {
    let _turn = BROWSERS.acquire().await.unwrap();
    let browsers = Arc::new(Browsers { driver: Driver::shared(), open: Mutex::default() });
    let mut test = Box::pin(test(Arc::clone(&browsers)));
    let caught = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    let outcome = tokio::time::timeout(PATIENCE, caught).await;
    browsers.close().await;
    match outcome.expect("it takes too long") {
        Ok(()) => {}
        Err(panic) => resume_unwind(panic),
    }
}

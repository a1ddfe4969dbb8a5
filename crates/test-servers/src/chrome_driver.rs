//! The driver of Chromium.

use std::sync::{Arc, Mutex, Weak};

use crate::directory::Directory;
use crate::process::{Process, on_a_free_port};
use crate::program::Program;
use crate::shared;

const CHROMIUM: Program = Program { name: "chromium", package: "chromium", user: None };
const DRIVER: Program = Program { name: "chromedriver", package: "chromium-driver", user: None };

/// `chromedriver`, which starts browsers for those who ask it over WebDriver. They all end with it.
#[derive(Debug)]
pub struct ChromeDriver {
    /// Where it listens.
    pub port: u16,
    _process: Process,
    home: Directory,
}

/// How many of its lines are told of a test that hangs.
const LAST: usize = 12;
/// What the driver writes in its home: each command with its answer, and how long it waited for what.
const LOG: &str = "driver.log";

impl ChromeDriver {
    /// The one that the tests of this program share while one of them holds it.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<ChromeDriver>> = Mutex::new(Weak::new());
        shared(&SHARED, Self::start)
    }

    fn start() -> Self {
        CHROMIUM.run(&["--version"]);
        // Chromium's reports of crashes and the like are nothing for the home of whoever runs the tests.
        let home = DRIVER.directory();
        let (port, process) = on_a_free_port(|port| {
            let mut command = DRIVER.command();
            command.arg(format!("--port={port}")).arg("--log-level=INFO").arg("--readable-timestamp");
            command.arg(format!("--log-path={}", home.path().join(LOG).display()));
            command.env("XDG_CONFIG_HOME", home.path()).env("XDG_CACHE_HOME", home.path());
            Process::start(command, &DRIVER.missing(), "started successfully on port")
        });
        Self { port, _process: process, home }
    }

    /// The last commands of a session and the answers to them, of which there is none to one that hangs. Only their names: what
    /// was sent and received may have a code or a state in it.
    #[must_use]
    pub fn last_commands(&self, session: &str) -> Vec<String> {
        let log = std::fs::read(self.home.path().join(LOG)).unwrap_or_default();
        let mut commands = Vec::new();
        for line in String::from_utf8_lossy(&log).lines() {
            let (when, what) = line.split_once("]: ").unwrap_or((line, ""));
            if what.starts_with(&format!("[{session}]")) {
                let what = what.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ");
                commands.push(format!("{when}] {what}"));
            } else if let Some(cdp) = line.trim_start().strip_prefix("\"cmd\": ") {
                // It stands below the command, whosever that was.
                commands.push(cdp.trim_end_matches(',').to_owned());
            }
        }
        commands.split_off(commands.len().saturating_sub(LAST))
    }
}

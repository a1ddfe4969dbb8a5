//! The driver of Chromium.

use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

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
    _home: TempDir,
}

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
            command.arg(format!("--port={port}"));
            command.env("XDG_CONFIG_HOME", home.path()).env("XDG_CACHE_HOME", home.path());
            Process::start(command, &DRIVER.missing(), "started successfully on port")
        });
        Self { port, _process: process, _home: home }
    }
}

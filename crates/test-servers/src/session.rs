//! A user's session: a bus of its own, and on it the keyring of the system.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::directory::Directory;
use crate::process::Process;

/// How often the bus is asked whether the keyring has come. Each time it is a process.
const TRIES: u32 = 2000;

/// A bus that starts nothing by itself, and a GNOME Keyring once it is unlocked. Nothing of it is the session of whoever runs
/// the tests.
#[derive(Debug)]
pub struct Session {
    address: String,
    keyring: Option<Process>,
    _bus: Process,
    directory: Directory,
}

impl Session {
    /// A session without a keyring.
    #[must_use]
    pub fn start() -> Self {
        let directory = Directory::new();
        let config = directory.path().join("bus.conf");
        let text = format!(
            r#"<busconfig><type>session</type><listen>unix:dir={}</listen><policy context="default">
            <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
            directory.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address=1"]);
        command.stdout(Stdio::piped());
        let mut bus = start(command, "dbus");
        let mut address = String::new();
        BufReader::new(bus.output()).read_line(&mut address).unwrap();
        Self { address: address.trim().to_owned(), keyring: None, _bus: bus, directory }
    }

    /// The value of `DBUS_SESSION_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The user's directory, gone with the session.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the keyring, unlocked, and returns once it is on the bus. What was in it is there again.
    pub fn unlock(&mut self) {
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            command.env(name, self.directory.path());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut keyring = start(command, "gnome-keyring");
        keyring.input().write_all(b"password").unwrap();
        assert!((0..TRIES).any(|_| self.has_keyring()), "the keyring comes to the bus");
        self.keyring = Some(keyring);
    }

    /// Ends the keyring.
    pub fn lock(&mut self) {
        self.keyring = None;
    }

    fn has_keyring(&self) -> bool {
        let mut command = Command::new("dbus-send");
        command.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]);
        command.args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
        let output = command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).output();
        let output =
            output.unwrap_or_else(|error| panic!("dbus-send: {error}; install it: apt-get install dbus"));
        String::from_utf8_lossy(&output.stdout).contains("boolean true")
    }
}

/// Starts one of the session's programs, whose complaints nobody reads.
fn start(mut command: Command, package: &str) -> Process {
    let name = command.get_program().display().to_string();
    command.stderr(Stdio::null());
    Process::spawn(command, &format!("{name} is needed: apt-get install {package}"))
}

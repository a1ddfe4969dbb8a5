//! The sealing key in the keyring of the system: a GNOME Keyring on a bus of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use authflow_testkit::Endpoint;

use crate::support::{Store, arguments, home, kept, kept_as, login, provider};
use crate::{each_file, server};

/// A program that ends with its test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, package: &str) -> Self {
        let child = command.stderr(Stdio::null()).spawn();
        Self(
            child.unwrap_or_else(|error| {
                panic!("{command:?}: {error}; install it: apt-get install {package}")
            }),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A session of a user with a keyring that is unlocked. Nothing of it is the session of whoever runs the tests.
struct Session {
    address: String,
    keyring: Option<Program>,
    _bus: Program,
    directory: tempfile::TempDir,
}

impl Session {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, bus) = bus(directory.path());
        let mut session = Self { address, keyring: None, _bus: bus, directory };
        session.unlock();
        session
    }

    /// Starts the keyring, and returns once it is on the bus.
    fn unlock(&mut self) {
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            command.env(name, self.directory.path());
        }
        let mut keyring =
            Program::start(command.stdin(Stdio::piped()).stdout(Stdio::null()), "gnome-keyring");
        keyring.0.stdin.take().unwrap().write_all(b"password").unwrap();
        let has_owner = || {
            let mut command = Command::new("dbus-send");
            command.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]);
            command.args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
            let output = command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("boolean true")
        };
        assert!((0..2000).any(|_| has_owner()), "the keyring comes to the bus");
        self.keyring = Some(keyring);
    }

    fn lock(&mut self) {
        self.keyring = None;
    }

    /// The same store, as a program in this session has it.
    fn with(&self, store: &Store) -> Store {
        store.clone().with("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }
}

/// A bus that starts nothing by itself.
fn bus(directory: &Path) -> (String, Program) {
    let config = directory.join("bus.conf");
    let text = format!(
        r#"<busconfig><type>session</type><listen>unix:dir={}</listen><policy context="default">
        <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
        directory.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("dbus-daemon");
    command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address=1"]);
    let mut program = Program::start(command.stdout(Stdio::piped()), "dbus");
    let mut address = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (address.trim().to_owned(), program)
}

#[tokio::test]
async fn f15_where_there_is_a_keyring_the_key_is_in_it_and_nowhere_else() {
    let (server, elsewhere) = (server().await, Store::files());
    let mut session = Session::start();
    let store = session.with(&elsewhere);
    let first = kept(&server, &store).await;
    assert!(first.stderr.contains("it is in the keyring of this system"), "{}", first.stderr);
    assert!(!home().join("keys").exists());
    let marker = std::fs::read_to_string(home().join("keyring")).unwrap();
    assert!(marker.starts_with("The sealing key is in the keyring"), "{marker}");
    each_file(&home(), &mut |_| ());
    store.good(&["token", "work"]).await;
    let second = kept_as(&server, &store, "second").await;
    assert!(!second.stderr.contains("sealing key"), "no other key is made: {}", second.stderr);

    // Another home has another key: neither opens what the other one sealed.
    let other_home = home().with_file_name("other");
    let other = store.clone().with("AUTHFLOW_HOME", other_home.to_str().unwrap());
    kept(&server, &other).await;
    std::fs::remove_dir_all(home().join("connections")).unwrap();
    std::fs::rename(other_home.join("connections"), home().join("connections")).unwrap();
    let moved = store.run(&["token", "work"]).await;
    assert!(moved.code == Some(1) && moved.stderr.contains("kind: KeyUnknown"), "{moved:?}");
    std::fs::rename(home().join("connections"), other_home.join("connections")).unwrap();
    other.good(&["token", "work"]).await;

    // A session without the keyring, such as one over SSH, and one whose keyring has gone.
    let here = elsewhere.with("AUTHFLOW_HOME", other_home.to_str().unwrap());
    session.lock();
    let provider = provider(&server, server.public_client());
    let again = arguments("login", &provider, &["--no-browser", "--name", "new"]);
    for store in [&here, &other] {
        for command in [&["token", "work"][..], &["logout", "work"], &again] {
            let ended = store.run(command).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains("the sealing key is in the keyring"), "{}", ended.stderr);
            assert!(ended.stderr.contains("AUTHFLOW_KEYS"), "{}", ended.stderr);
        }
    }
    assert!(!other_home.join("keys").exists(), "none is made beside it");
    assert_eq!(server.ledger().count(Endpoint::Revocation), 0);

    session.unlock();
    other.good(&["token", "work"]).await;
    assert_eq!(login(&other, &["login", "--name", "work", "--no-browser"]).await.code, Some(0));
    other.good(&["logout", "--all"]).await;
}

#[tokio::test]
async fn x23_two_first_logins_at_once_share_the_key_of_the_keyring() {
    let server = server().await;
    let session = Session::start();
    let store = session.with(&Store::files());
    let names = ["one", "two"];
    tokio::join!(kept_as(&server, &store, names[0]), kept_as(&server, &store, names[1]));
    for name in names {
        store.good(&["token", name]).await;
    }
    assert!(!home().join("keys").exists());
}

/// Where there is a keyring, a key in a file would be less than what its user chose.
#[tokio::test]
async fn f15_where_the_keyring_fails_no_key_is_made_anywhere() {
    let server = server().await;
    let session = Session::start();
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700).create(home()).unwrap();
    // The lock under which a key is made cannot be taken.
    std::os::unix::fs::symlink("elsewhere", home().join("keyring.lock")).unwrap();
    let provider = provider(&server, server.public_client());
    let ended = session.with(&Store::files()).run(&arguments("login", &provider, &["--no-browser"])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no sealing key could be made in the keyring"), "{}", ended.stderr);
    for file in ["keys", "keyring", "elsewhere"] {
        assert!(!home().join(file).exists(), "{file}");
    }
}

//! Servers of their own, on a free port and in a directory of their own, gone with the test.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const NO_POSTGRES: &str = "PostgreSQL is needed for this test: apt-get install postgresql";
const NO_MARIADB: &str = "MariaDB is needed for this test: apt-get install mariadb-server";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
}

#[derive(Debug)]
pub struct Server {
    pub port: u16,
    pub kind: Kind,
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    pub fn start(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The server may run as another user.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        match kind {
            Kind::Postgres => init_postgres(&data),
            Kind::MariaDb => init_mariadb(&data),
        }
        for _ in 0..20 {
            // Another process may take the port in between: then it is tried with another one.
            let port = free_port();
            if let Some(child) = spawn(kind, &data, port) {
                return Self { port, kind, child, dir };
            }
        }
        panic!("{kind:?} does not start");
    }

    /// The address of its database, by way of `port`: its own or a proxy's.
    pub fn url_by(&self, port: u16) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://authflow@127.0.0.1:{port}/postgres"),
            Kind::MariaDb => format!("mysql://authflow@127.0.0.1:{port}/test"),
        }
    }

    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        match self.kind {
            // The postmaster's children would keep the data directory busy; `immediate` ends them without any care.
            Kind::Postgres => {
                let data = self.dir.path().join("data");
                let stop =
                    run_as("postgres", &postgres("pg_ctl"), &["stop", "-m", "immediate", "-D", text(&data)]);
                assert!(stop.status.success(), "{stop:?}");
            }
            Kind::MariaDb => self.child.kill().unwrap(),
        }
        self.child.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), with what is on its disk.
    pub fn restart(&mut self) {
        let child = spawn(self.kind, &self.dir.path().join("data"), self.port);
        self.child = child.expect("a server starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.kind == Kind::Postgres {
            let data = self.dir.path().join("data");
            let _ = run_as("postgres", &postgres("pg_ctl"), &["stop", "-m", "immediate", "-D", text(&data)]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn init_postgres(data: &Path) {
    give_to("postgres", data);
    let args = ["-D", text(data), "-U", "authflow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    let init = run_as("postgres", &postgres("initdb"), &args);
    assert!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
}

fn init_mariadb(data: &Path) {
    give_to("mysql", data);
    // What mariadb-install-db does as well, and asks for a user of the system.
    let args = [
        &format!("--datadir={}", text(data))[..],
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
    ];
    let args = [&args[1..2], &args[..1], &args[2..]].concat();
    let init = run_as("mysql", Path::new("mariadb-install-db"), &args);
    assert!(init.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&init.stderr));
    std::fs::write(
        data.join("init.sql"),
        // One statement a line.
        "CREATE DATABASE IF NOT EXISTS test;\nCREATE USER IF NOT EXISTS authflow@'%';\nGRANT ALL ON *.* TO authflow@'%';\n",
    )
    .unwrap();
    give_to("mysql", data);
}

/// Returns when the server says that it is ready, or none when it ends before.
fn spawn(kind: Kind, data: &Path, port: u16) -> Option<Child> {
    let port = port.to_string();
    let (user, program, args) = match kind {
        Kind::Postgres => (
            "postgres",
            postgres("postgres"),
            vec![
                "-D".to_owned(),
                text(data).to_owned(),
                "-p".to_owned(),
                port,
                "-c".to_owned(),
                "listen_addresses=127.0.0.1".to_owned(),
                "-c".to_owned(),
                "unix_socket_directories=".to_owned(),
                "-c".to_owned(),
                "fsync=off".to_owned(),
                "-c".to_owned(),
                "max_connections=200".to_owned(),
            ],
        ),
        Kind::MariaDb => (
            "mysql",
            mariadbd(),
            vec![
                "--no-defaults".to_owned(),
                format!("--datadir={}", text(data)),
                format!("--port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--socket={}", text(&data.join("socket"))),
                format!("--pid-file={}", text(&data.join("pid"))),
                format!("--init-file={}", text(&data.join("init.sql"))),
                "--skip-name-resolve".to_owned(),
                "--innodb-flush-log-at-trx-commit=2".to_owned(),
                "--max-connections=200".to_owned(),
            ],
        ),
    };
    let mut command = as_user(user, &program);
    let mut child = command
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", missing(kind)));
    let lines = BufReader::new(child.stderr.take().unwrap());
    if wait_for(lines, &["database system is ready to accept connections", "ready for connections"]) {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// It goes on reading, so that the server never waits for a full pipe.
fn wait_for(output: impl BufRead + Send + 'static, ready_words: &'static [&'static str]) -> bool {
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if ready_words.iter().any(|words| line.contains(words)) {
                let _ = ready.send(());
            }
        }
    });
    is_ready.recv_timeout(Duration::from_secs(60)).is_ok()
}

const fn missing(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => NO_POSTGRES,
        Kind::MariaDb => NO_MARIADB,
    }
}

/// Debian keeps the programs of each version in a folder of its own, and none of them on the path.
fn postgres(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        versions.map(|entry| entry.path().join("bin").join(program)).filter(|path| path.exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(program))
}

/// No user but root has its folder on the path.
fn mariadbd() -> PathBuf {
    let installed = PathBuf::from("/usr/sbin/mariadbd");
    if installed.exists() { installed } else { PathBuf::from("mariadbd") }
}

/// Neither server runs as root. As anybody else it runs as that user.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    // The child has to be the server itself, so that it can be killed: `setpriv` becomes what it starts.
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .arg("--clear-groups")
        .arg("--")
        .arg(program);
    command
}

fn run_as(user: &str, program: &Path, args: &[&str]) -> Output {
    let kind = if user == "postgres" { Kind::Postgres } else { Kind::MariaDb };
    as_user(user, program)
        .args(args)
        .current_dir("/")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", missing(kind)))
}

fn give_to(user: &str, path: &Path) {
    if is_root() {
        let owner = format!("{user}:{user}");
        let kind = if user == "postgres" { Kind::Postgres } else { Kind::MariaDb };
        let done = Command::new("chown").args(["-R", &owner, text(path)]).status().unwrap();
        assert!(done.success(), "{}", missing(kind));
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether anything listens there.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

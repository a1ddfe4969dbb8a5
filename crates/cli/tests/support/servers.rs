//! Throwaway servers, gone with the test.

use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// A process that is killed with the test.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server and waits for the line that says that it is ready.
fn start(command: &mut Command, install: &str, ready: &'static str) -> Option<Server> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut server =
        Server(child.unwrap_or_else(|error| panic!("{command:?}: {error}; for this test: {install}")));
    let (told, is_ready) = mpsc::channel();
    let outputs: [Box<dyn Read + Send>; 2] =
        [Box::new(server.0.stdout.take().unwrap()), Box::new(server.0.stderr.take().unwrap())];
    for output in outputs {
        let told = told.clone();
        // It goes on reading, so that the server never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains(ready) {
                    let _ = told.send(());
                }
            }
        });
    }
    drop(told);
    is_ready.recv_timeout(Duration::from_secs(60)).ok().map(|()| server)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Another process may take the port in between: then it is tried with another one.
fn on_a_free_port(mut start: impl FnMut(u16) -> Option<Server>) -> (u16, Server) {
    for _ in 0..20 {
        let port = free_port();
        if let Some(server) = start(port) {
            return (port, server);
        }
    }
    panic!("the server does not start");
}

fn run(command: &mut Command, install: &str) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; for this test: {install}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Redis that writes each command to its disk before it answers.
#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    server: Option<Server>,
    dir: TempDir,
}

impl Redis {
    const INSTALL: &str = "apt-get install redis-server";

    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, server) = on_a_free_port(|port| Self::spawn(port, dir.path()));
        Self { port, server: Some(server), dir }
    }

    fn spawn(port: u16, dir: &Path) -> Option<Server> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]).current_dir(dir);
        start(&mut command, Self::INSTALL, "Ready to accept connections")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Dies without a word.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    /// Starts again, with what is on its disk.
    pub(crate) fn start_again(&mut self) {
        self.server = Some(Self::spawn(self.port, self.dir.path()).expect("it started before"));
    }
}

#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    _server: Server,
    _dir: TempDir,
}

impl Postgres {
    const INSTALL: &str = "apt-get install postgresql";

    /// Debian keeps the programs of each version in a folder of its own, and none of them on the path.
    fn program(name: &str) -> String {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions.map(|version| version.path().join("bin").join(name));
        let newest = programs.filter(|program| program.exists()).max();
        newest.map_or_else(|| name.to_owned(), |program| program.to_string_lossy().into_owned())
    }

    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let is_root = dir.path().metadata().unwrap().uid() == 0;
        if is_root {
            run(Command::new("chown").arg("postgres").arg(dir.path()), Self::INSTALL);
        }
        // It does not run as root.
        let as_user = |name: &str| {
            let program = Self::program(name);
            if !is_root {
                return Command::new(program);
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", &program]);
            command
        };
        run(
            as_user("initdb")
                .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
                .arg(&data)
                .current_dir(&dir),
            Self::INSTALL,
        );
        let (port, server) = on_a_free_port(|port| {
            let mut command = as_user("postgres");
            command
                .arg("-D")
                .arg(&data)
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
                .arg(dir.path());
            command.args(["-c", "max_connections=200"]).current_dir(&dir);
            start(&mut command, Self::INSTALL, "database system is ready to accept connections")
        });
        Self { port, _server: server, _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

#[derive(Debug)]
pub(crate) struct MariaDb {
    port: u16,
    _server: Server,
    _dir: TempDir,
}

impl MariaDb {
    const INSTALL: &str = "apt-get install mariadb-server";

    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let is_root = dir.path().metadata().unwrap().uid() == 0;
        let user: &[&str] = if is_root { &["--user=root"] } else { &[] };
        let data = format!("--datadir={}", dir.path().join("data").display());
        run(
            Command::new("mariadb-install-db")
                .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &data])
                .args(user),
            Self::INSTALL,
        );
        let init = dir.path().join("init.sql");
        std::fs::write(&init, "CREATE DATABASE authflow;\n").unwrap();
        let (port, server) = on_a_free_port(|port| {
            let mut command = Command::new("mariadbd");
            command
                .args(["--no-defaults", &data, "--bind-address=127.0.0.1", "--max-connections=300"])
                .args(user);
            command
                .arg(format!("--port={port}"))
                .arg(format!("--socket={}", dir.path().join("socket").display()));
            command.arg(format!("--init-file={}", init.display()));
            start(&mut command, Self::INSTALL, "ready for connections")
        });
        Self { port, _server: server, _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/authflow", self.port)
    }
}

//! The databases.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use crate::directory::Directory;
use crate::process::{Process, on_a_free_port};
use crate::program::{Program, text};
use crate::shared;

/// What a [`Server`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It writes each command to its disk before it answers, unless it is started with other arguments.
    Redis,
    /// It keeps what it answered when it is killed, though not when the machine is: it waits for no disk.
    Postgres,
    /// The same.
    MariaDb,
}

const REDIS: Program = Program { name: "redis-server", package: "redis-server", user: None };
const POSTGRES: Program = Program { name: "postgres", package: "postgresql", user: Some("postgres") };
const MARIADB: Program = Program { name: "mariadbd", package: "mariadb-server", user: Some("mysql") };

impl Kind {
    const fn program(self) -> Program {
        match self {
            Self::Redis => REDIS,
            Self::Postgres => POSTGRES,
            Self::MariaDb => MARIADB,
        }
    }

    /// Whether the machine has it.
    #[must_use]
    pub fn is_installed(self) -> bool {
        self.program().is_installed()
    }

    /// How to install it.
    #[must_use]
    pub fn missing(self) -> String {
        self.program().missing()
    }

    const fn ready(self) -> &'static str {
        match self {
            Self::Redis => "Ready to accept connections",
            // A standby says that it accepts read-only connections.
            Self::Postgres => "database system is ready to accept",
            Self::MariaDb => "ready for connections",
        }
    }

    /// Fills an empty directory.
    fn init(self, dir: &Directory) {
        let data = dir.path().join("data");
        match self {
            Self::Redis => {}
            Self::Postgres => POSTGRES.beside("initdb").run(
                &[
                    &["-U", "authflow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"][..],
                    &[text(&data)],
                ]
                .concat(),
            ),
            Self::MariaDb => {
                // Of its own, as it removes at its start what other servers have in the directory of temporary tables.
                let tables = dir.path().join("tmp");
                std::fs::create_dir(&tables).unwrap();
                MARIADB.give(&tables);
                MARIADB.beside("mariadb-install-db").run(&[
                    "--no-defaults",
                    &format!("--datadir={}", text(&data)),
                    &format!("--tmpdir={}", text(&tables)),
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                ]);
                // One statement a line.
                let init = "CREATE DATABASE IF NOT EXISTS test;\nCREATE USER IF NOT EXISTS authflow@'%';\n\
                     GRANT ALL ON *.* TO authflow@'%';\n";
                std::fs::write(dir.path().join("init.sql"), init).unwrap();
            }
        }
    }

    fn command(self, dir: &Directory, port: u16) -> Command {
        let (dir, data) = (dir.path(), dir.path().join("data"));
        let mut command = self.program().command();
        let port = port.to_string();
        match self {
            Self::Redis => command.current_dir(dir).args(
                [
                    &["--bind", "127.0.0.1", "--port", &port, "--save", ""][..],
                    &["--appendonly", "yes", "--appendfsync", "always"],
                ]
                .concat(),
            ),
            Self::Postgres => command.args(["-D", text(&data), "-p", &port]).args(
                [
                    "listen_addresses=127.0.0.1",
                    "unix_socket_directories=",
                    "fsync=off",
                    "max_connections=500",
                    // A gigabyte otherwise, of databases that are copied for a test each.
                    "max_wal_size=96MB",
                ]
                .iter()
                .flat_map(|setting| ["-c", setting]),
            ),
            Self::MariaDb => command
                .args(["--no-defaults", "--bind-address=127.0.0.1", "--port", &port])
                .args(["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2", "--max-connections=500"])
                .arg("--datadir")
                .arg(&data)
                .arg("--socket")
                .arg(dir.join("socket"))
                .arg("--pid-file")
                .arg(dir.join("pid"))
                .arg("--tmpdir")
                .arg(dir.join("tmp"))
                .arg("--init-file")
                .arg(dir.join("init.sql")),
        };
        command
    }
}

/// A database server on a loopback port, without any password.
#[derive(Debug)]
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Where it listens.
    pub port: u16,
    more: Vec<String>,
    process: Process,
    dir: Directory,
}

/// Of each kind one.
static SHARED: [Mutex<Weak<Server>>; 3] = [const { Mutex::new(Weak::new()) }; 3];

impl Server {
    /// The one that the tests of this program share while one of them holds it.
    #[must_use]
    pub fn shared(kind: Kind) -> Arc<Self> {
        let [redis, postgres, mariadb] = &SHARED;
        let place = match kind {
            Kind::Redis => redis,
            Kind::Postgres => postgres,
            Kind::MariaDb => mariadb,
        };
        shared(place, || Self::start(kind))
    }

    /// An empty one.
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// An empty one, with more arguments.
    #[must_use]
    pub fn start_with(kind: Kind, more: &[&str]) -> Self {
        Self::start_within(&std::env::temp_dir(), kind, more)
    }

    /// The same, with all that it keeps in a directory of its own in this one.
    #[must_use]
    pub fn start_within(directory: &Path, kind: Kind, more: &[&str]) -> Self {
        let dir = kind.program().directory_in(directory);
        kind.init(&dir);
        Self::on(kind, dir, more)
    }

    /// With what is in the directory.
    fn on(kind: Kind, dir: Directory, more: &[&str]) -> Self {
        let more: Vec<_> = more.iter().map(|&arg| arg.to_owned()).collect();
        let (port, process) = on_a_free_port(|port| spawn(kind, &dir, port, &more));
        Self { kind, port, more, process, dir }
    }

    /// A standby of this server, which is PostgreSQL, with more arguments: it has all that is there, and is sent what follows.
    #[must_use]
    pub fn standby(&self, more: &[&str]) -> Self {
        assert_eq!(self.kind, Kind::Postgres);
        let dir = POSTGRES.directory();
        let data = dir.path().join("data");
        POSTGRES.beside("pg_basebackup").run(&[
            "--host=127.0.0.1",
            &format!("--port={}", self.port),
            "--username=authflow",
            &format!("--pgdata={}", text(&data)),
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ]);
        Self::on(self.kind, dir, more)
    }

    /// Makes a primary of a standby, and returns once it is one: all that it was sent is there.
    pub fn promote(&self) {
        let data = self.dir.path().join("data");
        POSTGRES.beside("pg_ctl").run(&["promote", "--timeout=300", "-D", text(&data)]);
    }

    /// The address of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The same by way of another port: a proxy's.
    #[must_use]
    pub fn url_by(&self, port: u16) -> String {
        match self.kind {
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
            Kind::Postgres => format!("postgres://authflow@127.0.0.1:{port}/postgres"),
            Kind::MariaDb => format!("mysql://authflow@127.0.0.1:{port}/test"),
        }
    }

    /// The address of the database `name` of PostgreSQL or MariaDB, which is made if there is none.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        let (made, scheme) = match self.kind {
            Kind::Redis => panic!("Redis has no names for databases"),
            Kind::Postgres => {
                let to = ["-h", "127.0.0.1", "-p", &port, "-U", "authflow", name];
                (POSTGRES.beside("createdb").output(&to), "postgres")
            }
            Kind::MariaDb => {
                let create = format!("CREATE DATABASE {name}");
                let to = ["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "authflow", "-e", &create];
                (MARIADB.beside("mariadb").output(&to), "mysql")
            }
        };
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success() || said.contains("exists"), "{said}");
        format!("{scheme}://authflow@127.0.0.1:{port}/{name}")
    }

    /// Whether it runs no more, without having been killed.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Dies without a word, as by `kill -9`.
    pub fn kill(&mut self) {
        if self.kind == Kind::Postgres {
            // Its children would keep the directory busy; `immediate` ends them without any care.
            let data = self.dir.path().join("data");
            POSTGRES.beside("pg_ctl").output(&["stop", "-m", "immediate", "-D", text(&data)]);
        }
        self.process.kill();
    }

    /// Starts again after [`kill`](Self::kill), on the same port and with what is on its disk.
    pub fn restart(&mut self) {
        let process = spawn(self.kind, &self.dir, self.port, &self.more);
        self.process = process.unwrap_or_else(|said| panic!("it started before:\n{said}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(kind: Kind, dir: &Directory, port: u16, more: &[String]) -> Result<Process, String> {
    let mut command = kind.command(dir, port);
    command.args(more);
    Process::start(command, &kind.missing(), kind.ready())
}

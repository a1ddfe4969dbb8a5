//! A PostgreSQL server of its own on a free loopback port, in an empty directory, gone at the end. It does not wait for the disk:
//! that would be measured, and nothing else.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) const MISSING: &str = "it needs PostgreSQL: apt-get install postgresql";
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    pub(crate) fn is_installed() -> bool {
        Command::new(program("initdb")).arg("--version").output().is_ok()
    }

    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The server may run as another user.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            let given = Command::new("chown").arg("postgres:postgres").arg(&data).status().unwrap();
            assert!(given.success(), "{MISSING}");
        }
        let args = ["-U", "authflow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        let made = run("initdb", &[&args[..], &[text(&data)]].concat());
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Another program may take the port before the server does.
        let (process, port) = (0..20).find_map(|_| on_free_port(&data)).expect("PostgreSQL starts");
        Self { process, port, dir }
    }

    /// The address of the database `name`, which is made if there is none.
    pub(crate) fn database(&self, name: &str) -> String {
        let (host, port) = ("127.0.0.1", self.port.to_string());
        let _may_be_there = run("createdb", &["-h", host, "-p", &port, "-U", "authflow", name]);
        format!("postgres://authflow@{host}:{port}/{name}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The children of the first process would keep the directory busy.
        let data = self.dir.path().join("data");
        let _is_gone = run("pg_ctl", &["stop", "-m", "immediate", "-D", text(&data)]);
        let _status = self.process.wait();
    }
}

fn on_free_port(data: &Path) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = as_user(&program("postgres"));
    command.args(["-D", text(data), "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200"]);
    command.args(["-c", "max_wal_size=8GB"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().expect(MISSING);
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let (ready, is_ready) = mpsc::channel();
    // It goes on reading, so that the server never waits for a full pipe.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if line.contains("ready to accept connections") {
                let _nobody_waits_any_more = ready.send(());
            }
        }
    });
    if is_ready.recv_timeout(LIMIT).is_ok() {
        return Some((process, port));
    }
    let _may_have_ended = process.kill();
    let _status = process.wait();
    None
}

/// Debian keeps the programs of each version in a folder of its own, and none of them on the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let paths = versions.map(|version| version.path().join("bin").join(name));
    paths.filter(|path| path.exists()).max().unwrap_or_else(|| PathBuf::from(name))
}

/// The server refuses to run as root.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    } else {
        command = Command::new(program);
    }
    command.current_dir("/");
    command
}

fn run(name: &str, args: &[&str]) -> Output {
    as_user(&program(name)).args(args).output().expect(MISSING)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

//! A `redis-server` of its own on a free loopback port, in an empty directory, gone at the end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use redis::Connection;

pub(crate) const MISSING: &str = "it needs redis-server: apt-get install redis-server";

pub(crate) struct Server {
    process: Child,
    /// Held open: the server writes to it as long as it lives.
    _output: BufReader<ChildStdout>,
    dir: PathBuf,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("authflow-bench-redis-{}", std::process::id()));
        // Another program may take the port before the server does: then it is another one.
        (0..20).find_map(|_| Self::on_free_port(dir.clone())).expect("redis-server starts")
    }

    fn on_free_port(dir: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect(MISSING);
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let is_ready =
            output.by_ref().lines().map_while(Result::ok).any(|line| line.contains("Ready to accept"));
        let server = Self { process, _output: output, dir, port };
        is_ready.then_some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Whether there is such a program.
    pub(crate) fn is_installed() -> bool {
        Command::new("redis-server").arg("--version").output().is_ok()
    }

    /// How many commands the server has carried out by its own count, but for this question.
    pub(crate) fn commands(&self) -> u64 {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection: Connection = client.get_connection().unwrap();
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).unwrap();
        let calls = |line: &str| -> Option<u64> {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let is_ours = !command.starts_with("client") && !matches!(command, "info" | "hello" | "select");
            is_ours.then(|| rest.split(',').next().unwrap_or_default().parse().unwrap())
        };
        stats.lines().filter_map(calls).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _is_gone = self.process.kill();
        let _status = self.process.wait();
        let _is_empty = std::fs::remove_dir_all(&self.dir);
    }
}

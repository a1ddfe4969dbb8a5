//! A `redis-server` of its own, on a free port, gone with the test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::sql_server::free_port;

const MISSING: &str = "redis-server is needed for this test: apt-get install redis-server";

#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    args: Vec<String>,
    port: u16,
    dir: tempfile::TempDir,
}

impl RedisServer {
    /// With an append-only file that is on the disk before an answer is sent, or without any.
    pub fn start(append_only: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            // Another process may take the port in between: then it is tried with another one.
            let port = free_port();
            let number = port.to_string();
            let args = [
                &["--port", &number, "--bind", "127.0.0.1", "--save", ""][..],
                &["--appendonly", if append_only { "yes" } else { "no" }, "--appendfsync", "always"],
            ]
            .concat();
            let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
            if let Some(child) = spawn(&args, &dir) {
                return Self { child, args, port, dir };
            }
        }
        panic!("redis-server does not start");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), with what is on its disk.
    pub fn restart(&mut self) {
        self.child = spawn(&self.args, &self.dir).expect("a server starts again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when the server says that it is ready, or none when it ends before.
fn spawn(args: &[String], dir: &tempfile::TempDir) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(args)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect(MISSING);
    let output = BufReader::new(child.stdout.take().unwrap());
    let (ready, is_ready) = mpsc::channel();
    // It goes on reading, so that the server never waits for a full pipe.
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if line.contains("Ready to accept connections") {
                let _ = ready.send(());
            }
        }
    });
    if is_ready.recv_timeout(Duration::from_secs(30)).is_ok() {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

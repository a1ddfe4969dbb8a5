//! A `redis-server` of its own, on a free port, gone with the test.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

const MISSING: &str = "redis-server is needed for this test: apt-get install redis-server";

#[derive(Debug)]
pub struct Server {
    pub port: u16,
    child: Child,
    args: Vec<String>,
    program: &'static str,
    dir: tempfile::TempDir,
}

impl Server {
    /// Without persistence.
    pub fn start(args: &[&str]) -> Self {
        Self::with("redis-server", args, |port| vec!["--port".to_owned(), port.to_string()])
    }

    /// The one that all tests of a file share while one of them runs.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// One that speaks TLS only.
    pub fn start_tls(args: &[&str]) -> Self {
        Self::with("redis-server", args, |port| {
            ["--port", "0", "--tls-port", &port.to_string()].map(str::to_owned).to_vec()
        })
    }

    /// A node that is a cluster by itself.
    pub async fn start_cluster_of_one(args: &[&str]) -> Self {
        let server = Self::start(&[&["--cluster-enabled", "yes"][..], args].concat());
        let slots: Vec<u16> = (0..16_384).collect();
        let mut admin = server.admin().await;
        let () = redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).query_async(&mut admin).await.unwrap();
        super::until("the cluster is complete", || async {
            let info: String = server.ask(&["CLUSTER", "INFO"]).await;
            info.contains("cluster_state:ok")
        })
        .await;
        server
    }

    /// A sentinel that watches `master` under the name `mymaster`; one voice is enough for a failover. `more` is added to its
    /// configuration.
    pub fn start_sentinel(master: u16, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 5000\n{more}"
        );
        Self::in_dir(
            "redis-server",
            dir,
            &[],
            &|port| {
                vec![
                    "sentinel.conf".to_owned(),
                    "--sentinel".to_owned(),
                    "--port".to_owned(),
                    port.to_string(),
                ]
            },
            Some(&config),
        )
    }

    fn with(program: &'static str, args: &[&str], port_args: impl Fn(u16) -> Vec<String>) -> Self {
        let mut all = vec!["--save", "", "--bind", "127.0.0.1"];
        all.extend(args);
        Self::in_dir(program, tempfile::tempdir().unwrap(), &all, &port_args, None)
    }

    fn in_dir(
        program: &'static str,
        dir: tempfile::TempDir,
        args: &[&str],
        port_args: &dyn Fn(u16) -> Vec<String>,
        config: Option<&str>,
    ) -> Self {
        for _ in 0..20 {
            // Another process may take the port in between: then it is tried with another one.
            let port = free_port();
            if let Some(config) = config {
                std::fs::write(dir.path().join("sentinel.conf"), config).unwrap();
            }
            let mut all = port_args(port);
            all.extend(args.iter().map(|arg| (*arg).to_owned()));
            if let Some(child) = spawn(program, dir.path().to_owned(), &all) {
                return Self { port, child, args: all, program, dir };
            }
        }
        panic!("{program} does not start with {args:?}");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Dies without a word.
    pub fn sigkill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again, on the same port and with what is on its disk.
    pub fn restart(&mut self) {
        self.sigkill();
        self.child = spawn(self.program, self.dir.path().to_owned(), &self.args).expect("it started before");
    }

    /// Answers nothing, until it is told to go on.
    pub fn stop(&self) {
        run("sh", &["-c", &format!("kill -STOP {}", self.child.id())]);
    }

    pub fn go_on(&self) {
        run("sh", &["-c", &format!("kill -CONT {}", self.child.id())]);
    }

    /// A connection for the test itself.
    pub async fn admin(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        for _ in 0..PATIENCE {
            match client.get_multiplexed_async_connection().await {
                Err(error) if is_passing(&error) => super::a_moment().await,
                connected => return connected.unwrap(),
            }
        }
        panic!("the server on port {} takes no connection", self.port);
    }

    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut cmd = redis::Cmd::new();
        command.iter().for_each(|part| {
            cmd.arg(*part);
        });
        for _ in 0..PATIENCE {
            match cmd.query_async(&mut self.admin().await).await {
                Err(error) if is_passing(&error) => super::a_moment().await,
                answer => return answer.unwrap(),
            }
        }
        panic!("the server on port {} does not answer", self.port);
    }

    /// Tells a server that speaks TLS only something.
    pub fn cli_tls(&self, roots: &str, command: &[&str]) -> String {
        let path = self.path("roots.pem");
        std::fs::write(&path, roots).unwrap();
        let port = self.port.to_string();
        let to = ["-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", path.to_str().unwrap()];
        run("redis-cli", &[&to[..], command].concat())
    }

    /// How often the server was asked for a command, by its own count.
    pub async fn calls(&self, command: &str) -> u64 {
        let info: String = self.ask(&["INFO", "commandstats"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when the server says that it is ready, or none when it ends before.
fn spawn(program: &str, dir: PathBuf, args: &[String]) -> Option<Child> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
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
            if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
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

/// A port that is free, and so is the one that a cluster's node uses beside it.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// Runs a program to its end.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect(MISSING);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// A server that changes its role lets go of its connections: what the test itself asks is asked again then.
fn is_passing(error: &redis::RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped()
}

/// As often as a test asks again: far more than a change of roles takes.
const PATIENCE: usize = 12_000;

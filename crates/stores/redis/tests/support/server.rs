//! A `redis-server` of its own, on a free port, gone with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use authflow_test_servers::{Directory, Kind, Process};
use redis::aio::MultiplexedConnection;

#[derive(Debug)]
pub struct Server {
    pub port: u16,
    process: Process,
    args: Vec<String>,
    dir: Directory,
}

impl Server {
    /// Without persistence.
    pub fn start(args: &[&str]) -> Self {
        Self::with(args, |port| vec!["--port".to_owned(), port.to_string()])
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
        Self::with(args, |port| ["--port", "0", "--tls-port", &port.to_string()].map(str::to_owned).to_vec())
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
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 5000\n{more}"
        );
        Self::on_a_free_port(
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

    fn with(args: &[&str], port_args: impl Fn(u16) -> Vec<String>) -> Self {
        let mut all = vec!["--save", "", "--bind", "127.0.0.1"];
        all.extend(args);
        Self::on_a_free_port(&all, &port_args, None)
    }

    fn on_a_free_port(args: &[&str], port_args: &dyn Fn(u16) -> Vec<String>, config: Option<&str>) -> Self {
        let dir = Directory::new();
        let mut said = String::new();
        for _ in 0..20 {
            // Another process may take the port in between: then it is tried with another one.
            let port = free_port();
            if let Some(config) = config {
                std::fs::write(dir.path().join("sentinel.conf"), config).unwrap();
            }
            let mut all = port_args(port);
            all.extend(args.iter().map(|arg| (*arg).to_owned()));
            match spawn(dir.path(), &all) {
                Ok(process) => return Self { port, process, args: all, dir },
                Err(output) => said = output,
            }
        }
        panic!("redis-server does not start with {args:?}:\n{said}");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Dies without a word.
    pub fn sigkill(&mut self) {
        self.process.kill();
    }

    /// Starts again, on the same port and with what is on its disk.
    pub fn restart(&mut self) {
        self.sigkill();
        self.process = spawn(self.dir.path(), &self.args).expect("it started before");
    }

    /// Answers nothing, until it is told to go on.
    pub fn stop(&self) {
        run("sh", &["-c", &format!("kill -STOP {}", self.process.id())]);
    }

    pub fn go_on(&self) {
        run("sh", &["-c", &format!("kill -CONT {}", self.process.id())]);
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

/// Returns when the server says that it is ready. The error is what it said instead.
fn spawn(dir: &Path, args: &[String]) -> Result<Process, String> {
    let is_sentinel = args.iter().any(|arg| arg == "--sentinel");
    let ready = if is_sentinel { "Sentinel ID is" } else { "Ready to accept connections" };
    let mut command = Command::new("redis-server");
    command.args(args).current_dir(dir);
    Process::start(command, &Kind::Redis.missing(), ready)
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
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", Kind::Redis.missing()));
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

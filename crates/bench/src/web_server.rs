//! Each web application is a process of its own with one thread for its requests. So all the CPU time of that process is the
//! application's, and none of it is the client's, the token endpoint's or Redis's. As in most applications with actix-web, the
//! connections are made before its worker is, and run their tasks on the thread that made them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{MemoryStateStore, StateStore};
use authflow_redis::{RedisConfig, RedisStateStore};
use axum::Router;

use crate::measure::process_cpu;
use crate::rows::{pending::resident, runtime};
use crate::{floor_web, ours_web, peer};

/// The memory state store as it is without a setting.
pub(crate) const MEMORY: &str = "memory";
/// One for [`SMALL`] flows, [`OF_ONE`] of one address.
pub(crate) const SMALL_MEMORY: &str = "small-memory";
pub(crate) const SMALL: usize = 4096;
pub(crate) const OF_ONE: usize = 256;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    ByHand,
    Axum,
    Actix,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by-hand",
            Self::Axum => "axum",
            Self::Actix => "actix",
        }
    }
}

/// The hidden subcommand. It says its port on stdout, and for each line of stdin the nanoseconds of CPU that it used, its
/// resident bytes and how many flows are pending in memory. It ends with its stdin, so with the process that started it.
pub(crate) fn serve(application: &str, token_endpoint: &str, states: &str) -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    if application == Kind::Actix.name() {
        actix_web::rt::System::new().block_on(async {
            let states = open(&listener, states).await;
            ours_web::serve_actix(listener, ours_web::accounts(token_endpoint, states)).await;
        });
    } else {
        runtime().block_on(async {
            let router = if application == Kind::Axum.name() {
                ours_web::router(ours_web::accounts(token_endpoint, open(&listener, states).await))
            } else {
                by_hand(&listener, token_endpoint, states).await
            };
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
    }
    ExitCode::SUCCESS
}

async fn open(listener: &TcpListener, states: &str) -> Arc<dyn StateStore> {
    if let MEMORY | SMALL_MEMORY = states {
        let store = if states == MEMORY {
            MemoryStateStore::new()
        } else {
            MemoryStateStore::with_capacity(SMALL, OF_ONE)
        };
        let store = Arc::new(store);
        let pending = Arc::clone(&store);
        answer(listener, move || pending.len());
        return store;
    }
    let store = RedisStateStore::connect(RedisConfig::server(states).unwrap()).await.unwrap();
    answer(listener, || 0);
    Arc::new(store)
}

async fn by_hand(listener: &TcpListener, token_endpoint: &str, states: &str) -> Router {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let http = http.timeout(Duration::from_secs(30)).build().unwrap();
    let redis = match states {
        MEMORY | SMALL_MEMORY => None,
        url => Some(redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()),
    };
    answer(listener, || 0);
    floor_web::router(floor_web::Application { oauth2: peer::Client::new(token_endpoint, http), redis })
}

fn answer(listener: &TcpListener, pending: impl Fn() -> usize + Send + 'static) {
    println!("{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for _asked in std::io::stdin().lines().map_while(Result::ok) {
            println!("{} {} {}", process_cpu(), resident(), pending());
        }
        std::process::exit(0);
    });
}

/// A running application.
pub(crate) struct WebServer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

/// What an application says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    pub(crate) cpu: u64,
    pub(crate) resident: u64,
    pub(crate) pending: u64,
}

impl WebServer {
    /// The pending flows are in [`MEMORY`], [`SMALL_MEMORY`] or the Redis at an address.
    pub(crate) fn start(kind: Kind, token_endpoint: &str, states: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["serve-web", kind.name(), token_endpoint, states])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
        let mut output = BufReader::new(output);
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port.trim().parse().unwrap()).into();
        Self { process, input, output, address }
    }

    pub(crate) fn ask(&mut self) -> Said {
        writeln!(self.input.as_mut().unwrap()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let values: Vec<u64> = line.split_whitespace().map(|value| value.parse().unwrap()).collect();
        let [cpu, resident, pending] = values.try_into().expect("three values");
        Said { cpu, resident, pending }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _status = self.process.wait();
    }
}

//! A store with a thousand connections and one with a million: what an operation costs, and what of them this process remembers.

mod fill;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Connections, SystemClock};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::pending::resident;
use super::{keep, runtime};
use crate::arguments::Settings;
use crate::measure::{Series, Spread, take_turns, wall};
use crate::ours_connections::{builder, connect, key, user};
use crate::server::TokenServer;
use crate::stores::{Kind, Place, open};
use crate::table::{Line, median_time};

const FEW: u32 = 1_000;
const MANY: u32 = 1_000_000;
const TIMES: u32 = 512;
/// How much more an operation may cost among many: what `flat` means here.
const MUST: f64 = 1.25;
/// How many connections the process that is looked at may remember.
const CACHE: u32 = 10_000;
const AT_ONCE: u32 = 32;
/// Fewer than lie in one page of a table of connections.
const ROWS_OF_A_PAGE: usize = 8;
/// How much larger the process may be once it asked for five times as many as before.
const MUST_MEMORY: f64 = 1.1;

/// A store with so many connections, each of a user of its own.
struct Filled {
    connections: Connections,
    count: u32,
}

/// What is measured: the wall time of each of so many.
type Operation = fn(&Filled, &Runtime, u32) -> f64;

async fn connections(address: &str, token_endpoint: &str, max_cached: u32) -> Connections {
    let builder = builder(token_endpoint, Arc::new(SystemClock::new()));
    // What is measured is the store: nothing is served from memory.
    let builder = builder.cache_for(Duration::ZERO).max_cached(max_cached as usize);
    builder.token_store(open(address).await).unsealed().build().unwrap()
}

fn name(number: u32) -> String {
    format!("user-{number}")
}

impl Filled {
    async fn new(address: &str, token_endpoint: &str, count: u32) -> Self {
        let connections = connections(address, token_endpoint, FEW).await;
        let sample = connect(&connections, &name(0)).await;
        fill::fill(address, &sample, (1..count).map(|number| key(&name(number)))).await;
        Self { connections, count }
    }

    /// Asks for so many that the server's process has looked at all of its memory: what a page costs it that it sees for the first
    /// time, it costs once in a life.
    fn warm(&self, runtime: &Runtime) {
        runtime.block_on(async {
            for number in (0..self.count).step_by(ROWS_OF_A_PAGE) {
                keep(self.connections.token(&key(&name(number))).await.unwrap());
            }
        });
    }

    fn any(&self) -> String {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).unwrap();
        name(u32::from_le_bytes(bytes) % self.count)
    }

    fn load(&self, runtime: &Runtime, times: u32) -> f64 {
        let keys: Vec<_> = (0..times).map(|_| key(&self.any())).collect();
        let work = async {
            for key in &keys {
                keep(self.connections.token(key).await.unwrap());
            }
        };
        wall(times, || runtime.block_on(work))
    }

    fn refresh(&self, runtime: &Runtime, times: u32) -> f64 {
        let keys: Vec<_> = (0..times).map(|_| key(&self.any())).collect();
        let work = async {
            for key in &keys {
                keep(self.connections.refresh_now(key).await.unwrap());
            }
        };
        wall(times, || runtime.block_on(work))
    }

    fn list(&self, runtime: &Runtime, times: u32) -> f64 {
        let users: Vec<_> = (0..times).map(|_| user(&self.any())).collect();
        let work = async {
            for user in &users {
                let listing = self.connections.list(user).await.unwrap();
                assert_eq!(listing.connections.len(), 1, "each user has one connection");
            }
        };
        wall(times, || runtime.block_on(work))
    }
}

/// The hidden subcommand: asks for the tokens of many connections, and prints its resident bytes before, after twice as many as
/// it may remember, and after ten times as many.
pub(crate) fn hold(address: &str, token_endpoint: &str, cache: &str) -> ExitCode {
    let cache: u32 = cache.parse().unwrap();
    let runtime = runtime();
    let connections = runtime.block_on(connections(address, token_endpoint, cache));
    let ask = |from: u32, to: u32| {
        runtime.block_on(async {
            let tasks: JoinSet<()> = (0..AT_ONCE)
                .map(|task| {
                    let connections = connections.clone();
                    async move {
                        for number in (from..to).skip(task as usize).step_by(AT_ONCE as usize) {
                            keep(connections.token(&key(&name(number))).await.unwrap());
                        }
                    }
                })
                .collect();
            tasks.join_all().await;
        });
    };
    ask(0, AT_ONCE);
    let before = resident();
    ask(0, 2 * cache);
    let full = resident();
    ask(2 * cache, 10 * cache);
    println!("{before} {full} {}", resident());
    ExitCode::SUCCESS
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    [Kind::Redis, Kind::Postgres].into_iter().flat_map(|kind| measure_on(kind, settings)).collect()
}

fn measure_on(kind: Kind, settings: &Settings) -> Vec<Line> {
    let many = if settings.is_quick() { MANY / 50 } else { MANY };
    let place = match Place::start(kind) {
        Ok(place) => place,
        Err(missing) => {
            return vec![Line {
                work: format!("{many} connections in {}", kind.name()),
                authflow: format!("not measured: {missing}"),
                ..Line::default()
            }];
        }
    };
    let (server, runtime) = (TokenServer::start(), runtime());
    let token_endpoint = server.token_endpoint();
    let [small, large] = [("few", FEW), ("many", many)]
        .map(|(name, count)| runtime.block_on(Filled::new(&place.address(name), &token_endpoint, count)));
    [&small, &large].into_iter().for_each(|filled| filled.warm(&runtime));
    let times = settings.times(TIMES);
    let operations: [(&str, Operation); 3] = [
        ("load", Filled::load),
        ("refresh (load, lease, one request, save)", Filled::refresh),
        ("list of one user", Filled::list),
    ];
    let mut lines: Vec<Line> = operations
        .into_iter()
        .map(|(work, operation)| {
            let [few, many] = take_turns(
                settings.rounds(),
                [&mut || operation(&small, &runtime, times), &mut || operation(&large, &runtime, times)],
            );
            line(kind, work, &large, &few, &many)
        })
        .collect();
    let cache = CACHE.min(many / 10);
    lines.push(measure_memory(kind, &place.address("many"), &token_endpoint, cache));
    lines
}

fn line(kind: Kind, work: &str, large: &Filled, few: &Series, many: &Series) -> Line {
    let ratio = Spread::ratio(many, few);
    Line {
        work: format!(
            "{}, {work}: wall time among {} and among {FEW}, all in the server's memory",
            kind.name(),
            large.count
        ),
        floor: format!("{} among {FEW}", median_time(few)),
        oauth2: "by hand".to_owned(),
        authflow: median_time(many),
        ratio: ratio.to_string(),
        must: format!("flat: {MUST:.2} x"),
        reached: Some(ratio.reaches(MUST)),
    }
}

fn measure_memory(kind: Kind, address: &str, token_endpoint: &str, cache: u32) -> Line {
    let program = std::env::current_exe().unwrap();
    let arguments = ["hold-connections", address, token_endpoint, &cache.to_string()];
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let values: Vec<f64> = text.split_whitespace().map(|value| value.parse().unwrap()).collect();
    let [before, full, after]: [f64; 3] = values.try_into().expect("three values");
    let mebibytes = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    Line {
        work: format!(
            "{}, our process, which may remember {cache}: before, after {} and after {}",
            kind.name(),
            2 * cache,
            10 * cache
        ),
        floor: String::new(),
        oauth2: "by hand".to_owned(),
        authflow: [before, full, after].map(mebibytes).join(", "),
        ratio: format!("last / second {:.2}", after / full),
        must: format!("bounded by the cache: {MUST_MEMORY:.1} x"),
        reached: Some(after / full < MUST_MEMORY),
    }
}

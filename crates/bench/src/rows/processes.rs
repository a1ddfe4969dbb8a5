//! Processes that share one store, and all ask for one connection at its expiry. The server ends the connection if a refresh
//! token comes twice.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Connections, EnvKeys, KeyRing, SystemClock};
use tokio::task::JoinSet;

use super::{keep, runtime};
use crate::arguments::Settings;
use crate::measure::{Series, wall};
use crate::ours_connections::{builder, connect, key};
use crate::refresh_server::{RefreshServer, Seen};
use crate::stores::{Kind, Place, open};
use crate::table::Line;

use super::crowd::times;

const PROCESSES: usize = 8;
const TASKS: usize = 200;
const KEYS: &str = "AUTHFLOW_BENCH_KEYS";

async fn connections(
    address: &str,
    token_endpoint: &str,
    keys: impl Into<authflow_core::Keys>,
) -> Connections {
    let builder = builder(token_endpoint, Arc::new(SystemClock::new()));
    builder.token_store(open(address).await).keys(keys).build().unwrap()
}

/// The hidden subcommand: for each line of stdin, which names a user, asks for its token and says how many calls failed.
pub(crate) fn ask(address: &str, token_endpoint: &str) -> ExitCode {
    let runtime = runtime();
    let keys = authflow_core::Keys::new(EnvKeys::new(KEYS));
    let connections = runtime.block_on(connections(address, token_endpoint, keys));
    println!("ready");
    for user in std::io::stdin().lines().map_while(Result::ok) {
        let failures = runtime.block_on(async {
            let tasks: JoinSet<bool> = (0..TASKS)
                .map(|_| {
                    let (connections, key) = (connections.clone(), key(&user));
                    async move {
                        match connections.token(&key).await {
                            Ok(token) => keep(token),
                            Err(error) => {
                                eprintln!("{error}");
                                return true;
                            }
                        }
                        false
                    }
                })
                .collect();
            tasks.join_all().await.into_iter().filter(|failed| *failed).count()
        });
        println!("{failures}");
    }
    ExitCode::SUCCESS
}

/// One of the processes.
struct Asker {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Asker {
    fn start(address: &str, token_endpoint: &str, ring: &KeyRing) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["ask-together", address, token_endpoint])
            .env(KEYS, ring.to_text().expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    fn begin(&mut self, user: &str) {
        writeln!(self.input.as_mut().unwrap(), "{user}").unwrap();
    }

    fn said(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        drop(self.input.take());
        let _status = self.process.wait();
    }
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    [Kind::Redis, Kind::Postgres, Kind::Sqlite, Kind::File].map(|kind| measure_on(kind, settings)).into()
}

fn measure_on(kind: Kind, settings: &Settings) -> Line {
    let work = format!(
        "{PROCESSES} processes x {TASKS} tasks at expiry, one store, families are revoked, {}: wall time until all have it",
        kind.name()
    );
    let must = "1 request, 0 failures".to_owned();
    let place = match Place::start(kind) {
        Ok(place) => place,
        Err(missing) => {
            return Line { work, authflow: format!("not measured: {missing}"), must, ..Line::default() };
        }
    };
    let (server, runtime, ring) = (RefreshServer::start(), runtime(), KeyRing::generate().unwrap());
    let (address, token_endpoint) = (place.address("connections"), server.token_endpoint());
    let connections = runtime.block_on(connections(&address, &token_endpoint, ring.clone()));
    let mut askers: Vec<Asker> =
        (0..PROCESSES).map(|_| Asker::start(&address, &token_endpoint, &ring)).collect();
    askers.iter_mut().for_each(|asker| assert_eq!(asker.said(), "ready"));
    // What a code brings is over at once.
    server.tell("lifetime 0");
    server.tell(&format!("delay {}", Duration::from_millis(50).as_millis()));
    let (mut walls, mut most, mut failures) = (Series::new(), Seen::default(), 0);
    for round in 0..=if settings.is_quick() { 3 } else { 12 } {
        let user = format!("user-{round}");
        drop(runtime.block_on(connect(&connections, &user)));
        server.tell("forget");
        let took = wall(1, || {
            askers.iter_mut().for_each(|asker| asker.begin(&user));
            for asker in &mut askers {
                failures += asker.said().parse::<usize>().unwrap();
            }
        });
        let seen = server.seen();
        most.refreshes = most.refreshes.max(seen.refreshes);
        most.refused += seen.refused;
        // The first opens connections.
        if round > 0 {
            walls.push(took);
        }
    }
    Line {
        work,
        floor: String::new(),
        oauth2: "by hand".to_owned(),
        authflow: format!(
            "{}, {} request, {failures} failures, {} refused",
            times(&walls),
            most.refreshes,
            most.refused
        ),
        ratio: String::new(),
        must,
        reached: Some(most.refreshes == 1 && most.refused == 0 && failures == 0),
    }
}

//! Many tasks that ask for the token of one connection at once, and what they and the server see of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{ConnectionKey, Connections, EventKind, MemoryTokenStore, Next};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{keep, runtime};
use crate::floor_connections::Connection;
use crate::measure::{Series, Spread, take_turns, wall};
use crate::ours_connections::{MovedClock, builder, connect};
use crate::refresh_server::{LIFETIME, RefreshServer, Seen};

/// One connection by hand and one of authflow, each a new one in each round.
pub(super) struct Crowd {
    tasks: u32,
    /// How long the token is good still when they ask.
    left: Duration,
    runtime: Runtime,
    http: reqwest::Client,
    clock: Arc<MovedClock>,
    connections: Connections,
    rounds: Cell<u32>,
    pub(super) server: RefreshServer,
}

/// What came of all rounds of one contender.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    /// The most requests in a round.
    pub(super) requests: usize,
    /// Of callers, in all rounds.
    pub(super) failures: usize,
    /// The most different errors in a round.
    pub(super) errors: usize,
}

impl Crowd {
    /// The server takes `delay` over a refresh.
    pub(super) fn new(tasks: u32, left: Duration, delay: Duration) -> Self {
        let server = RefreshServer::start();
        server.tell(&format!("delay {}", delay.as_millis()));
        let (runtime, clock) = (runtime(), Arc::<MovedClock>::default());
        let connections = runtime.block_on(async {
            let builder = builder(&server.token_endpoint(), Arc::clone(&clock) as _);
            builder.token_store(MemoryTokenStore::new()).build().unwrap()
        });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let http = http.timeout(Duration::from_secs(30)).build().unwrap();
        Self { tasks, left, runtime, http, clock, connections, rounds: Cell::new(0), server }
    }

    /// The wall times until all have been answered, by hand and by authflow, and what came of it.
    pub(super) fn ask(&self, rounds: usize) -> [(Series, Outcome); 2] {
        let mut outcomes = [Outcome::default(); 2];
        let [by_hand, by_authflow] = &mut outcomes;
        let [floor, authflow] =
            take_turns(rounds, [&mut || self.ask_by_hand(by_hand), &mut || self.ask_authflow(by_authflow)]);
        [(floor, outcomes[0]), (authflow, outcomes[1])]
    }

    fn ask_by_hand(&self, outcome: &mut Outcome) -> f64 {
        let connection = Connection::new(self.http.clone(), self.server.token_endpoint(), self.left);
        let connection = self.runtime.block_on(connection);
        self.server.tell("forget");
        let mut answers = Vec::new();
        let took = wall(1, || {
            answers = self.at_once(|| {
                let connection = Arc::clone(&connection);
                async move { connection.token().await.map(keep).map_err(|error| error.to_string()) }
            });
        });
        self.runtime.block_on(connection.landed());
        outcome.add(self.server.seen(), answers);
        took
    }

    fn ask_authflow(&self, outcome: &mut Outcome) -> f64 {
        self.rounds.set(self.rounds.get() + 1);
        let user = format!("user-{}", self.rounds.get());
        let key = self.runtime.block_on(connect(&self.connections, &user));
        self.clock.move_on(Duration::from_secs(LIFETIME) - self.left);
        self.server.tell("forget");
        let mut events = self.connections.subscribe();
        let mut answers = Vec::new();
        let took = wall(1, || {
            answers = self.at_once(|| {
                let (connections, key) = (self.connections.clone(), key.clone());
                async move { token(&connections, &key).await }
            });
        });
        self.runtime.block_on(async {
            while let Some(Next::Event(event)) = events.next().await {
                if matches!(event.kind, EventKind::Refreshed | EventKind::RefreshFailed(_)) {
                    break;
                }
            }
        });
        outcome.add(self.server.seen(), answers);
        took
    }

    fn at_once<F>(&self, ask: impl Fn() -> F) -> Vec<Result<(), String>>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.runtime.block_on(async {
            let tasks: JoinSet<_> = (0..self.tasks).map(|_| ask()).collect();
            tasks.join_all().await
        })
    }
}

async fn token(connections: &Connections, key: &ConnectionKey) -> Result<(), String> {
    connections.token(key).await.map(keep).map_err(|error| format!("{:?} {:?}", error.kind(), error.status()))
}

impl Outcome {
    fn add(&mut self, seen: Seen, answers: Vec<Result<(), String>>) {
        let mut errors: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        self.requests = self.requests.max(seen.refreshes);
        self.failures += errors.len();
        errors.sort();
        errors.dedup();
        self.errors = self.errors.max(errors.len());
    }
}

/// Least, and most, so that a caller who waited in one round shows.
pub(super) fn times(series: &[f64]) -> String {
    let spread = Spread::of(series);
    format!("{:.2} ms (at most {:.2})", spread.median / 1e6, spread.most / 1e6)
}

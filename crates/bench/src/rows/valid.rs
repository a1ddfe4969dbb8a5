//! A token that is good: what it costs to ask for it.

use std::time::Duration;

use authflow_core::{ConnectionKey, Connections, Handle, MemoryTokenStore, SystemClock};
use tokio::runtime::Runtime;

use super::store::on_threads;
use super::{Count, keep, runtime};
use crate::allocations;
use crate::arguments::Settings;
use crate::floor_connections::SharedToken;
use crate::measure::{Series, Spread, take_turns};
use crate::ours_connections::{builder, connect};
use crate::server::TokenServer;
use crate::table::{Line, median_time, with_allocations};

const TIMES: u32 = 200_000;
/// Over the floor on as many threads: by a handle.
const MUST: [(u32, f64); 2] = [(1, 1.5), (2, 1.0)];
const MUST_BY_KEY: f64 = 3.3;
/// The token is not looked up again while this is measured.
const CACHED_FOR: Duration = Duration::from_secs(1800);

struct Contenders {
    floor: SharedToken,
    connections: Connections,
    key: ConnectionKey,
    /// The one that a refresh would run in.
    _runtime: Runtime,
}

impl Contenders {
    fn new() -> Self {
        let (server, runtime) = (TokenServer::start(), runtime());
        let (connections, key, token) = runtime.block_on(async {
            let builder = builder(&server.token_endpoint(), std::sync::Arc::new(SystemClock::new()));
            let builder = builder.token_store(MemoryTokenStore::new()).cache_for(CACHED_FOR);
            let connections = builder.build().unwrap();
            let key = connect(&connections, "user").await;
            let token = connections.token(&key).await.unwrap();
            (connections, key, token)
        });
        Self { floor: SharedToken::new(token.expose(), CACHED_FOR), connections, key, _runtime: runtime }
    }

    fn handle(&self) -> Handle {
        self.connections.handle(&self.key).unwrap()
    }

    fn by_hand(&self, times: u32) {
        (0..times).for_each(|_| keep(self.floor.get().unwrap()));
    }

    fn by_key(&self, runtime: &Runtime, times: u32) {
        runtime.block_on(async {
            for _ in 0..times {
                keep(self.connections.token(&self.key).await.unwrap());
            }
        });
    }
}

fn by_handle(runtime: &Runtime, handle: &Handle, times: u32) {
    runtime.block_on(async {
        for _ in 0..times {
            keep(handle.token().await.unwrap());
        }
    });
}

pub(crate) fn each(count: &mut Count<'_>) {
    let contenders = Contenders::new();
    let (runtime, handle) = (runtime(), contenders.handle());
    count("valid/floor", &mut |times| contenders.by_hand(times));
    count("valid/handle", &mut |times| by_handle(&runtime, &handle, times));
    count("valid/key", &mut |times| contenders.by_key(&runtime, times));
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let contenders = Contenders::new();
    MUST.iter().flat_map(|must| measure_on(*must, &contenders, settings)).collect()
}

fn measure_on((threads, must): (u32, f64), contenders: &Contenders, settings: &Settings) -> [Line; 2] {
    let times = settings.times(TIMES);
    let handles: Vec<Handle> = (0..threads).map(|_| contenders.handle()).collect();
    let runtimes: Vec<Runtime> = (0..threads).map(|_| runtime()).collect();
    let [floor, by_key, by_handle] = take_turns(
        settings.rounds(),
        [
            &mut || on_threads(threads, times, |_| contenders.by_hand(times)),
            &mut || on_threads(threads, times, |thread| contenders.by_key(&runtimes[thread], times)),
            &mut || {
                on_threads(threads, times, |thread| by_handle(&runtimes[thread], &handles[thread], times))
            },
        ],
    );
    let each = if threads == 1 { "one thread" } else { "each of two threads, wall time" };
    let line = |work: &str, series: &Series, name: &str, must: f64| {
        let (ratio, counted) = (Spread::ratio(series, &floor), allocations::of(name));
        Line {
            work: format!("a token that is good, {work}, {each}"),
            floor: with_allocations(&median_time(&floor), allocations::of("valid/floor")),
            oauth2: "by hand".to_owned(),
            authflow: with_allocations(&median_time(series), counted),
            ratio: ratio.to_string(),
            must: format!("{must:.1} x, no allocation"),
            reached: Some(ratio.reaches(must) && counted == Some(0.0)),
        }
    };
    [
        line("by a handle", &by_handle, "valid/handle", must),
        line("by its key", &by_key, "valid/key", MUST_BY_KEY),
    ]
}

//! Connect and callback through a real HTTP server, beside an application written by hand: the CPU time of the process that
//! serves, and requests per second. Client, token endpoint and Redis are other processes.

mod flood;

use std::net::Ipv4Addr;

use authflow_test_servers::{Kind as ServerKind, Server};
use futures_util::future::join_all;
use tokio::runtime::Runtime;

use super::runtime;
use crate::arguments::Settings;
use crate::browser::Browser;
use crate::measure::{Series, Spread, take_turns, wall};
use crate::server::TokenServer;
use crate::stores::IN_MEMORY;
use crate::table::{Line, median_time};
use crate::web_server::{Kind, MEMORY, WebServer};

const TIMES: u32 = 2_560;
const AT_ONCE: u32 = 64;
/// Connect and callback.
const REQUESTS: f64 = 2.0;
const MUST: f64 = 1.0;
const ALL: [Kind; 3] = [Kind::ByHand, Kind::Axum, Kind::Actix];

/// An application, and the browsers of people who are signed in to it.
struct Contender<'r> {
    runtime: &'r Runtime,
    server: WebServer,
    browsers: Vec<Browser>,
    walls: Series,
}

impl<'r> Contender<'r> {
    fn new(runtime: &'r Runtime, kind: Kind, token_endpoint: &str, states: &str) -> Self {
        let server = WebServer::start(kind, token_endpoint, states);
        let address = server.address;
        let browsers = (0..AT_ONCE).map(|user| async move {
            let mut browser = Browser::open(Ipv4Addr::LOCALHOST, address).await;
            browser.sign_in(user).await;
            browser
        });
        let browsers = runtime.block_on(join_all(browsers));
        Self { runtime, server, browsers, walls: Series::new() }
    }

    /// The CPU time of the server for each flow; the wall time goes to `walls`.
    fn connect(&mut self, times: u32) -> f64 {
        let before = self.server.ask().cpu;
        let took = wall(times, || {
            self.runtime.block_on(join_all(self.browsers.iter_mut().map(|browser| async move {
                for _ in 0..times / AT_ONCE {
                    let query = browser.begin().await;
                    assert!(browser.finish(&query).await, "the flow ends well");
                }
            })))
        });
        self.walls.push(took);
        (self.server.ask().cpu - before) as f64 / f64::from(times)
    }

    /// The wall times of the rounds that count.
    fn walls(mut self) -> Series {
        self.walls.split_off(1)
    }
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let times = settings.times(TIMES).next_multiple_of(AT_ONCE);
    let (runtime, tokens) = (runtime(), TokenServer::start());
    let redis = Server::start_with(ServerKind::Redis, IN_MEMORY);
    let endpoint = tokens.token_endpoint();
    let start = |kind, states: &str| Contender::new(&runtime, kind, &endpoint, states);
    let [mut floor, mut axum, mut actix] = ALL.map(|kind| start(kind, MEMORY));
    let [mut redis_floor, mut redis_axum, mut redis_actix] = ALL.map(|kind| start(kind, &redis.url()));
    let used = take_turns(
        settings.rounds(),
        [
            &mut || floor.connect(times),
            &mut || axum.connect(times),
            &mut || actix.connect(times),
            &mut || redis_floor.connect(times),
            &mut || redis_axum.connect(times),
            &mut || redis_actix.connect(times),
        ],
    );
    let walls = [floor, axum, actix, redis_floor, redis_axum, redis_actix].map(Contender::walls);
    let line = |floor: usize, at: usize, work: &str| {
        compared(work, [(&used[floor], &walls[floor]), (&used[at], &walls[at])])
    };
    let mut lines = vec![
        line(0, 1, "axum, memory state store"),
        line(0, 2, "actix-web, memory state store"),
        line(3, 4, "axum, Redis state store"),
        line(3, 5, "actix-web, Redis state store"),
    ];
    lines.extend(flood::measure(settings, &runtime, &endpoint));
    lines
}

fn compared(through: &str, [floor, authflow]: [(&Series, &Series); 2]) -> Line {
    let shown = |(used, walls): (&Series, &Series)| {
        format!("{}, {:.0} requests/s", median_time(used), REQUESTS * 1e9 / Spread::of(walls).median)
    };
    let [used, time] = [Spread::ratio(authflow.0, floor.0), Spread::ratio(authflow.1, floor.1)];
    Line {
        work: format!(
            "connect + callback through {through}, {AT_ONCE} at a time: CPU of the server per flow"
        ),
        floor: format!("{} (axum, tower-sessions, `oauth2`)", shown(floor)),
        oauth2: "in the floor".to_owned(),
        authflow: shown(authflow),
        ratio: format!("CPU {used}, wall time {time}"),
        must: format!("{MUST:.2} x of both"),
        reached: Some(used.reaches(MUST) && time.reaches(MUST)),
    }
}

//! The Redis store: store and check, 64 flows at a time, over one connection to a real server.

mod floor;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{PendingFlow, StateContext, StateKey, StateStore};
use authflow_redis::{RedisConfig, RedisStateStore};
use authflow_test_servers::{Kind, Server};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::store::{authflow_pending, random_key};
use super::{keep, runtime};
use crate::arguments::Settings;
use crate::measure::{Series, Spread, cpu, take_turns, wall};
use crate::registration::STATE_TTL;
use crate::stores::IN_MEMORY;
use crate::table::{Line, median_time};

const TIMES: u32 = 25_600;
const AT_ONCE: u32 = 64;
const TTL: Duration = Duration::from_secs(STATE_TTL);
const MUST: f64 = 1.15;
const MUST_COMMANDS: f64 = 2.0;

struct Contenders {
    runtime: Runtime,
    floor: floor::Pendings,
    authflow: Arc<dyn StateStore>,
    server: Server,
}

impl Contenders {
    fn new() -> Self {
        let server = Server::start_with(Kind::Redis, IN_MEMORY);
        let runtime = runtime();
        let (floor, authflow) = runtime.block_on(async {
            let config = RedisConfig::server(&server.url()).unwrap();
            (
                floor::Pendings::connect(&server.url()).await,
                RedisStateStore::connect(config).await.expect("the server answers"),
            )
        });
        Self { runtime, floor, authflow: Arc::new(authflow), server }
    }

    fn by_hand(&self, flows: Vec<Vec<(String, floor::Pending)>>) {
        self.at_once(flows.into_iter().map(|flows| {
            let mut pendings = self.floor.clone();
            async move {
                for (state, pending) in flows {
                    pendings.store(&state, pending).await.unwrap();
                    keep(pendings.check(&state).await.unwrap().unwrap());
                }
            }
        }));
    }

    fn by_authflow(&self, flows: Vec<Vec<(StateKey, PendingFlow)>>) {
        self.at_once(flows.into_iter().map(|flows| {
            let store = Arc::clone(&self.authflow);
            async move {
                let extensions = http::Extensions::new();
                let cx = StateContext::new(&extensions, floor::now());
                for (key, pending) in flows {
                    store.store_state(&cx, &key, pending, TTL).await.unwrap();
                    keep(store.check_state(&cx, &key).await.unwrap().unwrap());
                }
            }
        }));
    }

    fn at_once(&self, tasks: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
        self.runtime.block_on(async {
            let tasks: JoinSet<()> = tasks.collect();
            tasks.join_all().await;
        });
    }
}

/// What each task stores: made before the clock starts, for `begin` makes it.
fn prepare<K, P>(times: u32, key: impl Fn() -> K, pending: impl Fn() -> P) -> Vec<Vec<(K, P)>> {
    (0..AT_ONCE).map(|_| (0..times / AT_ONCE).map(|_| (key(), pending())).collect()).collect()
}

/// How many commands the server has carried out by its own count, but for this question.
fn commands_of(server: &Server) -> u64 {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).unwrap();
    let calls = |line: &str| -> Option<u64> {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let is_ours = !command.starts_with("client") && !matches!(command, "info" | "hello" | "select");
        is_ours.then(|| rest.split(',').next().unwrap_or_default().parse().unwrap())
    };
    stats.lines().filter_map(calls).sum()
}

/// CPU time for each flow; the wall time goes to `walls`.
fn timed(times: u32, walls: &RefCell<Series>, work: impl FnOnce()) -> f64 {
    let mut used = 0.0;
    walls.borrow_mut().push(wall(times, || used = cpu(times, work)));
    used
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let times = settings.times(TIMES);
    let contenders = Contenders::new();
    let floor_pending = floor::Pending::new();
    let authflow_pending = authflow_pending();
    let (floor_walls, authflow_walls) = (RefCell::default(), RefCell::default());
    let commands = RefCell::new(Series::new());
    let [floor, authflow] = take_turns(
        settings.rounds(),
        [
            &mut || {
                let flows = prepare(times, floor::state, || floor_pending.clone());
                timed(times, &floor_walls, || contenders.by_hand(flows))
            },
            &mut || {
                let flows = prepare(times, random_key, || authflow_pending.clone());
                let before = commands_of(&contenders.server);
                let used = timed(times, &authflow_walls, || contenders.by_authflow(flows));
                let each = (commands_of(&contenders.server) - before) as f64 / f64::from(times);
                commands.borrow_mut().push(each);
                used
            },
        ],
    );
    let ratio = Spread::ratio(&authflow, &floor);
    let commands = Spread::of(&commands.into_inner());
    let per_second = |walls: RefCell<Series>| 1e9 / Spread::of(&walls.into_inner()[1..]).median;
    vec![Line {
        work: format!("Redis store, store + check, {AT_ONCE} at a time: CPU per flow"),
        floor: format!("{}, {:.0} flows/s", median_time(&floor), per_second(floor_walls)),
        oauth2: "by hand".to_owned(),
        authflow: format!(
            "{}, {:.0} flows/s, {:.2} round trips",
            median_time(&authflow),
            per_second(authflow_walls),
            commands.most
        ),
        ratio: ratio.to_string(),
        must: format!("{MUST:.2} x, two round trips"),
        reached: Some(
            ratio.reaches(MUST) && commands.least == MUST_COMMANDS && commands.most == MUST_COMMANDS,
        ),
    }]
}

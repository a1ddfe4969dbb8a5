//! Ten thousand connections that expire together, at a provider that allows 50 requests in a second. It runs in real time, until
//! all are served: at first their tokens are good for some seconds still, then they have expired.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use authflow_core::{ConnectionKey, Connections, MemoryTokenStore};
use tokio::task::JoinSet;

use super::pending::resident;
use super::{keep, runtime};
use crate::arguments::Settings;
use crate::ours_connections::{MovedClock, builder, connect};
use crate::refresh_server::{LIFETIME, RefreshServer, Seen};
use crate::table::{Line, time};

const CROWD: usize = 10_000;
/// Those whose tokens are good all the time.
const OTHERS: usize = 100;
const AT_ONCE: usize = 32;
const BOUND: u32 = 50;
/// How long the tokens of the crowd are good still when it begins.
const LEFT: Duration = Duration::from_secs(40);
const SECOND: Duration = Duration::from_secs(1);

/// What callers with a valid token saw.
#[derive(Default)]
struct Calls {
    count: usize,
    /// Those that were not answered at once, from memory.
    waited: usize,
    longest: Duration,
}

impl Calls {
    #[allow(clippy::disallowed_methods, reason = "how long a caller waits is what is measured")]
    async fn ask(&mut self, connections: &Connections, key: &ConnectionKey) {
        let begun = Instant::now();
        let mut call = pin!(connections.token(key));
        let at_once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        self.count += 1;
        match at_once {
            Poll::Ready(token) => keep(token.unwrap()),
            Poll::Pending => {
                self.waited += 1;
                keep(call.await.unwrap());
            }
        }
        self.longest = self.longest.max(begun.elapsed());
    }

    /// Callers for one after the other of `keys`, a few in each millisecond.
    #[allow(clippy::disallowed_methods, reason = "it runs in real time")]
    async fn ask_for(&mut self, duration: Duration, connections: &Connections, keys: &[ConnectionKey]) {
        let begun = Instant::now();
        let mut keys = keys.iter().cycle();
        while begun.elapsed() < duration {
            for key in keys.by_ref().take(8) {
                self.ask(connections, key).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn connect_all(connections: &Connections, names: impl Iterator<Item = String>) -> Vec<ConnectionKey> {
    let (mut tasks, mut keys) = (JoinSet::new(), Vec::new());
    for name in names {
        while tasks.len() >= AT_ONCE {
            keys.push(tasks.join_next().await.unwrap().unwrap());
        }
        let connections = connections.clone();
        tasks.spawn(async move { connect(&connections, &name).await });
    }
    keys.extend(tasks.join_all().await);
    keys
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let crowd = if settings.is_quick() { CROWD / 10 } else { CROWD };
    let good_for = Duration::from_secs(if settings.is_quick() { 2 } else { 5 });
    let server = RefreshServer::start();
    server.tell("delay 50");
    let clock = Arc::<MovedClock>::default();
    let (mut calls, mut answered, mut failed, mut ran) = (Calls::default(), 0, 0, good_for);
    // What waits for its turn needs memory.
    let mut grown = 0;
    runtime().block_on(async {
        let builder = builder(&server.token_endpoint(), Arc::clone(&clock) as _);
        // They are connected one after the other, and then expire together.
        let builder = builder.cache_for(Duration::from_secs(600)).max_refreshes_per_second(BOUND);
        let connections = builder.token_store(MemoryTokenStore::new()).build().unwrap();
        let keys = connect_all(&connections, (0..crowd).map(|number| format!("user-{number}"))).await;
        server.tell(&format!("lifetime {}", 2 * LIFETIME));
        let others = connect_all(&connections, (0..OTHERS).map(|number| format!("other-{number}"))).await;

        server.tell("forget");
        let before = resident();
        clock.move_on(Duration::from_secs(LIFETIME) - LEFT);
        calls.ask_for(good_for, &connections, &keys).await;
        clock.move_on(2 * LEFT);
        let mut tasks: JoinSet<bool> = keys
            .iter()
            .map(|key| {
                let (connections, key) = (connections.clone(), key.clone());
                async move {
                    let token = connections.token(&key).await;
                    token.map(keep).inspect_err(|error| eprintln!("{error}")).is_ok()
                }
            })
            .collect();
        while !tasks.is_empty() {
            calls.ask_for(SECOND, &connections, &others).await;
            ran += SECOND;
            grown = grown.max(resident().saturating_sub(before));
            while let Some(ended) = tasks.try_join_next() {
                *if ended.unwrap() { &mut answered } else { &mut failed } += 1;
            }
        }
    });
    vec![line(crowd, ran, server.seen(), &calls, [answered, failed], grown)]
}

fn line(
    crowd: usize,
    ran: Duration,
    seen: Seen,
    calls: &Calls,
    [answered, failed]: [usize; 2],
    grown: u64,
) -> Line {
    Line {
        work: format!(
            "{crowd} connections expire together, the server allows {BOUND} a second; {} s in real time, until all are served",
            ran.as_secs()
        ),
        floor: String::new(),
        oauth2: "by hand".to_owned(),
        authflow: format!(
            "{} requests, at most {} in a second, {} refused; {answered} of the expired served, {failed} failed, {:+.0} MiB \
             meanwhile; with a valid token {} calls, {} waited, the longest took {}",
            seen.refreshes,
            seen.peak,
            seen.refused,
            grown as f64 / f64::from(1 << 20),
            calls.count,
            calls.waited,
            time(calls.longest.as_nanos() as f64)
        ),
        ratio: String::new(),
        must: format!("never above {BOUND} a second; who has a valid token never waits"),
        reached: Some(
            seen.peak <= BOUND as usize
                && (seen.refused, failed, calls.waited) == (0, 0, 0)
                && answered == crowd,
        ),
    }
}

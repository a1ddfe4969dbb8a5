//! The memory store: store and check, on one thread and on two, and what expiry costs a call.

use std::process::{Command, ExitCode};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use authflow_core::{MemoryStateStore, PendingFlow, StateContext, StateKey, StateStore};

use super::{keep, runtime};
use crate::arguments::Settings;
use crate::floor::{Pending, Pendings};
use crate::measure::{Series, Spread, cpu, take_turns, thread_cpu, wall};
use crate::registration::{RETURN_TO, STATE_TTL};
use crate::table::{Line, median_time, time};
use crate::{floor, ours};

const TIMES: u32 = 40_000;
/// The order's own figures: what must be reached over the floor of the same machine.
const MUST: [(u32, f64, f64); 2] = [(1, 300.0, 204.0), (2, 350.0, 831.0)];
/// How many flows wait while the store is used: each check takes the oldest.
const WAITING: usize = 16_384;
const TTL: Duration = Duration::from_secs(STATE_TTL);
const CROWD: u32 = 1_000_000;
const MUST_LOCK: f64 = 1_000_000.0;

pub(super) fn floor_pending(now: SystemTime) -> Pending {
    Pending {
        browser: floor::text(&floor::authorize().verifier).to_owned(),
        verifier: floor::text(&floor::authorize().verifier).to_owned(),
        return_to: RETURN_TO.to_owned(),
        expires_at: now + TTL,
    }
}

pub(super) fn authflow_pending() -> PendingFlow {
    let mut pending = runtime().block_on(ours::offline_flow().prepare()).unwrap().pending;
    pending.return_to = Some(RETURN_TO.into());
    pending
}

pub(super) fn random_key() -> StateKey {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    StateKey::from_bytes(bytes)
}

fn by_hand(store: &Pendings, states: &[String], pending: &Pending, now: SystemTime, times: u32) {
    for state in states.iter().cycle().take(times as usize) {
        keep(store.check(state, now).unwrap());
        store.store(state.clone(), pending.clone());
    }
}

fn by_authflow(
    store: &dyn StateStore,
    keys: &[StateKey],
    pending: &PendingFlow,
    now: SystemTime,
    times: u32,
) {
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, now);
    runtime().block_on(async {
        for key in keys.iter().cycle().take(times as usize) {
            keep(store.check_state(&cx, key).await.unwrap().unwrap());
            store.store_state(&cx, key, pending.clone(), TTL).await.unwrap();
        }
    });
}

/// The time of each repetition: CPU time on one thread; on more it is wall time, for waiting is what is looked for.
pub(super) fn on_threads(threads: u32, times: u32, work: impl Fn(usize) + Sync) -> f64 {
    if threads == 1 {
        return cpu(times, || work(0));
    }
    let barrier = Barrier::new(threads as usize);
    let took: Vec<f64> = std::thread::scope(|scope| {
        let (barrier, work) = (&barrier, &work);
        let running: Vec<_> = (0..threads as usize)
            .map(|thread| {
                scope.spawn(move || {
                    take_processor(thread);
                    barrier.wait();
                    wall(times, || work(thread))
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    took.iter().sum::<f64>() / f64::from(threads)
}

/// Each thread has a processor of its own, if there are enough: two that are put on one take turns for milliseconds, and neither
/// meets the other in the store.
#[cfg(target_os = "linux")]
fn take_processor(thread: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None).unwrap();
    let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
    if let Some(processor) = processors.nth(thread) {
        let mut own = CpuSet::new();
        own.set(processor);
        sched_setaffinity(None, &own).unwrap();
    }
}

#[cfg(not(target_os = "linux"))]
fn take_processor(_thread: usize) {}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let mut lines: Vec<Line> = MUST.map(|must| measure_on(must, settings)).into();
    lines.push(measure_expiry(settings));
    lines
}

#[allow(clippy::disallowed_methods, reason = "the stores are told a time that is as good as any")]
fn measure_on((threads, must, must_over): (u32, f64, f64), settings: &Settings) -> Line {
    let times = settings.times(TIMES);
    let now = SystemTime::now();
    let floor_pending = floor_pending(now);
    // One each: two threads would slow each other down at the counts of what they share, and not in the store.
    let authflow_pending: Vec<PendingFlow> = (0..threads).map(|_| authflow_pending()).collect();
    let states: Vec<Vec<String>> = (0..threads)
        .map(|_| (0..WAITING).map(|_| floor::text(&floor::authorize().state).to_owned()).collect())
        .collect();
    let keys: Vec<Vec<StateKey>> =
        (0..threads).map(|_| (0..WAITING).map(|_| random_key()).collect()).collect();
    let (floor_store, authflow_store) = (Pendings::default(), MemoryStateStore::new());
    for state in states.iter().flatten() {
        floor_store.store(state.clone(), floor_pending.clone());
    }
    runtime().block_on(async {
        let extensions = http::Extensions::new();
        let cx = StateContext::new(&extensions, now);
        for key in keys.iter().flatten() {
            authflow_store.store_state(&cx, key, authflow_pending[0].clone(), TTL).await.unwrap();
        }
    });
    let [floor, authflow] = take_turns(
        settings.rounds(),
        [
            &mut || {
                on_threads(threads, times, |thread| {
                    by_hand(&floor_store, &states[thread], &floor_pending, now, times);
                })
            },
            &mut || {
                on_threads(threads, times, |thread| {
                    by_authflow(&authflow_store, &keys[thread], &authflow_pending[thread], now, times);
                })
            },
        ],
    );
    let ratio = Spread::ratio(&authflow, &floor);
    let must_ratio = must / must_over;
    let each = if threads == 1 { "one thread" } else { "each of two threads, wall time" };
    Line {
        work: format!("memory store, store + check while {WAITING} wait for each thread, {each}"),
        floor: median_time(&floor),
        oauth2: "by hand".to_owned(),
        authflow: median_time(&authflow),
        ratio: ratio.to_string(),
        must: format!("{must:.0} ns where the floor is {must_over:.0}: {must_ratio:.2} x"),
        reached: Some(ratio.reaches(must_ratio)),
    }
}

/// The hidden subcommand: a million flows end at once, and then calls come. Prints the CPU time of the slowest, in
/// nanoseconds: no call holds a lock longer than it runs.
#[allow(clippy::disallowed_methods, reason = "the store is told a time that is as good as any")]
pub(crate) fn expire() -> ExitCode {
    let now = SystemTime::now();
    let pending = authflow_pending();
    let extensions = http::Extensions::new();
    let store = MemoryStateStore::with_capacity(2 * CROWD as usize, 256);
    let slowest = runtime().block_on(async {
        fill(&store, &pending, now, CROWD).await;
        let later = StateContext::new(&extensions, now + TTL);
        let mut slowest = 0;
        for _ in 0..CROWD / 8 {
            let (key, flow) = (random_key(), pending.clone());
            let begun = thread_cpu();
            store.store_state(&later, &key, flow, TTL).await.unwrap();
            slowest = slowest.max(thread_cpu() - begun);
        }
        slowest
    });
    println!("{slowest}");
    ExitCode::SUCCESS
}

/// Each round is a process of its own whose allocator keeps what is freed: the store frees with no lock held, and how long
/// glibc then takes to hand many megabytes back is not the store's.
fn measure_expiry(settings: &Settings) -> Line {
    let round = || {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg("expire").env("MALLOC_TRIM_THRESHOLD_", "4000000000");
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
    };
    let rounds = if settings.is_quick() { 1 } else { 5 };
    let slowest: Series = (0..rounds).map(|_| round()).collect();
    let slowest = Spread::of(&slowest);
    Line {
        work: "memory store, the slowest call after a million flows expired at once".to_owned(),
        floor: String::new(),
        oauth2: "by hand".to_owned(),
        authflow: format!("{} ({} to {})", time(slowest.median), time(slowest.least), time(slowest.most)),
        ratio: String::new(),
        must: "no lock held over 1 ms".to_owned(),
        reached: Some(slowest.median <= MUST_LOCK),
    }
}

pub(super) async fn fill(store: &MemoryStateStore, pending: &PendingFlow, now: SystemTime, count: u32) {
    let extensions = http::Extensions::new();
    let cx = StateContext::new(&extensions, now);
    for _ in 0..count {
        // Each flow has its own; what belongs to the provider is shared, as it is by `begin`.
        let mut pending = pending.clone();
        pending.return_to = Some(RETURN_TO.into());
        store.store_state(&cx, &random_key(), pending, TTL).await.unwrap();
    }
}

//! `begin` through `dyn StateStore` and the memory store: default scopes, a return-to, a browser binding.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{Binding, Flow, MemoryStateStore, StateContext, StateStore as _};
use tokio::runtime::Runtime;

use super::store::{authflow_pending, random_key};
use super::{Count, keep, runtime, steps};
use crate::arguments::Settings;
use crate::measure::{Spread, cpu, take_turns, thread_cpu};
use crate::registration::{RETURN_TO, STATE_TTL};
use crate::table::{Line, median_time, with_allocations};
use crate::{allocations, ours};

const TIMES: u32 = 8_000;
/// How many flows wait in a store that is in use, and how many begin before as many have gone again.
const WAITING: u32 = 1_000;
const MUST: f64 = 1.6;
const MUST_ALLOCATIONS: f64 = 14.0;

fn for_known_browser(runtime: &Runtime, flow: &Flow, browser: &Binding, times: u32) {
    runtime.block_on(async {
        for _ in 0..times {
            keep(flow.begin(browser).return_to(RETURN_TO).await.unwrap());
        }
    });
}

fn for_new_browser(runtime: &Runtime, flow: &Flow, times: u32) {
    runtime.block_on(async {
        for _ in 0..times {
            keep(flow.begin_in_browser().return_to(RETURN_TO).await.unwrap());
        }
    });
}

/// A flow over a store that is in use: what begins takes the places of what has gone, and no memory is new.
struct InUse {
    flow: Flow,
    store: Arc<MemoryStateStore>,
    begun: SystemTime,
}

impl InUse {
    #[allow(clippy::disallowed_methods, reason = "the store is told a time that is as good as any")]
    fn new(runtime: &Runtime) -> Self {
        let (begun, day) = (SystemTime::now(), Duration::from_secs(86_400));
        let store = Arc::new(MemoryStateStore::new());
        let flow = ours::offline_flow_over(Arc::clone(&store));
        let pending = authflow_pending();
        runtime.block_on(async {
            let extensions = http::Extensions::new();
            let cx = StateContext::new(&extensions, begun);
            for _ in 0..WAITING {
                store.store_state(&cx, &random_key(), pending.clone(), day).await.unwrap();
            }
        });
        Self { flow, store, begun }
    }

    /// The CPU time of each of `times` flows. That they go again is not counted.
    fn cpu(&self, times: u32, work: impl Fn(&Flow, u32)) -> f64 {
        let mut needed = 0;
        for _ in 0..times / WAITING {
            let begun = thread_cpu();
            work(&self.flow, WAITING);
            needed += thread_cpu() - begun;
            self.store.purge_expired(self.begun + 2 * Duration::from_secs(STATE_TTL));
        }
        needed as f64 / f64::from(times)
    }
}

pub(crate) fn each(count: &mut Count<'_>) {
    let (runtime, flow, browser) = (runtime(), ours::offline_flow(), Binding::new_browser().unwrap());
    count("begin/known", &mut |times| for_known_browser(&runtime, &flow, &browser, times));
    count("begin/new", &mut |times| for_new_browser(&runtime, &flow, times));
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let times = settings.times(TIMES).next_multiple_of(WAITING);
    let (runtime, browser) = (runtime(), Binding::new_browser().unwrap());
    let in_use = InUse::new(&runtime);
    let [floor, known, new, growing] = take_turns(
        settings.rounds(),
        [
            &mut || cpu(times, || steps::by_hand(times)),
            &mut || in_use.cpu(times, |flow, times| for_known_browser(&runtime, flow, &browser, times)),
            &mut || in_use.cpu(times, |flow, times| for_new_browser(&runtime, flow, times)),
            &mut || {
                let flow = ours::offline_flow();
                cpu(times, || for_known_browser(&runtime, &flow, &browser, times))
            },
        ],
    );
    let ratio = Spread::ratio(&known, &floor);
    let counted = allocations::of("begin/known");
    let known_line = Line {
        work: format!(
            "`begin` through `dyn StateStore` and the memory store, in a browser whose secret is known; {WAITING} flows wait"
        ),
        floor: format!("the single steps, {}", median_time(&floor)),
        oauth2: "by hand".to_owned(),
        authflow: with_allocations(&median_time(&known), counted),
        ratio: ratio.to_string(),
        must: "1.6 x, 14 allocations".to_owned(),
        reached: Some(ratio.reaches(MUST) && counted.is_some_and(|count| count <= MUST_ALLOCATIONS)),
    };
    let new_line = Line {
        work: "the same, drawing the browser's secret: one more read of system randomness".to_owned(),
        floor: "the same".to_owned(),
        oauth2: "by hand".to_owned(),
        authflow: with_allocations(&median_time(&new), allocations::of("begin/new")),
        ratio: Spread::ratio(&new, &floor).to_string(),
        must: String::new(),
        reached: None,
    };
    let growing_line = Line {
        work: format!(
            "the first again, in a new store that grows by {times} flows: the kernel hands out its memory, page by page"
        ),
        floor: "the same".to_owned(),
        oauth2: "by hand".to_owned(),
        authflow: median_time(&growing),
        ratio: Spread::ratio(&growing, &floor).to_string(),
        must: String::new(),
        reached: None,
    };
    vec![known_line, new_line, growing_line]
}

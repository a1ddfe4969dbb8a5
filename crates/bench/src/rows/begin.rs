//! `begin` through `dyn StateStore` and the memory store: default scopes, a return-to, a browser binding.

use authflow_core::{Binding, Flow};
use tokio::runtime::Runtime;

use super::{Count, keep, runtime, steps};
use crate::arguments::Settings;
use crate::measure::{Spread, cpu, take_turns};
use crate::registration::RETURN_TO;
use crate::table::{Line, median_time, with_allocations};
use crate::{allocations, ours};

/// Each round fills a store of its own, so that none is full.
const TIMES: u32 = 8_000;
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

pub(crate) fn each(count: &mut Count<'_>) {
    let (runtime, flow, browser) = (runtime(), ours::offline_flow(), Binding::new_browser().unwrap());
    count("begin/known", &mut |times| for_known_browser(&runtime, &flow, &browser, times));
    count("begin/new", &mut |times| for_new_browser(&runtime, &flow, times));
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let times = settings.times(TIMES);
    let (runtime, browser) = (runtime(), Binding::new_browser().unwrap());
    let [floor, known, new] = take_turns(
        settings.rounds(),
        [
            &mut || cpu(times, || steps::by_hand(times)),
            &mut || {
                let flow = ours::offline_flow();
                cpu(times, || for_known_browser(&runtime, &flow, &browser, times))
            },
            &mut || {
                let flow = ours::offline_flow();
                cpu(times, || for_new_browser(&runtime, &flow, times))
            },
        ],
    );
    let ratio = Spread::ratio(&known, &floor);
    let counted = allocations::of("begin/known");
    let known_line = Line {
        work: "`begin` through `dyn StateStore` and the memory store, in a browser whose secret is known"
            .to_owned(),
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
    vec![known_line, new_line]
}

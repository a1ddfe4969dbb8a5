//! The single steps: state, PKCE with S256, the URL with the default scopes. Nothing is stored.

use authflow_core::Flow;
use tokio::runtime::Runtime;

use super::{Count, keep, runtime};
use crate::arguments::Settings;
use crate::measure::{Spread, cpu, take_turns};
use crate::table::{Line, median_time, with_allocations};
use crate::{allocations, floor, ours, peer};

const TIMES: u32 = 8_000;
const MUST: f64 = 1.0;
const MUST_ALLOCATIONS: f64 = 6.0;

pub(super) fn by_hand(times: u32) {
    (0..times).for_each(|_| keep(floor::authorize()));
}

fn by_oauth2(client: &peer::Client, times: u32) {
    (0..times).for_each(|_| keep(client.authorize()));
}

fn by_authflow(runtime: &Runtime, flow: &Flow, times: u32) {
    runtime.block_on(async {
        for _ in 0..times {
            keep(flow.prepare().await.unwrap());
        }
    });
}

fn oauth2_client() -> peer::Client {
    peer::Client::new("https://provider.example/oauth2/token", reqwest::Client::new())
}

pub(crate) fn each(count: &mut Count<'_>) {
    let (runtime, flow, client) = (runtime(), ours::offline_flow(), oauth2_client());
    count("steps/floor", &mut by_hand);
    count("steps/oauth2", &mut |times| by_oauth2(&client, times));
    count("steps/authflow", &mut |times| by_authflow(&runtime, &flow, times));
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let times = settings.times(TIMES);
    let (runtime, flow, client) = (runtime(), ours::offline_flow(), oauth2_client());
    let [floor, oauth2, authflow] = take_turns(
        settings.rounds(),
        [
            &mut || cpu(times, || by_hand(times)),
            &mut || cpu(times, || by_oauth2(&client, times)),
            &mut || cpu(times, || by_authflow(&runtime, &flow, times)),
        ],
    );
    let ratio = Spread::ratio(&authflow, &floor);
    let counted = allocations::of("steps/authflow");
    let oauth2_ratio = Spread::ratio(&oauth2, &floor);
    vec![Line {
        work: "single steps: state, PKCE S256, URL; nothing stored".to_owned(),
        floor: with_allocations(&median_time(&floor), allocations::of("steps/floor")),
        oauth2: with_allocations(&format!("{oauth2_ratio} x"), allocations::of("steps/oauth2")),
        authflow: with_allocations(&median_time(&authflow), counted),
        ratio: ratio.to_string(),
        must: "1.0 x, 6 allocations".to_owned(),
        reached: Some(ratio.reaches(MUST) && counted.is_some_and(|count| count <= MUST_ALLOCATIONS)),
    }]
}

//! The token of a connection is good for a few seconds still, and many tasks ask for it at once.

use std::time::Duration;

use super::crowd::{Crowd, times};
use crate::arguments::Settings;
use crate::measure::Spread;
use crate::table::Line;

const TASKS: u32 = 1_000;
const LEFT: Duration = Duration::from_secs(7);
const DELAY: Duration = Duration::from_millis(50);
const MUST: f64 = 2.5;

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let crowd = Crowd::new(TASKS, LEFT, DELAY);
    let [(floor, by_hand), (authflow, ours)] = crowd.ask(settings.rounds());
    let ratio = Spread::ratio(&authflow, &floor);
    // Who waits for the refresh waits for the server.
    let nobody_waits = Spread::of(&authflow).most < DELAY.as_nanos() as f64;
    vec![Line {
        work: format!("the same while the token is good for {} more seconds", LEFT.as_secs()),
        floor: format!("{}, {} request", times(&floor), by_hand.requests),
        oauth2: "by hand".to_owned(),
        authflow: format!(
            "{}, {} request, {} failures, {}",
            times(&authflow),
            ours.requests,
            ours.failures,
            if nobody_waits { "nobody waits" } else { "some wait" }
        ),
        ratio: ratio.to_string(),
        must: format!("1 request, nobody waits, {MUST:.1} x"),
        reached: Some(ratio.reaches(MUST) && ours.requests == 1 && ours.failures == 0 && nobody_waits),
    }]
}

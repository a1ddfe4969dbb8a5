//! The token of a connection has expired, and many tasks ask for it at once.

use std::time::Duration;

use super::crowd::{Crowd, times};
use crate::arguments::Settings;
use crate::measure::Spread;
use crate::table::Line;

const TASKS: u32 = 1_000;
const DELAY: Duration = Duration::from_millis(50);
const MUST: f64 = 1.05;

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let crowd = Crowd::new(TASKS, Duration::ZERO, DELAY);
    let [(floor, by_hand), (authflow, ours)] = crowd.ask(settings.rounds());
    let ratio = Spread::ratio(&authflow, &floor);
    vec![Line {
        work: format!(
            "{TASKS} tasks ask at expiry, the server takes 50 ms and rotates: wall time until all have it"
        ),
        floor: format!("{}, {} request", times(&floor), by_hand.requests),
        oauth2: "by hand".to_owned(),
        authflow: format!("{}, {} request, {} failures", times(&authflow), ours.requests, ours.failures),
        ratio: ratio.to_string(),
        must: format!("1 request, 0 failures, {MUST:.2} x"),
        reached: Some(ratio.reaches(MUST) && ours.requests == 1 && ours.failures == 0),
    }]
}

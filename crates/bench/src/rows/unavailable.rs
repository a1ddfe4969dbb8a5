//! The token of a connection has expired, many tasks ask for it at once, and the server is not to be had.

use std::time::Duration;

use super::crowd::{Crowd, times};
use crate::arguments::Settings;
use crate::measure::Spread;
use crate::table::Line;

const TASKS: u32 = 100;
const DELAY: Duration = Duration::from_millis(50);
const MUST: f64 = 1.05;

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let crowd = Crowd::new(TASKS, Duration::ZERO, DELAY);
    crowd.server.tell("status 503");
    let [(floor, by_hand), (authflow, ours)] = crowd.ask(settings.rounds());
    let ratio = Spread::ratio(&authflow, &floor);
    // The round that warms up counts here too.
    let all = TASKS as usize * (settings.rounds() + 1);
    let shared = ours.errors == 1 && ours.failures == all;
    vec![Line {
        work: format!("{TASKS} tasks, the refresh is answered 503 after 50 ms: wall time until all know"),
        floor: format!("{}, {} request", times(&floor), by_hand.requests),
        oauth2: "by hand".to_owned(),
        authflow: format!(
            "{}, {} request, {}",
            times(&authflow),
            ours.requests,
            if shared { "one shared error" } else { "not the same error for all" }
        ),
        ratio: ratio.to_string(),
        must: format!("1 request, one shared error, {MUST:.2} x"),
        reached: Some(ratio.reaches(MUST) && ours.requests == 1 && shared),
    }]
}

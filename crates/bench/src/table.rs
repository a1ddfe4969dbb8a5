//! The table on stdout.

use crate::arguments::Settings;
use crate::measure::Spread;

/// One line of the table.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) floor: String,
    pub(crate) oauth2: String,
    pub(crate) authflow: String,
    pub(crate) ratio: String,
    pub(crate) must: String,
    /// `None` where nothing has to be reached.
    pub(crate) reached: Option<bool>,
}

impl Line {
    pub(crate) fn print(&self) {
        let Self { work, floor, oauth2, authflow, ratio, must, reached } = self;
        let reached = match reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        println!("| {work} | {floor} | {oauth2} | {authflow} | {ratio} | {must} | {reached} |");
    }
}

pub(crate) fn print_head(settings: &Settings) {
    if settings.is_quick() {
        println!("A quick look: too short for a figure.\n");
    }
    println!("| work | floor | `oauth2` 5.0 | authflow | ratio to the floor | must reach | reached |");
    println!("|---|---|---|---|---|---|---|");
}

/// A time in nanoseconds, readable.
pub(crate) fn time(nanoseconds: f64) -> String {
    if nanoseconds < 10_000.0 {
        format!("{nanoseconds:.0} ns")
    } else if nanoseconds < 10_000_000.0 {
        format!("{:.1} us", nanoseconds / 1000.0)
    } else {
        format!("{:.1} ms", nanoseconds / 1_000_000.0)
    }
}

/// A series' median time.
pub(crate) fn median_time(series: &[f64]) -> String {
    time(Spread::of(series).median)
}

/// With the allocations, where they were counted.
pub(crate) fn with_allocations(text: &str, allocations: Option<f64>) -> String {
    match allocations {
        Some(count) => format!("{text}, {count:.0} allocations"),
        None => text.to_owned(),
    }
}

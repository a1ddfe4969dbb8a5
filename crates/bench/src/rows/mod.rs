//! The rows of the table.

pub(crate) mod at_expiry;
pub(crate) mod before_expiry;
pub(crate) mod begin;
mod crowd;
pub(crate) mod million;
pub(crate) mod pending;
pub(crate) mod processes;
pub(crate) mod redis;
pub(crate) mod steps;
pub(crate) mod store;
pub(crate) mod together;
pub(crate) mod tree;
pub(crate) mod unavailable;
pub(crate) mod valid;
pub(crate) mod web;
pub(crate) mod whole;

use crate::arguments::Settings;
use crate::table::Line;

/// A row: its name, and what measures it.
type Row = (&'static str, fn(&Settings) -> Vec<Line>);

/// Every row by its name.
pub(crate) const ALL: &[Row] = &[
    ("steps", steps::measure),
    ("begin", begin::measure),
    ("whole", whole::measure),
    ("store", store::measure),
    ("pending", pending::measure),
    ("redis", redis::measure),
    ("web", web::measure),
    ("at-expiry", at_expiry::measure),
    ("before-expiry", before_expiry::measure),
    ("unavailable", unavailable::measure),
    ("processes", processes::measure),
    ("valid", valid::measure),
    ("million", million::measure),
    ("together", together::measure),
    ("tree", tree::measure),
    ("build", tree::measure_builds),
];

/// What counts the allocations of one piece of work, by its name.
pub(crate) type Count<'a> = dyn FnMut(&str, &mut dyn FnMut(u32)) + 'a;

/// A runtime of one thread, so that all that a flow does is this thread's CPU time.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Keeps the optimizer from seeing that a result is unused.
fn keep<T>(value: T) {
    drop(std::hint::black_box(value));
}

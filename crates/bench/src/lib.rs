//! Figures: authflow beside the same work by hand, and beside the `oauth2` crate.
//!
//! `cargo xtask bench` prints them. Times are CPU times of the calling thread alone, in rounds that take turns, and what
//! counts is the ratio within a round: a busy machine slows all contenders alike.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod allocations;
mod arguments;
mod browser;
mod floor;
mod floor_connections;
mod floor_web;
mod measure;
mod ours;
mod ours_connections;
mod ours_web;
mod peer;
mod refresh_server;
mod registration;
mod rows;
mod server;
mod stores;
mod table;
mod web_server;

use std::process::ExitCode;

use arguments::{Request, Settings};

/// The program: measures what `arguments` ask for and prints a table.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    match Request::parse(arguments) {
        Ok(Request::Help) => {
            print!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Request::Measure(settings)) => {
            measure_all(&settings);
            ExitCode::SUCCESS
        }
        Ok(Request::ServeTokens) => server::serve(),
        Ok(Request::ServeRefreshes) => refresh_server::serve(),
        Ok(Request::ServeWeb([application, token_endpoint, states])) => {
            web_server::serve(&application, &token_endpoint, &states)
        }
        Ok(Request::AskTogether([address, endpoint])) => rows::processes::ask(&address, &endpoint),
        Ok(Request::HoldConnections([address, endpoint, cache])) => {
            rows::million::hold(&address, &endpoint, &cache)
        }
        Ok(Request::HoldPending(contender)) => rows::pending::hold(&contender),
        Ok(Request::Expire) => rows::store::expire(),
        Err(message) => {
            eprintln!("error: {message}\n\n`authflow-bench --help` shows what there is.");
            ExitCode::from(2)
        }
    }
}

fn measure_all(settings: &Settings) {
    table::print_head(settings);
    for (name, row) in rows::ALL {
        if settings.wants(name) {
            eprintln!("measuring {name}");
            for line in row(settings) {
                line.print();
            }
        }
    }
}

/// Prints the allocations of each piece of work, counted by `count`, which returns those of the closure that it runs.
#[must_use]
pub fn print_allocations(arguments: &[String], count: fn(&mut dyn FnMut()) -> u64) -> ExitCode {
    match Request::parse(arguments) {
        // The token server is started as this program.
        Ok(Request::ServeTokens) => server::serve(),
        _ => {
            allocations::print(count);
            ExitCode::SUCCESS
        }
    }
}

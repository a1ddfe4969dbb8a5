#![doc = include_str!("../README.md")]

mod args;
mod browser;
mod callback;
mod demo;
mod failure;
mod input;
mod listener;
mod login;
mod output;
mod paste;
mod provider;
mod states;
mod terminal;
mod tokens;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// For the fuzz target of the loopback listener.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::listener::{Head, Outcome, Site, read_head};
}

/// Runs the program with the arguments and streams of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; a stream that is closed has no reader to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::io("the runtime could not be started", error).report(),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            // First, so that the handler stands before anything is shown.
            biased;
            () = interrupted() => Err(Failure::Interrupted),
            result = run(cli.command) => result,
        }
    });
    // A browser that is being started must not hold the program back.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(&args).await.map_err(Failure::repeatable),
        Command::Login(args) => login::run(&args).await,
        Command::Refresh(args) => tokens::refresh(&args).await,
        Command::Revoke(args) => tokens::revoke(&args).await,
        Command::Providers => provider::list().map_err(Failure::repeatable),
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's own one ends the program.
        std::future::pending::<()>().await;
    }
}

#![doc = include_str!("../README.md")]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod args;
mod browser;
mod callback;
mod demo;
mod drain;
mod failure;
mod input;
mod interrupt;
mod keeper;
mod kept;
mod listener;
mod login;
mod logout;
mod once;
mod output;
mod paste;
mod progress;
mod provider;
mod request;
mod room;
mod states;
mod status;
mod sweep;
mod terminal;
mod token;
mod tokens;

use std::mem::ManuallyDrop;
use std::process::ExitCode;

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
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; a stream that is closed has no reader to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    if let Err(failure) = room::check() {
        return failure.report();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        // It ends with the process. One that is shut down cancels what still runs in it, and whoever counted on the end of that
        // may panic, beside the result on stderr; and a browser that is being started would hold the program back.
        Ok(runtime) => ManuallyDrop::new(runtime),
        Err(error) => return Failure::io("the runtime could not be started", error).report(),
    };
    let goes_on = cli.command.goes_on();
    let result = runtime.block_on(async {
        tokio::select! {
            // First, so that the handler stands before anything is shown.
            biased;
            () = interrupt::asked() => {
                let ended = tokio::select! {
                    biased;
                    // Whoever asks a second time does not want to wait.
                    () = interrupt::asked_again() => drain::broken_off(),
                    ended = drain::drain() => ended,
                };
                ended.and(if goes_on { Ok(()) } else { Err(Failure::Interrupted) })
            }
            result = to_the_end(cli.command) => result,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn to_the_end(command: Command) -> Result<(), Failure> {
    let result = run(command).await;
    drain::with_the_end(result, drain::drain().await)
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(&args).await.map_err(Failure::repeatable),
        Command::Login(args) => login::run(&args).await,
        Command::Token(args) => token::run(&args).await,
        Command::Status(args) => status::run(&args).await.map_err(Failure::repeatable),
        Command::Request(args) => request::run(args).await,
        Command::Logout(args) => logout::run(&args).await,
        Command::Sweep(args) => sweep::run(&args).await,
        Command::Refresh(args) => tokens::refresh(&args).await,
        Command::Revoke(args) => tokens::revoke(&args).await,
        Command::Providers => provider::list().map_err(Failure::repeatable),
    }
}

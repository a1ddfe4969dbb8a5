//! `cargo xtask test`: runs the plan, goes on after a failure, and says at the end what failed.

use std::time::{Duration, Instant};

use crate::disk;
use crate::failure::Failure;
use crate::plan::{Request, STEPS, Step, When};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const HELP: &str = "\
Runs everything that must hold before a change lands, and installs first what is missing for it.

Usage: cargo xtask test [--fast | STEP...] [--no-install | --only-install]
       cargo xtask test --list

  STEP...         only these steps, e.g. `cargo xtask test fmt clippy`
  --fast          without the slow steps
  --list          the steps, in the order of a run
  --no-install    say what is missing, but install nothing
  --only-install  install what is missing, but run nothing
  -h, --help      this text

A failed step does not stop the others; the end of the output lists what failed. Exit code 0: all
holds; 1: something failed; 2: called wrongly.

Before the first step it says what is missing on this machine and installs it: rustfmt and clippy by
rustup, redis-server, postgresql, pgbouncer, mariadb-server, strace, gnome-keyring, chromium, nodejs and
npm by apt-get (as root, or with sudo), the packages of tests/servers by `npm ci`, cargo-deny by `cargo
install`. Only what the chosen steps need is installed.
";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let request = Request::parse(arguments)?;
    if request.help {
        print!("{HELP}");
        return Ok(());
    }
    if request.list {
        list();
        return Ok(());
    }
    let steps = request.select()?;
    let start = Instant::now();

    let needs = needs_of(&steps);
    let unmet = prepare(workspace, &needs, request.no_install);
    if request.only_install {
        let missing: Vec<String> =
            unmet.iter().map(|(tool, why)| format!("{}: {why}", tool.name())).collect();
        return if missing.is_empty() { Ok(()) } else { Err(Failure::list("still missing:", &missing)) };
    }
    let mut results = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {} ==", number + 1, steps.len(), step.name, step.about);
        results.push(run_step(workspace, step, &unmet));
    }
    summarise(&results, start.elapsed(), disk::free(workspace))
}

fn list() {
    for step in STEPS {
        let when = match step.when {
            When::Always => "",
            When::Unhurried => " [not with --fast]",
            When::Named => " [only when named]",
        };
        println!("{:<13} {}{when}", step.name, step.about);
    }
}

fn needs_of(steps: &[&Step]) -> Vec<Tool> {
    let mut needs: Vec<Tool> = steps.iter().flat_map(|step| step.needs.iter().copied()).collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// Installs what is missing; returns what is still missing, each with the reason.
fn prepare(workspace: &Workspace, needs: &[Tool], no_install: bool) -> Vec<(Tool, String)> {
    println!("== tools ==");
    let unmet = tools::provide(workspace, needs, no_install);
    tools::print_versions(workspace, needs);
    if let Some(free) = disk::free(workspace) {
        println!("{:<14} {} free", "disk", disk::gigabytes(free));
    }
    unmet
}

#[derive(Debug)]
struct Outcome {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

fn run_step(workspace: &Workspace, step: &Step, unmet: &[(Tool, String)]) -> Outcome {
    let start = Instant::now();
    let result = match unmet.iter().find(|(tool, _)| step.needs.contains(tool)) {
        Some((tool, reason)) => Err(Failure::new(format!("not run, for want of {}: {reason}", tool.name()))),
        None => (step.run)(workspace),
    };
    let took = start.elapsed();
    match &result {
        Ok(()) => println!("== {}: ok in {} ==", step.name, seconds(took)),
        Err(failure) => println!("{failure}\n== {}: FAILED after {} ==", step.name, seconds(took)),
    }
    Outcome { name: step.name, took, failure: result.err().map(|failure| failure.to_string()) }
}

/// What all steps together write to the disk, from an empty target.
const NEEDED: &str = "10 GB";

/// With less than this the disk may be why something failed, in bytes: what failed has made some room again.
const LITTLE_ROOM: u64 = 1_000_000_000;

fn summarise(outcomes: &[Outcome], took: Duration, free: Option<u64>) -> Result<(), Failure> {
    println!("\n== summary, {} ==", seconds(took));
    for outcome in outcomes {
        let verdict = if outcome.failure.is_some() { "FAILED" } else { "ok" };
        println!("{verdict:<7} {:<13} {:>9}", outcome.name, seconds(outcome.took));
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    if failed.is_empty() {
        println!("all {} steps hold", outcomes.len());
        return Ok(());
    }
    let mut findings: Vec<String> = failed
        .iter()
        .map(|outcome| format!("{}: {}", outcome.name, outcome.failure.as_deref().unwrap_or_default()))
        .collect();
    if let Some(free) = free.filter(|&free| free < LITTLE_ROOM) {
        let free = disk::gigabytes(free);
        findings.push(format!(
            "the disk has only {free} free, which may be why: all steps together need {NEEDED}"
        ));
    }
    let names = failed.iter().map(|outcome| outcome.name).collect::<Vec<_>>().join(" ");
    let headline = format!(
        "{} of {} steps failed; to repeat them: cargo xtask test {names}",
        failed.len(),
        outcomes.len()
    );
    Err(Failure::list(&headline, &findings))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, failure: Option<&str>) -> Outcome {
        Outcome { name, took: Duration::from_millis(1500), failure: failure.map(str::to_owned) }
    }

    #[test]
    fn the_summary_names_what_failed_and_how_to_repeat_it() {
        let outcomes =
            [outcome("fmt", None), outcome("clippy", Some("a lint")), outcome("test", Some("a test"))];
        let failure = summarise(&outcomes, Duration::ZERO, None).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.starts_with("2 of 3 steps failed; to repeat them: cargo xtask test clippy test"),
            "{text}"
        );
        assert!(text.contains("- clippy: a lint") && text.contains("- test: a test"), "{text}");
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_full_disk_is_told_where_something_failed() {
        let told = |free| {
            let failure = summarise(&[outcome("test", Some("a test"))], Duration::ZERO, free).unwrap_err();
            failure.to_string().lines().filter(|line| line.contains("the disk has only 0.9 GB")).count()
        };
        assert_eq!(told(Some(LITTLE_ROOM - 1)), 1);
        assert_eq!((told(Some(LITTLE_ROOM)), told(None)), (0, 0));
    }

    #[test]
    fn nothing_failed_is_a_success() {
        assert!(summarise(&[outcome("fmt", None)], Duration::ZERO, Some(0)).is_ok());
    }

    #[test]
    fn a_step_whose_tool_is_missing_fails_without_running() {
        let step = Step { name: "x", about: "", when: When::Always, needs: &[Tool::Redis], run: |_| Ok(()) };
        let workspace = Workspace::open().unwrap();
        let outcome = run_step(&workspace, &step, &[(Tool::Redis, "no network".to_owned())]);
        assert_eq!(outcome.failure.as_deref(), Some("not run, for want of redis-server: no network"));
    }

    #[test]
    fn tools_are_asked_for_once() {
        let steps: Vec<&Step> = STEPS.iter().filter(|step| step.needs.contains(&Tool::CargoDeny)).collect();
        assert_eq!(needs_of(&steps), [Tool::CargoDeny]);
    }
}

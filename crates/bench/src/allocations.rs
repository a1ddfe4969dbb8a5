//! How many allocations each piece of work makes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::rows;

/// Where the program that counts is, for whoever has built it already.
const PROGRAM: &str = "AUTHFLOW_BENCH_ALLOCATIONS";
/// How often a piece of work is repeated while it is counted.
const TIMES: u32 = 640;

/// For the program that counts: a line each on stdout.
pub(crate) fn print(count: fn(&mut dyn FnMut()) -> u64) {
    let mut print = |name: &str, work: &mut dyn FnMut(u32)| {
        // What is allocated once, such as connections and buffers, is not part of the work.
        work(TIMES);
        let total = count(&mut || work(TIMES));
        println!("{name} {:.2}", total as f64 / f64::from(TIMES));
    };
    rows::steps::each(&mut print);
    rows::begin::each(&mut print);
    rows::whole::each(&mut print);
    rows::valid::each(&mut print);
}

/// For the table: what that program counted.
pub(crate) fn of(name: &str) -> Option<f64> {
    static COUNTED: OnceLock<HashMap<String, f64>> = OnceLock::new();
    COUNTED.get_or_init(counted).get(name).copied()
}

fn counted() -> HashMap<String, f64> {
    let Some(program) = program() else {
        eprintln!("allocations are not counted: authflow-bench-allocations cannot be built");
        return HashMap::new();
    };
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "authflow-bench-allocations failed");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// Builds the program, if nobody says where it is, and finds it: cargo puts it beside this one.
fn program() -> Option<PathBuf> {
    if let Some(built) = std::env::var_os(PROGRAM) {
        return Some(built.into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "build",
        "--quiet",
        "--locked",
        "--package",
        "authflow-bench",
        "--bin",
        "authflow-bench-allocations",
    ];
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let built = Command::new(cargo).args(arguments).args(profile).status().ok()?.success();
    built.then(|| std::env::current_exe().unwrap().with_file_name("authflow-bench-allocations"))
}

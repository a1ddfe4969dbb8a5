//! Memory: what a pending flow takes while a million wait, and what is given back when they expire. Resident memory of a
//! process that does nothing else.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use authflow_core::{MemoryStateStore, StateContext, StateStore as _};

use super::runtime;
use super::store::{authflow_pending, fill, floor_pending, random_key};
use crate::arguments::Settings;
use crate::floor::{self, Pendings};
use crate::measure::Spread;
use crate::registration::STATE_TTL;
use crate::table::Line;

const CROWD: u32 = 1_000_000;
const MUST_BYTES: f64 = 300.0;
const MUST_AFTER: f64 = 1.2;

/// The hidden subcommand: prints the resident bytes before, with a million pending flows, and after they expired.
#[allow(clippy::disallowed_methods, reason = "the stores are told a time that is as good as any")]
pub(crate) fn hold(contender: &str) -> ExitCode {
    let now = SystemTime::now();
    match contender {
        "floor" => {
            let store = Pendings::default();
            let pending = floor_pending(now);
            let before = resident();
            for _ in 0..CROWD {
                store.store(floor::text(&floor::authorize().state).to_owned(), pending.clone());
            }
            println!("{before} {} {before}", resident());
        }
        _ => {
            let store = MemoryStateStore::with_capacity(2 * CROWD as usize, 256);
            let pending = authflow_pending();
            let runtime = runtime();
            let extensions = http::Extensions::new();
            let cx = StateContext::new(&extensions, now);
            runtime.block_on(async {
                fill(&store, &pending, now, 1).await;
                store.check_state(&cx, &random_key()).await.unwrap();
            });
            let before = resident();
            runtime.block_on(async {
                fill(&store, &pending, now, CROWD).await;
                let full = resident();
                // The calls that come anyway let go of what expired; there is no other cleaner.
                let later = StateContext::new(&extensions, now + Duration::from_secs(STATE_TTL));
                for _ in 0..CROWD {
                    assert!(store.check_state(&later, &random_key()).await.unwrap().is_none());
                    if store.is_empty() {
                        break;
                    }
                }
                println!("{before} {full} {}", resident());
            });
        }
    }
    ExitCode::SUCCESS
}

/// The resident memory of this process, in bytes. It allocates nothing: the smallest piece above all others, back in glibc's
/// hands, keeps everything below it from going back to the kernel.
pub(crate) fn resident() -> u64 {
    let mut status = [0; 8192];
    let len = File::open("/proc/self/status").unwrap().read(&mut status).unwrap();
    let status = std::str::from_utf8(&status[..len]).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn held(contender: &str) -> [f64; 3] {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["hold-pending", contender]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let values: Vec<f64> = text.split_whitespace().map(|value| value.parse().unwrap()).collect();
    values.try_into().expect("three values")
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    let each = |[before, full, _]: [f64; 3]| (full - before) / f64::from(CROWD);
    let floor = each(held("floor"));
    // What the allocator keeps of the memory that it was given back differs from process to process.
    let rounds: Vec<[f64; 3]> =
        (0..if settings.is_quick() { 1 } else { 9 }).map(|_| held("authflow")).collect();
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(&rounds.iter().map(of).collect::<Vec<_>>());
    let [before, full, after] =
        [|[it, _, _]: &[f64; 3]| *it, |[_, it, _]: &[f64; 3]| *it, |[_, _, it]: &[f64; 3]| *it]
            .map(|of| format!("{:.1} MiB", spread(of).median / f64::from(1 << 20)));
    let bytes = spread(|[before, full, _]| (full - before) / f64::from(CROWD)).median;
    let kept = spread(|[before, _, after]| after / before);
    vec![
        Line {
            work: "memory per pending flow, one million pending".to_owned(),
            floor: format!("{floor:.0} bytes in a map of strings"),
            oauth2: "by hand".to_owned(),
            authflow: format!("{bytes:.0} bytes"),
            ratio: format!("{:.2}", bytes / floor),
            must: format!("{MUST_BYTES:.0} bytes"),
            reached: Some(bytes <= MUST_BYTES),
        },
        Line {
            work: "the process before them, with them, and after they expired".to_owned(),
            floor: String::new(),
            oauth2: "by hand".to_owned(),
            authflow: format!("{before}, {full}, {after}"),
            ratio: format!("after / before {kept}"),
            must: "after within 20 % of before".to_owned(),
            reached: Some(kept.reaches(MUST_AFTER)),
        },
    ]
}

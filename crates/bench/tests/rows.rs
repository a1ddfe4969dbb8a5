//! Each row of the table comes to its end. What it says is measured by a person; a row that stops unnoticed says nothing.

use std::process::{Command, Output};

/// The rows, and how many lines each has. Not those that take longer than a test may: `pending`, `million`, `together`, `tree`.
const ROWS: [(&str, usize); 11] = [
    ("steps", 1),
    ("begin", 3),
    ("whole", 2),
    ("store", 3),
    ("redis", 1),
    ("web", 6),
    ("at-expiry", 1),
    ("before-expiry", 1),
    ("unavailable", 1),
    ("processes", 4),
    ("valid", 4),
];

#[test]
fn each_row_comes_to_its_end() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_authflow-bench"));
    bench.arg("--once").args(ROWS.iter().flat_map(|(row, _)| ["--only", row]));
    // Else it would be built once more, with the features of this package alone.
    bench.env("AUTHFLOW_BENCH_ALLOCATIONS", env!("CARGO_BIN_EXE_authflow-bench-allocations"));
    let Output { status, stdout, stderr } = bench.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{stderr}");
    let lines: Vec<&str> = stdout.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let expected: usize = ROWS.iter().map(|(_, lines)| lines).sum();
    assert_eq!(lines.len(), expected, "{stdout}\n{stderr}");
    for line in lines {
        assert_eq!(line.matches(" | ").count(), 6, "{line}");
        assert!(!line.contains("NaN") && !line.contains("inf"), "{line}");
    }
}

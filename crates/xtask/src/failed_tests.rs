//! What the tests that failed said, picked out of the output of `cargo test`: a log of thousands of lines is often seen from its
//! end only.

use std::fmt;

/// So many lines of one test are kept: its panic comes first, and its message may be long.
const LINES: usize = 30;
/// So much of one line.
const WIDTH: usize = 2000;
/// So many tests: more of them have one cause.
const TESTS: usize = 20;

/// Reads the lines of test programs, one after the other.
#[derive(Debug, Default)]
pub(crate) struct FailedTests {
    tests: Vec<(String, Vec<String>)>,
    more: usize,
    is_in_a_test: bool,
}

impl FailedTests {
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim_end();
        // libtest: `---- NAME stdout ----`, what the test printed, and at the end of all `failures:` with their names.
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            self.is_in_a_test = self.tests.len() < TESTS;
            if self.is_in_a_test {
                self.tests.push((name.to_owned(), Vec::new()));
            } else {
                self.more += 1;
            }
            return;
        }
        // A backtrace is in the log, and says less than it is long.
        if matches!(line, "failures:" | "stack backtrace:") || line.starts_with("test result: ") {
            self.is_in_a_test = false;
        }
        let Some((_, said)) = self.tests.last_mut().filter(|_| self.is_in_a_test) else { return };
        if said.len() < LINES && !line.is_empty() {
            said.push(line.chars().take(WIDTH).collect());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }
}

impl fmt::Display for FailedTests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, said)) in self.tests.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}- {name}")?;
            for line in said {
                write!(f, "\n    {line}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\n- and {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test a ... ok
test b::c ... FAILED
test d ... FAILED

failures:

---- b::c stdout ----

thread 'b::c' panicked at src/lib.rs:1:1:
left is not right
stack backtrace:
   0: __rustc::rust_begin_unwind

---- d stdout ----
printed
Error: no

failures:
    b::c
    d

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test of_another_program ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    fn read(output: &str) -> FailedTests {
        let mut failed = FailedTests::default();
        output.lines().for_each(|line| failed.read(line));
        failed
    }

    #[test]
    fn each_test_that_failed_is_there_with_what_it_said() {
        let told = read(OUTPUT).to_string();
        let expected = "\
- b::c
    thread 'b::c' panicked at src/lib.rs:1:1:
    left is not right
- d
    printed
    Error: no";
        assert_eq!(told, expected);
    }

    #[test]
    fn tests_that_passed_are_not() {
        let passed = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n";
        assert!(read(passed).is_empty());
    }

    #[test]
    fn much_is_cut() {
        let long = format!("---- a stdout ----\n{}\n{}", "x".repeat(3 * WIDTH), "y\n".repeat(3 * LINES));
        let told = read(&long).to_string();
        assert_eq!(told.lines().count(), 1 + LINES);
        assert!(told.lines().all(|line| line.len() <= WIDTH + 4));
        let many: String = (0..TESTS + 3).map(|number| format!("---- t{number} stdout ----\nno\n")).collect();
        assert!(read(&many).to_string().ends_with("- and 3 more"));
    }
}

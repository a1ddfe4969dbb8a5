//! Other programs: shown before they run, and judged by how they end.

use std::ffi::OsString;
use std::io::{self, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failed_tests::FailedTests;
use crate::failure::Failure;

/// A command that prints itself when it runs.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    shown: String,
}

impl Program {
    pub(crate) fn new(name: &str, directory: &Path) -> Self {
        let mut command = Command::new(name);
        // No step may wait for a person; sudo asks on the terminal itself.
        command.current_dir(directory).stdin(Stdio::null());
        Self { command, shown: name.to_owned() }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<str>) -> Self {
        let argument = argument.as_ref();
        self.command.arg(argument);
        self.shown.push(' ');
        self.shown.push_str(&quoted(argument));
        self
    }

    pub(crate) fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// Sets a variable that a person would have to set as well to repeat the command: it is shown.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.shown = format!("{name}={} {}", quoted(value), self.shown);
        self
    }

    pub(crate) fn hidden_env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self.shown = format!("(cd {}) {}", directory.display(), self.shown);
        self
    }

    /// Runs with the terminal's output.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        println!("$ {}", self.shown);
        // What this program printed must stand above what the other one prints.
        let _ = std::io::stdout().flush();
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("`{}` ended with {status}", self.shown)))
    }

    /// Runs tests with their output shown. The failure says once more what the failed ones said.
    pub(crate) fn run_tests(self) -> Result<(), Failure> {
        self.run_tests_into(&mut io::stdout())
    }

    fn run_tests_into(mut self, out: &mut impl io::Write) -> Result<(), Failure> {
        // Who no longer reads still learns from the exit code.
        let _ = writeln!(out, "$ {}", self.shown).and_then(|()| out.flush());
        let mut child =
            self.command.stdout(Stdio::piped()).spawn().map_err(|error| self.not_started(&error))?;
        let mut failed = FailedTests::default();
        if let Some(stdout) = child.stdout.take() {
            pass_on(BufReader::new(stdout), out, &mut failed)
                .map_err(|error| Failure::new(format!("`{}` cannot be read: {error}", self.shown)))?;
        }
        let status = child.wait().map_err(|error| self.not_started(&error))?;
        if status.success() {
            return Ok(());
        }
        let ended = format!("`{}` ended with {status}", self.shown);
        Err(Failure::new(if failed.is_empty() { ended } else { format!("{ended}\n{failed}") }))
    }

    /// Runs unseen and returns what it wrote to standard output.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = self.command.output().map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!(
                "`{}` ended with {}\n{}",
                self.shown,
                output.status,
                told.trim_end()
            )));
        }
        String::from_utf8(output.stdout)
            .map_err(|_| Failure::new(format!("`{}` wrote something that is not UTF-8", self.shown)))
    }

    /// Whether the program is there and ends well; for questions such as `--version`.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("cannot start `{}`: {error}", self.shown))
    }
}

/// Passes on every line as it comes, and reads it.
fn pass_on(
    mut lines: impl io::BufRead,
    out: &mut impl io::Write,
    failed: &mut FailedTests,
) -> io::Result<()> {
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        failed.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_read_it() {
        let program = Program::new("cargo", Path::new("."))
            .args(["tree", "--format", "{p}"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(program.shown, "RUSTDOCFLAGS='-D warnings' cargo tree --format '{p}'");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = Program::new("no-such-program-here", Path::new(".")).output().unwrap_err();
        assert!(failure.to_string().contains("no-such-program-here"), "{failure}");
    }

    #[test]
    fn tests_that_fail_are_told_again() {
        let script = "printf -- '---- a_test stdout ----\\nit is red\\n\\nfailures:\\n'; exit 101";
        let run = |program: &str, arguments: &[&str]| {
            let mut shown = Vec::new();
            let ended = Program::new(program, Path::new(".")).args(arguments).run_tests_into(&mut shown);
            (ended.map_err(|failure| failure.to_string()), String::from_utf8(shown).unwrap())
        };
        let (ended, shown) = run("sh", &["-c", script]);
        let told = ended.unwrap_err();
        assert!(told.ends_with("\n- a_test\n    it is red") && told.contains("101"), "{told}");
        assert!(shown.ends_with("\n---- a_test stdout ----\nit is red\n\nfailures:\n"), "{shown}");
        let told = run("sh", &["-c", "exit 3"]).0.unwrap_err();
        assert!(told.ends_with("3"), "{told}");
        assert_eq!(run("true", &[]), (Ok(()), "$ true\n".to_owned()));
    }
}

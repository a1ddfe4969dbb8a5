//! A process that ends with its value, and with the process that holds the value.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program and all that it starts: a process group.
#[derive(Debug)]
pub struct Process {
    program: Child,
    guard: Child,
}

impl Process {
    /// Starts a program. Where there is none, the test fails with what is `missing`.
    pub(crate) fn spawn(mut command: Command, missing: &str) -> Self {
        command.process_group(0);
        let program = command.spawn().unwrap_or_else(|error| panic!("{missing}: {error}"));
        let guard = guard(program.id());
        Self { program, guard }
    }

    /// The same, and returns once a line of the output has `ready` in it. The error is what the process said instead.
    pub fn start(mut command: Command, missing: &str, ready: &'static str) -> Result<Self, String> {
        let (output, input) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(input.try_clone().unwrap()).stderr(input);
        // The command goes with this, and the pipe's other end with it, which would never be closed.
        let process = Self::spawn(command, missing);
        let (line_read, lines) = mpsc::channel();
        // It goes on reading, so that the server never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _nobody_listens_once_it_is_ready = line_read.send(line);
            }
        });
        let mut said = String::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if line.contains(ready) {
                return Ok(process);
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(said)
    }

    /// The program's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// What the program reads, where that is a pipe.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.program.stdin.take().unwrap()
    }

    /// What the program writes, where that is a pipe.
    pub(crate) fn output(&mut self) -> ChildStdout {
        self.program.stdout.take().unwrap()
    }

    /// Whether the program has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.program.try_wait().unwrap().is_some()
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        let _it_has_ended = self.program.kill();
        drop(self.guard.stdin.take());
        let _status = self.program.wait();
        let _status = self.guard.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills its own process group once the pipe to it is closed, which the system does also for a test that is killed itself and
/// drops nothing.
fn guard(group: u32) -> Child {
    let group = group.try_into().expect("a process id");
    let mut command = Command::new("sh");
    command.args(["-c", "read -r _; kill -KILL 0"]).process_group(group);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Another process may take the port before the server does: then it is tried with another one.
pub(crate) fn on_a_free_port(start: impl Fn(u16) -> Result<Process, String>) -> (u16, Process) {
    let mut said = String::new();
    for _ in 0..20 {
        let port = free_port();
        match start(port) {
            Ok(process) => return (port, process),
            Err(output) => said = output,
        }
    }
    panic!("the server does not start:\n{said}");
}

/// A port on which nothing listens now.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

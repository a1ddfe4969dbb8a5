//! Processes of their own: the test runs itself again.

#![allow(dead_code, reason = "each test uses a part")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the program is to do that a test starts.
pub(crate) const ROLE: &str = "AUTHFLOW_TEST_ROLE";
/// In which directory.
const DIRECTORY: &str = "AUTHFLOW_TEST_DIRECTORY";
/// With this it begins each line that is meant for the test.
const MARK: &str = "> ";

/// This program, to do as `role` says: the test `child_process` of the same file looks what it is.
pub(crate) fn command(role: &str, directory: &Path) -> Command {
    command_through(&[], role, directory)
}

/// The same, started by another program.
pub(crate) fn command_through(starter: &[&str], role: &str, directory: &Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match starter.split_first() {
        Some((starter, arguments)) => {
            let mut command = Command::new(starter);
            command.args(arguments).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Runs the role in a child, and holds it to its end.
pub(crate) fn run(command: &mut Command) {
    let mut process = Process::of(command);
    assert_eq!(process.hear().as_deref(), Some("done"), "the output of the process says what failed");
    process.end();
}

/// A file system of its own, in a name space of its own that goes with the process.
pub(crate) fn run_in_a_small_file_system(role: &str, directory: &Path) {
    let mount =
        format!("mount -t tmpfs -o size=128k,mode=700 none '{}' && exec \"$0\" \"$@\"", directory.display());
    // Root may be without user name spaces, as in a container; everybody else needs them.
    let ways: [&[&str]; 2] = [&["unshare", "--map-root-user", "--mount"], &["unshare", "--mount"]];
    // A system may give out a name space and allow nothing in it.
    let works = |way: &&&[&str]| {
        let can = Command::new(way[0]).args(&way[1..]).args(["sh", "-c", &mount, "true"]).output();
        can.is_ok_and(|output| output.status.success())
    };
    let way = ways.iter().find(works).expect(
        "this test mounts a small tmpfs: install unshare (util-linux), and run it as root or allow user name spaces (sysctl \
         kernel.unprivileged_userns_clone=1 or, where there is that, kernel.apparmor_restrict_unprivileged_userns=0)",
    );
    let starter = [*way, &["sh", "-c", &mount]].concat();
    run(&mut command_through(&starter, role, directory));
}

/// In the child: the role and the directory, if it is one.
pub(crate) fn role() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(DIRECTORY)?.into()))
}

/// In the child: says something to the test.
pub(crate) fn say(line: &str) {
    println!("\n{MARK}{line}");
}

/// In the child: waits until the test says something, or goes.
pub(crate) fn wait() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// A child that is killed with its test.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(role: &str, directory: &Path) -> Self {
        Self::of(&mut command(role, directory))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// The next thing that it says; `None` once it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(said) = line.strip_prefix(MARK) {
                return Some(said.trim_end().to_owned());
            }
        }
    }

    pub(crate) fn go(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; it has to be a good one.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        while self.hear().is_some() {}
        assert!(self.child.wait().unwrap().success(), "a process failed; its output says how");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

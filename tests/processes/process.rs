//! A process, as the test sees it.

use std::future::Future;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::gate::MARK;
use crate::setup::Setup;

/// Is set in the processes that a test starts.
pub const ROLE: &str = "AUTHFLOW_TEST_PROCESS";

/// What hangs fails the test instead of keeping it.
pub async fn in_time<F: Future>(what: &str, call: F) -> F::Output {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// All that it said.
    said: Vec<String>,
}

impl Process {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output, said: Vec::new() }
    }

    pub async fn set_up(&mut self, setup: &Setup) {
        self.said.clear();
        assert_eq!(self.ask(&format!("setup {}", setup.to_line())).await, "ok");
    }

    pub async fn tell(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// The next thing that it says that begins with `start`: what follows.
    pub async fn hear(&mut self, start: &str) -> String {
        let what = format!("a process says `{start}`");
        in_time(&what, async {
            loop {
                let line = self.output.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended, and never: {what}; {:?}", self.said));
                let Some(said) = line.strip_prefix(MARK) else { continue };
                self.said.push(said.to_owned());
                if let Some(rest) = said.strip_prefix(start) {
                    return rest.trim().to_owned();
                }
            }
        })
        .await
    }

    /// Lets it do something, and gives what came of it.
    pub async fn ask(&mut self, line: &str) -> String {
        self.tell(line).await;
        self.result().await
    }

    pub async fn result(&mut self) -> String {
        self.hear("result").await
    }

    /// Lets it do something up to a point, where it waits.
    pub async fn ask_until(&mut self, point: &str, line: &str) {
        self.tell(&format!("halt {point}")).await;
        self.tell(line).await;
        self.hear("halt").await;
    }

    /// Lets it go on from where it waits.
    pub async fn go_on(&mut self) {
        self.tell("go on").await;
    }

    /// The same up to another point, where it waits again.
    pub async fn go_on_until(&mut self, point: &str) {
        self.tell(&format!("go on until {point}")).await;
        self.hear("halt").await;
    }

    /// How often it said this, since it was set up.
    pub fn said(&self, line: &str) -> usize {
        self.said.iter().filter(|said| said.trim() == line).count()
    }

    pub async fn kill(mut self) {
        // Without a word: SIGKILL.
        self.child.kill().await.unwrap();
    }

    fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        pid.and_then(Pid::from_raw).expect("it runs")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Returns once it stands still. It does so between two calls of its store: in the middle of one it would keep a lock there
    /// for as long, on which others wait in vain.
    pub async fn stop(&mut self) {
        self.tell("stand still").await;
        self.hear("still").await;
        self.signal(Signal::STOP);
        let status = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap();
        assert!(status.is_some_and(|(_, status)| status.stopped()), "{status:?}");
    }

    /// Lets it go on that was stopped.
    pub async fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.tell("move").await;
    }

    /// Waits for its end; it has to be a good one.
    pub async fn end(mut self) {
        let status = in_time("a process ends", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

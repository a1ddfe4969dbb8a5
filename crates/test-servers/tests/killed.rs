//! A server and its directory end with the program that holds it, also where that one drops nothing.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use authflow_test_servers::{Directory, Kind, Server};

/// Set for the program that holds a server.
const HOLDER: &str = "AUTHFLOW_TEST_HOLDER";
/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_server_ends_with_a_program_that_is_killed() {
    let Some(mut holder) = Holder::of("a_server_ends_with_a_program_that_is_killed") else { return hold() };
    holder.program.kill().unwrap();
    holder.leaves_nothing();
}

#[test]
fn a_server_ends_with_a_program_that_never_drops_it() {
    let Some(mut holder) = Holder::of("a_server_ends_with_a_program_that_never_drops_it") else {
        return hold();
    };
    holder.program.stdin.take().unwrap().write_all(b"\n").unwrap();
    holder.leaves_nothing();
}

#[test]
fn a_directory_is_gone_once_it_is_dropped() {
    let directory = Directory::new();
    let path = directory.path().to_owned();
    std::fs::create_dir_all(path.join("a/b")).unwrap();
    drop(directory);
    assert!(!path.exists());
}

/// A program with a server, which keeps its directory in one that this test looks at.
struct Holder {
    program: Child,
    /// It says at its end that its test has passed, and has to get rid of that.
    _output: BufReader<ChildStdout>,
    connection: TcpStream,
    place: PathBuf,
    _of_the_test: Directory,
}

impl Holder {
    /// Runs the test of this name as another program, and is none in that program.
    fn of(test: &str) -> Option<Self> {
        if std::env::var_os(HOLDER).is_some() {
            return None;
        }
        let of_the_test = Directory::new();
        let place = of_the_test.path().to_owned();
        let mut program = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(HOLDER, "1")
            .env("TMPDIR", &place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok()).unwrap();
        let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1, "the server has its directory there");
        Some(Self { program, _output: output, connection, place, _of_the_test: of_the_test })
    }

    fn leaves_nothing(mut self) {
        self.program.wait().unwrap();
        match self.connection.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        // What is not empty cannot be removed like this.
        let mut patience = Command::new("timeout");
        patience.args(["60", "sh", "-c", r#"until rmdir "$0"; do :; done"#]).arg(&self.place);
        assert!(patience.stderr(Stdio::null()).status().unwrap().success(), "its directory is there still");
    }
}

/// Has a server until it is killed, or until it is told to end without dropping it.
#[allow(clippy::print_stdout, reason = "the other side reads it")]
fn hold() {
    let server = Server::start(Kind::Redis);
    println!("\nport {}", server.port);
    std::io::stdin().read_line(&mut String::new()).unwrap();
    std::mem::forget(server);
}

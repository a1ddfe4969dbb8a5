//! A server ends with the program that holds it, also where that one is killed and drops nothing.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use authflow_test_servers::{Kind, Server};

/// Set for the program that is killed.
const HOLDER: &str = "AUTHFLOW_TEST_HOLDER";

#[test]
fn a_server_ends_with_a_program_that_is_killed() {
    if std::env::var_os(HOLDER).is_some() {
        return hold();
    }
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_ends_with_a_program_that_is_killed", "--nocapture"])
        .env(HOLDER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok()).unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    match connection.read(&mut [0]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[allow(clippy::print_stdout, reason = "the other side reads it")]
fn hold() {
    let server = Server::start(Kind::Redis);
    println!("\nport {}", server.port);
    loop {
        std::thread::park();
    }
}

//! The pooler of PostgreSQL.

use crate::directory::Directory;
use crate::process::{Process, on_a_free_port};
use crate::program::{Program, text};

const PGBOUNCER: Program = Program { name: "pgbouncer", package: "pgbouncer", user: Some("postgres") };

/// PgBouncer in transaction mode, in front of PostgreSQL: each transaction gets the one of its few server connections that
/// was used longest ago, whoever asks.
#[derive(Debug)]
pub struct PgBouncer {
    /// Where it listens.
    pub port: u16,
    _process: Process,
    _dir: Directory,
}

impl PgBouncer {
    /// In front of the server that listens on `server`.
    #[must_use]
    pub fn start(server: u16) -> Self {
        let dir = PGBOUNCER.directory();
        let (users, config) = (dir.path().join("users"), dir.path().join("pgbouncer.ini"));
        std::fs::write(&users, "\"authflow\" \"\"\n").unwrap();
        let (port, process) = on_a_free_port(|port| {
            let settings = [
                "[databases]",
                &format!("* = host=127.0.0.1 port={server}"),
                "[pgbouncer]",
                "listen_addr = 127.0.0.1",
                &format!("listen_port = {port}"),
                "unix_socket_dir =",
                "auth_type = trust",
                &format!("auth_file = {}", text(&users)),
                "pool_mode = transaction",
                "default_pool_size = 4",
                "server_round_robin = 1",
                "max_client_conn = 500",
                "ignore_startup_parameters = extra_float_digits",
            ];
            std::fs::write(&config, settings.join("\n")).unwrap();
            let mut command = PGBOUNCER.command();
            command.arg(&config);
            Process::start(command, &PGBOUNCER.missing(), "process up")
        });
        Self { port, _process: process, _dir: dir }
    }
}

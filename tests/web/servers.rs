//! The servers that the tests share: one of each kind for the whole program, as MariaDB alone takes seconds to start, and most
//! modules have tests of every store.

use std::sync::OnceLock;

use authflow_test_servers::{Kind, Server};

/// The server of a kind, which is started where no test needed it before. What is static is never dropped: it ends with the
/// program.
pub(crate) fn shared(kind: Kind) -> &'static Server {
    static SERVERS: [OnceLock<Server>; 3] = [const { OnceLock::new() }; 3];
    SERVERS[kind as usize].get_or_init(|| Server::start(kind))
}

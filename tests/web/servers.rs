//! The servers that the tests share: one of each kind for the whole program, as MariaDB alone takes seconds to start, and most
//! modules have tests of every store.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use authflow_test_servers::{Kind, Server};

/// The server of a kind, which is started where no test needed it before.
pub(crate) fn shared(kind: Kind) -> &'static Server {
    static FOLDER: OnceLock<Child> = OnceLock::new();
    static SERVERS: [OnceLock<Server>; 3] = [const { OnceLock::new() }; 3];
    FOLDER.get_or_init(folder);
    SERVERS[kind as usize].get_or_init(|| Server::start(kind))
}

/// Has temporary files made in a folder that goes with this program, however it ends: what is static is never dropped, and a
/// server's directory with it. The pipe to the shell is closed by the system.
fn folder() -> Child {
    use std::os::unix::fs::PermissionsExt as _;

    // Servers that run as a user of their own have to get to their directories.
    let passable = std::fs::Permissions::from_mode(0o711);
    let folder = tempfile::Builder::new().prefix("authflow-web-").permissions(passable).tempdir().unwrap();
    let folder = folder.keep();
    tempfile::env::override_temp_dir(&folder).expect("nobody else has said where");
    // Again while a server that is about to end still writes, and not for ever where something cannot be removed.
    let script = r#"read -r _; n=0; while rm -rf "$0"; [ -e "$0" ] && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

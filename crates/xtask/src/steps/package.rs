//! Every published crate can be packaged, and what was packaged compiles without the rest of this checkout.
//!
//! `cargo package` would verify each crate by building it, with all its dependencies, in a target of its own.
//! Instead the packages are unpacked side by side and checked as one workspace, in the target that the other steps
//! have filled: a file that was left out, a path that leads out of the crate, or a feature that only the workspace
//! turned on is found just the same, in seconds.

use std::path::Path;

use crate::failure::Failure;
use crate::metadata::Package;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let published: Vec<&Package> = metadata.published().collect();
    if let Some(unlicensed) = published.iter().find(|package| !licence_files(package)) {
        return Err(Failure::new(format!(
            "{} has no LICENSE-MIT and LICENSE-APACHE beside its Cargo.toml, so its package would have none; \
             symbolic links to those of the root will do",
            unlicensed.name
        )));
    }
    say_what_is_not_committed(workspace);

    // The flag lets a developer run this before the commit. In a fresh checkout nothing is uncommitted, and the
    // flag changes nothing.
    let mut command =
        workspace.cargo(&["package", "--locked", "--no-verify", "--allow-dirty", "--workspace"]);
    for package in metadata.ours().filter(|package| !package.published) {
        command = command.args(["--exclude", &package.name]);
    }
    command.run()?;

    let packages = metadata.target.join("package");
    let unpacked = packages.join("unpacked");
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked).map_err(|error| io("empty", &unpacked, &error))?;
    }
    std::fs::create_dir_all(&unpacked).map_err(|error| io("make", &unpacked, &error))?;
    for package in &published {
        let archive = packages.join(format!("{}.crate", full_name(package)));
        let (archive, folder) = (archive.to_string_lossy(), unpacked.to_string_lossy());
        workspace.program("tar").args(["-xzf", &archive, "-C", &folder]).output()?;
    }
    let manifest = unpacked.join("Cargo.toml");
    std::fs::write(&manifest, manifest_text(&published)).map_err(|error| io("write", &manifest, &error))?;
    let lock = workspace.root().join("Cargo.lock");
    std::fs::copy(&lock, unpacked.join("Cargo.lock")).map_err(|error| io("copy", &lock, &error))?;
    let target = metadata.target.to_string_lossy();
    workspace
        .cargo(&["check", "--workspace", "--all-features", "--target-dir", &target])
        .directory(&unpacked)
        .run()
}

fn licence_files(package: &Package) -> bool {
    let folder = package.manifest.parent().unwrap_or(&package.manifest);
    ["LICENSE-MIT", "LICENSE-APACHE"].iter().all(|name| folder.join(name).is_file())
}

fn say_what_is_not_committed(workspace: &Workspace) {
    // Without git, as in an unpacked archive, there is nothing to say.
    let Ok(status) = workspace.program("git").args(["status", "--porcelain"]).output() else { return };
    let count = status.lines().count();
    if count > 0 {
        println!("note: {count} files are not committed; the packages have them as they are now");
    }
}

fn full_name(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

/// A workspace of what was unpacked, in which the packages find each other in place of the registry.
fn manifest_text(packages: &[&Package]) -> String {
    let mut text = String::from("[workspace]\nresolver = \"3\"\nmembers = [\n");
    for package in packages {
        text.push_str(&format!("    \"{}\",\n", full_name(package)));
    }
    text.push_str("]\n\n[patch.crates-io]\n");
    for package in packages {
        text.push_str(&format!("{} = {{ path = \"{}\" }}\n", package.name, full_name(package)));
    }
    text
}

fn io(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::sample;

    #[test]
    fn the_unpacked_crates_find_each_other() {
        let (core, redis) = (sample("crates/core", "authflow-core", &[]), sample("x", "authflow-redis", &[]));
        let text = manifest_text(&[&core, &redis]);
        assert!(text.contains("    \"authflow-core-0.1.0\",\n    \"authflow-redis-0.1.0\",\n]"), "{text}");
        assert!(text.contains("authflow-redis = { path = \"authflow-redis-0.1.0\" }"), "{text}");
    }
}

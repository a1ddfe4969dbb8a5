//! What `cargo metadata` says, as far as the checks need it.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde_json::Value;

use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    edges: HashMap<String, Vec<Edge>>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rust_version: Option<RustVersion>,
    /// Whether it is a crate of this workspace.
    pub(crate) ours: bool,
    pub(crate) published: bool,
    pub(crate) manifest: PathBuf,
    pub(crate) features: BTreeSet<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as the manifest declares it, on whatever platform and behind whatever feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// Without a version it is a path alone, which is left out of what is published.
    pub(crate) versioned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

#[derive(Debug)]
struct Edge {
    to: String,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RustVersion(pub(crate) u32, pub(crate) u32);

impl RustVersion {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        Some(Self(parts.next()??, parts.next().unwrap_or(Some(0))?))
    }
}

impl std::fmt::Display for RustVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Package {
    /// The folder of the manifest, relative to the workspace, with `/` between its parts.
    pub(crate) fn folder(&self, metadata: &Metadata) -> String {
        let directory = self.manifest.parent().unwrap_or(&self.manifest);
        let relative = directory.strip_prefix(&metadata.root).unwrap_or(directory);
        relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
    }
}

impl Metadata {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Failure::new(format!("cannot read the output of cargo metadata: {error}")))?;
        let packages = list(&value, "packages")?.iter().map(package).collect::<Result<Vec<_>, _>>()?;
        let mut edges = HashMap::new();
        for node in list(&value["resolve"], "nodes")? {
            let mut from_here = Vec::new();
            for dependency in list(node, "deps")? {
                let kinds =
                    list(dependency, "dep_kinds")?.iter().map(|kind| parse_kind(&kind["kind"])).collect();
                from_here.push(Edge { to: string(dependency, "pkg")?, kinds });
            }
            edges.insert(string(node, "id")?, from_here);
        }
        Ok(Self {
            packages,
            root: string(&value, "workspace_root")?.into(),
            target: string(&value, "target_directory")?.into(),
            edges,
        })
    }

    /// The crates of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.ours)
    }

    /// The crates of this workspace that go to the registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.ours().filter(|package| package.published)
    }

    fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    /// Everything that is compiled with `from`, itself included; `enter` may close a branch.
    pub(crate) fn compiled_with<'a>(
        &'a self,
        from: &'a Package,
        enter: impl Fn(&Package, &Package) -> bool,
    ) -> Vec<&'a Package> {
        let mut seen = BTreeSet::from([from.id.as_str()]);
        let mut waiting = vec![from];
        let mut found = Vec::new();
        while let Some(here) = waiting.pop() {
            found.push(here);
            for edge in self.edges.get(&here.id).into_iter().flatten() {
                let Some(next) = self.package(&edge.to) else { continue };
                let compiled = edge.kinds.iter().any(|kind| *kind != Kind::Dev);
                if compiled && enter(here, next) && seen.insert(&next.id) {
                    waiting.push(next);
                }
            }
        }
        found
    }
}

fn package(value: &Value) -> Result<Package, Failure> {
    let mut dependencies = Vec::new();
    for dependency in list(value, "dependencies")? {
        dependencies.push(Dependency {
            name: string(dependency, "name")?,
            kind: parse_kind(&dependency["kind"]),
            optional: dependency["optional"] == Value::Bool(true),
            versioned: dependency["req"] != "*",
        });
    }
    Ok(Package {
        id: string(value, "id")?,
        name: string(value, "name")?,
        version: string(value, "version")?,
        rust_version: value["rust_version"].as_str().and_then(RustVersion::parse),
        ours: value["source"].is_null(),
        // `publish = false` is an empty list of registries; null is every registry.
        published: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        manifest: string(value, "manifest_path")?.into(),
        features: value["features"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default(),
        dependencies,
    })
}

fn parse_kind(value: &Value) -> Kind {
    match value.as_str() {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, Failure> {
    value[field].as_array().ok_or_else(|| Failure::new(format!("cargo metadata has no list `{field}`")))
}

fn string(value: &Value, field: &str) -> Result<String, Failure> {
    value[field]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("cargo metadata has no text `{field}`")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A package of the workspace as the rules see it.
    pub(crate) fn sample(folder: &str, name: &str, dependencies: &[(&str, Kind, bool)]) -> Package {
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            rust_version: Some(RustVersion(1, 85)),
            ours: true,
            published: true,
            manifest: PathBuf::from("/ws").join(folder).join("Cargo.toml"),
            features: BTreeSet::new(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind, optional)| Dependency {
                    name: (*name).to_owned(),
                    kind: *kind,
                    optional: *optional,
                    versioned: true,
                })
                .collect(),
        }
    }

    pub(crate) fn sample_workspace(packages: Vec<Package>, edges: &[(&str, &str, Kind)]) -> Metadata {
        let mut map: HashMap<String, Vec<Edge>> = HashMap::new();
        for (from, to, kind) in edges {
            map.entry((*from).to_owned())
                .or_default()
                .push(Edge { to: (*to).to_owned(), kinds: vec![*kind] });
        }
        Metadata { packages, root: "/ws".into(), target: "/ws/target".into(), edges: map }
    }

    #[test]
    fn reads_what_cargo_writes() {
        let metadata = Metadata::parse(
            r#"{
              "packages": [
                {"id": "a 0.1.0", "name": "a", "version": "0.1.0", "source": null, "publish": null,
                 "rust_version": "1.85", "manifest_path": "/ws/crates/a/Cargo.toml", "features": {"x": []},
                 "dependencies": [
                   {"name": "b", "kind": null, "optional": true, "req": "^1.0"},
                   {"name": "c", "kind": "dev", "optional": false, "req": "*"}]},
                {"id": "b 1.0.0", "name": "b", "version": "1.0.0", "source": "registry+x", "publish": [],
                 "rust_version": "1.56.1", "manifest_path": "/r/b/Cargo.toml", "features": {}, "dependencies": []},
                {"id": "c 1.0.0", "name": "c", "version": "1.0.0", "source": "registry+x", "publish": null,
                 "rust_version": null, "manifest_path": "/r/c/Cargo.toml", "features": {}, "dependencies": []}],
              "resolve": {"nodes": [
                {"id": "a 0.1.0", "deps": [
                  {"pkg": "b 1.0.0", "dep_kinds": [{"kind": null}]},
                  {"pkg": "c 1.0.0", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b 1.0.0", "deps": []}, {"id": "c 1.0.0", "deps": []}]},
              "workspace_root": "/ws", "target_directory": "/ws/target"}"#,
        )
        .unwrap();
        let a = &metadata.packages[0];
        assert!(a.ours && a.published && a.features.contains("x"));
        assert_eq!(a.folder(&metadata), "crates/a");
        assert_eq!(a.rust_version, Some(RustVersion(1, 85)));
        let b = Dependency { name: "b".to_owned(), kind: Kind::Normal, optional: true, versioned: true };
        let c = Dependency { name: "c".to_owned(), kind: Kind::Dev, optional: false, versioned: false };
        assert_eq!(a.dependencies, [b, c]);
        assert!(!metadata.packages[1].published);
        let names: Vec<_> = metadata.compiled_with(a, |_, _| true).iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "a dev-dependency is not compiled with the crate");
    }

    #[test]
    fn versions_of_rust_compare_by_number() {
        assert_eq!(RustVersion::parse("1.85"), Some(RustVersion(1, 85)));
        assert_eq!(RustVersion::parse("1.56.1"), Some(RustVersion(1, 56)));
        assert_eq!(RustVersion::parse("1"), Some(RustVersion(1, 0)));
        assert_eq!(RustVersion::parse("new"), None);
        assert!(RustVersion(1, 9) < RustVersion(1, 85));
    }
}

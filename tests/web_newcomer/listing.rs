//! The code of the READMEs. That it compiles is shown by the examples, which are compiled; that nothing is missing from a step
//! is shown by its imports.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::read;

const READMES: [(&str, &str); 2] = [
    ("crates/web/axum/README.md", "examples/connect_axum.rs"),
    ("crates/web/actix/README.md", "examples/connect_actix.rs"),
];

/// The blocks of Rust in the order of the text: how each is tagged, and its code.
fn blocks(readme: &str) -> Vec<(String, String)> {
    let text = read(readme);
    let fenced = text.split("\n```").skip(1).step_by(2);
    let rust = fenced.filter_map(|block| block.split_once('\n').filter(|(tag, _)| tag.starts_with("rust")));
    rust.map(|(tag, code)| (tag.to_owned(), format!("{code}\n"))).collect()
}

/// An example as a README shows it: without what is there for the lints of this repository.
fn shown(example: &str) -> String {
    let code = read(example);
    let lines: Vec<&str> = code.lines().filter(|line| !line.starts_with("#![allow")).collect();
    lines.join("\n").replace("\n\n\n", "\n\n") + "\n"
}

/// A block without its imports, and what those bring in: the name that is used, and its path.
fn imports(code: &str) -> (String, BTreeMap<String, String>) {
    let (mut body, mut names, mut statement) = (String::new(), BTreeMap::new(), String::new());
    for line in code.lines() {
        if statement.is_empty() && !line.starts_with("use ") {
            body += line;
            body += "\n";
            continue;
        }
        statement += line.trim().trim_start_matches("use ");
        if let Some(tree) = statement.strip_suffix(';') {
            leaves("", tree, &mut names);
            statement.clear();
        }
    }
    (body.trim().to_owned(), names)
}

fn leaves(prefix: &str, tree: &str, names: &mut BTreeMap<String, String>) {
    if let Some((path, group)) = tree.split_once('{') {
        // None of ours is nested any deeper.
        for leaf in group.trim_end_matches('}').split(',').map(str::trim).filter(|leaf| !leaf.is_empty()) {
            leaves(&format!("{prefix}{path}"), leaf, names);
        }
        return;
    }
    let path = format!("{prefix}{tree}").replace("::self", "");
    let name = path.rsplit("::").next().unwrap().to_owned();
    // A trait that is there for its methods: they are what is looked for.
    let name = if name == "SessionExt as _" { "get_session".to_owned() } else { name };
    names.insert(name, path);
}

/// The names that a body uses: of a path the first one, no methods, and nothing of strings and comments.
fn words(code: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for line in code.lines() {
        let code: String = line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let code = code.split("//").next().unwrap().replace("::", ".");
        for word in code.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')) {
            words.insert(word.split('.').next().unwrap().to_owned());
            // Of a trait that is only there for its methods.
            words.extend(word.split('.').filter(|part| *part == "get_session").map(str::to_owned));
        }
    }
    words
}

#[test]
fn no_line_of_a_web_readmes_code_is_hidden_from_its_reader() {
    for (readme, _) in READMES {
        for line in blocks(readme).iter().flat_map(|(_, code)| code.lines()) {
            assert!(line != "#" && !line.starts_with("# "), "{readme} hides {line:?}");
        }
    }
}

#[test]
fn a_web_readme_ends_its_steps_with_a_whole_program_which_is_an_example() {
    for (readme, example) in READMES {
        let blocks = blocks(readme);
        for example in [example, "examples/stand_in.rs"] {
            assert!(
                blocks.iter().any(|(_, code)| *code == shown(example)),
                "{readme} does not show {example} as it is"
            );
        }
    }
}

/// The steps, one after another, are what the program begins with; what follows is what an application has already. And each
/// imports what it uses and no step before it has imported, so that they can be pasted into one file.
#[test]
fn the_steps_of_a_web_readme_are_that_program() {
    for (readme, example) in READMES {
        let whole = shown(example);
        let (program, known) = imports(&whole);
        let program = program.split_once("\n\n").expect("what it is").1;
        // What is neither a step nor the whole is compiled where it stands, as documentation of the crate.
        let steps = blocks(readme).into_iter().filter(|(tag, code)| tag == "rust,ignore" && *code != whole);
        let (bodies, imported): (Vec<_>, Vec<_>) = steps.map(|(_, code)| imports(&code)).unzip();
        let steps = bodies.join("\n\n");
        let rest = program.trim_start().strip_prefix(&steps);
        let rest =
            rest.unwrap_or_else(|| panic!("{example} does not begin with the steps of {readme}:\n{steps}"));
        assert!(rest.trim_start().starts_with("// From here on"), "{readme} leaves out: {rest}");
        let mut at_hand = BTreeMap::new();
        for (body, imported) in bodies.iter().zip(imported) {
            let used = words(body);
            let needed =
                known.iter().filter(|(name, _)| used.contains(*name) && !at_hand.contains_key(*name));
            let needed: BTreeMap<_, _> = needed.map(|(name, path)| (name.clone(), path.clone())).collect();
            assert_eq!(imported, needed, "{readme}: imports of\n{body}");
            at_hand.extend(imported);
        }
    }
}

/// Which Rust a feature of the facade needs is what its crate says.
#[test]
fn the_readmes_say_which_rust_they_need() {
    let of_crate = |folder: &str| {
        let manifest: toml::Table = toml::from_str(&read(&format!("crates/{folder}/Cargo.toml"))).unwrap();
        manifest["package"]["rust-version"].as_str().expect("its own version").to_owned()
    };
    for (readme, _) in READMES {
        let version = of_crate(readme.trim_start_matches("crates/").trim_end_matches("/README.md"));
        assert!(read(readme).contains(&format!("needs Rust {version} or later")), "{readme}: {version}");
    }
    let facade = read("crates/authflow/README.md").replace('\n', " ");
    let (_, said) = facade.split_once("It needs Rust ").expect("which Rust it needs");
    let parts: Vec<&str> = said.split(". ").next().unwrap().split(';').collect();
    let features = [
        ("axum", "web/axum"),
        ("actix", "web/actix"),
        ("web", "web/common"),
        ("tower", "outgoing/tower"),
        ("reqwest-middleware", "outgoing/reqwest-middleware"),
        ("redis", "stores/redis"),
        ("file", "stores/file"),
        ("keyring", "stores/file"),
        ("sqlite", "stores/sqlx"),
        ("postgres", "stores/sqlx"),
        ("mysql", "stores/sqlx"),
    ];
    for (feature, folder) in features {
        let part = parts.iter().find(|part| part.contains(&format!("`{feature}`"))).expect(feature);
        assert!(part.contains(&of_crate(folder)), "{feature}: {part}");
    }
}

/// Pasting the variables of step 2 again makes no other key, and nobody else may read them.
#[cfg(unix)]
#[test]
fn the_variables_of_a_web_readme_are_written_once() {
    use std::os::unix::fs::PermissionsExt as _;

    for (readme, _) in READMES {
        let text = read(readme);
        let fenced = text.split("\n```").skip(1).step_by(2);
        let script =
            fenced.filter_map(|block| block.strip_prefix("sh\n")).find(|block| block.contains("END"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        let paste = || {
            let script = format!("{}\nprintf %s \"$AUTHFLOW_KEYS $PUBLIC_URL\"", script.expect("a heredoc"));
            let mut shell = std::process::Command::new("sh");
            let said = shell.arg("-euc").arg(script).current_dir(folder.path()).output().unwrap();
            assert!(said.status.success(), "{readme}: {}", String::from_utf8_lossy(&said.stderr));
            String::from_utf8(said.stdout).unwrap()
        };
        let first = paste();
        let (keys, public_url) = first.split_once(' ').unwrap();
        assert!(authflow::KeyRing::parse(keys).is_ok(), "{readme} makes no key");
        assert_eq!(public_url, "http://localhost:3000");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{readme}: others may read it");
        assert!(paste() == first, "{readme}: pasted again, it makes another key");
        let ignored = std::fs::read_to_string(folder.path().join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == ".env"), "{readme}: it could be committed");
    }
}

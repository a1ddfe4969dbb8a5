//! The two READMEs that show the first uses show the same, and what they link to is there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{read, root};

/// The code of a README that uses authflow, without the lines that rustdoc hides.
fn uses(path: &str) -> Vec<Vec<String>> {
    let text = read(path);
    let codes = text.split("```").skip(1).step_by(2).filter(|code| code.contains("use authflow::"));
    let shown = |code: &str| {
        let lines = code.lines().skip(1).filter(|line| !line.starts_with("# "));
        lines.map(str::to_owned).collect()
    };
    codes.map(shown).collect()
}

/// The facade's README is its crate documentation, so that its blocks are compiled; this one is what visitors see.
#[test]
fn both_readmes_show_the_same_uses() {
    assert_eq!(uses("README.md"), uses("crates/authflow/README.md"));
}

#[test]
fn a_flow_and_a_connection_take_twelve_lines_each() {
    let uses = uses("README.md");
    assert_eq!(uses.len(), 2);
    for lines in uses {
        let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty() && !line.starts_with("//")).collect();
        assert!((4..=12).contains(&lines.len()), "{lines:#?}");
    }
}

#[test]
fn the_documents_link_to_files_and_headings_that_exist() {
    for path in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        let text = read(path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) =
                link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { path } else { file };
            assert!(root().join(target).exists(), "{path} links to {link}, and there is no such file");
            if let Some(heading) = heading {
                assert!(
                    headings(target).iter().any(|known| known == heading),
                    "{path} links to {link}, and there is no such heading"
                );
            }
        }
    }
}

/// The anchors that a Markdown viewer makes of headings.
fn headings(path: &str) -> Vec<String> {
    let text = read(path);
    let heading =
        |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |heading: String| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    text.lines().filter_map(heading).map(anchor).collect()
}

/// An application that signs people in and links accounts, in each framework: lines of code.
#[test]
fn the_example_of_each_framework_takes_about_sixty_lines() {
    for path in ["examples/axum.rs", "examples/actix.rs"] {
        let text = read(path);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        let lines = lines.count();
        assert!((50..=72).contains(&lines), "{path}: {lines} lines");
    }
}

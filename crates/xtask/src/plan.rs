//! The steps of `cargo xtask test`, and which of them a run takes.

use crate::failure::Failure;
use crate::steps;
use crate::tools::Tool;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) when: When,
    pub(crate) needs: &'static [Tool],
    pub(crate) run: fn(&Workspace) -> Result<(), Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// In every run.
    Always,
    /// Not with `--fast`.
    Unhurried,
    /// Only when named.
    Named,
}

/// In the order of a run: what is cheap and often wrong comes first. The tests come last, so that a
/// log ends with their lines.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "rustfmt would change nothing",
        when: When::Always,
        needs: &[Tool::Rustfmt],
        run: steps::cargo::fmt,
    },
    Step {
        name: "files",
        about: "file sizes, nothing left undone, the files every repository needs",
        when: When::Always,
        needs: &[],
        run: steps::files::run,
    },
    Step {
        name: "dependencies",
        about: "who may depend on whom, what no tree may contain, how many crates a tree may have",
        when: When::Always,
        needs: &[],
        run: steps::dependencies::run,
    },
    Step {
        name: "msrv",
        about: "no dependency asks for a newer Rust than the crate that uses it",
        when: When::Always,
        needs: &[],
        run: steps::msrv::run,
    },
    Step {
        name: "deny",
        about: "licences, banned crates and sources (cargo-deny)",
        when: When::Unhurried,
        needs: &[Tool::CargoDeny],
        run: steps::cargo::deny,
    },
    Step {
        name: "advisories",
        about: "known vulnerabilities (cargo-deny; needs github.com)",
        when: When::Named,
        needs: &[Tool::CargoDeny],
        run: steps::cargo::advisories,
    },
    Step {
        name: "clippy",
        about: "lints over all targets and features, warnings denied",
        when: When::Always,
        needs: &[Tool::Clippy],
        run: steps::cargo::clippy,
    },
    Step {
        name: "features",
        about: "each feature alone, none, all: every set compiles without a warning",
        when: When::Unhurried,
        needs: &[Tool::Clippy],
        run: steps::features::run,
    },
    Step {
        name: "doc",
        about: "rustdoc over public and private items, warnings denied",
        when: When::Unhurried,
        needs: &[],
        run: steps::cargo::doc,
    },
    Step {
        name: "package",
        about: "every published crate can be packaged, and compiles from what was packaged",
        when: When::Unhurried,
        needs: &[],
        run: steps::package::run,
    },
    Step {
        name: "model",
        about: "the model of the refresh protocol, with every mix of faults; 100,000 connections expire together (optimized; 1 GB)",
        when: When::Unhurried,
        needs: &[],
        run: steps::cargo::model,
    },
    Step {
        name: "demo",
        about: "the README's first command, for each personality",
        when: When::Unhurried,
        needs: &[],
        run: steps::cargo::demo,
    },
    Step {
        name: "test",
        about: "all tests and documentation examples, all features",
        when: When::Always,
        needs: &[
            Tool::Redis,
            Tool::Postgres,
            Tool::PgBouncer,
            Tool::MariaDb,
            Tool::Strace,
            Tool::SecretService,
            Tool::Chromium,
            Tool::Node,
            Tool::InteropServers,
        ],
        run: steps::cargo::test,
    },
];

/// What the arguments of `cargo xtask test` ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) help: bool,
    pub(crate) list: bool,
    pub(crate) fast: bool,
    pub(crate) no_install: bool,
    pub(crate) only_install: bool,
    pub(crate) names: Vec<String>,
}

impl Request {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut request = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "-h" | "--help" => request.help = true,
                "--list" => request.list = true,
                "--fast" => request.fast = true,
                "--no-install" => request.no_install = true,
                "--only-install" => request.only_install = true,
                option if option.starts_with('-') => {
                    return Err(Failure::usage(format!(
                        "`cargo xtask test` has no option `{option}`; it has --fast, --list, --no-install, --only-install and --help"
                    )));
                }
                name => request.names.push(name.to_owned()),
            }
        }
        if request.fast && !request.names.is_empty() {
            return Err(Failure::usage("name the steps or say --fast, not both"));
        }
        if request.no_install && request.only_install {
            return Err(Failure::usage("--no-install and --only-install leave nothing to do"));
        }
        Ok(request)
    }

    /// The steps to run, in the order of the plan whatever the order of the names.
    pub(crate) fn select(&self) -> Result<Vec<&'static Step>, Failure> {
        for name in &self.names {
            if !STEPS.iter().any(|step| step.name == name) {
                let known = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
                return Err(Failure::usage(format!("there is no step `{name}`; the steps are {known}")));
            }
        }
        let wanted = |step: &&Step| {
            if self.names.is_empty() {
                step.when == When::Always || (step.when == When::Unhurried && !self.fast)
            } else {
                self.names.iter().any(|name| name == step.name)
            }
        };
        Ok(STEPS.iter().filter(wanted).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(arguments: &[&str]) -> Result<Vec<&'static str>, Failure> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Request::parse(&arguments)?.select()?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn a_plain_run_takes_all_but_what_must_be_named() {
        let all = selected(&[]).unwrap();
        assert!(!all.contains(&"advisories"));
        assert_eq!(all.len() + 1, STEPS.len());
        assert_eq!(all.last(), Some(&"test"), "a log ends with the lines of the tests");
    }

    #[test]
    fn a_fast_run_leaves_out_the_slow_ones() {
        assert_eq!(
            selected(&["--fast"]).unwrap(),
            ["fmt", "files", "dependencies", "msrv", "clippy", "test"]
        );
    }

    #[test]
    fn names_choose_and_the_plan_orders() {
        assert_eq!(selected(&["test", "advisories", "fmt"]).unwrap(), ["fmt", "advisories", "test"]);
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        let failure = selected(&["fnt"]).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure.to_string().contains("`fnt`") && failure.to_string().contains("fmt, files"),
            "{failure}"
        );
    }

    #[test]
    fn wrong_options_and_contradictions_are_refused() {
        assert!(selected(&["--quick"]).unwrap_err().to_string().contains("--quick"));
        assert!(selected(&["--fast", "doc"]).unwrap_err().to_string().contains("not both"));
        assert!(
            selected(&["--no-install", "--only-install"]).unwrap_err().to_string().contains("nothing to do")
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}

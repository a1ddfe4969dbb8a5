//! Why a task did not succeed, in words for the person at the terminal.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// The task ran, and something does not hold.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// The task was called wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    /// What several findings have in common, then the findings, which may be lists themselves.
    pub(crate) fn list(headline: &str, findings: &[String]) -> Self {
        let indented: Vec<String> = findings.iter().map(|finding| finding.replace('\n', "\n  ")).collect();
        Self::new(format!("{headline}\n  - {}", indented.join("\n  - ")))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_a_list_is_indented() {
        let inner = Failure::list("inner:", &["a".to_owned(), "b".to_owned()]).to_string();
        assert_eq!(Failure::list("outer:", &[inner]).to_string(), "outer:\n  - inner:\n    - a\n    - b");
    }
}

//! Why a command did not do what it was asked, in words and as an exit code.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use authflow::{Error, ErrorKind, Operation, Recovery};

use crate::terminal::{note, printable};

/// Why a command ended without its result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, the environment or the input cannot be used. Says what to do.
    Usage(String),
    /// The framework's error.
    Flow(Box<Error>),
    /// Something of this machine's.
    Local(String),
    /// No callback came in time.
    TimedOut(String),
    /// Ctrl-C.
    Interrupted,
    /// Whoever read stdout stopped, as `head` does.
    Unread,
    /// The same where nothing is lost by it: there is nobody to tell.
    Silent,
    /// What a fault of the demo led to, as was asked for.
    Faulted(Box<Self>),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::Local(message.into())
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used as the end of an error's way")]
    pub(crate) fn io(what: &str, error: io::Error) -> Self {
        Self::Local(format!("{what}: {error}"))
    }

    /// 1 failed, 2 usage, 3 denied by the user, 4 timed out.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Flow(error) => match (error.kind(), error.operation()) {
                (ErrorKind::AccessDenied, _) => 3,
                (ErrorKind::Usage, _) | (ErrorKind::Configuration, Some(Operation::Build)) => 2,
                _ => 1,
            },
            Self::Local(_) | Self::Interrupted | Self::Unread | Self::Silent | Self::Faulted(_) => 1,
            Self::TimedOut(_) => 4,
        }
    }

    /// For a command whose result can be had again: a reader that has enough is no error worth a word.
    pub(crate) fn repeatable(self) -> Self {
        match self {
            Self::Unread => Self::Silent,
            Self::Faulted(failure) => Self::Faulted(Box::new(failure.repeatable())),
            failure => failure,
        }
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.lines() {
            note(line);
        }
        ExitCode::from(self.code())
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(message) => vec![
                format!("error: {}", printable_lines(message)),
                String::new(),
                "For more, try `authflow help` or `--help` after the command.".to_owned(),
            ],
            Self::Flow(error) => describe(error),
            Self::Local(message) | Self::TimedOut(message) => {
                vec![format!("error: {}", printable_lines(message))]
            }
            Self::Interrupted => vec!["interrupted".to_owned()],
            Self::Unread => vec![
                "error: the result could not be written to stdout: whoever was to read it has gone"
                    .to_owned(),
            ],
            Self::Silent => Vec::new(),
            Self::Faulted(failure) => failure.lines(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Flow(Box::new(error))
    }
}

/// What a user gets to read of an error: what happened, why, of which kind it is, and what can be done.
pub(crate) fn describe(error: &Error) -> Vec<String> {
    let mut lines = vec![format!("error: {}", printable(&error.to_string()))];
    let mut source = error.source();
    let mut seen = error.to_string();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !seen.ends_with(&text) {
            lines.push(format!("  because: {}", printable(&text)));
        }
        seen = text;
        source = cause.source();
    }
    lines.push(format!("  kind: {:?}", error.kind()));
    if let Some(uri) = error.server_error().and_then(authflow::ServerError::uri) {
        lines.push(format!("  the provider's error_uri, unchecked: {}", printable(uri)));
    }
    if let Some(wait) = error.retry_after() {
        lines.push(format!("  the provider asks to wait {} seconds", wait.as_secs()));
    }
    lines.push(format!("  what to do: {}", advice(error)));
    lines
}

fn advice(error: &Error) -> String {
    match (error.kind(), error.recovery()) {
        (ErrorKind::AccessDenied, _) => {
            "nothing, if you meant to deny; else run the command again and approve".to_owned()
        }
        (ErrorKind::Unsupported, _) => {
            "connect again. If the provider has refresh tokens, it may want to be asked for one: --scope offline_access, or \
             --param access_type=offline"
                .to_owned()
        }
        (ErrorKind::IssuerMismatch, _) => {
            "the answer came from another server than the one that was asked, as in a mix-up attack: check the issuer, and \
             whom you approved"
                .to_owned()
        }
        (_, Recovery::Retry { .. }) => "try again later".to_owned(),
        (_, Recovery::Reconnect) => "begin again: run `authflow login` once more".to_owned(),
        (_, Recovery::FixConfiguration) => {
            "change the options, the provider's file or the registration at the provider".to_owned()
        }
        _ => "trying again as it is will not help; ask the provider, or look at its documentation".to_owned(),
    }
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use authflow::{Error, ErrorKind, Operation, ServerError};

    use super::{Failure, describe};

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let flow = |kind| Failure::from(Error::new(kind, "x"));
        assert_eq!(Failure::usage("x").code(), 2);
        assert_eq!(flow(ErrorKind::Usage).code(), 2);
        assert_eq!(Failure::from(Error::configuration("x").at("p", Operation::Build)).code(), 2);
        assert_eq!(Failure::from(Error::configuration("x").at("p", Operation::Exchange)).code(), 1);
        assert_eq!(flow(ErrorKind::AccessDenied).code(), 3);
        assert_eq!(flow(ErrorKind::InvalidGrant).code(), 1);
        assert_eq!(Failure::TimedOut("x".to_owned()).code(), 4);
        assert_eq!(Failure::Interrupted.code(), 1);
    }

    #[test]
    fn b11_a_hostile_description_reaches_no_terminal() {
        let hostile =
            ServerError::new("bad\u{1b}[2J", Some("a\r\n\u{202e}b"), Some("javascript:alert(1)\u{9b}"));
        let text = describe(&Error::refused(hostile)).join("\n");
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
    }
}

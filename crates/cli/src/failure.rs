//! Why a command did not do what it was asked, in words and as an exit code.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use authflow::{Error, ErrorKind, Operation, Recovery};

use crate::terminal::{note, printable};

const UNREAD: &str = "the result could not be written to stdout: whoever was to read it has gone";

/// Why a command ended without its result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the input cannot be used. Says what to do.
    Usage(String),
    /// The environment cannot be used: what the manual says of the command line does not help. Says what to do.
    Unusable(String),
    /// The framework's error.
    Flow(Box<Error>),
    /// The framework's error, with advice of the program's own, such as the very command that connects again.
    Advised { error: Box<Error>, advice: String },
    /// Something of this machine's.
    Local(String),
    /// No callback came in time.
    TimedOut(String),
    /// Ctrl-C, or another signal that asks the program to end.
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

    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self::Unusable(message.into())
    }

    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::Local(message.into())
    }

    pub(crate) fn advised(error: Error, advice: impl Into<String>) -> Self {
        Self::Advised { error: Box::new(error), advice: advice.into() }
    }

    /// Of a connection that is kept, and that this command connects again.
    pub(crate) fn of_connection(error: Error, reconnect: &str) -> Self {
        if needs_user(&error) {
            Self::advised(error, format!("connect again: {reconnect}"))
        } else {
            error.into()
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used as the end of an error's way")]
    pub(crate) fn io(what: &str, error: io::Error) -> Self {
        Self::Local(format!("{what}: {error}"))
    }

    /// 1 failed, 2 usage, 3 denied by the user, 4 timed out.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Unusable(_) => 2,
            Self::Flow(error) | Self::Advised { error, .. } => match (error.kind(), error.operation()) {
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

    /// For a result that nobody has now that it could not be written: says what is lost by that, and what to do.
    pub(crate) fn losing(self, loss: &str) -> Self {
        match self {
            Self::Unread => Self::Local(format!("{UNREAD}\n  {loss}")),
            Self::Local(message) => Self::Local(format!("{message}\n  {loss}")),
            failure => failure,
        }
    }

    /// Whether something that is kept is there and cannot be read, now or ever.
    pub(crate) fn is_unreadable(&self) -> bool {
        let (Self::Flow(error) | Self::Advised { error, .. }) = self else { return false };
        is_unreadable(error)
    }

    /// Tells the user.
    pub(crate) fn tell(&self) {
        for line in self.lines() {
            note(line);
        }
    }

    /// Tells the user whose command is what helps.
    pub(crate) fn tell_without_advice(&self) {
        match self {
            Self::Flow(error) | Self::Advised { error, .. } => what(error).iter().for_each(note),
            failure => failure.tell(),
        }
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        self.tell();
        ExitCode::from(self.code())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(message) => vec![
                format!("error: {}", printable_lines(message)),
                String::new(),
                "For more, try `authflow help` or `--help` after the command.".to_owned(),
            ],
            Self::Flow(error) => describe(error),
            Self::Advised { error, advice } => {
                let mut lines = what(error);
                lines.push(format!("  what to do: {}", printable(advice)));
                lines
            }
            Self::Unusable(message) | Self::Local(message) | Self::TimedOut(message) => {
                vec![format!("error: {}", printable_lines(message))]
            }
            Self::Interrupted => vec!["interrupted".to_owned()],
            Self::Unread => vec![format!("error: {UNREAD}")],
            Self::Silent => Vec::new(),
            Self::Faulted(failure) => match &**failure {
                Self::Flow(error) => describe_in_demo(error),
                failure => failure.lines(),
            },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Flow(Box::new(error))
    }
}

/// Whether an error says that something that is kept is there and cannot be read, now or ever.
pub(crate) fn is_unreadable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StoreCorrupt | ErrorKind::FormatUnknown | ErrorKind::KeyUnknown | ErrorKind::KeyWrong
    )
}

/// What a user gets to read of an error: what happened, why, of which kind it is, and what can be done.
pub(crate) fn describe(error: &Error) -> Vec<String> {
    let mut lines = what(error);
    lines.push(format!("  what to do: {}", advice(error)));
    lines
}

/// The same in the demo, where there is nothing that `authflow login` would have connected.
pub(crate) fn describe_in_demo(error: &Error) -> Vec<String> {
    if error.recovery() != Recovery::Reconnect {
        return describe(error);
    }
    let mut lines = what(error);
    lines.push(
        "  what to do: an application has its user connect again; here, leave the fault out".to_owned(),
    );
    lines
}

/// The same without what can be done.
fn what(error: &Error) -> Vec<String> {
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
        lines.push(format!("  wait {} s before the next try", wait.as_millis().div_ceil(1000)));
    }
    lines
}

fn advice(error: &Error) -> String {
    match (error.kind(), error.recovery()) {
        (ErrorKind::AccessDenied, _) => {
            "nothing, if you meant to deny; else run the command again and approve".to_owned()
        }
        (ErrorKind::Unsupported, _) => {
            "connect again. If the provider has refresh tokens, it may want to be asked for one: --scope offline_access, or \
             --param access_type=offline. Stack Exchange has none; its --scope no_expiry asks for a token without an end"
                .to_owned()
        }
        (ErrorKind::IssuerMismatch, _) => {
            "the answer may be another server's than the one that was asked, as in a mix-up attack: check the issuer, and whom \
             you approved. A provider that never names itself in the callback is described without an issuer"
                .to_owned()
        }
        (_, recovery) => match (of_connection(error), recovery) {
            (Some(advice), _) => advice.to_owned(),
            (None, Recovery::Retry { .. }) => "try again later".to_owned(),
            (None, Recovery::Reconnect) => "begin again: run `authflow login` once more".to_owned(),
            (None, Recovery::FixConfiguration) => {
                "change the options, the provider's file or the registration at the provider".to_owned()
            }
            _ => {
                "trying again as it is will not help; ask the provider, or look at its documentation".to_owned()
            }
        },
    }
}

/// What to do about a connection that does not give a token, or a store that does not give the connection.
fn of_connection(error: &Error) -> Option<&'static str> {
    // A pending flow is kept by another store than a connection.
    if matches!(error.operation(), Some(Operation::Begin | Operation::Finish | Operation::Exchange)) {
        return None;
    }
    Some(match error.kind() {
        ErrorKind::NotConnected => "connect first: run `authflow login`",
        ErrorKind::NeedsReconnect => {
            "connect again: run `authflow login`; nothing else brings this connection back"
        }
        ErrorKind::RotationLost => {
            "connect again: run `authflow login`. The program or the machine stopped, or the network broke, in the middle of a \
             refresh, and this provider takes each refresh token once"
        }
        ErrorKind::AccountChanged => {
            "run `authflow login` and approve with the account that this connection is of, or connect the other account \
             under a name of its own"
        }
        ErrorKind::RefreshPending => "another process refreshes this connection: try again in a few seconds",
        ErrorKind::Interrupted => "try again",
        ErrorKind::NotDurable => {
            "see that the store works and has room, then run `authflow login` again: what the provider gave was given back"
        }
        ErrorKind::StoreUnavailable => "see that the store runs and can be reached, then try again",
        ErrorKind::StoreCorrupt => {
            "the stored connection is damaged and was left as it is: restore it from a copy, or run `authflow login` again, \
             which replaces it"
        }
        ErrorKind::StoreContractViolated => {
            "do not go on with this store: it does not keep to what a store has to do. Report it to its makers"
        }
        ErrorKind::FormatUnknown => {
            "use the release of authflow that wrote it, or a newer one; or run `authflow login` again, which replaces it"
        }
        ErrorKind::KeyUnknown => {
            "put the key that it was sealed with back beside the present one; if that key is lost, run `authflow login` again"
        }
        ErrorKind::KeyWrong => {
            "put the right key under this id: another one has taken its place; if it is lost, run `authflow login` again"
        }
        ErrorKind::KeysUnavailable => {
            "see that what keeps the sealing keys can be read (the environment, the key file, the keyring), then try again"
        }
        _ => return None,
    })
}

/// Whether only another login helps.
fn needs_user(error: &Error) -> bool {
    // What is damaged may also be restored.
    (error.recovery() == Recovery::Reconnect && error.kind() != ErrorKind::StoreCorrupt)
        || matches!(
            error.kind(),
            ErrorKind::NeedsReconnect
                | ErrorKind::RotationLost
                | ErrorKind::AccountChanged
                | ErrorKind::NotConnected
        )
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
    fn every_end_of_a_connection_says_what_to_do() {
        let at =
            |kind, operation| describe(&Error::new(kind, "x").at("p", operation)).pop().unwrap_or_default();
        let advice = |kind| at(kind, Operation::Token);
        for (kind, part) in [
            (ErrorKind::AccountChanged, "the account that this connection is of"),
            (ErrorKind::FormatUnknown, "a newer one"),
            (ErrorKind::Interrupted, "try again"),
            (ErrorKind::KeyUnknown, "put the key"),
            (ErrorKind::KeyWrong, "the right key"),
            (ErrorKind::KeysUnavailable, "sealing keys"),
            (ErrorKind::NeedsReconnect, "authflow login"),
            (ErrorKind::NotConnected, "connect first"),
            (ErrorKind::NotDurable, "given back"),
            (ErrorKind::RefreshPending, "a few seconds"),
            (ErrorKind::RotationLost, "authflow login"),
            (ErrorKind::StoreContractViolated, "this store"),
            (ErrorKind::StoreCorrupt, "damaged"),
            (ErrorKind::StoreUnavailable, "then try again"),
        ] {
            let advice = advice(kind);
            assert!(advice.contains(part), "{kind:?}: {advice}");
        }
        let of_a_flow = at(ErrorKind::StoreUnavailable, Operation::Begin);
        assert_eq!(of_a_flow, "  what to do: try again later");
    }

    #[test]
    fn b11_a_hostile_description_reaches_no_terminal() {
        let hostile =
            ServerError::new("bad\u{1b}[2J", Some("a\r\n\u{202e}b"), Some("javascript:alert(1)\u{9b}"));
        let text = describe(&Error::refused(hostile)).join("\n");
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
    }
}

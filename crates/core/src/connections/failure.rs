//! Errors that many wait for, and errors of connections.

use std::sync::Arc;
use std::time::Duration;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Operation, ServerError};
use crate::state::{StoreError, StoreErrorKind};

use super::contents::{Ended, ReconnectReason};

/// One error for each who waited.
pub(super) fn share(error: &Arc<Error>, left: Option<Duration>) -> Error {
    let copy = error.duplicate();
    let copy = match left {
        Some(left) => copy.with_retry_after(Some(left)),
        None => copy,
    };
    copy.with_cause_of(error)
}

/// A record was removed, and what was in it is not known.
pub(super) fn removed_unread() -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        "the connection is removed, and the token store's answer with its tokens was lost: they stay in force until they expire, \
         or until the user ends the access at the provider",
    )
}

/// What a token store's failure means. Unlike a state, nothing in it is used up by a lost answer.
pub(super) fn of_store(error: StoreError) -> Error {
    let (kind, message) = match error.kind() {
        StoreErrorKind::Conflict => (
            ErrorKind::StoreConflict,
            "the token store holds another write of this connection already; nothing was changed, try again",
        ),
        StoreErrorKind::Corrupt => (
            ErrorKind::StoreCorrupt,
            "the token store holds a record that cannot be read, and it is left as it is; restore it, or connect again",
        ),
        StoreErrorKind::OutcomeUnknown => (
            ErrorKind::StoreUnavailable,
            "the token store's answer was lost; see that the store runs and can be reached, then try again",
        ),
        StoreErrorKind::Unavailable => (
            ErrorKind::StoreUnavailable,
            "the token store does not answer; see that it runs and can be reached, then try again",
        ),
    };
    Error::new(kind, message).with_source(error)
}

pub(super) fn not_connected() -> Error {
    Error::new(ErrorKind::NotConnected, "there is no such connection; connect first")
}

pub(super) fn contract(message: &'static str) -> Error {
    Error::new(ErrorKind::StoreContractViolated, message)
}

pub(super) fn endless() -> Error {
    contract("the token store's page ends where it began")
}

pub(super) fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the task that did this ended before it was done; the same call may work later",
    )
}

/// Where it ended is not known, so the state counts as used up: the same callback is not asked for again.
pub(super) fn completion_interrupted() -> Error {
    let message = "the task that completed this flow ended before it was done; begin again";
    Error::new(ErrorKind::Interrupted, message).state_used_up()
}

pub(super) fn shutting_down() -> Error {
    Error::new(ErrorKind::Interrupted, "connections are shutting down, and nothing new is begun")
}

pub(super) fn pending() -> Error {
    Error::new(
        ErrorKind::RefreshPending,
        "another process refreshes this connection and did not come to an end; try again",
    )
}

/// Why only the user can help. What is stored of the provider's words comes with it.
pub(super) fn reconnect(reason: ReconnectReason, ended: Option<&Ended>) -> Error {
    let (kind, message) = match reason {
        ReconnectReason::Refused => (
            ErrorKind::NeedsReconnect,
            "the provider no longer accepts this connection; its user has to connect again",
        ),
        ReconnectReason::RotationLost => (
            ErrorKind::RotationLost,
            "a refresh was sent whose answer was lost, and with it the new refresh token; the user has to connect again",
        ),
        ReconnectReason::AccountChanged => (
            ErrorKind::AccountChanged,
            "a refresh brought the tokens of another account, which were not kept; the user has to connect again",
        ),
        ReconnectReason::Expired => (
            ErrorKind::NeedsReconnect,
            "the access token is over and there is nothing to refresh it with; the user has to connect again",
        ),
        ReconnectReason::Other => {
            (ErrorKind::NeedsReconnect, "this connection has come to its end; the user has to connect again")
        }
    };
    let error = Error::new(kind, message);
    match ended.and_then(|ended| ended.code.as_deref()) {
        Some(code) => error.with_server_error(ServerError::new(code, None, None)),
        None => error,
    }
}

/// Names provider and operation.
pub(super) fn at(error: Error, key: &ConnectionKey, operation: Operation) -> Error {
    error.at(key.provider_id(), operation)
}

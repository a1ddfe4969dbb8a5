//! What a failure of reqwest means: its kind, and what happened on the wire.

use std::error::Error;
use std::io;

use authflow_core::{Delivery, HttpError, HttpErrorKind};

/// A request that ended before the status of an answer was there.
pub(crate) fn before_answer(error: reqwest::Error) -> HttpError {
    let kind = kind(&error);
    let delivery = if error.is_redirect() || find::<hyper::Error>(&error, hyper::Error::is_parse) {
        // Something came back, so something went out.
        Delivery::Answered
    } else if error.is_connect()
        || error.is_builder()
        // hyper says so only of a request that it gives back whole, because its connection closed before it took it.
        || find::<hyper::Error>(&error, hyper::Error::is_canceled)
    {
        Delivery::NotSent
    } else {
        Delivery::Unknown
    };
    HttpError::new(kind, delivery).with_source(error.without_url())
}

/// An answer that ended before its body was complete.
pub(crate) fn in_answer(error: reqwest::Error) -> HttpError {
    HttpError::new(kind(&error), Delivery::Answered).with_source(error.without_url())
}

fn kind(error: &reqwest::Error) -> HttpErrorKind {
    if error.is_redirect() {
        HttpErrorKind::Redirected
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if find::<rustls::Error>(error, |_| true) {
        HttpErrorKind::Tls
    } else {
        HttpErrorKind::Transport
    }
}

/// Whether the chain of causes holds an `E` of which `holds` is true.
fn find<E: Error + 'static>(error: &reqwest::Error, holds: impl Fn(&E) -> bool) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<E>().is_some_and(&holds) {
            return true;
        }
        // The source of an io::Error is the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

//! What a failure of reqwest means: its kind, and what happened on the wire.

use std::error::Error;
use std::io;

use authflow_core::{Delivery, HttpError, HttpErrorKind};

/// A request that ended before the status of an answer was there; `delivery` is what is known of it from our side.
pub(crate) fn before_answer(error: reqwest::Error, delivery: Delivery) -> HttpError {
    let kind = kind(&error);
    // Something came back that is not HTTP, or a redirect.
    let answered = error.is_redirect() || find::<hyper::Error>(&error, hyper::Error::is_parse);
    let delivery = if answered && delivery != Delivery::NotSent { Delivery::Answered } else { delivery };
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

//! What the tests share: a server that is written by hand, and a clock that is moved by hand.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses a part"
)]

pub mod clock;
pub mod server;
pub mod tls;

use std::error::Error;
use std::fmt::Write as _;

use authflow_core::{Delivery, HttpError, HttpErrorKind, HttpRequest};
use http::Method;
use url::Url;

/// A POST with a body, as a token request is.
pub fn post(url: &str) -> HttpRequest {
    HttpRequest::new(Method::POST, Url::parse(url).unwrap()).with_body("grant_type=authorization_code")
}

/// A GET without a body.
pub fn get(url: &str) -> HttpRequest {
    HttpRequest::get(Url::parse(url).unwrap())
}

/// Kind and delivery of an error.
pub fn what(error: &HttpError) -> (HttpErrorKind, Delivery) {
    (error.kind(), error.delivery())
}

/// All that can be read in an error and its causes.
pub fn all_text(error: &HttpError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

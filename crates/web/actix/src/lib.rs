#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]
#![allow(
    clippy::future_not_send,
    reason = "a worker of actix-web is one thread, and its requests never leave it"
)]

mod extract;
mod failure;
mod routes;
mod translate;

pub use self::extract::{AllConnected, Connected, CurrentUser, IfConnected, Refusal};
pub use self::failure::Failure;
pub use self::routes::{Routes, configure};

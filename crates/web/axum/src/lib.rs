#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod extract;
mod failure;
mod routes;

pub use self::extract::{AllConnected, Connected, CurrentUser, Refusal};
pub use self::failure::Failure;
pub use self::routes::router;

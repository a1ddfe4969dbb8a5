#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod error;
mod future;
mod head;
mod keep;
mod layer;
mod service;

pub use self::error::{BoxError, Error};
pub use self::future::ResponseFuture;
pub use self::keep::{CloneBody, KeepBody, Replayable, SendOnce};
pub use self::layer::ConnectionLayer;
pub use self::service::ConnectionService;

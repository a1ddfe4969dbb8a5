#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod address;
mod cluster;
mod config;
mod connector;
mod counted;
mod error;
mod link;
mod sentinel;
mod server;
mod slot;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod token;

pub use self::config::RedisConfig;
pub use self::error::ConnectError;
pub use self::store::RedisStateStore;
pub use self::token::RedisTokenStore;

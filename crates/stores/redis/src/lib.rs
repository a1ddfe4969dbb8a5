#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

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

#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

#[cfg(feature = "reqwest")]
mod preset;

pub use authflow_core::*;

#[cfg(feature = "actix")]
pub use authflow_actix as actix;
#[cfg(feature = "axum")]
pub use authflow_axum as axum;
#[cfg(feature = "contentstack")]
pub use authflow_contentstack as contentstack;
#[cfg(feature = "file")]
pub use authflow_file as file;
#[cfg(feature = "redis")]
pub use authflow_redis as redis;
#[cfg(feature = "reqwest")]
pub use authflow_reqwest as reqwest;
#[cfg(feature = "reqwest-middleware")]
pub use authflow_reqwest_middleware as reqwest_middleware;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use authflow_sqlx as sqlx;
#[cfg(feature = "stackexchange")]
pub use authflow_stackexchange as stackexchange;
#[cfg(feature = "tower")]
pub use authflow_tower as tower;
#[cfg(feature = "web")]
pub use authflow_web as web;

#[cfg(feature = "reqwest")]
pub use self::preset::flow;

#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod body;
mod builder;
mod client;
mod deadline;
mod decode;
mod encoding;
mod failure;
mod handover;
mod resend;

pub use self::builder::ReqwestClientBuilder;
pub use self::client::ReqwestClient;

/// The version of reqwest whose types this crate's functions take.
pub use reqwest;

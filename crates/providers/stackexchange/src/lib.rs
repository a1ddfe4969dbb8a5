#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod api;
mod builder;
mod error;
mod provider;

pub use self::api::{Api, MAX_TOKENS, TokenInfo, TokenList, User, Wrapper};
pub use self::builder::{StackExchangeBuilder, TokenEndpoint};
pub use self::error::{ApiError, ApiErrorId};
pub use self::provider::{NON_WEB_REDIRECT_URI, StackExchange, scope};

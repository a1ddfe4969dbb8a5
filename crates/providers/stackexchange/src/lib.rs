#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod builder;
mod error;
mod provider;

pub use self::api::{Api, MAX_TOKENS, TokenInfo, TokenList, User, Wrapper};
pub use self::builder::{StackExchangeBuilder, TokenEndpoint};
pub use self::error::{ApiError, ApiErrorId};
pub use self::provider::{NON_WEB_REDIRECT_URI, StackExchange, scope};

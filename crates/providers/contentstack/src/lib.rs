#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod builder;
mod error;
mod provider;
mod region;
mod revoke;

pub use self::api::{AuthorizationType, ContentstackTokens, needs_refresh};
pub use self::builder::{AuthorizationUrl, ContentstackBuilder, TokenEndpoint};
pub use self::error::{ApiError, RevocationError};
pub use self::provider::Contentstack;
pub use self::region::{Region, UnknownRegion};

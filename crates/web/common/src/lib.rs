#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod accounts;
mod answer;
mod application;
mod builder;
mod callback;
mod circle;
mod client;
mod conclude;
mod connect;
mod cookies;
mod digest;
mod disconnect;
mod flow_cookie;
mod for_frameworks;
mod form_token;
mod incoming;
mod listing;
mod lookup;
mod missing;
mod outcome;
mod pages;
mod place;
mod problem;
mod refusal;
mod resume;
mod route;
mod same_origin;
mod site;
mod split;
mod told;

pub use self::accounts::Accounts;
pub use self::application::{Application, BoxError, ClientAddress};
pub use self::builder::AccountsBuilder;
pub use self::client::{ApiAnswer, Client, SendRequest};
pub use self::for_frameworks::problem;
pub use self::form_token::FormToken;
pub use self::missing::Missing;
pub use self::outcome::Outcome;
pub use self::pages::{
    ACCOUNT_FIELD, AccountRow, DefaultPages, FailedReason, Message, Notice, NoticeKind, Page, Pages,
    ProviderLink, RETURN_TO_FIELD, TOKEN_FIELD, Text, Texts,
};
pub use self::refusal::Refusal;

/// For the `impl` block of [`Application`].
pub use authflow_core::async_trait;

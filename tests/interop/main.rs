//! Others' judgement: the testkit's server against the `oauth2` crate and npm's `openid-client`, and authflow against npm's
//! `oidc-provider`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod node;
mod oauth2_crate;
mod oidc_provider;
mod openid_client;

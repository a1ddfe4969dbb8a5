//! The routes, driven in this process against an authorization server in this process: no socket, no time that passes.
//!
//! Names begin with the attack that a test is about: state and browser (a), authorization response (b), faults (x).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod accounts_page;
mod application;
mod binding;
mod browser;
mod building;
mod clients;
mod failures;
mod gone;
mod later;
mod origin;
mod responses;
mod return_to;
mod sign_in;
mod signed_out;
mod stores;
mod tabs;
mod world;

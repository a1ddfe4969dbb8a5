//! What a newcomer to the web crates is told: each README builds up a program, which is one of the examples, word for word, and
//! that program does what the README says, with the stand-in of step 8 in place of Stack Exchange.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "`main` listens on a port of its own")]
#[path = "../../examples/connect_actix.rs"]
mod connect_actix;
#[allow(dead_code, reason = "`main` listens on a port of its own")]
#[path = "../../examples/connect_axum.rs"]
mod connect_axum;
mod journey;
mod listing;
#[allow(dead_code, reason = "`main` listens on a port of its own")]
#[path = "../../examples/stand_in.rs"]
mod stand_in;

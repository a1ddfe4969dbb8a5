//! The steps of `cargo xtask test`. Each is a function that says what does not hold.

pub(crate) mod cargo;
pub(crate) mod dependencies;
pub(crate) mod features;
pub(crate) mod files;
pub(crate) mod msrv;
pub(crate) mod package;

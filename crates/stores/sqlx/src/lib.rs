#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

/// Without a database there is nothing to offer: each has a feature.
macro_rules! with_a_database {
    ($($item:item)+) => {$(
        #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
        $item
    )+};
}

with_a_database! {
    mod connect;
    mod database;
    mod driver;
    mod error;
    mod pages;
    mod place;
    mod row;
    mod schema;
    mod sql;
    mod state_store;
    mod statements;
    mod token_store;

    pub use self::database::SqlDatabase;
    pub use self::error::{ConnectError, MigrateError};
    pub use self::state_store::SqlStateStore;
    pub use self::token_store::SqlTokenStore;
}

/// The driver, whose pools [`SqlDatabase`] takes.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use sqlx;

#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

mod error;
mod flow_format;
mod flows;
mod format;
#[cfg(feature = "keyring")]
mod keyring;
mod machine_time;
mod names;
mod shard;
mod state_store;
mod step;
mod store;
mod system;
mod turns;
mod whole_file;

pub use self::error::{Damage, Doing, FileStoreError, FileStoreErrorKind};
#[cfg(feature = "keyring")]
pub use self::keyring::{KeyringError, KeyringKeys};
pub use self::state_store::FileStateStore;
pub use self::store::FileTokenStore;

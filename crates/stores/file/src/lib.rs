#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod format;
#[cfg(feature = "keyring")]
mod keyring;
mod machine_time;
mod names;
mod shard;
mod step;
mod store;
mod system;

pub use self::error::{Damage, Doing, FileStoreError, FileStoreErrorKind};
#[cfg(feature = "keyring")]
pub use self::keyring::{KeyringError, KeyringKeys};
pub use self::store::FileTokenStore;

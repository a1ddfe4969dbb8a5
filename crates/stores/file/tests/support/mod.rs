//! A directory for a store, and where things are in it.

#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod records;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use authflow_core::ConnectionKey;
use tempfile::TempDir;

/// In memory where there is room for it: bringing a file to the disk is then free. What is proved needs no disk.
pub(crate) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::fs::Permissions::from_mode(0o700));
    builder.tempdir_in(memory).or_else(|_| builder.tempdir()).unwrap()
}

pub(crate) fn shard_path(directory: &Path, key: &ConnectionKey) -> PathBuf {
    directory.join(format!("{:02x}", key.shard().number()))
}

pub(crate) fn record_path(directory: &Path, key: &ConnectionKey) -> PathBuf {
    shard_path(directory, key).join(format!("{}-{}", key.user_tag(), key.id()))
}

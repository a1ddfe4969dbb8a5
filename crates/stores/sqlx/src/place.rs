//! Where a connection is, and which of its rows is meant.

use authflow_core::{ConnectionKey, Version};

use crate::driver::{Parameters, Value};
use crate::row::Stored;

/// Where a connection is, and what its row has to say about that.
pub(crate) struct Place<'k> {
    pub(crate) key: &'k ConnectionKey,
    key_bytes: Vec<u8>,
}

impl<'k> Place<'k> {
    pub(crate) fn new(key: &'k ConnectionKey) -> Self {
        Self { key, key_bytes: key.to_bytes() }
    }

    pub(crate) fn parameters(&self) -> [(&'static str, Value<'_>); 3] {
        [
            ("shard", Value::Integer(i64::from(self.key.shard().number()))),
            ("id", Value::Bytes(self.key.id().as_bytes())),
            ("key", Value::Bytes(&self.key_bytes)),
        ]
    }

    pub(crate) fn with<'v>(&'v self, more: &Parameters<'v>) -> Vec<(&'static str, Value<'v>)> {
        [&self.parameters()[..], more].concat()
    }
}

/// What tells a row that was read from every other that was and will be under its key.
pub(crate) struct AsRead {
    incarnation: Vec<u8>,
    counter: i64,
    revision: i64,
}

impl AsRead {
    pub(crate) fn of(stored: &Stored) -> Self {
        Self { incarnation: stored.incarnation.clone(), counter: stored.counter, revision: stored.revision }
    }

    pub(crate) fn parameters(&self) -> [(&'static str, Value<'_>); 3] {
        [
            ("incarnation", Value::Bytes(&self.incarnation)),
            ("counter", Value::Integer(self.counter)),
            ("revision", Value::Integer(self.revision)),
        ]
    }
}

/// No row has a counter that does not fit: such a version is never the one that is stored.
pub(crate) fn counter(version: &Version) -> i64 {
    i64::try_from(version.counter()).unwrap_or(-1)
}

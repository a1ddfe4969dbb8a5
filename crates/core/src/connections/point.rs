//! The await points of a refresh, by the names of the protocol, so that a test can stop or break it at each.

use std::fmt;

use async_trait::async_trait;

/// Where a flight is about to go on. P6 and P7, the answer's head and body, are inside the HTTP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The record is read.
    P0Load,
    /// The flight has begun, and others may join it.
    P1Join,
    /// The lease is asked for, with the mark.
    P2Lease,
    /// The lease is held, and the record that came with it is looked at again.
    P3Again,
    /// The mark of an earlier attempt was found, and another one is written.
    P4Mark,
    /// The request is sent.
    P5Send,
    /// The answer was read and is checked.
    P8Check,
    /// The new tokens are saved.
    P9Save,
    /// Who waited is told.
    P10Publish,
    /// The lease is given back.
    P11Release,
}

/// What a test does at each point.
#[async_trait]
pub(crate) trait Probe: fmt::Debug + Send + Sync + 'static {
    /// The flight goes on when this returns.
    async fn at(&self, point: Point);
}

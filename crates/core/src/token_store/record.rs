//! What a token store keeps for one connection.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::connection_key::ConnectionKey;
use crate::error::Result;
use crate::random;

/// One connection, as a store keeps it: sealed bytes, and in the clear only what the store itself works with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// Whose record it is, as it was written with the record. Callers compare it with what they asked for.
    pub key: ConnectionKey,
    /// Changes with the sealed bytes, and with nothing else.
    pub version: Version,
    /// The sealed connection.
    pub sealed: SealedBytes,
    /// When the connection is to be refreshed next, by the application's wall clock; `None` if never.
    pub due_at: Option<SystemTime>,
    /// Who holds the lease, if it has not ended.
    pub lease: Option<Lease>,
    /// That a refresh was begun, and that nobody wrote how it ended.
    pub mark: Option<RefreshMark>,
}

impl Record {
    /// A record without lease and mark.
    #[must_use]
    pub const fn new(key: ConnectionKey, version: Version, sealed: SealedBytes) -> Self {
        Self { key, version, sealed, due_at: None, lease: None, mark: None }
    }

    /// Sets when it is due.
    #[must_use]
    pub const fn due_at(mut self, due_at: Option<SystemTime>) -> Self {
        self.due_at = due_at;
        self
    }

    /// Sets the lease.
    #[must_use]
    pub const fn lease(mut self, lease: Option<Lease>) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the mark.
    #[must_use]
    pub fn mark(mut self, mark: Option<RefreshMark>) -> Self {
        self.mark = mark;
        self
    }
}

/// The sealed bytes of a record. `Debug` prints their number only: an application may have chosen not to seal. They are
/// wiped on drop. A clone is a pointer.
#[derive(Clone)]
pub struct SealedBytes(Arc<Zeroizing<Vec<u8>>>);

impl SealedBytes {
    /// Wraps `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SealedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// The version of a record's sealed bytes: which connect they descend from, and how many writes ago that was.
///
/// No version of a key ever comes again: each connect draws another incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    incarnation: Incarnation,
    counter: u64,
}

impl Version {
    /// A version that was written before.
    #[must_use]
    pub const fn new(incarnation: Incarnation, counter: u64) -> Self {
        Self { incarnation, counter }
    }

    /// The version of a new connect: counter 1.
    #[must_use]
    pub const fn first(incarnation: Incarnation) -> Self {
        Self::new(incarnation, 1)
    }

    /// The version that the next write makes of this one.
    #[must_use]
    pub const fn next(&self) -> Self {
        Self::new(self.incarnation, self.counter.saturating_add(1))
    }

    /// The connect that it descends from.
    #[must_use]
    pub const fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// One for a connect, and one more for each write since.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
}

macro_rules! random_128 {
    ($name:ident) => {
        impl $name {
            /// Draws one from the operating system.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
            pub fn random() -> Result<Self> {
                let mut bytes = [0; 16];
                random::fill_from_system(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// One that was written before.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    };
}

/// 128 random bits that tell one connect of a key from every other: who connects draws them, since the sealing binds the
/// bytes to them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation([u8; 16]);

random_128!(Incarnation);

/// 128 random bits that name who holds a lease. Each attempt to refresh draws its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseHolder([u8; 16]);

random_128!(LeaseHolder);

/// A lease that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Who holds it.
    pub holder: LeaseHolder,
    /// How long it lasted still when the store answered, by the store's clock. Never zero, and never more than
    /// [`LONGEST`](Self::LONGEST).
    pub remaining: Duration,
}

impl Lease {
    /// How long a lease lasts at most, from one renewal to the next. What claims more time than this and
    /// [`LEEWAY`](Self::LEEWAY) was written by a clock that was ahead and went back, and has ended: nobody waits for it.
    pub const LONGEST: Duration = Duration::from_secs(300);

    /// How far the clock of a store may be behind the one that a lease was written by: it was set back a little, or a replica
    /// whose clock is behind took over. A lease that seems to last for longer than [`LONGEST`](Self::LONGEST) by no more than
    /// this is held, and its [`remaining`](Self::remaining) is `LONGEST`.
    pub const LEEWAY: Duration = Duration::from_secs(60);

    /// A lease.
    #[must_use]
    pub const fn new(holder: LeaseHolder, remaining: Duration) -> Self {
        Self { holder, remaining }
    }
}

/// That a refresh is under way, written before the request is sent. Who leases a record and finds another holder's mark
/// knows that this holder's refresh token may be used up: its owner died, or did not learn how the request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshMark {
    /// Who refreshes.
    pub holder: LeaseHolder,
    /// SHA-256 of the refresh token that is sent.
    pub refresh_token_hash: [u8; 32],
    /// When the first attempt with this refresh token was begun, or earlier, by the wall clock of whoever made it.
    pub started_at: SystemTime,
    /// Which attempt with this refresh token it is: 1 for the first, 2 for the one that follows a mark with the same hash.
    pub attempt: u32,
}

impl RefreshMark {
    /// The mark of a first attempt.
    #[must_use]
    pub const fn new(holder: LeaseHolder, refresh_token_hash: [u8; 32], started_at: SystemTime) -> Self {
        Self { holder, refresh_token_hash, started_at, attempt: 1 }
    }

    /// Sets which attempt it is.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }
}

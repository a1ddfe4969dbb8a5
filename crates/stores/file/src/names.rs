//! The names of files: hexadecimal hashes, so that no part of a key is ever part of a path.
//!
//! ```text
//! DIRECTORY/
//!   00 .. 3f/                   one for each shard, made when it is first needed
//!     lock                      locked while anything in the shard changes; never removed
//!     new                       what is being written; renamed when it is whole
//!     USER-CONNECTION           the record or the tombstone of a connection
//!     due/TIME-USER-CONNECTION  empty: when a record is due, in milliseconds since 1970
//!     gone/USER-CONNECTION      empty: where tombstones are
//!     flows/FLOW                a pending flow
//!     flows/new                 what is being written; renamed when it is whole
//! ```
//!
//! The longest name has 142 characters: encrypted file systems take 143.

use authflow_core::{ConnectionId, ConnectionKey, Shard, StateKey, UserTag};
use sha2::{Digest as _, Sha256};

pub(crate) const LOCK: &str = "lock";
pub(crate) const NEW: &str = "new";
pub(crate) const DUE: &str = "due";
pub(crate) const GONE: &str = "gone";
pub(crate) const FLOWS: &str = "flows";

/// Where a connection is: behind its user, so that a user's are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) user: UserTag,
    pub(crate) connection: ConnectionId,
}

/// The latest due time that a name can hold, in the year 10889.
const LAST: u64 = (1 << 48) - 1;

impl Place {
    pub(crate) fn of(key: &ConnectionKey) -> Self {
        Self { user: key.user_tag(), connection: *key.id() }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.user, self.connection)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (user, connection) = name.split_once('-')?;
        Some(Self {
            user: UserTag::from_bytes(unhex(user)?),
            connection: ConnectionId::from_bytes(unhex(connection)?),
        })
    }
}

/// Where a due connection is: the earliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DuePlace {
    /// In milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) place: Place,
}

impl DuePlace {
    pub(crate) fn new(time: u64, place: Place) -> Self {
        Self { time: time.min(LAST), place }
    }

    pub(crate) fn name(&self) -> String {
        format!("{:012x}-{}", self.time, self.place.name())
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (time, place) = name.split_once('-')?;
        let [a, b, c, d, e, f] = unhex(time)?;
        Some(Self { time: u64::from_be_bytes([0, 0, a, b, c, d, e, f]), place: Place::parse(place)? })
    }
}

/// Where a pending flow is. A hash of its key, and not the key itself: errors name paths, and hold no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowName([u8; 32]);

impl FlowName {
    pub(crate) fn of(key: &StateKey) -> Self {
        Self(Sha256::new().chain_update(b"authflow flow 1").chain_update(key.as_bytes()).finalize().into())
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// By the same bits as a user's.
    pub(crate) const fn shard(&self) -> Shard {
        UserTag::from_bytes(self.0).shard()
    }

    pub(crate) fn name(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        unhex(name).map(Self)
    }
}

pub(crate) fn shard(shard: Shard) -> String {
    format!("{:02x}", shard.number())
}

/// Exactly what is written: lower case, no more and no less digits.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| match pair.get(at)? {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use authflow_core::User;

    use super::*;

    fn place() -> Place {
        Place::of(&ConnectionKey::new(&User::new("../..", "a/b\0"), "p"))
    }

    #[test]
    fn f26_names_come_back_and_are_short() {
        let name = place().name();
        assert_eq!(name.len(), 129);
        assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
        assert_eq!(Place::parse(&name), Some(place()));
        for time in [0, 1, 1_800_000_000_123, LAST] {
            let due = DuePlace::new(time, place());
            assert_eq!(due.name().len(), 142);
            assert_eq!(DuePlace::parse(&due.name()), Some(due));
        }
        assert_eq!(DuePlace::new(u64::MAX, place()), DuePlace::new(LAST, place()));
        assert!(DuePlace::new(255, place()).name() < DuePlace::new(256, place()).name());
    }

    #[test]
    fn f26_the_name_of_a_flow_is_not_its_key() {
        let key = StateKey::from_bytes([7; 32]);
        let flow = FlowName::of(&key);
        assert_eq!(flow.name().len(), 64);
        assert_eq!(FlowName::parse(&flow.name()), Some(flow));
        assert_ne!(flow.name(), key.to_string());
        assert_eq!(
            format!("{:02x}", flow.shard().number() << 2),
            format!("{:02x}", flow.as_bytes()[0] & 0xfc)
        );
        for other in ["", "new", "lock", flow.name().split_at(1).1, &flow.name().to_uppercase()] {
            assert_eq!(FlowName::parse(other), None, "{other}");
        }
        assert_eq!(FlowName::parse(&place().name()), None);
    }

    #[test]
    fn other_names_are_no_places() {
        let name = place().name();
        for other in [
            "",
            "-",
            "lock",
            "new",
            "due",
            name.split_at(1).1,
            &format!("{name}0"),
            &name.to_uppercase(),
            &name.replace('-', "_"),
            &format!("00{name}"),
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
            assert_eq!(DuePlace::parse(other), None, "{other}");
        }
        assert_eq!(DuePlace::parse(&format!("00000000000-{name}")), None);
        assert_eq!(DuePlace::parse(&format!("0000000000001-{name}")), None);
    }
}

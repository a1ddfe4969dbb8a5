//! Where a connection is in Redis.

use std::array;
use std::sync::LazyLock;

use authflow_core::{ConnectionId, ConnectionKey, Shard, UserTag};

use crate::slot::{SLOTS, slot};

/// What stands behind the hash tag of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The records: the 32 bytes of the connection's id follow.
    Record,
    /// The index of all.
    Walk,
    /// The index of those that are due some time.
    Due,
    /// What is there for a moment while a store is opened.
    Probe(bool),
}

/// The hash tags of the shards.
///
/// Record, index of its user and index of its shard are in one slot, so that each operation is one script on one node and no
/// index ever lags or misses a record, whatever crashes when. The price is that connections are spread over 64 slots, not
/// over 16,384. So that these are spread evenly over the nodes, as far as slots are, there is one in each 64th of the slots:
/// the tag of a shard is the smallest number that is there. What is stored depends on it: it does not change.
static TAGS: LazyLock<[u16; Shard::COUNT as usize]> = LazyLock::new(|| {
    let width = SLOTS / u16::from(Shard::COUNT);
    array::from_fn(|shard| {
        let is_there = |tag: &u16| usize::from(slot(tag.to_string().as_bytes()) / width) == shard;
        (0..u16::MAX).find(is_there).unwrap_or(u16::MAX)
    })
});

/// The key of what `kind` says in a shard; a record's is not complete without the id.
pub(super) fn shard_key(prefix: &str, shard: Shard, kind: Kind) -> Vec<u8> {
    let tag = TAGS.get(usize::from(shard.number())).copied().unwrap_or(u16::MAX);
    let kind = match kind {
        Kind::Record => 'c',
        Kind::Walk => 'w',
        Kind::Due => 'd',
        Kind::Probe(false) => 'p',
        Kind::Probe(true) => 'q',
    };
    let mut key = Vec::with_capacity(prefix.len() + 8 + 32);
    key.extend_from_slice(format!("{prefix}{{{tag}}}{kind}").as_bytes());
    key
}

/// Whether the hash tags behind this prefix count for nothing: a cluster looks at the first opening brace only, and where
/// nothing is in the braces, at the whole key.
pub(super) fn hides_tags(prefix: &str) -> bool {
    prefix.split_once('{').is_some_and(|(_, rest)| rest.starts_with('}'))
}

/// The keys that an operation on one connection has to do with.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) record: Vec<u8>,
    pub(super) walk: Vec<u8>,
    pub(super) due: Vec<u8>,
    /// Under what it is in the indexes.
    pub(super) member: Member,
}

impl Place {
    pub(super) fn of(prefix: &str, key: &ConnectionKey) -> Self {
        let tag = key.user_tag();
        let shard = tag.shard();
        let mut record = shard_key(prefix, shard, Kind::Record);
        record.extend_from_slice(key.id().as_bytes());
        Self {
            record,
            walk: shard_key(prefix, shard, Kind::Walk),
            due: shard_key(prefix, shard, Kind::Due),
            member: member(&tag, key.id()),
        }
    }
}

/// Tag of the user, id of the connection: a user's are together.
pub(super) type Member = [u8; 64];

fn member(tag: &UserTag, id: &ConnectionId) -> Member {
    let mut member = [0; 64];
    let (first, second) = member.split_at_mut(32);
    first.copy_from_slice(tag.as_bytes());
    second.copy_from_slice(id.as_bytes());
    member
}

#[cfg(test)]
mod tests {
    use authflow_core::{ConnectionKey, Shard, User};

    use super::{Kind, Place, TAGS, hides_tags, shard_key};
    use crate::slot::slot;

    #[test]
    fn each_shard_has_a_slot_in_its_own_64th() {
        for shard in Shard::all() {
            let number = u16::from(shard.number());
            assert_eq!(slot(&shard_key("authflow:", shard, Kind::Walk)) / 256, number);
        }
        // What is stored depends on them.
        assert_eq!(TAGS[..4], [10, 18, 113, 342]);
    }

    #[test]
    fn all_of_a_connection_is_in_one_slot_whatever_the_prefix() {
        for prefix in ["", "authflow:", "{", "}", "a{b}:", "a{b}{}", "{{", "a{b"] {
            for user in 0..100 {
                let key = ConnectionKey::new(&User::new("t", user.to_string()), "p");
                let place = Place::of(prefix, &key);
                let shard = key.shard();
                let probes = [false, true].map(|which| shard_key(prefix, shard, Kind::Probe(which)));
                for other in [&place.walk, &place.due, &probes[0], &probes[1]] {
                    assert_eq!(slot(&place.record), slot(other), "{prefix}");
                }
            }
            assert!(!hides_tags(prefix), "{prefix}");
        }
        for prefix in ["{}", "a{}b", "a{}{b}"] {
            assert!(hides_tags(prefix), "{prefix}");
        }
    }
}

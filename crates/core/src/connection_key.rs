//! Which connection: tenant, user, provider id and account.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::binding::User;
use crate::parts::Parts;
use crate::text;

/// Names one connection: the tenant and the user of the application, the provider id, and the account at the provider.
///
/// It is the whole key of every record, lease, flight and cache entry, never a part of it. An empty account is one that
/// is not known: then there is one connection for each user and provider.
///
/// `Display` and `Debug` are fit for logs: the provider id and the first 64 bits of [`id`](Self::id), and nothing of
/// tenant, user and account. A clone is a pointer. Two keys are equal if their [`id`](Self::id)s are.
#[derive(Clone)]
pub struct ConnectionKey(Arc<Inner>);

struct Inner {
    id: ConnectionId,
    user: User,
    provider_id: Arc<str>,
    account: Arc<str>,
    /// Kept, since each call of a store asks for it.
    user_tag: UserTag,
}

/// The first byte of [`ConnectionKey::to_bytes`].
const FORMAT: u8 = 1;
/// How much of a provider id a log line shows, in characters.
const MAX_SHOWN: usize = 64;

impl ConnectionKey {
    /// The connection of `user` at the provider `provider_id`, with no account known.
    pub fn new(user: &User, provider_id: impl Into<Arc<str>>) -> Self {
        Self::from_parts(user.clone(), UserTag::of(user), provider_id.into(), Arc::default())
    }

    /// The same user and provider with the account `account`. An empty one is one that is not known.
    #[must_use]
    pub fn with_account(&self, account: impl Into<Arc<str>>) -> Self {
        let account = account.into();
        if account == self.0.account {
            return self.clone();
        }
        let Inner { user, user_tag, provider_id, .. } = &*self.0;
        Self::from_parts(user.clone(), *user_tag, Arc::clone(provider_id), account)
    }

    fn from_parts(user: User, user_tag: UserTag, provider_id: Arc<str>, account: Arc<str>) -> Self {
        let mut parts = Parts::new(b"connection 1");
        parts.add(b't', user.tenant.as_bytes());
        parts.add(b'u', user.id.as_bytes());
        parts.add(b'r', provider_id.as_bytes());
        parts.add(b'a', account.as_bytes());
        let id = ConnectionId(parts.hash());
        Self(Arc::new(Inner { id, user, provider_id, account, user_tag }))
    }

    /// SHA-256 over the four parts, each with its kind and its length: what a store files the record under. Parts of any
    /// length and with any characters make 32 bytes, and no two keys the same ones.
    #[must_use]
    pub fn id(&self) -> &ConnectionId {
        &self.0.id
    }

    /// The tenant and the user.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.0.user
    }

    /// The provider id: one registration of the application at a provider.
    #[must_use]
    pub fn provider_id(&self) -> &str {
        &self.0.provider_id
    }

    /// The account at the provider, where it is known.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        Some(&*self.0.account).filter(|account| !account.is_empty())
    }

    /// What all connections of this user share. See [`UserTag::of`].
    #[must_use]
    pub fn user_tag(&self) -> UserTag {
        self.0.user_tag
    }

    /// The shard of this connection: that of its user.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.user_tag().shard()
    }

    /// The four parts, each behind its length, behind a format number: for stores, which keep the key in the clear beside
    /// the sealed bytes, and for the associated data of the sealing. It names the user: it is not for logs.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts = self.parts();
        let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| 4 + part.len()).sum::<usize>());
        bytes.push(FORMAT);
        for part in parts {
            // A part of four gigabytes does not exist in memory four times.
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    /// The key that [`to_bytes`](Self::to_bytes) wrote as `bytes`, if it wrote them of any.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            std::str::from_utf8(part).ok()
        };
        let (tenant, user, provider_id, account) = (part()?, part()?, part()?, part()?);
        if !rest.is_empty() {
            return None;
        }
        let user = User::new(tenant, user);
        let user_tag = UserTag::of(&user);
        Some(Self::from_parts(user, user_tag, provider_id.into(), account.into()))
    }

    fn parts(&self) -> [&str; 4] {
        [&self.0.user.tenant, &self.0.user.id, &self.0.provider_id, &self.0.account]
    }
}

impl PartialEq for ConnectionKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ConnectionKey {}

impl Hash for ConnectionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialOrd for ConnectionKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ConnectionKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl fmt::Display for ConnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", text::clean(&self.0.provider_id, MAX_SHOWN))?;
        hex(&self.0.id.0[..8], f)
    }
}

impl fmt::Debug for ConnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionKey({self})")
    }
}

macro_rules! hash_type {
    ($name:ident) => {
        impl $name {
            /// What was written before.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

/// The hash of a whole [`ConnectionKey`]. `Display` writes 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId([u8; 32]);

hash_type!(ConnectionId);

/// The hash of tenant and user: what a store keeps a user's connections together by. `Display` writes 64 hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserTag([u8; 32]);

hash_type!(UserTag);

impl UserTag {
    /// The tag of `user`.
    #[must_use]
    pub fn of(user: &User) -> Self {
        let mut parts = Parts::new(b"user 1");
        parts.add(b't', user.tenant.as_bytes());
        parts.add(b'u', user.id.as_bytes());
        Self(parts.hash())
    }

    /// The shard of this user: the first six bits of the tag, so that a shard is a range of tags.
    #[must_use]
    pub const fn shard(&self) -> Shard {
        Shard(self.0[0] >> 2)
    }
}

/// One of the [`Shard::COUNT`] parts in which a sweep goes through all connections. A user is in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// How many there are. Stores build their indexes on it: it does not change.
    pub const COUNT: u8 = 64;

    /// The shard `number`, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// All of them.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The number, from 0 to 63.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(parts: [&str; 4]) -> ConnectionKey {
        ConnectionKey::new(&User::new(parts[0], parts[1]), parts[2]).with_account(parts[3])
    }

    const HOSTILE: [[&str; 4]; 12] = [
        ["", "ab", "", ""],
        ["a", "b", "", ""],
        ["ab", "", "", ""],
        ["", "a", "b", ""],
        ["", "", "a", "b"],
        ["", "", "", "ab"],
        ["a:b", "c", "d", "e"],
        ["a", "b:c", "d", "e"],
        ["a", "B:c", "d", "e"],
        ["\0", "{t}", "../../x", "%00"],
        ["\0\0", "{t}", "../../x", "%00"],
        ["é", "e\u{301}", "p", "\u{1f600}"],
    ];

    #[test]
    fn f26_no_two_keys_look_alike() {
        let keys: Vec<_> = HOSTILE.map(key).into();
        let ids: HashSet<_> = keys.iter().map(|key| *key.id()).collect();
        let bytes: HashSet<_> = keys.iter().map(ConnectionKey::to_bytes).collect();
        assert_eq!((ids.len(), bytes.len()), (HOSTILE.len(), HOSTILE.len()));
        let long = "x".repeat(254);
        assert_ne!(key([&long, "u", "p", ""]), key([&format!("{long}x"), "u", "p", ""]));
    }

    #[test]
    fn a_key_comes_back_from_its_bytes() {
        for parts in HOSTILE {
            let key = key(parts);
            let back = ConnectionKey::from_bytes(&key.to_bytes()).expect("it was written");
            assert_eq!(back, key);
            assert_eq!(back.parts(), parts);
        }
    }

    #[test]
    fn x20_bytes_that_no_key_wrote_are_none() {
        let bytes = key(["tenant", "user", "provider", "account"]).to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(ConnectionKey::from_bytes(&bytes[..length]), None);
        }
        assert_eq!(ConnectionKey::from_bytes(&[&bytes[..], b"x"].concat()), None);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let read = ConnectionKey::from_bytes(&flipped);
                assert!(read.is_none_or(|key| key.to_bytes() == flipped), "byte {at}");
            }
        }
    }

    #[test]
    fn h1_a_log_line_names_no_user() {
        let key = key(["planted-tenant", "planted-user", "stack\nexchange", "planted-account"]);
        let shown = format!("{key} {key:?} {:?} {:?}", key.id(), key.user_tag());
        assert!(shown.starts_with("stack?exchange/"), "{shown}");
        assert!(!shown.contains("planted"), "{shown}");
    }

    #[test]
    fn an_empty_account_is_one_that_is_not_known() {
        let unknown = ConnectionKey::new(&User::new("t", "u"), "p");
        assert_eq!(unknown.account(), None);
        assert_eq!(unknown, unknown.with_account("1").with_account(""));
        assert_eq!(unknown.with_account("1").account(), Some("1"));
        assert_eq!(unknown.user_tag(), unknown.with_account("1").user_tag());
    }

    #[test]
    fn shards_are_ranges_of_tags() {
        assert_eq!(Shard::all().len(), 64);
        assert_eq!(Shard::new(64), None);
        assert_eq!(UserTag::from_bytes([0xff; 32]).shard(), Shard::new(63).expect("the last"));
        assert_eq!(UserTag::from_bytes([3; 32]).shard(), Shard(0));
        assert_eq!(UserTag::from_bytes([4; 32]).shard(), Shard(1));
    }
}

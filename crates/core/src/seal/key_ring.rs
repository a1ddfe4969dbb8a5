//! Several keys, of which one writes.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::key::Key;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The longest key id, in bytes.
const MAX_ID: usize = 32;

/// The keys by their ids. The first one seals; all of them open.
///
/// Its text form is `ID:KEY`, several of them separated by commas or white space, the writing one first. An id is 1 to 32
/// letters, digits, `.`, `_` or `-`; it stands in the clear in each sealed record. [`Key::parse`] says how a key is written.
///
/// # Rotation
///
/// 1. Make a new key and add it *behind* the others, on every machine: now all can open what it will seal.
/// 2. Move it to the front, on every machine: it seals from now on, and what the old key sealed is sealed again when it is
///    next written, or by a sweep.
/// 3. When no record of the old key is left, remove it. A record that was missed is not lost: it is refused with the id of
///    the key that it needs, and opens again once the key is back.
///
/// ```
/// use authflow_core::{Key, KeyRing};
///
/// let ring = KeyRing::new("2026-01", Key::generate()?)?;
/// let rotated = ring.rotate("2026-07", Key::generate()?)?;
/// assert_eq!(rotated.writing_id(), "2026-07");
/// assert_eq!(rotated.ids().collect::<Vec<_>>(), ["2026-07", "2026-01"]);
///
/// // As it is written to an environment variable or a file.
/// let text = rotated.to_text();
/// assert_eq!(KeyRing::parse(text.expose())?.writing_id(), "2026-07");
/// # Ok::<(), authflow_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<[Entry]>);

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) id: Box<str>,
    pub(super) key: Key,
}

impl KeyRing {
    /// A ring of one key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `id` is no key id.
    pub fn new(id: &str, key: Key) -> Result<Self> {
        Self::from_entries(vec![Entry { id: id.into(), key }])
    }

    /// A ring of one new key under a random id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
    pub fn generate() -> Result<Self> {
        let mut name = [0; 4];
        crate::random::fill_from_system(&mut name)?;
        Self::new(&format!("k{:08x}", u32::from_be_bytes(name)), Key::generate()?)
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), naming the key id where there is one and never a key.
    pub fn parse(text: &str) -> Result<Self> {
        let is_separator = |c: char| c == ',' || c.is_whitespace();
        let entries = text.split(is_separator).filter(|entry| !entry.is_empty()).zip(1..);
        Self::from_entries(
            entries.map(|(entry, position)| read_entry(entry, position)).collect::<Result<_>>()?,
        )
    }

    /// These keys and `key`, which writes from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the id is no key id, or the id or the key is in the
    /// ring already.
    pub fn rotate(&self, id: &str, key: Key) -> Result<Self> {
        let mut entries = vec![Entry { id: id.into(), key }];
        entries.extend_from_slice(&self.0);
        Self::from_entries(entries)
    }

    /// These keys and `key`, which only opens.
    ///
    /// # Errors
    ///
    /// As [`rotate`](Self::rotate).
    pub fn with(&self, id: &str, key: Key) -> Result<Self> {
        let mut entries = self.0.to_vec();
        entries.push(Entry { id: id.into(), key });
        Self::from_entries(entries)
    }

    /// The ring without the key `id`. What that key sealed does not open any more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if it is the writing key, or there is none.
    pub fn without(&self, id: &str) -> Result<Self> {
        if self.writing_id() == id {
            return Err(Error::configuration(format!(
                "the key {} writes; put another first before this one is removed",
                shown(id)
            )));
        }
        let entries: Vec<_> = self.0.iter().filter(|entry| *entry.id != *id).cloned().collect();
        if entries.len() == self.0.len() {
            return Err(Error::configuration(format!("there is no key {} in the key ring", shown(id))));
        }
        Self::from_entries(entries)
    }

    /// The text form, for the place that keeps the keys.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        // Longer than each entry, so that it never grows and leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * (MAX_ID + 64)));
        for entry in self.0.iter() {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&entry.id);
            text.push(':');
            text.push_str(entry.key.to_base64().expose());
        }
        Secret::new(std::mem::take(&mut *text))
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn writing_id(&self) -> &str {
        self.0.first().map_or("", |entry| &entry.id)
    }

    /// All ids, the writing one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| &*entry.id)
    }

    pub(super) fn writing(&self) -> Option<&Entry> {
        self.0.first()
    }

    pub(super) fn find(&self, id: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| *entry.id == *id)
    }

    /// The ids for a message: at most eight of them.
    pub(super) fn shown_ids(&self) -> String {
        let mut text = self.ids().take(8).collect::<Vec<_>>().join(", ");
        if self.0.len() > 8 {
            text.push_str(", ...");
        }
        text
    }

    fn from_entries(entries: Vec<Entry>) -> Result<Self> {
        if entries.is_empty() {
            return Err(Error::configuration(
                "a key ring has at least one key: ID:KEY, with 32 random bytes in base64 as the key; `openssl rand \
                 -base64 32` prints one",
            ));
        }
        for (at, entry) in entries.iter().enumerate() {
            if !is_id(entry.id.as_bytes()) {
                return Err(Error::configuration(format!(
                    "a key id is 1 to {MAX_ID} letters, digits, `.`, `_` or `-`, and the one of entry {} is not",
                    at + 1
                )));
            }
            for earlier in entries.iter().take(at) {
                if earlier.id == entry.id {
                    return Err(Error::configuration(format!(
                        "the key id {} is in the key ring twice; each key has an id of its own",
                        entry.id
                    )));
                }
                if earlier.key.ct_eq(&entry.key) {
                    return Err(Error::configuration(format!(
                        "the keys {} and {} of the key ring are the same; a rotation needs a new key",
                        earlier.id, entry.id
                    )));
                }
            }
        }
        Ok(Self(entries.into()))
    }
}

/// Shows the ids.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")?;
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Whether these bytes are a key id. What is in none of the text form's separators, in no log's and in no shell's way.
pub(super) fn is_id(id: &[u8]) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn shown(id: &str) -> String {
    crate::text::clean(id, MAX_ID)
}

fn read_entry(entry: &str, position: usize) -> Result<Entry> {
    // Neither part is repeated before it is known to be an id: it may be a key.
    let Some((id, key)) = entry.split_once(':') else {
        return Err(Error::configuration(format!(
            "entry {position} of the key ring has no key id; write ID:KEY, such as `k1:` and the key in base64"
        )));
    };
    if !is_id(id.as_bytes()) {
        return Err(Error::configuration(format!(
            "entry {position} of the key ring: a key id is 1 to {MAX_ID} letters, digits, `.`, `_` or `-`, and this one \
             is not"
        )));
    }
    let key = Key::parse(key)
        .map_err(|error| Error::configuration(format!("the key {id} of the key ring: {error}")))?;
    Ok(Entry { id: id.into(), key })
}

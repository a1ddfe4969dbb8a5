//! Hashes several values so that no two lists of values are hashed alike.

use sha2::{Digest as _, Sha256};

/// Stands before a length of eight bytes.
const LONG: u8 = u8::MAX;

/// SHA-256 over a domain and parts, each with its kind and its length.
///
/// They are gathered before they are hashed: an update for each of many small pieces costs as much as the hash. Two
/// blocks' worth of room, less what the padding takes, so that a key is made of two blocks.
pub(crate) struct Parts {
    room: [u8; 119],
    len: usize,
    /// What there was no room for any more.
    hash: Option<Sha256>,
}

impl Parts {
    #[inline]
    pub(crate) fn new(domain: &[u8]) -> Self {
        let mut parts = Self { room: [0; 119], len: 0, hash: None };
        parts.push(domain);
        parts
    }

    /// Adds one part. A short one has a short length.
    pub(crate) fn add(&mut self, kind: u8, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(length) if length < LONG => self.push(&[kind, length]),
            _ => {
                self.push(&[kind, LONG]);
                self.push(&(bytes.len() as u64).to_be_bytes());
            }
        }
        self.push(bytes);
    }

    #[inline]
    pub(crate) fn hash(self) -> [u8; 32] {
        let rest = self.room.get(..self.len).unwrap_or_default();
        match self.hash {
            Some(hash) => hash.chain_update(rest).finalize().into(),
            None => Sha256::digest(rest).into(),
        }
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() > self.room.len() - self.len {
            let rest = self.room.get(..self.len).unwrap_or_default();
            self.hash.get_or_insert_default().update(rest);
            self.len = 0;
        }
        match self.room.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            // It is empty, and too small for this one.
            None => self.hash.get_or_insert_default().update(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it must be, written out.
    fn expected(parts: &[&[u8]]) -> [u8; 32] {
        let mut all = b"domain".to_vec();
        for part in parts {
            all.push(b'k');
            match part.len() {
                0..=254 => all.push(part.len() as u8),
                length => {
                    all.push(255);
                    all.extend((length as u64).to_be_bytes());
                }
            }
            all.extend(*part);
        }
        Sha256::digest(all).into()
    }

    #[test]
    fn a7_each_part_is_hashed_with_its_kind_and_length() {
        let text = [7; 400];
        for lengths in
            [[0, 0, 0], [43, 43, 5], [100, 9, 1], [111, 0, 1], [112, 254, 3], [255, 256, 400], [1, 119, 120]]
        {
            let parts = lengths.map(|length| &text[..length]);
            let mut hashed = Parts::new(b"domain");
            parts.iter().for_each(|part| hashed.add(b'k', part));
            assert_eq!(hashed.hash(), expected(&parts), "{lengths:?}");
        }
    }
}

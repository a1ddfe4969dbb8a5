//! Bytes that must not be seen.

use std::fmt;
use std::io;

use zeroize::Zeroizing;

/// What was opened, or is about to be sealed. Wiped on drop; `Debug` prints `[redacted]`.
///
/// There is no `Display`, no `PartialEq` and no `Serialize`: what reads the bytes says so by calling
/// [`expose`](Self::expose).
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes `bytes` as they are; they are not copied, so no copy stays behind.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Collects what is written. A vector that grows leaves its old memory as it was; here it is wiped.
impl io::Write for SecretBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    /// All at once, as ever: what is written in many small pieces does not look for the rest of each.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2).max(512)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::SecretBytes;

    #[test]
    fn h1_debug_does_not_print_the_bytes() {
        assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "[redacted]");
    }

    #[test]
    fn what_is_written_in_pieces_is_whole() {
        let mut bytes = SecretBytes::default();
        for piece in 0..=255_u8 {
            bytes.write_all(&[piece; 7]).unwrap();
        }
        assert_eq!(bytes.expose().len(), 256 * 7);
        assert!(bytes.expose().chunks(7).zip(0..=255).all(|(chunk, piece)| chunk == [piece; 7]));
    }
}

//! Splits what a browser sent.

use memchr::memchr;

/// What stands between the separators, as [`slice::split`] has it; a separator is looked for many bytes at a time.
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (piece, after) = bytes.split_at(memchr(separator, bytes).unwrap_or(bytes.len()));
        rest = after.get(1..);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn b12_it_splits_as_a_slice_does() {
        for text in ["", ";", "a", "a;", ";a", "a;b", ";;", "a;;b;", &"ab;".repeat(50)] {
            let expected = text.as_bytes().split(|byte| *byte == b';');
            assert!(split(text.as_bytes(), b';').eq(expected), "{text:?}");
        }
    }
}

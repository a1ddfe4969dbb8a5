//! Text that a stranger wrote, made fit to be shown.

/// The most that is kept of a stranger's sentence, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// Keeps what RFC 6749 appendix A.8 allows in an `error_description` (`%x20-21 / %x23-5B / %x5D-7E`), and no more than
/// `max` bytes of it. Everything else, control characters and non-ASCII above all, becomes `?`: the result is safe in a
/// log line, a terminal and an HTML text node after the usual escaping.
pub(crate) fn clean(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| match c {
            ' '..='!' | '#'..='[' | ']'..='~' => c,
            '"' => '\'',
            '\\' => '/',
            _ => '?',
        })
        .collect()
}

/// Whether every byte is visible ASCII (RFC 6749 appendix A: `VSCHAR` without the space).
pub(crate) fn is_visible_ascii(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

/// Whether every byte is printable ASCII or a space (RFC 6749 appendix A: `VSCHAR`).
pub(crate) fn is_vschar(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, clean};

    #[test]
    fn b11_text_of_strangers_is_cleaned_and_capped() {
        assert_eq!(clean("a\r\nb\u{1b}[31m\u{202e}\"\\", MAX_TEXT), "a??b?[31m?'/");
        assert_eq!(clean(&"x".repeat(5000), MAX_TEXT).len(), MAX_TEXT);
    }
}

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
    !text.is_empty() && are_all(text, |b| (0x21..=0x7e).contains(&b))
}

/// Whether every byte is printable ASCII or a space (RFC 6749 appendix A: `VSCHAR`).
pub(crate) fn is_vschar(text: &str) -> bool {
    !text.is_empty() && is_printable_ascii(text)
}

/// Whether no byte is anything else than printable ASCII or a space.
pub(crate) fn is_printable_ascii(text: &str) -> bool {
    are_all(text, |b| (0x20..=0x7e).contains(&b))
}

/// Looks at every byte, many at a time: mostly the answer is yes.
fn are_all(text: &str, is_one: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & is_one(byte))
}

/// Whether a name occurs twice: at once for the few names of a message that is what it should be, and never slower than
/// sorting, however many a stranger sends.
pub(crate) fn has_double<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> bool {
    if names.len() > FEW {
        let mut sorted: Vec<&str> = names.collect();
        sorted.sort_unstable();
        return sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    }
    // Names of different lengths are not the same: most need no other look.
    let mut lengths: u64 = 0;
    names.clone().enumerate().any(|(at, name)| {
        let length = 1 << (name.len() % 64);
        let is_new = lengths & length == 0;
        lengths |= length;
        !is_new && names.clone().take(at).any(|known| known == name)
    })
}

/// So few names that each may be compared with each.
const FEW: usize = 24;

#[cfg(test)]
mod tests {
    use super::{FEW, MAX_TEXT, clean, has_double};

    #[test]
    fn b11_text_of_strangers_is_cleaned_and_capped() {
        assert_eq!(clean("a\r\nb\u{1b}[31m\u{202e}\"\\", MAX_TEXT), "a??b?[31m?'/");
        assert_eq!(clean(&"x".repeat(5000), MAX_TEXT).len(), MAX_TEXT);
    }

    #[test]
    fn b2_a_double_name_is_seen_among_few_and_many() {
        for count in [2, FEW, FEW + 1, 1000] {
            let mut names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
            assert!(!has_double(names.iter().map(String::as_str)), "{count}");
            names.push("n0".to_owned());
            assert!(has_double(names.iter().map(String::as_str)), "{count}");
            // In the same place of the set of lengths, and yet another name.
            let last = names.len() - 1;
            names[last] = "x".repeat(64 + names[0].len());
            assert!(!has_double(names.iter().map(String::as_str)), "{count}");
        }
    }
}

//! What strangers wrote, made fit to be shown.

use std::borrow::Cow;

/// How much of a stranger's text is shown, in characters.
pub(super) const MAX_SHOWN: usize = 120;

/// Control characters, and those that change the direction of what follows, become U+FFFD; a long text is cut.
///
/// `<bdi>` alone is not enough: a U+2069 in the text would end the isolation that it begins.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let long = text.chars().nth(MAX_SHOWN).is_some();
    if !long && !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let clean = |c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = text.chars().take(MAX_SHOWN).map(clean).collect();
    if long {
        shown.push('…');
    }
    Cow::Owned(shown)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}')
}

/// The path, if it is one on this origin as a browser reads it; else the root. Paths come from the configuration, so that this
/// is a second lock.
pub(super) fn path(path: &str) -> &str {
    let mut bytes = path.bytes();
    let local = bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_no_control_and_no_turn_of_direction_is_left() {
        assert_eq!(shown("User 42"), "User 42");
        assert_eq!(
            shown("a\u{202e}b\u{2069}c\u{0}d\r\ne\u{1b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}\u{fffd}e\u{fffd}"
        );
        for harmful in ['\u{2028}', '\u{feff}', '\u{fff9}', '\u{85}', '\u{7f}', '\u{202a}', '\u{2066}'] {
            assert_eq!(shown(&harmful.to_string()), "\u{fffd}", "{harmful:?}");
        }
        // What languages and pictures need is left.
        for needed in ["שלום", "نه\u{200c}ای", "👩\u{200d}💻", "é", "日本語"] {
            assert_eq!(shown(needed), needed);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ü".repeat(10_000);
        assert_eq!(shown(&long).chars().count(), MAX_SHOWN + 1);
        assert!(shown(&long).ends_with('…'));
        assert_eq!(shown(&"ü".repeat(MAX_SHOWN)), "ü".repeat(MAX_SHOWN));
    }

    #[test]
    fn b17_a_path_leads_nowhere_else() {
        for good in ["/", "/auth", "/auth/x/connect?return_to=%2Fa%20b", "/auth/x/callback?resume=a&again=1"]
        {
            assert_eq!(path(good), good);
        }
        for bad in [
            "",
            "auth",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "\t//evil.example",
            "/a b",
            "/ä",
            "/a\u{0}",
        ] {
            assert_eq!(path(bad), "/", "{bad:?}");
        }
    }
}

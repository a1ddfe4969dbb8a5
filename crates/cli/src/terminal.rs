//! What may be written to a terminal, and how.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// The columns that a transcript or a table uses.
pub(crate) const WIDTH: usize = 100;

/// Writes a line of the result to stdout.
pub(crate) fn result(line: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::io("the result could not be written to stdout", error),
    })
}

/// Whether a prompt waits on the last line of stderr, so that the next line has to begin below it.
static PROMPTED: AtomicBool = AtomicBool::new(false);

/// Writes a line beside the result to stderr. Nobody can be told that stderr is closed.
pub(crate) fn note(line: impl Display) {
    let below = if PROMPTED.swap(false, Ordering::Relaxed) { "\n" } else { "" };
    let _ = writeln!(io::stderr().lock(), "{below}{line}");
}

/// Writes the beginning of a line to stderr.
pub(crate) fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
    PROMPTED.store(true, Ordering::Relaxed);
}

/// The user ended the line of the prompt.
pub(crate) fn answered() {
    PROMPTED.store(false, Ordering::Relaxed);
}

/// Text of strangers, made harmless: no control characters, which a terminal would obey, and none that turn the direction
/// of writing or do not show at all.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect()
}

const fn is_harmless(c: char) -> bool {
    !matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A secret as it may be seen: enough to tell two apart, not enough to use one.
pub(crate) fn masked(secret: &str) -> String {
    format!("{} ({} characters)", masked_briefly(secret), secret.chars().count())
}

/// The same without its length, which tells nothing of a secret that a person chose.
pub(crate) fn masked_briefly(secret: &str) -> String {
    const SHOWN: usize = 6;
    const LONG_ENOUGH: usize = 24;
    if secret.chars().count() < LONG_ENOUGH {
        return "****".to_owned();
    }
    let start: String = secret.chars().take(SHOWN).collect();
    format!("{}****", printable(&start))
}

/// At most `width` columns of `text`.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// Words in lines of at most `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_ascii_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// How text is set apart on stdout: with colours on a terminal that wants them, with nothing elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// The style that fits stdout. `NO_COLOR` and `TERM=dumb` are honoured.
    pub(crate) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { colours: io::stdout().is_terminal() && !refused && !dumb }
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::{masked, masked_briefly, printable, shortened, wrapped};

    #[test]
    fn b11_a_terminal_gets_no_text_that_it_would_obey() {
        assert_eq!(printable("a\r\nb\u{1b}[31m\u{9b}31m\u{202e}c\u{7f}\u{200b}é"), "a??b?[31m?31m?c??é");
    }

    #[test]
    fn h1_a_masked_secret_cannot_be_used() {
        let secret = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(masked(secret), "abcdef**** (26 characters)");
        assert_eq!(masked_briefly("hunter2"), "****");
    }

    #[test]
    fn long_text_is_shortened_and_wrapped() {
        assert_eq!(shortened("abcdefgh", 6), "abc...");
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    }
}

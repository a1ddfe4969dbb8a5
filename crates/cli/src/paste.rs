//! The redirected URL, pasted on stdin: for a browser on another machine.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use authflow::AuthorizationResponse;
use tokio::sync::mpsc;
use url::Url;

use crate::terminal::{note, prompt};

/// The longest line that can be a callback: what the framework reads of one, and room for the address.
const MAX_LINE: u64 = 128 * 1024;

/// Lines from stdin. The end of stdin is the end of the lines, and nothing else.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::Receiver<Line>);

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// Longer than any callback, or not text.
    Unreadable,
}

impl Lines {
    /// Reads stdin in a thread of its own, which a pending read does not let end before the program.
    pub(crate) fn of_stdin() -> Self {
        let (sender, receiver) = mpsc::channel(4);
        let reading = std::thread::Builder::new().name("paste".to_owned()).spawn(move || {
            let mut stdin = std::io::stdin().lock();
            while let Some(line) = read_line(&mut stdin) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        // Without the thread there is no paste; the listener is there all the same.
        drop(reading);
        Self(receiver)
    }

    /// The next line. Never returns once stdin is at its end.
    pub(crate) async fn next(&mut self) -> Line {
        match self.0.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

fn read_line(input: &mut impl std::io::BufRead) -> Option<Line> {
    let mut bytes = Vec::new();
    let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).ok()?;
    if read == 0 {
        return None;
    }
    let whole = bytes.last() == Some(&b'\n') || (read as u64) < MAX_LINE;
    if !whole {
        // The rest of the line is thrown away piece by piece.
        let mut rest = Vec::new();
        while input.by_ref().take(MAX_LINE).read_until(b'\n', &mut rest).ok()? > 0 {
            if rest.last() == Some(&b'\n') {
                break;
            }
            rest.clear();
        }
        return Some(Line::Unreadable);
    }
    Some(String::from_utf8(bytes).map_or(Line::Unreadable, Line::Text))
}

/// Asks for a paste.
pub(crate) fn ask() {
    if std::io::stdin().is_terminal() {
        prompt("paste: ");
    } else {
        note("paste:");
    }
}

/// Finds the query of the callback in what was pasted. The error teaches.
pub(crate) fn query(pasted: &str, redirect_uri: &str) -> Result<String, String> {
    let text = trimmed(pasted);
    if text.is_empty() {
        return Err("that was an empty line. Paste the whole address that the browser ended up at".to_owned());
    }
    let query = match Url::parse(text) {
        Ok(url) if url.scheme() == "http" || url.scheme() == "https" || text.contains("://") => {
            of_url(&url, text, redirect_uri)?
        }
        // `com.example.app:/callback?...`, for a redirect URI of that scheme.
        Ok(url) if same_place(&url, redirect_uri) => of_url(&url, text, redirect_uri)?,
        _ => text.strip_prefix('?').unwrap_or(text).to_owned(),
    };
    let response = AuthorizationResponse::from_query(&query).map_err(|error| error.to_string())?;
    let has = |name: &str| response.iter().any(|(known, _)| known == name);
    if !query.contains('=') {
        return Err("that looks like a code alone. The state that came with it has to be checked too: paste the whole \
                    address, from http to the end"
            .to_owned());
    }
    if has("code_challenge") || has("redirect_uri") {
        return Err("that is the address to open, not the one to paste. Open it in a browser, approve, and paste the \
                    address that the browser then shows"
            .to_owned());
    }
    Ok(query)
}

fn of_url(url: &Url, text: &str, redirect_uri: &str) -> Result<String, String> {
    if !same_place(url, redirect_uri) {
        let asked = url.query_pairs().any(|(name, _)| name == "redirect_uri" || name == "code_challenge");
        return Err(if asked {
            "that is the address to open, not the one to paste. Open it in a browser, approve, and paste the address that \
             the browser then shows"
                .to_owned()
        } else {
            format!("that is another address; the one to paste begins with {}", without_query(redirect_uri))
        });
    }
    // As it was written: parsing may normalise what has to be compared.
    let front = text.split('#').next().unwrap_or_default();
    match front.split_once('?') {
        Some((_, query)) if !query.is_empty() => Ok(own_query_removed(query, redirect_uri)),
        _ => Err("the address has nothing after `?`. Paste it whole: it ends with the code and the state"
            .to_owned()),
    }
}

/// The redirect URI's own query is not part of the response.
fn own_query_removed(query: &str, redirect_uri: &str) -> String {
    let own = redirect_uri.split_once('?').map(|(_, own)| own).unwrap_or_default();
    let rest = query.strip_prefix(own).and_then(|rest| rest.strip_prefix('&'));
    if own.is_empty() { query.to_owned() } else { rest.unwrap_or(query).to_owned() }
}

fn same_place(url: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|expected| {
        let place = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
                url.path().to_owned(),
            )
        };
        place(url) == place(&expected)
    })
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Without what terminals, mail programs and people put around an address.
fn trimmed(pasted: &str) -> &str {
    const BRACKETED: [&str; 2] = ["\u{1b}[200~", "\u{1b}[201~"];
    let mut text = pasted.trim();
    for mark in BRACKETED {
        text = text.trim_start_matches(mark).trim_end_matches(mark);
    }
    text.trim().trim_matches(['<', '>', '"', '\'', '`']).trim()
}

#[cfg(test)]
mod tests {
    use super::{Line, MAX_LINE, query, read_line};

    const REDIRECT_URI: &str = "http://127.0.0.1:4000/callback";

    #[test]
    fn the_whole_address_and_its_query_are_accepted() {
        for pasted in [
            "http://127.0.0.1:4000/callback?code=a%2Bb&state=c\r\n",
            "  <http://127.0.0.1:4000/callback?code=a%2Bb&state=c#fragment>  ",
            "\u{1b}[200~http://127.0.0.1:4000/callback?code=a%2Bb&state=c\u{1b}[201~\n",
            "?code=a%2Bb&state=c",
            "code=a%2Bb&state=c\n",
        ] {
            assert_eq!(query(pasted, REDIRECT_URI).as_deref(), Ok("code=a%2Bb&state=c"), "{pasted:?}");
        }
        let own = query("https://app.example/cb?app=1&code=a&state=b", "https://app.example/cb?app=1");
        assert_eq!(own.as_deref(), Ok("code=a&state=b"));
        let scheme = query("com.example.app:/cb?code=a&state=b", "com.example.app:/cb");
        assert_eq!(scheme.as_deref(), Ok("code=a&state=b"));
    }

    #[test]
    fn wrong_pastes_teach() {
        for (pasted, lesson) in [
            ("", "empty line"),
            ("SplxlOBeZQQYbYS6WxSbIA", "code alone"),
            ("http://127.0.0.1:4000/callback", "nothing after `?`"),
            ("http://127.0.0.1:4001/callback?code=a&state=b", "begins with http://127.0.0.1:4000/callback"),
            ("https://as.example/authorize?response_type=code&redirect_uri=x", "address to open"),
            ("response_type=code&code_challenge=x", "address to open"),
            ("?code=%zz&state=b", "percent-encoding"),
        ] {
            let error = query(pasted, REDIRECT_URI).unwrap_err();
            assert!(error.contains(lesson), "{pasted:?}: {error}");
        }
    }

    #[test]
    fn an_overlong_line_is_refused_and_the_next_is_read() {
        let mut input = vec![b'a'; MAX_LINE as usize + 10];
        input.extend_from_slice(b"\nnext\nlast");
        let mut input = input.as_slice();
        assert_eq!(read_line(&mut input), Some(Line::Unreadable));
        assert_eq!(read_line(&mut input), Some(Line::Text("next\n".to_owned())));
        assert_eq!(read_line(&mut input), Some(Line::Text("last".to_owned())));
        assert_eq!(read_line(&mut input), None);
    }
}

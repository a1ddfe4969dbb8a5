//! Paths of this site as a browser asks for them.

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::accounts::Inner;
use crate::incoming::Incoming;

impl Inner {
    /// Where to go on, if it is a path of this site that begins and ends no flow: whoever chooses the way back of one flow must not begin
    /// the next one in the user's name.
    pub(crate) fn return_to(&self, incoming: &Incoming) -> Option<String> {
        incoming.return_to().filter(|path| !self.begins_or_ends_a_flow(path))
    }

    /// Whether a path is that of a route to connect or of a callback, also where a browser, a proxy or a framework has to decode it
    /// first, or to take empty segments away.
    fn begins_or_ends_a_flow(&self, path: &str) -> bool {
        let base = self.site.base();
        if is_plain(path) && is_plain(base) && !path.starts_with(base) {
            return false;
        }
        let Some(place) = asked_for(path) else { return true };
        let path = decoded(place.split('?').next().unwrap_or_default());
        let base = decoded(base);
        let (path, base) = (segments(&path), segments(&base));
        let Some([provider @ .., "connect" | "callback"]) = path.strip_prefix(&*base) else { return false };
        self.providers.keys().any(|id| segments(id) == provider)
    }
}

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// The segments of a path, as if it had no empty ones and none of dots.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments
}

/// Whether a path, with or without a query, is for everybody what is written there, as nearly all are.
fn is_plain(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_~?=&".contains(&byte);
    path.starts_with('/') && path.bytes().all(is_plain) && !path.contains("//")
}

/// Path and query of the request that a browser makes for a path of this site: without dot segments and fragment, and encoded.
pub(crate) fn asked_for(path: &str) -> Option<String> {
    if is_plain(path) {
        return Some(path.to_owned());
    }
    let url = Url::parse("https://origin.invalid/").ok()?.join(path).ok()?;
    Some(url[Position::BeforePath..Position::AfterQuery].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_a_browser_asks_for() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b?x=1&y=%27#part", "/a/b?x=1&y=%27"),
            ("/a/./c/../b?q='<", "/a/b?q=%27%3C"),
            ("/a/%2E%2e/b#?x", "/b"),
            ("/a/b?", "/a/b?"),
            ("/a-b/~c_d?x=1&y==?/", "/a-b/~c_d?x=1&y==?/"),
            ("//a/b", "/b"),
            ("/a//b", "/a//b"),
        ] {
            let place = asked_for(path).unwrap();
            assert_eq!(place, expected);
            assert_eq!(
                asked_for(&place).as_deref(),
                Some(expected),
                "what was asked for is as it was asked for"
            );
        }
    }
}

//! Paths of this site as a browser asks for them.

use url::{Position, Url};

/// Path and query of the request that a browser makes for a path of this site: without dot segments and fragment, and encoded.
pub(crate) fn asked_for(path: &str) -> Option<String> {
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

//! Opens the user's browser.

use url::Url;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A browser was started, as far as can be told.
    Yes,
    /// There is none, or it did not start.
    No,
    /// The URL is not one that a browser may be started with.
    Refused,
}

/// Starts the system's browser with `url`, as one argument and without a shell. Where there is none, says so.
pub(crate) async fn open(url: &str) -> Opened {
    if !is_safe(url) {
        return Opened::Refused;
    }
    if !may_have_browser() {
        return Opened::No;
    }
    let url = url.to_owned();
    match tokio::task::spawn_blocking(move || webbrowser::open(&url)).await {
        Ok(Ok(())) => Opened::Yes,
        Ok(Err(_)) | Err(_) => Opened::No,
    }
}

/// Whether it is an http or https URL in visible ASCII: nothing that a program could take for an option, a file, another
/// scheme or two arguments.
fn is_safe(url: &str) -> bool {
    let visible =
        url.bytes().all(|b| (0x21..=0x7e).contains(&b) && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'`'));
    let Ok(parsed) = Url::parse(url) else { return false };
    let plain = url.starts_with("https://") || url.starts_with("http://");
    visible && plain && parsed.has_host() && parsed.username().is_empty() && parsed.password().is_none()
}

/// On a system with X or Wayland a browser needs one of them; elsewhere there is always one to be tried.
fn may_have_browser() -> bool {
    if !cfg!(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android")))) {
        return true;
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"].into_iter().any(set)
}

#[cfg(test)]
mod tests {
    use super::{Opened, is_safe, open};

    #[test]
    fn g10_only_one_plain_http_url_reaches_a_browser() {
        assert!(is_safe("https://as.example/authorize?a=b&c=%20d#!/e"));
        assert!(is_safe("http://127.0.0.1:8080/authorize?a=$(b)"));
        for url in [
            "a:$(calc)?x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "--flag",
            "-",
            "",
            "https://as.example/ --flag",
            "https://as.example/\"&calc\"",
            "https://as.example/\n",
            "https://user@as.example/",
            "HTTPS:as.example",
            "https:as.example",
            "\\\\as.example\\share",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }

    #[tokio::test]
    async fn g10_what_is_refused_starts_nothing() {
        assert_eq!(open("file:///etc/passwd").await, Opened::Refused);
    }
}

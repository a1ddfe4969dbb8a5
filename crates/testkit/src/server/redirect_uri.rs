//! Comparing a redirect URI with the registered ones.

use url::{Host, Url};

/// Why a redirect URI can never be registered, or `None` where it can (RFC 6749 §3.1.2).
pub(super) fn flaw(uri: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(uri) else { return Some("it is not an absolute URI") };
    if url.fragment().is_some() {
        return Some("it has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it has a user name or a password");
    }
    if matches!(url.scheme(), "javascript" | "data" | "file" | "vbscript" | "blob" | "about") {
        return Some("its scheme is not one to return to");
    }
    None
}

/// Simple string comparison (RFC 9700 §4.1.3), except that a registered loopback address accepts any port
/// (RFC 8252 §7.3).
pub(super) fn matches(registered: &str, presented: &str) -> bool {
    if registered == presented {
        return true;
    }
    match (loopback_without_port(registered), loopback_without_port(presented)) {
        (Some(registered), Some(presented)) => registered == presented,
        _ => false,
    }
}

/// Stack Exchange's rule: anything under the registered domain. Loopback addresses keep the rule of RFC 8252.
pub(super) fn under_domain(registered: &str, presented: &str) -> bool {
    if matches(registered, presented) {
        return true;
    }
    let (Ok(registered), Ok(presented)) = (Url::parse(registered), Url::parse(presented)) else {
        return false;
    };
    match (registered.host(), presented.host()) {
        (Some(Host::Domain(domain)), Some(Host::Domain(host))) => {
            registered.scheme() == presented.scheme()
                && registered.port_or_known_default() == presented.port_or_known_default()
                && (host == domain || host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.')))
        }
        _ => false,
    }
}

/// Splits `http://127.0.0.1:8080/callback?x` into host and `/callback?x`, keeping every byte but the port.
fn loopback_without_port(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let host = ["127.0.0.1", "[::1]"].into_iter().find(|host| authority.starts_with(host))?;
    let port = authority.strip_prefix(host)?;
    let valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| !digits.starts_with('+') && digits.parse::<u16>().is_ok());
    valid.then_some((host, tail))
}

//! Reads the head of a request, strictly: what is not the callback of a browser is refused, not repaired.

use super::outcome::Outcome;

/// The most bytes of a head.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// Where the callback has to arrive (RFC 8252 §8.10: exactly where it was sent to).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The `Host` header: address and port as in the redirect URI.
    pub host: String,
    /// The path.
    pub path: String,
    /// The redirect URI's own query, which the callback's begins with.
    pub query: Option<String>,
}

/// What a head is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A callback, with its query. Its state is not checked.
    Callback(String),
    /// Asks for the page that a callback was answered with. Whether there was one is not checked.
    Result(Outcome),
    /// Anything else.
    Refused(Refusal),
}

/// Why a request is not the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP as a browser speaks it.
    Malformed,
    /// Another host: a page that resolved its own name to this machine (DNS rebinding), or an accident.
    WrongHost,
    /// Another path, such as `/favicon.ico`.
    NotFound,
    /// Not GET.
    Method,
    /// No parameters.
    NoQuery,
    /// A head beyond the limit.
    TooLarge,
    /// A head that took too long.
    TooSlow,
}

/// Reads the head in `bytes`; `None` while it is not complete.
#[must_use]
pub fn read_head(bytes: &[u8], site: &Site) -> Option<Head> {
    if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        // Such as a TLS handshake: no need to wait for an end that never comes.
        return Some(Head::Refused(Refusal::Malformed));
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    match end {
        Some(end) if end <= MAX_HEAD => {
            let head = bytes.get(..end).unwrap_or_default();
            Some(judge(head, site).unwrap_or_else(Head::Refused))
        }
        None if bytes.len() < MAX_HEAD => None,
        Some(_) | None => Some(Head::Refused(Refusal::TooLarge)),
    }
}

fn judge(head: &[u8], site: &Site) -> Result<Head, Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let mut lines = head.split("\r\n");
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let mut host = None;
    for line in lines {
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case("host") && host.replace(value).is_some() {
            return Err(Refusal::Malformed);
        }
        // A callback has no body; one that announces a body is not a browser's.
        let announces = name.eq_ignore_ascii_case("transfer-encoding")
            || (name.eq_ignore_ascii_case("content-length") && value != "0");
        if announces && method == "GET" {
            return Err(Refusal::Malformed);
        }
    }
    match host {
        None => return Err(Refusal::Malformed),
        Some(host) if host != site.host => return Err(Refusal::WrongHost),
        Some(_) => {}
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    if path != site.path {
        let outcome = Outcome::at(path).filter(|_| query.is_none()).ok_or(Refusal::NotFound)?;
        return if method == "GET" { Ok(Head::Result(outcome)) } else { Err(Refusal::Method) };
    }
    if method != "GET" {
        return Err(Refusal::Method);
    }
    let query = query.unwrap_or_default();
    let query = match &site.query {
        None => query,
        Some(own) => query
            .strip_prefix(own.as_str())
            .and_then(|rest| rest.strip_prefix('&'))
            .ok_or(Refusal::NotFound)?,
    };
    if query.is_empty() { Err(Refusal::NoQuery) } else { Ok(Head::Callback(query.to_owned())) }
}

/// `GET /path?query HTTP/1.1` (RFC 9112 §3), with a target in origin form.
fn request_line(line: &str) -> Result<(&str, &str), Refusal> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    let is_method =
        !method.is_empty() && method.len() <= 16 && method.bytes().all(|b| b.is_ascii_uppercase());
    let is_target =
        target.starts_with('/') && target.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'#');
    let is_version = matches!(version, "HTTP/1.1" | "HTTP/1.0");
    if is_method && is_target && is_version { Ok((method, target)) } else { Err(Refusal::Malformed) }
}

/// `name: value` (RFC 9112 §5), on one line.
fn header(line: &str) -> Result<(&str, &str), Refusal> {
    let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let is_value = value.chars().all(|c| c == '\t' || !c.is_control());
    if is_name && is_value { Ok((name, value.trim_matches([' ', '\t']))) } else { Err(Refusal::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::{Head, MAX_HEAD, Outcome, Refusal, Site, read_head};

    fn site() -> Site {
        Site { host: "127.0.0.1:4000".to_owned(), path: "/callback".to_owned(), query: None }
    }

    fn read(head: &str) -> Option<Head> {
        read_head(head.as_bytes(), &site())
    }

    fn refused(head: &str) -> Refusal {
        match read(head) {
            Some(Head::Refused(refusal)) => refusal,
            other => panic!("{head:?} is {other:?}"),
        }
    }

    #[test]
    fn a_browsers_callback_is_read() {
        let head = "GET /callback?code=a%2Bb&state=c HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nAccept: */*\r\n\r\n";
        assert_eq!(read(head), Some(Head::Callback("code=a%2Bb&state=c".to_owned())));
        for cut in 0..head.len() - 1 {
            assert_eq!(read(head.get(..cut).unwrap()), None, "at {cut}");
        }
    }

    #[test]
    fn g4_only_our_host_is_answered() {
        for host in
            ["evil.example:4000", "localhost:4000", "127.0.0.1", "127.0.0.1:4001", "127.0.0.1:4000.evil", ""]
        {
            let head = format!("GET /callback?state=a HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(refused(&head), Refusal::WrongHost, "{host}");
        }
        assert_eq!(refused("GET /callback?state=a HTTP/1.1\r\n\r\n"), Refusal::Malformed);
        let twice = "GET /callback?state=a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nhost: 127.0.0.1:4000\r\n\r\n";
        assert_eq!(refused(twice), Refusal::Malformed);
    }

    #[test]
    fn g4_only_get_on_the_exact_path_is_answered() {
        let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n");
        for path in
            ["/", "/favicon.ico", "/callback/", "/Callback", "/callbac%6B", "//callback", "/callback;a"]
        {
            assert_eq!(refused(&head(&format!("GET {path}?state=a"))), Refusal::NotFound, "{path}");
        }
        for method in ["POST", "HEAD", "OPTIONS", "PUT"] {
            assert_eq!(refused(&head(&format!("{method} /callback?state=a"))), Refusal::Method, "{method}");
        }
        for query in ["/callback", "/callback?"] {
            assert_eq!(refused(&head(&format!("GET {query}"))), Refusal::NoQuery, "{query}");
        }
    }

    #[test]
    fn r6749_07_a_result_is_asked_for_by_its_address_and_nothing_else() {
        let result = Outcome::Done.path();
        let head = |line: &str, host: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let own = "127.0.0.1:4000";
        assert_eq!(read(&head(&format!("GET {result}"), own)), Some(Head::Result(Outcome::Done)));
        assert_eq!(refused(&head(&format!("GET {result}?code=a"), own)), Refusal::NotFound);
        assert_eq!(refused(&head(&format!("GET {result}/"), own)), Refusal::NotFound);
        assert_eq!(refused(&head(&format!("POST {result}"), own)), Refusal::Method);
        assert_eq!(refused(&head(&format!("GET {result}"), "evil.example:4000")), Refusal::WrongHost);
        // Where it is the redirect URI, it is a callback.
        let site = Site { path: result.to_owned(), ..site() };
        let callback = head(&format!("GET {result}?state=a"), own);
        assert_eq!(read_head(callback.as_bytes(), &site), Some(Head::Callback("state=a".to_owned())));
    }

    #[test]
    fn z2_what_is_not_http_is_malformed() {
        for head in [
            "\u{16}\u{3}\u{1}",
            "get /callback?a HTTP/1.1\r\n\r\n",
            "GET  /callback?a HTTP/1.1\r\n\r\n",
            "GET /callback?a HTTP/2.0\r\n\r\n",
            "GET /callback?a\r\n\r\n",
            "GET http://127.0.0.1:4000/callback?a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?a#b HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?a HTTP/1.1\r\n Host: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?a HTTP/1.1\r\nHost : 127.0.0.1:4000\r\n\r\n",
            "GET /callback?a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nA: b\n\r\n\r\n",
            "GET /callback?a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nContent-Length: 5\r\n\r\nhello",
            "GET /callback?a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /callback?\u{e9} HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n",
        ] {
            assert_eq!(refused(head), Refusal::Malformed, "{head:?}");
        }
    }

    #[test]
    fn g6_a_head_has_a_limit() {
        let long = format!("GET /callback?{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD));
        assert_eq!(refused(&long), Refusal::TooLarge);
        let many =
            format!("GET /callback?a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n{}\r\n", "a: b\r\n".repeat(4000));
        assert_eq!(refused(&many), Refusal::TooLarge);
    }

    #[test]
    fn r8252_06_a_query_of_the_redirect_uri_is_part_of_it() {
        let site = Site { query: Some("app=1".to_owned()), ..site() };
        let read = |target: &str| {
            read_head(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n").as_bytes(), &site)
        };
        assert_eq!(read("/callback?app=1&state=a"), Some(Head::Callback("state=a".to_owned())));
        assert_eq!(read("/callback?app=2&state=a"), Some(Head::Refused(Refusal::NotFound)));
        assert_eq!(read("/callback?app=1"), Some(Head::Refused(Refusal::NotFound)));
    }
}

//! What must hold for any bytes that arrive at the loopback listener.

use authflow_cli::fuzzing::{Head, Outcome, Site, read_head};

/// Judges `bytes` by a reader that is slow and plain, and knows only what is right.
pub(crate) fn check(bytes: &[u8]) {
    let site = Site { host: "127.0.0.1:4000".to_owned(), path: "/callback".to_owned(), query: None };
    let read = read_head(bytes, &site);
    // What is decided stays decided, however much follows.
    if read.is_some() {
        let mut more = bytes.to_vec();
        more.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(read_head(&more, &site), read);
    } else {
        assert!(bytes.len() < 16 * 1024 && !bytes.windows(4).any(|window| window == b"\r\n\r\n"));
    }
    let target = match read {
        Some(Head::Callback(query)) => {
            assert!(!query.is_empty());
            format!("/callback?{query}")
        }
        Some(Head::Result(Outcome::Done)) => "/authflow-result/done".to_owned(),
        Some(Head::Result(Outcome::Denied)) => "/authflow-result/denied".to_owned(),
        Some(Head::Result(Outcome::Failed)) => "/authflow-result/failed".to_owned(),
        Some(Head::Result(Outcome::AlreadyDone)) => "/authflow-result/already-done".to_owned(),
        Some(Head::Refused(_)) | None => return,
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    assert!(
        first == format!("GET {target} HTTP/1.1") || first == format!("GET {target} HTTP/1.0"),
        "{first:?}"
    );
    let hosts: Vec<&str> =
        lines.filter(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("host:"))).collect();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    assert_eq!(hosts[0][5..].trim_matches([' ', '\t']), "127.0.0.1:4000");
    assert!(!head.contains('\0'));
}

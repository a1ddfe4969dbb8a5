//! The pages that the browser gets: static, without script, without a word of the request.

use super::outcome::Outcome;
use super::request::Refusal;

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Result(Outcome),
    Stray,
    Refused(Refusal),
}

impl Page {
    /// Status, title and what to do now.
    const fn content(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Result(Outcome::Done) => {
                ("200 OK", "Connected", "You can close this window and go back to the terminal.")
            }
            Self::Result(Outcome::Denied) => {
                ("200 OK", "Access was denied", "Nothing was connected. You can close this window.")
            }
            Self::Result(Outcome::Failed) => {
                ("200 OK", "The connection failed", "The terminal says why. You can close this window.")
            }
            Self::Result(Outcome::AlreadyDone) => (
                "200 OK",
                "Already done",
                "This answer arrived before. You can close this window and go back to the terminal.",
            ),
            Self::Stray | Self::Refused(Refusal::NoQuery) => (
                "400 Bad Request",
                "Not the expected answer",
                "This page waits for the answer to one request, and this was not it. Open the address in the terminal again.",
            ),
            Self::Refused(Refusal::Malformed) => {
                ("400 Bad Request", "Bad request", "This was not a request of a browser.")
            }
            Self::Refused(Refusal::WrongHost) => {
                ("421 Misdirected Request", "Wrong host", "This address does not answer under that name.")
            }
            Self::Refused(Refusal::NotFound) => ("404 Not Found", "Not found", "There is nothing here."),
            Self::Refused(Refusal::Method) => {
                ("405 Method Not Allowed", "Method not allowed", "Only GET is answered here.")
            }
            Self::Refused(Refusal::TooLarge) => {
                ("431 Request Header Fields Too Large", "Too large", "The request is larger than 16 KiB.")
            }
            Self::Refused(Refusal::TooSlow) => {
                ("408 Request Timeout", "Too slow", "The request did not arrive in time.")
            }
        }
    }

    /// The whole response.
    pub(crate) fn response(self) -> String {
        let (status, title, text) = self.content();
        let body = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <style>{STYLE}</style></head>\n<body><main><h1>{title}</h1><p>{text}</p></main></body></html>\n"
        );
        let allow = if self == Self::Refused(Refusal::Method) { "Allow: GET\r\n" } else { "" };
        response(status, allow, &body)
    }
}

/// Sends the browser to the page of a result, by an address without code and state. 303: it asks with GET, whatever it did
/// before (RFC 9110 §15.4.4).
pub(crate) fn redirect(outcome: Outcome) -> String {
    response("303 See Other", &format!("Location: {}\r\n", outcome.path()), "")
}

/// What every response says: it is kept nowhere, tells no other site where it was, and loads nothing.
fn response(status: &str, header: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
         Content-Security-Policy: default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'\r\n{header}\r\n{body}",
        length = body.len(),
    )
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.5 system-ui,sans-serif;\
background:#f6f5f2;color:#1d1d1f}main{max-width:30rem;padding:2rem 2.5rem;margin:1rem;background:#fff;border:1px solid #d9d7d0;\
border-radius:.5rem}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:0}\
@media(prefers-color-scheme:dark){body{background:#18181a;color:#ececee}main{background:#232326;border-color:#3c3c40}}";

/// SHA-256 of [`STYLE`]: the one style that the page may have.
const STYLE_HASH: &str = "sha256-u3Cf2WZN4VmO6TqYce8gbbceJ/JzGgAutpferjwKB2k=";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use sha2::Digest as _;

    use super::{Page, STYLE, STYLE_HASH, redirect};
    use crate::listener::Outcome;

    #[test]
    fn g7_the_style_is_the_one_that_the_policy_allows() {
        let digest = sha2::Sha256::digest(STYLE.as_bytes());
        assert_eq!(STYLE_HASH, format!("sha256-{}", base64::prelude::BASE64_STANDARD.encode(digest)));
    }

    #[test]
    fn g7_a_page_is_static_and_allows_nothing() {
        for response in
            [Page::Result(Outcome::Done).response(), Page::Stray.response(), redirect(Outcome::Done)]
        {
            assert!(!response.contains("script>"), "{response}");
            assert!(response.contains("Content-Security-Policy: default-src 'none';"));
            assert!(response.contains("\r\nReferrer-Policy: no-referrer\r\n"));
            assert!(response.contains("\r\nCache-Control: no-store\r\n"));
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        }
    }
}

//! Where the application goes on after the callback.

use crate::error::{Error, Result};

/// The most bytes of a `return_to`.
const MAX_RETURN_TO: usize = 2048;

/// Accepts what a browser resolves to a page of the same origin: an absolute path, with or without query and fragment.
///
/// The browser's rules decide (WHATWG URL): it takes `\` for `/` and drops tabs and newlines, so `/\evil.example` and
/// `/<tab>/evil.example` leave the site. Those are refused, and everything with a character that a URL has to encode.
///
/// # Errors
///
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage).
pub fn check_return_to(return_to: &str) -> Result<()> {
    let refuse =
        || Err(Error::usage("return_to is a path of this site, such as `/settings?tab=2` (RFC 9700 §4.11)"));
    let bytes = return_to.as_bytes();
    if bytes.len() > MAX_RETURN_TO || bytes.first() != Some(&b'/') {
        return refuse();
    }
    if !bytes.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b'\\') {
        return refuse();
    }
    // Where no segment is empty, no dot segment that the browser takes away can bring one to the front.
    let mut path = bytes.iter().take_while(|b| !matches!(b, b'?' | b'#')).copied();
    let mut before = path.next();
    if !path.any(|b| before.replace(b) == Some(b'/') && b == b'/') {
        return Ok(());
    }
    // Judged by the browser's own algorithm: `//host` is another site, and so is what dot segments make of `/./..//host`.
    let base = url::Url::parse("https://origin.invalid/")
        .map_err(|source| Error::usage("return_to cannot be judged").with_source(source))?;
    match base.join(return_to) {
        Ok(resolved) if resolved.origin() == base.origin() && !resolved.path().starts_with("//") => Ok(()),
        _ => refuse(),
    }
}

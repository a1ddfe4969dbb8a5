//! Where the application goes on after the callback.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// The most bytes of a `return_to`.
const MAX_RETURN_TO: usize = 2048;

/// A path of the application, as it was given to [`begin`](crate::Flow::begin), which checks it ([`check_return_to`]).
///
/// A short one takes no memory of its own: a million small pieces that expire together cost an allocator dearly.
#[derive(Clone)]
pub struct ReturnTo(Form);

#[derive(Clone)]
enum Form {
    Short(u8, [u8; SHORT]),
    Long(Arc<str>),
}

/// As much as there is room for where the other form lies.
const SHORT: usize = 22;

impl ReturnTo {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // It was a text, so it is one.
            Form::Short(len, room) => {
                room.get(..usize::from(*len)).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default()
            }
            Form::Long(text) => text,
        }
    }

    fn short(text: &str) -> Option<Self> {
        let mut room = [0; SHORT];
        room.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(Form::Short(u8::try_from(text.len()).ok()?, room)))
    }
}

impl From<&str> for ReturnTo {
    fn from(text: &str) -> Self {
        Self::short(text).unwrap_or_else(|| Self(Form::Long(text.into())))
    }
}

impl From<String> for ReturnTo {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Arc<str>> for ReturnTo {
    fn from(text: Arc<str>) -> Self {
        Self::short(&text).unwrap_or(Self(Form::Long(text)))
    }
}

impl From<ReturnTo> for Arc<str> {
    fn from(return_to: ReturnTo) -> Self {
        match return_to.0 {
            Form::Long(text) => text,
            Form::Short(..) => return_to.as_str().into(),
        }
    }
}

impl Deref for ReturnTo {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for ReturnTo {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ReturnTo {}

impl fmt::Debug for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for ReturnTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for ReturnTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_was_given() {
        assert_eq!(size_of::<Option<ReturnTo>>(), 24);
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 300] {
            let text = "\u{e9}".repeat(length / 2) + if length % 2 == 1 { "/" } else { "" };
            assert_eq!(text.len(), length);
            let shared: Arc<str> = text.as_str().into();
            for path in [ReturnTo::from(&*text), ReturnTo::from(text.clone()), ReturnTo::from(shared.clone())]
            {
                assert_eq!((path.as_str(), &*path), (&*text, &*text));
                assert_eq!(format!("{path:?}"), format!("{text:?}"));
                let json = serde_json::to_string(&path).unwrap();
                assert_eq!(serde_json::from_str::<ReturnTo>(&json).unwrap(), path);
                assert_ne!(path, ReturnTo::from(format!("{text}/")));
                assert_eq!(Arc::from(path), shared);
            }
        }
    }
}

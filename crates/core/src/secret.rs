//! A string that must not be seen.

use std::fmt;
use std::mem;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, optimization_barrier};

/// A token, a client secret, a code, a verifier: text that no log, error or comparison may reveal.
///
/// `Debug` prints `[redacted]`. There is no `Display`, no `PartialEq` and no `Serialize`: what reads the value says so
/// by calling [`expose`](Self::expose), and what compares it uses [`ct_eq`](Self::ct_eq). The memory is wiped on drop.
///
/// ```
/// let (one, other) = (authflow_core::Secret::new("a"), authflow_core::Secret::new("a"));
/// let _ = one.ct_eq(other.expose());
/// let _ = format!("{:?}", one);
/// let _ = serde_json::to_string(one.expose());
/// ```
///
/// These do not compile:
///
/// ```compile_fail,E0369
/// let (one, other) = (authflow_core::Secret::new("a"), authflow_core::Secret::new("a"));
/// let _ = one == other;
/// ```
///
/// ```compile_fail,E0277
/// let one = authflow_core::Secret::new("a");
/// let _ = format!("{}", one);
/// ```
///
/// ```compile_fail,E0277
/// let one = authflow_core::Secret::new("a");
/// let _ = serde_json::to_string(&one);
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `value`. The caller's own copies are the caller's to wipe.
    pub fn new(value: impl Into<String>) -> Self {
        let mut value = value.into();
        if value.len() == value.capacity() {
            return Self(value.into_boxed_str());
        }
        // Not left to the allocator, which moves what it makes smaller and wipes nothing.
        let exact = Self(value.as_str().into());
        value.zeroize();
        exact
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the value equals `other`, in a time that depends on the lengths only.
    #[must_use]
    pub fn ct_eq(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    /// All bytes at once: `Zeroize` writes them one by one, which took a tenth of the time that a pending flow is stored and
    /// taken in.
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.0).into_boxed_bytes();
        bytes.fill(0);
        optimization_barrier(&*bytes);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn what_has_room_to_spare_is_kept_whole() {
        let mut value = String::with_capacity(100);
        value.push_str("hunter2");
        let secret = Secret::new(value);
        assert_eq!((secret.expose(), secret.len()), ("hunter2", 7));
    }

    #[test]
    fn h1_debug_does_not_print_the_value() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn a11_comparison_is_a_named_method() {
        let secret = Secret::new("hunter2");
        assert!(secret.ct_eq("hunter2"));
        assert!(!secret.ct_eq("hunter"));
        assert!(!secret.ct_eq("hunter3"));
    }
}

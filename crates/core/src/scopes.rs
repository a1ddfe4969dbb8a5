//! Scopes.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of scope tokens (RFC 6749 §3.3), in order, each once. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Scopes(Option<Arc<[Box<str>]>>);

impl Scopes {
    /// No scope.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Takes each scope once, in the given order. Empty strings are left out.
    pub fn new<I>(scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut list: Vec<Box<str>> = Vec::new();
        for scope in scopes {
            let scope = scope.as_ref();
            // Of few, each is compared with each; of however many a stranger sends, none is.
            let is_new = |list: &[Box<str>]| list.len() >= FEW || !list.iter().any(|known| **known == *scope);
            if !scope.is_empty() && is_new(&list) {
                list.push(scope.into());
            }
        }
        if list.len() > FEW {
            leave_each_once(&mut list);
        }
        if list.is_empty() { Self(None) } else { Self(Some(list.into())) }
    }

    /// Splits at spaces and at `delimiter`.
    #[must_use]
    pub fn split(text: &str, delimiter: &str) -> Self {
        if delimiter.trim().is_empty() {
            return Self::new(text.split_ascii_whitespace());
        }
        Self::new(text.split(delimiter).flat_map(str::split_ascii_whitespace))
    }

    /// The scopes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.as_deref().unwrap_or_default().iter().map(|scope| &**scope)
    }

    /// Whether `scope` is one of them. Scopes are case-sensitive.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|known| known == scope)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_deref().map_or(0, <[_]>::len)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// These and `more`.
    #[must_use]
    pub fn union(&self, more: &Self) -> Self {
        Self::new(self.iter().chain(more.iter()))
    }

    /// Those of these that `granted` does not have.
    #[must_use]
    pub fn missing_from(&self, granted: &Self) -> Self {
        Self::new(self.iter().filter(|scope| !granted.contains(scope)))
    }

    /// The scopes as one string.
    #[must_use]
    pub fn join(&self, delimiter: &str) -> String {
        let mut text = String::new();
        for scope in self.iter() {
            if !text.is_empty() {
                text.push_str(delimiter);
            }
            text.push_str(scope);
        }
        text
    }
}

/// So few scopes that each may be compared with each.
const FEW: usize = 24;

fn leave_each_once(list: &mut Vec<Box<str>>) {
    let mut seen = HashSet::with_capacity(list.len());
    let is_first: Vec<bool> = list.iter().map(|scope| seen.insert(&**scope)).collect();
    let mut is_first = is_first.into_iter();
    list.retain(|_| is_first.next().unwrap_or(true));
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        Self::new(scopes)
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer).map(Self::new)
    }
}

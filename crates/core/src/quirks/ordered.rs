//! Names and templates, in the order in which they were written.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::template::Template;

/// Parameters or headers whose values are [`Template`]s, in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Templates(Vec<(Box<str>, Template)>);

impl Templates {
    /// Adds a value for `name`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Template) -> Self {
        self.0.push((name.into(), value));
        self
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Templates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Templates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Templates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Templates, A::Error> {
                let mut templates = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Template>()? {
                    templates.push((name.into_boxed_str(), value));
                }
                Ok(Templates(templates))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

//! Texts with variables: `{client_id}`, `{client_secret}`, `{config.x}`, `{callback.x}`, `{token.x}`, `{random}`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// A text with variables, parsed once. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    source: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(Box<str>),
}

impl Template {
    /// Parses `source`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for an unbalanced brace or an empty name.
    pub fn parse(source: &str) -> Result<Self> {
        let unbalanced =
            || Error::configuration("a template has an unbalanced brace; `{{` and `}}` stand for braces");
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    text.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some('{') | None => return Err(unbalanced()),
                            Some(c) => name.push(c),
                        }
                    }
                    if name.is_empty() {
                        return Err(Error::configuration("a template has a variable without a name"));
                    }
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text).into()));
                    }
                    parts.push(Part::Variable(name.into()));
                }
                '}' => return Err(unbalanced()),
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { source: source.into(), parts })
    }

    /// The names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// The text, if there is no variable in it.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with each variable replaced. `None` if one has no value.
    pub(crate) fn render<'v>(
        &self,
        mut value: impl FnMut(&str) -> Option<std::borrow::Cow<'v, str>>,
    ) -> Option<String> {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Variable(name) => text.push_str(&value(name)?),
            }
        }
        Some(text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::parse(&source).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn variables_are_replaced_and_braces_escaped() {
        let template = Template::parse("https://{region}app.example/{{x}}/{config.a}").unwrap();
        assert_eq!(template.variables().collect::<Vec<_>>(), ["region", "config.a"]);
        let text = template.render(|name| Some(name.to_uppercase().into()));
        assert_eq!(text.as_deref(), Some("https://REGIONapp.example/{x}/CONFIG.A"));
        assert_eq!(template.render(|_| None), None);
    }

    #[test]
    fn a_text_without_variables_is_known_at_once() {
        for (source, literal) in
            [("", Some("")), ("a", Some("a")), ("{{a}}", Some("{a}")), ("{a}", None), ("a{b}", None)]
        {
            assert_eq!(Template::parse(source).unwrap().as_literal(), literal, "{source:?}");
        }
    }

    #[test]
    fn unbalanced_braces_are_refused() {
        for source in ["{", "}", "a{b", "a}b", "{}", "{a{b}}"] {
            assert!(Template::parse(source).is_err(), "{source}");
        }
    }
}

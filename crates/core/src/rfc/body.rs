//! Bodies: JSON without double members, or a form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::http_client::HttpResponse;
use crate::quirks::ResponseFormat;
use crate::text;

/// The object that a body holds, by content type and by looks.
///
/// A member that occurs twice makes the body unreadable: two parsers would disagree on what it says. A number that no
/// number type holds becomes its text.
///
/// # Errors
///
/// [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) for everything else.
pub fn parse_object(response: &HttpResponse, format: ResponseFormat) -> Result<Map<String, Value>> {
    let members = Document::parse(response, format)?.members;
    Ok(members.into_iter().map(|(name, value)| (name.into_owned(), value)).collect())
}

/// The members of an object as they came, each once. Few are looked up, so that no tree of them is built.
pub(super) struct Document<'b> {
    members: Vec<(Cow<'b, str>, Value)>,
}

impl<'b> Document<'b> {
    /// As [`parse_object`].
    pub(super) fn parse(response: &'b HttpResponse, format: ResponseFormat) -> Result<Self> {
        let body = response.body.as_slice();
        let looks_like_json = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        match format {
            ResponseFormat::Json => json(body),
            ResponseFormat::Form => form(body),
            ResponseFormat::Auto if looks_like_json => json(body),
            ResponseFormat::Auto => match response.media_type().as_deref() {
                Some(json_type) if json_type.ends_with("/json") || json_type.ends_with("+json") => json(body),
                _ if looks_like_form(body) => form(body),
                _ => Err(Error::invalid_response("the provider's answer is neither JSON nor a form")),
            },
        }
    }

    /// Of a list in which no name may be twice.
    fn of(members: Vec<(Cow<'b, str>, Value)>) -> Option<Self> {
        let is_double = text::has_double(members.iter().map(|(name, _)| &**name));
        (!is_double).then_some(Self { members })
    }
}

/// An object that was read: a whole document, or one in it.
#[derive(Clone, Copy)]
pub(super) enum Object<'v> {
    Document(&'v Document<'v>),
    Inner(&'v Map<String, Value>),
}

impl<'v> Object<'v> {
    /// The member of this name.
    pub(super) fn get(self, name: &str) -> Option<&'v Value> {
        match self {
            Self::Document(document) => {
                document.members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            Self::Inner(object) => object.get(name),
        }
    }

    /// The value at a JSON pointer (RFC 6901) of at least one name.
    pub(super) fn at(self, pointer: &str) -> Option<&'v Value> {
        let name = pointer.strip_prefix('/')?;
        let (name, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
        let member = if name.contains('~') {
            self.get(&name.replace("~1", "/").replace("~0", "~"))
        } else {
            self.get(name)
        }?;
        member.pointer(rest)
    }

    /// All members.
    pub(super) fn for_each(self, mut look: impl FnMut(&'v str, &'v Value)) {
        match self {
            Self::Document(document) => document.members.iter().for_each(|(name, value)| look(name, value)),
            Self::Inner(object) => object.iter().for_each(|(name, value)| look(name, value)),
        }
    }
}

fn looks_like_form(body: &[u8]) -> bool {
    let visible = |b: &u8| (0x21..=0x7e).contains(b) && !matches!(b, b'<' | b'>' | b'"' | b'{');
    let body = body.trim_ascii();
    !body.is_empty() && body.contains(&b'=') && body.iter().all(visible)
}

fn form(body: &[u8]) -> Result<Document<'_>> {
    let members = url::form_urlencoded::parse(body.trim_ascii());
    Document::of(members.map(|(name, value)| (name, Value::String(value.into_owned()))).collect())
        .ok_or_else(|| Error::invalid_response("the provider's answer has a member twice"))
}

fn json(body: &[u8]) -> Result<Document<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed =
        deserializer.deserialize_map(Members(Once)).and_then(|members| deserializer.end().map(|()| members));
    // A number such as 1e999 in one member must not cost the others.
    parsed.ok().or_else(|| member_by_member(body)).and_then(Document::of).ok_or_else(|| {
        Error::invalid_response("the provider's answer is no JSON object, or has a member twice")
    })
}

fn member_by_member(body: &[u8]) -> Option<Vec<(Cow<'_, str>, Value)>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let raw = deserializer.deserialize_map(Members(Raw)).ok()?;
    deserializer.end().ok()?;
    let members = raw.into_iter().map(|(name, raw)| {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        match Once.deserialize(&mut deserializer) {
            Ok(value) => Some((name, value)),
            Err(_) if raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Some((name, Value::String(raw.get().to_owned())))
            }
            Err(_) => None,
        }
    });
    members.collect()
}

/// The members of an object, their values read by a seed.
struct Members<S>(S);

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Members<S> {
    type Value = Vec<(Cow<'de, str>, S::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value_seed(self.0)?));
        }
        Ok(members)
    }
}

/// A name, borrowed unless something in it is escaped.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A JSON value as it is written.
#[derive(Clone, Copy)]
struct Raw;

impl<'de> DeserializeSeed<'de> for Raw {
    type Value = &'de RawValue;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        Deserialize::deserialize(deserializer)
    }
}

/// A JSON value whose objects have each member once.
#[derive(Clone, Copy)]
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> std::result::Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = sequence.next_element_seed(Self)? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

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
/// number type holds becomes the largest, or the smallest, that one does.
///
/// # Errors
///
/// [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) for everything else.
pub fn parse_object(response: &HttpResponse, format: ResponseFormat) -> Result<Map<String, Value>> {
    let members = Document::parse(response, format)?.members;
    Ok(members.into_iter().map(|(name, member)| (name.into_owned(), member.into_value())).collect())
}

/// The members of an object as they came, each once. Few are looked up, so that no tree of them is built.
pub(super) struct Document<'b> {
    members: Vec<(Cow<'b, str>, Member<'b>)>,
}

/// What a document holds under a name. Most is text, which stays in the body, so that no second copy of a token is made.
enum Member<'b> {
    Text(Cow<'b, str>),
    Value(Value),
}

impl Member<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Value(value) => value,
        }
    }
}

/// What an object holds under a name, to look at. A text is always a [`Text`](Self::Text).
#[derive(Clone, Copy)]
pub(super) enum Field<'v> {
    Text(&'v str),
    Value(&'v Value),
}

impl<'v> From<&'v Value> for Field<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            value => Self::Value(value),
        }
    }
}

impl<'v> From<&'v Member<'_>> for Field<'v> {
    fn from(member: &'v Member<'_>) -> Self {
        match member {
            Member::Text(text) => Self::Text(text),
            Member::Value(value) => value.into(),
        }
    }
}

impl<'v> Field<'v> {
    pub(super) const fn as_str(self) -> Option<&'v str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Value(_) => None,
        }
    }

    pub(super) fn as_object(self) -> Option<&'v Map<String, Value>> {
        match self {
            Self::Text(_) => None,
            Self::Value(value) => value.as_object(),
        }
    }

    pub(super) const fn is_null(self) -> bool {
        matches!(self, Self::Value(Value::Null))
    }

    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Value(value) => value.clone(),
        }
    }

    /// The value at the rest of a JSON pointer (RFC 6901).
    fn pointer(self, rest: &str) -> Option<Self> {
        match self {
            _ if rest.is_empty() => Some(self),
            Self::Text(_) => None,
            Self::Value(value) => value.pointer(rest).map(Self::from),
        }
    }
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
    fn of(members: Vec<(Cow<'b, str>, Member<'b>)>) -> Option<Self> {
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
    pub(super) fn get(self, name: &str) -> Option<Field<'v>> {
        match self {
            Self::Document(document) => {
                document.members.iter().find(|(known, _)| known == name).map(|(_, member)| member.into())
            }
            Self::Inner(object) => object.get(name).map(Field::from),
        }
    }

    /// The value at a JSON pointer (RFC 6901) of at least one name.
    pub(super) fn at(self, pointer: &str) -> Option<Field<'v>> {
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
    pub(super) fn for_each(self, mut look: impl FnMut(&'v str, Field<'v>)) {
        match self {
            Self::Document(document) => {
                document.members.iter().for_each(|(name, member)| look(name, member.into()));
            }
            Self::Inner(object) => object.iter().for_each(|(name, value)| look(name, value.into())),
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
    Document::of(members.map(|(name, value)| (name, Member::Text(value))).collect())
        .ok_or_else(|| Error::invalid_response("the provider's answer has a member twice"))
}

fn json(body: &[u8]) -> Result<Document<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed =
        deserializer.deserialize_map(Members(Top)).and_then(|members| deserializer.end().map(|()| members));
    // A number such as 1e999 in one member must not cost the others, nor a name that was cut within a character.
    parsed.ok().or_else(|| member_by_member(body)).and_then(Document::of).ok_or_else(|| {
        Error::invalid_response("the provider's answer is no JSON object, or has a member twice")
    })
}

fn member_by_member(body: &[u8]) -> Option<Vec<(Cow<'_, str>, Member<'_>)>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let raw = deserializer.deserialize_map(Members(Raw)).ok()?;
    deserializer.end().ok()?;
    let members = raw.into_iter().map(|(name, raw)| {
        match Top.deserialize(&mut serde_json::Deserializer::from_str(raw.get())) {
            Ok(member) => Some((name, member)),
            // Not its text: a number is no token.
            Err(_) if raw.get().starts_with('-') => Some((name, Member::Value(f64::MIN.into()))),
            Err(_) if raw.get().starts_with(|c: char| c.is_ascii_digit()) => {
                Some((name, Member::Value(f64::MAX.into())))
            }
            Err(_) => {
                let text = without_lone_surrogates(raw.get())?;
                let value = Once.deserialize(&mut serde_json::Deserializer::from_str(&text)).ok()?;
                Some((name, Member::Value(value)))
            }
        }
    });
    members.collect()
}

/// JSON with U+FFFD in place of each escape that is half a character (RFC 8259 §8.2); `None` if there is none.
///
/// Who cuts a text by UTF-16 units, as JavaScript does, writes such escapes. A token with one is none: see
/// [`is_visible_ascii`](text::is_visible_ascii).
fn without_lone_surrogates(json: &str) -> Option<String> {
    let mut whole = String::with_capacity(json.len());
    let (mut rest, mut is_changed) = (json, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let (taken, is_lone) = match unit(escape) {
            Some(0xd800..=0xdbff) => match escape.get(6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => (12, false),
                _ => (6, true),
            },
            Some(0xdc00..=0xdfff) => (6, true),
            Some(_) => (6, false),
            // The backslash and what it escapes, which is one byte in what can be read.
            None => (2, false),
        };
        let (escape, after) = escape.split_at_checked(taken)?;
        whole.push_str(if is_lone { "\u{fffd}" } else { escape });
        is_changed |= is_lone;
        rest = after;
    }
    whole.push_str(rest);
    is_changed.then_some(whole)
}

/// The UTF-16 unit that an escape at the beginning of `json` stands for.
fn unit(json: &str) -> Option<u16> {
    let digits = json.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
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

/// The value of a document's member.
#[derive(Clone, Copy)]
struct Top;

impl<'de> DeserializeSeed<'de> for Top {
    type Value = Member<'de>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Once.expecting(f)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> std::result::Result<Self::Value, E> {
        Once.visit_bool(value).map(Member::Value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> std::result::Result<Self::Value, E> {
        Once.visit_i64(value).map(Member::Value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> std::result::Result<Self::Value, E> {
        Once.visit_u64(value).map(Member::Value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Self::Value, E> {
        Once.visit_f64(value).map(Member::Value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<Self::Value, E> {
        Once.visit_unit().map(Member::Value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> std::result::Result<Self::Value, A::Error> {
        Once.visit_seq(sequence).map(Member::Value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
        Once.visit_map(map).map(Member::Value)
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

//! Bodies: JSON without double members, or a form.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::http_client::HttpResponse;
use crate::quirks::ResponseFormat;

/// The object that a body holds, by content type and by looks.
///
/// A member that occurs twice makes the body unreadable: two parsers would disagree on what it says. A number that no
/// number type holds becomes its text.
///
/// # Errors
///
/// [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) for everything else.
pub fn parse_object(response: &HttpResponse, format: ResponseFormat) -> Result<Map<String, Value>> {
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

/// The value at a JSON pointer (RFC 6901). A plain name is looked up as it is: [`Value::pointer`] copies each.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    match (value, pointer.strip_prefix('/')) {
        (Value::Object(object), Some(name)) if !name.contains(['/', '~']) => object.get(name),
        _ => value.pointer(pointer),
    }
}

fn looks_like_form(body: &[u8]) -> bool {
    let visible = |b: &u8| (0x21..=0x7e).contains(b) && !matches!(b, b'<' | b'>' | b'"' | b'{');
    let body = body.trim_ascii();
    !body.is_empty() && body.contains(&b'=') && body.iter().all(visible)
}

fn form(body: &[u8]) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    for (name, value) in url::form_urlencoded::parse(body.trim_ascii()) {
        if object.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err(Error::invalid_response("the provider's answer has a member twice"));
        }
    }
    Ok(object)
}

fn json(body: &[u8]) -> Result<Map<String, Value>> {
    let unreadable =
        || Error::invalid_response("the provider's answer is no JSON object, or has a member twice");
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = Once.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(unreadable()),
        // A number such as 1e999 in one member must not cost the others.
        Err(_) => member_by_member(body).ok_or_else(unreadable),
    }
}

fn member_by_member(body: &[u8]) -> Option<Map<String, Value>> {
    let mut members: RawMembers<'_> = serde_json::from_slice(body).ok()?;
    let mut object = Map::new();
    for (name, raw) in members.0.drain(..) {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let value = match Once.deserialize(&mut deserializer) {
            Ok(value) => value,
            Err(_) if raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Value::String(raw.get().to_owned())
            }
            Err(_) => return None,
        };
        if object.insert(name, value).is_some() {
            return None;
        }
    }
    Some(object)
}

struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A JSON value whose objects have each member once.
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

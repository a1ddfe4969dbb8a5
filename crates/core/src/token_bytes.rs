//! The bytes of a token set, for sealing.
//!
//! Format 1: the format's number (one byte), then a JSON object with one member a field; what is empty is left out. A time
//! is its seconds since 1970, with the nanoseconds behind it where there are any.
//!
//! A field that comes later is a member that this release does not know: it keeps it, also over a refresh, and writes it
//! again. So a new field needs no new format; one that changes the meaning of another does, and is read one release before it
//! is written (see the envelope of [`KeyRing`](crate::KeyRing)).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::scopes::Scopes;
use crate::seal::{SecretBytes, unknown_format};
use crate::secret::Secret;
use crate::token::{Expiry, TokenSet};

const FORMAT: u8 = 1;

/// What each format is read with.
type Reader = fn(&[u8]) -> Option<TokenSet>;

const READS: &[(u8, Reader)] = &[(FORMAT, read_1)];

/// The deepest JSON that is read again.
const MAX_DEPTH: usize = 127;

impl TokenSet {
    /// Every field, the secret ones in the clear: what is sealed.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use authflow_core::{KeyRing, SealContext, TokenSet};
    ///
    /// let tokens = TokenSet::new("AT-1", SystemTime::UNIX_EPOCH);
    /// let ring = KeyRing::generate()?;
    /// let cx = SealContext { user: "user-42", ..SealContext::new("connection") };
    /// let sealed = ring.seal(&cx, tokens.to_exposed_bytes()?.expose())?;
    ///
    /// let opened = ring.open(&cx, &sealed)?;
    /// let tokens = TokenSet::from_exposed_bytes(opened.bytes().expose())?;
    /// assert_eq!(tokens.access_token.expose(), "AT-1");
    /// # Ok::<(), authflow_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] if [`extra`](Self::extra) is nested more than 127 levels deep, so that it could not be
    /// read again.
    pub fn to_exposed_bytes(&self) -> Result<SecretBytes> {
        let mut bytes = SecretBytes::default();
        self.write_exposed(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the same behind what is there.
    pub(crate) fn write_exposed(&self, bytes: &mut SecretBytes) -> Result<()> {
        if is_deeper(&self.extra, MAX_DEPTH)
            || self.unread.values().any(|value| value_is_deeper(value, MAX_DEPTH))
        {
            return Err(Error::invalid_response(
                "the extra fields of the token set are nested more than 127 levels deep; they could not be read again",
            ));
        }
        std::io::Write::write_all(bytes, &[FORMAT])
            .map_err(serde_json::Error::io)
            .and_then(|()| serde_json::to_writer(bytes, &Exposed(self)))
            .map_err(|_| Error::usage("the token set cannot be written"))
    }

    /// Reads what [`to_exposed_bytes`](Self::to_exposed_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FormatUnknown`] and [`ErrorKind::StoreCorrupt`]. They hold nothing of the bytes.
    pub fn from_exposed_bytes(bytes: &[u8]) -> Result<Self> {
        read(READS, bytes)
    }
}

fn read(reads: &[(u8, Reader)], bytes: &[u8]) -> Result<TokenSet> {
    // The reader's own words would quote what it read.
    let corrupt =
        || Error::new(ErrorKind::StoreCorrupt, "these bytes are not a token set; they are left as they are");
    let (number, rest) = bytes.split_first().ok_or_else(corrupt)?;
    match reads.iter().find(|(format, _)| format == number) {
        Some((_, reader)) => reader(rest).ok_or_else(corrupt),
        None => Err(unknown_format("token set", *number, reads.iter().map(|(format, _)| *format))),
    }
}

fn read_1(json: &[u8]) -> Option<TokenSet> {
    serde_json::from_slice::<Read>(json).ok().map(|read| read.0)
}

/// Whether the map and what is in it have more than `levels`.
fn is_deeper(map: &Map<String, Value>, levels: usize) -> bool {
    levels.checked_sub(1).is_none_or(|below| map.values().any(|value| value_is_deeper(value, below)))
}

fn value_is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => is_deeper(map, levels),
        Value::Array(list) => {
            levels.checked_sub(1).is_none_or(|below| list.iter().any(|value| value_is_deeper(value, below)))
        }
        _ => false,
    }
}

struct Exposed<'a>(&'a TokenSet);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let tokens = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("access_token", tokens.access_token.expose())?;
        if let Some(token_type) = &tokens.token_type {
            map.serialize_entry("token_type", token_type)?;
        }
        if let Some(refresh_token) = &tokens.refresh_token {
            map.serialize_entry("refresh_token", refresh_token.expose())?;
        }
        for (name, expiry) in [("expiry", tokens.expiry), ("refresh_expiry", tokens.refresh_expiry)] {
            if expiry != Expiry::Unknown {
                map.serialize_entry(name, &WrittenExpiry(expiry))?;
            }
        }
        if !tokens.scopes.is_empty() {
            map.serialize_entry("scopes", &tokens.scopes)?;
        }
        if tokens.scopes_assumed {
            map.serialize_entry("scopes_assumed", &true)?;
        }
        if let Some(id_token) = &tokens.id_token {
            map.serialize_entry("id_token", id_token.expose())?;
        }
        if let Some(account) = &tokens.account {
            map.serialize_entry("account", account)?;
        }
        if !tokens.resources.is_empty() {
            map.serialize_entry("resources", &tokens.resources)?;
        }
        if !tokens.callback.is_empty() {
            map.serialize_entry("callback", &tokens.callback)?;
        }
        if !tokens.extra.is_empty() {
            map.serialize_entry("extra", &tokens.extra)?;
        }
        map.serialize_entry("received_at", &Time(tokens.received_at))?;
        for (name, value) in &tokens.unread {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Read(TokenSet);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value that is read on its own, so that it may be as deep here as it was in the provider's reply.
struct Deep<T>(T);

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Deep<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        // Without the reader's words: they would quote the value.
        serde_json::from_str(raw.get()).map(Self).map_err(|_| de::Error::custom("not of the expected kind"))
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Read, A::Error> {
        let mut access_token: Option<Secret> = None;
        let mut token_type: Option<String> = None;
        let mut refresh_token: Option<Secret> = None;
        let mut expiry: Option<WrittenExpiry> = None;
        let mut refresh_expiry: Option<WrittenExpiry> = None;
        let mut scopes: Option<Scopes> = None;
        let mut scopes_assumed: Option<bool> = None;
        let mut id_token: Option<Secret> = None;
        let mut account: Option<String> = None;
        let mut resources: Option<Vec<String>> = None;
        let mut callback: Option<BTreeMap<String, String>> = None;
        let mut extra: Option<Deep<Map<String, Value>>> = None;
        let mut received_at: Option<Time> = None;
        let mut unread = Map::new();

        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "access_token" => once(&mut access_token, &mut map)?,
                "token_type" => once(&mut token_type, &mut map)?,
                "refresh_token" => once(&mut refresh_token, &mut map)?,
                "expiry" => once(&mut expiry, &mut map)?,
                "refresh_expiry" => once(&mut refresh_expiry, &mut map)?,
                "scopes" => once(&mut scopes, &mut map)?,
                "scopes_assumed" => once(&mut scopes_assumed, &mut map)?,
                "id_token" => once(&mut id_token, &mut map)?,
                "account" => once(&mut account, &mut map)?,
                "resources" => once(&mut resources, &mut map)?,
                "callback" => once(&mut callback, &mut map)?,
                "extra" => once(&mut extra, &mut map)?,
                "received_at" => once(&mut received_at, &mut map)?,
                _ => {
                    let Deep(value) = map.next_value()?;
                    if unread.insert(name.into_owned(), value).is_some() {
                        return Err(twice());
                    }
                }
            }
        }

        let (Some(access_token), Some(received_at)) = (access_token, received_at) else {
            return Err(de::Error::custom("a member is missing"));
        };
        let mut tokens = TokenSet::new(access_token, received_at.0);
        tokens.token_type = token_type;
        tokens.refresh_token = refresh_token;
        tokens.expiry = expiry.map_or(Expiry::Unknown, |expiry| expiry.0);
        tokens.refresh_expiry = refresh_expiry.map_or(Expiry::Unknown, |expiry| expiry.0);
        tokens.scopes = scopes.unwrap_or_default();
        tokens.scopes_assumed = scopes_assumed.unwrap_or_default();
        tokens.id_token = id_token;
        tokens.account = account;
        tokens.resources = resources.unwrap_or_default();
        tokens.callback = callback.unwrap_or_default();
        tokens.extra = extra.map(|extra| extra.0).unwrap_or_default();
        tokens.unread = unread;
        Ok(Read(tokens))
    }
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
) -> std::result::Result<(), A::Error> {
    match slot.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(twice()),
    }
}

fn twice<E: de::Error>() -> E {
    de::Error::custom("a member comes twice")
}

/// `"never"` or a time. An unknown expiry is not written.
struct WrittenExpiry(Expiry);

#[derive(Serialize, Deserialize)]
enum Never {
    #[serde(rename = "never")]
    Never,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReadExpiry {
    Never(Never),
    At(Time),
}

impl Serialize for WrittenExpiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Expiry::At(time) => Time(time).serialize(serializer),
            Expiry::Never => Never::Never.serialize(serializer),
            Expiry::Unknown => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenExpiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        ReadExpiry::deserialize(deserializer).map(|expiry| match expiry {
            ReadExpiry::Never(_) => Self(Expiry::Never),
            ReadExpiry::At(Time(time)) => Self(Expiry::At(time)),
        })
    }
}

/// Whole seconds since 1970, or `[seconds, nanoseconds]`. The seconds are rounded down, so that the nanoseconds are never
/// negative.
struct Time(SystemTime);

#[derive(Deserialize)]
#[serde(untagged)]
enum ReadTime {
    Seconds(i64),
    Exact(i64, u32),
}

const NANOS: u32 = 1_000_000_000;

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (seconds, nanoseconds) = match self.0.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
                match before.subsec_nanos() {
                    0 => (seconds, 0),
                    nanoseconds => (seconds.saturating_sub(1), NANOS - nanoseconds),
                }
            }
        };
        match nanoseconds {
            0 => serializer.serialize_i64(seconds),
            _ => (seconds, nanoseconds).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let (seconds, nanoseconds) = match ReadTime::deserialize(deserializer)? {
            ReadTime::Seconds(seconds) => (seconds, 0),
            ReadTime::Exact(seconds, nanoseconds) if (1..NANOS).contains(&nanoseconds) => {
                (seconds, nanoseconds)
            }
            ReadTime::Exact(..) => return Err(de::Error::custom("not a time")),
        };
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        time.and_then(|time| time.checked_add(Duration::new(0, nanoseconds)))
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a time that this system can hold"))
    }
}

#[cfg(test)]
#[path = "token_bytes_tests.rs"]
mod tests;

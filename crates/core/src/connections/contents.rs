//! What is sealed of a connection: its tokens, and what else is known of it.
//!
//! Format 1: the format's number (one byte), the length of the header (four bytes, big-endian), the header as JSON, the
//! bytes of the token set. No token is in the header.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::scopes::Scopes;
use crate::seal::{SecretBytes, unknown_format};
use crate::token::TokenSet;
use crate::token_store::{RefreshMark, Version};

use super::pause::Pause;

const FORMAT: u8 = 1;
/// What stands before the header: the format's number and the header's length.
const PREFIX: usize = 5;

/// A connection in the clear.
#[derive(Clone)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) tokens: TokenSet,
}

/// What is known of a connection beside its tokens. What a newer release wrote is written again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    connected_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refreshed_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub(super) requested_scopes: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Ended>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<Pause>,
    #[serde(flatten)]
    unread: Map<String, Value>,
}

/// That the connection has come to its end at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) reason: ReconnectReason,
    at: u64,
    /// Whether the access token was refused by an API, so that it is not to be served even before its time.
    #[serde(default)]
    pub(super) rejected: bool,
    /// The provider's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
}

impl Ended {
    pub(super) fn new(reason: ReconnectReason, now: SystemTime) -> Self {
        Self { reason, at: milliseconds(now), rejected: false, code: None }
    }

    pub(super) fn at(&self) -> SystemTime {
        time(self.at)
    }
}

/// Why a connection needs its user to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReconnectReason {
    /// The provider no longer accepts the refresh token (`invalid_grant`, RFC 6749 §5.2): it was revoked, or has expired.
    Refused,
    /// An earlier refresh was sent whose answer was lost, and the provider no longer accepts the refresh token of before.
    RotationLost,
    /// A refresh brought the tokens of another account.
    AccountChanged,
    /// The access token is over, and there is nothing to refresh it with.
    Expired,
    /// A reason that a newer release wrote.
    #[serde(other)]
    Other,
}

impl Contents {
    pub(super) fn connected(tokens: TokenSet, requested_scopes: Scopes, now: SystemTime) -> Self {
        let header = Header {
            connected_at: milliseconds(now),
            refreshed_at: None,
            requested_scopes,
            ended: None,
            pause: None,
            unread: Map::new(),
        };
        Self { header, tokens }
    }

    /// The same connection with new tokens.
    pub(super) fn refreshed(&self, mut tokens: TokenSet, now: SystemTime) -> Self {
        let mut header = self.header.clone();
        header.refreshed_at = Some(milliseconds(now));
        header.ended = None;
        header.pause = None;
        if tokens.id_token.is_none() {
            tokens.id_token.clone_from(&self.tokens.id_token);
        }
        Self { header, tokens }
    }

    /// The same connection, which has come to its end.
    pub(super) fn ended(&self, ended: Ended) -> Self {
        let mut contents = self.clone();
        contents.header.ended = Some(ended);
        contents.header.pause = None;
        contents
    }

    /// The same connection, whose provider is not asked for a while.
    pub(super) fn paused(&self, pause: Pause) -> Self {
        let mut contents = self.clone();
        contents.header.pause = Some(pause);
        contents
    }

    /// The same connection, whose refresh token may be used up: for a save that takes the mark out of the record.
    pub(super) fn doubted(&self, came_with: Version, mark: &RefreshMark) -> Self {
        let pause = self.pause().map_or_else(
            || Pause::none(&self.tokens, came_with, mark),
            |pause| pause.clone().with_mark(mark),
        );
        self.paused(pause)
    }

    /// What is known since a refresh of these tokens failed.
    pub(super) fn pause(&self) -> Option<&Pause> {
        self.header.pause.as_ref().filter(|pause| pause.is_about(&self.tokens))
    }

    /// The version that the tokens came with, where they are written in `version`.
    pub(super) fn came_with(&self, version: Version) -> Version {
        self.pause().map_or(version, |pause| pause.came_with(version))
    }

    pub(super) fn connected_at(&self) -> SystemTime {
        time(self.header.connected_at)
    }

    pub(super) fn refreshed_at(&self) -> Option<SystemTime> {
        self.header.refreshed_at.map(time)
    }

    pub(super) fn to_bytes(&self) -> Result<SecretBytes> {
        let mut bytes = SecretBytes::default();
        // Where the header ends is known when it is written.
        bytes
            .write_all(&[FORMAT, 0, 0, 0, 0])
            .map_err(serde_json::Error::io)
            .and_then(|()| serde_json::to_writer(&mut bytes, &self.header))
            .map_err(|_| Error::usage("what is known of the connection cannot be written"))?;
        let written = bytes.expose_mut();
        let length = u32::try_from(written.len().saturating_sub(PREFIX))
            .map_err(|_| Error::usage("what is known of the connection is too large"))?;
        if let Some(room) = written.get_mut(1..PREFIX) {
            room.copy_from_slice(&length.to_be_bytes());
        }
        self.tokens.write_exposed(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let corrupt = || {
            Error::new(ErrorKind::StoreCorrupt, "these bytes are not a connection; they are left as they are")
        };
        let (format, rest) = bytes.split_first().ok_or_else(corrupt)?;
        if *format != FORMAT {
            return Err(unknown_format("connection", *format, [FORMAT].into_iter()));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(corrupt)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| corrupt())?;
        let (header, tokens) = rest.split_at_checked(length).ok_or_else(corrupt)?;
        let header = serde_json::from_slice(header).map_err(|_| corrupt())?;
        Ok(Self { header, tokens: TokenSet::from_exposed_bytes(tokens)? })
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn time(milliseconds: u64) -> SystemTime {
    crate::clock::saturating_add(SystemTime::UNIX_EPOCH, Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::super::pause::Reason;
    use super::*;
    use crate::token_store::LeaseHolder;

    fn contents() -> Contents {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        Contents::connected(TokenSet::new("planted-access", now), Scopes::new(["read"]), now)
    }

    #[test]
    fn a_connection_comes_back_from_its_bytes() {
        let mut ended = Ended::new(ReconnectReason::RotationLost, SystemTime::UNIX_EPOCH);
        ended.code = Some("invalid_grant".to_owned());
        let contents = contents().ended(ended.clone());
        let back = Contents::from_bytes(contents.to_bytes().unwrap().expose()).unwrap();
        assert_eq!(back.tokens.access_token.expose(), "planted-access");
        assert_eq!(back.connected_at(), contents.connected_at());
        assert_eq!(back.header.ended, Some(ended));
        assert_eq!(back.header.requested_scopes, Scopes::new(["read"]));
    }

    #[test]
    fn x28_what_a_newer_release_knows_is_written_again() {
        let mut contents = contents();
        contents.header.unread.insert("later".to_owned(), Value::from(7));
        let back = Contents::from_bytes(contents.to_bytes().unwrap().expose()).unwrap();
        assert_eq!(back.header.unread.get("later"), Some(&Value::from(7)));
    }

    /// A release that knows no pauses refreshes, and writes the pause again beside the new tokens.
    #[test]
    fn x28_a_pause_is_about_its_own_tokens() {
        let contents = contents();
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let version = Version::new(crate::token_store::Incarnation::from_bytes([1; 16]), 7);
        let mark = RefreshMark::new(LeaseHolder::from_bytes([2; 16]), [3; 32], at(4)).attempt(5);
        let pause =
            Pause::new(&contents.tokens, version, (at(0), at(1000)), Reason::RateLimited, 6, Some(&mark));
        let paused = contents.paused(pause.clone());
        let mut back = Contents::from_bytes(paused.to_bytes().unwrap().expose()).unwrap();
        assert_eq!(back.pause(), Some(&pause));
        assert_eq!(back.pause().and_then(Pause::mark), Some(mark));
        assert_eq!(back.came_with(version.next()), version);
        assert_eq!(back.refreshed(contents.tokens, at(2000)).pause(), None);
        back.tokens.received_at += Duration::from_millis(1);
        assert_eq!((back.pause(), back.came_with(version.next())), (None, version.next()));
    }

    #[test]
    fn x28_x17_what_a_pause_says() {
        let contents = contents();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let version = Version::first(crate::token_store::Incarnation::from_bytes([1; 16]));
        let times = (at(1000), at(1100));
        let pause = Pause::new(&contents.tokens, version, times, Reason::Unavailable, 1, None);
        let left =
            |now, longest| pause.left(at(now), Duration::from_secs(longest)).map_or(0, |left| left.as_secs());
        assert_eq!([1000, 1099, 1100, 1101].map(|now| left(now, 3600)), [100, 1, 0, 0]);
        // By a clock that is a little behind, or far; by one that is set to believe less.
        assert_eq!([940, 939].map(|now| left(now, 3600)), [160, 0]);
        assert_eq!([1000, 1020, 1029, 1030].map(|now| left(now, 10)), [0, 0, 0, 70]);
        let mut text = serde_json::to_value(&pause).unwrap();
        text["reason"] = "a later release's".into();
        assert_eq!(serde_json::from_value::<Pause>(text).unwrap(), pause, "that it lasts is what counts");
    }

    #[test]
    fn x20_other_bytes_are_refused_and_nothing_panics() {
        let bytes = contents().to_bytes().unwrap();
        let bytes = bytes.expose();
        for length in 0..bytes.len() {
            assert!(Contents::from_bytes(&bytes[..length]).is_err());
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert_eq!(Contents::from_bytes(&newer).unwrap_err().kind(), ErrorKind::FormatUnknown);
    }
}

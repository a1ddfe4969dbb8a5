//! What is to be done: every decision of the protocol that needs no I/O, so that it can be checked for itself.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::clock::saturating_add;
use crate::error::{Error, ErrorKind};
use crate::http_client::{Delivery, HttpError};
use crate::quirks::{RefreshInput, RefreshPolicy, Rotation};
use crate::token::{Expiry, TokenSet};
use crate::token_store::{LeaseHolder, RefreshMark, Version};

use super::contents::{Contents, ReconnectReason};

/// What a caller wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// A token that is good now.
    Valid,
    /// A token that is newer than this version's; `rejected` if an API refused that one.
    Newer { than: Option<Version>, rejected: bool },
    /// That the connection is kept alive: a refresh if one is due, and nobody waits for it.
    Due,
}

impl Demand {
    /// Whether tokens that are written in `version`, and came with `came_with`, must be replaced.
    pub(super) fn refuses(self, came_with: &Version, version: &Version) -> bool {
        let are_these = |than: Version| {
            than.incarnation() == version.incarnation()
                && (came_with.counter()..=version.counter()).contains(&than.counter())
        };
        matches!(self, Self::Newer { than, .. } if than.is_none_or(are_these))
    }
}

/// How a provider's connections are refreshed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) input: RefreshInput,
    pub(super) rotation: Rotation,
    /// How long before its end an access token is replaced.
    pub(super) early: Duration,
    /// After how long an idle connection is refreshed whose refresh token's end is not known.
    pub(super) keep_alive: Duration,
}

impl Policy {
    pub(super) fn new(quirk: &RefreshPolicy, early: Duration, keep_alive: Duration) -> Self {
        let margin = quirk.margin.map(|seconds| Duration::from_secs(u64::from(seconds)));
        Self { input: quirk.input, rotation: quirk.rotation, early: margin.unwrap_or(early), keep_alive }
    }

    /// Whether there is something to refresh with.
    pub(super) fn can_refresh(&self, tokens: &TokenSet, now: SystemTime) -> bool {
        match self.input {
            RefreshInput::None => false,
            RefreshInput::AccessToken => !tokens.is_expired(now),
            RefreshInput::RefreshToken => {
                tokens.refresh_token.is_some() && !tokens.refresh_expiry.is_over(now, Duration::ZERO)
            }
        }
    }
}

/// When it is. `seen_at` is when this process first saw this version of the connection, by the wall clock of then, and
/// `seen_for` how long ago that was, by its monotonic clock: a wall clock that was put back makes no token live longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: SystemTime,
    pub(super) seen_at: SystemTime,
    pub(super) seen_for: Duration,
}

/// How far the wall clocks of two processes may be apart.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);

/// What is to be done with a connection as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The access token is good for so long before anything has to be done; `None` if that is not known.
    Serve { for_: Option<Duration> },
    /// The access token is good, and should be replaced soon.
    ServeAndRefresh,
    /// The access token is over, or was refused.
    Refresh,
    /// Only the user can help.
    Reconnect(ReconnectReason),
}

/// The decision of P0, P3 and of each look into the cache.
pub(super) fn assess(
    contents: &Contents,
    version: &Version,
    mark: Option<&RefreshMark>,
    policy: &Policy,
    jitter: f64,
    demand: Demand,
    moment: Moment,
) -> Step {
    let tokens = &contents.tokens;
    let is_refused = demand.refuses(&contents.came_with(*version), version);
    let remaining = remaining(tokens, moment);
    let lifetime = lifetime(tokens);
    // A token must live long enough to be used, however short its whole life is.
    let slack = lifetime.map_or(Duration::ZERO, |lifetime| Duration::from_secs(5).min(lifetime / 10));
    let is_good = remaining.is_none_or(|remaining| remaining > slack);
    if let Some(ended) = &contents.header.ended {
        // What is over at the provider may still be good at its API for a while, if the end of it is known.
        let serves = is_good && !ended.rejected && !is_refused;
        return match remaining.map(|remaining| remaining - slack.min(remaining)) {
            Some(left) if serves => Step::Serve { for_: Some(left) },
            _ => Step::Reconnect(ended.reason),
        };
    }
    let can_refresh = policy.can_refresh(tokens, moment.now);
    if is_refused {
        return if can_refresh { Step::Refresh } else { Step::Reconnect(ReconnectReason::Expired) };
    }
    if demand == Demand::Due {
        let due = due_at(contents, policy).is_some_and(|due| due <= moment.now);
        return match (can_refresh, is_good) {
            (false, false) => Step::Reconnect(ReconnectReason::Expired),
            (true, true) if due => Step::ServeAndRefresh,
            (true, false) if due => Step::Refresh,
            _ => Step::Serve { for_: None },
        };
    }
    if !is_good {
        return if can_refresh { Step::Refresh } else { Step::Reconnect(ReconnectReason::Expired) };
    }
    let Some(remaining) = remaining else { return Step::Serve { for_: None } };
    if !can_refresh {
        return Step::Serve { for_: Some(remaining.saturating_sub(slack)) };
    }
    let quarter = lifetime.unwrap_or(remaining) / 4;
    let early = policy.early.min(quarter).max(slack);
    let early = early.saturating_add(early.mul_f64(jitter.clamp(0.0, 1.0) / 2.0)).min(quarter.max(slack));
    if remaining > early {
        return Step::Serve { for_: Some(remaining - early) };
    }
    // A refresh token that may be used up is not sent again while there is something to lose.
    if mark.is_some_and(|mark| !may_repeat(policy.rotation, mark, moment.now)) {
        return Step::Serve { for_: Some(remaining.saturating_sub(slack)) };
    }
    Step::ServeAndRefresh
}

/// Whether a refresh token whose fate is not known may be sent again although the access token is still good (r6).
pub(super) fn may_repeat(rotation: Rotation, mark: &RefreshMark, now: SystemTime) -> bool {
    match rotation {
        Rotation::None => true,
        Rotation::Grace(seconds) => {
            now.duration_since(mark.started_at).unwrap_or_default() < Duration::from_secs(u64::from(seconds))
        }
        Rotation::Strict => false,
    }
}

/// What `invalid_grant` means for a refresh token that was sent `attempts` times.
pub(super) const fn reason_of_refusal(rotation: Rotation, attempts: u32) -> ReconnectReason {
    match rotation {
        Rotation::Strict | Rotation::Grace(_) if attempts > 1 => ReconnectReason::RotationLost,
        _ => ReconnectReason::Refused,
    }
}

/// The mark of the attempt that comes after the mark that was found, by the SHA-256 of the refresh token. Where that is the
/// same the attempts are counted on, and the time stays the first one's: the refresh token may have been used up then. A mark of
/// the lease's own is found where the answer to a first call was lost. What that was written over nobody can tell, but it was
/// written after the record was looked at, `now`: it counts as an attempt like every other, and begins no later.
pub(super) fn mark_after(
    found: Option<&RefreshMark>,
    holder: LeaseHolder,
    hash: [u8; 32],
    now: SystemTime,
) -> RefreshMark {
    match found.filter(|mark| mark.refresh_token_hash == hash) {
        Some(mark) => {
            RefreshMark::new(holder, hash, mark.started_at.min(now)).attempt(mark.attempt.saturating_add(1))
        }
        None => RefreshMark::new(holder, hash, now),
    }
}

/// A mark of this process's own under which nothing was sent.
#[derive(Clone, Debug)]
pub(super) struct Unsent {
    pub(super) holder: LeaseHolder,
    /// What it was written over.
    pub(super) before: Option<RefreshMark>,
}

/// The mark of a record: one that a save took away is in the contents.
pub(super) fn mark_of(record: Option<RefreshMark>, contents: Option<RefreshMark>) -> Option<RefreshMark> {
    record.or(contents)
}

/// What a mark tells that was found in the record: under one's own that is unsent, what stood there before is still true.
pub(super) fn mark_that_counts(found: Option<RefreshMark>, unsent: Option<&Unsent>) -> Option<RefreshMark> {
    match (found, unsent) {
        (Some(found), Some(unsent)) if found.holder == unsent.holder => unsent.before.clone(),
        (found, _) => found,
    }
}

/// How often a refresh token was sent, as far as is known: by whom it was refused, and by whoever has marked the record since
/// with the same refresh token, because the lease was lost meanwhile.
pub(super) fn attempts(own: &RefreshMark, stored: Option<&RefreshMark>) -> u32 {
    let by_another = stored
        .filter(|stored| stored.holder != own.holder && stored.refresh_token_hash == own.refresh_token_hash);
    by_another.map_or(own.attempt, |stored| stored.attempt.max(own.attempt.saturating_add(1)))
}

/// Whether the mark stays after a refresh that failed. What an earlier attempt left in doubt stays in doubt when this one was
/// not used.
pub(super) const fn stays_in_doubt(fate: Fate, attempt: u32) -> bool {
    matches!(fate, Fate::Unknown) || attempt > 1
}

/// What becomes of new tokens whose record is not the one any more that was refreshed (r3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// They are newer than what is stored, and are saved over it.
    SaveOver,
    /// What is stored is newer, or is another connect.
    Superseded,
}

/// Compares the record that was refreshed with the one that is stored. `is_same_grant` if that one still holds the refresh
/// token that was sent: it is the same connection in another form, sealed anew, or given up by one who found its refresh
/// token used up. One that is older than what was refreshed is what a store has that lost a write.
pub(super) fn conflict(refreshed: &Version, stored: &Version, is_same_grant: bool) -> Conflict {
    if stored.incarnation() != refreshed.incarnation() {
        return Conflict::Superseded;
    }
    if is_same_grant || stored.counter() < refreshed.counter() {
        return Conflict::SaveOver;
    }
    Conflict::Superseded
}

/// Whether a record can be what a store holds, after it held `before`: within one connect versions only grow, and one version
/// has one content.
pub(super) fn can_follow(before: (&Version, &TokenSet), after: (&Version, &TokenSet)) -> bool {
    let ((old, old_tokens), (new, new_tokens)) = (before, after);
    if old.incarnation() != new.incarnation() {
        return true;
    }
    match new.counter().cmp(&old.counter()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => is_same(old_tokens, new_tokens),
        std::cmp::Ordering::Greater => true,
    }
}

/// Whether two token sets have the same tokens.
pub(super) fn is_same(one: &TokenSet, other: &TokenSet) -> bool {
    let refresh = match (&one.refresh_token, &other.refresh_token) {
        (Some(one), Some(other)) => one.ct_eq(other.expose()),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    refresh && one.access_token.ct_eq(other.access_token.expose())
}

/// How long the access token is good still, as far as is known. One that came later than it is, and than it was when it was
/// first seen here, came by a wall clock that was ahead: so is its end, and how old it is nobody knows.
fn remaining(tokens: &TokenSet, moment: Moment) -> Option<Duration> {
    let Expiry::At(at) = tokens.expiry else { return None };
    if tokens.received_at > saturating_add(moment.now.max(moment.seen_at), LEEWAY) {
        return Some(Duration::ZERO);
    }
    let by_wall = at.duration_since(moment.now).unwrap_or_default();
    let by_age = lifetime(tokens).unwrap_or_default().saturating_sub(moment.seen_for);
    Some(by_wall.min(by_age))
}

/// From the reply to the end of the access token.
fn lifetime(tokens: &TokenSet) -> Option<Duration> {
    match tokens.expiry {
        Expiry::At(at) => Some(at.duration_since(tokens.received_at).unwrap_or_default()),
        Expiry::Never | Expiry::Unknown => None,
    }
}

/// When an idle connection has to be refreshed, so that what refreshes it does not lapse; `None` if nothing lapses.
pub(super) fn due_at(contents: &Contents, policy: &Policy) -> Option<SystemTime> {
    let tokens = &contents.tokens;
    if contents.header.ended.is_some() {
        return None;
    }
    let from = tokens.received_at;
    let two_thirds = |end: SystemTime| {
        let whole = end.duration_since(from).unwrap_or_default();
        saturating_add(from, (whole / 3).saturating_mul(2))
    };
    match policy.input {
        RefreshInput::None => None,
        RefreshInput::AccessToken => match tokens.expiry {
            Expiry::At(end) => Some(two_thirds(end)),
            Expiry::Never => None,
            Expiry::Unknown => Some(saturating_add(from, policy.keep_alive)),
        },
        RefreshInput::RefreshToken => {
            tokens.refresh_token.as_ref()?;
            match tokens.refresh_expiry {
                Expiry::At(end) => Some(two_thirds(end).min(saturating_add(from, policy.keep_alive))),
                Expiry::Never => None,
                Expiry::Unknown => Some(saturating_add(from, policy.keep_alive)),
            }
        }
    }
}

/// What became of a refresh token whose refresh failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The provider no longer takes it.
    Ended,
    /// It was not used: the request did not get there, or was answered with a no.
    NotUsed,
    /// The provider may have used it up.
    Unknown,
}

/// What an error tells of the refresh token (r7).
pub(super) fn fate(error: &Error) -> Fate {
    if error.kind() == ErrorKind::InvalidGrant {
        return Fate::Ended;
    }
    let http = std::error::Error::source(error).and_then(|source| source.downcast_ref::<HttpError>());
    if let Some(http) = http {
        return match http.delivery() {
            Delivery::NotSent => Fate::NotUsed,
            Delivery::Unknown | Delivery::Answered => Fate::Unknown,
        };
    }
    match (error.status(), error.kind()) {
        // 503 is the one server error that says that nothing was done.
        (Some(status), _) if status == http::StatusCode::SERVICE_UNAVAILABLE => Fate::NotUsed,
        (Some(status), _) if status.is_success() || status.is_server_error() => Fate::Unknown,
        // An answer that a hook could not read.
        (None, ErrorKind::InvalidResponse | ErrorKind::Network | ErrorKind::Unavailable) => Fate::Unknown,
        // What else fails without a status fails before it is sent.
        (Some(_) | None, _) => Fate::NotUsed,
    }
}

/// For how long nothing is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoolDown {
    pub(super) first: Duration,
    pub(super) longest: Duration,
    /// The most that is believed of `Retry-After`.
    pub(super) longest_asked: Duration,
}

impl CoolDown {
    /// After the `failures`th failure in a row: it doubles, less up to a quarter; what the provider asked for is kept to.
    pub(super) fn after(&self, failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest);
        let own = own - own.mul_f64(jitter.clamp(0.0, 1.0) / 4.0);
        own.max(retry_after.unwrap_or_default().min(self.longest_asked))
    }

    /// The most that it ever is.
    pub(super) fn most(&self) -> Duration {
        self.longest.max(self.longest_asked)
    }
}

/// Whether a revocation was refused for the access token that authorizes it (RFC 6750 §3.1), and not for the client (RFC 6749 §5.2).
pub(super) fn is_about_access_token(error: &Error) -> bool {
    let is_client = error.server_error().is_some_and(|said| said.code().contains("client"));
    error.status() == Some(StatusCode::UNAUTHORIZED) && !is_client
}

/// Whether two id_tokens of one connection name two subjects (OpenID Connect Core §12.2). What cannot be read says nothing.
pub(super) fn is_other_account(before: &TokenSet, after: &TokenSet) -> bool {
    let accounts = before.account.as_ref().zip(after.account.as_ref());
    let subjects = subject(before).zip(subject(after));
    accounts.is_some_and(|(before, after)| before != after)
        || subjects.is_some_and(|(before, after)| before != after)
}

fn subject(tokens: &TokenSet) -> Option<String> {
    use base64::Engine as _;
    let payload = tokens.id_token.as_ref()?.expose().split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

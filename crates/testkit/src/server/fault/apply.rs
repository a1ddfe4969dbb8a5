//! What each fault does to a request, and to the reply to it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    BadExpiresIn, Coding, Declared, ErrorCode, Fault, RetryAfter, Sent,
    compress::{bomb, compress},
};
use crate::server::{
    refusal::Refusal,
    reply::{Content, Delivery, Format, Reply},
};

/// What a fault puts into descriptions: escapes of a terminal, line breaks, HTML, a right-to-left override.
const HOSTILE: &str =
    "\u{1b}[31mred\u{1b}[0m\r\nSet-Cookie: a=b\r\n\r\n<script>alert(1)</script>\u{202e}txt\0";

/// A reply that takes the place of what the endpoint would have done.
pub(in crate::server) fn before(fault: &Fault, now: SystemTime, elsewhere: &str) -> Option<Reply> {
    let page = |status: StatusCode, text: &str| {
        Reply::bytes(
            status,
            "text/html; charset=utf-8",
            format!(
                "<!doctype html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
            ),
        )
    };
    let reply = match fault {
        Fault::ResetBeforeResponse => {
            let mut reply = page(StatusCode::INTERNAL_SERVER_ERROR, "Connection reset");
            reply.delivery = Delivery::Reset;
            reply
        }
        Fault::TooManyRequests(retry) => {
            let body =
                json!({ "error": "temporarily_unavailable", "error_description": "too many requests" });
            retry_after(Reply::json(StatusCode::TOO_MANY_REQUESTS, &body), *retry, now)
        }
        Fault::ServerError(retry) => {
            retry_after(page(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"), *retry, now)
        }
        Fault::BadGateway => page(StatusCode::BAD_GATEWAY, "Bad Gateway"),
        Fault::Unavailable(retry) => {
            retry_after(page(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"), *retry, now)
        }
        Fault::Redirect { status, location } => {
            let status = StatusCode::from_u16(*status)
                .ok()
                .filter(StatusCode::is_redirection)
                .unwrap_or(StatusCode::TEMPORARY_REDIRECT);
            let mut reply = page(status, "Moved");
            reply.set(LOCATION, location.as_deref().unwrap_or(elsewhere));
            reply
        }
        Fault::DecompressionBomb(size) => {
            Reply::bytes(StatusCode::OK, "application/json", bomb(*size)).header("content-encoding", "gzip")
        }
        Fault::HtmlPage => page(StatusCode::OK, "Please sign in"),
        Fault::ErrorOn200 => {
            let body =
                json!({ "error": "bad_verification_code", "error_description": "The code is incorrect." });
            Reply::json(StatusCode::OK, &body)
        }
        _ => return None,
    };
    Some(reply)
}

fn retry_after(mut reply: Reply, shape: RetryAfter, now: SystemTime) -> Reply {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 60 * 60;
    let value = match shape {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Date(ahead) => http_date(now, ahead),
        RetryAfter::Garbage => "in a little while".to_owned(),
        RetryAfter::TenYears => TEN_YEARS.to_string(),
        RetryAfter::Absent => return reply,
    };
    reply.set(RETRY_AFTER, &value);
    reply
}

/// `httpdate` panics beyond the year 9999, so that far ahead counts as now.
fn http_date(now: SystemTime, ahead: Duration) -> String {
    const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
    let fits =
        |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since <= YEAR_9999);
    let time = now.checked_add(ahead).filter(fits).unwrap_or(SystemTime::UNIX_EPOCH);
    httpdate::fmt_http_date(time)
}

/// Makes a reply ready to leave: the API of Stack Exchange compresses.
pub(in crate::server) fn finish(reply: &mut Reply) {
    if reply.compressed {
        let body = compress(&reply.render(), Coding::Gzip);
        reply.content = Content::Bytes(body);
        reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        reply.compressed = false;
    }
}

/// Spoils a reply and makes it ready to leave. Says whether the fault shows in it.
pub(in crate::server) fn after(fault: &Fault, reply: &mut Reply) -> bool {
    let spoiled = spoil_content(fault, reply);
    finish(reply);
    spoiled || spoil_delivery(fault, reply)
}

fn spoil_delivery(fault: &Fault, reply: &mut Reply) -> bool {
    let delivery = match fault {
        Fault::SlowHeaders(pause) => Delivery::Late(*pause),
        Fault::StallHeaders => Delivery::Never,
        Fault::SlowBody(pause) => Delivery::Dripping(*pause),
        Fault::StallBody => Delivery::Stalled,
        Fault::ResetAfterCommit(Sent::Nothing) => Delivery::Reset,
        Fault::ResetAfterCommit(Sent::Headers) => Delivery::ResetAfter(0),
        Fault::ResetAfterCommit(Sent::HalfBody) => Delivery::ResetAfter(reply.render().len() / 2),
        Fault::TruncatedBody => Delivery::Short,
        Fault::TruncatedChunked => Delivery::ShortChunked,
        Fault::OversizedBody(size) => Delivery::Padded(*size),
        _ => return false,
    };
    reply.delivery = delivery;
    true
}

fn spoil_content(fault: &Fault, reply: &mut Reply) -> bool {
    if let Some(change) = FieldFault::of(fault) {
        return match &mut reply.content {
            Content::Fields(fields, format) if reply.status.is_success() => change.apply(fields, *format),
            _ => false,
        };
    }
    match fault {
        Fault::Compressed { coding, declared } => {
            let body = compress(&reply.render(), *coding);
            reply.content = Content::Bytes(body);
            reply.compressed = false;
            let name = if *coding == Coding::Gzip { "gzip" } else { "deflate" };
            if *declared == Declared::Yes {
                reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
            }
        }
        Fault::WrongContentType => {
            reply.render();
            reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        Fault::MissingContentType => {
            reply.headers.remove(CONTENT_TYPE);
        }
        Fault::EmptyBody => reply.content = Content::Bytes(Bytes::new()),
        Fault::InvalidJson => {
            let body = reply.render();
            reply.content = Content::Bytes(body.slice(..body.len().saturating_sub(2)));
        }
        Fault::InvalidUtf8 => {
            reply.content = Content::Bytes(Bytes::from_static(
                b"{\"access_token\":\"\xff\xfe\",\"token_type\":\"Bearer\"}",
            ));
        }
        Fault::DeepJson => reply.content = Content::Bytes("[".repeat(100_000).into()),
        Fault::JsonArray => {
            let body = [b"[", reply.render().as_ref(), b"]"].concat();
            reply.content = Content::Bytes(body.into());
        }
        Fault::TrailingGarbage => {
            let body = [reply.render().as_ref(), b"{}x"].concat();
            reply.content = Content::Bytes(body.into());
        }
        _ => return false,
    }
    true
}

/// A fault in the fields of a successful token reply.
struct FieldFault<'a>(&'a Fault);

impl<'a> FieldFault<'a> {
    fn of(fault: &'a Fault) -> Option<Self> {
        let concerns_fields = matches!(
            fault,
            Fault::MissingAccessToken
                | Fault::EmptyAccessToken
                | Fault::NullAccessToken
                | Fault::DuplicateMember
                | Fault::TokenWithCrLf
                | Fault::BadExpiresIn(_)
                | Fault::MissingExpiresIn
                | Fault::MissingTokenType
                | Fault::WrongTokenType
                | Fault::EmptyScope
                | Fault::MissingScope
                | Fault::OtherScope
                | Fault::MissingRefreshToken
        );
        concerns_fields.then_some(Self(fault))
    }

    /// Says whether a field was there to be changed.
    fn apply(&self, fields: &mut Vec<(String, Value)>, format: Format) -> bool {
        let lifetime =
            if format == Format::Form || has(fields, "expires") { "expires" } else { "expires_in" };
        match self.0 {
            Fault::MissingAccessToken => remove(fields, "access_token"),
            Fault::EmptyAccessToken => set(fields, "access_token", "".into()),
            Fault::NullAccessToken => set(fields, "access_token", Value::Null),
            Fault::DuplicateMember => {
                fields.push(("access_token".to_owned(), "another-access-token".into()));
                true
            }
            Fault::TokenWithCrLf => set(fields, "access_token", "access\r\nX-Injected: 1".into()),
            Fault::BadExpiresIn(kind) => set(fields, lifetime, strange_lifetime(*kind)),
            Fault::MissingExpiresIn => remove(fields, lifetime),
            Fault::MissingTokenType => remove(fields, "token_type"),
            Fault::WrongTokenType => set(fields, "token_type", "mac".into()),
            Fault::EmptyScope => set(fields, "scope", "".into()),
            Fault::MissingScope => remove(fields, "scope"),
            Fault::OtherScope => set(fields, "scope", "something-else".into()),
            Fault::MissingRefreshToken => remove(fields, "refresh_token"),
            _ => false,
        }
    }
}

fn strange_lifetime(kind: BadExpiresIn) -> Value {
    match kind {
        BadExpiresIn::NumberAsText => "3599".into(),
        BadExpiresIn::Fraction => json!(3599.5),
        BadExpiresIn::Zero => json!(0),
        BadExpiresIn::Negative => json!(-1),
        BadExpiresIn::Overflow => json!(u64::MAX),
        BadExpiresIn::Huge => json!(1e300),
        BadExpiresIn::Word => "soon".into(),
        BadExpiresIn::Boolean => json!(true),
        BadExpiresIn::Null => Value::Null,
        BadExpiresIn::Array => json!([]),
    }
}

fn has(fields: &[(String, Value)], name: &str) -> bool {
    fields.iter().any(|(n, _)| n == name)
}

fn remove(fields: &mut Vec<(String, Value)>, name: &str) -> bool {
    let before = fields.len();
    fields.retain(|(n, _)| n != name);
    fields.len() < before
}

fn set(fields: &mut [(String, Value)], name: &str, value: Value) -> bool {
    match fields.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => {
            *old = value;
            true
        }
        None => false,
    }
}

impl Fault {
    /// The refusal that this fault stands for.
    pub(in crate::server) fn refusal(&self) -> Option<Refusal> {
        let refusal = match self {
            Self::Refuse(code) => Refusal::new(code.as_str(), "the fault says so"),
            Self::HostileDescription => Refusal::new("invalid_request", HOSTILE),
            Self::HugeDescription => Refusal::new("invalid_request", &"long ".repeat((1 << 20) / 5)),
            Self::Throttled => Refusal::new("throttle_violation", "too many requests from this IP"),
            _ => return None,
        };
        Some(match self {
            Self::Refuse(ErrorCode::InvalidClient | ErrorCode::InvalidToken) => {
                refusal.with_status(StatusCode::UNAUTHORIZED)
            }
            _ => refusal,
        })
    }

    /// A refusal in a shape of its own, whatever the personality.
    pub(in crate::server) fn shaped_refusal(&self) -> Option<(&'static str, Reply)> {
        match self {
            Self::ContentstackError => {
                let body = json!({
                    "error_message": "The token request was refused.",
                    "error_code": 118,
                    "errors": { "code": ["is not valid."] },
                });
                Some(("118", Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &body)))
            }
            Self::MessageError => {
                let body = json!({ "message": "The token request was refused." });
                Some(("message", Reply::json(StatusCode::BAD_REQUEST, &body)))
            }
            _ => None,
        }
    }

    /// The error that this fault puts into the callback: `error`, `error_description`, `error_uri`.
    pub(in crate::server) fn callback_error(
        &self,
    ) -> Option<(&'static str, &'static str, Option<&'static str>)> {
        match self {
            Self::DenyByServer => Some(("access_denied", "the server denied the request", None)),
            Self::ServerErrorAtAuthorize => {
                Some(("server_error", "the server met an unexpected condition", None))
            }
            Self::HostileCallbackError => Some(("invalid_scope", HOSTILE, Some("javascript:alert(1)"))),
            _ => None,
        }
    }

    /// Whether it shows in the redirect back to the client, and not in the page that asks the user.
    pub(super) fn is_of_callback(&self) -> bool {
        matches!(
            self,
            Self::WrongState
                | Self::MissingState
                | Self::DuplicateState
                | Self::DuplicateCode
                | Self::MissingCode
                | Self::WrongIss
                | Self::MissingIss
                | Self::DuplicateIss
                | Self::CodeAndError
                | Self::TokenInCallback
                | Self::DenyByServer
                | Self::ServerErrorAtAuthorize
                | Self::HostileCallbackError
        )
    }
}

/// Changes the parameters of an authorization response. Says whether the fault shows in them.
pub(in crate::server) fn redirect_pairs(fault: &Fault, pairs: &mut Vec<(&'static str, String)>) -> bool {
    let other = |name: &str| match name {
        "iss" => "https://attacker.example".to_owned(),
        _ => format!("another-{name}"),
    };
    let is_success = pairs.iter().any(|(name, _)| *name == "code");
    let change = |pairs: &mut Vec<(&'static str, String)>, name: &'static str| {
        let found = pairs.iter_mut().find(|(n, _)| *n == name);
        found.map(|(_, value)| *value = other(name)).is_some()
    };
    let drop = |pairs: &mut Vec<(&'static str, String)>, name: &'static str| {
        let before = pairs.len();
        pairs.retain(|(n, _)| *n != name);
        pairs.len() < before
    };
    let double = |pairs: &mut Vec<(&'static str, String)>, name: &'static str| {
        let there = pairs.iter().any(|(n, _)| *n == name);
        if there {
            pairs.push((name, other(name)));
        }
        there
    };
    match fault {
        Fault::WrongState => change(pairs, "state"),
        Fault::MissingState => drop(pairs, "state"),
        Fault::DuplicateState => double(pairs, "state"),
        Fault::DuplicateCode => double(pairs, "code"),
        Fault::MissingCode => drop(pairs, "code"),
        Fault::WrongIss => change(pairs, "iss"),
        Fault::MissingIss => drop(pairs, "iss"),
        Fault::DuplicateIss => double(pairs, "iss"),
        Fault::CodeAndError if is_success => {
            pairs.push(("error", "access_denied".to_owned()));
            true
        }
        Fault::TokenInCallback if is_success => {
            pairs.push(("access_token", "injected-access-token".to_owned()));
            true
        }
        _ => false,
    }
}

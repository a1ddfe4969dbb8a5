//! Names and one-line descriptions: one match, so that no fault can be without.

use std::time::Duration;

use super::{BadExpiresIn, Coding, Declared, ErrorCode, Fault, RetryAfter, Sent};
use crate::server::ledger::Endpoint;

pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) endpoint: Endpoint,
}

const fn token(name: &'static str, about: &'static str) -> Description {
    Description { name, about, endpoint: Endpoint::Token }
}

const fn resource(name: &'static str, about: &'static str) -> Description {
    Description { name, about, endpoint: Endpoint::Resource }
}

const fn callback(name: &'static str, about: &'static str) -> Description {
    Description { name, about, endpoint: Endpoint::Authorization }
}

impl Fault {
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::SlowHeaders(_) => token("slow-headers", "the response starts late"),
            Self::StallHeaders => token("stall-headers", "done, but no response ever comes"),
            Self::SlowBody(_) => token("slow-body", "the body comes one byte at a time"),
            Self::StallBody => {
                token("stall-body", "done, but the body stops half-way and the connection stays open")
            }
            Self::ResetBeforeResponse => {
                token("reset-before-response", "nothing is done, the connection is reset")
            }
            Self::ResetAfterCommit(Sent::Nothing) => {
                token("reset-after-commit", "done, then the connection is reset without a response")
            }
            Self::ResetAfterCommit(Sent::Headers) => {
                token("reset-after-headers", "done, then the connection is reset after the headers")
            }
            Self::ResetAfterCommit(Sent::HalfBody) => {
                token("reset-in-body", "done, then the connection is reset half-way through the body")
            }
            Self::TruncatedBody => token("truncated-body", "Content-Length promises more than comes"),
            Self::TruncatedChunked => token("truncated-chunked", "a chunked body without its last chunk"),
            Self::OversizedBody(_) => token("oversized-body", "the body is followed by many MiB of spaces"),
            Self::TooManyRequests(retry) => match retry {
                RetryAfter::Seconds(_) => token("too-many-requests", "429, Retry-After in seconds"),
                RetryAfter::Date(_) => token("too-many-requests-date", "429, Retry-After as a date"),
                RetryAfter::Garbage => token("too-many-requests-garbage", "429, an unreadable Retry-After"),
                RetryAfter::TenYears => token("too-many-requests-ten-years", "429, Retry-After of ten years"),
                RetryAfter::Absent => token("too-many-requests-absent", "429 without Retry-After"),
            },
            // A 500 seldom says when to come back, so the plain name is the one without the header.
            Self::ServerError(retry) => match retry {
                RetryAfter::Absent => token("server-error", "500 with an HTML page, nothing is done"),
                RetryAfter::Seconds(_) => token("server-error-seconds", "500, Retry-After in seconds"),
                RetryAfter::Date(_) => token("server-error-date", "500, Retry-After as a date"),
                RetryAfter::Garbage => token("server-error-garbage", "500, an unreadable Retry-After"),
                RetryAfter::TenYears => token("server-error-ten-years", "500, Retry-After of ten years"),
            },
            Self::BadGateway => token("bad-gateway", "502 with an HTML page, nothing is done"),
            Self::Unavailable(retry) => match retry {
                RetryAfter::Seconds(_) => token("unavailable", "503, Retry-After in seconds"),
                RetryAfter::Date(_) => token("unavailable-date", "503, Retry-After as a date"),
                RetryAfter::Garbage => token("unavailable-garbage", "503, an unreadable Retry-After"),
                RetryAfter::TenYears => token("unavailable-ten-years", "503, Retry-After of ten years"),
                RetryAfter::Absent => token("unavailable-absent", "503 without Retry-After"),
            },
            Self::Redirect { status: 301, .. } => token("redirect-301", "301 to another path"),
            Self::Redirect { status: 302, .. } => token("redirect-302", "302 to another path"),
            Self::Redirect { status: 303, .. } => token("redirect-303", "303 to another path"),
            Self::Redirect { status: 308, .. } => token("redirect-308", "308 to another path"),
            Self::Redirect { .. } => token("redirect-307", "307 to another path"),
            Self::Compressed { coding, declared } => match (coding, declared) {
                (Coding::Gzip, Declared::Yes) => {
                    token("gzip", "compressed with gzip, although not asked for")
                }
                (Coding::Gzip, Declared::No) => {
                    token("gzip-undeclared", "compressed with gzip without saying so")
                }
                (Coding::Deflate, Declared::Yes) => {
                    token("deflate", "compressed with deflate, although not asked for")
                }
                (Coding::Deflate, Declared::No) => {
                    token("deflate-undeclared", "compressed with deflate without saying so")
                }
                (Coding::RawDeflate, Declared::Yes) => {
                    token("raw-deflate", "deflate without the zlib format around it")
                }
                (Coding::RawDeflate, Declared::No) => {
                    token("raw-deflate-undeclared", "raw deflate without saying so")
                }
            },
            Self::DecompressionBomb(_) => {
                token("decompression-bomb", "a small gzip body that becomes a huge one")
            }
            Self::HtmlPage => token("html-page", "200 with an HTML page instead of a reply"),
            Self::WrongContentType => token("wrong-content-type", "the right body under text/plain"),
            Self::MissingContentType => token("missing-content-type", "the right body without Content-Type"),
            Self::ErrorOn200 => token("error-on-200", "an error object with status 200"),
            Self::EmptyBody => token("empty-body", "done, but the body is empty"),
            Self::InvalidJson => token("invalid-json", "done, but the JSON ends in the middle"),
            Self::InvalidUtf8 => token("invalid-utf8", "done, but the body is not UTF-8"),
            Self::DeepJson => token("deep-json", "done, but the body is deeply nested arrays"),
            Self::JsonArray => token("json-array", "done, but the body is an array"),
            Self::TrailingGarbage => token("trailing-garbage", "done, but something follows the JSON object"),
            Self::MissingAccessToken => token("missing-access-token", "no access_token in the reply"),
            Self::EmptyAccessToken => token("empty-access-token", "access_token is empty"),
            Self::NullAccessToken => token("null-access-token", "access_token is null"),
            Self::DuplicateMember => token("duplicate-member", "access_token comes twice with two values"),
            Self::TokenWithCrLf => token("token-with-crlf", "access_token contains CR and LF"),
            Self::BadExpiresIn(kind) => match kind {
                BadExpiresIn::NumberAsText => token("expires-in-text", "expires_in is a number as text"),
                BadExpiresIn::Fraction => token("expires-in-fraction", "expires_in is a fraction"),
                BadExpiresIn::Zero => token("expires-in-zero", "expires_in is 0"),
                BadExpiresIn::Negative => token("expires-in-negative", "expires_in is negative"),
                BadExpiresIn::Overflow => token("expires-in-overflow", "expires_in is 2 to the 64 less one"),
                BadExpiresIn::Huge => token("expires-in-huge", "expires_in is 1e300"),
                BadExpiresIn::Word => token("expires-in-word", "expires_in is a word"),
                BadExpiresIn::Boolean => token("expires-in-boolean", "expires_in is true"),
                BadExpiresIn::Null => token("expires-in-null", "expires_in is null"),
                BadExpiresIn::Array => token("expires-in-array", "expires_in is an array"),
            },
            Self::MissingExpiresIn => token("missing-expires-in", "no expires_in in the reply"),
            Self::MissingTokenType => token("missing-token-type", "no token_type in the reply"),
            Self::WrongTokenType => token("wrong-token-type", "token_type is mac"),
            Self::EmptyScope => token("empty-scope", "scope is empty"),
            Self::MissingScope => token("missing-scope", "no scope in the reply"),
            Self::OtherScope => token("other-scope", "scope names something that was not asked for"),
            Self::MissingRefreshToken => token("missing-refresh-token", "no refresh_token in the reply"),
            Self::Refuse(code) => match code {
                ErrorCode::InvalidRequest => token("invalid-request", "refused with invalid_request"),
                ErrorCode::InvalidClient => token("invalid-client", "refused with invalid_client"),
                ErrorCode::InvalidGrant => token("invalid-grant", "refused with invalid_grant"),
                ErrorCode::UnauthorizedClient => {
                    token("unauthorized-client", "refused with unauthorized_client")
                }
                ErrorCode::UnsupportedGrantType => {
                    token("unsupported-grant-type", "refused with unsupported_grant_type")
                }
                ErrorCode::InvalidScope => token("invalid-scope", "refused with invalid_scope"),
                ErrorCode::InvalidToken => {
                    resource("invalid-token", "the resource refuses the token with 401")
                }
                ErrorCode::Other(_) => {
                    token("unknown-error", "refused with an error code of the server's own")
                }
            },
            Self::HostileDescription => {
                token("hostile-description", "control characters and HTML in the description")
            }
            Self::HugeDescription => token("huge-description", "an error description of 1 MiB"),
            Self::RotationReuse => token("rotation-reuse", "the refresh token counts as used before"),
            Self::ContentstackError => token("contentstack-error", "422 with error_message and error_code"),
            Self::MessageError => token("message-error", "400 with only a message"),
            Self::Throttled => resource("throttled", "Stack Exchange's throttle_violation"),
            Self::Backoff(_) => resource("backoff", "Stack Exchange's backoff in the wrapper"),
            Self::WrongState => callback("wrong-state", "the callback has another state"),
            Self::MissingState => callback("missing-state", "the callback has no state"),
            Self::DuplicateState => callback("duplicate-state", "the callback has state twice"),
            Self::DuplicateCode => callback("duplicate-code", "the callback has code twice"),
            Self::MissingCode => callback("missing-code", "the callback has no code"),
            Self::WrongIss => callback("wrong-iss", "the callback's iss is another issuer"),
            Self::MissingIss => callback("missing-iss", "the callback has no iss"),
            Self::DuplicateIss => callback("duplicate-iss", "the callback has iss twice"),
            Self::CodeAndError => callback("code-and-error", "the callback has code and error"),
            Self::TokenInCallback => callback("token-in-callback", "the callback has an access_token"),
            Self::DenyByServer => callback("deny-by-server", "the server answers access_denied"),
            Self::ServerErrorAtAuthorize => {
                callback("authorize-server-error", "the callback has error=server_error")
            }
            Self::HostileCallbackError => callback(
                "hostile-callback-error",
                "the callback's error_description and error_uri are hostile",
            ),
            Self::WrongMetadataIssuer => Description {
                name: "wrong-metadata-issuer",
                about: "the metadata names another issuer",
                endpoint: Endpoint::Metadata,
            },
        }
    }
}

pub(super) fn all() -> Vec<Fault> {
    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;
    let retry_after = [
        RetryAfter::Seconds(7),
        RetryAfter::Date(Duration::from_secs(7)),
        RetryAfter::Garbage,
        RetryAfter::TenYears,
        RetryAfter::Absent,
    ];
    let mut faults = vec![
        Fault::SlowHeaders(SECOND),
        Fault::StallHeaders,
        Fault::SlowBody(Duration::from_millis(50)),
        Fault::StallBody,
        Fault::ResetBeforeResponse,
        Fault::ResetAfterCommit(Sent::Nothing),
        Fault::ResetAfterCommit(Sent::Headers),
        Fault::ResetAfterCommit(Sent::HalfBody),
        Fault::TruncatedBody,
        Fault::TruncatedChunked,
        Fault::OversizedBody(32 * MIB),
    ];
    faults.extend(retry_after.map(Fault::TooManyRequests));
    faults.extend(retry_after.map(Fault::ServerError));
    faults.push(Fault::BadGateway);
    faults.extend(retry_after.map(Fault::Unavailable));
    faults.extend([301, 302, 303, 307, 308].map(|status| Fault::Redirect { status, location: None }));
    for coding in [Coding::Gzip, Coding::Deflate, Coding::RawDeflate] {
        faults.extend([Declared::Yes, Declared::No].map(|declared| Fault::Compressed { coding, declared }));
    }
    faults.extend([
        Fault::DecompressionBomb(1024 * MIB),
        Fault::HtmlPage,
        Fault::WrongContentType,
        Fault::MissingContentType,
        Fault::ErrorOn200,
        Fault::EmptyBody,
        Fault::InvalidJson,
        Fault::InvalidUtf8,
        Fault::DeepJson,
        Fault::JsonArray,
        Fault::TrailingGarbage,
        Fault::MissingAccessToken,
        Fault::EmptyAccessToken,
        Fault::NullAccessToken,
        Fault::DuplicateMember,
        Fault::TokenWithCrLf,
    ]);
    faults.extend(
        [
            BadExpiresIn::NumberAsText,
            BadExpiresIn::Fraction,
            BadExpiresIn::Zero,
            BadExpiresIn::Negative,
            BadExpiresIn::Overflow,
            BadExpiresIn::Huge,
            BadExpiresIn::Word,
            BadExpiresIn::Boolean,
            BadExpiresIn::Null,
            BadExpiresIn::Array,
        ]
        .map(Fault::BadExpiresIn),
    );
    faults.extend([
        Fault::MissingExpiresIn,
        Fault::MissingTokenType,
        Fault::WrongTokenType,
        Fault::EmptyScope,
        Fault::MissingScope,
        Fault::OtherScope,
        Fault::MissingRefreshToken,
    ]);
    faults.extend(
        [
            ErrorCode::InvalidRequest,
            ErrorCode::InvalidClient,
            ErrorCode::InvalidGrant,
            ErrorCode::UnauthorizedClient,
            ErrorCode::UnsupportedGrantType,
            ErrorCode::InvalidScope,
            ErrorCode::InvalidToken,
            ErrorCode::Other("out_of_coffee".to_owned()),
        ]
        .map(Fault::Refuse),
    );
    faults.extend([
        Fault::HostileDescription,
        Fault::HugeDescription,
        Fault::RotationReuse,
        Fault::ContentstackError,
        Fault::MessageError,
        Fault::Throttled,
        Fault::Backoff(10),
        Fault::WrongState,
        Fault::MissingState,
        Fault::DuplicateState,
        Fault::DuplicateCode,
        Fault::MissingCode,
        Fault::WrongIss,
        Fault::MissingIss,
        Fault::DuplicateIss,
        Fault::CodeAndError,
        Fault::TokenInCallback,
        Fault::DenyByServer,
        Fault::ServerErrorAtAuthorize,
        Fault::HostileCallbackError,
        Fault::WrongMetadataIssuer,
    ]);
    faults
}

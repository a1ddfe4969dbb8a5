//! The kinds of errors.

/// The kinds of [`Error`](super::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The user, or the provider for the user, said no (`access_denied`, RFC 6749 §4.1.2.1).
    AccessDenied,
    /// A refresh brought the tokens of another account than the connection's. They were not kept.
    AccountChanged,
    /// The provider answered the authorization request with another error (RFC 6749 §4.1.2.1).
    AuthorizationFailed,
    /// The callback is not an authorization response: no state, parameters twice, code and error, or not text.
    CallbackMalformed,
    /// A mistake in how the provider, the client or the flow is set up.
    Configuration,
    /// A request would have gone to an origin that the provider does not list.
    ForeignOrigin,
    /// A record was written in a format that this release does not read: by a newer release, or by one that is too old.
    FormatUnknown,
    /// The provider no longer accepts the grant (`invalid_grant`, RFC 6749 §5.2).
    InvalidGrant,
    /// The provider's answer is not what the protocol says, or what its quirks describe.
    InvalidResponse,
    /// The task that did the work ended before it was done: it panicked, its runtime is gone, or the program shuts down.
    Interrupted,
    /// The `iss` of the callback is not the issuer that the flow was begun with (RFC 9207 §2.4).
    IssuerMismatch,
    /// The key ring does not have the key that a record was sealed with. The record opens again once the key is back.
    KeyUnknown,
    /// The key ring has another key under the id of the one that a record was sealed with.
    KeyWrong,
    /// The key source does not give its keys now, so that nothing can be sealed or opened.
    KeysUnavailable,
    /// A connection has come to its end at the provider, and only its user can bring it back.
    NeedsReconnect,
    /// The request did not get through, or its answer did not get back.
    Network,
    /// There is no such connection: it was never made, or it was disconnected.
    NotConnected,
    /// The provider gave tokens and the store did not take them.
    NotDurable,
    /// The operating system gave no random bytes.
    Randomness,
    /// The provider asks to slow down (HTTP 429).
    RateLimited,
    /// Another process refreshes this connection, and did not come to an end while the caller waited.
    RefreshPending,
    /// The provider refused a request for another reason than the grant (RFC 6749 §5.2).
    Refused,
    /// A refresh was sent whose answer never came or was not saved, and the provider no longer takes the refresh token of
    /// before: the one that replaced it is lost.
    RotationLost,
    /// No pending flow fits: the state is unknown, used, expired, or of another browser, user or provider.
    ///
    /// Which of these it is, is not told: the difference would help only an attacker.
    StateNotFound,
    /// A store refused to overwrite.
    StoreConflict,
    /// A store did what its contract rules out, such as to answer with the record of another connection.
    StoreContractViolated,
    /// A store holds something that cannot be read: a pending flow, which is gone then, or a connection, which is left as it
    /// is. The user begins again, and a new connect replaces the connection; a person who has a copy may restore it instead.
    StoreCorrupt,
    /// A store was asked and its answer was lost, so that a state may be used up.
    StoreOutcomeUnknown,
    /// A store does not answer, or refuses. What was asked was not done.
    StoreUnavailable,
    /// The provider is down (HTTP 5xx), or did not take the request now (408, 425).
    Unavailable,
    /// The provider has no such thing: no refresh, no revocation.
    Unsupported,
    /// An argument of the call is not possible, such as a redirect URI that is not registered.
    Usage,
}

impl ErrorKind {
    /// A short name, fit for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AccountChanged => "account_changed",
            Self::AuthorizationFailed => "authorization_failed",
            Self::CallbackMalformed => "callback_malformed",
            Self::Configuration => "configuration",
            Self::ForeignOrigin => "foreign_origin",
            Self::FormatUnknown => "format_unknown",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidResponse => "invalid_response",
            Self::Interrupted => "interrupted",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::KeyUnknown => "key_unknown",
            Self::KeyWrong => "key_wrong",
            Self::KeysUnavailable => "keys_unavailable",
            Self::NeedsReconnect => "needs_reconnect",
            Self::Network => "network",
            Self::NotConnected => "not_connected",
            Self::NotDurable => "not_durable",
            Self::Randomness => "randomness",
            Self::RateLimited => "rate_limited",
            Self::RefreshPending => "refresh_pending",
            Self::Refused => "refused",
            Self::RotationLost => "rotation_lost",
            Self::StateNotFound => "state_not_found",
            Self::StoreConflict => "store_conflict",
            Self::StoreContractViolated => "store_contract_violated",
            Self::StoreCorrupt => "store_corrupt",
            Self::StoreOutcomeUnknown => "store_outcome_unknown",
            Self::StoreUnavailable => "store_unavailable",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Usage => "usage",
        }
    }
}

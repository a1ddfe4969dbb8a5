//! The pages: what is shown, and the trait with which an application shows it in its own way.

mod accounts;
mod clean;
mod default;
mod document;
mod messages;
mod moment;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod texts;

use std::time::{Duration, SystemTime};

use authflow_core::{Connection, Error, ErrorKind, Expiry, Health, Recovery, Scopes, ServerError};

pub use self::default::DefaultPages;
pub use self::texts::{Message, Text, Texts};

/// The hidden field of every form that holds the form token.
pub const TOKEN_FIELD: &str = "token";
/// The hidden field of the disconnect form that names the account; empty where none is known.
pub const ACCOUNT_FIELD: &str = "account";
/// The hidden field of the connect forms that says where to go on.
pub const RETURN_TO_FIELD: &str = "return_to";

/// Renders the pages. [`DefaultPages`] is the one that comes with the crate.
///
/// All paths in a [`Page`] are ready to be used as `href` or `action`: with the base, percent-encoded, and on the
/// application's own origin. Names, accounts and scopes are a stranger's text: escape them, keep their direction of writing to
/// themselves (`<bdi>`), and make no link of them.
pub trait Pages: Send + Sync + 'static {
    /// The whole document, as HTML in UTF-8.
    fn render(&self, page: &Page<'_>) -> String;

    /// The value of the `Content-Security-Policy` header that goes with every page.
    ///
    /// Leave out `form-action`: browsers apply it to the redirect to the provider, too.
    fn content_security_policy(&self) -> String;
}

/// A page, and what it shows. There is no token of a provider in it, and nothing that a provider said in a callback.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Page<'a> {
    /// The connections of the user who is signed in.
    #[non_exhaustive]
    Accounts {
        /// The connections.
        connections: &'a [AccountRow<'a>],
        /// All providers that can be connected, in the order in which they are shown.
        providers: &'a [ProviderLink<'a>],
        /// How many connections there are beside these that could not be read.
        unreadable: usize,
        /// What has just happened.
        notice: Option<Notice<'a>>,
        /// The form token.
        form_token: Option<&'a str>,
        /// Where connecting comes back to: the path of this page.
        return_to: Option<&'a str>,
        /// The time.
        now: SystemTime,
    },
    /// Nobody is signed in, and here one signs in with a provider.
    #[non_exhaustive]
    SignIn {
        /// With which.
        providers: &'a [ProviderLink<'a>],
        /// Where to go on.
        return_to: Option<&'a str>,
    },
    /// Nobody is signed in, and the application has its own way to sign in.
    #[non_exhaustive]
    SignedOut {
        /// The path of the accounts page.
        accounts: &'a str,
        /// Where one signs in and comes back, if the application says where.
        sign_in: Option<&'a str>,
    },
    /// The provider sent the user back, and nobody is signed in any more.
    #[non_exhaustive]
    SignInThenConnect {
        /// The provider.
        provider: ProviderLink<'a>,
        /// The path of the accounts page.
        accounts: &'a str,
        /// Where one signs in and comes to the accounts page, if the application says where.
        sign_in: Option<&'a str>,
    },
    /// Something else than a page of the application asked to connect: the user has to say so.
    #[non_exhaustive]
    Confirm {
        /// The provider.
        provider: ProviderLink<'a>,
        /// Whether another site led here; otherwise the address was typed, or is a bookmark.
        foreign: bool,
        /// The form token.
        form_token: Option<&'a str>,
        /// Where to go on.
        return_to: Option<&'a str>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// Another site asked to disconnect. Nothing was done.
    #[non_exhaustive]
    DisconnectRefused {
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// A request to disconnect does not say in a form, and once, which account is meant. Nothing was done.
    #[non_exhaustive]
    DisconnectUnclear {
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The user said no at the provider.
    #[non_exhaustive]
    Denied {
        /// The provider.
        provider: ProviderLink<'a>,
        /// The form token.
        form_token: Option<&'a str>,
        /// Where to go on.
        return_to: Option<&'a str>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The flow failed.
    #[non_exhaustive]
    Failed {
        /// The provider.
        provider: ProviderLink<'a>,
        /// Why.
        reason: FailedReason,
        /// The form token.
        form_token: Option<&'a str>,
        /// Where to go on.
        return_to: Option<&'a str>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The callback fits no flow of this browser.
    #[non_exhaustive]
    NotAccepted {
        /// The provider whose callback it is.
        provider: ProviderLink<'a>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The flow was begun in this browser, and took too long.
    #[non_exhaustive]
    Expired {
        /// The provider.
        provider: ProviderLink<'a>,
        /// The form token.
        form_token: Option<&'a str>,
        /// Where to go on.
        return_to: Option<&'a str>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The flow has come to its end before, and this is its callback once more.
    #[non_exhaustive]
    Ended {
        /// The provider.
        provider: ProviderLink<'a>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The flow was begun by another user than the one who is signed in now.
    #[non_exhaustive]
    UserChanged {
        /// The provider.
        provider: ProviderLink<'a>,
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// A step between: the browser goes on by itself.
    #[non_exhaustive]
    Continue {
        /// The path that it goes on to.
        to: &'a str,
    },
    /// Something does not answer, and nothing is lost: the same request works later.
    #[non_exhaustive]
    Unavailable {
        /// How long to wait, where that is known.
        retry_after: Option<Duration>,
        /// Whether a link to this page fetches it again as it was fetched: not so after a POST.
        reloadable: bool,
    },
    /// There is no such page.
    #[non_exhaustive]
    NotFound {
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The page is there, and not for this method.
    #[non_exhaustive]
    MethodNotAllowed {
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The request is too large.
    #[non_exhaustive]
    TooLarge {
        /// The path of the accounts page.
        accounts: &'a str,
    },
    /// The application, or its configuration, failed.
    #[non_exhaustive]
    Broken {
        /// The path of the accounts page.
        accounts: &'a str,
    },
}

/// A provider, and how to connect it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProviderLink<'a> {
    /// The provider id.
    pub id: &'a str,
    /// The name that is shown.
    pub name: &'a str,
    /// The path that the connect form is posted to.
    pub connect: &'a str,
}

impl<'a> ProviderLink<'a> {
    /// A provider by its three parts.
    #[must_use]
    pub const fn new(id: &'a str, name: &'a str, connect: &'a str) -> Self {
        Self { id, name, connect }
    }
}

/// A connection, as the accounts page shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountRow<'a> {
    /// The provider id.
    pub provider_id: &'a str,
    /// The name of the provider that is shown.
    pub provider_name: &'a str,
    /// The account at the provider, where it is known.
    pub account: Option<&'a str>,
    /// The path that the disconnect form is posted to; none where the provider is no longer set up.
    pub disconnect: Option<&'a str>,
    /// The scopes that were granted.
    pub scopes: Scopes,
    /// The scopes that were asked for and not granted.
    pub missing_scopes: Scopes,
    /// When the user connected it.
    pub connected_at: SystemTime,
    /// When it was last refreshed.
    pub refreshed_at: Option<SystemTime>,
    /// Until when the access token is good.
    pub expiry: Expiry,
    /// Until when the refresh token is good.
    pub refresh_expiry: Expiry,
    /// Whether it refreshes by itself.
    pub refreshes: bool,
    /// Until when its provider is not asked for a refresh: it said so, or could not answer.
    pub paused_until: Option<SystemTime>,
    /// Whether it works.
    pub health: Health,
}

impl<'a> AccountRow<'a> {
    /// What is shown of a connection.
    #[must_use]
    pub fn new(connection: &'a Connection, provider_name: &'a str, disconnect: Option<&'a str>) -> Self {
        Self {
            provider_id: connection.key.provider_id(),
            provider_name,
            account: connection.key.account(),
            disconnect,
            scopes: connection.scopes.clone(),
            missing_scopes: connection.missing_scopes.clone(),
            connected_at: connection.connected_at,
            refreshed_at: connection.refreshed_at,
            expiry: connection.expiry,
            refresh_expiry: connection.refresh_expiry,
            refreshes: connection.is_refreshable,
            paused_until: connection.paused_until,
            health: connection.health,
        }
    }
}

/// What has just happened, for a line on the accounts page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice<'a> {
    /// What.
    pub kind: NoticeKind,
    /// The name of the provider.
    pub provider_name: &'a str,
}

impl<'a> Notice<'a> {
    /// What happened, and with which provider.
    #[must_use]
    pub const fn new(kind: NoticeKind, provider_name: &'a str) -> Self {
        Self { kind, provider_name }
    }
}

/// The kinds of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// An account was connected.
    Connected,
    /// An account was disconnected, and the provider revoked the access.
    Disconnected,
    /// An account was disconnected here, and the provider could not be told, or has no way to be told.
    DisconnectedHere,
    /// There was nothing to disconnect.
    WasNotConnected,
}

impl NoticeKind {
    const ALL: [Self; 4] =
        [Self::Connected, Self::Disconnected, Self::DisconnectedHere, Self::WasNotConnected];

    /// A short name, fit for a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::DisconnectedHere => "disconnected_here",
            Self::WasNotConnected => "was_not_connected",
        }
    }

    /// The kind of this short name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Why a flow failed, as far as a page tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailedReason {
    /// A mistake in how the application is set up: its operator has to act.
    Configuration,
    /// Nothing of the others: begin again.
    Other,
    /// The provider said no, or what it said is not what the protocol says.
    Refused,
    /// The provider gave access, and it could not be saved.
    NotSaved,
    /// The application did not sign the account in.
    SignInRefused,
    /// The answer of the provider was too large to be kept while the user signs in.
    TooLarge,
    /// The provider, or something on the way, does not answer.
    Unavailable,
}

impl FailedReason {
    const ALL: [Self; 7] = [
        Self::Configuration,
        Self::Other,
        Self::Refused,
        Self::NotSaved,
        Self::SignInRefused,
        Self::TooLarge,
        Self::Unavailable,
    ];

    /// The reason of an error, by its kind and what can be done about it.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match (error.kind(), error.recovery()) {
            (ErrorKind::NotDurable, _) => Self::NotSaved,
            (ErrorKind::StoreContractViolated, _) => Self::Configuration,
            // The state is used up, so that `recovery` says to begin again.
            (ErrorKind::AuthorizationFailed, _) if is_busy(error) => Self::Unavailable,
            (ErrorKind::Network | ErrorKind::Unavailable | ErrorKind::RateLimited, _)
            | (_, Recovery::Retry { .. }) => Self::Unavailable,
            (_, Recovery::FixConfiguration) => Self::Configuration,
            (_, Recovery::GiveUp) => Self::Refused,
            _ => Self::Other,
        }
    }

    /// A short name, fit for a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Other => "other",
            Self::Refused => "refused",
            Self::NotSaved => "not_saved",
            Self::SignInRefused => "sign_in_refused",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
        }
    }

    /// The reason of this short name; [`Other`](Self::Other) for any that is not known.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Other)
    }
}

/// Whether the provider says in its answer that it is at fault itself, and for now (RFC 6749 §4.1.2.1).
fn is_busy(error: &Error) -> bool {
    let code = error.server_error().map(ServerError::code);
    matches!(code, Some("server_error" | "temporarily_unavailable"))
}

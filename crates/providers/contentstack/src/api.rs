//! What Contentstack's tokens carry, and what its API means by a 401.

use authflow_core::{HttpResponse, TokenSet};
use http::StatusCode;

use crate::error::ApiError;
use crate::region::Region;

/// A token set with Contentstack's own fields, by name. What is empty on the wire is absent here.
#[derive(Clone, Copy, Debug)]
pub struct ContentstackTokens<'a>(&'a TokenSet);

/// On whose behalf a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthorizationType<'a> {
    /// The application's own, since it was installed.
    App,
    /// A user's.
    User,
    /// A word that this crate does not know.
    Other(&'a str),
}

impl<'a> ContentstackTokens<'a> {
    /// Looks at a token set.
    #[must_use]
    pub const fn new(tokens: &'a TokenSet) -> Self {
        Self(tokens)
    }

    /// The organization that the token is for: the header `organization_uid`.
    #[must_use]
    pub fn organization_uid(&self) -> Option<&'a str> {
        self.field("organization_uid")
    }

    /// The user. App tokens have none.
    #[must_use]
    pub fn user_uid(&self) -> Option<&'a str> {
        self.field("user_uid").or(self.0.account.as_deref())
    }

    /// The stack that the token is for, if it is for one: the header `api_key`.
    #[must_use]
    pub fn stack_api_key(&self) -> Option<&'a str> {
        self.field("stack_api_key")
    }

    /// Where the token lives, in Contentstack's words: `EU`.
    #[must_use]
    pub fn location(&self) -> Option<&'a str> {
        let callback = self.0.callback.get("location").map(String::as_str);
        callback.filter(|location| !location.is_empty()).or_else(|| self.field("location"))
    }

    /// The region where the token lives. `None` if nobody said: it is the configured one then.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        self.location().and_then(|location| location.parse().ok())
    }

    /// On whose behalf the token is.
    #[must_use]
    pub fn authorization_type(&self) -> Option<AuthorizationType<'a>> {
        self.field("authorization_type").map(|word| match word {
            "app" => AuthorizationType::App,
            "user" => AuthorizationType::User,
            word => AuthorizationType::Other(word),
        })
    }

    /// The installation, where the flow began with one.
    #[must_use]
    pub fn installation_uid(&self) -> Option<&'a str> {
        self.0.callback.get("installation_uid").map(String::as_str).filter(|uid| !uid.is_empty())
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        self.0.extra_str(name).filter(|value| !value.is_empty())
    }
}

/// The codes of a 401 that is not about the token: a second factor is asked for, or a permission is missing.
const NOT_ABOUT_THE_TOKEN: [i64; 2] = [294, 161];

/// Whether an answer of the API asks for a refresh: a 401 that is about the token.
///
/// With `error_code` 294 (a second factor) or 161 (a permission) a new token would be refused just the same.
/// [`Connections::send`](authflow_core::Connections::send) goes by it too.
#[must_use]
pub fn needs_refresh(response: &HttpResponse) -> bool {
    response.status == StatusCode::UNAUTHORIZED
        && ApiError::read(response)
            .and_then(|error| error.error_code())
            .is_none_or(|code| !NOT_ABOUT_THE_TOKEN.contains(&code))
}

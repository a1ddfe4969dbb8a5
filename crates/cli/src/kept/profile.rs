//! What is needed to renew a connection.

use std::borrow::Cow;

use authflow::{ConnectionKey, Error, ErrorKind, Incarnation, SealContext, User};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::provider::{Registration, Saved};
use crate::terminal::printable;

/// The tenant of the connections.
const TENANT: &str = "authflow-cli";
/// The tenant of the profiles. All are one user's, so that they are listed at once.
const PROFILES: &str = "authflow-cli profiles";
/// In the place of a provider id.
const PROVIDER_ID: &str = "profile";
/// What sealed profiles are for, in the associated data. It is not that of connections.
const PURPOSE: &str = "authflow-cli profile";
/// The first byte of what is sealed.
const FORMAT: u8 = 1;

/// A connection's name, and what is needed to renew it.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// What it is kept under, and the provider id.
    pub(crate) name: String,
    pub(crate) registration: Registration,
    /// As it was given, for another login.
    pub(crate) redirect_uri: Option<String>,
    /// As it was sent: some providers want it at a refresh.
    pub(crate) used_redirect_uri: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) parameters: Vec<(String, String)>,
    /// The account at the provider: a part of the connection's key.
    pub(crate) account: Option<String>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Contents<'a> {
    registration: Saved<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_redirect_uri: Option<Cow<'a, str>>,
    #[serde(default)]
    scopes: Cow<'a, [String]>,
    #[serde(default)]
    parameters: Cow<'a, [(String, String)]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Cow<'a, str>>,
}

impl Profile {
    /// The key of the connection.
    pub(crate) fn key(&self) -> ConnectionKey {
        ConnectionKey::new(&owner(&self.name), self.name.as_str())
            .with_account(self.account.clone().unwrap_or_default())
    }

    /// Format 1: the format's number, and JSON.
    pub(super) fn to_bytes(&self) -> authflow::Result<Zeroizing<Vec<u8>>> {
        let text = |text: &'_ Option<String>| text.clone().map(Cow::Owned);
        let contents = Contents {
            registration: self.registration.saved(),
            redirect_uri: text(&self.redirect_uri),
            used_redirect_uri: text(&self.used_redirect_uri),
            scopes: Cow::Borrowed(&self.scopes),
            parameters: Cow::Borrowed(&self.parameters),
            account: text(&self.account),
        };
        // The room is there from the start: a buffer that grows leaves parts of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
        bytes.push(FORMAT);
        serde_json::to_writer(&mut *bytes, &contents)
            .map_err(|_| Error::new(ErrorKind::Usage, "the provider's options cannot be written as JSON"))?;
        Ok(bytes)
    }

    pub(super) fn from_bytes(name: &str, bytes: &[u8]) -> authflow::Result<Self> {
        let json = match bytes.split_first() {
            Some((&FORMAT, json)) => json,
            _ => {
                return Err(Error::new(
                    ErrorKind::FormatUnknown,
                    "what is kept under this name was written by another release of authflow",
                ));
            }
        };
        // The words of serde_json may hold a piece of what was sealed.
        let contents: Contents<'_> = serde_json::from_slice(json).map_err(|_| {
            Error::new(
                ErrorKind::FormatUnknown,
                "what is kept under this name is not what this release of authflow writes",
            )
        })?;
        Ok(Self {
            name: name.to_owned(),
            registration: Registration::from_saved(contents.registration, name),
            redirect_uri: contents.redirect_uri.map(Cow::into_owned),
            used_redirect_uri: contents.used_redirect_uri.map(Cow::into_owned),
            scopes: contents.scopes.into_owned(),
            parameters: contents.parameters.into_owned(),
            account: contents.account.map(Cow::into_owned),
        })
    }
}

/// Whose all profiles are.
pub(super) fn user() -> User {
    User::new(PROFILES, "")
}

/// Whose the connections of this name are.
pub(super) fn owner(name: &str) -> User {
    User::new(TENANT, name)
}

/// The key of a profile.
pub(super) fn key(name: &str) -> ConnectionKey {
    ConnectionKey::new(&user(), PROVIDER_ID).with_account(name)
}

/// What the seal of a profile is bound to.
pub(super) fn context<'a>(name: &'a str, incarnation: &'a Incarnation) -> SealContext<'a> {
    SealContext {
        tenant: PROFILES,
        provider_id: PROVIDER_ID,
        account: name,
        incarnation: incarnation.as_bytes(),
        ..SealContext::new(PURPOSE)
    }
}

/// A name is a provider id too, and a word of a command line.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > 128 || !is_visible || name.starts_with('-') {
        return Err(Failure::usage(format!(
            "`{}` cannot be a name: it has 1 to 128 visible ASCII characters and does not begin with `-`; choose one with \
             --name",
            printable(name)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use authflow::{Incarnation, KeyRing, SealContext};

    use super::{Profile, context, key, owner};
    use crate::args::{ClientArgs, EndpointArgs, ProviderArgs};
    use crate::provider::{Purpose, Registration};

    fn profile() -> Profile {
        let args = ProviderArgs {
            endpoints: EndpointArgs {
                authorization_endpoint: Some("https://as.example/a".to_owned()),
                token_endpoint: Some("https://as.example/t".to_owned()),
                api_origins: vec!["https://api.example".to_owned()],
                ..EndpointArgs::default()
            },
            client: ClientArgs { client_id: Some("client-1".to_owned()), ..ClientArgs::default() },
            ..ProviderArgs::default()
        };
        Profile {
            name: "work".to_owned(),
            registration: Registration::of(&args, Purpose::Login).unwrap().with_id("work"),
            redirect_uri: None,
            used_redirect_uri: Some("http://127.0.0.1:7/callback".to_owned()),
            scopes: vec!["read".to_owned()],
            parameters: vec![("prompt".to_owned(), "consent".to_owned())],
            account: Some("17".to_owned()),
        }
    }

    #[test]
    fn a_profile_comes_back_as_it_was() {
        let before = profile();
        let bytes = before.to_bytes().unwrap();
        let after = Profile::from_bytes("work", &bytes).unwrap();
        assert_eq!(after.to_bytes().unwrap(), bytes);
        assert!(after.registration.is_same(&before.registration));
        assert_eq!(after.key(), before.key());
        assert_eq!(after.key().provider_id(), "work");
    }

    #[test]
    fn f14_what_another_release_wrote_is_refused_and_quoted_nowhere() {
        for bytes in [&b""[..], b"\x02{}", b"\x01{\"planted-secret\":", b"\x01[\"planted-secret\"]"] {
            let error = Profile::from_bytes("work", bytes).unwrap_err();
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
    }

    #[test]
    fn f14_a_profile_opens_in_its_own_place_only() {
        let ring = KeyRing::generate().unwrap();
        let incarnation = Incarnation::random().unwrap();
        let sealed = ring.seal(&context("work", &incarnation), b"x").unwrap();
        assert!(ring.open(&context("work", &incarnation), &sealed).is_ok());
        assert!(ring.open(&context("play", &incarnation), &sealed).is_err());
        let other = Incarnation::random().unwrap();
        assert!(ring.open(&context("work", &other), &sealed).is_err());
        let connection = SealContext { purpose: "connection", ..context("work", &incarnation) };
        assert!(ring.open(&connection, &sealed).is_err());
        assert_ne!(key("work").user(), &owner("work"));
    }
}

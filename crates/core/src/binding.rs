//! What ties a flow to the one who began it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::parts::Parts;
use crate::random;
use crate::secret::Secret;

/// What ties a flow to the one who began it (RFC 9700 §2.1: bound to the user agent): the user who is signed in, a secret
/// that only this browser holds, this process.
///
/// A callback is accepted only with the binding that `begin` was given: that is what keeps an attacker's callback, with the
/// attacker's own valid state and code, out of a victim's browser. There is no conversion from a bare string.
#[derive(Clone)]
pub struct Binding {
    user: Option<User>,
    /// Shared: a binding is cloned with each flow.
    browser: Option<Arc<Secret>>,
    process: bool,
}

/// The user of the application on whose behalf a flow runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The tenant; empty where the application has only one.
    pub tenant: Arc<str>,
    /// The application's own, immutable id of the user; never an e-mail address.
    pub id: Arc<str>,
}

impl User {
    /// The user `id` of `tenant`.
    pub fn new(tenant: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self { tenant: tenant.into(), id: id.into() }
    }
}

/// The fewest characters of a browser's secret: 128 bits in base64url (RFC 6749 §10.10).
const MIN_BROWSER_SECRET: usize = 22;

impl Binding {
    /// The user who is signed in to the application.
    pub fn user(tenant: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self { user: Some(User::new(tenant, id)), browser: None, process: false }
    }

    /// A secret that only this browser holds, such as the value of a `__Host-` cookie.
    #[must_use]
    pub fn browser(secret: Secret) -> Self {
        Self { user: None, browser: Some(Arc::new(secret)), process: false }
    }

    /// A new secret of 256 bits for this browser. Read it with [`browser_secret`](Self::browser_secret) and set the cookie.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
    pub fn new_browser() -> Result<Self> {
        Ok(Self::browser(Secret::new(random::token()?)))
    }

    /// This process: for programs whose callback arrives in the process that began the flow.
    #[must_use]
    pub const fn process() -> Self {
        Self { user: None, browser: None, process: true }
    }

    /// Both: each part has to be proved at the end. A part of `other` replaces the same part of this one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            user: other.user.or(self.user),
            browser: other.browser.or(self.browser),
            process: other.process || self.process,
        }
    }

    /// The user, if there is one.
    #[must_use]
    pub const fn as_user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The browser's secret, if there is one.
    #[must_use]
    pub fn browser_secret(&self) -> Option<&Secret> {
        self.browser.as_deref()
    }

    /// Refuses what ties to nothing.
    pub(crate) fn check(&self) -> Result<()> {
        if self.browser.as_ref().is_some_and(|secret| secret.len() < MIN_BROWSER_SECRET) {
            return Err(Error::usage(
                "a browser's secret has fewer than 128 bits; make one with Binding::new_browser (RFC 6749 §10.10)",
            ));
        }
        if self.user.as_ref().is_some_and(|user| user.id.is_empty()) {
            return Err(Error::usage("a binding names a user without an id"));
        }
        Ok(())
    }

    /// Adds every part, with its kind and its length, so that no two bindings look alike.
    pub(crate) fn add_to(&self, parts: &mut Parts) -> Result<()> {
        if let Some(user) = &self.user {
            parts.add(b'u', user.tenant.as_bytes());
            parts.add(b'i', user.id.as_bytes());
        }
        if let Some(secret) = &self.browser {
            parts.add(b'b', secret.expose().as_bytes());
        }
        if self.process {
            parts.add(b'p', process_secret()?);
        }
        Ok(())
    }
}

fn process_secret() -> Result<&'static [u8; 32]> {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(secret) = SECRET.get() {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    random::fill_from_system(&mut secret)?;
    Ok(SECRET.get_or_init(|| secret))
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("user", &self.user)
            .field("browser", &self.browser)
            .field("process", &self.process)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Binding, process_secret};
    use crate::state::StateKey;

    /// Flows that are under way survive a new version of this crate, and no part is taken for the length of another.
    #[test]
    fn a7_keys_stay_what_they_are() {
        for (length, expected) in [
            (3, "89e9a48f9ad4b58556ddcb085df4053dd77ba41f80e577fc3d03e5d506962542"),
            (254, "ccafe7fafa1d882670daf3d7649fb15c8b7467989e21f7c25a92f58fe6095c6b"),
            (255, "318d1a21b46b43d94cb5f300d1090984585cab80e5e96ef1bf0eb47110c38a90"),
            (256, "42b8435f0fa85f44f8b65ba13768b9e292e9d79c843f46b874190d6114180392"),
        ] {
            let key = StateKey::new("p", &"s".repeat(length), &Binding::user("t", "u")).unwrap();
            assert_eq!(key.to_string(), expected, "{length}");
        }
    }

    #[test]
    fn a13_a_process_has_a_secret_of_its_own() {
        let secret = process_secret().unwrap();
        assert!(secret.iter().collect::<BTreeSet<_>>().len() > 8, "these are not 32 random bytes");
        assert_eq!(secret, process_secret().unwrap());
    }
}

//! What the application says.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use authflow_core::{Begin, SignIn, User};
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::outcome::Outcome;

/// Any error of the application's own. No page shows it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What only the application knows: who is signed in, whose account this is, what happens afterwards.
///
/// One method is required. An application with a session of its own, where users connect accounts:
///
/// ```
/// use authflow_core::{Error, User};
/// use authflow_web::{Application, BoxError, async_trait};
/// use http::request::Parts;
///
/// /// What the application's own session layer puts into the extensions of a request.
/// #[derive(Clone)]
/// struct Session { user_id: Option<String> }
///
/// struct Shop;
///
/// #[async_trait]
/// impl Application for Shop {
///     async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
///         let missing = || Error::configuration("the session layer is missing");
///         let session = request.extensions.get::<Session>().ok_or_else(missing)?;
///         Ok(session.user_id.as_deref().map(|id| User::new("", id)))
///     }
/// }
/// ```
///
/// # Signing in
///
/// Where one signs in with a provider, [`offers_sign_in`](Self::offers_sign_in) says yes, [`sign_in`](Self::sign_in) finds or
/// makes the user, and [`after`](Self::after) sets the session: always a **new** one ([`Outcome::SignedIn`] says why).
///
/// ```
/// # use authflow_core::{SignIn, User};
/// # use authflow_web::{Application, BoxError, Outcome, async_trait};
/// # use bytes::Bytes;
/// # use http::header::{HeaderValue, SET_COOKIE};
/// # use http::{Response, request::Parts};
/// # struct Forum;
/// # impl Forum {
/// #     async fn session_of(&self, _: &Parts) -> Result<Option<String>, BoxError> { Ok(None) }
/// #     async fn member(&self, _: &str, _: &str) -> Result<String, BoxError> { Ok(String::new()) }
/// #     async fn new_session(&self, _: &str) -> Result<String, BoxError> { Ok(String::new()) }
/// # }
/// #[async_trait]
/// impl Application for Forum {
///     async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
///         Ok(self.session_of(request).await?.map(|member| User::new("", member)))
///     }
///
///     fn offers_sign_in(&self) -> bool {
///         true
///     }
///
///     async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
///         let account = who.tokens.account.as_deref().ok_or("the provider named no account")?;
///         Ok(User::new("", self.member(&who.provider_id, account).await?))
///     }
///
///     async fn after(&self, _: &Parts, outcome: &Outcome, response: &mut Response<Bytes>) -> Result<(), BoxError> {
///         if let Outcome::SignedIn(connected) = outcome {
///             let session = self.new_session(&connected.key.user().id).await?;
///             let cookie = format!("__Host-session={session}; Path=/; Secure; HttpOnly; SameSite=Lax");
///             response.headers_mut().append(SET_COOKIE, HeaderValue::try_from(cookie)?);
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// # What is not asked here
///
/// Redirect URI, state, cookies and the way back are not the application's to decide: no method here can switch a check off.
#[async_trait]
pub trait Application: Send + Sync + 'static {
    /// Who is signed in in this browser, and of which tenant. `None`: nobody; connecting then means signing in.
    ///
    /// The user comes from the application's own session and never from the query or a form. Each page, each route and each
    /// extractor that needs it asks, so that it may be asked several times for a request; the callback asks again, so that a flow
    /// that was begun by one user is never finished by another.
    ///
    /// # Errors
    ///
    /// Where it is not known, such as when the session store does not answer. Nothing is done then, and the page says so (503); a
    /// callback works again later. What is never known is a mistake, such as a session layer that is missing: an error of
    /// authflow whose [recovery](authflow_core::Error::recovery) is to fix the configuration, as
    /// [`Error::configuration`](authflow_core::Error::configuration) makes it, is answered as an error of the application (500).
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError>;

    /// Finds or makes the user whose account this is, for a flow that was begun while nobody was signed in.
    ///
    /// What identifies somebody is the account at the provider (`who.tokens.account`, or an answer of the provider's API that
    /// was asked for with the access token), never an e-mail address and never the id_token, which is not verified. The
    /// connection is saved for the user that is returned.
    ///
    /// Default: an error.
    ///
    /// # Errors
    ///
    /// Where there is no such user: the tokens are given back to the provider, and the outcome is [`Outcome::Failed`].
    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        drop(who);
        Err("this application does not offer to sign in with a provider".into())
    }

    /// Whether one can sign in with a provider. Default: no; then there is nothing to connect while nobody is signed in.
    fn offers_sign_in(&self) -> bool {
        false
    }

    /// Scopes, extra parameters and resources of a flow that is about to begin. Nothing of the browser's query reaches `begin`
    /// but the `return_to` that was checked. A redirect URI that is set here is set again: the routes have their own.
    ///
    /// Default: as it is, with the provider's default scopes.
    fn begin<'f>(&self, request: &Parts, provider_id: &str, begin: Begin<'f>) -> Begin<'f> {
        let _ = (request, provider_id);
        begin
    }

    /// Whom to count flows by while nobody is signed in, so that one address cannot push the flows of all others out of the
    /// store. IPv6 is counted by its /64.
    ///
    /// Default: the [`ClientAddress`] of the request's extensions, which the crates for frameworks fill with the address of the
    /// connection. Behind a proxy that is the proxy's: read the header that the proxy sets here, and only if it always sets it.
    fn client_address(&self, request: &Parts) -> Option<IpAddr> {
        request.extensions.get::<ClientAddress>().map(|address| address.0)
    }

    /// Called once for every outcome, before the answer goes out: to set the session's cookie, to write a log, to replace the
    /// answer. So, too, where the browser has left meanwhile: callback and disconnect run in a task of the `Connections`' runtime,
    /// to their end. Headers are added with `append`. The cookies of the flow itself and the headers that keep the answer out of
    /// caches and its address out of `Referer` are added afterwards, whatever the answer is. After a sign-in, an answer that
    /// redirects to a path of this site leads there by way of the callback, which the browser asks once more, so that the session that
    /// was begun here is there, too.
    ///
    /// Default: nothing.
    ///
    /// # Errors
    ///
    /// The answer becomes an error page, and nothing of what was put into it goes out. The connection is there all the same. A
    /// panic is an error, too.
    async fn after(
        &self,
        request: &Parts,
        outcome: &Outcome,
        response: &mut Response<Bytes>,
    ) -> Result<(), BoxError> {
        let _ = (request, outcome, response);
        Ok(())
    }

    /// Told of errors that a page names only in general and that are no [`Outcome`]: a callback that was not accepted, a store
    /// that does not answer, an error of one of the methods above. For a log: no code, state or token is in it. What is no error
    /// here, such as a flow that took too long or a callback that is opened once more, is not told.
    ///
    /// Default: nothing.
    fn on_error(&self, request: &Parts, error: &(dyn std::error::Error + 'static)) {
        let _ = (request, error);
    }
}

macro_rules! forward_application {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<A: Application + ?Sized> Application for $pointer<A> {
            async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
                (**self).current_user(request).await
            }

            async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
                (**self).sign_in(who).await
            }

            fn offers_sign_in(&self) -> bool {
                (**self).offers_sign_in()
            }

            fn begin<'f>(&self, request: &Parts, provider_id: &str, begin: Begin<'f>) -> Begin<'f> {
                (**self).begin(request, provider_id, begin)
            }

            fn client_address(&self, request: &Parts) -> Option<IpAddr> {
                (**self).client_address(request)
            }

            async fn after(
                &self,
                request: &Parts,
                outcome: &Outcome,
                response: &mut Response<Bytes>,
            ) -> Result<(), BoxError> {
                (**self).after(request, outcome, response).await
            }

            fn on_error(&self, request: &Parts, error: &(dyn std::error::Error + 'static)) {
                (**self).on_error(request, error);
            }
        }
    )+};
}

forward_application!(Arc, Box);

/// The address that a request came from, in its extensions. Set by the crates for frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

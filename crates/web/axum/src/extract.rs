//! What handlers ask for.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use authflow_core::{KnownProvider, User};
use authflow_web::{Accounts, Client, Missing};
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;

/// The signed-in user's connection with the provider `P`, ready to send API requests ([`Client`]).
///
/// Where there is none, the handler does not run: a browser that navigates is sent to connect and comes back to the same page,
/// everything else gets 401 with `application/problem+json`. Where it cannot be told, the answer is never "not connected": it is
/// 503 while the store is down, and 500 where none of `P` is found beside a connection of the user that cannot be read, which may
/// be the one.
///
/// `Option<Connected<P>>` is `None` where the user is not signed in, not connected, or has to connect again; a store that is
/// down is refused here too. `Result<Connected<P>, Refusal>` leaves it to the handler.
///
/// The application's state has to hold the [`Accounts`]: implement (or derive) [`FromRef`].
pub struct Connected<P> {
    client: Client,
    provider: PhantomData<fn() -> P>,
}

impl<P> Connected<P> {
    /// The client, without the type of the provider.
    #[must_use]
    pub fn into_client(self) -> Client {
        self.client
    }
}

impl<P: KnownProvider> Connected<P> {
    async fn of(accounts: &Accounts, parts: &Parts) -> Result<Self, Missing> {
        let client = accounts.client(parts, P::PROVIDER_ID).await?;
        Ok(Self { client, provider: PhantomData })
    }
}

impl<P> Deref for Connected<P> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl<P> Clone for Connected<P> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), provider: PhantomData }
    }
}

impl<P> fmt::Debug for Connected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connected").field(&self.client).finish()
    }
}

impl<P, S> FromRequestParts<S> for Connected<P>
where
    P: KnownProvider,
    Accounts: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let accounts = Accounts::from_ref(state);
        Self::of(&accounts, parts).await.map_err(|missing| Refusal::new(missing, &accounts, parts))
    }
}

impl<P, S> OptionalFromRequestParts<S> for Connected<P>
where
    P: KnownProvider,
    Accounts: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refusal> {
        let accounts = Accounts::from_ref(state);
        match Self::of(&accounts, parts).await {
            Ok(connected) => Ok(Some(connected)),
            Err(
                Missing::SignedOut { .. } | Missing::NotConnected { .. } | Missing::NeedsReconnect { .. },
            ) => Ok(None),
            Err(missing) => Err(Refusal::new(missing, &accounts, parts)),
        }
    }
}

/// Who is signed in to the application, as its own `Application::current_user` says; `None` where nobody is.
///
/// Where it cannot be told, such as while the session store is down, the handler does not run and the answer is 503.
#[derive(Clone, Debug)]
pub struct CurrentUser(pub Option<User>);

impl<S> FromRequestParts<S> for CurrentUser
where
    Accounts: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let accounts = Accounts::from_ref(state);
        let user = accounts.current_user(parts).await;
        user.map(Self).map_err(|missing| Refusal::new(missing, &accounts, parts))
    }
}

/// What a handler asked for is missing: why, and the answer that says so.
#[derive(Debug)]
pub struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    missing: Missing,
    response: http::Response<Bytes>,
}

impl Refusal {
    fn new(missing: Missing, accounts: &Accounts, parts: &Parts) -> Self {
        let response = missing.response(accounts, parts);
        Self(Box::new(Inner { missing, response }))
    }

    /// What is missing.
    #[must_use]
    pub fn missing(&self) -> &Missing {
        &self.0.missing
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.response.map(Body::from)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.missing, f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.missing.source()
    }
}

//! What handlers ask for.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use authflow_core::{KnownProvider, User};
use authflow_web::{Accounts, Client, Missing};
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

/// The signed-in user's connection with the provider `P`, ready to send API requests ([`Client`]).
///
/// Where there is none, the handler does not run: a browser that navigates is sent to connect and comes back to the same page,
/// everything else gets 401 with `application/problem+json`. Where it cannot be told, the answer is never "not connected": it is
/// 503 while the store is down, and 500 where none of `P` is found beside a connection of the user that cannot be read, which may
/// be the one.
///
/// In a handler that returns `Result<_, Refusal>`, what the client fails with is answered in the same way: a person whose
/// connection turns out to be over is sent to connect, too ([`Client::refuse`]).
///
/// `Option<Connected<P>>` is `None` where the user is not signed in, not connected, or has to connect again; a store that is
/// down is refused here too. `Result<Connected<P>, Refusal>` leaves it to the handler.
///
/// In a nested router, too, the way back is the address that the browser asked for.
///
/// The application's state has to hold the [`Accounts`]: implement (or derive) [`FromRef`].
pub struct Connected<P> {
    client: Client,
    provider: PhantomData<fn() -> P>,
}

impl<P> Connected<P> {
    const fn new(client: Client) -> Self {
        Self { client, provider: PhantomData }
    }

    /// The client, without the type of the provider.
    #[must_use]
    pub fn into_client(self) -> Client {
        self.client
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
        Self::new(self.client.clone())
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
        let (accounts, parts) = (Accounts::from_ref(state), as_sent(parts));
        let client = accounts.client(&parts, P::PROVIDER_ID).await;
        client.map(Self::new).map_err(|missing| Refusal::new(missing, &accounts, &parts))
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
        let (accounts, parts) = (Accounts::from_ref(state), as_sent(parts));
        let client = accounts.client_if_connected(&parts, P::PROVIDER_ID).await;
        let client = client.map_err(|missing| Refusal::new(missing, &accounts, &parts))?;
        Ok(client.map(Self::new))
    }
}

/// All connections of the signed-in user with the provider `P`, one for each account, such as to let the user choose; empty where
/// there is none. The one that [`Connected`] gives comes first, and those whose user has to connect again come last
/// ([`Accounts::clients`]).
///
/// Where nobody is signed in, or it cannot be told, the answer is as with [`Connected`].
pub struct AllConnected<P>(pub Vec<Connected<P>>);

impl<P> fmt::Debug for AllConnected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllConnected").field(&self.0).finish()
    }
}

impl<P, S> FromRequestParts<S> for AllConnected<P>
where
    P: KnownProvider,
    Accounts: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let (accounts, parts) = (Accounts::from_ref(state), as_sent(parts));
        let clients = accounts.clients(&parts, P::PROVIDER_ID).await;
        let clients = clients.map_err(|missing| Refusal::new(missing, &accounts, &parts))?;
        Ok(Self(clients.into_iter().map(Connected::new).collect()))
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
        let (accounts, parts) = (Accounts::from_ref(state), as_sent(parts));
        let user = accounts.current_user(&parts).await;
        user.map(Self).map_err(|missing| Refusal::new(missing, &accounts, &parts))
    }
}

/// The request with the address that the browser asked for. A nested router shows its handlers the rest of it, and nobody could
/// come back to that.
fn as_sent(parts: &Parts) -> Cow<'_, Parts> {
    match parts.extensions.get() {
        Some(OriginalUri(uri)) if *uri != parts.uri => {
            let mut sent = parts.clone();
            sent.uri = uri.clone();
            Cow::Owned(sent)
        }
        _ => Cow::Borrowed(parts),
    }
}

/// What a handler asked for is missing, or its connection is over: why, and the answer to its request.
///
/// It is the error of a handler with [`Connected`]. What the client fails with becomes one with `?`; another error that has to do
/// with the connection, with [`Client::refuse`].
#[derive(Debug)]
pub struct Refusal(authflow_web::Refusal);

impl Refusal {
    fn new(missing: Missing, accounts: &Accounts, parts: &Parts) -> Self {
        Self(authflow_web::Refusal::new(missing, accounts, parts))
    }

    /// What is missing.
    #[must_use]
    pub fn missing(&self) -> &Missing {
        self.0.missing()
    }
}

impl From<authflow_web::Refusal> for Refusal {
    fn from(refusal: authflow_web::Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.response().clone().map(Body::from)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

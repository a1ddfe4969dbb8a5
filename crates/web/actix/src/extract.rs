//! What handlers ask for.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::ErrorInternalServerError;
use actix_web::http::StatusCode;
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use authflow_core::{KnownProvider, User};
use authflow_web::{Accounts, Client, Missing};
use http::request::Parts;

use crate::Routes;
use crate::translate;

type LocalFuture<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

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
/// Where a connection is welcome and not needed, ask for [`IfConnected`]. actix-web's own `Option<Connected<P>>` is `None`
/// whatever the error was, also while the store is down.
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

impl<P: KnownProvider + 'static> FromRequest for Connected<P> {
    type Error = Error;
    type Future = LocalFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, async |accounts, parts| accounts.client(parts, P::PROVIDER_ID).await.map(Self::new))
    }
}

/// The signed-in user's connection with the provider `P`, if there is one: `None` where the user is not signed in, not
/// connected, or has to connect again. A store that is down is refused, as with [`Connected`].
pub struct IfConnected<P>(pub Option<Connected<P>>);

impl<P> fmt::Debug for IfConnected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IfConnected").field(&self.0).finish()
    }
}

impl<P: KnownProvider + 'static> FromRequest for IfConnected<P> {
    type Error = Error;
    type Future = LocalFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, async |accounts, parts| {
            let client = accounts.client_if_connected(parts, P::PROVIDER_ID).await?;
            Ok(Self(client.map(Connected::new)))
        })
    }
}

/// All connections of the signed-in user with the provider `P`, one for each account, such as to let the user choose; empty where
/// there is none. The one that [`Connected`] gives comes first, and those whose user has to connect again come last
/// ([`Accounts::clients`](authflow_web::Accounts::clients)).
///
/// Where nobody is signed in, or it cannot be told, the answer is as with [`Connected`].
pub struct AllConnected<P>(pub Vec<Connected<P>>);

impl<P> fmt::Debug for AllConnected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllConnected").field(&self.0).finish()
    }
}

impl<P: KnownProvider + 'static> FromRequest for AllConnected<P> {
    type Error = Error;
    type Future = LocalFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, async |accounts, parts| {
            let clients = accounts.clients(parts, P::PROVIDER_ID).await?;
            Ok(Self(clients.into_iter().map(Connected::new).collect()))
        })
    }
}

/// Who is signed in to the application, as its own `Application::current_user` says; `None` where nobody is.
///
/// Where it cannot be told, such as while the session store is down, the handler does not run and the answer is 503.
#[derive(Clone, Debug)]
pub struct CurrentUser(pub Option<User>);

impl FromRequest for CurrentUser {
    type Error = Error;
    type Future = LocalFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, async |accounts, parts| accounts.current_user(parts).await.map(Self))
    }
}

/// Answers an extractor: what it needs of the request is taken before anything waits.
fn ask<T>(
    request: &HttpRequest,
    look: impl AsyncFnOnce(&Accounts, &Parts) -> Result<T, Missing> + 'static,
) -> LocalFuture<T> {
    let routes = request.app_data::<web::Data<Routes>>().cloned().ok_or_else(|| {
        ErrorInternalServerError(
            "authflow has no routes here: configure them with `Routes` or `configure`, on the `App` itself and not in a scope",
        )
    });
    let asked = routes.and_then(|routes| Ok((routes.parts(request)?, routes)));
    Box::pin(async move {
        let (parts, routes) = asked?;
        let accounts = routes.accounts();
        let refuse = |missing| Refusal(authflow_web::Refusal::new(missing, accounts, &parts));
        Ok(look(accounts, &parts).await.map_err(refuse)?)
    })
}

/// What a handler asked for is missing, or its connection is over: why, and the answer to its request.
///
/// It is the error of a handler with [`Connected`]. What the client fails with becomes one with `?`; another error that has to do
/// with the connection, with [`Client::refuse`].
///
/// A handler that takes `Result<Connected<P>, actix_web::Error>` finds it with
/// [`Error::as_error`](actix_web::Error::as_error).
#[derive(Debug)]
pub struct Refusal(authflow_web::Refusal);

impl Refusal {
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

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        let status = self.0.response().status().as_u16();
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        translate::error(self.0.response().clone())
    }
}

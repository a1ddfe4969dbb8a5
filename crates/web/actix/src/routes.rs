//! The routes, and what an application does around them.

use std::fmt;
use std::sync::Arc;

use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse};
use authflow_web::Accounts;
use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderMap};

use crate::translate;

type Before = Arc<dyn Fn(&HttpRequest, &mut Extensions) -> Result<(), Error> + Send + Sync>;
type After = Arc<dyn Fn(&HttpRequest, &Extensions) -> Result<(), Error> + Send + Sync>;

/// The routes of `accounts`, for [`App::configure`](actix_web::App::configure): as [`Routes`], for an application whose session
/// is in the request itself, such as a cookie that it reads in `Application::current_user`.
pub fn configure(accounts: Accounts) -> impl FnOnce(&mut ServiceConfig) + Clone {
    let routes = Routes::new(accounts);
    move |config| routes.configure(config)
}

/// The routes of an application's [`Accounts`]: its page, and connect, callback and disconnect of each provider.
///
/// The paths are whole, `/auth/stackexchange/connect` where the public URL is `https://app.example/auth`: configure them on the
/// [`App`](actix_web::App), not in a scope. A path under the same base that is none of these stays the application's. The
/// extractors find the accounts by themselves.
///
/// # The application's session
///
/// `Application` sees a request of the crate `http`, which may go to another thread, and the session of `actix-session` may
/// not. What has to get across goes through the extensions:
///
/// - [`before`](Self::before) hands in: it reads the session, and puts who is signed in into the extensions of the request that
///   `Application::current_user` sees;
/// - [`after`](Self::after) hands out: what `Application::after` put into the extensions of the response, such as who signed in,
///   it writes into the session.
///
/// ```
/// use actix_web::App;
/// use authflow_actix::Routes;
/// # struct Session(std::cell::RefCell<Option<String>>);
/// # impl Session {
/// #     fn of(_: &actix_web::HttpRequest) -> Self { Self(Default::default()) }
/// #     fn get(&self) -> Option<String> { self.0.borrow().clone() }
/// #     fn renew(&self) {}
/// #     fn set(&self, user: &str) { self.0.replace(Some(user.to_owned())); }
/// # }
///
/// #[derive(Clone)]
/// struct SignedIn(String);
///
/// # fn example(accounts: authflow_web::Accounts) {
/// let routes = Routes::new(accounts)
///     .before(|request, extensions| {
///         if let Some(user) = Session::of(request).get() {
///             extensions.insert(SignedIn(user));
///         }
///         Ok(())
///     })
///     .after(|request, extensions| {
///         if let Some(SignedIn(user)) = extensions.get() {
///             let session = Session::of(request);
///             session.renew();
///             session.set(user);
///         }
///         Ok(())
///     });
/// let app = App::new().configure(|config| routes.configure(config));
/// # }
/// ```
#[derive(Clone)]
pub struct Routes {
    accounts: Accounts,
    before: Option<Before>,
    after: Option<After>,
}

impl Routes {
    /// The routes of `accounts`.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, before: None, after: None }
    }

    /// Before `Application` is asked anything, here and in the extractors: puts what it needs to know of the request into the
    /// extensions. An error is the answer; to say nothing where the session cannot be read would be to say that nobody is
    /// signed in.
    ///
    /// Behind a proxy this is also the place for a [`ClientAddress`](authflow_web::ClientAddress); where none is put here, it is
    /// the peer's.
    #[must_use]
    pub fn before<F>(mut self, before: F) -> Self
    where
        F: Fn(&HttpRequest, &mut Extensions) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.before = Some(Arc::new(before));
        self
    }

    /// After one of the routes was answered: does what the extensions of the response ask for. An error is the answer instead,
    /// with the cookies of the flow: it has come to its end, and its callback does not work again.
    #[must_use]
    pub fn after<F>(mut self, after: F) -> Self
    where
        F: Fn(&HttpRequest, &Extensions) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.after = Some(Arc::new(after));
        self
    }

    /// Adds the routes, for [`App::configure`](actix_web::App::configure).
    pub fn configure(&self, config: &mut ServiceConfig) {
        // For the extractors.
        config.app_data(web::Data::new(self.clone()));
        let routes = self.clone();
        let answer = move |request: HttpRequest, payload: Payload| routes.clone().answer(request, payload);
        // The path as it was sent, which a pattern of actix-web would see decoded; and a pattern costs more than the guard.
        config.service(web::scope("").guard(self.is_ours()).default_service(web::to(answer)));
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The head of a request, as `Application` gets to see it.
    pub(crate) fn parts(&self, request: &HttpRequest) -> Result<Parts, Error> {
        let mut parts = translate::parts(request)?;
        if let Some(before) = &self.before {
            before(request, &mut parts.extensions)?;
        }
        translate::name_client(request, &mut parts.extensions);
        Ok(parts)
    }

    fn is_ours(&self) -> impl Guard + use<> {
        let base = self.accounts.base().to_owned();
        let connections = self.accounts.connections();
        let prefixes: Vec<String> = connections
            .providers()
            .filter_map(|id| Some(self.accounts.connect_path(id, None).strip_suffix("connect")?.to_owned()))
            .collect();
        guard::fn_guard(move |cx| {
            let path = cx.head().uri.path();
            let action = |prefix: &String| path.strip_prefix(prefix.as_str());
            path.strip_prefix(base.as_str()).is_some_and(|rest| matches!(rest, "" | "/"))
                || prefixes
                    .iter()
                    .filter_map(action)
                    .any(|action| !action.is_empty() && !action.contains('/'))
        })
    }

    async fn answer(self, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Error> {
        let whole = match self.read(&request, payload).await {
            Ok(whole) => whole,
            Err(error) => return self.error(error, &HeaderMap::new()),
        };
        let mut response = self.accounts.handle(whole).await;
        if request.method() != Method::HEAD {
            // What an application named is not the length that counts: actix-web writes that of the body.
            response.headers_mut().remove(http::header::CONTENT_LENGTH);
        }
        if let Some(after) = &self.after
            && let Err(error) = after(&request, response.extensions())
        {
            return self.error(error, response.headers());
        }
        translate::response(response)
    }

    async fn read(&self, request: &HttpRequest, payload: Payload) -> Result<http::Request<Bytes>, Error> {
        let parts = self.parts(request)?;
        let body = translate::read(payload, self.accounts.max_body()).await?;
        Ok(http::Request::from_parts(parts, body))
    }

    /// An error of a hook, or of a body that broke off, instead of the answer whose headers were these.
    fn error(&self, error: Error, replaced: &HeaderMap) -> Result<HttpResponse, Error> {
        let headers = self.accounts.headers_of_error(replaced);
        translate::with_headers(HttpResponse::from_error(error), &headers)
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("accounts", &self.accounts)
            .field("before", &self.before.is_some())
            .field("after", &self.after.is_some())
            .finish()
    }
}

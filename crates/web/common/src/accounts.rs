//! The routes of connected accounts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::quirks::ResponseMode;
use authflow_core::{Connections, Error, ErrorKind, Flow, Recovery, Result, User};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::answer;
use crate::application::{Application, BoxError};
use crate::builder::AccountsBuilder;
use crate::cookies::{Cookies, Writer};
use crate::form_token::FormToken;
use crate::incoming::Incoming;
use crate::missing::is_mistake;
use crate::pages::{Page, Pages, ProviderLink, RETURN_TO_FIELD};
use crate::route::Route;
use crate::same_origin::{Initiator, initiator};
use crate::site::{Site, in_query};

/// Connected accounts in a web application: the routes, and what the application's own handlers need. Cheap to clone.
///
/// A crate for a framework hands each request below [`base`](Self::base) to [`handle`](Self::handle), and makes extractors of
/// [`client`](Self::client).
#[derive(Clone)]
pub struct Accounts(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) connections: Connections,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) pages: Box<dyn Pages>,
    pub(crate) site: Site,
    pub(crate) providers: BTreeMap<String, Provider>,
    pub(crate) after: String,
    pub(crate) sign_in_at: Option<String>,
    pub(crate) max_body: usize,
}

/// What is fixed of a provider.
pub(crate) struct Provider {
    pub(crate) flow: Flow,
    pub(crate) name: String,
    pub(crate) connect: String,
    pub(crate) disconnect: String,
    pub(crate) redirect_uri: String,
}

impl Provider {
    pub(crate) fn response_mode(&self) -> ResponseMode {
        self.flow.provider().quirks().authorization_response.response_mode
    }

    /// The name under which the state comes back.
    pub(crate) fn state_parameter(&self) -> &str {
        let shape = &self.flow.provider().quirks().authorization_response;
        shape.state_parameter.as_deref().unwrap_or("state")
    }
}

impl Accounts {
    /// Connected accounts of `connections`, whose routes are reached from outside at `public_url`, such as
    /// `https://app.example/auth`. Each provider's client credentials have the redirect URI `{public_url}/{provider}/callback`.
    pub fn builder(
        connections: Connections,
        public_url: &str,
        application: impl Application,
    ) -> AccountsBuilder {
        AccountsBuilder::new(connections, public_url, Arc::new(application))
    }

    /// The connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// The path of `public_url` without a slash at the end; empty at the root. All routes are below it, and the accounts page
    /// is at it.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.site.base()
    }

    /// The most bytes of a body. A framework reads so many and one more; [`handle`](Self::handle) says no to the one more.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.0.max_body
    }

    /// Answers a request to any path below [`base`](Self::base): finds the route, judges the method, does the work. What goes
    /// wrong is an answer, too. To HEAD it is that of GET without the body, whose length its `Content-Length` names.
    ///
    /// The path is the one that the browser asked for, with the base. The request's extensions are what
    /// [`Application`] and the state store get to see.
    pub fn handle(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Response<Bytes>> + Send + 'static + use<> {
        // On the heap before there is a future: it is large, and a future has room for all that it is ever given.
        let (parts, body) = request.into_parts();
        let incoming = Arc::new(Incoming { parts, body });
        let inner = Arc::clone(&self.0);
        async move {
            let is_head = incoming.parts.method == Method::HEAD;
            let mut answer = inner.answer(incoming).await;
            answer::protect(answer.headers_mut());
            if is_head {
                answer::leave_head(&mut answer);
            }
            answer
        }
    }

    /// The path that begins to connect a provider, for a link or the action of a form, and where to go on afterwards.
    ///
    /// For a user who is signed in it works from pages of the application's own only.
    #[must_use]
    pub fn connect_path(&self, provider_id: &str, return_to: Option<&str>) -> String {
        self.0.connect_path(provider_id, return_to)
    }

    /// Whether a page of this origin made the request, by headers that browsers set and no script can: `Sec-Fetch-Site`, or
    /// `Origin` where a browser does not send the former. For routes of the application's own that change something with a
    /// POST: they refuse what is not their own, as these routes do.
    ///
    /// A request of a program that sends neither header is not, and one whose address was typed is not either. Who the user is
    /// it does not tell.
    ///
    /// ```
    /// use authflow_web::Accounts;
    /// use http::{StatusCode, request::Parts};
    ///
    /// /// Before each of the application's own handlers.
    /// fn judge(accounts: &Accounts, request: &Parts) -> Result<(), StatusCode> {
    ///     if request.method.is_safe() || accounts.is_own_request(&request.headers) {
    ///         return Ok(());
    ///     }
    ///     Err(StatusCode::FORBIDDEN)
    /// }
    /// ```
    #[must_use]
    pub fn is_own_request(&self, headers: &HeaderMap) -> bool {
        initiator(&self.0.site, headers) == Initiator::Own
    }

    /// A token for the application's own forms that post to these routes: a hidden field named
    /// [`TOKEN_FIELD`](crate::TOKEN_FIELD), and a cookie that goes with the page. See [`FormToken`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`].
    pub fn form_token(&self, request: &Parts, user: &User) -> Result<FormToken> {
        FormToken::new(self.0.writer(), &self.0.cookies(request), user)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("site", &self.0.site)
            .field("connections", &self.0.connections)
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn answer(self: Arc<Self>, incoming: Arc<Incoming>) -> Response<Bytes> {
        let accounts = self.site.accounts();
        if incoming.body.len() > self.max_body {
            return self.page(StatusCode::PAYLOAD_TOO_LARGE, &Page::TooLarge { accounts });
        }
        let Some(route) = Route::of(self.site.base(), incoming.parts.uri.path(), &self.connections) else {
            return self.page(StatusCode::NOT_FOUND, &Page::NotFound { accounts });
        };
        if !route.has(&incoming.parts.method) {
            return self.not_allowed(route.methods());
        }
        match route {
            // Frameworks move a future about, and it is as large as the largest of these: those that are go to the heap.
            Route::Accounts => Box::pin(self.accounts_page(&incoming)).await,
            Route::Connect(provider) => self.connect(&incoming, &provider).await,
            Route::Callback(provider) => {
                let (inner, request) = (Arc::clone(&self), Arc::clone(&incoming));
                self.whole(&incoming, async move { inner.callback(&request, &provider).await }).await
            }
            Route::Disconnect(provider) => {
                let (inner, request) = (Arc::clone(&self), Arc::clone(&incoming));
                self.whole(&incoming, async move { inner.disconnect(&request, &provider).await }).await
            }
            Route::Denied(provider) => self.denied_page(&incoming, &provider).await,
            Route::Failed(provider) => self.failed_page(&incoming, &provider).await,
        }
    }

    /// Runs `work` to its end though the browser leaves meanwhile: what was done at the provider and in the store is what the
    /// application is told.
    fn whole<'a>(
        &'a self,
        incoming: &'a Incoming,
        work: impl Future<Output = Response<Bytes>> + Send + 'static,
    ) -> impl Future<Output = Response<Bytes>> + Send + 'a {
        // Or it would be moved, all of it, into the task.
        let done = self.connections.detached(Box::pin(work));
        async move { done.await.unwrap_or_else(|error| self.failure(&incoming.parts, &error)) }
    }

    pub(crate) const fn writer(&self) -> Writer {
        Writer::new(self.site.is_secure())
    }

    pub(crate) fn cookies<'r>(&self, parts: &'r Parts) -> Cookies<'r> {
        Cookies::read(&parts.headers, self.writer().prefix())
    }

    pub(crate) fn page(&self, status: StatusCode, page: &Page<'_>) -> Response<Bytes> {
        answer::page(&*self.pages, status, page)
    }

    pub(crate) fn not_allowed(&self, methods: &'static str) -> Response<Bytes> {
        let page = Page::MethodNotAllowed { accounts: self.site.accounts() };
        let mut answer = self.page(StatusCode::METHOD_NOT_ALLOWED, &page);
        answer::allow(&mut answer, methods);
        answer
    }

    pub(crate) fn connect_path(&self, provider_id: &str, return_to: Option<&str>) -> String {
        let path = self.site.path(provider_id, "connect");
        match return_to {
            Some(return_to) => format!("{path}?{RETURN_TO_FIELD}={}", in_query(return_to)),
            None => path,
        }
    }

    /// Where one signs in and comes back to `place`, if the application says where.
    pub(crate) fn sign_in(&self, place: &str) -> Option<String> {
        let path = self.sign_in_at.as_deref()?;
        Some(if path.ends_with('=') { format!("{path}{}", in_query(place)) } else { path.to_owned() })
    }

    /// The page for who is not signed in, and comes back to `place`.
    pub(crate) fn signed_out(&self, place: &str) -> Response<Bytes> {
        let (accounts, sign_in) = (self.site.accounts(), self.sign_in(place));
        let page = Page::SignedOut { accounts, sign_in: sign_in.as_deref() };
        self.page(StatusCode::UNAUTHORIZED, &page)
    }

    /// A provider as a page shows it. Its id stands for one that is gone.
    pub(crate) fn link<'a>(&'a self, provider_id: &'a str) -> ProviderLink<'a> {
        match self.providers.get(provider_id) {
            Some(provider) => ProviderLink::new(provider_id, &provider.name, &provider.connect),
            None => ProviderLink::new(provider_id, provider_id, self.site.accounts()),
        }
    }

    /// The providers, in the order of the names that people look for.
    pub(crate) fn links(&self) -> Vec<ProviderLink<'_>> {
        let mut links: Vec<_> = self.providers.keys().map(|id| self.link(id)).collect();
        links.sort_by_cached_key(|link| link.name.to_lowercase());
        links
    }

    /// Asks who is signed in. What fails is told to the application, and answered with a page.
    pub(crate) async fn user(&self, parts: &Parts) -> std::result::Result<Option<User>, BoxError> {
        let user = self.application.current_user(parts).await;
        if let Err(error) = &user {
            self.application.on_error(parts, &**error);
        }
        user
    }

    /// The form token for a page. Pages work without, where no random bytes are to be had.
    pub(crate) fn token(&self, parts: &Parts, user: &User) -> Option<FormToken> {
        let token = FormToken::new(self.writer(), &self.cookies(parts), user);
        token.inspect_err(|error| self.application.on_error(parts, error)).ok()
    }

    /// The form token of whoever is signed in, for a page that is shown to others, too.
    pub(crate) async fn token_of_visitor(&self, parts: &Parts) -> Option<FormToken> {
        let user = self.user(parts).await.ok().flatten()?;
        self.token(parts, &user)
    }

    /// A page in whose forms `token` is, and the cookie that goes with it.
    pub(crate) fn page_with(
        &self,
        status: StatusCode,
        page: &Page<'_>,
        token: Option<&FormToken>,
    ) -> Response<Bytes> {
        let mut answer = self.page(status, page);
        answer::add_cookie(&mut answer, token.and_then(|token| token.set_cookie().cloned()));
        answer
    }

    /// Where it is not known who is signed in: the same request works later, unless the application calls it a mistake.
    pub(crate) fn unknown_user(&self, parts: &Parts, error: &BoxError) -> Response<Bytes> {
        if is_mistake(error) { self.broken() } else { self.unavailable(parts, None) }
    }

    /// The application's own method, or its configuration, failed.
    pub(crate) fn broken(&self) -> Response<Bytes> {
        self.page(StatusCode::INTERNAL_SERVER_ERROR, &Page::Broken { accounts: self.site.accounts() })
    }

    /// The same request works later.
    pub(crate) fn unavailable(&self, parts: &Parts, retry_after: Option<Duration>) -> Response<Bytes> {
        let page = Page::Unavailable { retry_after, reloadable: parts.method != Method::POST };
        let mut answer = self.page(StatusCode::SERVICE_UNAVAILABLE, &page);
        answer::retry_after(&mut answer, retry_after);
        answer
    }

    /// The page for an error that is no outcome of a flow.
    pub(crate) fn failure(&self, parts: &Parts, error: &Error) -> Response<Bytes> {
        self.application.on_error(parts, error);
        match error.recovery() {
            Recovery::Retry { after } => self.unavailable(parts, after),
            // A flow was begun, or was not: the next one is another.
            _ if error.kind() == ErrorKind::StoreOutcomeUnknown => self.unavailable(parts, None),
            _ => self.broken(),
        }
    }
}

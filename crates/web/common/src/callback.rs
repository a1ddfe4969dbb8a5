//! The end of a flow: the callback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use authflow_core::quirks::ResponseMode;
use authflow_core::{AuthorizationResponse, Binding, Error, ErrorKind, Recovery, Secret};
use bytes::Bytes;
use http::{Response, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::accounts::{Inner, Provider};
use crate::answer;
use crate::cookies::{Cookies, Found, Writer};
use crate::digest::{flow_id, user_tag};
use crate::flow_cookie::{FlowCookie, Stage, seconds};
use crate::form_token::FormToken;
use crate::incoming::Incoming;
use crate::outcome::Outcome;
use crate::pages::{FailedReason, NoticeKind, Page, RETURN_TO_FIELD};
use crate::site::in_query;

/// A request to a callback, and whose it is.
pub(crate) struct Visit<'a> {
    pub(crate) incoming: &'a Arc<Incoming>,
    pub(crate) provider_id: &'a str,
    pub(crate) provider: &'a Provider,
    cookies: OnceLock<Cookies<'a>>,
}

impl<'a> Visit<'a> {
    /// The cookies of ours that came with the request, read once.
    pub(crate) fn cookies(&self, writer: Writer) -> &Cookies<'a> {
        let headers = &self.incoming.parts.headers;
        self.cookies.get_or_init(|| Cookies::read(headers, writer.prefix()))
    }
}

/// How the authorization response got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In this request.
    Direct,
    /// The browser kept it meanwhile. Whether it has been sent round by a page of our own.
    Resumed { was_bounced: bool },
}

/// A flow that is under way in this browser, by its cookie.
pub(crate) struct Flown {
    pub(crate) id: String,
    pub(crate) is_none: bool,
    pub(crate) begun_at: u64,
    pub(crate) secret: Secret,
    pub(crate) user_tag: String,
    pub(crate) return_to: Option<String>,
}

impl Flown {
    /// Where the user wants to go on, for the query of a page that offers another attempt.
    fn way_on(&self, separator: char) -> String {
        let return_to = self.return_to.as_deref();
        return_to.map_or_else(String::new, |path| format!("{separator}{RETURN_TO_FIELD}={}", in_query(path)))
    }
}

impl Inner {
    pub(crate) async fn callback(&self, incoming: &Arc<Incoming>, provider_id: &str) -> Response<Bytes> {
        let Some(provider) = self.providers.get(provider_id) else {
            return self.page(StatusCode::NOT_FOUND, &Page::NotFound { accounts: self.site.accounts() });
        };
        let visit = Visit { incoming, provider_id, provider, cookies: OnceLock::new() };
        let state_parameter = provider.state_parameter();
        // Which is asked first is all one, and hardly any callback has this one.
        if !incoming.is_post()
            && let Some(id) = incoming.parameter("resume")
            && incoming.parameter(state_parameter).is_none()
        {
            return Box::pin(self.resume(&visit, &id)).await;
        }
        let is_form_post = provider.response_mode() == ResponseMode::FormPost;
        let parsed = match (is_form_post, incoming.is_post()) {
            (false, true) => return self.not_allowed("GET"),
            (false, false) => AuthorizationResponse::from_query(incoming.query()),
            (true, true) => match incoming.form() {
                Some(form) => AuthorizationResponse::from_form(form),
                None => Err(malformed("the callback was posted, and not as a form")),
            },
            (true, false) => Err(malformed("the callback arrived in the query; this flow asked for a form")),
        };
        let known = parsed.and_then(|response| {
            let state = response.get(state_parameter)?;
            let id = flow_id(provider_id, state.ok_or_else(|| not_found("the callback has no state"))?);
            Ok((response, id))
        });
        let (response, id) = match known {
            Ok(known) => known,
            Err(error) => return self.not_accepted(&visit, &error),
        };
        let flown = match self.flown(&visit, &id, Way::Direct).await {
            Ok(flown) => flown,
            Err(answer) => return *answer,
        };
        self.arrive(&visit, &flown, &response, Way::Direct).await
    }

    /// What the browser remembers of the flow with this id, if that is one that is under way.
    pub(crate) async fn flown(
        &self,
        visit: &Visit<'_>,
        id: &str,
        way: Way,
    ) -> Result<Flown, Box<Response<Bytes>>> {
        let writer = self.writer();
        let name = format!("{}{id}", writer.prefix());
        let value = match visit.cookies(writer).get(&name) {
            Found::One(value) => value,
            Found::None => {
                let error = not_found(
                    "no cookie of this flow came with the callback: another browser, or one \
                                       that keeps no cookies",
                );
                return Err(Box::new(self.not_accepted(visit, &error)));
            }
            Found::Several => {
                let error = not_found("two cookies of this flow came with the callback, and one is not ours");
                return Err(Box::new(self.not_accepted(visit, &error)));
            }
        };
        let Some(cookie) = FlowCookie::read(value) else {
            let error = not_found("the cookie of this flow is not one that was set here");
            let mut answer = self.not_accepted(visit, &error);
            let is_none = visit.provider.response_mode() == ResponseMode::FormPost;
            answer::add_cookie(&mut answer, writer.remove(&name, writer.same_site(is_none)));
            return Err(Box::new(answer));
        };
        let is_over = cookie.is_over(seconds(visit.provider.flow.clock().now()));
        match cookie.stage {
            Stage::Done(done) => Err(Box::new(Box::pin(self.done_before(visit, id, way, &done)).await)),
            Stage::Ended => Err(Box::new(self.ended(visit))),
            Stage::Pending { return_to, .. } if is_over => {
                Err(Box::new(self.expired(visit, return_to.as_deref()).await))
            }
            Stage::Pending { secret, user_tag, return_to, .. } => {
                let (is_none, begun_at) = (cookie.is_none, cookie.begun_at);
                Ok(Flown { id: id.to_owned(), is_none, begun_at, secret, user_tag, return_to })
            }
        }
    }

    /// Finishes the flow, for the user of its beginning or for whoever signs in.
    pub(crate) async fn arrive(
        &self,
        visit: &Visit<'_>,
        flown: &Flown,
        response: &AuthorizationResponse<'_>,
        way: Way,
    ) -> Response<Bytes> {
        let parts = &visit.incoming.parts;
        let is_sign_in = flown.user_tag.is_empty();
        let mut binding = Binding::browser(flown.secret.clone());
        if !is_sign_in {
            let user = match self.user(parts).await {
                Ok(Some(user)) => user,
                Ok(None) => return Box::pin(self.wait_for_user(visit, flown, response, way)).await,
                // Nothing is used up: the same callback works when the application knows again.
                Err(error) => return self.unknown_user(parts, &error),
            };
            let tag = user_tag(flown.secret.expose(), &user.tenant, &user.id);
            if !bool::from(tag.as_bytes().ct_eq(flown.user_tag.as_bytes())) {
                let error = not_found("another user is signed in than the one who began the flow");
                self.application.on_error(parts, &error);
                let (provider, accounts) = (self.link(visit.provider_id), self.site.accounts());
                return self.page(StatusCode::FORBIDDEN, &Page::UserChanged { provider, accounts });
            }
            binding = binding.and(Binding::user(user.tenant, user.id));
        }
        let complete = self.connections.complete(visit.provider_id, response, &binding);
        let request = Arc::clone(visit.incoming);
        let mut complete = complete.in_place().extensions_of(request);
        let is_refused = Arc::new(AtomicBool::new(false));
        if is_sign_in {
            let (application, refused) = (Arc::clone(&self.application), Arc::clone(&is_refused));
            complete = complete.sign_in(move |who| async move {
                let user = application.sign_in(who).await;
                refused.store(user.is_err(), Ordering::Release);
                user
            });
        }
        let provider_id = visit.provider_id.into();
        let (outcome, location) = match complete.await {
            Ok(connected) => {
                let return_to = connected.return_to.as_deref().unwrap_or(&self.after);
                let location = self.with_notice(return_to, NoticeKind::Connected, visit.provider_id);
                let connect = if is_sign_in { Outcome::SignedIn } else { Outcome::Connected };
                (connect(connected), location)
            }
            Err(error) => match (error.kind(), error.recovery()) {
                // It was begun in this browser, and its state is used up, such as by this very callback whose answer is awaited.
                (ErrorKind::StateNotFound, _) => {
                    self.application.on_error(parts, &error);
                    return self.ended(visit);
                }
                (ErrorKind::CallbackMalformed, _) => return self.not_accepted(visit, &error),
                // The state is not used up, and the cookie stays: the same callback works later.
                (_, Recovery::Retry { .. }) => return self.failure(parts, &error),
                (ErrorKind::AccessDenied, _) => {
                    let path = self.site.path(visit.provider_id, "denied");
                    let location = format!("{path}{}", flown.way_on('?'));
                    (Outcome::Denied { provider_id, error }, location)
                }
                _ => {
                    let is_refused = is_refused.load(Ordering::Acquire);
                    let reason =
                        if is_refused { FailedReason::SignInRefused } else { FailedReason::of(&error) };
                    let location = self.failed(visit.provider_id, reason, flown);
                    (Outcome::Failed { provider_id, error }, location)
                }
            },
        };
        self.conclude(visit, flown, way, &outcome, location).await
    }

    /// The clean address of the page for a flow that failed.
    pub(crate) fn failed(&self, provider_id: &str, reason: FailedReason, flown: &Flown) -> String {
        let path = self.site.path(provider_id, "failed");
        format!("{path}?reason={}{}", in_query(reason.as_str()), flown.way_on('&'))
    }

    /// The page for a callback that comes too late.
    pub(crate) async fn expired(&self, visit: &Visit<'_>, return_to: Option<&str>) -> Response<Bytes> {
        let token = Box::pin(self.token_of_visitor(&visit.incoming.parts)).await;
        let form_token = token.as_ref().map(FormToken::value);
        let (provider, accounts) = (self.link(visit.provider_id), self.site.accounts());
        let page = Page::Expired { provider, form_token, return_to, accounts };
        self.page_with(StatusCode::BAD_REQUEST, &page, token.as_ref())
    }

    fn ended(&self, visit: &Visit<'_>) -> Response<Bytes> {
        let (provider, accounts) = (self.link(visit.provider_id), self.site.accounts());
        self.page(StatusCode::GONE, &Page::Ended { provider, accounts })
    }

    /// The page for a callback that fits no flow of this browser. It shows nothing of the callback, and the flow, if there is
    /// one, stays as it is.
    pub(crate) fn not_accepted(&self, visit: &Visit<'_>, error: &Error) -> Response<Bytes> {
        self.application.on_error(&visit.incoming.parts, error);
        let (provider, accounts) = (self.link(visit.provider_id), self.site.accounts());
        self.page(StatusCode::BAD_REQUEST, &Page::NotAccepted { provider, accounts })
    }
}

pub(crate) fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::CallbackMalformed, message)
}

pub(crate) fn not_found(message: &'static str) -> Error {
    Error::new(ErrorKind::StateNotFound, message)
}

//! The client.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use async_trait::async_trait;
use authflow_core::{
    Clock, Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, Result,
    SystemClock, is_secure,
};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method};
use url::{Position, Url};

use crate::builder::ReqwestClientBuilder;
use crate::deadline::{Deadline, Passed};
use crate::handover::{self, Handover};
use crate::{body, failure, resend};

/// An [`HttpClient`] over [`reqwest`]. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct ReqwestClient {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    origin: Origin,
}

/// Who built the client, and so what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This crate: it follows no redirect.
    Ours,
    /// The application.
    Theirs,
}

impl ReqwestClient {
    /// A client with the defaults.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration) where TLS cannot be set up, for example on a
    /// system without root certificates.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A client with other settings.
    pub fn builder() -> ReqwestClientBuilder {
        ReqwestClientBuilder::new()
    }

    /// A client over the application's own `reqwest::Client`, with its proxies, certificates and connections.
    ///
    /// # Risk
    ///
    /// What `client` was built with cannot be seen from here, so these are the application's to get right:
    ///
    /// - `redirect(reqwest::redirect::Policy::none())`: by default reqwest follows redirects. Here that is seen only when the
    ///   answer comes from another URL: it is an error ([`HttpErrorKind::Redirected`]), but the URL that the redirect names
    ///   has been asked. The body of a request, which holds code and client secret, never goes there.
    /// - `User-Agent`: reqwest sends none by itself, and some providers (GitHub) refuse requests without. Set one with
    ///   `reqwest::ClientBuilder::user_agent`.
    /// - Cookies, `Referer`, default headers, proxies, and verification of certificates.
    /// - Timeouts of its own, which may be shorter than the [`Limits`]. Those hold in any case.
    /// - Decompression: where reqwest does it, [`Limits::max_body`] counts what it makes of it.
    #[must_use]
    pub fn from_client(client: reqwest::Client) -> Self {
        Self::assemble(client, Arc::new(SystemClock::new()), Origin::Theirs)
    }

    /// Replaces the clock that measures the deadlines and the waits between resends.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) const fn assemble(client: reqwest::Client, clock: Arc<dyn Clock>, origin: Origin) -> Self {
        Self { client, clock, origin }
    }

    /// Sends until an answer begins, something was sent, or it makes no sense any more.
    async fn send_until_sent(
        &self,
        request: &mut HttpRequest,
        body: &Bytes,
        deadline: &mut Deadline<'_>,
    ) -> Result<reqwest::Response, HttpError> {
        let mut resends = 0;
        loop {
            let (attempt, handover) = attempt(request, body);
            let mut sending = pin!(Some(handover::ours(|| self.client.execute(attempt))));
            let result = poll_fn(|cx| {
                if let Some(sending) = sending.as_mut().as_pin_mut() {
                    if let Poll::Ready(result) = handover::ours(|| sending.poll(cx)) {
                        return Poll::Ready(result.map_err(Some));
                    }
                }
                while ready!(deadline.poll(cx)) == Passed::Connect {
                    if handover.is_pending() {
                        break;
                    }
                }
                Poll::Ready(Err(None))
            })
            .await;
            handover::ours(|| sending.set(None));
            let error = match result {
                Ok(response) => return Ok(response),
                Err(Some(error)) => failure::before_answer(error, handover.delivery()),
                Err(None) => HttpError::new(HttpErrorKind::Timeout, handover.delivery()),
            };
            if resends == resend::RESENDS || !resend::may_help(&error) {
                return Err(error);
            }
            let Some(pause) = resend::pause(resends) else { return Err(error) };
            if !deadline.has_time_for(pause) {
                return Err(error);
            }
            self.clock.sleep(pause).await;
            deadline.restart_connect();
            resends += 1;
        }
    }

    /// Fails where the answer is not that of the URL that was asked.
    fn check_not_redirected(&self, asked: &Url, answered: &Url) -> Result<(), HttpError> {
        // A client of ours follows nothing. The fragment is not sent, and reqwest drops it.
        let is_same = || asked[..Position::AfterQuery] == answered[..Position::AfterQuery];
        if self.origin == Origin::Ours || is_same() {
            return Ok(());
        }
        Err(HttpError::new(HttpErrorKind::Redirected, Delivery::Answered))
    }
}

#[async_trait]
impl HttpClient for ReqwestClient {
    async fn send(&self, mut request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        if !is_secure(&request.url) {
            return Err(HttpError::new(HttpErrorKind::Insecure, Delivery::NotSent));
        }
        let mut deadline = Deadline::new(&*self.clock, limits);
        let body = Bytes::from(mem::take(&mut request.body));
        let mut response = self.send_until_sent(&mut request, &body, &mut deadline).await?;
        self.check_not_redirected(&request.url, response.url())?;
        let mut reading = pin!(body::read(&mut response, limits.max_body));
        poll_fn(|cx| {
            if let Poll::Ready(result) = reading.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            while ready!(deadline.poll(cx)) == Passed::Connect {}
            // The status is there: the server has acted, and a code or refresh token may be used up.
            Poll::Ready(Err(HttpError::new(HttpErrorKind::Timeout, Delivery::Answered)))
        })
        .await
    }
}

/// Shows nothing of the settings: default headers and proxies may hold secrets.
impl fmt::Debug for ReqwestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestClient").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// One attempt to send `request`, which stays to be sent again.
fn attempt(request: &mut HttpRequest, body: &Bytes) -> (reqwest::Request, Handover) {
    let length = body.len();
    let (body, handover) = handover::body(body.clone());
    let mut attempt = reqwest::Request::new(request.method.clone(), request.url.clone());
    // The copy stays: the original has room for the headers that reqwest adds.
    let copy = request.headers.clone();
    *attempt.headers_mut() = mem::replace(&mut request.headers, copy);
    // hyper says it of a body only, and some servers answer 411 to a POST that says nothing (RFC 9110 §8.6).
    let expects_body = matches!(attempt.method(), &Method::POST | &Method::PUT | &Method::PATCH);
    if length == 0 && expects_body && !attempt.headers().contains_key(TRANSFER_ENCODING) {
        attempt.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
    *attempt.body_mut() = Some(body);
    (attempt, handover)
}

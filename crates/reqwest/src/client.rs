//! The client.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use authflow_core::{
    Clock, Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, Result,
    SystemClock, is_secure,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use crate::builder::ReqwestClientBuilder;
use crate::{body, connecting, failure, resend};

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
    /// This crate: it follows no redirect, and its connector is observed.
    Ours,
    /// The application.
    Theirs,
}

type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

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
    /// - `redirect(reqwest::redirect::Policy::none())`. By default reqwest follows redirects, and sends a token request with
    ///   its client secret and code to wherever a 307 or 308 points. Here that is seen only when the answer comes from another
    ///   URL: it is an error ([`HttpErrorKind::Redirected`]), but the secret is gone.
    /// - `retry(reqwest::retry::never())`: by default reqwest repeats an HTTP/2 request that the server says it did not begin.
    /// - Cookies, `Referer`, default headers, and verification of certificates.
    /// - `connect_timeout`: [`Limits::connect`] is not enforced here. [`Limits::total`] and [`Limits::max_body`] are.
    /// - A deadline that passes while connecting counts as [`Delivery::Unknown`], since nobody can tell.
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

    /// Sends once, and waits for the status and headers of the answer.
    async fn attempt(
        &self,
        request: reqwest::Request,
        limits: &Limits,
        total: &mut Sleep<'_>,
    ) -> Result<reqwest::Response, HttpError> {
        let mut sending = pin!(self.client.execute(request));
        let mut connect: Option<Sleep<'_>> = None;
        poll_fn(|cx| {
            let (polled, waiting) = connecting::observe(|| sending.as_mut().poll(cx));
            if let Poll::Ready(result) = polled {
                return Poll::Ready(result.map_err(failure::before_answer));
            }
            let delivery = if waiting { Delivery::NotSent } else { Delivery::Unknown };
            if total.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(HttpError::new(HttpErrorKind::Timeout, delivery)));
            }
            if waiting {
                let connect = connect.get_or_insert_with(|| self.clock.sleep(limits.connect));
                if connect.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(HttpError::new(HttpErrorKind::Timeout, delivery)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Sends until an answer begins, something was sent, or it makes no sense any more.
    async fn send_until_sent(
        &self,
        parts: &Parts,
        limits: &Limits,
        total: &mut Sleep<'_>,
    ) -> Result<reqwest::Response, HttpError> {
        let begun = self.clock.monotonic();
        let mut resends = 0;
        loop {
            let error = match self.attempt(parts.request(), limits, total).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if resends == resend::RESENDS || !resend::may_help(&error) {
                return Err(error);
            }
            let Some(pause) = resend::pause(resends) else { return Err(error) };
            if !self.has_time_for(pause, begun, limits.total) {
                return Err(error);
            }
            self.clock.sleep(pause).await;
            resends += 1;
        }
    }

    /// Whether a request that began at `begun` has some of its `total` left after a pause.
    fn has_time_for(&self, pause: Duration, begun: Duration, total: Duration) -> bool {
        let spent = self.clock.monotonic().saturating_sub(begun);
        spent.saturating_add(pause) < total
    }

    /// Fails where the answer is not that of the URL that was asked.
    fn check_not_redirected(&self, asked: &Url, answered: &Url) -> Result<(), HttpError> {
        // A client of ours follows nothing. The fragment is not sent, and reqwest drops it.
        if self.origin == Origin::Ours || without_fragment(asked) == without_fragment(answered) {
            return Ok(());
        }
        Err(HttpError::new(HttpErrorKind::Redirected, Delivery::Answered))
    }
}

#[async_trait]
impl HttpClient for ReqwestClient {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        if !is_secure(&request.url) {
            return Err(HttpError::new(HttpErrorKind::Insecure, Delivery::NotSent));
        }
        let mut total = self.clock.sleep(limits.total);
        let parts = Parts::of(request);
        let response = self.send_until_sent(&parts, limits, &mut total).await?;
        self.check_not_redirected(&parts.url, response.url())?;
        let mut reading = pin!(body::read(response, limits.max_body));
        poll_fn(|cx| {
            if let Poll::Ready(result) = reading.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            // The status is there: the server has acted, and a code or refresh token may be used up.
            total.as_mut().poll(cx).map(|()| Err(HttpError::new(HttpErrorKind::Timeout, Delivery::Answered)))
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

/// A request that can be sent more than once.
struct Parts {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Parts {
    fn of(request: HttpRequest) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: Bytes::from(request.body),
        }
    }

    fn request(&self) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        if !self.body.is_empty() {
            *request.body_mut() = Some(reqwest::Body::from(self.body.clone()));
        }
        request
    }
}

fn without_fragment(url: &Url) -> &str {
    let url = url.as_str();
    url.split_once('#').map_or(url, |(before, _)| before)
}

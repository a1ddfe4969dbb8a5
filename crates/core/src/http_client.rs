//! The HTTP client that authflow is given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::{Error, ErrorKind};

/// Sends one HTTP request. `authflow-reqwest` has the usual implementation.
///
/// # Contract
///
/// - It follows no redirect: the redirect is the answer.
/// - It speaks https only, but for loopback addresses ([`is_secure`]).
/// - It keeps to the [`Limits`]: the total deadline spans connecting, sending and reading the whole body; the cap on the
///   body holds after decoding and before the whole is in memory.
/// - It sends a request again only when nothing of it was sent ([`Delivery::NotSent`]).
/// - Its errors hold no URL, header or body.
/// - It sets `User-Agent` where the request names none (RFC 9110 §10.1.5): some providers refuse requests without. authflow
///   leaves this header to the client, so that the application's own setting counts.
#[async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` and reads the whole answer. Any status is an answer, not an error.
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError>;
}

macro_rules! forward_http_client {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<C: HttpClient + ?Sized> HttpClient for $pointer<C> {
            async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
                (**self).send(request, limits).await
            }
        }
    )+};
}

forward_http_client!(Arc, Box);

/// What one request may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// From the first byte of the connection to the last of the body. Default: 30 seconds.
    pub total: Duration,
    /// Until the connection stands, TLS included. Default: 10 seconds.
    pub connect: Duration,
    /// The most bytes of a decoded body. Default: 1 MiB.
    pub max_body: usize,
}

impl Limits {
    /// Replaces the total deadline.
    #[must_use]
    pub const fn with_total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Replaces the deadline for the connection.
    #[must_use]
    pub const fn with_connect(mut self, connect: Duration) -> Self {
        self.connect = connect;
        self
    }

    /// Replaces the cap on the body, in bytes.
    #[must_use]
    pub const fn with_max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(30), connect: Duration::from_secs(10), max_body: 1 << 20 }
    }
}

/// A request. Its `Debug` shows method and origin only.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The URL. It may hold a token where a provider knows no other way.
    pub url: Url,
    /// The headers. What holds a secret is marked sensitive.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// `GET url`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Sets a header. For values that are known to be legal; what comes from outside goes through
    /// [`http::HeaderValue::from_str`].
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("origin", &self.url.origin().ascii_serialization())
            .finish_non_exhaustive()
    }
}

/// An answer. Its `Debug` shows status and length only.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// An answer without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// Sets a header.
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The media type without its parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What is known of a request that failed. It decides whether it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Not one byte of the request left: it may be sent again.
    NotSent,
    /// The server may or may not have acted on it.
    Unknown,
    /// The server answered, and the answer could not be used.
    Answered,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// The answer's body could not be decoded.
    Decode,
    /// The provider does not list the origin.
    ForeignOrigin,
    /// The URL is neither https nor http to a loopback address.
    Insecure,
    /// The HTTP client followed a redirect, and the answer is not that of the URL that was asked.
    Redirected,
    /// A deadline passed.
    Timeout,
    /// TLS: the certificate is not trusted, or the handshake failed.
    Tls,
    /// The body is larger than [`Limits::max_body`].
    TooLarge,
    /// Connecting, sending or receiving failed.
    Transport,
}

/// A request without a usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .kind {
    HttpErrorKind::Decode => "the answer could not be decoded",
    HttpErrorKind::ForeignOrigin => "the provider does not list this origin",
    HttpErrorKind::Insecure => "only https is spoken, and http to loopback addresses",
    HttpErrorKind::Redirected => "the HTTP client followed a redirect",
    HttpErrorKind::Timeout => "the deadline passed",
    HttpErrorKind::Tls => "TLS failed: the server's certificate is not trusted, or the handshake broke off",
    HttpErrorKind::TooLarge => "the answer is larger than the limit",
    HttpErrorKind::Transport => "the connection failed",
})]
pub struct HttpError {
    kind: HttpErrorKind,
    delivery: Delivery,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl HttpError {
    /// A failure of `kind`.
    #[must_use]
    pub const fn new(kind: HttpErrorKind, delivery: Delivery) -> Self {
        Self { kind, delivery, source: None }
    }

    /// Adds the cause. It must hold no URL, header or body.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How it failed.
    #[must_use]
    pub const fn kind(&self) -> HttpErrorKind {
        self.kind
    }

    /// What happened on the wire.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        self.delivery
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let (kind, message) = match error.kind {
            HttpErrorKind::ForeignOrigin => (
                ErrorKind::ForeignOrigin,
                "the request would have left the origins that the provider lists; nothing was sent",
            ),
            HttpErrorKind::Insecure => {
                (ErrorKind::Configuration, "only https is spoken, and http to loopback addresses")
            }
            HttpErrorKind::Redirected => (
                ErrorKind::Configuration,
                "the HTTP client follows redirects, so that secrets may have gone astray: build it without",
            ),
            HttpErrorKind::TooLarge => {
                (ErrorKind::InvalidResponse, "the provider's answer is larger than the limit")
            }
            HttpErrorKind::Decode => {
                (ErrorKind::InvalidResponse, "the provider's answer could not be decoded")
            }
            HttpErrorKind::Timeout => (ErrorKind::Network, "the provider did not answer in time"),
            HttpErrorKind::Tls => (ErrorKind::Network, "no trusted connection to the provider could be made"),
            HttpErrorKind::Transport => match error.delivery {
                Delivery::NotSent => {
                    (ErrorKind::Network, "the provider could not be reached; nothing was sent")
                }
                Delivery::Unknown | Delivery::Answered => {
                    (ErrorKind::Network, "the connection to the provider broke off")
                }
            },
        };
        Self::new(kind, message).with_source(error)
    }
}

/// Whether requests may go to `url`: https, or http to a loopback *address* (RFC 8252 §7.3 says why not the name
/// `localhost`), a host, and no user information.
#[must_use]
pub fn is_secure(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && match (url.scheme(), url.host()) {
            ("https", Some(_)) => true,
            ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
            ("http", Some(url::Host::Ipv6(address))) => address.is_loopback(),
            _ => false,
        }
}

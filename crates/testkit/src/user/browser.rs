//! The part of a browser that speaks HTTP: one request, one response, cookies kept.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{CONNECTION, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::{UserError, cookies::Jar};

/// Longer than whatever the application does of its own before it answers: a user is not the first to give up.
const DEADLINE: Duration = Duration::from_secs(60);
const LARGEST_PAGE: usize = 4 << 20;

/// A response as the user sees it. Its `Debug` hides the body and the values of headers.
#[derive(Clone)]
pub struct Page {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Page {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body; what is not UTF-8 in it is replaced.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Where it redirects to.
    pub(super) fn redirect(&self) -> Option<&str> {
        let redirects = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        self.headers.get(LOCATION).filter(|_| redirects).and_then(|location| location.to_str().ok())
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// A request to be made.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) url: Url,
    /// A form to post; a GET without.
    form: Option<String>,
}

impl Errand {
    pub(super) fn get(url: Url) -> Self {
        Self { url, form: None }
    }

    pub(super) fn post(url: Url, form: String) -> Self {
        Self { url, form: Some(form) }
    }

    /// The same request to another place.
    pub(super) fn moved(self, url: Url) -> Self {
        Self { url, ..self }
    }
}

#[derive(Debug, Default)]
pub(super) struct Browser {
    jar: Mutex<Jar>,
}

impl Browser {
    pub(super) async fn send(&self, errand: Errand) -> Result<Page, UserError> {
        let url = errand.url.clone();
        let page =
            tokio::time::timeout(DEADLINE, self.exchange(errand)).await.map_err(|_| UserError::Timeout)??;
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in page.headers.get_all(SET_COOKIE) {
            if let Ok(cookie) = cookie.to_str() {
                jar.keep(&url, cookie);
            }
        }
        Ok(page)
    }

    async fn exchange(&self, errand: Errand) -> Result<Page, UserError> {
        let (host, port) = loopback(&errand.url).ok_or(UserError::NotLoopback)?;
        let request = self.request(errand, &host, port).ok_or(UserError::Url)?;
        // Brackets belong to the URL, not to the address.
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((address, port)).await.map_err(UserError::Io)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(UserError::Http)?;
        let received = async {
            let response = sender.send_request(request).await.map_err(UserError::Http)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_PAGE).collect().await.map_err(|error| match error
                .downcast::<hyper::Error>(
            ) {
                Ok(error) => UserError::Http(*error),
                Err(error) if error.is::<LengthLimitError>() => UserError::TooLarge,
                Err(error) => UserError::Io(std::io::Error::other(error)),
            })?;
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok(Page { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::pin!(received);
        tokio::pin!(connection);
        // The connection has to be driven until the body is there; what it says afterwards no longer matters.
        tokio::select! {
            biased;
            page = &mut received => page,
            _ = &mut connection => received.await,
        }
    }

    fn request(&self, errand: Errand, host: &str, port: u16) -> Option<Request<Full<Bytes>>> {
        let authority = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
        let target = match errand.url.query() {
            Some(query) => format!("{}?{query}", errand.url.path()),
            None => errand.url.path().to_owned(),
        };
        let mut request = Request::builder()
            .uri(target)
            .header(HOST, authority)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .header("accept", HeaderValue::from_static("text/html,*/*;q=0.8"));
        let cookies = self.jar.lock().unwrap_or_else(PoisonError::into_inner).header(&errand.url);
        if let Some(cookies) = cookies {
            request = request.header(COOKIE, cookies);
        }
        let body = match errand.form {
            None => Bytes::new(),
            Some(form) => {
                request = request
                    .method(Method::POST)
                    .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
                    .header("origin", errand.url.origin().ascii_serialization());
                form.into()
            }
        };
        request.body(Full::new(body)).ok()
    }
}

/// Host and port, where the URL is plain HTTP to this machine.
fn loopback(url: &Url) -> Option<(String, u16)> {
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => IpAddr::V4(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(address).is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    let port = url.port_or_known_default()?;
    (is_loopback && url.scheme() == "http").then(|| url.host_str().map(|host| (host.to_owned(), port)))?
}

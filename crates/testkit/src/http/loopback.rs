//! The client that speaks to loopback addresses.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use authflow_core::{
    Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, async_trait, is_secure,
};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HOST};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use url::{Host, Url};

/// A real, minimal [`HttpClient`]: HTTP/1.1 to `http` URLs with a loopback address, and to nothing else.
///
/// With it a test runs a whole flow against the [`AuthorizationServer`](crate::AuthorizationServer) without another HTTP
/// crate. It opens a connection for each request, follows no redirect, sends nothing twice, keeps to the [`Limits`] and
/// decodes nothing: a body with a content encoding is [`HttpErrorKind::Decode`].
///
/// ```
/// use authflow_core::{HttpClient as _, HttpErrorKind, HttpRequest, Limits};
/// use authflow_testkit::LoopbackClient;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let elsewhere = HttpRequest::get("http://192.0.2.1/".parse()?);
/// let error = LoopbackClient::new().send(elsewhere, &Limits::default()).await.expect_err("no loopback address");
/// assert_eq!(error.kind(), HttpErrorKind::Insecure);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LoopbackClient;

impl LoopbackClient {
    /// A client. It holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl HttpClient for LoopbackClient {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let address =
            address(&request.url).ok_or(HttpError::new(HttpErrorKind::Insecure, Delivery::NotSent))?;
        let (request, total) = (to_hyper(request)?, limits.total);
        // What is known when the deadline strikes; it grows as the exchange goes on.
        let mut delivery = Delivery::NotSent;
        let answer = within(total, exchange(address, request, limits, &mut delivery)).await;
        answer.unwrap_or_else(|| Err(HttpError::new(HttpErrorKind::Timeout, delivery)))
    }
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    limits: &Limits,
    delivery: &mut Delivery,
) -> Result<HttpResponse, HttpError> {
    let connecting = within(limits.connect, TcpStream::connect(address)).await;
    let stream = connecting
        .ok_or(HttpError::new(HttpErrorKind::Timeout, Delivery::NotSent))?
        .map_err(|source| HttpError::new(HttpErrorKind::Transport, Delivery::NotSent).with_source(source))?;
    let failed = |delivery: Delivery| {
        move |source: hyper::Error| HttpError::new(HttpErrorKind::Transport, delivery).with_source(source)
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(failed(Delivery::NotSent))?;
    let _connection = Connection(tokio::spawn(async move {
        // Whoever waits for the answer hears of a failure from `send_request`.
        let _ = connection.await;
    }));
    *delivery = Delivery::Unknown;
    let response = sender.send_request(request).await.map_err(failed(Delivery::Unknown))?;
    *delivery = Delivery::Answered;
    let (head, body) = response.into_parts();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(HttpError::new(HttpErrorKind::Decode, Delivery::Answered));
    }
    let body = Limited::new(body, limits.max_body).collect().await.map_err(|source| {
        let kind = match source.is::<LengthLimitError>() {
            true => HttpErrorKind::TooLarge,
            false => HttpErrorKind::Transport,
        };
        HttpError::new(kind, Delivery::Answered).with_source(source)
    })?;
    let mut response = HttpResponse::new(head.status, body.to_bytes());
    response.headers = head.headers;
    Ok(response)
}

/// The task that drives a connection. It ends with the exchange, however that ends.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn within<T>(limit: std::time::Duration, future: impl Future<Output = T> + Send) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

fn address(url: &Url) -> Option<SocketAddr> {
    let host: IpAddr = match url.host()? {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
        Host::Domain(_) => return None,
    };
    let plain = url.scheme() == "http" && is_secure(url);
    plain.then(|| Some(SocketAddr::new(host, url.port_or_known_default()?)))?
}

fn to_hyper(request: HttpRequest) -> Result<Request<Full<Bytes>>, HttpError> {
    let unusable = || HttpError::new(HttpErrorKind::Transport, Delivery::NotSent);
    let HttpRequest { method, url, headers, body, .. } = request;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut made = Request::new(Full::new(Bytes::from(body)));
    *made.method_mut() = method;
    *made.uri_mut() = target.parse::<Uri>().map_err(|_| unusable())?;
    *made.headers_mut() = headers;
    made.headers_mut().insert(HOST, HeaderValue::from_str(host).map_err(|_| unusable())?);
    Ok(made)
}

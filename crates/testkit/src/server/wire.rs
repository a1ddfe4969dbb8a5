//! The listener, and the faults that need a connection.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::{
    Shared,
    body::{Body, Step, sleep},
    reply::Delivery,
};

/// No request to this server is larger.
const LARGEST_REQUEST: usize = 1 << 20;

/// Listens until it is dropped.
pub(super) struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn listen(listener: TcpListener, shared: Arc<Shared>) -> Listener {
    let task = tokio::spawn(async move {
        // Connections end with the listener: the set aborts what is in it when it is dropped.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&shared)))),
                        // Out of file descriptors, most likely: some may come free.
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Listener(task.abort_handle())
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Whether small pieces leave at once is not worth failing for.
    let _ = stream.set_nodelay(true);
    let end = Arc::new(End::default());
    let wire = Wire { stream: TokioIo::new(stream), end: Arc::clone(&end) };
    let service = service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&end)));
    // A connection that breaks is the client's business, or the fault that was asked for.
    let _ = http1::Builder::new().serve_connection(wire, service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    end: Arc<End>,
) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    // A length that is announced need not be waited for.
    let announced = usize::try_from(hyper::body::Body::size_hint(&body).lower()).unwrap_or(usize::MAX);
    let body = match announced {
        0..=LARGEST_REQUEST => Limited::new(body, LARGEST_REQUEST).collect().await.ok(),
        _ => None,
    };
    let Some(body) = body else {
        let mut response = Response::new(Body::whole(Bytes::from_static(b"the request is too large")));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(response);
    };
    let response = shared.handle(Request::from_parts(parts, body.to_bytes()));
    deliver(response, &end).await
}

async fn deliver(mut response: Response<Bytes>, end: &Arc<End>) -> Result<Response<Body>, io::Error> {
    let delivery = response.extensions_mut().remove::<Delivery>().unwrap_or_default();
    let (mut parts, body) = response.into_parts();
    let mut promise = |length: usize| parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let half = body.slice(..body.len() / 2);
    let last = |how: How| Step::Last(Arc::clone(end), how);
    let body = match delivery {
        Delivery::Plain => Body::whole(body),
        Delivery::Late(pause) => {
            sleep(pause).await;
            Body::whole(body)
        }
        Delivery::Never => std::future::pending::<Body>().await,
        Delivery::Dripping(pause) => {
            promise(body.len());
            Body::dripping(body, pause)
        }
        Delivery::Stalled => {
            promise(body.len());
            Body::steps([Step::Send(half), Step::Stall])
        }
        Delivery::Reset => {
            end.set(How::Reset);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Delivery::ResetAfter(sent) => {
            promise(body.len());
            let sent = body.slice(..sent.min(body.len()));
            Body::steps([Step::Send(sent), last(How::Reset)])
        }
        Delivery::Short => {
            promise(body.len().saturating_add(64));
            Body::steps([Step::Send(body), last(How::Close)])
        }
        Delivery::ShortChunked => Body::steps([Step::Send(half), last(How::Close)]),
        Delivery::Padded(size) => Body::padded(body, size),
    };
    Ok(Response::from_parts(parts, body))
}

/// How a connection ends before its time.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum How {
    Reset = 1,
    Close = 2,
}

/// What the body tells the connection: to end once everything before is written.
#[derive(Default)]
pub(super) struct End(AtomicU8);

impl End {
    pub(super) fn set(&self, how: How) {
        self.0.store(how as u8, Ordering::SeqCst);
    }

    fn is(&self, how: How) -> bool {
        self.0.load(Ordering::SeqCst) == how as u8
    }
}

/// A connection that can be made to end badly.
struct Wire {
    stream: TokioIo<TcpStream>,
    end: Arc<End>,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Everything that hyper had to send is out when this is called and ready.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.end.is(How::Close) {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.end.is(How::Reset) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.is(How::Reset) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end.is(How::Reset) {
            // A zero linger turns the close into a reset, and does not block. Where it cannot be set, the
            // client sees the connection closed instead, which is as unexpected.
            #[allow(deprecated, reason = "the method that replaces it needs a newer tokio")]
            let _ = self.stream.inner().set_linger(Some(Duration::ZERO));
        }
    }
}

/// hyper wants an error type of bodies; these have none.
pub(super) type NoError = Infallible;

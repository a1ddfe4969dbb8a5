//! A request and an answer in actix-web, whose types of HTTP are those of `http` 0.2, and in authflow-web.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::{ErrorBadRequest, ErrorInternalServerError};
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{Error, HttpRequest, HttpResponse, http as actix_http};
use authflow_web::ClientAddress;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::Extensions;
use http::request::Parts;

/// The head of a request: every header, byte by byte, and in its order where a name comes more than once.
pub(crate) fn parts(request: &HttpRequest) -> Result<Parts, Error> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = method(request.method())?;
    parts.uri = uri(request.uri())?;
    let headers = request.headers();
    let values = in_one_piece(|| headers.iter().map(|(_, value)| value.as_bytes()));
    parts.headers.reserve(headers.len());
    for ((name, _), value) in headers.iter().zip(values) {
        let name = http::HeaderName::from_bytes(name.as_ref()).map_err(ErrorBadRequest)?;
        let value = http::HeaderValue::from_maybe_shared(value).map_err(ErrorBadRequest)?;
        parts.headers.append(name, value);
    }
    Ok(parts)
}

/// Copies of values, which share one piece of memory: one for each would cost more than all the rest that is done with it.
fn in_one_piece<'v, I: Iterator<Item = &'v [u8]>>(values: impl Fn() -> I) -> impl Iterator<Item = Bytes> {
    let mut all = BytesMut::with_capacity(values().map(<[u8]>::len).sum());
    values().for_each(|value| all.extend_from_slice(value));
    let mut all = all.freeze();
    // It holds every one of them.
    values().map(move |value| all.split_to(value.len().min(all.len())))
}

fn method(method: &actix_http::Method) -> Result<http::Method, Error> {
    match *method {
        actix_http::Method::GET => Ok(http::Method::GET),
        actix_http::Method::POST => Ok(http::Method::POST),
        _ => method.as_str().parse().map_err(ErrorBadRequest),
    }
}

fn uri(uri: &actix_http::Uri) -> Result<http::Uri, Error> {
    match (uri.scheme(), uri.authority(), uri.path_and_query()) {
        // As browsers ask a server (RFC 9112 §3.2.1).
        (None, None, Some(path)) => path.as_str().parse(),
        _ => uri.to_string().parse(),
    }
    .map_err(ErrorBadRequest)
}

/// Says where the request comes from, unless the application has.
pub(crate) fn name_client(request: &HttpRequest, extensions: &mut Extensions) {
    if extensions.get::<ClientAddress>().is_some() {
        return;
    }
    if let Some(address) = request.peer_addr() {
        // A socket of both families shows an IPv4 client as an IPv6 address, and all of those in one network.
        extensions.insert(ClientAddress(address.ip().to_canonical()));
    }
}

/// The body, as long as it is at most `max` bytes; of a longer one as much as shows that it is.
pub(crate) async fn read(mut payload: Payload, max: usize) -> Result<Bytes, Error> {
    let mut read = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        read.extend_from_slice(&chunk?);
        if read.len() > max {
            break;
        }
    }
    Ok(read.freeze())
}

/// The body of an answer to HEAD: as long as that of GET (RFC 9110 §8.6), and nothing of it is sent.
struct NotSent(u64);

impl MessageBody for NotSent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The answer: every header, byte by byte and in its order. One that names the length of its body is one to HEAD.
pub(crate) fn response(response: http::Response<Bytes>) -> Result<HttpResponse, Error> {
    let named = response.headers().get(CONTENT_LENGTH.as_str());
    match named.and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(length) => answer(response, |_| NotSent(length)),
        None => answer(response, |body| body),
    }
}

fn answer<B: MessageBody + 'static>(
    response: http::Response<Bytes>,
    body_of: impl FnOnce(Bytes) -> B,
) -> Result<HttpResponse, Error> {
    let (parts, body) = response.into_parts();
    let status = actix_http::StatusCode::from_u16(parts.status.as_u16()).map_err(ErrorInternalServerError)?;
    let mut answer = HttpResponse::with_body(status, body_of(body)).map_into_boxed_body();
    let headers = answer.headers_mut();
    headers.reserve(parts.headers.len());
    let values = in_one_piece(|| parts.headers.values().map(http::HeaderValue::as_bytes));
    for (name, value) in parts.headers.iter().map(|(name, _)| name).zip(values) {
        // actix-web writes its own, from the body.
        if name != CONTENT_LENGTH.as_str() {
            let name = HeaderName::from_bytes(name.as_ref()).map_err(ErrorInternalServerError)?;
            let value = HeaderValue::from_maybe_shared(value).map_err(ErrorInternalServerError)?;
            headers.append(name, value);
        }
    }
    Ok(answer)
}

/// The answer, and these headers: a name of them is only what they say.
pub(crate) fn with_headers(
    mut answer: HttpResponse,
    headers: &http::HeaderMap,
) -> Result<HttpResponse, Error> {
    for name in headers.keys() {
        let written = HeaderName::from_bytes(name.as_ref()).map_err(ErrorInternalServerError)?;
        // actix-web writes its own, from the body.
        if written == CONTENT_LENGTH {
            continue;
        }
        answer.headers_mut().remove(&written);
        for value in headers.get_all(name) {
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(ErrorInternalServerError)?;
            answer.headers_mut().append(written.clone(), value);
        }
    }
    Ok(answer)
}

/// The answer, where there is no way to fail.
pub(crate) fn error(answer: http::Response<Bytes>) -> HttpResponse {
    response(answer).unwrap_or_else(|error| error.error_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::dev::Payload as Raw;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::{Bytes, Error, Payload, read};

    async fn read_all(
        chunks: impl futures_util::Stream<Item = Result<Bytes, PayloadError>> + 'static,
    ) -> Result<Bytes, Error> {
        let mut raw: Raw = Raw::Stream { payload: Box::pin(chunks) };
        let request = TestRequest::default().to_http_request();
        read(Payload::from_request(&request, &mut raw).await.unwrap(), 1000).await
    }

    #[actix_web::test]
    async fn b12_a_body_without_end_is_not_read_to_its_end() {
        let read = read_all(stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 600])))).await.unwrap();
        assert_eq!(read.len(), 1200);
    }

    #[actix_web::test]
    async fn a_body_that_breaks_off_is_not_handled() {
        let chunks = stream::iter([Ok(Bytes::from_static(b"account=")), Err(PayloadError::Incomplete(None))]);
        assert!(read_all(chunks).await.is_err());
    }
}

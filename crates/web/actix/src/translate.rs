//! A request and an answer in actix-web, whose types of HTTP are those of `http` 0.2, and in authflow-web.

use actix_web::body::BoxBody;
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
    parts.method = request.method().as_str().parse().map_err(ErrorBadRequest)?;
    parts.uri = request.uri().to_string().parse().map_err(ErrorBadRequest)?;
    for (name, value) in request.headers() {
        let name = http::HeaderName::from_bytes(name.as_ref()).map_err(ErrorBadRequest)?;
        let value = http::HeaderValue::from_bytes(value.as_bytes()).map_err(ErrorBadRequest)?;
        parts.headers.append(name, value);
    }
    Ok(parts)
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

/// The answer: every header, byte by byte and in its order.
pub(crate) fn response(response: http::Response<Bytes>) -> Result<HttpResponse, Error> {
    let (parts, body) = response.into_parts();
    let status = actix_http::StatusCode::from_u16(parts.status.as_u16()).map_err(ErrorInternalServerError)?;
    with_headers(HttpResponse::with_body(status, BoxBody::new(body)), &parts.headers)
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

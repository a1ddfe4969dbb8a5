//! A response before it is rendered, so that faults can change it in its own terms.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, PRAGMA},
};
use serde_json::Value;

use super::params::encode_pairs;

/// How a response gets onto the wire. [`AuthorizationServer::handle`](super::AuthorizationServer::handle)
/// leaves it in the response's extensions where it is not [`Delivery::Plain`]; the server's own listener acts
/// on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// At once and whole.
    #[default]
    Plain,
    /// The headers come late.
    Late(Duration),
    /// The headers never come.
    Never,
    /// The body comes one byte at a time, with this pause before each.
    Dripping(Duration),
    /// Half of the body comes, and then nothing, with the connection open.
    Stalled,
    /// The connection is reset before anything was sent.
    Reset,
    /// The headers and this many bytes of the body are sent, then the connection is reset.
    ResetAfter(usize),
    /// The whole body is sent under a `Content-Length` that promises more, then the connection is closed.
    Short,
    /// The body is sent in chunks, and the connection closed before the last one.
    ShortChunked,
    /// The body is followed by spaces up to this many bytes.
    Padded(u64),
}

/// How a list of fields is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Form,
}

pub(super) enum Content {
    Bytes(Bytes),
    /// Kept as a list, not as a map: order and duplicates are part of the wire format.
    Fields(Vec<(String, Value)>, Format),
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    pub(super) delivery: Delivery,
    /// Compress, as Stack Exchange's API always does.
    pub(super) compressed: bool,
}

impl Reply {
    pub(super) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self {
            status,
            headers: HeaderMap::new(),
            content: Content::Bytes(body.into()),
            delivery: Delivery::Plain,
            compressed: false,
        };
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::bytes(status, "application/json", value.to_string())
    }

    pub(super) fn html(status: StatusCode, page: String) -> Self {
        Self::bytes(status, "text/html; charset=utf-8", page)
            .no_store()
            .header(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
            )
            .header("referrer-policy", "no-referrer")
            .header("x-content-type-options", "nosniff")
    }

    /// A reply of the token endpoint (RFC 6749 §5.1), not to be stored by anyone.
    pub(super) fn fields(status: StatusCode, fields: Vec<(&str, Value)>, format: Format) -> Self {
        let content_type = match format {
            Format::Json => "application/json",
            Format::Form => "application/x-www-form-urlencoded",
        };
        let mut reply = Self::bytes(status, content_type, Bytes::new()).no_store();
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        reply.content = Content::Fields(fields, format);
        reply
    }

    /// A redirect that turns a POST into a GET (RFC 9700 §4.12).
    pub(super) fn see_other(location: &str) -> Self {
        let mut reply = Self::bytes(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new())
            .no_store()
            .header("referrer-policy", "no-referrer");
        reply.set(LOCATION, location);
        reply
    }

    pub(super) fn no_store(mut self) -> Self {
        self.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Sets a header to a computed value; one that no header can carry is left out.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
    }

    /// Writes the fields out, once nothing will change them any more.
    pub(super) fn render(&mut self) -> Bytes {
        let rendered = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Fields(fields, format) => write_fields(fields, *format).into(),
        };
        self.content = Content::Bytes(rendered.clone());
        rendered
    }

    pub(super) fn into_response(mut self) -> Response<Bytes> {
        let mut response = Response::new(self.render());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if self.delivery != Delivery::Plain {
            response.extensions_mut().insert(self.delivery);
        }
        response
    }
}

fn write_fields(fields: &[(String, Value)], format: Format) -> String {
    match format {
        Format::Json => {
            let members: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Format::Form => {
            let pairs: Vec<(&str, String)> = fields
                .iter()
                .map(|(name, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (name.as_str(), text)
                })
                .collect();
            encode_pairs(&pairs)
        }
    }
}

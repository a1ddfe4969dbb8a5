//! Answers for programs (RFC 9457).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

/// A problem, whose type is `urn:authflow:` and its kind.
pub(crate) struct Problem {
    status: StatusCode,
    members: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        let mut members = Map::new();
        members.insert("type".to_owned(), format!("urn:authflow:{kind}").into());
        members.insert("title".to_owned(), title.into());
        members.insert("status".to_owned(), status.as_u16().into());
        Self { status, members }
    }

    pub(crate) fn detail(mut self, provider_id: &str, detail: &str) -> Self {
        self.members.insert("detail".to_owned(), detail.into());
        self.members.insert("provider".to_owned(), provider_id.into());
        self
    }

    /// The path that connects.
    pub(crate) fn connect(mut self, path: String) -> Self {
        self.members.insert("connect".to_owned(), path.into());
        self
    }

    /// The path where one signs in, if the application says where.
    pub(crate) fn sign_in(mut self, path: Option<String>) -> Self {
        self.members.extend(path.map(|path| ("sign_in".to_owned(), path.into())));
        self
    }

    pub(crate) fn answer(self) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from(Value::Object(self.members).to_string()));
        *answer.status_mut() = self.status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer
    }
}

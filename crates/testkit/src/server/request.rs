//! A request as the endpoints see it.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header::CONTENT_TYPE};

use super::{params::Params, refusal::Refusal};

pub(super) struct Received {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    query: Option<Params>,
    form: Form,
}

enum Form {
    /// The body is of another type, or there is none.
    Absent,
    Malformed,
    Read(Params),
}

impl Received {
    pub(super) fn new(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let is_form = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let form = match Params::parse(&body) {
            _ if !is_form => Form::Absent,
            Some(params) => Form::Read(params),
            None => Form::Malformed,
        };
        Self { method: parts.method, path: parts.uri.path().to_owned(), headers: parts.headers, query, form }
    }

    /// The query, refused where it is malformed.
    pub(super) fn query(&self) -> Result<&Params, Refusal> {
        self.query.as_ref().ok_or_else(|| Refusal::request("the query is not properly encoded"))
    }

    /// The form in the body, refused where it is absent, malformed or has duplicates.
    pub(super) fn form(&self) -> Result<&Params, Refusal> {
        let params = match &self.form {
            Form::Read(params) => params,
            Form::Malformed => return Err(Refusal::request("the body is not properly encoded")),
            Form::Absent => {
                return Err(Refusal::request("the body must be application/x-www-form-urlencoded"));
            }
        };
        match params.duplicate() {
            None => Ok(params),
            Some(_) => Err(Refusal::request("a parameter was sent more than once")),
        }
    }

    pub(super) fn query_pairs(&self) -> Vec<(String, String)> {
        self.query.clone().unwrap_or_default().into_pairs()
    }

    pub(super) fn form_pairs(&self) -> Vec<(String, String)> {
        match &self.form {
            Form::Read(params) => params.clone().into_pairs(),
            Form::Absent | Form::Malformed => Vec::new(),
        }
    }

    /// A header that may come only once.
    pub(super) fn single_header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                value.to_str().map(Some).map_err(|_| Refusal::request("a header is not plain text"))
            }
            (Some(_), Some(_)) => Err(Refusal::request("a header was sent more than once")),
        }
    }

    /// The token of `Authorization: Bearer …`; the scheme in any case (RFC 9110 §11.1).
    pub(super) fn bearer(&self) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.single_header("authorization")? else { return Ok(None) };
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::request("the Authorization header does not use the Bearer scheme"));
        }
        match token.trim() {
            "" => Err(Refusal::request("the Authorization header has no token")),
            token => Ok(Some(token)),
        }
    }
}

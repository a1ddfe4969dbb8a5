//! A request, and what is read of it.

use std::borrow::Cow;

use authflow_core::check_return_to;
use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use url::form_urlencoded;

use crate::pages::RETURN_TO_FIELD;

/// A request, with its whole body.
pub(crate) struct Incoming {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Incoming {
    pub(crate) fn is_post(&self) -> bool {
        self.parts.method == Method::POST
    }

    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// A parameter of the query that is there once.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        once(self.query().as_bytes(), name)
    }

    /// A field of the form that is there once.
    pub(crate) fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        once(self.form()?, name)
    }

    /// The body, if it is a form that was posted. A GET has none, whatever comes with it.
    pub(crate) fn form(&self) -> Option<&[u8]> {
        let content_type = self.parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        (self.is_post() && is_form).then_some(&*self.body)
    }

    /// Where to go on, if it is a path of this site.
    pub(crate) fn return_to(&self) -> Option<String> {
        let given = self.field(RETURN_TO_FIELD).or_else(|| self.parameter(RETURN_TO_FIELD))?;
        check_return_to(&given).is_ok().then(|| given.into_owned())
    }

    /// Path and query, as a place to come back to.
    pub(crate) fn place(parts: &Parts) -> Option<&str> {
        let place = parts.uri.path_and_query()?.as_str();
        check_return_to(place).is_ok().then_some(place)
    }
}

fn once<'a>(encoded: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values =
        form_urlencoded::parse(encoded).filter(|(known, _)| known == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

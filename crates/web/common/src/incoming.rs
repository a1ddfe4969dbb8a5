//! A request, and what is read of it.

use std::borrow::Cow;

use authflow_core::check_return_to;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{Extensions, Method};
use memchr::{memchr, memchr2};
use url::form_urlencoded;

use crate::pages::RETURN_TO_FIELD;
use crate::same_origin::only;
use crate::split::split;

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

    /// The body, if it is a form that was posted, and readable as it is. A GET has none, whatever comes with it.
    pub(crate) fn form(&self) -> Option<&[u8]> {
        if !self.is_post() {
            return None;
        }
        let content_type = only(&self.parts.headers, &CONTENT_TYPE)??;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let is_plain = only(&self.parts.headers, &CONTENT_ENCODING)
            .is_none_or(|coding| coding.is_some_and(|coding| coding.eq_ignore_ascii_case("identity")));
        (is_form && is_plain).then_some(&*self.body)
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

impl AsRef<Extensions> for Incoming {
    fn as_ref(&self) -> &Extensions {
        &self.parts.extensions
    }
}

fn once<'a>(encoded: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = values(encoded, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Each value that a form, or a query, has under a name.
pub(crate) fn values<'a>(encoded: &'a [u8], name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    // Only what can be of this name is decoded.
    let pairs = split(encoded, b'&').filter(move |pair| may_be_of(name, pair));
    let decoded = pairs.flat_map(form_urlencoded::parse);
    decoded.filter(move |(known, _)| known == name).map(|(_, value)| value)
}

/// Whether a pair of a form has this name, or one in which something is encoded.
fn may_be_of(name: &str, pair: &[u8]) -> bool {
    let after = pair.strip_prefix(name.as_bytes());
    after.is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
        || memchr2(b'%', b'+', pair)
            .is_some_and(|encoded| memchr(b'=', pair).is_none_or(|equals| encoded < equals))
}

#[cfg(test)]
mod tests {
    use super::once;

    #[test]
    fn a_parameter_is_read_as_the_url_standard_reads_it() {
        for (form, expected) in [
            ("a=1&b=2", Some("1")),
            ("b=2&&a=%31+%E2%82%AC&", Some("1 \u{20ac}")),
            ("%61=1", Some("1")),
            ("a", Some("")),
            ("aa=1&b=a", None),
            ("a=1&a=2", None),
            ("a=1&%61=2", None),
            ("b=%61&a=1=2", Some("1=2")),
            ("", None),
        ] {
            assert_eq!(once(form.as_bytes(), "a").as_deref(), expected, "{form}");
        }
        assert_eq!(once(b"a+b=1&a%20b", "a b"), None);
        assert_eq!(once(b"a+b=1&ab=2", "a b").as_deref(), Some("1"));
    }
}

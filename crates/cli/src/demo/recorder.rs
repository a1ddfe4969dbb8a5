//! Writes down what the HTTP client sends and gets: the client's side of the transcript.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use authflow::{Clock as _, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, SystemClock};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use url::form_urlencoded;

use crate::terminal::{masked_briefly as masked, printable};

/// One request and what came of it, with the secrets masked.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) method: String,
    /// Origin and path.
    pub(super) place: String,
    /// The parameters of the query, then those of the form, then the headers that carry something of the protocol.
    pub(super) carried: Vec<Carried>,
    pub(super) answer: Result<Answer, String>,
    pub(super) took: Duration,
}

/// A parameter or a header of a request.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_header: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) media_type: Option<String>,
    pub(super) length: usize,
}

/// An [`HttpClient`] that keeps a record of another one.
#[derive(Debug)]
pub(super) struct Recorder {
    inner: Arc<dyn HttpClient>,
    records: Mutex<Vec<Recorded>>,
}

impl Recorder {
    pub(super) fn new(inner: impl HttpClient) -> Self {
        Self { inner: Arc::new(inner), records: Mutex::default() }
    }

    /// What was recorded since the last call.
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl HttpClient for Recorder {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let clock = SystemClock::new();
        let method = request.method.to_string();
        let place = place(&request);
        let carried = carried(&request);
        let begun = clock.monotonic();
        let result = self.inner.send(request, limits).await;
        let answer = match &result {
            Ok(response) => Ok(Answer {
                status: response.status.as_u16(),
                reason: response.status.canonical_reason().unwrap_or_default(),
                media_type: response
                    .headers
                    .get(CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok())
                    .map(printable),
                length: response.body.len(),
            }),
            Err(error) => Err(format!("{error} (delivery: {:?})", error.delivery())),
        };
        let took = clock.monotonic().saturating_sub(begun);
        let recorded = Recorded { method, place, carried, answer, took };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
        result
    }
}

fn place(request: &HttpRequest) -> String {
    format!("{}{}", request.url.origin().ascii_serialization(), masked_path(request.url.path()))
}

/// What a request carries of the protocol, masked.
pub(super) fn carried(request: &HttpRequest) -> Vec<Carried> {
    let parameter = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| Carried {
        value: shown(&name, &value),
        name: printable(&name),
        is_header: false,
    };
    let query = request.url.query_pairs().map(parameter);
    let is_form = request
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body: &[u8] = if is_form { &request.body } else { &[] };
    let form = form_urlencoded::parse(body).map(parameter);
    let headers = request.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        let value = match name.as_str() {
            "authorization" if *name == AUTHORIZATION => match value.split_once(' ') {
                Some((scheme, credentials)) => format!("{} {}", printable(scheme), masked(credentials)),
                None => masked(value),
            },
            "organization_uid" | "api_key" => shown(name.as_str(), value),
            _ => return None,
        };
        Some(Carried { name: name.to_string(), value, is_header: true })
    });
    query.chain(form).chain(headers).collect()
}

/// A parameter's value as it may be seen.
pub(super) fn shown(name: &str, value: &str) -> String {
    const SECRET: [&str; 9] = [
        "access_token",
        "client_secret",
        "code",
        "code_verifier",
        "id_token",
        "key",
        "api_key",
        "refresh_token",
        "token",
    ];
    if SECRET.contains(&name) { masked(value) } else { printable(value) }
}

/// A path with the tokens that Stack Exchange wants in it masked.
pub(super) fn masked_path(path: &str) -> String {
    const LONGEST_WORD: usize = 24;
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| if segment.len() > LONGEST_WORD { masked(segment) } else { printable(segment) })
        .collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use authflow::{HttpRequest, async_trait};
    use http::HeaderValue;
    use http::header::{AUTHORIZATION, CONTENT_TYPE};

    use super::{HttpClient, HttpError, HttpResponse, Limits, Recorder};

    #[derive(Debug)]
    struct Ok200;

    #[async_trait]
    impl HttpClient for Ok200 {
        async fn send(&self, _: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
            Ok(HttpResponse::new(http::StatusCode::OK, "secret-in-the-body-0123456789"))
        }
    }

    #[tokio::test]
    async fn h1_the_record_holds_no_secret() {
        let recorder = Recorder::new(Ok200);
        let url = "http://127.0.0.1/2.3/access-tokens/secret-in-the-path-0123456789/invalidate?key=secret-key-0123456789\
                   &access_token=secret-in-the-query-0123456789&site=stackoverflow";
        let request = HttpRequest::new(http::Method::POST, url.parse().unwrap())
            .with_header(AUTHORIZATION, HeaderValue::from_static("Bearer secret-in-the-header-0123456789"))
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .with_header(http::HeaderName::from_static("api_key"), HeaderValue::from_static("secret-api-key-0123456789"))
            .with_body(
                "grant_type=authorization_code&code=secret-code-0123456789-0123456789\
                 &code_verifier=secret-verifier-0123456789-0123456789-0123456789&client_secret=secret-of-the-client-0123\
                 &key=secret-short&refresh_token=secret-refresh-0123456789",
            );
        recorder.send(request, &Limits::default()).await.unwrap();
        let records = recorder.take();
        let carried = &records[0].carried;
        for (name, value) in [
            ("key", "****"),
            ("access_token", "secret****"),
            ("code", "secret****"),
            ("code_verifier", "secret****"),
            ("client_secret", "secret****"),
            ("refresh_token", "secret****"),
            ("authorization", "Bearer secret****"),
            ("api_key", "secret****"),
        ] {
            assert!(carried.iter().any(|one| one.name == name && one.value == value), "{name}: {carried:?}");
        }
        let records = format!("{records:?}");
        // All that is planted begins so; a mask leaves the first six characters.
        assert!(!records.contains("secret-"), "{records}");
        assert!(records.contains("secret****") && records.contains("stackoverflow"), "{records}");
        assert!(records.contains("authorization_code"), "{records}");
        assert!(recorder.take().is_empty());
    }
}

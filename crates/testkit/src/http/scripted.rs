//! The client that answers from a script.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authflow_core::{
    Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, async_trait,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

/// An [`HttpClient`] that answers from a script and remembers every request. A clone is a handle to the same client.
///
/// Answers are given in the order in which they were pushed. When none is left the closure of
/// [`answering`](Self::answering) is asked, if there is one. A request that neither answers fails with
/// [`HttpErrorKind::Transport`] and a source that says so, and it is remembered all the same: nothing is ever made up.
///
/// ```
/// use authflow_core::{Delivery, HttpClient as _, HttpErrorKind, HttpRequest, Limits};
/// use authflow_testkit::ScriptedClient;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let client = ScriptedClient::new();
/// client.push_json(r#"{"access_token": "t1"}"#);
/// client.push_error(HttpErrorKind::Timeout, Delivery::Unknown);
///
/// let request = HttpRequest::get("https://as.example/token".parse()?);
/// let answer = client.send(request.clone(), &Limits::default()).await?;
/// assert_eq!(answer.body, br#"{"access_token": "t1"}"#);
/// let error = client.send(request.clone(), &Limits::default()).await.expect_err("as the script says");
/// assert_eq!(error.delivery(), Delivery::Unknown);
///
/// client.send(request, &Limits::default()).await.expect_err("the script is at its end");
/// assert_eq!(client.request_count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ScriptedClient(Arc<Inner>);

#[derive(Default)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<(HttpRequest, Limits)>>,
    otherwise: Option<Box<Answering>>,
}

type Answer = Result<HttpResponse, HttpError>;
type Answering = dyn Fn(&HttpRequest) -> Option<Answer> + Send + Sync;

impl ScriptedClient {
    /// A client with an empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that asks `answer` for everything that the script has no answer to. `None` is no answer either.
    #[must_use]
    pub fn answering(answer: impl Fn(&HttpRequest) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { otherwise: Some(Box::new(answer)), ..Inner::default() }))
    }

    /// Adds an answer.
    pub fn push(&self, answer: Result<HttpResponse, HttpError>) {
        self.answers().push_back(answer);
    }

    /// Adds a 200 with a JSON body.
    pub fn push_json(&self, body: &str) {
        self.push(Ok(json(body)));
    }

    /// Adds a failure, with what is known of the request's fate.
    pub fn push_error(&self, kind: HttpErrorKind, delivery: Delivery) {
        self.push(Err(HttpError::new(kind, delivery)));
    }

    /// How many answers of the script are left.
    #[must_use]
    pub fn answers_left(&self) -> usize {
        self.answers().len()
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.seen().iter().map(|(request, _)| request.clone()).collect()
    }

    /// How many requests there were.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.seen().len()
    }

    /// The last request.
    #[must_use]
    pub fn last_request(&self) -> Option<HttpRequest> {
        self.seen().last().map(|(request, _)| request.clone())
    }

    /// The form in the body of the last request; empty if there is none.
    #[must_use]
    pub fn last_form(&self) -> Vec<(String, String)> {
        let body = self.last_request().map(|request| request.body).unwrap_or_default();
        url::form_urlencoded::parse(&body).into_owned().collect()
    }

    /// The limits that came with each request, in order.
    #[must_use]
    pub fn limits(&self) -> Vec<Limits> {
        self.seen().iter().map(|(_, limits)| limits.clone()).collect()
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<(HttpRequest, Limits)>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A 200 with a JSON body.
pub(crate) fn json(body: &str) -> HttpResponse {
    let json = HeaderValue::from_static("application/json");
    HttpResponse::new(StatusCode::OK, body).with_header(CONTENT_TYPE, json)
}

#[async_trait]
impl HttpClient for ScriptedClient {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let number = {
            let mut seen = self.seen();
            seen.push((request.clone(), limits.clone()));
            seen.len()
        };
        if let Some(answer) = self.answers().pop_front() {
            return answer;
        }
        let answer = self.0.otherwise.as_ref().and_then(|answer| answer(&request));
        // Not `NotSent`: a client around this one would send it again, and hide the first failure behind others.
        answer.unwrap_or_else(|| {
            let error = HttpError::new(HttpErrorKind::Transport, Delivery::Unknown);
            Err(error
                .with_source(format!("the script has no answer to request {number}, a {}", request.method)))
        })
    }
}

impl fmt::Debug for ScriptedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedClient")
            .field("answers_left", &self.answers_left())
            .field("requests", &self.request_count())
            .finish_non_exhaustive()
    }
}

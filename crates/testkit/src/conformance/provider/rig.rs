//! A flow over the manager under test, with a provider that answers as the fixture says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authflow_core::quirks::ResponseMode;
use authflow_core::{
    AuthorizationResponse, Binding, Clock, Completed, Error, Flow, HttpError, HttpRequest, HttpResponse,
    MemoryStateStore, Prepared, StateStore,
};
use http::Extensions;

use super::fixture::{Pointer, ProviderFixture};
use super::probe::{Notes, Probe, Stage};
use super::twist::Twist;
use crate::conformance::{Failure, chain, ensure, succeed};
use crate::{LeakDetector, ManualClock, ScriptedClient};

pub(super) struct Rig {
    pub(super) flow: Flow,
    pub(super) http: ScriptedClient,
    pub(super) clock: ManualClock,
    pub(super) notes: Notes,
    fixture: ProviderFixture,
    provider: Arc<Mutex<Scripted>>,
}

/// The provider's side.
#[derive(Default)]
struct Scripted {
    /// What is answered instead of the fixture's replies, in order.
    token: VecDeque<Result<HttpResponse, HttpError>>,
    refresh: VecDeque<HttpResponse>,
    revocation: Option<HttpResponse>,
    sent: Vec<(Stage, HttpRequest)>,
}

/// Whoever begins the flows of the suite.
pub(super) fn user() -> Binding {
    Binding::user("tenant-1", "user-42")
}

impl Rig {
    pub(super) fn new(fixture: &ProviderFixture) -> Result<Self, Failure> {
        Self::with(fixture, Twist::Nothing, fixture.pointer)
    }

    pub(super) fn twisted(fixture: &ProviderFixture, twist: Twist) -> Result<Self, Failure> {
        Self::with(fixture, twist, fixture.pointer)
    }

    pub(super) fn with(fixture: &ProviderFixture, twist: Twist, pointer: Pointer) -> Result<Self, Failure> {
        let states: Arc<dyn StateStore> = Arc::new(MemoryStateStore::default());
        let notes = Notes::default();
        let inner = (fixture.managers)(pointer, states);
        let manager = Probe { inner, notes: notes.clone(), twist };
        let provider: Arc<Mutex<Scripted>> = Arc::default();
        let http = {
            let (fixture, notes, provider) = (fixture.clone(), notes.clone(), Arc::clone(&provider));
            ScriptedClient::answering(move |request| {
                let mut provider = provider.lock().unwrap_or_else(PoisonError::into_inner);
                provider.answer(&fixture, notes.stage(), request)
            })
        };
        let clock = ManualClock::new();
        let handle: Arc<dyn Clock> = Arc::new(clock.clone());
        let built = Flow::builder(manager).http_client(http.clone()).clock(handle).build();
        let flow = succeed!(built, "building a flow over the manager");
        Ok(Self { flow, http, clock, notes, fixture: fixture.clone(), provider })
    }

    /// What the manager's provider answers next to a token request for a code.
    pub(super) fn answer_token(&self, answer: Result<HttpResponse, HttpError>) {
        self.scripted().token.push_back(answer);
    }

    pub(super) fn answer_refresh(&self, answer: HttpResponse) {
        self.scripted().refresh.push_back(answer);
    }

    /// What is answered to every request of a revocation.
    pub(super) fn answer_revocation(&self, answer: HttpResponse) {
        self.scripted().revocation = Some(answer);
    }

    /// The requests of one stage so far.
    pub(super) fn sent(&self, stage: Stage) -> Vec<HttpRequest> {
        let scripted = self.scripted();
        scripted
            .sent
            .iter()
            .filter(|(known, _)| *known == stage)
            .map(|(_, request)| request.clone())
            .collect()
    }

    fn scripted(&self) -> MutexGuard<'_, Scripted> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a flow in steps, so that the state is known for certain.
    pub(super) async fn begin(&self) -> Result<Begun, Failure> {
        Ok(succeed!(self.try_begin().await, "beginning a flow"))
    }

    pub(super) async fn try_begin(&self) -> authflow_core::Result<Begun> {
        let Prepared { url, state, pending, .. } = self.flow.prepare().await?;
        self.flow.store_state(&Extensions::new(), &state, &user(), pending.clone()).await?;
        Ok(Begun { url, state, pending })
    }

    /// The query of a callback that grants access.
    pub(super) fn granted(&self, begun: &Begun) -> String {
        let shape = &self.flow.provider().quirks().authorization_response;
        let name = shape.code_parameter.as_deref().unwrap_or("code");
        let default = || format!("{name}=planted-code-0123456789");
        self.query(self.fixture.callback.clone().unwrap_or_else(default), begun)
    }

    /// The query of a callback that denies access.
    pub(super) fn denied(&self, begun: &Begun) -> String {
        let names = &self.flow.provider().quirks().authorization_response.error_parameters;
        let name = names.error.as_deref().unwrap_or("error");
        let default = || format!("{name}=access_denied");
        self.query(self.fixture.denial.clone().unwrap_or_else(default), begun)
    }

    fn query(&self, mut query: String, begun: &Begun) -> String {
        query.push('&');
        query.push_str(&pair(self.state_parameter(), &begun.state));
        if let Some(issuer) = &begun.pending.issuer {
            if !url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "iss") {
                query.push('&');
                query.push_str(&pair("iss", issuer));
            }
        }
        query
    }

    pub(super) fn state_parameter(&self) -> &str {
        self.flow.provider().quirks().authorization_response.state_parameter.as_deref().unwrap_or("state")
    }

    /// The code in the callbacks of the fixture.
    pub(super) fn code(&self, begun: &Begun) -> Option<String> {
        let shape = &self.flow.provider().quirks().authorization_response;
        let name = shape.code_parameter.as_deref().unwrap_or("code").to_owned();
        let query = self.granted(begun);
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.into_owned())
    }

    pub(super) async fn finish(&self, query: &str, binding: &Binding) -> Result<Completed, Error> {
        self.flow.finish(&self.response(query)?, binding).await
    }

    /// The callback as it arrives in the way that the provider was asked for.
    pub(super) fn response<'q>(&self, query: &'q str) -> Result<AuthorizationResponse<'q>, Error> {
        match self.flow.provider().quirks().authorization_response.response_mode {
            ResponseMode::FormPost => AuthorizationResponse::from_form(query.as_bytes()),
            _ => AuthorizationResponse::from_query(query),
        }
    }

    /// A whole flow that must go well.
    pub(super) async fn complete(&self) -> Result<(Begun, Completed), Failure> {
        let begun = self.begin().await?;
        let finished = self.finish(&self.granted(&begun), &user()).await;
        let completed = succeed!(finished, "finishing a flow whose callback and token reply are good");
        if let Some(error) = &completed.after_exchange {
            return Err(Failure::new(format!(
                "after_exchange failed: {}; where it asks the provider something, give the answer with ProviderFixture::script",
                chain(error)
            )));
        }
        Ok((begun, completed))
    }
}

impl Scripted {
    fn answer(
        &mut self,
        fixture: &ProviderFixture,
        stage: Stage,
        request: &HttpRequest,
    ) -> Option<Result<HttpResponse, HttpError>> {
        self.sent.push((stage, request.clone()));
        let scripted = || fixture.script.as_ref().and_then(|script| script(request));
        match stage {
            Stage::Token => Some(self.token.pop_front().unwrap_or_else(|| Ok(fixture.token_reply.clone()))),
            Stage::Refresh => self.refresh.pop_front().map(Ok),
            Stage::Revoke => Some(Ok(self
                .revocation
                .clone()
                .or_else(scripted)
                .unwrap_or_else(|| fixture.revocation_reply.clone()))),
            Stage::Other => scripted().map(Ok),
        }
    }
}

/// A flow that has begun.
pub(super) struct Begun {
    pub(super) url: String,
    pub(super) state: String,
    pub(super) pending: authflow_core::PendingFlow,
}

impl Begun {
    /// The parameters of the authorization URL, in the query or in a query inside the fragment.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        url_parameters(&self.url)
    }
}

pub(super) fn url_parameters(url: &str) -> Vec<(String, String)> {
    let (front, fragment) = url.split_once('#').unwrap_or((url, ""));
    [front, fragment]
        .into_iter()
        .filter_map(|part| part.split_once('?'))
        .flat_map(|(_, query)| url::form_urlencoded::parse(query.as_bytes()).into_owned())
        .collect()
}

/// The parameters of a request, in its query and its body: a form or a flat JSON object.
pub(super) fn request_parameters(request: &HttpRequest) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&request.body) {
        Ok(object) => all.extend(object.into_iter().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name, text)
        })),
        Err(_) => all.extend(url::form_urlencoded::parse(&request.body).into_owned()),
    }
    all
}

/// Whether a request carries a secret, wherever and however.
pub(super) fn carries(request: &HttpRequest, secret: &str) -> Result<bool, Failure> {
    ensure!(
        secret.len() >= 8,
        "a code or token of the fixture has fewer than 8 bytes, too few to be told from chance: take a longer one"
    );
    let leaks = LeakDetector::new();
    leaks.plant("the secret", secret);
    let headers = request.headers.values().map(|value| value.as_bytes());
    let mut found = leaks.scan(request.url.as_str()).len() + leaks.scan(&request.body).len();
    for value in headers {
        found += leaks.scan(value).len();
    }
    // What a form encodes with `+` is not percent-encoded.
    let decoded = request_parameters(request).iter().any(|(_, value)| value.contains(secret));
    Ok(found > 0 || decoded)
}

fn pair(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

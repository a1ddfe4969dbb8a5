//! The journey: a flow from its beginning to the revoked token.

use std::sync::Arc;
use std::time::Duration;

use authflow::{
    Binding, Clock as _, Completed, Error, Flow, HttpClient as _, HttpRequest, Limits as RequestLimits,
    Revocation, SystemClock, TokenSet,
};
use authflow_testkit::{Endpoint, Entry, Fault, Outcome, ScriptedUser};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use url::{Url, form_urlencoded};

use super::explain;
use super::fault::keeps_silence;
use super::recorder::{Recorder, shown};
use super::stage::Stage;
use super::transcript::Transcript;
use crate::args::DemoProvider;
use crate::callback::{Callbacks, Event};
use crate::failure::{Failure, describe_in_demo};
use crate::listener::{Limits, Listener, Serving, place};
use crate::output;
use crate::states::States;
use crate::terminal::{printable, shortened};
use authflow::reqwest::ReqwestClient;

/// How long the scripted user may take, which is never as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// What one request may take of a server that was asked to keep silence: nobody waits for long to see it noticed.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) struct Journey {
    stage: Stage,
    transcript: Transcript,
    fault: Option<Fault>,
    flow: Flow,
    recorder: Arc<Recorder>,
    limits: RequestLimits,
    states: Arc<States>,
    listener: Option<Listener>,
    serving: Option<Serving>,
    user: Option<JoinHandle<Result<(), String>>>,
    /// How many entries of the ledger the transcript has.
    told: usize,
}

impl Journey {
    pub(super) async fn begin(provider: DemoProvider, fault: Option<Fault>) -> Result<Self, Failure> {
        let stage = Stage::start(provider, fault.as_ref()).await?;
        let transcript = Transcript::new();
        let place = place(None)?.ok_or_else(|| Failure::local("there is no address to listen at"))?;
        let listener = Listener::bind(&place)?;
        let states = Arc::new(States::default());
        let manager = stage.manager(listener.redirect_uri(), Arc::clone(&states))?;
        let recorder = Arc::new(Recorder::new(ReqwestClient::new()?));
        let limits = limits(fault.as_ref());
        let flow =
            Flow::builder(manager).http_client(Arc::clone(&recorder)).limits(limits.clone()).build()?;
        Ok(Self {
            stage,
            transcript,
            fault,
            flow,
            recorder,
            limits,
            states,
            listener: Some(listener),
            serving: None,
            user: None,
            told: 0,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let title = format!("A flow, with a server that speaks as {}", self.stage.manner());
        self.transcript.title(&title)?;
        self.transcript.text(&format!(
            "The authorization server and its API run at {}, on this machine only. Lines with `client` are what this \
             program's HTTP client recorded; lines with `server` are the server's ledger.",
            self.stage.server.base_url()
        ))?;
        if let Some(fault) = &self.fault {
            self.transcript.bad(&format!("The server misbehaves: {fault}, {}.", fault.about()))?;
        }
        let ended = self.travel().await;
        if let Some(serving) = self.serving.take() {
            serving.close().await;
        }
        match &ended {
            Ok(()) => self.arrive(),
            Err(failure) => {
                self.tell_rest()?;
                self.transcript.step("The journey ends here", "")?;
                if let Failure::Flow(error) = failure {
                    self.transcript.text("What an application gets, as one typed error:")?;
                    for line in describe_in_demo(error) {
                        self.transcript.bad_line(&line)?;
                    }
                }
                ended
            }
        }
    }

    async fn travel(&mut self) -> Result<(), Failure> {
        let mut events = self.ask().await?;
        self.decide().await?;
        let completed = self.callback(&mut events).await?;
        let tokens = self.exchanged(completed)?;
        self.call_api(&tokens).await?;
        let tokens = self.refresh(tokens).await?;
        self.revoke(&tokens).await?;
        self.try_revoked(&tokens).await
    }

    /// The authorization request.
    async fn ask(&mut self) -> Result<UnboundedReceiver<Event>, Failure> {
        self.transcript.step("The authorization request", "RFC 6749 section 4.1.1, RFC 7636 section 4.3")?;
        let redirect_uri = self.listener.as_ref().map(Listener::redirect_uri).unwrap_or_default().to_owned();
        self.transcript.text(&format!(
            "First the listener: {redirect_uri} is bound. Then state and PKCE verifier are made and kept, and the user is \
             sent to this address:"
        ))?;
        let binding = Binding::process();
        let authorization = self.flow.begin(&binding).scopes(self.stage.scopes().iter().copied()).await?;
        let url = authorization.url().to_owned();
        self.transcript.whole(&format!("open: {url}"))?;

        let (callbacks, events) = Callbacks::new(self.flow.clone(), binding, Arc::clone(&self.states));
        self.serving = self
            .listener
            .take()
            .map(|listener| listener.serve(Arc::clone(&callbacks) as _, Limits::default()));
        self.user = Some(tokio::spawn(approve(url)));
        let entry = self.entry(|entry| entry.endpoint() == Endpoint::Authorization).await?;
        self.transcript.text("What arrived at the authorization endpoint, and what it is for:")?;
        let rows = entry
            .query()
            .iter()
            .map(|(name, value)| (printable(name), shown(name, value), explain::authorization(name)));
        self.transcript.table(rows)?;
        Ok(events)
    }

    /// The user's decision at the server.
    async fn decide(&mut self) -> Result<(), Failure> {
        self.transcript.step("The user, here a script, decides", "RFC 6749 section 4.1.1")?;
        let decision = self
            .entry(|entry| {
                matches!(entry.endpoint(), Endpoint::Authorization | Endpoint::Consent)
                    && !matches!(entry.outcome(), Outcome::ConsentShown)
            })
            .await?;
        // What follows it, the exchange, may be in the ledger already and belongs to a later step.
        self.tell_up_to(usize::try_from(decision.sequence()).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// The authorization response.
    async fn callback(&mut self, events: &mut UnboundedReceiver<Event>) -> Result<Completed, Failure> {
        self.transcript.step("The callback", "RFC 6749 section 4.1.2, RFC 9207")?;
        let mut names_issuer = false;
        loop {
            match self.until(events.recv()).await? {
                Some(Event::Arrived(query)) => {
                    self.transcript.text("The browser came back to the listener with:")?;
                    names_issuer = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "iss");
                    let rows: Vec<_> = form_urlencoded::parse(query.as_bytes())
                        .map(|(name, value)| {
                            (printable(&name), shown(&name, &value), explain::callback(&name))
                        })
                        .collect();
                    self.transcript.table(rows)?;
                }
                Some(Event::Stray(error)) => {
                    self.transcript.text(
                        "This is not the answer to our request: nothing is used up, and `authflow login` would go on \
                         waiting for the real one. Here there will be none.",
                    )?;
                    return Err(error.into());
                }
                Some(Event::Finished(result)) => {
                    let mut told = self.recorder.take();
                    if result.is_err() && told.is_empty() {
                        self.transcript.text("It is refused before anything is sent.")?;
                    }
                    if !told.is_empty() {
                        // Not every provider names itself, and what was not compared is not praised.
                        self.transcript.text(if names_issuer && self.stage.has_issuer() {
                            "State, issuer and redirect URI are ours, so the code is used, once."
                        } else {
                            "State and redirect URI are ours, so the code is used, once."
                        })?;
                        self.transcript
                            .step("The exchange", "RFC 6749 section 4.1.3, RFC 7636 section 4.5")?;
                        for recorded in told.drain(..) {
                            self.transcript.client(&recorded)?;
                        }
                        self.tell_rest()?;
                    }
                    return Ok((*result)?);
                }
                None => return Err(Failure::local("the wait for the callback broke off")),
            }
        }
    }

    fn exchanged(&self, completed: Completed) -> Result<TokenSet, Failure> {
        if let Some(error) = completed.after_exchange {
            self.transcript.bad(&format!("The tokens are good, but: {}", printable(&error.to_string())))?;
        }
        self.show(&completed.tokens)?;
        Ok(completed.tokens)
    }

    fn show(&self, tokens: &TokenSet) -> Result<(), Failure> {
        self.transcript.text("What the application holds now:")?;
        let rows = output::table(tokens, SystemClock::new().now());
        self.transcript.table(rows.into_iter().map(|(name, value)| (name.to_owned(), value, "")))
    }

    /// A request to the API with the access token.
    async fn call_api(&mut self, tokens: &TokenSet) -> Result<(), Failure> {
        self.transcript.step("A request to the API", "RFC 6750 section 2")?;
        self.request_resource(tokens).await?.map_err(Failure::from)
    }

    /// `Ok(Err)` where the API said no.
    async fn request_resource(&mut self, tokens: &TokenSet) -> Result<Result<(), Error>, Failure> {
        let mut request = HttpRequest::get(self.stage.resource()?);
        self.flow.authenticate(tokens, &mut request).await?;
        let sent = self.recorder.send(request, &self.limits).await;
        for recorded in self.recorder.take() {
            self.transcript.client(&recorded)?;
        }
        self.tell_rest()?;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Ok(Err(error.into())),
        };
        if !response.status.is_success() {
            return Ok(Err(self.stage.api_error(&response)));
        }
        let body = String::from_utf8_lossy(&response.body).into_owned();
        self.transcript.text(&format!("The API said: {}", shortened(&printable(&body), 80)))?;
        Ok(Ok(()))
    }

    async fn refresh(&mut self, tokens: TokenSet) -> Result<TokenSet, Failure> {
        self.transcript.step("The refresh", "RFC 6749 section 6")?;
        if !self.flow.provider().supports_refresh() {
            self.transcript.text(&format!(
                "{} has no refresh tokens: when this token has ended, the user connects again. (The scope no_expiry asks \
                 for a token without an end.)",
                self.stage.name()
            ))?;
            return Ok(tokens);
        }
        let refreshed = self.flow.refresh(&tokens).await;
        for recorded in self.recorder.take() {
            self.transcript.client(&recorded)?;
        }
        self.tell_rest()?;
        let refreshed = refreshed?;
        let rotated = match (&tokens.refresh_token, &refreshed.refresh_token) {
            (Some(old), Some(new)) => !old.ct_eq(new.expose()),
            _ => false,
        };
        self.show(&refreshed)?;
        self.transcript.text(if rotated {
            "The refresh token was replaced too. The old one is used up: sent again, it would end the connection (RFC 9700 \
             section 4.14.2)."
        } else {
            "The refresh token stays the same."
        })?;
        Ok(refreshed)
    }

    async fn revoke(&mut self, tokens: &TokenSet) -> Result<(), Failure> {
        let reference = match self.stage.provider {
            DemoProvider::Rfc => "RFC 7009",
            _ => "the provider's own way",
        };
        self.transcript.step("The revocation", reference)?;
        let revoked = self.flow.revoke(tokens).await;
        for recorded in self.recorder.take() {
            self.transcript.client(&recorded)?;
        }
        self.tell_rest()?;
        match revoked? {
            Revocation::Revoked => Ok(()),
            other => Err(Failure::local(format!("the provider did not revoke the tokens: {other:?}"))),
        }
    }

    async fn try_revoked(&mut self, tokens: &TokenSet) -> Result<(), Failure> {
        self.transcript.step("The revoked token is refused", "RFC 6750 section 3.1")?;
        match self.request_resource(tokens).await? {
            Err(error) if error.status().is_some_and(|status| status.is_client_error()) => {
                self.transcript.text(&format!("As it should be: {}", printable(&error.to_string())))
            }
            Err(error) => Err(error.into()),
            Ok(()) => Err(Failure::local("the API still accepts the revoked token")),
        }
    }

    fn arrive(&mut self) -> Result<(), Failure> {
        let requests = self.stage.server.ledger().len();
        let Some(fault) = &self.fault else {
            self.transcript.step("Done", "")?;
            return self.transcript.good(&format!(
                "Connected, used, {}revoked: {requests} requests in the server's ledger.",
                if self.flow.provider().supports_refresh() { "refreshed, " } else { "" }
            ));
        };
        let shown: Vec<Entry> = self
            .stage
            .server
            .ledger()
            .entries()
            .into_iter()
            .filter(|entry| entry.fault().is_some())
            .collect();
        if shown.is_empty() {
            return Err(Failure::local(format!(
                "the fault {fault} never showed: nothing in a flow with {} has room for it. Try another provider or another \
                 fault",
                self.stage.name()
            )));
        }
        self.transcript.step("Done, all the same", "")?;
        self.transcript.good(&format!(
            "The fault {fault} showed in {} of {requests} answers, and the flow withstood it: no error reached the \
             application.",
            shown.len()
        ))
    }

    /// Puts what is new in the ledger into the transcript.
    fn tell_rest(&mut self) -> Result<(), Failure> {
        self.tell_up_to(usize::MAX)
    }

    fn tell_up_to(&mut self, end: usize) -> Result<(), Failure> {
        let entries = self.stage.server.ledger().entries();
        let end = end.min(entries.len());
        for entry in entries.iter().take(end).skip(self.told) {
            self.transcript.server(entry)?;
        }
        self.told = end;
        Ok(())
    }

    /// The first entry of the ledger that fits.
    async fn entry(&mut self, fits: impl Fn(&Entry) -> bool) -> Result<Entry, Failure> {
        // The user is waited for beside the ledger, and both belong to the journey.
        let mut user = self.user.take();
        let found = with_user(&mut user, self.stage.server.ledger().wait_for(fits)).await;
        self.user = user;
        found
    }

    async fn until<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Failure> {
        with_user(&mut self.user, what).await
    }
}

/// What a request may take. Whatever a machine that is busy makes slow is no fault of the server's.
fn limits(fault: Option<&Fault>) -> RequestLimits {
    let limits = RequestLimits::default();
    if fault.is_some_and(keeps_silence) { limits.with_total(SILENCE) } else { limits }
}

/// Waits for `what`, unless the user fails or takes too long.
async fn with_user<T>(
    user: &mut Option<JoinHandle<Result<(), String>>>,
    what: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::pin!(what);
    let clock = SystemClock::new();
    let late = clock.sleep(PATIENCE);
    tokio::pin!(late);
    loop {
        let failed = async {
            match user.as_mut() {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            got = &mut what => return Ok(got),
            ended = failed => {
                *user = None;
                if let Ok(Err(problem)) = ended {
                    return Err(Failure::local(format!("the scripted user did not get through: {problem}")));
                }
            }
            () = &mut late => {
                return Err(Failure::TimedOut(format!(
                    "the scripted user did not get through within {} seconds",
                    PATIENCE.as_secs()
                )));
            }
        }
    }
}

/// Approves at the server and brings the callback, as a browser does.
async fn approve(url: String) -> Result<(), String> {
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.map_err(|error| error.to_string())?;
    let answer = user.deliver(&callback).await.map_err(|error| error.to_string())?;
    if let Some(result) = answer.header("location") {
        let result = Url::parse(&callback).and_then(|callback| callback.join(result));
        let result = result.map_err(|error| error.to_string())?;
        user.open(result.as_str()).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

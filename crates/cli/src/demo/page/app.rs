//! The application of the demo: connections in memory, and one user.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use authflow::{Begin, Revocation};
use authflow::{
    Clock as _, Connection, ConnectionKey, Connections, Error, ErrorKind, EventKind, Expiry, Flow, Health,
    HttpRequest, Limits, MemoryStateStore, MemoryTokenStore, Next, ReconnectReason, SystemClock, User,
    reqwest::ReqwestClient,
};
use authflow_testkit::Endpoint;
use authflow_web::{Accounts, Application, BoxError, DefaultPages, Outcome, Texts};
use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Response};

use super::feed::{Line, Tone};
use super::guard::Site;
use super::party::Party;
use super::story::Story;
use super::tap::Tap;
use super::words;
use crate::demo::own::Own;
use crate::demo::stage::Stage;
use crate::failure::Failure;
use crate::terminal::printable;

/// The path of the accounts' routes.
pub(super) const BASE: &str = "/accounts";

/// What one request may take: a server that says nothing is noticed soon.
const REQUEST: Duration = Duration::from_secs(5);

/// How long a busy application is without a token: it asks each time it needs one.
const BUSY: Duration = Duration::from_secs(1);

/// The redirect URI's path of a provider.
pub(super) fn callback_path(id: &str) -> String {
    format!("{BASE}/{id}/callback")
}

/// Everything that the routes need.
#[derive(Clone, Debug)]
pub(super) struct Demo {
    pub(super) site: Site,
    pub(super) story: Arc<Story>,
    pub(super) connections: Connections,
    pub(super) user: User,
}

impl Demo {
    /// Each flow may take so long until its callback.
    pub(super) fn new(
        site: Site,
        stages: Vec<Stage>,
        own: Option<Own>,
        flow_lifetime: Duration,
    ) -> Result<Self, Failure> {
        let story = Arc::new(Story::new(stages, own));
        let client = Arc::new(ReqwestClient::new()?);
        let mut builder = Connections::builder()
            // Forgotten with the process, so that nothing needs to be sealed.
            .token_store(MemoryTokenStore::new())
            .cool_down(Duration::from_secs(1), Duration::from_secs(8))
            .max_retry_after(Duration::from_secs(10));
        for party in story.parties() {
            let redirect_uri = site.redirect_uri(party);
            let manager = match (story.stage(party), &story.own) {
                (Some(stage), _) => stage.manager(&redirect_uri, MemoryStateStore::default())?,
                (None, Some(own)) => own.manager(&redirect_uri)?,
                (None, None) => continue,
            };
            let tap = Tap { inner: Arc::clone(&client), provider: party, story: Arc::clone(&story) };
            let flow = Flow::builder(manager)
                .http_client(tap)
                .state_ttl(flow_lifetime)
                .limits(Limits::default().with_total(REQUEST))
                .build()?;
            builder = builder.flow(flow);
        }
        let connections = builder.build()?;
        Ok(Self { site, story, connections, user: User::new("", "you") })
    }

    pub(super) fn accounts(&self) -> Result<Accounts, Failure> {
        let public_url = format!("{}{BASE}", self.site.origin);
        let mut builder = Accounts::builder(self.connections.clone(), &public_url, self.clone())
            .after("/")
            .pages(DefaultPages::new(Texts::english()).application("authflow demo", "/"));
        if self.story.own.is_some() {
            builder = builder.provider_name(Party::Own.id(), self.story.title(Party::Own));
        }
        Ok(builder.build()?)
    }

    /// The connection with a provider, of which there is at most one here that works.
    pub(super) async fn connection(&self, id: &str) -> Result<Option<Connection>, Error> {
        let mut found = self.of_provider(id).await?;
        found.sort_by_key(|connection| (connection.health == Health::Good, connection.connected_at));
        Ok(found.pop())
    }

    async fn of_provider(&self, id: &str) -> Result<Vec<Connection>, Error> {
        let listing = self.connections.list(&self.user).await?;
        Ok(listing.connections.into_iter().filter(|of| of.key.provider_id() == id).collect())
    }

    /// An API request with the connection's token.
    pub(super) async fn call(&self, party: Party) {
        let Some(key) = self.key(party).await else { return };
        let Some(url) = self.story.resource(party) else {
            let text = "It is not known here where the access token is used. A file that describes the provider can say it: \
                        userinfo_endpoint.";
            return self.story.note(party, Tone::Plain, text);
        };
        let title = format!("Call the API: {}", self.story.title(party));
        self.story.tell(party, Line::Act { title, reference: "RFC 6750 §2" });
        match self.connections.send(&key, HttpRequest::get(url)).await {
            Ok(response) if response.status.is_success() => self.called(party).await,
            Ok(response) => self.refused(party, &self.story.api_error(party, &response)),
            Err(error) => self.fail(party, "The call failed", &error),
        }
    }

    async fn called(&self, party: Party) {
        self.story.not_refused(party);
        let is_in_doubt = match self.connection(party.id()).await {
            Ok(Some(connection)) => connection.health == Health::InDoubt,
            _ => false,
        };
        if is_in_doubt {
            // Whether this is survived, the next refresh tells.
            let text = "The application has what it asked for, with the old access token. How the refresh ended is not known yet.";
            return self.story.note(party, Tone::Warn, text);
        }
        let proves = [Endpoint::Resource, Endpoint::Token];
        self.story.success(party, &proves, "The application has what it asked for.");
    }

    /// The API answered, and not with what was asked for.
    fn refused(&self, party: Party, error: &Error) {
        if error.kind() != ErrorKind::InvalidGrant {
            return self.fail(party, "The call failed, and the connection stays", error);
        }
        // The one who has the token refreshed has done it by now, and asked again.
        self.story.refused(party);
        self.story.forget_faults(party);
        let text = format!(
            "The call failed: {} No other token is to be had: you have to connect again.",
            words::of(error)
        );
        self.story.note(party, Tone::Bad, text);
    }

    /// A refresh before its time.
    pub(super) async fn refresh(&self, provider: Party) {
        let Some(key) = self.key(provider).await else { return };
        // How it ends is told by the event.
        if let Err(error) = self.connections.refresh_now(&key).await {
            match self.served(provider).await {
                Some(served) => {
                    let text = format!("No new token: {} {served}", words::of(&error));
                    self.story.note(provider, Tone::Warn, text);
                }
                None => self.fail(provider, "No new token", &error),
            }
        }
    }

    async fn key(&self, provider: Party) -> Option<ConnectionKey> {
        match self.connection(provider.id()).await {
            Ok(Some(connection)) => Some(connection.key),
            Ok(None) => {
                self.story.note(provider, Tone::Bad, "Nothing is connected here: press Connect first.");
                None
            }
            Err(error) => {
                self.fail(provider, "The connections could not be read", &error);
                None
            }
        }
    }

    /// Tells what failed. What comes later has not survived what came before it.
    fn fail(&self, provider: Party, what: &str, error: &Error) {
        self.story.forget_faults(provider);
        self.story.note(provider, Tone::Bad, format!("{what}: {}", words::of(error)));
    }

    /// That the access token is still good, where it is: a refresh that fails costs nobody anything then.
    async fn served(&self, provider: Party) -> Option<&'static str> {
        let connection = self.connection(provider.id()).await.ok()??;
        let needs_user = matches!(connection.health, Health::NeedsReconnect { .. });
        let is_left = left(&connection).is_some_and(|left| !left.is_zero());
        (!needs_user && is_left).then_some("The old access token is still good and is served.")
    }

    /// Tells what happens to the connections.
    pub(super) async fn follow_events(self) {
        let mut events = self.connections.subscribe();
        while let Some(next) = events.next().await {
            let Next::Event(event) = next else { continue };
            let Some(provider) = self.story.party_of(event.key.provider_id()) else { continue };
            match event.kind {
                EventKind::Refreshed => {
                    let text = "Refreshed: whoever asks from now on gets the new token.";
                    self.story.success(provider, &[Endpoint::Token], text);
                }
                EventKind::RefreshFailed(kind) => {
                    let (tone, then) = match self.served(provider).await {
                        Some(served) => (Tone::Warn, format!("{served} The refresh is tried again later.")),
                        None => {
                            self.story.forget_faults(provider);
                            let then =
                                "There is no token to serve until a refresh succeeds; it is tried again.";
                            (Tone::Bad, then.to_owned())
                        }
                    };
                    let text = format!("The refresh failed: {}. {then}", words::of_kind(kind));
                    self.story.note(provider, tone, text);
                }
                EventKind::NotDurable => {
                    let text = "The new tokens are not in the store yet, and are kept in memory.";
                    self.story.note(provider, Tone::Bad, text);
                }
                EventKind::NeedsReconnect(reason) => {
                    self.story.forget_faults(provider);
                    let text =
                        format!("The connection has ended: {} You have to connect again.", why(reason));
                    self.story.note(provider, Tone::Bad, text);
                }
                EventKind::Disconnected => {
                    self.story.forget_faults(provider);
                    self.story.feed.touch();
                }
                _ => self.story.feed.touch(),
            }
        }
    }

    /// Asks for each connection's token again and again, as an application with something to do. Most answers come from memory
    /// and send nothing; near the token's end one of them has it refreshed.
    pub(super) async fn be_busy(self) {
        let clock = SystemClock::new();
        let mut ended = Vec::new();
        loop {
            clock.sleep(BUSY).await;
            let Ok(listing) = self.connections.list(&self.user).await else { continue };
            for connection in listing.connections {
                let needs_user = matches!(connection.health, Health::NeedsReconnect { .. });
                if !needs_user {
                    // What goes wrong is told by the events.
                    let _ = self.connections.token(&connection.key).await;
                    ended.retain(|key| *key != connection.key);
                } else if !ended.contains(&connection.key) {
                    self.tell_end(&connection);
                    ended.push(connection.key);
                }
            }
        }
    }

    /// A token that ran out without a refresh is no event of the connections: nothing happened.
    fn tell_end(&self, connection: &Connection) {
        let Health::NeedsReconnect { reason: ReconnectReason::Expired, .. } = connection.health else {
            return;
        };
        let Some(party) = self.story.party_of(connection.key.provider_id()) else { return };
        let text = "The access token has run out, and there is no refresh token. You have to connect again.";
        self.story.note(party, Tone::Bad, text);
    }
}

/// How long the access token is good for.
pub(super) fn left(connection: &Connection) -> Option<Duration> {
    match connection.expiry {
        Expiry::At(at) => Some(at.duration_since(SystemClock::new().now()).unwrap_or_default()),
        _ => None,
    }
}

/// Why a connection needs its user.
pub(super) const fn why(reason: ReconnectReason) -> &'static str {
    match reason {
        ReconnectReason::Refused => "the provider no longer accepts the refresh token.",
        ReconnectReason::RotationLost => {
            "the answer to a refresh was lost, and this provider takes each refresh token once."
        }
        ReconnectReason::AccountChanged => "a refresh brought the tokens of another account.",
        ReconnectReason::Expired => "the access token has run out, and there is nothing to refresh it with.",
        _ => "the provider said so.",
    }
}

#[async_trait]
impl Application for Demo {
    /// Whoever reaches this page, on this machine.
    async fn current_user(&self, _: &Parts) -> Result<Option<User>, BoxError> {
        Ok(Some(self.user.clone()))
    }

    fn begin<'f>(&self, _: &Parts, provider_id: &str, begin: Begin<'f>) -> Begin<'f> {
        let Some(party) = self.story.party_of(provider_id) else { return begin };
        match (self.story.stage(party), &self.story.own) {
            (Some(stage), _) => begin.scopes(stage.scopes().iter().copied()),
            (None, Some(own)) => begin.scopes(own.scopes()),
            (None, None) => begin,
        }
    }

    async fn after(
        &self,
        _: &Parts,
        outcome: &Outcome,
        response: &mut Response<Bytes>,
    ) -> Result<(), BoxError> {
        match outcome {
            Outcome::Denied { provider_id, error } => self.ended(provider_id, "Denied", error, response),
            Outcome::Failed { provider_id, error } => {
                self.ended(provider_id, "Not connected", error, response);
            }
            Outcome::Disconnected { key, disconnected } => {
                let Some(party) = self.story.party_of(key.provider_id()) else { return Ok(()) };
                self.story.not_refused(party);
                match &disconnected.revocation {
                    Some(Ok(Revocation::Revoked)) => {
                        let text = "Disconnected: the provider has revoked the tokens.";
                        self.story.note(party, Tone::Good, text);
                    }
                    Some(Ok(_)) | None => {
                        let text = "Disconnected. There was nothing for the provider to revoke.";
                        self.story.note(party, Tone::Plain, text);
                    }
                    Some(Err(error)) => {
                        let what = "Disconnected here, but the provider did not revoke the tokens";
                        self.fail(party, what, error);
                    }
                }
            }
            // Told here, and not by the event, which may come when there is more to tell already.
            Outcome::Connected(connected) => {
                let Some(party) = self.story.party_of(connected.key.provider_id()) else { return Ok(()) };
                self.story.not_refused(party);
                let proves =
                    [Endpoint::Authorization, Endpoint::Consent, Endpoint::Token, Endpoint::Resource];
                let text = "Connected: the tokens are kept, under this user.";
                self.story.success(party, &proves, text);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_error(&self, request: &Parts, error: &(dyn std::error::Error + 'static)) {
        let id = request.uri.path().rsplit('/').nth(1).unwrap_or_default();
        let Some(party) = self.story.party_of(id) else { return };
        self.story.forget_faults(party);
        let text = match error.downcast_ref::<Error>() {
            Some(error) => words::of(error),
            None => printable(&error.to_string()),
        };
        self.story.note(party, Tone::Bad, format!("Refused: {text}"));
    }
}

impl Demo {
    /// Back to this page, on which all of it is told, instead of authflow-web's own about the one error.
    fn ended(&self, provider_id: &str, what: &str, error: &Error, response: &mut Response<Bytes>) {
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
        if let Some(party) = self.story.party_of(provider_id) {
            self.fail(party, what, error);
        }
    }
}

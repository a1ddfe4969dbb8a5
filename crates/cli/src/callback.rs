//! Judges callbacks, wherever they come from: the listener or the paste.

use std::sync::Arc;

use async_trait::async_trait;
use authflow::{AuthorizationResponse, Binding, Completed, Error, ErrorKind, Flow, StateKey};
use tokio::sync::mpsc;

use crate::listener::{Judge, Verdict};
use crate::states::States;

/// Makes of a callback what a flow is for.
#[async_trait]
pub(crate) trait Finish: std::fmt::Debug + Send + Sync + 'static {
    /// What comes of it.
    type Done: std::fmt::Debug + Send;

    fn flow(&self) -> &Flow;

    async fn finish(
        &self,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Result<Self::Done, Error>;
}

#[async_trait]
impl Finish for Flow {
    type Done = Completed;

    fn flow(&self) -> &Flow {
        self
    }

    async fn finish(
        &self,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Result<Completed, Error> {
        Self::finish(self, response, binding).await
    }
}

/// What became of the callbacks so far.
#[derive(Debug)]
pub(crate) enum Event<D = Completed> {
    /// A request with this query arrived at the redirect URI.
    Arrived(String),
    /// It was not the callback of this flow. Nothing was used up.
    Stray(Error),
    /// The flow has ended.
    Finished(Box<Result<D, Error>>),
}

/// Finishes the one flow of this process.
#[derive(Debug)]
pub(crate) struct Callbacks<F: Finish = Flow> {
    end: F,
    binding: Binding,
    states: Arc<States>,
    events: mpsc::UnboundedSender<Event<F::Done>>,
}

impl<F: Finish> Callbacks<F> {
    /// A judge, and where it tells what it found.
    pub(crate) fn new(
        end: F,
        binding: Binding,
        states: Arc<States>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event<F::Done>>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { end, binding, states, events }), receiver)
    }

    /// Whether the state was used up, so that an answer will come without any further callback.
    pub(crate) fn is_taken(&self) -> bool {
        self.states.taken().is_some()
    }

    fn tell(&self, event: Event<F::Done>) {
        // Who no longer listens has what it waited for.
        let _ = self.events.send(event);
    }

    /// Whether the response carries the state that was used up.
    fn is_repeated(&self, response: &AuthorizationResponse<'_>) -> bool {
        let shape = &self.end.flow().provider().quirks().authorization_response;
        let name = shape.state_parameter.as_deref().unwrap_or("state");
        let Ok(Some(state)) = response.get(name) else { return false };
        let key: Option<StateKey> = StateKey::new(self.end.flow().provider().id(), state, &self.binding).ok();
        key.is_some() && key == self.states.taken()
    }

    async fn finish(&self, query: &str) -> Verdict {
        let response = match AuthorizationResponse::from_query(query) {
            Ok(response) => response,
            Err(error) => return self.stray(error),
        };
        let result = self.end.finish(&response, &self.binding).await;
        match result {
            Err(error) if error.kind() == ErrorKind::StateNotFound => {
                if self.is_repeated(&response) {
                    return Verdict::AlreadyDone;
                }
                self.stray(error)
            }
            // Malformed before the state was looked up: nothing was used up.
            Err(error) if error.kind() == ErrorKind::CallbackMalformed && !self.is_repeated(&response) => {
                self.stray(error)
            }
            result => {
                let verdict = match &result {
                    Ok(_) => Verdict::Done,
                    Err(error) if error.kind() == ErrorKind::AccessDenied => Verdict::Denied,
                    Err(_) => Verdict::Failed,
                };
                self.tell(Event::Finished(Box::new(result)));
                verdict
            }
        }
    }

    fn stray(&self, error: Error) -> Verdict {
        let message = error.to_string();
        self.tell(Event::Stray(error));
        Verdict::Stray(message)
    }
}

#[async_trait]
impl<F: Finish> Judge for Callbacks<F> {
    async fn judge(self: Arc<Self>, query: String) -> Verdict {
        self.tell(Event::Arrived(query.clone()));
        // The exchange goes on where the browser hangs up: the code is used up by then.
        let task = tokio::spawn(async move { self.finish(&query).await });
        task.await.unwrap_or(Verdict::Failed)
    }
}

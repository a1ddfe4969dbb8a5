//! The end of a login: the exchange, and the connection is kept.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use authflow::{AuthorizationResponse, Binding, ConnectionKey, Connections, Error, Flow, TokenSet};

use crate::callback::Finish;
use crate::kept::{Kept, Profile};
use crate::progress::telling;

/// What came of a login.
#[derive(Debug)]
pub(crate) struct Made {
    /// What the provider gave.
    pub(crate) tokens: TokenSet,
    /// What failed after the exchange.
    pub(crate) after_exchange: Option<Error>,
    /// The connection, if it is kept.
    pub(crate) key: Option<ConnectionKey>,
}

/// Finishes a login.
#[derive(Debug)]
pub(crate) struct Ending {
    flow: Flow,
    keeping: Option<Keeping>,
}

#[derive(Debug)]
struct Keeping {
    connections: Connections,
    kept: Kept,
    profile: Profile,
}

impl Ending {
    /// Keeps nothing.
    pub(crate) const fn printing(flow: Flow) -> Self {
        Self { flow, keeping: None }
    }

    /// Keeps the connection, and this profile with it. The flow is the one of `connections`.
    pub(crate) const fn keeping(flow: Flow, connections: Connections, kept: Kept, profile: Profile) -> Self {
        Self { flow, keeping: Some(Keeping { connections, kept, profile }) }
    }
}

#[async_trait]
impl Finish for Ending {
    type Done = Made;

    fn flow(&self) -> &Flow {
        &self.flow
    }

    async fn finish(&self, response: &AuthorizationResponse<'_>, binding: &Binding) -> Result<Made, Error> {
        telling("Asking the provider for the tokens.", self.end(response, binding)).await
    }
}

impl Ending {
    async fn end(&self, response: &AuthorizationResponse<'_>, binding: &Binding) -> Result<Made, Error> {
        let Some(keeping) = &self.keeping else {
            let completed = self.flow.finish(response, binding).await?;
            let (tokens, after_exchange) = (completed.tokens, completed.after_exchange);
            return Ok(Made { tokens, after_exchange, key: None });
        };
        let kept_as = Arc::new(Mutex::new(None));
        let (tell, kept, mut profile) = (Arc::clone(&kept_as), keeping.kept.clone(), keeping.profile.clone());
        let completed = keeping
            .connections
            .complete(&keeping.profile.name, response, binding)
            // The profile is written before the connection: there is none that cannot be renewed. Where it cannot be
            // written, the tokens are given back to the provider.
            .sign_in(move |who| async move {
                profile.account.clone_from(&who.tokens.account);
                let saved = kept.save(&profile).await;
                let owner = saved.is_ok().then(|| Kept::owner(&profile.name));
                *tell.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved.map(|()| who.tokens));
                owner.ok_or("what renews the connection was not kept")
            });
        let completed = completed.await;
        let saved = kept_as.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (completed, saved) {
            // Why it was not kept is what the user has to know: to the framework it is an error of the application's.
            (Err(_), Some(Err(why))) => Err(why),
            (Err(error), _) => Err(error),
            (Ok(connected), Some(Ok(tokens))) => {
                Ok(Made { tokens, after_exchange: connected.after_exchange, key: Some(connected.key) })
            }
            (Ok(_), _) => Err(Error::usage("the login ended without tokens")),
        }
    }
}

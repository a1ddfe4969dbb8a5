//! The connections that a handler asks for.

use std::cmp::Reverse;
use std::sync::Arc;

use authflow_core::{Connection, Error, ErrorKind, Health, Operation, Result, User};
use http::request::Parts;

use crate::accounts::{Accounts, Inner};
use crate::client::Client;
use crate::missing::{Missing, unknown_provider};
use crate::refusal::Asked;

impl Accounts {
    /// The connection of the user who is signed in with a provider. Where there are several accounts, the one that works and
    /// was connected last.
    ///
    /// # Errors
    ///
    /// Why there is none, as an answer for the browser or the program that asked ([`Missing::response`]).
    pub async fn client(&self, request: &Parts, provider_id: &str) -> Result<Client, Missing> {
        let best = self.0.of_signed_in(request, provider_id).await?.into_iter().next();
        match best {
            None => Err(Missing::NotConnected { provider_id: provider_id.into() }),
            Some(connection) if !works(&connection.health) => {
                Err(Missing::NeedsReconnect { provider_id: provider_id.into() })
            }
            Some(connection) => Ok(Client::new(connection, self.asked(request))),
        }
    }

    /// The same where a connection is welcome and not needed: `None` where nobody is signed in, the user is not connected, or has
    /// to connect again.
    ///
    /// # Errors
    ///
    /// [`Missing::Failed`]: it cannot be told.
    pub async fn client_if_connected(
        &self,
        request: &Parts,
        provider_id: &str,
    ) -> Result<Option<Client>, Missing> {
        match self.client(request, provider_id).await {
            Ok(client) => Ok(Some(client)),
            Err(
                Missing::SignedOut { .. } | Missing::NotConnected { .. } | Missing::NeedsReconnect { .. },
            ) => Ok(None),
            Err(missing) => Err(missing),
        }
    }

    /// All connections of the user who is signed in with a provider, one for each account; empty where there is none.
    ///
    /// First the one that [`client`](Self::client) gives, then those that work by when they were connected, the last before the
    /// others, then those whose user has to connect again: [`Connection::health`] tells.
    ///
    /// # Errors
    ///
    /// [`Missing::SignedOut`] and [`Missing::Failed`]; the latter also where none is found and one of the user cannot be read,
    /// which may be it.
    pub async fn clients(&self, request: &Parts, provider_id: &str) -> Result<Vec<Client>, Missing> {
        let connections = self.0.of_signed_in(request, provider_id).await?;
        let asked = self.asked(request);
        Ok(connections.into_iter().map(|connection| Client::new(connection, Arc::clone(&asked))).collect())
    }

    fn asked(&self, request: &Parts) -> Arc<Asked> {
        Arc::new(Asked { accounts: self.clone(), request: request.clone() })
    }
}

impl Inner {
    async fn of_signed_in(&self, request: &Parts, provider_id: &str) -> Result<Vec<Connection>, Missing> {
        if !self.providers.contains_key(provider_id) {
            return Err(Missing::Failed(unknown_provider()));
        }
        let user = self.application.current_user(request).await.map_err(Missing::unknown_user)?;
        let Some(user) = user else {
            return Err(Missing::SignedOut { provider_id: provider_id.into() });
        };
        self.of_user(&user, provider_id).await.map_err(Missing::Failed)
    }

    /// Of a user's connections with a provider the one that works and was connected last.
    pub(crate) async fn best(&self, user: &User, provider_id: &str) -> Result<Option<Connection>> {
        Ok(self.of_user(user, provider_id).await?.into_iter().next())
    }

    /// A user's connections with a provider, the best first. One that cannot be read is no proof that there is none.
    async fn of_user(&self, user: &User, provider_id: &str) -> Result<Vec<Connection>> {
        let listing = self.connections.list(user).await?;
        let mut found = listing.connections;
        found.retain(|connection| connection.key.provider_id() == provider_id);
        found.sort_by_key(|connection| Reverse((works(&connection.health), connection.connected_at)));
        if found.is_empty() && listing.unreadable > 0 {
            let message = "a connection of this user cannot be read, and whether it is this one is not known: see that the keys \
                           are there, or connect again";
            return Err(Error::new(ErrorKind::StoreCorrupt, message).at(provider_id, Operation::List));
        }
        Ok(found)
    }
}

/// One whose refresh is under way somewhere works as well as another: nobody changes accounts for that.
const fn works(health: &Health) -> bool {
    !matches!(health, Health::NeedsReconnect { .. })
}

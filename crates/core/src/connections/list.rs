//! The connections of a user.

use std::time::SystemTime;

use crate::binding::User;
use crate::connection_key::ConnectionKey;
use crate::error::Result;
use crate::scopes::Scopes;
use crate::token::Expiry;
use crate::token_store::{Page, Record};

use super::access::View;
use super::contents::ReconnectReason;
use super::failure;
use super::inner::{Inner, Registered};
use super::plan::{Demand, Step};

/// What can be shown of a connection. There is no token in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connection {
    /// Its key: provider id and account are parts of it.
    pub key: ConnectionKey,
    /// The scopes that were granted.
    pub scopes: Scopes,
    /// The scopes that were asked for and not granted.
    pub missing_scopes: Scopes,
    /// When its user connected it.
    pub connected_at: SystemTime,
    /// When it was last refreshed.
    pub refreshed_at: Option<SystemTime>,
    /// Until when the access token is good.
    pub expiry: Expiry,
    /// Until when the refresh token is good.
    pub refresh_expiry: Expiry,
    /// Whether there is something to refresh it with, so that it goes on after the access token's end without its user. It
    /// is not, where its user has to connect again, or where its provider is not known here.
    pub is_refreshable: bool,
    /// Whether it works.
    pub health: Health,
    /// Until when its provider is not asked for a refresh, by no process: it said so, or could not answer. A token that is good
    /// is served meanwhile.
    pub paused_until: Option<SystemTime>,
}

/// Whether a connection works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// As far as is known.
    Good,
    /// A refresh was sent, and nobody knows yet how it ended.
    InDoubt,
    /// Its user has to connect again.
    NeedsReconnect {
        /// Why.
        reason: ReconnectReason,
        /// Since when, where that was written down.
        since: Option<SystemTime>,
    },
}

/// The connections of one user.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// Those that could be read.
    pub connections: Vec<Connection>,
    /// Those that could not: damaged, or sealed with a key that is not there.
    pub unreadable: usize,
}

/// How many records are asked for at once.
const PAGE: usize = 100;

impl Inner {
    pub(super) async fn list(&self, user: &User) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut page = Page::first(PAGE);
        loop {
            let found = self.ask(self.store.list_by_user(user, &page)).await.map_err(failure::of_store)?;
            listing.unreadable = listing.unreadable.saturating_add(found.unreadable);
            for record in found.records {
                if record.key.user() != user {
                    return Err(failure::contract(
                        "the token store listed a connection of another user; nothing of the list is shown",
                    ));
                }
                match self.connection(record).await {
                    Ok(Some(connection)) => listing.connections.push(connection),
                    Ok(None) => {}
                    Err(_) => listing.unreadable = listing.unreadable.saturating_add(1),
                }
            }
            match found.next {
                Some(next) if page.after.as_ref() == Some(&next) => return Err(failure::endless()),
                Some(next) => page = Page::first(PAGE).after(next),
                None => return Ok(listing),
            }
        }
    }

    /// The scopes that a connection was granted.
    pub(super) async fn scopes(&self, key: &ConnectionKey) -> Result<Scopes> {
        let record = self.load(&self.slot(key)).await?;
        Ok(self.open(key, &record).await?.contents.tokens.scopes)
    }

    /// What can be shown of a record; none if it is to be removed.
    async fn connection(&self, record: Record) -> Result<Option<Connection>> {
        let slot = self.slots.find(&record.key);
        let refused = slot.as_ref().and_then(|slot| slot.lock().refused.clone());
        let record = match slot.as_ref().zip(refused) {
            // On the heap: it is rare, and larger than all else that looks at connections.
            Some((slot, refused)) => match Box::pin(self.remove_again(slot, &refused, record)).await? {
                Some(record) => record,
                None => return Ok(None),
            },
            None => record,
        };
        if let Some(slot) = slot {
            self.slots.learn(&slot, &record.version);
        }
        let view = self.open(&record.key, &record).await?;
        let contents = &view.contents;
        let provider = self.providers.get(record.key.provider_id());
        let can_refresh =
            |provider: &Registered| provider.policy.can_refresh(&contents.tokens, self.clock.now());
        let health = self.health(&view, provider);
        let needs_reconnect = matches!(health, Health::NeedsReconnect { .. });
        Ok(Some(Connection {
            is_refreshable: !needs_reconnect && provider.is_some_and(can_refresh),
            scopes: contents.tokens.scopes.clone(),
            missing_scopes: contents.header.requested_scopes.missing_from(&contents.tokens.scopes),
            connected_at: contents.connected_at(),
            refreshed_at: contents.refreshed_at(),
            expiry: contents.tokens.expiry,
            refresh_expiry: contents.tokens.refresh_expiry,
            paused_until: self.paused_until(&view).filter(|_| !needs_reconnect),
            health,
            key: record.key,
        }))
    }

    fn health(&self, view: &View, provider: Option<&Registered>) -> Health {
        if let Some(ended) = &view.contents.header.ended {
            return Health::NeedsReconnect { reason: ended.reason, since: Some(ended.at()) };
        }
        let step = provider.map(|provider| self.assess(view, &provider.policy, Demand::Valid));
        match step {
            Some(Step::Reconnect(reason)) => Health::NeedsReconnect { reason, since: None },
            _ if view.mark.is_some() => Health::InDoubt,
            _ => Health::Good,
        }
    }
}

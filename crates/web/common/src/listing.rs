//! The accounts page, and the pages at clean addresses.

use authflow_core::{Listing, User};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::accounts::Inner;
use crate::form_token::FormToken;
use crate::incoming::Incoming;
use crate::pages::{AccountRow, FailedReason, Notice, NoticeKind, Page};

impl Inner {
    pub(crate) async fn accounts_page(&self, incoming: &Incoming) -> Response<Bytes> {
        let parts = &incoming.parts;
        let user = match self.user(parts).await {
            Ok(user) => user,
            Err(error) => return self.unknown_user(parts, &error),
        };
        let Some(user) = user else {
            if !self.application.offers_sign_in() {
                return self.signed_out(self.site.accounts());
            }
            let return_to = self.return_to(incoming);
            let providers = self.links();
            let return_to = return_to.as_deref();
            let page = Page::SignIn { providers: &providers, return_to };
            return self.page(StatusCode::OK, &page);
        };
        match self.connections.list(&user).await {
            Ok(listing) => self.overview(incoming, &user, &listing),
            Err(error) => self.failure(parts, &error),
        }
    }

    fn overview(&self, incoming: &Incoming, user: &User, listing: &Listing) -> Response<Bytes> {
        let token = self.token(&incoming.parts, user);
        let mut connections: Vec<_> = listing.connections.iter().collect();
        connections.sort_by(|a, b| {
            let (name_a, name_b) = (a.key.provider_id(), b.key.provider_id());
            name_a.cmp(name_b).then(a.connected_at.cmp(&b.connected_at))
        });
        let rows: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                let provider = self.providers.get(connection.key.provider_id());
                let name = provider.map_or(connection.key.provider_id(), |provider| &provider.name);
                AccountRow::new(connection, name, provider.map(|provider| &*provider.disconnect))
            })
            .collect();
        let page = Page::Accounts {
            connections: &rows,
            providers: &self.links(),
            unreadable: listing.unreadable,
            notice: self.notice(incoming),
            form_token: token.as_ref().map(FormToken::value),
            return_to: Some(self.site.accounts()),
            now: self.connections.clock().now(),
        };
        self.page_with(StatusCode::OK, &page, token.as_ref())
    }

    /// One of a few fixed sentences, about a provider that is there: whoever writes the address can say no more.
    fn notice(&self, incoming: &Incoming) -> Option<Notice<'_>> {
        let kind = NoticeKind::from_name(&incoming.parameter("notice")?)?;
        let provider = self.providers.get(&*incoming.parameter("provider")?)?;
        Some(Notice::new(kind, &provider.name))
    }

    pub(crate) async fn denied_page(&self, incoming: &Incoming, provider_id: &str) -> Response<Bytes> {
        let token = self.token_of_visitor(&incoming.parts).await;
        let return_to = self.return_to(incoming);
        let page = Page::Denied {
            provider: self.link(provider_id),
            form_token: token.as_ref().map(FormToken::value),
            return_to: return_to.as_deref(),
            accounts: self.site.accounts(),
        };
        self.page_with(StatusCode::OK, &page, token.as_ref())
    }

    pub(crate) async fn failed_page(&self, incoming: &Incoming, provider_id: &str) -> Response<Bytes> {
        let reason = incoming.parameter("reason");
        let token = self.token_of_visitor(&incoming.parts).await;
        let return_to = self.return_to(incoming);
        let page = Page::Failed {
            provider: self.link(provider_id),
            reason: FailedReason::from_name(reason.as_deref().unwrap_or_default()),
            form_token: token.as_ref().map(FormToken::value),
            return_to: return_to.as_deref(),
            accounts: self.site.accounts(),
        };
        self.page_with(StatusCode::OK, &page, token.as_ref())
    }
}

//! The begin of a flow.

use std::net::IpAddr;
use std::time::Duration;

use authflow_core::quirks::ResponseMode;
use authflow_core::{Authorization, Binding, Bucket, Error, Result, Secret, User};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::accounts::{Inner, Provider};
use crate::answer;
use crate::digest::{flow_id, user_tag};
use crate::flow_cookie::{BEYOND, Coming, FlowCookie, Stage, make_room, seconds};
use crate::form_token::{self, FormToken};
use crate::incoming::Incoming;
use crate::pages::{Page, TOKEN_FIELD};
use crate::resume::AGAIN;
use crate::same_origin::{
    Initiator, initiator, is_fetched_ahead, is_of_another_site, is_pressed, may_be_followed,
};

/// A flow that was begun, for whom, and where it leads.
struct Begun<'a> {
    provider_id: &'a str,
    provider: &'a Provider,
    user: Option<&'a User>,
    return_to: Option<String>,
    authorization: &'a Authorization,
}

impl Inner {
    pub(crate) async fn connect(&self, incoming: &Incoming, provider_id: &str) -> Response<Bytes> {
        let accounts = self.site.accounts();
        let Some(provider) = self.providers.get(provider_id) else {
            return self.page(StatusCode::NOT_FOUND, &Page::NotFound { accounts });
        };
        // Nobody has asked yet, and a flow would push out one that somebody did ask for. The browser throws this away.
        if is_fetched_ahead(&incoming.parts.headers) {
            return self.unavailable(&incoming.parts, None);
        }
        let user = match self.user(&incoming.parts).await {
            Ok(user) => user,
            Err(error) => return self.unknown_user(&incoming.parts, &error),
        };
        // A picture, a frame or a script of ours may be there because of what a user wrote: that is nobody's wish.
        let is_wanted = incoming.is_post() || may_be_followed(&incoming.parts.headers);
        match &user {
            None if !self.application.offers_sign_in() => {
                // After the sign-in it goes on by itself: only where a page of ours led here.
                let is_own = is_wanted && self.wisher(incoming) == Initiator::Own;
                let return_to = self.return_to(incoming);
                let place = is_own.then(|| self.connect_path(provider_id, return_to.as_deref()));
                return self.signed_out(place.as_deref().unwrap_or(accounts));
            }
            // A sign-in may begin anywhere. Who comes from another site may be signed in all the same, with a session that the browser
            // keeps back, and would find themselves signed in as somebody else.
            None if is_wanted && !is_of_another_site(&self.site, &incoming.parts.headers) => {}
            // Over a page of our own it comes with all cookies.
            None if is_wanted && !incoming.is_post() => {
                let to = self.connect_path(provider_id, self.return_to(incoming).as_deref());
                let to = format!("{to}{}{AGAIN}=1", if to.contains('?') { '&' } else { '?' });
                return self.page(StatusCode::OK, &Page::Continue { to: &to });
            }
            // What is connected to a user must be wanted by the user.
            None => return self.confirm(incoming, provider_id, None, true),
            Some(user) => match self.initiator(incoming, user) {
                Initiator::Own if is_wanted => {}
                Initiator::Nobody if !incoming.is_post() => {
                    return self.confirm(incoming, provider_id, Some(user), false);
                }
                Initiator::Own | Initiator::Nobody | Initiator::Foreign => {
                    return self.confirm(incoming, provider_id, Some(user), true);
                }
            },
        }
        match self.begin(incoming, provider_id, provider, user.as_ref()).await {
            Ok(answer) => answer,
            Err(error) => self.failure(&incoming.parts, &error),
        }
    }

    /// Who made the request. A form with this browser's and this user's token is our own, whatever the headers say.
    pub(crate) fn initiator(&self, incoming: &Incoming, user: &User) -> Initiator {
        let has_token = incoming.field(TOKEN_FIELD).is_some_and(|token| {
            form_token::is_good(self.writer(), &self.cookies(&incoming.parts), user, &token)
        });
        if has_token { Initiator::Own } else { self.wisher(incoming) }
    }

    /// Whose wish a request is, by its headers.
    ///
    /// Where a flow ends, a page of our own may go on by itself, and from there on the browser says that all is of this origin. Where it
    /// goes may be another site's wish: that of whoever chose the way back.
    fn wisher(&self, incoming: &Incoming) -> Initiator {
        let headers = &incoming.parts.headers;
        match initiator(&self.site, headers) {
            // Another site led to the page of our own that has asked once more.
            Initiator::Own if incoming.parameter(AGAIN).is_some() => Initiator::Foreign,
            Initiator::Own
                if !incoming.is_post()
                    && !is_pressed(&self.site, headers)
                    && self.has_just_led(&incoming.parts) =>
            {
                Initiator::Foreign
            }
            initiator => initiator,
        }
    }

    /// Asks the user, with a button that makes the request our own.
    fn confirm(
        &self,
        incoming: &Incoming,
        provider_id: &str,
        user: Option<&User>,
        foreign: bool,
    ) -> Response<Bytes> {
        let token = user.and_then(|user| self.token(&incoming.parts, user));
        let return_to = self.return_to(incoming);
        let page = Page::Confirm {
            provider: self.link(provider_id),
            foreign,
            form_token: token.as_ref().map(FormToken::value),
            return_to: return_to.as_deref(),
            accounts: self.site.accounts(),
        };
        let status = if foreign { StatusCode::FORBIDDEN } else { StatusCode::OK };
        self.page_with(status, &page, token.as_ref())
    }

    async fn begin(
        &self,
        incoming: &Incoming,
        provider_id: &str,
        provider: &Provider,
        user: Option<&User>,
    ) -> Result<Response<Bytes>> {
        let parts = &incoming.parts;
        // A new secret for each flow: nothing that the browser came with is used.
        let mut binding = Binding::new_browser()?;
        if let Some(user) = user {
            binding = binding.and(Binding::user(user.tenant.clone(), user.id.clone()));
        }
        let mut begin = self.connections.begin(provider_id, &binding)?.extensions_of(&parts.extensions);
        let return_to = self.return_to(incoming);
        if let Some(return_to) = &return_to {
            begin = begin.return_to(return_to.clone());
        }
        if user.is_none()
            && let Some(address) = self.application.client_address(parts)
        {
            begin = begin.bucket(bucket(address));
        }
        let begin = self.application.begin(parts, provider_id, begin);
        let authorization = begin.redirect_uri(provider.redirect_uri.clone()).await?;
        let mut answer = answer::redirect(authorization.url());
        let begun = Begun { provider_id, provider, user, return_to, authorization: &authorization };
        self.remember(incoming, begun, &mut answer)?;
        Ok(answer)
    }

    /// Gives the browser the flow's secret, and takes the oldest away where there are too many.
    fn remember(&self, incoming: &Incoming, begun: Begun<'_>, answer: &mut Response<Bytes>) -> Result<()> {
        let Begun { provider_id, provider, user, return_to, authorization } = begun;
        let secret = authorization.browser_secret().cloned();
        let secret =
            secret.ok_or_else(|| Error::usage("the flow was begun without a secret of the browser"))?;
        let writer = self.writer();
        let is_none = provider.response_mode() == ResponseMode::FormPost && self.site.is_secure();
        let begun_at = seconds(provider.flow.clock().now());
        let expires_at = seconds(authorization.expires_at());
        let user_tag = user.map(|user| user_tag(secret.expose(), &user.tenant, &user.id)).unwrap_or_default();
        let stage = Stage::Pending { secret, expires_at, user_tag, return_to };
        let value = Secret::new(FlowCookie { is_none, begun_at, stage }.write());
        let name = format!("{}{}", writer.prefix(), flow_id(provider_id, authorization.state()));
        let cookies = self.cookies(&incoming.parts);
        let same_site = writer.same_site(is_none);
        let new = Coming { name: &name, value: value.expose(), same_site };
        for leaving in make_room(&cookies, writer.prefix(), new, begun_at) {
            answer::add_cookie(answer, writer.remove(&leaving.name, leaving.same_site));
        }
        let lifetime = Duration::from_secs(expires_at.saturating_sub(begun_at)) + BEYOND;
        answer::add_cookie(answer, writer.set(&name, value.expose(), same_site, Some(lifetime)));
        Ok(())
    }
}

/// Whom a flow is counted for. A household, or a machine, has a /64 of IPv6 to itself (RFC 6177 §2).
fn bucket(address: IpAddr) -> Bucket {
    match address.to_canonical() {
        IpAddr::V4(address) => Bucket::of(&address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            Bucket::of(&[a, b, c, d, e, f, g, h])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a12_one_address_is_one_bucket_and_so_is_a_network_of_ipv6() {
        let of = |address: &str| bucket(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
    }
}

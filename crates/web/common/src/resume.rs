//! Callbacks that arrive without the session's cookie, and go on when it is there.
//!
//! A browser leaves cookies with `SameSite=Strict` out of a request that another site made, and `Lax` ones out of a form that it
//! posted. The authorization response is kept in a cookie of this flow for as long as the browser takes to ask once more.

use std::time::Duration;

use authflow_core::quirks::ResponseMode;
use authflow_core::{AuthorizationResponse, Error, ErrorKind};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use url::form_urlencoded;

use crate::accounts::Inner;
use crate::answer;
use crate::callback::{Flown, Visit, Way, malformed, not_found};
use crate::cookies::{Found, SameSite};
use crate::digest::{flow_id, is_flow_id};
use crate::outcome::Outcome;
use crate::pages::{FailedReason, Page};

/// The parameter of a path that a page of our own goes on to: the browser has asked before, and kept cookies back.
pub(crate) const AGAIN: &str = "again";
/// The most bytes of an authorization response that is kept: browsers take no cookie over 4,096.
const MAX_STASH: usize = 3000;
/// For how long it is kept, from when it came and from each time that we asked for a reload.
const STASHED: Duration = Duration::from_secs(120);

impl Inner {
    /// A flow that was begun by a user came back, and nobody is known: has the browser ask once more, in a way in which it sends
    /// all cookies.
    pub(crate) async fn wait_for_user(
        &self,
        visit: &Visit<'_>,
        flown: &Flown,
        response: &AuthorizationResponse<'_>,
        way: Way,
    ) -> Response<Bytes> {
        let id = &flown.id;
        let kept = (way == Way::Direct).then(|| write(response));
        if kept.as_ref().is_some_and(|kept| kept.len() > MAX_STASH) {
            return self.too_large(visit, flown).await;
        }
        match self.ask_again(visit, id, way) {
            Some(mut answer) => {
                answer::add_cookie(&mut answer, kept.and_then(|kept| self.set_stash(id, &kept)));
                answer
            }
            None => {
                let error = not_found("nobody is signed in any more who could have begun this flow");
                self.application.on_error(&visit.incoming.parts, &error);
                let (provider, accounts) = (self.link(visit.provider_id), self.site.accounts());
                // Who signs in now may be another user, who has not asked for anything.
                let sign_in = self.sign_in(accounts);
                let page = Page::SignInThenConnect { provider, accounts, sign_in: sign_in.as_deref() };
                let mut answer = self.page(StatusCode::UNAUTHORIZED, &page);
                answer::add_cookie(&mut answer, self.remove_stash(id));
                answer
            }
        }
    }

    /// Has the browser ask once more, in a way in which it sends more cookies; `None` where it has sent all.
    ///
    /// A redirect after a post is a GET, with which Lax cookies come; only a page of our own, which goes on by itself, brings Strict
    /// ones.
    pub(crate) fn ask_again(&self, visit: &Visit<'_>, id: &str, way: Way) -> Option<Response<Bytes>> {
        let to = self.resume_path(visit, id);
        match way {
            Way::Direct if visit.incoming.is_post() => Some(answer::redirect(&to)),
            Way::Direct | Way::Resumed { was_bounced: false } => {
                Some(self.page(StatusCode::OK, &Page::Continue { to: &format!("{to}&{AGAIN}=1") }))
            }
            Way::Resumed { was_bounced: true } => None,
        }
    }

    /// Where a flow of this browser goes on without what the provider sent.
    pub(crate) fn resume_path(&self, visit: &Visit<'_>, id: &str) -> String {
        format!("{}?resume={id}", self.site.path(visit.provider_id, "callback"))
    }

    async fn too_large(&self, visit: &Visit<'_>, flown: &Flown) -> Response<Bytes> {
        let message = "nobody was known at the callback, and the authorization response is too large to be kept until the \
                       session's cookie comes: make that cookie SameSite=Lax, and for form_post None";
        let error = Error::new(ErrorKind::InvalidResponse, message);
        let outcome = Outcome::Failed { provider_id: visit.provider_id.into(), error };
        let location = self.failed(visit.provider_id, FailedReason::TooLarge, flown);
        self.conclude(visit, flown, Way::Direct, &outcome, location).await
    }

    /// Goes on with the authorization response that the browser kept.
    pub(crate) async fn resume(&self, visit: &Visit<'_>, id: &str) -> Response<Bytes> {
        if !is_flow_id(id) {
            return self.not_accepted(visit, &malformed("this is no callback that was begun to be answered"));
        }
        let way = Way::Resumed { was_bounced: visit.incoming.parameter(AGAIN).is_some() };
        let flown = match self.flown(visit, id, way).await {
            Ok(flown) => flown,
            Err(answer) => return *answer,
        };
        let kept = match visit.cookies(self.writer()).get(&self.stash(id)) {
            Found::One(kept) => kept,
            // The flow itself waits for longer, but for nothing that could still come.
            Found::None => return self.expired(visit, flown.return_to.as_deref()).await,
            Found::Several => {
                let error =
                    not_found("two authorization responses of this flow are kept, and one is not ours");
                return self.not_accepted(visit, &error);
            }
        };
        let response = read(kept).filter(|response| {
            let state = response.get(visit.provider.state_parameter());
            state.is_ok_and(|state| state.is_some_and(|state| flow_id(visit.provider_id, state) == id))
        });
        let Some(response) = response else {
            let error = malformed("what the browser kept is no authorization response of this flow");
            let mut answer = self.not_accepted(visit, &error);
            answer::add_cookie(&mut answer, self.remove_stash(id));
            return answer;
        };
        let mut answer = self.arrive(visit, &flown, &response, way).await;
        // The page says that a reload works later.
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            answer::add_cookie(&mut answer, self.set_stash(id, kept));
        }
        answer
    }

    fn set_stash(&self, id: &str, kept: &str) -> Option<HeaderValue> {
        self.writer().set(&self.stash(id), kept, SameSite::Lax, Some(STASHED))
    }

    fn stash(&self, id: &str) -> String {
        format!("{}resume-{id}", self.writer().prefix())
    }

    pub(crate) fn remove_stash(&self, id: &str) -> Option<HeaderValue> {
        self.writer().remove(&self.stash(id), SameSite::Lax)
    }
}

/// `1q.` or `1f.`, and the parameters: form encoding has no character that a cookie cannot have.
fn write(response: &AuthorizationResponse<'_>) -> String {
    let mode = if response.mode() == ResponseMode::FormPost { "1f." } else { "1q." };
    form_urlencoded::Serializer::for_suffix(mode.to_owned(), mode.len())
        .extend_pairs(response.iter())
        .finish()
}

fn read(kept: &str) -> Option<AuthorizationResponse<'_>> {
    let (mode, parameters) = kept.split_once('.')?;
    match mode {
        "1q" => AuthorizationResponse::from_query(parameters).ok(),
        "1f" => AuthorizationResponse::from_form(parameters.as_bytes()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_what_is_kept_is_what_came() {
        let query = "code=a%3Bb%22%2C+%5C%25&state=%E2%82%AC=&iss=https%3A%2F%2Fas.example&x=1&x=2&=";
        for response in [
            AuthorizationResponse::from_query(query).unwrap(),
            AuthorizationResponse::from_form(query.as_bytes()).unwrap(),
        ] {
            let kept = write(&response);
            assert!(kept.bytes().all(|b| (0x21..=0x7e).contains(&b) && !b"\",;\\".contains(&b)), "{kept}");
            let read = read(&kept).unwrap();
            assert_eq!(read.mode(), response.mode());
            assert!(read.iter().eq(response.iter()));
        }
        for bad in ["", "1q", "2q.a=b", "q.a=b", "1q.%zz", "1f.%ff"] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}

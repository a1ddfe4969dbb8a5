//! What is left behind by a flow that has come to its end.

use authflow_core::{User, check_return_to};
use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::accounts::Inner;
use crate::answer;
use crate::callback::{Flown, Visit, Way};
use crate::digest::{user_tag, way_tag};
use crate::flow_cookie::{Coming, Done, FlowCookie, REMEMBERED, Stage, is_kept, make_room, seconds};
use crate::outcome::Outcome;
use crate::pages::{NoticeKind, Page};
use crate::place::asked_for;
use crate::site::in_query;

impl Inner {
    /// Tells the application, sends the browser on to a clean address, and leaves a mark in place of the secret.
    pub(crate) async fn conclude(
        &self,
        visit: &Visit<'_>,
        flown: &Flown,
        way: Way,
        outcome: &Outcome,
        location: String,
    ) -> Response<Bytes> {
        let parts = &visit.incoming.parts;
        let now = seconds(visit.provider.flow.clock().now());
        let mut answer = answer::redirect(&location);
        let stage = match (self.tell(parts, outcome, &mut answer).await, outcome) {
            (Ok(()), Outcome::Connected(connected) | Outcome::SignedIn(connected)) => {
                let is_sign_in = matches!(outcome, Outcome::SignedIn(_));
                let target = target(&answer).map(str::to_owned);
                if is_sign_in && let Some(to) = &target {
                    self.bring_session(visit, &flown.id, to, &mut answer);
                }
                let return_to = target.unwrap_or(location);
                let place = asked_for(&return_to).unwrap_or_default();
                Stage::Done(Done {
                    is_sign_in,
                    done_at: now,
                    way_tag: way_tag(&flown.id, visit.provider_id, &place),
                    return_to: Some(return_to),
                    user_tag: done_tag(&flown.id, connected.key.user()),
                })
            }
            (Ok(()), _) => Stage::Ended,
            (Err(error), _) => {
                self.application.on_error(parts, &*error);
                answer = self.broken();
                Stage::Ended
            }
        };
        let writer = self.writer();
        let mark = FlowCookie { is_none: flown.is_none, begun_at: flown.begun_at, stage }.write();
        let name = format!("{}{}", writer.prefix(), flown.id);
        let same_site = writer.same_site(flown.is_none);
        let new = Coming { name: &name, value: &mark, same_site };
        for leaving in make_room(visit.cookies(writer), writer.prefix(), new, now) {
            answer::add_cookie(&mut answer, writer.remove(&leaving.name, leaving.same_site));
        }
        answer::add_cookie(&mut answer, writer.set(&name, &mark, same_site, Some(REMEMBERED)));
        if way != Way::Direct {
            answer::add_cookie(&mut answer, self.remove_stash(&flown.id));
        }
        answer
    }

    /// Makes an answer that leads to `to` one that goes there when the new session is seen.
    ///
    /// All that the provider's redirects lead to is another site's doing to the browser. A session's cookie that is
    /// `SameSite=Strict` is not sent there, although it was set on the way: the page would find nobody, and have them sign in once
    /// more, without end. So the browser asks the callback again, which sees what comes along ([`done_before`](Self::done_before)).
    fn bring_session(&self, visit: &Visit<'_>, id: &str, to: &str, answer: &mut Response<Bytes>) {
        if is_kept(to) {
            answer::redirect_to(answer, &self.resume_path(visit, id));
        } else {
            // The callback could not tell where to go on.
            answer::become_page(answer, self.page(StatusCode::OK, &Page::Continue { to }));
        }
    }

    /// A callback whose flow is done, once more: it leads the flow's user to where it led, and others to their own accounts. Who has
    /// just signed in comes here, too, and goes on whether or not the application keeps a session that is seen.
    pub(crate) async fn done_before(
        &self,
        visit: &Visit<'_>,
        id: &str,
        way: Way,
        done: &Done,
    ) -> Response<Bytes> {
        let parts = &visit.incoming.parts;
        let return_to = done.return_to.as_deref().unwrap_or(&self.after);
        match self.user(parts).await {
            Ok(Some(user)) if bool::from(done_tag(id, &user).as_bytes().ct_eq(done.user_tag.as_bytes())) => {
                answer::redirect(return_to)
            }
            Ok(Some(_)) => answer::redirect(self.site.accounts()),
            Ok(None) => {
                let to = if done.is_sign_in { return_to } else { self.site.accounts() };
                self.ask_again(visit, id, way).unwrap_or_else(|| answer::redirect(to))
            }
            Err(error) => self.unknown_user(parts, &error),
        }
    }

    /// A line on the accounts page about what has just happened, if that is where the browser goes.
    pub(crate) fn with_notice(&self, location: &str, kind: NoticeKind, provider_id: &str) -> String {
        if location != self.site.accounts() {
            return location.to_owned();
        }
        format!("{location}?notice={}&provider={}", in_query(kind.as_str()), in_query(provider_id))
    }
}

/// A hash that fits the user for whom a flow was done. Its secret is gone with the flow: what is unguessable is the flow's name.
fn done_tag(id: &str, user: &User) -> String {
    user_tag(id, &user.tenant, &user.id)
}

/// Where the application's own answer leads, if that is a path of this site.
fn target(answer: &Response<Bytes>) -> Option<&str> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    (answer.status().is_redirection() && check_return_to(location).is_ok()).then_some(location)
}

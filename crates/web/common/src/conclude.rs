//! What is left behind by a flow that has come to its end.

use authflow_core::check_return_to;
use bytes::Bytes;
use http::Response;
use http::header::LOCATION;

use crate::accounts::Inner;
use crate::answer;
use crate::callback::{Flown, Visit, Way};
use crate::flow_cookie::{FlowCookie, REMEMBERED, Stage, make_room, seconds};
use crate::outcome::Outcome;
use crate::pages::NoticeKind;
use crate::site::in_query;

impl Inner {
    /// Tells the application, sends the browser on to a clean address, and leaves a mark in place of the secret.
    pub(crate) async fn conclude(
        &self,
        visit: &Visit<'_>,
        flown: &Flown,
        way: Way,
        outcome: Outcome,
        location: String,
    ) -> Response<Bytes> {
        let parts = &visit.incoming.parts;
        let is_connected = matches!(outcome, Outcome::Connected(_) | Outcome::SignedIn(_));
        let mut answer = answer::redirect(&location);
        let stage = match self.application.after(parts, &outcome, &mut answer).await {
            Ok(()) if is_connected => {
                Stage::Done { return_to: Some(target(&answer).map_or(location, str::to_owned)) }
            }
            Ok(()) => Stage::Ended,
            Err(error) => {
                self.application.on_error(parts, &*error);
                answer = self.broken();
                Stage::Ended
            }
        };
        let writer = self.writer();
        let mark = FlowCookie { is_none: flown.is_none, begun_at: flown.begun_at, stage }.write();
        let name = format!("{}{}", writer.prefix(), flown.id);
        let now = seconds(visit.provider.flow.clock().now());
        let cookies = self.cookies(parts);
        for leaving in make_room(&cookies, writer.prefix(), (&name, mark.len()), now) {
            answer::add_cookie(&mut answer, writer.remove(&leaving.name, leaving.same_site));
        }
        let same_site = writer.same_site(flown.is_none);
        answer::add_cookie(&mut answer, writer.set(&name, &mark, same_site, Some(REMEMBERED)));
        if way != Way::Direct {
            answer::add_cookie(&mut answer, self.remove_stash(&flown.id));
        }
        answer
    }

    /// A line on the accounts page about what has just happened, if that is where the browser goes.
    pub(crate) fn with_notice(&self, location: &str, kind: NoticeKind, provider_id: &str) -> String {
        if location != self.site.accounts() {
            return location.to_owned();
        }
        format!("{location}?notice={}&provider={}", in_query(kind.as_str()), in_query(provider_id))
    }
}

/// Where the application's own answer leads, if that is a path of this site.
fn target(answer: &Response<Bytes>) -> Option<&str> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    (answer.status().is_redirection() && check_return_to(location).is_ok()).then_some(location)
}

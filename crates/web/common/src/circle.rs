//! What a flow has just led a browser to: it is not sent to the provider again and again, and to no other without being asked.

use std::time::Duration;

use http::request::Parts;

use crate::accounts::Inner;
use crate::cookies::Found;
use crate::digest::{is_flow_id, way_tag};
use crate::flow_cookie::{Done, FlowCookie, Stage, seconds};
use crate::incoming::Incoming;
use crate::place::asked_for;
use crate::same_origin::{comes_from_another_site, goes_on_by_itself};

/// For how long a flow has ended just now: who is sent to connect, comes back, and meets the same error has been sent in vain.
pub(crate) const NEW_FOR: Duration = Duration::from_secs(60);

impl Inner {
    /// Whether a browser is at a page because a flow with this provider has just led it there, and not because somebody opens the page.
    ///
    /// Where the provider's redirects lead there, another site has to do with the request; where a page of our own does, nobody
    /// pressed anything. To which page it led, and with which provider, the flow's mark tells.
    pub(crate) fn has_led_here(&self, request: &Parts, provider_id: &str) -> bool {
        let headers = &request.headers;
        if !comes_from_another_site(headers) && !goes_on_by_itself(&self.site, headers) {
            return false;
        }
        let Some(place) = Incoming::place(request).and_then(asked_for) else { return false };
        self.just_done(request).iter().any(|(id, done)| done.way_tag == way_tag(id, provider_id, &place))
    }

    /// Whether a flow has just ended well in this browser, so that what comes now may be what that led to.
    pub(crate) fn has_just_led(&self, request: &Parts) -> bool {
        !self.just_done(request).is_empty()
    }

    /// The flows of this browser that have ended well just now, with their names.
    fn just_done(&self, request: &Parts) -> Vec<(String, Done)> {
        let prefix = self.writer().prefix();
        let now = seconds(self.connections.clock().now());
        let is_new = |done: &Done| now.saturating_sub(done.done_at) < NEW_FOR.as_secs();
        let marks = self.cookies(request);
        let flows = marks.iter().filter_map(|(name, found)| {
            let id = name.strip_prefix(prefix).filter(|id| is_flow_id(id))?;
            let Found::One(value) = found else { return None };
            match FlowCookie::read(value)?.stage {
                Stage::Done(done) if is_new(&done) => Some((id.to_owned(), done)),
                _ => None,
            }
        });
        flows.collect()
    }
}

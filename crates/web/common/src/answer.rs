//! Answers, and the headers that are on all of them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::pages::{Page, Pages};

/// What goes with a page whose own policy cannot be a header.
const STRICTEST: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A page, which nobody may put into a frame.
pub(crate) fn page(pages: &dyn Pages, status: StatusCode, page: &Page<'_>) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(pages.render(page)));
    *answer.status_mut() = status;
    let mut policy = pages.content_security_policy();
    if !policy.contains("frame-ancestors") {
        policy.push_str("; frame-ancestors 'none'");
    }
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(STRICTEST));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

/// 303: whatever the method was, the next one is GET, and the address of this answer does not stay (RFC 9110 §15.4.4).
pub(crate) fn redirect(location: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    // With the cookies and what is on every answer, for it need not grow then.
    answer.headers_mut().reserve(6);
    lead(&mut answer, location);
    answer
}

/// Has a redirect lead to another place, with what else is in it.
pub(crate) fn redirect_to(answer: &mut Response<Bytes>, location: &str) {
    *answer.status_mut() = StatusCode::SEE_OTHER;
    lead(answer, location);
}

fn lead(answer: &mut Response<Bytes>, location: &str) {
    // URLs and checked paths are visible ASCII.
    if let Ok(mut location) = HeaderValue::from_str(location) {
        // The authorization URL has the state in it.
        location.set_sensitive(true);
        answer.headers_mut().insert(LOCATION, location);
    }
}

/// Makes a page of a redirect, with the cookies and whatever else is in it.
pub(crate) fn become_page(answer: &mut Response<Bytes>, page: Response<Bytes>) {
    let (parts, body) = page.into_parts();
    (*answer.status_mut(), *answer.body_mut()) = (parts.status, body);
    let headers = answer.headers_mut();
    headers.remove(LOCATION);
    headers.extend(parts.headers);
}

/// Says which methods there are (RFC 9110 §15.5.6).
pub(crate) fn allow(answer: &mut Response<Bytes>, methods: &'static str) {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// Says when to come again (RFC 9110 §10.2.3), in whole seconds that are no less.
pub(crate) fn retry_after(answer: &mut Response<Bytes>, after: Option<Duration>) {
    let Some(after) = after else { return };
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
}

pub(crate) fn add_cookie(answer: &mut Response<Bytes>, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// What HEAD gets of an answer: how long the body is that GET has (RFC 9110 §8.6), and none of it.
pub(crate) fn leave_head(answer: &mut Response<Bytes>) {
    let length = HeaderValue::from(answer.body().len());
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    *answer.body_mut() = Bytes::new();
}

/// Every answer is for this browser at this moment, and its address is nobody else's business.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

//! A browser: cookies by the rules of RFC 6265bis, and the headers that say who made a request.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cookie::{Cookie, SameSite};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, Response};

/// Who made a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A page of the application, where somebody follows a link or presses a button.
    Own,
    /// A page of the application that goes on by itself: nobody pressed anything.
    Refresh,
    /// A page of the application, in Safari: it does not say what somebody pressed.
    Safari,
    /// Another site, such as the provider that redirects here. Whatever comes of it by redirects does, too, also from one page
    /// of the application to another.
    Foreign,
    /// The user.
    Typed,
    /// The browser does not say, but for `Origin`.
    Silent(Option<&'static str>),
}

#[derive(Clone, Debug)]
struct Kept {
    cookie: Cookie<'static>,
    until: Option<SystemTime>,
}

/// The cookies of one browser at `https://app.example`.
#[derive(Debug, Default)]
pub(crate) struct Browser(Mutex<Vec<Kept>>);

impl Browser {
    /// A browser in which `user` is signed in.
    pub(crate) fn of(user: &str) -> Self {
        let browser = Self::default();
        browser.plant("session", user);
        browser
    }

    /// The same, with a session whose cookie is `SameSite=Strict`.
    pub(crate) fn strict(user: &str) -> Self {
        let browser = Self::default();
        browser.put(Cookie::build(("session", user.to_owned())).same_site(SameSite::Strict).build(), None);
        browser
    }

    /// Puts a Lax cookie there.
    pub(crate) fn plant(&self, name: &str, value: &str) {
        let cookie = Cookie::build((name.to_owned(), value.to_owned())).same_site(SameSite::Lax);
        self.put(cookie.build(), None);
    }

    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().unwrap().retain(|kept| !kept.cookie.name().starts_with(name));
    }

    /// Puts a cookie there as it was.
    pub(crate) fn put_back(&self, cookie: Cookie<'static>) {
        self.put(cookie, None);
    }

    fn put(&self, cookie: Cookie<'static>, until: Option<SystemTime>) {
        let mut all = self.0.lock().unwrap();
        all.retain(|kept| kept.cookie.name() != cookie.name());
        all.push(Kept { cookie, until });
    }

    /// Keeps what an answer sets, and lets go of what it takes back with the attributes that it was set with.
    pub(crate) fn keep(&self, answer: &Answer, now: SystemTime) {
        for header in answer.headers.get_all(SET_COOKIE) {
            let header = header.to_str().unwrap().to_owned();
            let cookie = Cookie::parse(header.clone()).unwrap();
            if cookie.name().starts_with("__Host-") {
                let is_host =
                    cookie.secure() == Some(true) && cookie.path() == Some("/") && cookie.domain().is_none();
                assert!(is_host, "a browser refuses {header}");
            }
            assert!(cookie.same_site() != Some(SameSite::None) || cookie.secure() == Some(true), "{header}");
            assert!(header.len() < 4096, "a browser refuses a cookie of {} bytes", header.len());
            let lifetime = cookie.max_age().map(|age| Duration::from_secs(age.whole_seconds().max(0) as u64));
            if lifetime == Some(Duration::ZERO) {
                let before = self.cookie(cookie.name());
                if let Some(before) = before {
                    assert_eq!(attributes(&before), attributes(&cookie), "it is taken back as it was set");
                }
                self.0.lock().unwrap().retain(|kept| kept.cookie.name() != cookie.name());
            } else {
                self.put(cookie, lifetime.map(|lifetime| now + lifetime));
            }
        }
    }

    /// The `Cookie` header of a request.
    pub(crate) fn header(&self, is_post: bool, from: From, now: SystemTime) -> String {
        let goes = |cookie: &Cookie<'_>| match cookie.same_site() {
            _ if from != From::Foreign => true,
            Some(SameSite::None) => true,
            Some(SameSite::Strict) => false,
            Some(SameSite::Lax) | None => !is_post,
        };
        let all = self.0.lock().unwrap();
        let alive = all.iter().filter(|kept| kept.until.is_none_or(|until| now < until));
        let pairs: Vec<_> = alive
            .filter(|kept| goes(&kept.cookie))
            .map(|kept| format!("{}={}", kept.cookie.name(), kept.cookie.value()))
            .collect();
        pairs.join("; ")
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.0.lock().unwrap().iter().find(|kept| kept.cookie.name() == name).map(|kept| kept.cookie.clone())
    }

    /// Name and value of the cookies of flows.
    pub(crate) fn flows(&self) -> Vec<(String, String)> {
        let all = self.0.lock().unwrap();
        let named = all.iter().map(|kept| (kept.cookie.name().to_owned(), kept.cookie.value().to_owned()));
        let is_flow = |name: &str| {
            name.trim_start_matches("__Host-").strip_prefix("authflow-").is_some_and(|id| id.len() == 22)
        };
        named.filter(|(name, _)| is_flow(name)).collect()
    }

    /// The cookies in which a response waits.
    pub(crate) fn waiting(&self) -> Vec<Cookie<'static>> {
        let all = self.0.lock().unwrap();
        let cookies = all.iter().map(|kept| kept.cookie.clone());
        cookies.filter(|cookie| cookie.name().contains("authflow-resume-")).collect()
    }
}

fn attributes(cookie: &Cookie<'_>) -> (Option<String>, Option<bool>, Option<bool>, Option<SameSite>) {
    (cookie.path().map(str::to_owned), cookie.secure(), cookie.http_only(), cookie.same_site())
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(answer: Response<Bytes>) -> Self {
        let (parts, body) = answer.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where a 303 leads.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.headers[LOCATION].to_str().unwrap()
    }

    /// Where it goes on to by itself, if it is a page that does.
    pub(crate) fn refresh(&self) -> Option<String> {
        let meta = self.body.split("http-equiv=\"refresh\"").nth(1)?;
        self.is_page(200);
        let target = meta.split("url=").nth(1)?.split('"').next()?;
        assert!(self.body.contains(&format!("href=\"{target}\"")), "with a link: {}", self.body);
        Some(target.replace("&amp;", "&"))
    }

    /// A page of ours with this status, by its headers.
    #[track_caller]
    pub(crate) fn is_page(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert!(self.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(!self.header("content-security-policy").contains("form-action"));
        assert_eq!(self.header("x-frame-options"), "DENY");
        self
    }
}

//! A cookie jar by the rules of browsers (RFC 6265bis): prefixes, `Secure`, `SameSite`, paths, removal.

use url::Url;

/// Where a request comes from, as the browser sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A page of the same origin, where a person follows a link or presses a button.
    SameOrigin,
    /// A page of the same origin that goes on by itself.
    Refresh,
    /// A page of the same site, of another origin.
    SameSite,
    /// Another site: a link, a redirect, a form, and every redirect that follows.
    CrossSite,
    /// A person: typed, or from a bookmark.
    Person,
    /// A browser that does not say.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
    None,
    /// No attribute.
    Absent,
}

/// One `Set-Cookie`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) path: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) max_age: Option<i64>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
}

impl SetCookie {
    /// Panics at an attribute that it does not know, so that nothing passes unseen.
    pub(crate) fn parse(header: &str) -> Self {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: None,
            domain: None,
            max_age: None,
            secure: false,
            http_only: false,
            same_site: SameSite::Absent,
        };
        for attribute in parts {
            let (key, setting) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" => cookie.path = Some(setting.to_owned()),
                "domain" => cookie.domain = Some(setting.to_owned()),
                "max-age" => cookie.max_age = Some(setting.parse().expect("a number of seconds")),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => {
                    cookie.same_site = match setting.to_ascii_lowercase().as_str() {
                        "strict" => SameSite::Strict,
                        "lax" => SameSite::Lax,
                        "none" => SameSite::None,
                        other => panic!("SameSite={other}"),
                    };
                }
                other => panic!("unknown attribute {other} in {header}"),
            }
        }
        cookie
    }

    pub(crate) fn is_removal(&self) -> bool {
        self.max_age.is_some_and(|seconds| seconds <= 0)
    }

    /// What has to be the same when it is set and when it is removed.
    pub(crate) fn attributes(&self) -> (Option<&str>, Option<&str>, bool, bool, SameSite) {
        (self.path.as_deref(), self.domain.as_deref(), self.secure, self.http_only, self.same_site)
    }
}

/// The cookies of one browser for one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(Vec<SetCookie>);

impl Jar {
    /// Keeps what a header says, or forgets it where the header takes it back. What a browser refuses is a mistake of the
    /// application: a panic.
    pub(crate) fn keep(&mut self, url: &Url, header: &str) {
        let cookie = SetCookie::parse(header);
        let is_https = url.scheme() == "https";
        assert!(!cookie.secure || is_https, "a Secure cookie over plain http: {header}");
        if cookie.name.starts_with("__Host-") {
            assert!(
                cookie.secure && cookie.domain.is_none() && cookie.path.as_deref() == Some("/"),
                "a browser refuses this cookie: {header}"
            );
        }
        assert!(
            cookie.same_site != SameSite::None || cookie.secure,
            "SameSite=None without Secure: {header}"
        );
        assert!(header.len() < 4096, "a browser refuses a cookie of more than 4 KiB");
        self.put(cookie);
    }

    /// Puts a cookie there as it is: what a test plants.
    pub(crate) fn put(&mut self, cookie: SetCookie) {
        self.0.retain(|known| !(known.name == cookie.name && known.path == cookie.path));
        if !cookie.is_removal() {
            self.0.push(cookie);
        }
    }

    /// The `Cookie` header of a request.
    pub(crate) fn header(&self, url: &Url, post: bool, from: From) -> Option<String> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .filter(|cookie| path_matches(cookie.path.as_deref().unwrap_or("/"), url.path()))
            .filter(|cookie| !cookie.secure || url.scheme() == "https")
            .filter(|cookie| from != From::CrossSite || goes_along(cookie.same_site, post))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn cookies(&self) -> &[SetCookie] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether a cookie goes with a top-level request that comes from another site.
fn goes_along(same_site: SameSite, post: bool) -> bool {
    match same_site {
        SameSite::Strict => false,
        SameSite::Lax | SameSite::Absent => !post,
        SameSite::None => true,
    }
}

fn path_matches(cookie: &str, request: &str) -> bool {
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

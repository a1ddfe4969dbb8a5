//! Cookies, kept for each origin and path.

use std::fmt;

use url::{Origin, Url};

#[derive(Default)]
pub(super) struct Jar(Vec<Cookie>);

struct Cookie {
    origin: Origin,
    path: String,
    name: String,
    value: String,
}

impl Jar {
    /// Keeps what a `Set-Cookie` header says, or forgets it where the header takes it back.
    pub(super) fn keep(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let mut path = default_path(url);
        let mut gone = false;
        for attribute in parts {
            let (key, setting) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" if setting.starts_with('/') => path = setting.to_owned(),
                "max-age" => gone = setting.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                // Servers delete with a date in 1970; no other date in the past is in use.
                "expires" => gone = gone || setting.contains("1970"),
                _ => {}
            }
        }
        let origin = url.origin();
        let name = name.trim().to_owned();
        self.0.retain(|cookie| !(cookie.origin == origin && cookie.path == path && cookie.name == name));
        if !gone {
            self.0.push(Cookie { origin, path, name, value: value.trim().to_owned() });
        }
    }

    /// The `Cookie` header for a request.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let origin = url.origin();
        let pairs: Vec<String> = self
            .0
            .iter()
            .filter(|cookie| cookie.origin == origin && path_matches(&cookie.path, url.path()))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|cookie| &cookie.name)).finish()
    }
}

/// RFC 6265 §5.1.4: the directory of the page.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => url.path().get(..end).unwrap_or("/").to_owned(),
    }
}

fn path_matches(cookie: &str, request: &str) -> bool {
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

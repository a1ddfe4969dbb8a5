//! Where the routes are reached from outside. It comes from the configuration, never from a request.

use authflow_core::{Error, Result, check_return_to};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

/// What stands in a path segment as it is (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, and slashes, for a path in a query.
const IN_QUERY: &AsciiSet = &SEGMENT.remove(b'/');

#[derive(Debug)]
pub(crate) struct Site {
    public_url: Box<str>,
    base: Box<str>,
    origin: Box<str>,
    is_secure: bool,
}

impl Site {
    pub(crate) fn new(public_url: &str) -> Result<Self> {
        let refuse = |message: &'static str| Err(Error::configuration(message));
        if !public_url.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\') {
            return refuse(
                "public_url holds a space, a backslash or a character outside ASCII; write the host in its ASCII form",
            );
        }
        let parsed = Url::parse(public_url).map_err(|source| {
            Error::configuration("public_url is no absolute URL, such as `https://app.example/auth`")
                .with_source(source)
        })?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return refuse("public_url has a query or a fragment; leave it out");
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return refuse("public_url has a user name or a password in it; leave it out");
        }
        // It is in every redirect URI, and so no secret.
        let refuse = |why: String| Err(Error::configuration(format!("public_url is `{public_url}`: {why}")));
        let is_secure = match parsed.scheme() {
            "https" => true,
            "http" if is_loopback(&parsed) => false,
            "http" => {
                return refuse(
                    "http, and not on this machine: the browser would send the cookies of a flow in the clear; use https"
                        .to_owned(),
                );
            }
            _ => return refuse("it has to be https, or http on this machine".to_owned()),
        };
        let public_url = public_url.trim_end_matches('/');
        let (scheme, rest) = public_url.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Providers compare redirect URIs letter by letter (RFC 9700 §4.1.3), and a browser comes back to small ones.
        let is_capital = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_capital(scheme) || is_capital(host) {
            let small = format!("{scheme}://{host}").to_ascii_lowercase();
            return refuse(format!("write `{small}`, as browsers do, here and in the redirect URIs"));
        }
        if let Some((before, after)) = rest.split_once("//").filter(|(before, _)| !before.is_empty()) {
            return refuse(format!(
                "remove the slash at the end of `{scheme}://{before}/`, which `/{after}` stands behind"
            ));
        }
        let base = parsed.path().trim_end_matches('/');
        // The routes are compared with what the browser asks for, which is the path as the URL standard writes it.
        let is_plain = !host.is_empty() && path == base.strip_prefix('/').unwrap_or(base);
        if !is_plain || (!base.is_empty() && check_return_to(base).is_err()) {
            return refuse("its path has dot segments or empty segments; write it without".to_owned());
        }
        Ok(Self {
            public_url: public_url.into(),
            base: base.into(),
            origin: parsed.origin().ascii_serialization().into(),
            is_secure,
        })
    }

    /// The path of the routes without a slash at the end; empty at the root.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The path of the accounts page.
    pub(crate) fn accounts(&self) -> &str {
        if self.base.is_empty() { "/" } else { &self.base }
    }

    /// The path of a route of a provider.
    pub(crate) fn path(&self, provider_id: &str, leaf: &str) -> String {
        format!("{}/{}/{leaf}", self.base, segment(provider_id))
    }

    pub(crate) fn redirect_uri(&self, provider_id: &str) -> String {
        format!("{}/{}/callback", self.public_url, segment(provider_id))
    }

    /// Whether the browser's connection is encrypted, so that cookies can be so bound.
    pub(crate) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether this is what a browser writes into `Origin` on our own pages (RFC 6454 §6.2).
    pub(crate) fn is_own_origin(&self, origin: &str) -> bool {
        let port = if self.is_secure { ":443" } else { ":80" };
        let origin = origin.strip_suffix(port).unwrap_or(origin);
        self.origin.eq_ignore_ascii_case(origin)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn segment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

/// A value of a query.
pub(crate) fn in_query(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, IN_QUERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a19_what_cannot_be_a_public_url_is_refused() {
        for wrong in [
            "",
            "/auth",
            "app.example/auth",
            "ftp://app.example",
            "http://app.example/auth",
            "http://10.0.0.1/auth",
            "http://localhost.evil.example",
            "https://app.example/auth?x=1",
            "https://app.example/auth#x",
            "https://user@app.example/auth",
            "https://user:pw@app.example/auth",
            "https://app.example/a/../b",
            "https://app.example//auth",
            "https://app.example/auth/.",
            "https:app.example/auth",
            "https:///app.example/auth",
            "https://app.example/a\\b",
            "https://app.example/a b",
            "https://\u{e4}pp.example/auth",
            "https://app.example/auth\n",
        ] {
            assert!(Site::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn who_mistook_the_public_url_is_told_which_and_what_to_write() {
        for (wrong, told) in [
            ("https://shop.example//auth", "remove the slash at the end of `https://shop.example/`"),
            ("https://shop.example/a//auth", "remove the slash at the end of `https://shop.example/a/`"),
            ("http://shop.example/auth", "use https"),
            ("HTTPS://shop.example/auth", "write `https://shop.example`"),
            ("https://Shop.Example:8443/Auth", "write `https://shop.example:8443`"),
            ("https://shop.example/a/../auth", "dot segments"),
        ] {
            let said = Site::new(wrong).unwrap_err().to_string();
            assert!(said.contains(&format!("`{wrong}`")) && said.contains(told), "{said}");
        }
        let said = Site::new("http://ann:planted@Shop.example//auth").unwrap_err().to_string();
        assert!(!said.contains("planted"), "{said}");
        assert!(Site::new("https://shop.example/Auth").is_ok(), "a path has capitals that matter");
    }

    #[test]
    fn a_base_has_no_slash_at_the_end() {
        for (url, base, accounts, uri) in [
            ("https://app.example", "", "/", "https://app.example/p/callback"),
            ("https://app.example/", "", "/", "https://app.example/p/callback"),
            ("https://app.example/auth/", "/auth", "/auth", "https://app.example/auth/p/callback"),
            ("http://127.0.0.1:3000/a/b", "/a/b", "/a/b", "http://127.0.0.1:3000/a/b/p/callback"),
            ("http://[::1]:3000", "", "/", "http://[::1]:3000/p/callback"),
            ("http://localhost:3000", "", "/", "http://localhost:3000/p/callback"),
        ] {
            let site = Site::new(url).unwrap();
            assert_eq!((site.base(), site.accounts()), (base, accounts), "{url}");
            assert_eq!(site.redirect_uri("p"), uri);
            assert_eq!(site.path("p", "connect"), format!("{base}/p/connect"));
            assert_eq!(site.is_secure(), url.starts_with("https"));
        }
    }

    #[test]
    fn a14_an_origin_is_compared_whole() {
        let site = Site::new("https://app.example/auth").unwrap();
        for own in ["https://app.example", "https://app.example:443", "HTTPS://APP.EXAMPLE"] {
            assert!(site.is_own_origin(own), "{own}");
        }
        for other in [
            "",
            "null",
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil",
            "https://evil-app.example",
            "https://app.example/",
            "https://app.example:443:443",
            "https://app.example https://evil.example",
        ] {
            assert!(!site.is_own_origin(other), "{other}");
        }
        assert!(Site::new("http://localhost:80").unwrap().is_own_origin("http://localhost"));
        assert!(!Site::new("http://localhost:8080").unwrap().is_own_origin("http://localhost"));
    }

    #[test]
    fn a_provider_id_is_one_segment() {
        let site = Site::new("https://app.example").unwrap();
        assert_eq!(site.path("a/b?c#d%", "connect"), "/a%2Fb%3Fc%23d%25/connect");
    }
}

//! A browser's HTTP side: cookies, `Sec-Fetch-*`, no redirect followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::jar::{From, Jar, SameSite, SetCookie};

/// Another site, from which attacks come.
pub(crate) const ELSEWHERE: &str = "https://attacker.example";

/// One browser, with cookies of its own, in front of one application. What it calls by its public name arrives at the
/// loopback address, as behind a proxy that ends TLS.
#[derive(Debug)]
pub(crate) struct Browser {
    /// Scheme, host and port as people see them.
    origin: String,
    address: SocketAddr,
    http: reqwest::Client,
    jar: Mutex<Jar>,
}

impl Browser {
    pub(crate) fn new(origin: &str, address: SocketAddr) -> Self {
        Self::at(origin, address, None)
    }

    /// A browser on another machine: with an address of its own.
    pub(crate) fn at(origin: &str, address: SocketAddr, own: Option<IpAddr>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A server may close a connection on whoever sends too much, while the next request is on its way.
            .pool_max_idle_per_host(0)
            .local_address(own)
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { origin: origin.to_owned(), address, http, jar: Mutex::default() }
    }

    /// The same browser in front of another instance of the application.
    pub(crate) fn moved(&self, address: SocketAddr) -> Self {
        let moved = Self::new(&self.origin, address);
        *moved.jar.lock().unwrap() = self.jar.lock().unwrap().clone();
        moved
    }

    /// Opens a path, by default as a link of the same origin does.
    pub(crate) fn get(&self, path: &str) -> Visit<'_> {
        self.request(Method::GET, path)
    }

    /// Submits a form, by default as a page of the same origin does.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Visit<'_> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.into_bytes())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Visit<'_> {
        Visit {
            browser: self,
            method,
            path: path.to_owned(),
            from: From::SameOrigin,
            headers: HeaderMap::new(),
            cookies: None,
            body: None,
        }
    }

    pub(crate) fn jar(&self) -> std::sync::MutexGuard<'_, Jar> {
        self.jar.lock().unwrap()
    }

    /// The cookies whose name contains `part`.
    pub(crate) fn cookies(&self, part: &str) -> Vec<SetCookie> {
        self.jar().cookies().iter().filter(|cookie| cookie.name.contains(part)).cloned().collect()
    }

    /// The `Cookie` header that a redirect from another site would bring.
    pub(crate) fn cookie_header(&self, path: &str) -> String {
        let url = self.url(path);
        self.jar().header(&url, false, From::CrossSite).unwrap_or_default()
    }

    /// Plants a cookie.
    pub(crate) fn plant(&self, name: &str, value: &str, same_site: SameSite) {
        self.jar().put(SetCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            secure: false,
            http_only: true,
            same_site,
        });
    }

    fn url(&self, path: &str) -> Url {
        // As a browser resolves it, but for what a test writes on purpose and a URL would normalise.
        let path = path.split(['?', '#']).next().unwrap_or("/");
        Url::parse(&self.origin).unwrap().join(path).unwrap()
    }
}

/// A request that is about to be made.
#[derive(Debug)]
pub(crate) struct Visit<'b> {
    browser: &'b Browser,
    method: Method,
    path: String,
    from: From,
    headers: HeaderMap,
    cookies: Option<String>,
    body: Option<Vec<u8>>,
}

impl Visit<'_> {
    pub(crate) fn from(mut self, from: From) -> Self {
        self.from = from;
        self
    }

    /// One more header, or another value of one that would be there by itself.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// These cookies instead of the jar's.
    pub(crate) fn cookies(mut self, cookies: &str) -> Self {
        self.cookies = Some(cookies.to_owned());
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// A program's request: no page, no navigation.
    pub(crate) fn by_script(self) -> Self {
        self.header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("accept", "application/json")
    }

    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// The error is of the connection.
    pub(crate) async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let Self { browser, method, path, from, mut headers, cookies, body } = self;
        let url = browser.url(&path);
        let post = method == Method::POST;
        let navigates = !headers.contains_key("sec-fetch-mode");
        let mut set = |name: HeaderName, value: &str| {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        let host = browser.origin.split_once("://").unwrap().1;
        set(HOST, host);
        set(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        if from != From::Silent {
            let site = match from {
                From::SameOrigin | From::Refresh => "same-origin",
                From::SameSite => "same-site",
                From::CrossSite => "cross-site",
                From::Person | From::Silent => "none",
            };
            set(HeaderName::from_static("sec-fetch-site"), site);
            set(HeaderName::from_static("sec-fetch-mode"), "navigate");
            set(HeaderName::from_static("sec-fetch-dest"), "document");
            // What a person pressed stays so from redirect to redirect.
            if navigates && from != From::Refresh {
                set(HeaderName::from_static("sec-fetch-user"), "?1");
            }
            if post {
                set(ORIGIN, if from == From::SameOrigin { &browser.origin } else { ELSEWHERE });
            }
        }
        let jar = browser.jar().header(&url, post, from);
        if let Some(cookies) = cookies.or(jar) {
            headers.append(COOKIE, HeaderValue::from_str(&cookies).unwrap());
        }
        let mut request =
            browser.http.request(method, format!("http://{}{path}", browser.address)).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: String::from_utf8(response.bytes().await?.to_vec()).expect("an answer in UTF-8"),
        };
        let mut jar = browser.jar();
        for header in answer.headers.get_all(SET_COOKIE) {
            jar.keep(&url, header.to_str().unwrap());
        }
        drop(jar);
        Ok(answer)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Where a 303 leads.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "a redirect is a 303: {self:?}");
        self.headers[LOCATION].to_str().unwrap()
    }

    /// Where `<meta http-equiv="refresh">` leads, with a link for whose browser does not go on by itself.
    #[track_caller]
    pub(crate) fn refresh(&self) -> Option<String> {
        let meta = self.body.split("http-equiv=\"refresh\"").nth(1)?;
        let content = meta.split("content=\"").nth(1)?.split('"').next()?;
        let target = content.split_once("url=").or_else(|| content.split_once("URL="))?.1;
        assert!(self.body.contains(&format!("href=\"{target}\"")), "a link too: {}", self.body);
        Some(target.trim_matches('\'').replace("&amp;", "&"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<SetCookie> {
        let headers = self.headers.get_all(SET_COOKIE).iter();
        headers.map(|header| SetCookie::parse(header.to_str().unwrap())).collect()
    }

    /// It is a page for a person, with this status.
    #[track_caller]
    pub(crate) fn assert_page(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.header(CONTENT_TYPE.as_str()).starts_with("text/html"), "{self:?}");
        assert!(self.body.contains("<h1"), "{self:?}");
        self
    }

    /// Nothing of it is an error that a person cannot read.
    #[track_caller]
    pub(crate) fn assert_contains(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "{text:?} is not in {}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn assert_lacks(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} is in {}", self.body);
        let headers = format!("{:?}", self.headers);
        assert!(!headers.contains(text), "{text:?} is in {headers}");
        self
    }
}

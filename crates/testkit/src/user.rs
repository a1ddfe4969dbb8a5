//! A user who needs no browser: opens an authorization URL, answers the consent page, comes back.

mod browser;
mod cookies;
mod html;

use std::{error::Error, fmt, io};

use url::Url;

pub use self::browser::Page;
use self::{
    browser::{Browser, Errand},
    html::{Document, Form},
};

/// Pages and redirects on the way to a decision; a server that needs more goes in circles.
const MOST_STEPS: usize = 20;

/// A scripted user with a browser of their own: it keeps cookies for each origin, follows redirects and
/// submits forms, over plain HTTP to loopback addresses.
///
/// It knows the consent page of [`AuthorizationServer`](crate::AuthorizationServer), and gets along with
/// other servers' pages where they are plain forms: it fills in what [`fill`](Self::fill) told it, and takes
/// the button or link that says no, or else the first that does not.
#[derive(Debug, Default)]
pub struct ScriptedUser {
    browser: Browser,
    known: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Approve,
    Deny,
}

impl ScriptedUser {
    /// A user with an empty cookie jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to type into the field of that name, where a page has one: for servers that ask for a login.
    #[must_use]
    pub fn fill(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.known.push((field.into(), value.into()));
        self
    }

    /// Opens the authorization URL and approves. Returns the URL to which the server redirected, byte for
    /// byte, without opening it: the callback.
    ///
    /// # Errors
    ///
    /// Where the server does not answer, answers with an error page, or never redirects back.
    pub async fn approve(&self, authorization_url: &str) -> Result<String, UserError> {
        self.decide(authorization_url, Decision::Approve).await
    }

    /// Opens the authorization URL and denies. Returns the callback as [`approve`](Self::approve) does.
    ///
    /// # Errors
    ///
    /// As for [`approve`](Self::approve).
    pub async fn deny(&self, authorization_url: &str) -> Result<String, UserError> {
        self.decide(authorization_url, Decision::Deny).await
    }

    /// Opens one URL and returns what came, without following a redirect.
    ///
    /// # Errors
    ///
    /// Where the URL is not plain HTTP to a loopback address, or no response came.
    pub async fn open(&self, url: &str) -> Result<Page, UserError> {
        self.browser.send(Errand::get(parse(url)?)).await
    }

    /// Opens a callback, as the browser does when the server redirects to it. Returns what came, without
    /// following a redirect.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn deliver(&self, callback_url: &str) -> Result<Page, UserError> {
        self.open(callback_url).await
    }

    async fn decide(&self, authorization_url: &str, decision: Decision) -> Result<String, UserError> {
        let start = parse(authorization_url)?;
        let home = start.origin();
        let redirect_uri =
            start.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, uri)| uri.into_owned());
        let is_callback = |target: &Url| {
            target.origin() != home
                || redirect_uri
                    .as_deref()
                    .and_then(|uri| Url::parse(uri).ok())
                    .is_some_and(|uri| uri.origin() == target.origin() && uri.path() == target.path())
        };
        let mut errand = Errand::get(start.clone());
        for _ in 0..MOST_STEPS {
            let here = errand.url.clone();
            let again = errand.clone();
            let page = self.browser.send(errand).await?;
            if let Some(location) = page.redirect() {
                let target = here.join(location).map_err(|_| UserError::Url)?;
                if is_callback(&target) {
                    // As it was written: parsing may have normalised what the client compares.
                    let absolute = Url::parse(location).is_ok();
                    return Ok(if absolute { location.to_owned() } else { target.into() });
                }
                errand = match page.status() {
                    307 | 308 => again.moved(target),
                    _ => Errand::get(target),
                };
                continue;
            }
            if page.status() != 200 {
                return Err(UserError::Refused(Box::new(page)));
            }
            errand = self.answer(&here, &page, decision)?;
        }
        Err(UserError::Circles)
    }

    /// What a user does on a page: a form to submit, or a link to follow.
    fn answer(&self, here: &Url, page: &Page, decision: Decision) -> Result<Errand, UserError> {
        let document = Document::read(page.body());
        let join = |target: &str| here.join(target).map_err(|_| UserError::Url);
        if decision == Decision::Deny {
            let denying = |form: &&Form| form.buttons.iter().any(html::Button::says_no);
            if let Some(form) = document.forms.iter().find(denying) {
                let button = form.buttons.iter().find(|button| button.says_no());
                return self.submit(here, form, button);
            }
            if let Some(link) = document.links.iter().find(|link| html::says_no(&link.text)) {
                return Ok(Errand::get(join(&link.href)?));
            }
        }
        let form = document.forms.first().ok_or_else(|| UserError::NoForm(Box::new(page.clone())))?;
        let button = form.buttons.iter().find(|button| !button.says_no());
        self.submit(here, form, button)
    }

    fn submit(&self, here: &Url, form: &Form, button: Option<&html::Button>) -> Result<Errand, UserError> {
        let mut url = match form.action.as_str() {
            "" => here.clone(),
            action => here.join(action).map_err(|_| UserError::Url)?,
        };
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for field in &form.fields {
            let known = self.known.iter().find(|(name, _)| *name == field.name).map(|(_, value)| value);
            body.append_pair(&field.name, known.unwrap_or(&field.value));
        }
        if let Some(button) = button.filter(|button| !button.name.is_empty()) {
            body.append_pair(&button.name, &button.value);
        }
        let body = body.finish();
        if form.posts {
            return Ok(Errand::post(url, body));
        }
        url.set_query(Some(&body));
        Ok(Errand::get(url))
    }
}

/// Parses a URL, and does what the script of Contentstack's application does with a fragment `#!/path`: it
/// moves the path, and the query on either side of the `#`, to where a server can see them.
fn parse(url: &str) -> Result<Url, UserError> {
    let mut url = Url::parse(url).map_err(|_| UserError::Url)?;
    let fragment = url.fragment().map(str::to_owned);
    url.set_fragment(None);
    let Some(route) = fragment.as_deref().and_then(|fragment| fragment.strip_prefix('!')) else {
        return Ok(url);
    };
    let query = url.query().map(str::to_owned);
    let mut routed = url.join(route).map_err(|_| UserError::Url)?;
    if routed.query().is_none() {
        routed.set_query(query.as_deref());
    }
    Ok(routed)
}

/// Why the user did not get through.
#[derive(Debug)]
#[non_exhaustive]
pub enum UserError {
    /// A URL cannot be read.
    Url,
    /// A URL is not plain HTTP to a loopback address; this browser goes nowhere else.
    NotLoopback,
    /// The connection failed.
    Io(io::Error),
    /// The response could not be read.
    Http(hyper::Error),
    /// No response within a minute.
    Timeout,
    /// The response is larger than 4 MiB.
    TooLarge,
    /// The server answered with this page instead of asking or redirecting.
    Refused(Box<Page>),
    /// The page has no form to answer.
    NoForm(Box<Page>),
    /// The server redirected and asked without end.
    Circles,
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("a URL on the way cannot be read"),
            Self::NotLoopback => f.write_str("a URL on the way is not plain http to a loopback address"),
            Self::Io(_) => f.write_str("the connection failed"),
            Self::Http(_) => f.write_str("the response could not be read"),
            Self::Timeout => f.write_str("no response within a minute"),
            Self::TooLarge => f.write_str("the response is larger than 4 MiB"),
            Self::Refused(page) => write!(f, "the server answered with status {}", page.status()),
            Self::NoForm(_) => f.write_str("the page has no form to answer"),
            Self::Circles => f.write_str("the server redirected and asked without end"),
        }
    }
}

impl Error for UserError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Http(error) => Some(error),
            _ => None,
        }
    }
}

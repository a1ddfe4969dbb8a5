//! Builds [`Accounts`].

use std::fmt;
use std::sync::Arc;

use authflow_core::{Connections, Error, Result, check_return_to};

use crate::accounts::{Accounts, Inner, Provider};
use crate::application::Application;
use crate::pages::{DefaultPages, Pages, Text, Texts};
use crate::site::Site;

/// Builds [`Accounts`].
#[must_use]
pub struct AccountsBuilder {
    connections: Connections,
    public_url: String,
    application: Arc<dyn Application>,
    look: Look,
    head: Option<(Text, Text)>,
    names: Vec<(String, String)>,
    after: String,
    sign_in_at: Option<String>,
    max_body: usize,
}

impl AccountsBuilder {
    pub(crate) fn new(connections: Connections, public_url: &str, application: Arc<dyn Application>) -> Self {
        Self {
            connections,
            public_url: public_url.to_owned(),
            application,
            look: Look::Default(Box::default()),
            head: None,
            names: Vec::new(),
            after: "/".to_owned(),
            sign_in_at: None,
            max_body: 64 * 1024,
        }
    }

    /// How pages are rendered. Default: [`DefaultPages`].
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.look = Look::Own(Box::new(pages));
        self
    }

    /// [`DefaultPages`] in other words. It takes the place of [`pages`](Self::pages).
    pub fn texts(mut self, texts: Texts) -> Self {
        self.look = Look::Default(Box::new(texts));
        self
    }

    /// The name of the application and the path of its own first page, for the head of every page: the way back from there.
    /// Pages that are set with [`pages`](Self::pages) have a head of their own
    /// ([`DefaultPages::application`]), so that the two do not go together.
    pub fn application(mut self, name: impl Into<Text>, home: impl Into<Text>) -> Self {
        self.head = Some((name.into(), home.into()));
        self
    }

    /// What a provider is called on pages, such as to tell two registrations of one from another. Default: what it calls itself
    /// ([`Provider::name`](authflow_core::Provider::name)).
    pub fn provider_name(mut self, provider_id: impl Into<String>, name: impl Into<String>) -> Self {
        self.names.push((provider_id.into(), name.into()));
        self
    }

    /// Where the application goes on after connecting, where the flow did not say: a path of its own. Default: `/`.
    pub fn after(mut self, path: impl Into<String>) -> Self {
        self.after = path.into();
        self
    }

    /// Where one signs in to the application: a path of its own. Who is not signed in finds a button there on our pages, and
    /// [`Missing`](crate::Missing) leads there. Where the path ends in `=`, such as `/login?next=`, the path to come back to is
    /// put behind it, percent-encoded. It comes back to your sign-in page as a stranger may have written it:
    /// [`check_return_to`] judges it.
    ///
    /// Default: none, and the pages ask to sign in as usual.
    pub fn sign_in_at(mut self, path: impl Into<String>) -> Self {
        self.sign_in_at = Some(path.into());
        self
    }

    /// The most bytes of a body. Default: 64 KiB, which is also the most of an authorization response.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration) with the first mistake: a `public_url` that is
    /// neither https nor of this machine, or has a query, a fragment or a user name; a provider whose client credentials lack
    /// the redirect URI of these routes, which the error names; a name for a provider that is not there; an `after`, a
    /// `sign_in_at` or a first page of the `application` that is no path of this site; an `application` beside `pages`.
    pub fn build(self) -> Result<Accounts> {
        let site = Site::new(&self.public_url)?;
        check_return_to(&self.after).map_err(|source| {
            Error::configuration("`after` is a path of this site, such as `/settings`").with_source(source)
        })?;
        self.sign_in_at.as_deref().map_or(Ok(()), check_return_to).map_err(|source| {
            Error::configuration("`sign_in_at` is a path of this site, such as `/login?next=`")
                .with_source(source)
        })?;
        let pages = self.look.pages(self.head)?;
        let mut providers = std::collections::BTreeMap::new();
        for id in self.connections.providers() {
            let Some(flow) = self.connections.flow(id).cloned() else { continue };
            if matches!(id, "." | "..") {
                return Err(Error::configuration(
                    "a browser takes the provider ids `.` and `..` out of a path; choose another",
                ));
            }
            let redirect_uri = site.redirect_uri(id);
            if !flow.manager().credentials().redirect_uris().any(|uri| uri == redirect_uri) {
                return Err(Error::configuration(format!(
                    "the client credentials of `{id}` lack the redirect URI of these routes: register `{redirect_uri}` with \
                     the provider, and add it with `ClientCredentials::redirect_uri`"
                )));
            }
            let (connect, disconnect) = (site.path(id, "connect"), site.path(id, "disconnect"));
            let name = flow.provider().name().to_owned();
            providers.insert(id.to_owned(), Provider { flow, name, connect, disconnect, redirect_uri });
        }
        for (id, name) in self.names {
            match providers.get_mut(&id) {
                Some(provider) => provider.name = name,
                None => {
                    return Err(Error::configuration(format!(
                        "`provider_name` names `{id}`, and the connections have no such provider"
                    )));
                }
            }
        }
        Ok(Accounts(Arc::new(Inner {
            connections: self.connections,
            application: self.application,
            pages,
            site,
            providers,
            after: self.after,
            sign_in_at: self.sign_in_at,
            max_body: self.max_body,
        })))
    }
}

/// What pages are rendered by.
enum Look {
    Default(Box<Texts>),
    Own(Box<dyn Pages>),
}

impl Look {
    fn pages(self, head: Option<(Text, Text)>) -> Result<Box<dyn Pages>> {
        match (self, head) {
            (Self::Default(texts), None) => Ok(Box::new(DefaultPages::new(*texts))),
            (Self::Default(texts), Some((name, home))) => {
                check_return_to(&home).map_err(|source| {
                    Error::configuration(
                        "the first page of the `application` is a path of this site, such as `/`",
                    )
                    .with_source(source)
                })?;
                Ok(Box::new(DefaultPages::new(*texts).application(name, home)))
            }
            (Self::Own(pages), None) => Ok(pages),
            (Self::Own(_), Some(_)) => Err(Error::configuration(
                "`pages` have a head of their own: say it there (`DefaultPages::application`), and not beside them",
            )),
        }
    }
}

impl fmt::Debug for AccountsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountsBuilder")
            .field("public_url", &self.public_url)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

//! An example application, and the authorization server behind it: what people do with both.

use std::sync::Arc;

use authflow_testkit::{AuthorizationServer, Endpoint};
use serde_json::Value;

use crate::bridge::Bridge;
use crate::example::{Example, Registration, Which, server};
use crate::node::OidcProvider;
use crate::page::Page;

/// The link on the application's own page that leads to the provider `example`.
pub(crate) const SIGN_IN: &str = "Sign in with Example";

/// Whose authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Testkit,
    OidcProvider,
}

/// What a test asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) which: Which,
    pub(crate) by: By,
    pub(crate) form_post: bool,
    /// How many seconds one may take at the provider, if not ten minutes.
    pub(crate) state_ttl: Option<u64>,
}

impl Setting {
    pub(crate) const fn new(which: Which, by: By) -> Self {
        Self { which, by, form_post: false, state_ttl: None }
    }

    /// An example with the providers `example` and `another`.
    pub(crate) async fn start(self) -> Stage {
        let (servers, mut registrations) = match self.by {
            By::Testkit => {
                let (example, another) = (Arc::new(server("example").await), server("another").await);
                let mut registrations =
                    [Registration::at("example", &example), Registration::at("another", &another)];
                // The testkit's server answers in the query.
                let mut bridge = None;
                if self.form_post {
                    let new = Bridge::start().await;
                    new.stand_before(&example);
                    registrations[0].authorization_endpoint = new.authorization_endpoint();
                    bridge = Some(new);
                }
                (Servers::Testkit { example, another, _bridge: bridge }, registrations)
            }
            By::OidcProvider => {
                let redirect_uris =
                    ["example", "another"].map(|id| format!("http://127.0.0.1/auth/{id}/callback"));
                let provider = OidcProvider::with_redirect_uris(&redirect_uris).await;
                let registrations =
                    ["example", "another"].map(|id| Registration::at_oidc_provider(id, &provider));
                (Servers::OidcProvider(provider), registrations)
            }
        };
        registrations[0].form_post = self.form_post;
        let app = Example::start(self.which, &registrations, self.state_ttl).await;
        Stage { app, servers }
    }
}

/// What is behind the example.
enum Servers {
    Testkit {
        example: Arc<AuthorizationServer>,
        another: AuthorizationServer,
        _bridge: Option<Bridge>,
    },
    /// One for both providers.
    OidcProvider(OidcProvider),
}

/// A running example, and its providers. They end with it.
pub(crate) struct Stage {
    pub(crate) app: Example,
    servers: Servers,
}

impl Stage {
    /// With the testkit's servers.
    pub(crate) async fn new(which: Which) -> Self {
        Setting::new(which, By::Testkit).start().await
    }

    /// Somebody goes from the application's own page to the provider's.
    pub(crate) async fn begin(&self, page: &Page) {
        page.goto(&self.app.url("/")).await;
        page.follow(SIGN_IN).await;
    }

    /// Somebody signs in, and is back on the application's own page.
    pub(crate) async fn sign_in(&self, page: &Page) {
        self.begin(page).await;
        self.approve(page).await;
        self.is_signed_in(page).await;
    }

    /// Waits for the application's own page, which says that the provider is connected.
    pub(crate) async fn is_signed_in(&self, page: &Page) {
        page.arrives_at(&self.app.url("/")).await;
        let text = page.text().await;
        assert!(text.contains("Example is connected"), "{text}");
    }

    /// Says yes at the provider, to all that it asks, until the browser is back.
    pub(crate) async fn approve(&self, page: &Page) {
        page.shows("button[value=approve]").await;
        while page.is_asked_before(&self.app.address).await {
            page.approve().await;
        }
    }

    /// The same, as whom the provider knows by this name.
    pub(crate) async fn approve_as(&self, page: &Page, name: &str) {
        match &self.servers {
            Servers::Testkit { example, .. } => assert!(example.sign_in(name)),
            Servers::OidcProvider(_) => page.fill("[name=login]", name).await,
        }
        self.approve(page).await;
    }

    /// Says no at the provider, once it asks.
    pub(crate) async fn deny(&self, page: &Page) {
        page.shows("button[value=deny]").await;
        if page.has("[name=login]").await {
            page.approve().await;
        }
        page.deny().await;
    }

    /// The account at the provider, as it tells it, of whoever says nothing else.
    pub(crate) fn account(&self) -> &'static str {
        match self.servers {
            Servers::Testkit { .. } => "ada",
            Servers::OidcProvider(_) => "alice",
        }
    }

    /// What the addresses of this provider begin with.
    pub(crate) fn provider_url(&self, id: &str) -> &str {
        match &self.servers {
            Servers::Testkit { another, .. } if id == "another" => another.base_url(),
            Servers::Testkit { example, .. } => example.base_url(),
            Servers::OidcProvider(provider) => provider.text("/issuer"),
        }
    }

    /// One of the testkit's servers.
    pub(crate) fn server(&self, id: &str) -> &AuthorizationServer {
        match &self.servers {
            Servers::Testkit { another, .. } if id == "another" => another,
            Servers::Testkit { example, .. } => example,
            Servers::OidcProvider(_) => unreachable!("it is npm's"),
        }
    }

    /// How many requests there were to the token endpoints.
    pub(crate) async fn token_requests(&self) -> u64 {
        self.requests(Endpoint::Token, "token").await
    }

    pub(crate) async fn revocations(&self) -> u64 {
        self.requests(Endpoint::Revocation, "revocation").await
    }

    async fn requests(&self, endpoint: Endpoint, name: &str) -> u64 {
        match &self.servers {
            Servers::Testkit { example, another, .. } => {
                (example.ledger().count(endpoint) + another.ledger().count(endpoint)).try_into().unwrap()
            }
            Servers::OidcProvider(provider) => counted(provider, name).await,
        }
    }
}

/// How many requests npm's server has had at its token endpoint (`token`) or its revocation endpoint (`revocation`).
pub(crate) async fn counted(provider: &OidcProvider, name: &str) -> u64 {
    let url = format!("{}/counts", provider.text("/issuer"));
    let counts = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    serde_json::from_slice::<Value>(&counts).unwrap()[name].as_u64().unwrap()
}

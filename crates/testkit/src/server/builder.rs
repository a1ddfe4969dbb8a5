//! Setting a server up.

use std::{
    error::Error,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::net::TcpListener;

use super::{
    AuthorizationServer,
    client::Client,
    config::{Config, Consent, IssuerParameter, Now, Personality, Rotation},
    redirect_uri, wire,
};

/// Settings for an [`AuthorizationServer`]; made by [`AuthorizationServer::builder`].
///
/// Without any call it is a server of [`Personality::Rfc`] with three clients, codes that live 60 seconds,
/// access tokens that live an hour, and refresh tokens that rotate without grace.
#[must_use = "call `start` or `build`"]
pub struct Builder {
    personality: Personality,
    clients: Vec<Client>,
    scopes: Option<Vec<String>>,
    subject: Option<String>,
    code_lifetime: Duration,
    access_token_lifetime: Option<Duration>,
    refresh_token_lifetime: Option<Duration>,
    rotation: Option<Rotation>,
    issuer_parameter: Option<IssuerParameter>,
    consent: Consent,
    plain_pkce: bool,
    now: Now,
    location: String,
    organization_uid: String,
    stack_api_key: String,
    base_url: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            personality: Personality::Rfc,
            clients: Vec::new(),
            scopes: None,
            subject: None,
            code_lifetime: Duration::from_secs(60),
            access_token_lifetime: None,
            refresh_token_lifetime: None,
            rotation: None,
            issuer_parameter: None,
            consent: Consent::Ask,
            plain_pkce: false,
            now: system_time(),
            location: "NA".to_owned(),
            organization_uid: "bltorganization01".to_owned(),
            stack_api_key: String::new(),
            base_url: None,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place where the real clock is the default")]
fn system_time() -> Now {
    Arc::new(SystemTime::now)
}

impl Builder {
    /// Whose wire format to speak.
    pub fn personality(mut self, personality: Personality) -> Self {
        self.personality = personality;
        self
    }

    /// Registers one more client, besides the three that are always there.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The scopes that exist, instead of the personality's own. The first is granted where a request names
    /// none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Who is signed in at the server. Stack Exchange wants an account number.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// How long a code lives.
    pub fn code_lifetime(mut self, lifetime: Duration) -> Self {
        self.code_lifetime = lifetime;
        self
    }

    /// How long an access token lives. Replies state whole seconds.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_token_lifetime = Some(lifetime);
        self
    }

    /// How long a refresh token lives; without this call, for ever.
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.refresh_token_lifetime = Some(lifetime);
        self
    }

    /// What happens to refresh tokens when they are used.
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = Some(rotation);
        self
    }

    /// What to do about `iss` (RFC 9207). [`Personality::Rfc`] advertises it, the others omit it.
    pub fn issuer_parameter(mut self, issuer_parameter: IssuerParameter) -> Self {
        self.issuer_parameter = Some(issuer_parameter);
        self
    }

    /// Who decides: the user on the page, or the server at once.
    pub fn consent(mut self, consent: Consent) -> Self {
        self.consent = consent;
        self
    }

    /// Accepts the PKCE method `plain` besides `S256`.
    pub fn allow_plain_pkce(mut self) -> Self {
        self.plain_pkce = true;
        self
    }

    /// The clock by which codes and tokens expire. A test that moves it need not wait.
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Contentstack's `location`, in callbacks and token replies. Any text, so that a client's list of known
    /// ones can be tried.
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = location.into();
        self
    }

    /// Contentstack's `organization_uid`.
    pub fn organization_uid(mut self, organization_uid: impl Into<String>) -> Self {
        self.organization_uid = organization_uid.into();
        self
    }

    /// Contentstack's `stack_api_key`; empty without this call.
    pub fn stack_api_key(mut self, stack_api_key: impl Into<String>) -> Self {
        self.stack_api_key = stack_api_key.into();
        self
    }

    /// Scheme and authority for [`Builder::build`], such as `https://as.example`. [`Builder::start`] uses the
    /// address it got.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Listens on a free port of 127.0.0.1, on the current tokio runtime, until the server is dropped.
    ///
    /// # Errors
    ///
    /// Where no port can be had, or the settings contradict each other.
    pub async fn start(self) -> Result<AuthorizationServer, StartError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(StartError::Bind)?;
        let address = listener.local_addr().map_err(StartError::Bind)?;
        let mut server = self.base_url(format!("http://{address}")).build()?;
        server.listener = Some(wire::listen(listener, Arc::clone(&server.shared)));
        Ok(server)
    }

    /// Makes a server that listens nowhere: for [`AuthorizationServer::handle`].
    ///
    /// # Errors
    ///
    /// Where the settings contradict each other.
    pub fn build(self) -> Result<AuthorizationServer, StartError> {
        let (config, subject) = self.config()?;
        AuthorizationServer::new(config, subject).map_err(StartError::Random)
    }

    fn config(self) -> Result<(Config, String), StartError> {
        let personality = self.personality;
        let default_clients = default_clients(personality);
        let clients: Vec<Client> = default_clients.iter().cloned().chain(self.clients).collect();
        for (index, client) in clients.iter().enumerate() {
            if clients.iter().skip(index.saturating_add(1)).any(|other| other.id() == client.id()) {
                return Err(StartError::DuplicateClient(client.id().to_owned()));
            }
            for uri in client.registered_redirect_uris() {
                if let Some(flaw) = redirect_uri::flaw(uri) {
                    return Err(StartError::RedirectUri { client: client.id().to_owned(), flaw });
                }
            }
        }
        let subject = self.subject.unwrap_or_else(|| default_subject(personality).to_owned());
        if !is_subject(personality, &subject) {
            return Err(StartError::Subject);
        }
        let hour = Duration::from_secs(3600);
        let lifetime = match personality {
            Personality::StackExchange => Duration::from_secs(86_400),
            Personality::Rfc | Personality::Contentstack => hour,
        };
        let config = Config {
            personality,
            base_url: self.base_url.unwrap_or_else(|| "https://as.example".to_owned()),
            clients,
            default_clients,
            scopes: self.scopes.unwrap_or_else(|| default_scopes(personality)),
            code_lifetime: self.code_lifetime,
            access_token_lifetime: self.access_token_lifetime.unwrap_or(lifetime),
            refresh_token_lifetime: self.refresh_token_lifetime,
            rotation: self.rotation.unwrap_or(match personality {
                Personality::Contentstack => Rotation::Repeat,
                Personality::Rfc | Personality::StackExchange => Rotation::Rotate { grace: None },
            }),
            issuer_parameter: self.issuer_parameter.unwrap_or(match personality {
                Personality::Rfc => IssuerParameter::Advertised,
                Personality::StackExchange | Personality::Contentstack => IssuerParameter::Omitted,
            }),
            consent: self.consent,
            plain_pkce: self.plain_pkce,
            now: self.now,
            location: self.location,
            organization_uid: self.organization_uid,
            stack_api_key: self.stack_api_key,
        };
        Ok((config, subject))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("personality", &self.personality)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

/// A public client, one with `client_secret_basic` and one with `client_secret_post`, in this order.
fn default_clients(personality: Personality) -> [Client; 3] {
    // Its form encoding differs from it in every way that RFC 6749 §2.3.1 knows.
    const SECRET: &str = "a:b+c %\u{e9}/";
    let [public, basic, post] = match personality {
        Personality::StackExchange => ["1001", "1002", "1003"],
        Personality::Rfc | Personality::Contentstack => ["public-client", "basic-client", "post-client"],
    };
    [Client::public(public), Client::basic(basic, SECRET), Client::post(post, "post-secret-0123456789")].map(
        |client| {
            client
                .redirect_uri("http://127.0.0.1/callback")
                .redirect_uri("http://[::1]/callback")
                .redirect_uri("https://client.example/callback")
        },
    )
}

fn default_scopes(personality: Personality) -> Vec<String> {
    let scopes: &[&str] = match personality {
        Personality::Rfc => &["read", "write", "profile", "email", "offline_access"],
        Personality::StackExchange => &["no_expiry", "read_inbox", "write_access", "private_info"],
        Personality::Contentstack => &[
            "user:read",
            "user:write",
            "organizations:read",
            "cm.stacks.management:read",
            "cm.stacks.management:write",
            "cm.entries.management:read",
        ],
    };
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

fn default_subject(personality: Personality) -> &'static str {
    match personality {
        Personality::Rfc => "user-1",
        Personality::StackExchange => "1",
        Personality::Contentstack => "bltuser01",
    }
}

pub(super) fn is_subject(personality: Personality, subject: &str) -> bool {
    match personality {
        Personality::StackExchange => subject.parse::<u64>().is_ok(),
        Personality::Rfc | Personality::Contentstack => !subject.is_empty(),
    }
}

/// Why a server could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// No port of 127.0.0.1 could be bound.
    Bind(io::Error),
    /// The system gave no random bytes.
    Random(getrandom::Error),
    /// Two clients have this id.
    DuplicateClient(String),
    /// A registered redirect URI can never be one.
    RedirectUri {
        /// The client's id.
        client: String,
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// The subject is empty, or not an account number at Stack Exchange.
    Subject,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(_) => f.write_str("no port of 127.0.0.1 could be bound"),
            Self::Random(_) => f.write_str("the system gave no random bytes"),
            Self::DuplicateClient(id) => write!(f, "two clients have the id `{id}`; give each its own"),
            Self::RedirectUri { client, flaw } => {
                write!(f, "a redirect URI of the client `{client}` cannot be used: {flaw}")
            }
            Self::Subject => {
                f.write_str("the subject must not be empty, and at Stack Exchange must be an account number")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::Random(error) => Some(error),
            Self::DuplicateClient(_) | Self::RedirectUri { .. } | Self::Subject => None,
        }
    }
}

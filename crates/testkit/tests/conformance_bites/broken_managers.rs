//! Managers that are wrong in one way each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::rfc::{self, AuthorizationParameters};
use authflow_core::{
    AuthorizationResponse, Call, Callback, ClientCredentials, Error, ErrorKind, FlowManager, Grant,
    HttpClient, HttpRequest, HttpResponse, Limits, PendingFlow, Provider, Result, Revocation, Secret,
    StateContext, StateKey, StateStore, StoreError, TokenSet, async_trait,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    // The authorization request.
    DropsState,
    DropsRedirectUriOut,
    ChangesRedirectUri,
    DropsChallenge,
    DropsMethod,
    DoublesInUrl,
    LosesParameters,
    LosesScopes,
    AuthorizationElsewhere,
    // The callback.
    IgnoresDenial,
    DenialUntyped,
    // The token request.
    DropsVerifier,
    DropsRedirectUri,
    DropsCode,
    DoublesInTokenRequest,
    TokenElsewhere,
    // The token response.
    ErrorUntyped,
    BodyInError,
    AcceptsAnything,
    LosesTime,
    ForgetsOldRefreshToken,
    NeverReplacesRefreshToken,
    RefreshesWithoutToken,
    EveryFailedRefreshEnds,
    EveryRefusedRefreshEnds,
    // After the exchange.
    LooksUpElsewhere,
    // API requests.
    AttachesNothing,
    AttachesInTheOpen,
    MovesApiRequests,
    // Revocation.
    RevokesInWordsOnly,
    RevokesWithoutToken,
    RevokesWhateverIsAnswered,
    // What it is made of.
    ListsElsewhere,
    ShowsItsSecret,
    // The state store.
    StatesLastForEver,
    StatesAreAnyones,
    StatesAreNeverUsed,
    StatesForgetTheIssuer,
}

pub(crate) const SECRET: &str = "planted-client-secret-42";

pub(crate) struct Manager {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: States,
    wrong: Wrong,
    /// What time it says that it is.
    second: Option<u64>,
}

impl Manager {
    pub(crate) fn new(wrong: Wrong, states: Arc<dyn StateStore>) -> Self {
        let mut provider = Provider::builder("broken")
            .base_uri("https://as.example")
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .revocation_endpoint("/revoke")
            .default_scopes(["read"])
            .issuer("https://as.example");
        if wrong == Wrong::ListsElsewhere {
            provider = provider.protocol_origin("https://elsewhere.invalid");
        }
        let credentials =
            ClientCredentials::confidential("client-1", SECRET).redirect_uri("https://app.example/callback");
        Self {
            provider: provider.build().unwrap(),
            credentials: Arc::new(credentials),
            states: States { states, wrong },
            wrong,
            second: None,
        }
    }

    /// One that says the time in its authorization requests.
    pub(crate) fn at_second(states: Arc<dyn StateStore>, second: u64) -> Self {
        Self { second: Some(second), ..Self::new(Wrong::Nothing, states) }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.credentials.client_secret().filter(|_| self.wrong == Wrong::ShowsItsSecret);
        f.debug_struct("Manager").field("secret", &secret.map(Secret::expose)).finish()
    }
}

fn elsewhere() -> HttpRequest {
    HttpRequest::get("https://evil.example/collect".parse().unwrap())
}

fn connect_again() -> Error {
    Error::new(ErrorKind::InvalidGrant, "it could not be refreshed")
}

fn without(request: &mut HttpRequest, dropped: &str) {
    let kept = url::form_urlencoded::parse(&request.body).filter(|(name, _)| name != dropped);
    request.body =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish().into_bytes();
}

#[async_trait]
impl FlowManager for Manager {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        let mut made = rfc::authorization_parameters(cx)?;
        match self.wrong {
            Wrong::DropsState => made.remove("state"),
            Wrong::DropsRedirectUriOut => made.remove("redirect_uri"),
            Wrong::ChangesRedirectUri => made.set("redirect_uri", "https://app.example/callback/"),
            Wrong::DropsChallenge => made.remove("code_challenge"),
            Wrong::DropsMethod => made.remove("code_challenge_method"),
            Wrong::DoublesInUrl => made.parameters.extend(made.parameters.first().cloned()),
            Wrong::LosesParameters => made.remove("conformance-hint"),
            Wrong::LosesScopes => made.set("scope", "read"),
            Wrong::AuthorizationElsewhere => {
                made.endpoint.to_mut().set_host(Some("evil.example")).unwrap();
            }
            _ => {}
        }
        if let Some(second) = self.second {
            made.set("issued_at", second.to_string());
        }
        Ok(made)
    }

    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        let callback = rfc::callback(cx, response)?;
        match (self.wrong, &callback.outcome) {
            (Wrong::IgnoresDenial, Err(_)) => {
                Ok(Callback::new(Ok(Secret::new("no-code")), callback.retained))
            }
            (Wrong::DenialUntyped, Err(_)) => Err(Error::invalid_response("there is no code")),
            _ => Ok(callback),
        }
    }

    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        let mut request = rfc::token_request(cx)?;
        match self.wrong {
            Wrong::DropsVerifier => without(&mut request, "code_verifier"),
            Wrong::DropsRedirectUri => without(&mut request, "redirect_uri"),
            Wrong::DropsCode => without(&mut request, "code"),
            Wrong::DoublesInTokenRequest => request.url.set_query(Some("grant_type=authorization_code")),
            Wrong::TokenElsewhere => request.url = "https://evil.example/token".parse().unwrap(),
            Wrong::RefreshesWithoutToken if matches!(cx.grant, Some(Grant::RefreshToken { .. })) => {
                without(&mut request, "refresh_token");
            }
            _ => {}
        }
        Ok(request)
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        let previous = cx.previous.and_then(|tokens| tokens.refresh_token.clone());
        let read = rfc::token_response(cx, response);
        let refreshes = matches!(cx.grant, Some(Grant::RefreshToken { .. }));
        match (self.wrong, read) {
            (Wrong::EveryFailedRefreshEnds, Err(_)) if refreshes => Err(connect_again()),
            (Wrong::EveryRefusedRefreshEnds, Err(_)) if refreshes && response.status == 400 => {
                Err(connect_again())
            }
            (Wrong::ErrorUntyped, Err(_)) => Err(Error::invalid_response("it did not work")),
            (Wrong::BodyInError, Err(_)) => Err(Error::invalid_response(format!(
                "not understood: {}",
                String::from_utf8_lossy(&response.body)
            ))),
            (Wrong::AcceptsAnything, Err(_)) => Ok(TokenSet::new("made-up-token", cx.now)),
            (wrong, Ok(mut tokens)) => {
                match wrong {
                    Wrong::LosesTime => tokens.received_at = std::time::SystemTime::UNIX_EPOCH,
                    Wrong::ForgetsOldRefreshToken => {
                        let body = String::from_utf8_lossy(&response.body).into_owned();
                        tokens.refresh_token =
                            tokens.refresh_token.filter(|token| body.contains(token.expose()));
                    }
                    Wrong::NeverReplacesRefreshToken => {
                        tokens.refresh_token = previous.or(tokens.refresh_token)
                    }
                    _ => {}
                }
                Ok(tokens)
            }
            (_, Err(error)) => Err(error),
        }
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        _: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        if self.wrong == Wrong::LooksUpElsewhere {
            http.send(elsewhere(), &Limits::default()).await?;
        }
        Ok(None)
    }

    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        match self.wrong {
            Wrong::AttachesNothing => {}
            Wrong::AttachesInTheOpen => {
                let value = format!("Bearer {}", tokens.access_token.expose());
                request.headers.insert("authorization", value.parse().unwrap());
            }
            Wrong::MovesApiRequests => request.url = elsewhere().url,
            _ => rfc::authenticate(cx, tokens, request)?,
        }
        Ok(())
    }

    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        match self.wrong {
            Wrong::RevokesInWordsOnly => return Ok(Revocation::Revoked),
            Wrong::RevokesWithoutToken => {
                let request = HttpRequest::get("https://as.example/revoke".parse().unwrap());
                http.send(request, &Limits::default()).await?;
                return Ok(Revocation::Revoked);
            }
            _ => {}
        }
        match rfc::revoke(cx, http, tokens).await {
            Err(_) if self.wrong == Wrong::RevokesWhateverIsAnswered => Ok(Revocation::Revoked),
            revoked => revoked,
        }
    }
}

/// A state store that spoils what a sound one does.
#[derive(Debug)]
struct States {
    states: Arc<dyn StateStore>,
    wrong: Wrong,
}

impl States {
    fn key(&self, key: &StateKey) -> StateKey {
        if self.wrong == Wrong::StatesAreAnyones { StateKey::from_bytes([7; 32]) } else { *key }
    }
}

#[async_trait]
impl StateStore for States {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        mut flow: PendingFlow,
        mut ttl: Duration,
    ) -> std::result::Result<(), StoreError> {
        match self.wrong {
            Wrong::StatesLastForEver => {
                flow.expires_at += 1_000_000;
                ttl *= 1_000_000;
            }
            Wrong::StatesForgetTheIssuer => flow.issuer = None,
            _ => {}
        }
        self.states.store_state(cx, &self.key(key), flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> std::result::Result<Option<PendingFlow>, StoreError> {
        let found = self.states.check_state(cx, &self.key(key)).await?;
        if let (Some(flow), Wrong::StatesAreNeverUsed) = (&found, self.wrong) {
            self.states.store_state(cx, key, flow.clone(), Duration::from_secs(600)).await?;
        }
        Ok(found)
    }
}

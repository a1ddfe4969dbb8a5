//! The providers, as the application is registered at them.

use std::sync::Arc;

use authflow::quirks::ResponseFormat;
use authflow::{
    Call, ClientAuthentication, ClientCredentials, ConfiguredProvider, Connections, Flow, FlowManager,
    HttpClient, HttpRequest, Limits, Provider, Quirks, Result, StateStore, TokenSet, async_trait, rfc,
};
use authflow_testkit::{AuthorizationServer, LoopbackClient, ManualClock};
use url::Url;

use crate::world::{EXAMPLE, OTHER, Setup, TTL};

/// A provider whose token response does not tell whose account it is: the resource does.
#[derive(Debug)]
struct WithAccount(ConfiguredProvider, Url);

#[async_trait]
impl FlowManager for WithAccount {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let mut request = HttpRequest::get(self.1.clone());
        self.authenticate(cx, tokens, &mut request)?;
        let answer = rfc::parse_object(&http.send(request, &Limits::default()).await?, ResponseFormat::Json)?;
        let mut tokens = tokens.clone();
        tokens.account = answer.get("sub").and_then(|sub| sub.as_str()).map(str::to_owned);
        Ok(Some(tokens))
    }
}

/// Both providers, over the stores of the setup.
pub(crate) fn connections(
    origin: &str,
    setup: &Setup,
    clock: &ManualClock,
    servers: [&AuthorizationServer; 2],
) -> Connections {
    let mut builder = Connections::builder()
        .token_store(Arc::clone(&setup.stores.tokens))
        .keys(setup.stores.keys.clone())
        .clock(Arc::new(clock.clone()));
    for (id, server) in [EXAMPLE, OTHER].into_iter().zip(servers) {
        let provider = provider(id, server, setup);
        let credentials = ClientCredentials::confidential(format!("client-{id}"), "secret-of-the-client")
            .redirect_uri(format!("{origin}{}/{id}/callback", setup.base));
        let manager =
            ConfiguredProvider::from_provider(provider, credentials, Arc::clone(&setup.stores.states))
                .unwrap();
        let manager: Box<dyn FlowManager> = if setup.asks_for_account {
            Box::new(WithAccount(manager, server.resource_url().parse().unwrap()))
        } else {
            Box::new(manager)
        };
        let flow = Flow::builder(manager)
            .http_client(LoopbackClient::new())
            .clock(Arc::new(clock.clone()))
            .state_ttl(TTL)
            .build()
            .unwrap();
        builder = builder.flow(flow);
    }
    builder.build().unwrap()
}

fn provider(id: &str, server: &AuthorizationServer, setup: &Setup) -> Provider {
    let mut quirks = Quirks::default();
    quirks.token.client_authentication = Some(ClientAuthentication::ClientSecretPost);
    quirks.authorization_response.response_mode = setup.response_mode;
    quirks.authorization_response.iss = setup.iss;
    let mut provider = server.provider(id).default_scopes(["read", "offline_access"]).quirks(quirks);
    if let Some(instead) = setup.authorization_endpoint.as_deref().filter(|_| id == EXAMPLE) {
        provider = provider.authorization_endpoint(instead);
    }
    provider.build().unwrap()
}

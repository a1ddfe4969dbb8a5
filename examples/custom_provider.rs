//! A provider in 24 lines of code: what a configuration says, and one hook. What the hook does here, asking after the exchange
//! whose token it is, takes 15 more; the endpoints are in `main`.
//!
//! `cargo run --example custom_provider` runs a whole flow against an authorization server on this machine; a scripted user
//! approves.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use std::sync::Arc;

use authflow::quirks::ResponseFormat;
use authflow::{
    AuthorizationResponse, Binding, Call, ClientCredentials, ConfiguredProvider, Error, FlowManager,
    HttpClient, HttpRequest, Limits, MemoryStateStore, Provider, Result, StateStore, TokenSet, async_trait,
    rfc,
};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

#[derive(Debug)]
struct Example(ConfiguredProvider);

#[async_trait]
impl FlowManager for Example {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    /// The hook. Where it fails the tokens are kept, and `Completed::after_exchange` says why.
    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let mut tokens = tokens.clone();
        tokens.account = Some(account(cx, http, &tokens).await?);
        Ok(Some(tokens))
    }
}

/// Asks whose token it is.
async fn account(cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<String> {
    let userinfo = cx.endpoints.userinfo_endpoint.clone();
    let mut request = HttpRequest::get(userinfo.ok_or_else(|| Error::configuration("no userinfo endpoint"))?);
    rfc::authenticate(cx, tokens, &mut request)?;
    let response = http.send(request, &Limits::default()).await?;
    if !response.status.is_success() {
        let error = Error::invalid_response("the userinfo endpoint refused the token");
        return Err(error.with_status(response.status));
    }
    let user = rfc::parse_object(&response, ResponseFormat::Json)?;
    // Without a name it would be one account with all others that have none.
    let sub = user.get("sub").and_then(|sub| sub.as_str()).filter(|sub| !sub.is_empty());
    let sub = sub.ok_or_else(|| Error::invalid_response("the userinfo endpoint names no account"))?;
    Ok(sub.to_owned())
}

#[tokio::main]
pub(crate) async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // The provider's side: on this machine, in this process.
    let server = AuthorizationServer::builder().start().await?;

    let provider = Provider::builder("example")
        .base_uri(server.base_url())
        .authorization_endpoint("/authorize")
        .token_endpoint("/token")
        .revocation_endpoint("/revoke")
        .userinfo_endpoint("/resource")
        .issuer(server.issuer())
        .default_scopes(["read", "offline_access"])
        .build()?;
    let credentials = ClientCredentials::public("public-client").redirect_uri("http://127.0.0.1/callback");
    let configured = ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new())?;
    let flow = authflow::flow(Example(configured)).build()?;

    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).return_to("/settings").await?;
    println!("The browser is sent to {}", server.authorization_endpoint());
    let callback = ScriptedUser::new().approve(authorization.url()).await?;

    let completed = flow.finish(&AuthorizationResponse::from_url(&callback)?, &user).await?;
    let tokens = completed.tokens;
    println!("Connected: account {:?}, scopes {:?}, {:?}", tokens.account, tokens.scopes, tokens.expiry);
    if let Some(error) = completed.after_exchange {
        return Err(error.into());
    }

    let tokens = flow.refresh(&tokens).await?;
    println!("Refreshed: {:?}", tokens.expiry);
    println!("Disconnected: {:?}", flow.revoke(&tokens).await?);
    Ok(())
}

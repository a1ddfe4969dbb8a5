//! Keeps connections in Redis, so that every process of an application has them: one connects a user, and another one refreshes.
//!
//! Needs a Redis server, which it does not start; without `REDIS_URL` it says what to set. The provider is an authorization
//! server on this machine, and a scripted user approves. Of what it wrote to Redis a tombstone is left, which Redis lets go
//! after an hour.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who started it"
)]

use std::process::ExitCode;

use authflow::redis::{ConnectError, RedisConfig, RedisStateStore, RedisTokenStore};
use authflow::{AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connections, KeyRing};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

const USAGE: &str = "\
Set REDIS_URL, and start again:
  REDIS_URL=redis://127.0.0.1:6379       a server of your own
  REDIS_URL=rediss://user@host:6380/0    with TLS; the password, if there is one, in REDIS_PASSWORD
`redis-server --port 6379` starts one. It has to be Redis 6.2 or later.";

/// Reads where Redis is from the environment, or says what to set.
pub(crate) fn redis_config(variable: impl Fn(&str) -> Option<String>) -> Result<RedisConfig, String> {
    let url = variable("REDIS_URL").ok_or(USAGE)?;
    let config = RedisConfig::server(&url).map_err(|error| format!("{error}\n\n{USAGE}"))?;
    // So that nothing of an application is touched.
    let config = config.key_prefix("authflow-example:");
    Ok(match variable("REDIS_PASSWORD") {
        Some(password) => config.password(password),
        None => config,
    })
}

#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let config = match redis_config(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) async fn run(config: RedisConfig) -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;
    // In an application this comes from EnvKeys or FileKeys: all of its processes have the same one.
    let keys = KeyRing::generate()?;

    let one = process(&server, config.clone(), &keys).await?;
    let user = Binding::user("", "user-42");
    let authorization = one.begin("example", &user)?.await?;
    let callback = ScriptedUser::new().approve(authorization.url()).await?;
    let connected = one.complete("example", &AuthorizationResponse::from_url(&callback)?, &user).await?;
    println!("One process connected {}", connected.key);

    let another = process(&server, config, &keys).await?;
    let token = another.token(&connected.key).await?;
    println!("Another one has its token, good until {:?}", token.expiry());
    another.refresh_now(&connected.key).await?;
    println!("and refreshed it: {} token requests in all", server.ledger().token_requests().len());

    one.disconnect(&connected.key).await?;
    println!("Disconnected: {} is no longer there", connected.key);
    Ok(())
}

/// What each process of the application does when it starts.
async fn process(
    server: &AuthorizationServer,
    config: RedisConfig,
    keys: &KeyRing,
) -> Result<Connections, Box<dyn std::error::Error>> {
    let states = RedisStateStore::connect(config.clone()).await?;
    // A server that may evict connections when its memory is full is refused here.
    let tokens = RedisTokenStore::connect(config).await.map_err(|error| match error {
        ConnectError::Evicts { .. } => format!("{error}. Users would be disconnected at random."),
        error => error.to_string(),
    })?;
    let provider = server.provider("example").build()?;
    let registered = server.basic_client();
    let credentials =
        ClientCredentials::confidential(registered.id(), registered.secret().unwrap_or_default())
            .redirect_uri("http://127.0.0.1/callback");
    let flow = authflow::flow(ConfiguredProvider::from_provider(provider, credentials, states)?).build()?;
    Ok(Connections::builder().flow(flow).token_store(tokens).keys(keys.clone()).build()?)
}

//! Connects to Stack Exchange, asks who you are, and ends the token.
//!
//! Needs a registration; without one it says where to get it. The callback is pasted: after you approve, the browser ends up
//! on a page of Stack Exchange whose address holds the code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who started it"
)]

use std::process::ExitCode;

use authflow::reqwest::ReqwestClient;
use authflow::stackexchange::{NON_WEB_REDIRECT_URI, StackExchange, User, Wrapper};
use authflow::{AuthorizationResponse, Binding, ClientCredentials, HttpClient as _, HttpRequest, Limits};

const USAGE: &str = "\
Set these variables, and start again:
  STACKEXCHANGE_CLIENT_ID      the client id of your application
  STACKEXCHANGE_KEY            its key, shown beside the client id
  STACKEXCHANGE_CLIENT_SECRET  its secret; leave it out for a public client
Register an application at https://stackapps.com/apps/oauth/register, with *Non-Web Redirect URL* switched on.";

/// Reads the registration from the environment, or says what to set.
pub(crate) fn stack_exchange(variable: impl Fn(&str) -> Option<String>) -> Result<StackExchange, String> {
    let (Some(client_id), Some(key)) = (variable("STACKEXCHANGE_CLIENT_ID"), variable("STACKEXCHANGE_KEY"))
    else {
        return Err(USAGE.to_owned());
    };
    let credentials = match variable("STACKEXCHANGE_CLIENT_SECRET") {
        Some(secret) => ClientCredentials::confidential(client_id, secret),
        None => ClientCredentials::public(client_id),
    };
    let credentials = credentials.redirect_uri(NON_WEB_REDIRECT_URI);
    StackExchange::builder(credentials).key(key).build().map_err(|error| format!("{error}\n\n{USAGE}"))
}

#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let manager = match stack_exchange(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
        Ok(manager) => manager,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(manager).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(manager: StackExchange) -> Result<(), Box<dyn std::error::Error>> {
    let flow = authflow::flow(manager).build()?;
    // The program that began is the one that goes on: no other process can finish this flow.
    let binding = Binding::process();
    let authorization = flow.begin(&binding).await?;
    println!(
        "Open this address, approve, and paste the address that the browser ends up at:\n{}",
        authorization.url()
    );
    let mut pasted = String::new();
    std::io::stdin().read_line(&mut pasted)?;
    let completed = flow.finish(&AuthorizationResponse::from_url(pasted.trim())?, &binding).await?;
    println!("Connected: account {:?}, {:?}", completed.tokens.account, completed.tokens.expiry);

    let mut request = HttpRequest::get("https://api.stackexchange.com/2.3/me".parse()?);
    flow.authenticate(&completed.tokens, &mut request).await?;
    let answer: Wrapper<User> =
        Wrapper::read(&ReqwestClient::new()?.send(request, &Limits::default()).await?)?;
    println!("You are {:?}", answer.items.first().and_then(|user| user.display_name.as_deref()));

    println!("Disconnected: {:?}", flow.revoke(&completed.tokens).await?);
    Ok(())
}

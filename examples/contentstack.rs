//! Connects to Contentstack, says which organization the token is for, refreshes it once, and revokes it.
//!
//! Needs an app; without one it says where to get it. The callback comes to a port of this machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who started it"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;

use authflow::contentstack::{Contentstack, ContentstackTokens, Region};
use authflow::{AuthorizationResponse, Binding, ClientCredentials};

const REDIRECT_URI: &str = "http://127.0.0.1:8184/callback";
const ADDRESS: &str = "127.0.0.1:8184";

const USAGE: &str = "\
Set these variables, and start again:
  CONTENTSTACK_APP_UID        the uid of your app, in the address of its page in Developer Hub
  CONTENTSTACK_CLIENT_ID      the client id on the app's page OAuth
  CONTENTSTACK_CLIENT_SECRET  the secret there; leave it out to use PKCE instead
  CONTENTSTACK_REGION         na (the default), eu, au, azure-na, azure-eu, gcp-na or gcp-eu
Create an app in Developer Hub (https://app.contentstack.com/#!/developerhub), switch OAuth on, and register the redirect
URL http://127.0.0.1:8184/callback.";

/// Reads the registration from the environment, or says what to set.
pub(crate) fn contentstack(variable: impl Fn(&str) -> Option<String>) -> Result<Contentstack, String> {
    let (Some(app_uid), Some(client_id)) =
        (variable("CONTENTSTACK_APP_UID"), variable("CONTENTSTACK_CLIENT_ID"))
    else {
        return Err(USAGE.to_owned());
    };
    let region: Region = match variable("CONTENTSTACK_REGION") {
        Some(region) => region.parse().map_err(|error| format!("CONTENTSTACK_REGION: {error}\n\n{USAGE}"))?,
        None => Region::Na,
    };
    let credentials = match variable("CONTENTSTACK_CLIENT_SECRET") {
        Some(secret) => ClientCredentials::confidential(client_id, secret),
        None => ClientCredentials::public(client_id),
    };
    let builder =
        Contentstack::builder(credentials.redirect_uri(REDIRECT_URI)).app_uid(app_uid).region(region);
    builder.build().map_err(|error| format!("{error}\n\n{USAGE}"))
}

#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let manager = match contentstack(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
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

async fn run(manager: Contentstack) -> Result<(), Box<dyn std::error::Error>> {
    let flow = authflow::flow(manager).build()?;
    // The program that began is the one that goes on: no other process can finish this flow.
    let binding = Binding::process();
    // Bound before the address is shown, so that no other program can take the port in between.
    let listener = TcpListener::bind(ADDRESS)?;
    println!("Open this address and approve:\n{}", flow.begin(&binding).await?.url());

    let query = tokio::task::spawn_blocking(move || callback_query(&listener)).await??;
    let completed = flow.finish(&AuthorizationResponse::from_query(&query)?, &binding).await?;
    let about = ContentstackTokens::new(&completed.tokens);
    println!("Connected: organization {:?}, region {:?}", about.organization_uid(), about.region());

    let tokens = flow.refresh(&completed.tokens).await?;
    println!("Refreshed: {:?}", tokens.expiry);
    println!("Disconnected: {:?}", flow.revoke(&tokens).await?);
    Ok(())
}

/// Waits for the callback. What browsers ask for besides, such as an icon, is answered and passed over. A real application
/// has a web server; the program `authflow` shows what a listener has to stand.
fn callback_query(listener: &TcpListener) -> std::io::Result<String> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        let query =
            line.strip_prefix("GET /callback?").and_then(|rest| rest.split_once(' ')).map(|(query, _)| query);
        let (status, text) = match query {
            Some(_) => ("200 OK", "You can close this page."),
            None => ("404 Not Found", ""),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )?;
        if let Some(query) = query {
            return Ok(query.to_owned());
        }
    }
}

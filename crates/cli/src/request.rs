//! `authflow request`.

use std::io::{IsTerminal as _, Read as _, Write as _};

use authflow::{Error, ErrorKind, HttpRequest, HttpResponse, Limits};

use crate::args::RequestArgs;
use crate::failure::Failure;
use crate::kept::{For, Kept, Profile};
use crate::progress::telling;
use crate::terminal::{note, printable};

/// The most that is sent, and the most that is received.
const MAX_BODY: usize = 64 << 20;

pub(crate) async fn run(args: RequestArgs) -> Result<(), Failure> {
    let kept = Kept::open(&args.store, For::Use).await?;
    let profile = kept.profile(&args.name).await?;
    let connections = kept.connections(&profile)?;
    let mut request = HttpRequest::new(args.method, args.url);
    for (name, value) in args.headers {
        request.headers.append(name, value);
    }
    if let Some(body) = args.body {
        request.body = if body == "-" { from_stdin().await? } else { body.into_bytes() };
    }
    let mut send =
        connections.send(&profile.key(), request).limits(Limits::default().with_max_body(MAX_BODY));
    if args.replayable {
        send = send.replayable();
    }
    let waiting = "Waiting for the API, or for a new access token.";
    let sent = telling(waiting, async { send.await }).await;
    let response = sent.map_err(|error| explained(&kept, &profile, error))?;
    note(format_args!("HTTP {}", response.status));
    print(&response)?;
    if response.status.is_success() {
        return Ok(());
    }
    Err(Failure::local(match response.status.as_u16() {
        401 => format!(
            "the API does not take this connection's token, and no other is to be had; connect again: {}",
            kept.command("login --name", &profile.name)
        ),
        403 => "the API takes the token but refuses the request; its scopes may not be enough: `authflow status` shows them"
            .to_owned(),
        300..=399 => "the API answered with a redirect, which is not followed, for the token is not for everywhere; \
             ask again at the address that it names"
            .to_owned(),
        _ => "the API did not do what it was asked".to_owned(),
    }))
}

fn explained(kept: &Kept, profile: &Profile, error: Error) -> Failure {
    if error.kind() != ErrorKind::ForeignOrigin {
        return kept.explained(&profile.name, error);
    }
    let place = match profile.registration.api_origins() {
        Some(origins) if origins.is_empty() => {
            "none is known: name it with --api-origin at the login, or in the provider's file as api_origins"
                .to_owned()
        }
        Some(origins) => origins.join(", "),
        None => "that of the built-in provider".to_owned(),
    };
    Failure::usage(format!(
        "nothing was sent: the address is not at an origin of this connection's API, and its token goes nowhere else. Its \
         API: {}",
        printable(&place)
    ))
}

async fn from_stdin() -> Result<Vec<u8>, Failure> {
    let read = || {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            note("Reading the body from stdin; end it with Ctrl-D.");
        }
        let mut body = Vec::new();
        stdin.lock().take(MAX_BODY as u64 + 1).read_to_end(&mut body).map(|_| body)
    };
    let body = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| Failure::local("stdin could not be read"))?
        .map_err(|error| Failure::io("stdin could not be read", error))?;
    if body.len() > MAX_BODY {
        return Err(Failure::usage("stdin holds more than 64 MiB, the most that is sent"));
    }
    Ok(body)
}

/// Whole and as it came, but for a terminal, which would obey it.
fn print(response: &HttpResponse) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::io("the answer could not be written to stdout", error),
    };
    if !stdout.is_terminal() {
        let mut stdout = stdout.lock();
        return stdout.write_all(&response.body).and_then(|()| stdout.flush()).map_err(failed);
    }
    match std::str::from_utf8(&response.body) {
        Ok(text) => text.lines().try_for_each(|line| crate::terminal::result(printable(line))),
        Err(_) => {
            note(format_args!(
                "The body is no text ({} bytes); send it to a file with `> FILE`.",
                response.body.len()
            ));
            Ok(())
        }
    }
}

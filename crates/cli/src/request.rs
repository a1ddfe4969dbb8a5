//! `authflow request`.

use std::io::{IsTerminal as _, Read as _, Write as _};

use authflow::{BearerChallenge, Error, ErrorKind, HttpRequest, HttpResponse, Limits};
use http::StatusCode;

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
    let is_repeatable = args.replayable || request.method.is_idempotent();
    let key = profile.key();
    let mut send = connections.send(&key, request).limits(Limits::default().with_max_body(MAX_BODY));
    if args.replayable {
        send = send.replayable();
    }
    let waiting = "Waiting for the API, or for a new access token.";
    let both = async {
        // The one that is sent: whether a 401 led to another is seen by it.
        let token = connections.token(&key).await?;
        Ok((token, send.await?))
    };
    let sent = telling(waiting, both).await;
    let (token, response) = sent.map_err(|error| explained(&kept, &profile, error))?;
    note(format_args!("HTTP {}", response.status));
    print(&response)?;
    if response.status.is_success() {
        return Ok(());
    }
    let is_renewed = !is_repeatable
        && response.status == StatusCode::UNAUTHORIZED
        && connections.token(&key).await.is_ok_and(|now| now.expose() != token.expose());
    Err(Failure::local(lesson(&kept, &profile, &response, is_renewed)))
}

/// What an answer that is no success means. `is_renewed`: there is a new token, and the request was not sent with it.
fn lesson(kept: &Kept, profile: &Profile, response: &HttpResponse, is_renewed: bool) -> String {
    match response.status.as_u16() {
        401 if !BearerChallenge::refuses_token(response.status, &response.headers) => {
            let challenge = BearerChallenge::of(&response.headers).unwrap_or_default();
            of_challenge(kept, profile, &challenge)
        }
        401 if is_renewed => {
            "the API refused the access token, and there is a new one now; the request was not sent again, as its method is \
             not idempotent. Run the same command again; with --replayable it is sent a second time by itself, where an API \
             does nothing before it has looked at the token"
                .to_owned()
        }
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
    }
}

/// What an API says that refuses something else than the token: another one would not help.
fn of_challenge(kept: &Kept, profile: &Profile, challenge: &BearerChallenge) -> String {
    let parts = [&challenge.error, &challenge.error_description].into_iter().flatten();
    let said = parts.map(|text| printable(text)).collect::<Vec<_>>().join(": ");
    if challenge.error.as_deref() != Some("insufficient_scope") {
        return format!("the API takes the token and says that the request is wrong ({said})");
    }
    let needed = challenge.scope.as_deref().map(|scope| format!("; it needs: {}", printable(scope)));
    format!(
        "the API takes the token and says that its scopes are not enough ({said}{}). `authflow status` shows them; this asks \
         for others: {} --scope SCOPE",
        needed.unwrap_or_default(),
        kept.command("login --name", &profile.name)
    )
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

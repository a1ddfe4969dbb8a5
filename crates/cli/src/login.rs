//! `authflow login`.

use std::sync::Arc;
use std::time::Duration;

use authflow::{Binding, Clock as _, Completed, Error, Flow, SystemClock};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::args::LoginArgs;
use crate::browser::{self, Opened};
use crate::callback::{Callbacks, Event};
use crate::failure::Failure;
use crate::listener::{Judge as _, Limits, Listener, Serving, Verdict, place};
use crate::output;
use crate::paste::{self, Line, Lines};
use crate::provider::{Purpose, Registration};
use crate::states::States;
use crate::terminal::{answered, note, printable, result};

/// After so many lines about stray hits, no more.
const MOST_NOTES: usize = 5;

pub(crate) async fn run(args: &LoginArgs) -> Result<(), Failure> {
    let registration = Registration::of(&args.provider, Purpose::Login)?;
    // Bound before the URL is built: the port in the URL is ours already.
    let listener = match place(args.provider.redirect_uri.as_deref())? {
        Some(place) => Some(Listener::bind(&place)?),
        None => None,
    };
    let given = args.provider.redirect_uri.as_deref().unwrap_or_default();
    let redirect_uri = listener.as_ref().map_or(given, Listener::redirect_uri).to_owned();

    let timeout = Duration::from_secs(args.timeout.into());
    let states = Arc::new(States::default());
    let manager = registration.manager(Some(&redirect_uri), Arc::clone(&states))?;
    // The wait ends the flow, not the state: a callback that comes in time is never too late.
    let state_ttl = (timeout + Duration::from_secs(60)).min(Duration::from_secs(86_400));
    let flow = authflow::flow(manager).state_ttl(state_ttl).build()?;
    let binding = Binding::process();
    let mut begin = flow.begin(&binding).scopes(&args.scopes);
    for (name, value) in &args.parameters {
        begin = begin.param(name, value);
    }
    let authorization = begin.await?;

    let (callbacks, events) = Callbacks::new(flow.clone(), binding, states);
    let serving = listener.map(|listener| listener.serve(Arc::clone(&callbacks) as _, Limits::default()));
    invite(args, authorization.url(), serving.is_some()).await;

    let mut wait = Wait { callbacks, events, serving, redirect_uri, strays: 0 };
    let completed = wait.outcome(timeout).await;
    // The tokens first: the browser may take its time over the last page.
    let printed = completed.and_then(|completed| print(args, &flow, &completed));
    if let Some(serving) = wait.serving.take() {
        serving.close().await;
    }
    printed
}

/// Sends the user to the provider.
async fn invite(args: &LoginArgs, url: &str, listens: bool) {
    if !args.no_browser {
        note("Opening your browser. If none appears, open this address yourself:");
    }
    note(format_args!("open: {url}"));
    if listens {
        note(
            "Is the browser on another machine? Then paste the address that it ends up at, even if the page fails.",
        );
    } else {
        note(
            "The redirect URI is not an address of this machine: paste the address that the browser ends up at.",
        );
    }
    paste::ask();
    if !args.no_browser {
        match browser::open(url).await {
            Opened::Yes => {}
            Opened::No => note("No browser could be started here; open the address above."),
            Opened::Refused => {
                note("The address is not one to start a browser with; look at it before you open it.")
            }
        }
    }
}

/// The wait for the callback, from wherever it comes.
struct Wait {
    callbacks: Arc<Callbacks>,
    events: UnboundedReceiver<Event>,
    serving: Option<Serving>,
    redirect_uri: String,
    strays: usize,
}

impl Wait {
    async fn outcome(&mut self, timeout: Duration) -> Result<Completed, Failure> {
        let mut lines = Lines::of_stdin();
        let clock = SystemClock::new();
        let deadline = clock.sleep(timeout);
        tokio::pin!(deadline);
        let mut timed_out = false;
        loop {
            let exhausted = async {
                match &self.serving {
                    Some(serving) => serving.exhausted().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Finished(result)) => return Ok((*result)?),
                    Some(Event::Stray(error)) => self.stray(&error),
                    Some(Event::Arrived(_)) => {}
                    None => return Err(Failure::local("the wait for the callback broke off")),
                },
                line = lines.next() => self.pasted(line).await,
                () = exhausted => {
                    return Err(Failure::local(
                        "too many requests came that were not the callback: some program or page is calling this port; \
                         end it and run the command again",
                    ));
                }
                () = &mut deadline, if !timed_out => {
                    timed_out = true;
                    // A code that is being exchanged is used up: its answer is worth the wait, which has its own end.
                    if !self.callbacks.is_taken() {
                        return Err(late(timeout));
                    }
                }
            }
        }
    }

    fn stray(&mut self, error: &Error) {
        self.strays += 1;
        if self.strays <= MOST_NOTES {
            note(format_args!(
                "ignored: a request that was not the callback ({})",
                printable(&error.to_string())
            ));
        }
        if self.strays == MOST_NOTES {
            note("ignored: further ones are not mentioned");
        }
    }

    async fn pasted(&self, line: Line) {
        answered();
        let lesson = match line {
            Line::Unreadable => "that was no text, or too long for an address".to_owned(),
            Line::Text(text) if text.trim().is_empty() => return paste::ask(),
            Line::Text(text) => match paste::query(&text, &self.redirect_uri) {
                Err(lesson) => lesson,
                Ok(query) => match Arc::clone(&self.callbacks).judge(query).await {
                    Verdict::Stray(_) => {
                        "that is not the answer to this request: it was used before, or belongs to another run. Open the \
                         address above again"
                            .to_owned()
                    }
                    _ => return,
                },
            },
        };
        note(printable(&lesson));
        paste::ask();
    }
}

fn late(timeout: Duration) -> Failure {
    Failure::TimedOut(format!(
        "no callback came within {}. Run the command again; --timeout SECONDS waits longer. If the browser showed an error \
         of the provider, the redirect URI may not be registered there",
        match timeout.as_secs() {
            1 => "a second".to_owned(),
            seconds => format!("{seconds} seconds"),
        }
    ))
}

fn print(args: &LoginArgs, flow: &Flow, completed: &Completed) -> Result<(), Failure> {
    let id = printable(flow.provider().id());
    note(format_args!("Connected to {id}."));
    if let Some(error) = &completed.after_exchange {
        note(format_args!("The tokens are good, but: {}", printable(&error.to_string())));
    }
    if args.json {
        return result(output::json(&completed.tokens));
    }
    for (name, value) in output::table(&completed.tokens, flow.clock().now()) {
        result(format_args!("{name:<14} {value}"))?;
    }
    note("The tokens are masked; --json prints them whole.");
    Ok(())
}

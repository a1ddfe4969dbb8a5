//! `authflow login`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow::quirks::ResponseMode;
use authflow::{Binding, Clock as _, Connections, Error, Flow, FlowManager, Scopes, SystemClock};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::args::{LoginArgs, ProviderArgs};
use crate::browser::{self, Opened};
use crate::callback::{Callbacks, Event};
use crate::failure::Failure;
use crate::keeper::{Ending, Made};
use crate::kept::{For, Kept, Profile, check_name, quoted};
use crate::listener::{Judge as _, Limits, Listener, Serving, Verdict, place};
use crate::logout;
use crate::output;
use crate::paste::{self, Line, Lines};
use crate::provider::{Purpose, Registration};
use crate::states::States;
use crate::terminal::{answered, note, printable, result};

/// What it means that tokens that are kept nowhere could not be printed.
const LOST: &str =
    "the tokens are lost, as nothing keeps them\n  what to do: log in again: run the same command";
/// After so many lines about stray hits, no more.
const MOST_NOTES: usize = 5;
/// As long as can be: the wait ends the flow, not the state. The wait stands still while the machine sleeps and the state does not,
/// and a callback that comes in time is never too late.
const STATE_TTL: Duration = Duration::from_secs(86_400);
/// How many connections may have one provider's name.
const MOST_NAMES: u32 = 1000;

pub(crate) async fn run(args: &LoginArgs) -> Result<(), Failure> {
    let asked = Asked::of(args).await?;
    refuse_forms(&asked.registration)?;
    // Bound before the URL is built: the port in the URL is ours already.
    let listener = match place(asked.redirect_uri.as_deref())? {
        Some(place) => Some(Listener::bind(&place)?),
        None => None,
    };
    let given = asked.redirect_uri.as_deref().unwrap_or_default();
    let redirect_uri = listener.as_ref().map_or(given, Listener::redirect_uri).to_owned();
    let keeping = match &asked.name {
        Some(name) => Some(Keeping::open(args, &asked, name).await?),
        None => None,
    };
    let registration = match &keeping {
        Some(keeping) => asked.registration.clone().with_id(&keeping.name),
        None => asked.registration.clone(),
    };

    let timeout = Duration::from_secs(args.timeout.into());
    let states = Arc::new(States::default());
    let manager = registration.manager(Some(&redirect_uri), Arc::clone(&states))?;
    let flow = flow_of(manager)?;
    let binding = Binding::process();
    let mut begin = flow.begin(&binding).scopes(&asked.scopes);
    for (name, value) in &asked.parameters {
        begin = begin.param(name, value);
    }
    let authorization = begin.await?;

    let ending = match &keeping {
        None => Ending::printing(flow.clone()),
        Some(keeping) => keeping.ending(&flow, registration, &asked, &redirect_uri)?,
    };
    let (callbacks, events) = Callbacks::new(ending, binding, states);
    let serving = listener.map(|listener| listener.serve(Arc::clone(&callbacks) as _, Limits::default()));
    invite(args, authorization.url(), serving.is_some()).await;

    let mut wait = Wait { callbacks, events, serving, redirect_uri, strays: 0 };
    let made = wait.outcome(timeout).await;
    // The tokens first: the browser may take its time over the last page.
    let printed = match made {
        Ok(made) => {
            let printed = print(args, &asked, keeping.as_ref(), flow.clock().now(), &made);
            if let Some(keeping) = &keeping
                && let Err(failure) = keeping.end_other_account(&made).await
            {
                failure.tell();
            }
            printed
        }
        Err(failure) => Err(failure),
    };
    if let Some(serving) = wait.serving.take() {
        serving.close().await;
    }
    printed
}

fn flow_of(manager: Box<dyn FlowManager>) -> authflow::Result<Flow> {
    authflow::flow(manager).state_ttl(STATE_TTL).build()
}

/// A form that a provider has the browser post is neither taken by the listener nor to be pasted.
fn refuse_forms(registration: &Registration) -> Result<(), Failure> {
    let quirks = registration.definition().map(|definition| &definition.quirks);
    if quirks.is_none_or(|quirks| quirks.authorization_response.response_mode != ResponseMode::FormPost) {
        return Ok(());
    }
    Err(Failure::usage(
        "this provider answers with a form (response_mode = \"form_post\"), and `authflow login` takes the answer in the query \
         only: its listener takes no form, and a form leaves no address to paste. Set response_mode to \"query\", or leave it out \
         of the file, if the provider answers in the query as well; else connect in a web application, with authflow-axum or \
         authflow-actix",
    ))
}

/// What is asked for: by options, or by what is kept under a name.
struct Asked {
    registration: Registration,
    /// What it is kept under; `None` to keep nothing.
    name: Option<Name>,
    /// Where that was looked up.
    kept: Option<Kept>,
    redirect_uri: Option<String>,
    scopes: Vec<String>,
    parameters: Vec<(String, String)>,
}

/// What a connection is to be kept under.
enum Name {
    /// This.
    Given(String),
    /// This, or another one where this is taken.
    Proposed(String),
}

impl Asked {
    async fn of(args: &LoginArgs) -> Result<Self, Failure> {
        let provider = &args.provider;
        let again = args.name.as_ref().filter(|_| *provider == ProviderArgs::default());
        if let Some(name) = again {
            let kept = Kept::open(&args.store, For::Use).await?;
            let profile = kept.profile(name).await?;
            let or = |given: &Vec<String>, kept| if given.is_empty() { kept } else { given.clone() };
            let parameters =
                if args.parameters.is_empty() { profile.parameters } else { args.parameters.clone() };
            return Ok(Self {
                registration: profile.registration,
                name: Some(Name::Given(profile.name)),
                kept: Some(kept),
                redirect_uri: profile.redirect_uri,
                scopes: or(&args.scopes, profile.scopes),
                parameters,
            });
        }
        if let (Some(name), false) = (&args.name, provider.names_one()) {
            return Err(Failure::usage(format!(
                "which provider? The options that you gave are about one, so name it too. Without them, `authflow login \
                 --name {}` connects again with what is kept",
                printable(&quoted(name))
            )));
        }
        let registration = Registration::of(provider, Purpose::Login)?;
        let name = match &args.name {
            _ if args.no_save => None,
            Some(name) => Some(Name::Given(name.clone())),
            None => Some(Name::Proposed(registration.provider().to_owned())),
        };
        if let Some(Name::Given(name) | Name::Proposed(name)) = &name {
            check_name(name)?;
        }
        Ok(Self {
            registration,
            name,
            kept: None,
            redirect_uri: provider.redirect_uri.clone(),
            scopes: args.scopes.clone(),
            parameters: args.parameters.clone(),
        })
    }
}

/// Where the connection will be kept.
struct Keeping {
    kept: Kept,
    name: String,
    /// What is kept under the name now.
    before: Option<Profile>,
}

impl Keeping {
    /// Opens the store before the user is sent anywhere: what is wrong with it is told at once.
    async fn open(args: &LoginArgs, asked: &Asked, name: &Name) -> Result<Self, Failure> {
        let kept = match &asked.kept {
            Some(kept) => kept.clone(),
            None => Kept::open(&args.store, For::Login).await?,
        };
        let (Name::Given(first) | Name::Proposed(first)) = name;
        let mut name_now = first.clone();
        for number in 2..=MOST_NAMES {
            let before = Self::before(&kept, &name_now).await?;
            let other = before.as_ref().filter(|before| !before.registration.is_same(&asked.registration));
            match (other, name) {
                (None, _) => return Ok(Self { kept, name: name_now, before }),
                (Some(other), Name::Given(name)) => {
                    return Err(Failure::usage(format!(
                        "the name `{}` is taken by a connection of another registration ({}); this one is {}. Choose another \
                         name with --name, or end that connection first: {}",
                        printable(name),
                        printable(&other.registration.words()),
                        printable(&asked.registration.words()),
                        kept.command("logout", name)
                    )));
                }
                (Some(_), Name::Proposed(name)) => name_now = format!("{name}-{number}"),
            }
        }
        Err(Failure::usage(
            "so many connections have this provider's name that none is free; choose one with --name",
        ))
    }

    /// What is kept under a name now. What cannot be read is replaced, as the user asked for a login of this name.
    async fn before(kept: &Kept, name: &str) -> Result<Option<Profile>, Failure> {
        match kept.find(name).await {
            Err(failure) if failure.is_unreadable() => {
                note(format_args!(
                    "What is kept under `{}` cannot be read; this login will replace it:",
                    printable(name)
                ));
                failure.tell_without_advice();
                Ok(None)
            }
            found => found,
        }
    }

    fn ending(
        &self,
        flow: &Flow,
        registration: Registration,
        asked: &Asked,
        redirect_uri: &str,
    ) -> Result<Ending, Failure> {
        let profile = Profile {
            name: self.name.clone(),
            registration,
            redirect_uri: asked.redirect_uri.clone(),
            used_redirect_uri: Some(redirect_uri.to_owned()),
            scopes: asked.scopes.clone(),
            parameters: asked.parameters.clone(),
            account: None,
        };
        let connections = self.kept.build(Connections::builder().flow(flow.clone()))?;
        Ok(Ending::keeping(flow.clone(), connections, self.kept.clone(), profile))
    }

    /// One name has one connection. That of another account, which nothing could renew any more, is ended. At some providers a
    /// revocation ends all that the user has granted, so that it is for what is known to be another account's.
    async fn end_other_account(&self, made: &Made) -> Result<(), Failure> {
        let Some(before) = &self.before else { return Ok(()) };
        let key = before.key();
        let Some(now) = made.key.as_ref().filter(|now| **now != key) else { return Ok(()) };
        if key.account().is_none() || now.account().is_none() {
            self.kept.forget_connection(&key).await?;
            note(
                "The connection that was kept under this name before is removed from the store. Whether it was of the same account \
                 is not known, so the provider was not asked to revoke its tokens, which might end the new connection too: those \
                 that it still takes stay in force until they end.",
            );
            return Ok(());
        }
        note("The connection that was kept under this name is another account's; it ends:");
        let ended = self.kept.connections(before)?.disconnect(&key).await?;
        logout::steps(&self.name, &ended).0.iter().for_each(note);
        Ok(())
    }
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
    callbacks: Arc<Callbacks<Ending>>,
    events: UnboundedReceiver<Event<Made>>,
    serving: Option<Serving>,
    redirect_uri: String,
    strays: usize,
}

impl Wait {
    async fn outcome(&mut self, timeout: Duration) -> Result<Made, Failure> {
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

fn print(
    args: &LoginArgs,
    asked: &Asked,
    keeping: Option<&Keeping>,
    now: SystemTime,
    made: &Made,
) -> Result<(), Failure> {
    note(format_args!("Connected to {}.", printable(asked.registration.provider())));
    if let Some(error) = &made.after_exchange {
        note(format_args!("The tokens are good, but: {}", printable(&error.to_string())));
    }
    let missing = Scopes::new(&asked.scopes).missing_from(&made.tokens.scopes);
    let missing: Vec<String> = missing.iter().map(printable).collect();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        note(format_args!("Not granted of what was asked for: {missing}. What needs it will be refused."));
    }
    let printed = if args.json {
        result(output::json(&made.tokens))
    } else {
        let mut rows = output::table(&made.tokens, now).into_iter();
        rows.try_for_each(|(name, value)| result(format_args!("{name:<14} {value}")))
    };
    if args.json && keeping.is_none() {
        return printed.map_err(|failure| failure.losing(LOST));
    }
    if let Some(Keeping { kept, name, .. }) = keeping {
        note(format_args!(
            "It is kept as `{}`: `{}` prints an access token that is valid.",
            printable(name),
            kept.command("token", name)
        ));
        if args.json && made.tokens.refresh_token.is_some() {
            note(
                "The refresh token that was printed is kept as well: use one of them only. --no-save keeps nothing.",
            );
        }
    } else {
        note("The tokens are masked; --json prints them whole.");
    }
    printed
}

#[cfg(test)]
mod tests {
    use authflow::{StateContext, StateKey, StateStore as _};

    use super::*;
    use crate::args::{ClientArgs, EndpointArgs};

    #[tokio::test]
    async fn g9_a_machine_that_slept_meanwhile_takes_the_callback_still() {
        let provider = ProviderArgs {
            endpoints: EndpointArgs {
                authorization_endpoint: Some("https://as.example/a".to_owned()),
                token_endpoint: Some("https://as.example/t".to_owned()),
                ..EndpointArgs::default()
            },
            client: ClientArgs { client_id: Some("client-1".to_owned()), ..ClientArgs::default() },
            ..ProviderArgs::default()
        };
        let registration = Registration::of(&provider, Purpose::Login).unwrap();
        let states = Arc::new(States::default());
        let manager = registration.manager(Some("http://127.0.0.1:7/callback"), Arc::clone(&states)).unwrap();
        let (flow, binding) = (flow_of(manager).unwrap(), Binding::process());
        let authorization = flow.begin(&binding).await.unwrap();
        let url = url::Url::parse(authorization.url()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
        let key = StateKey::new(flow.provider().id(), &state, &binding).unwrap();
        let extensions = http::Extensions::new();
        let after_a_night = flow.clock().now() + Duration::from_secs(43_200);
        let found = states.check_state(&StateContext::new(&extensions, after_a_night), &key).await.unwrap();
        assert!(found.is_some_and(|flow| !flow.is_expired(after_a_night)));
        assert_eq!(states.taken(), Some(key));
    }
}

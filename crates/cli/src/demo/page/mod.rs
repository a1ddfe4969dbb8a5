//! The page of the demo: connected accounts, and beside them every message that is exchanged.

mod accounts;
mod app;
mod faults;
mod feed;
mod front;
mod guard;
mod ledger;
mod party;
mod routes;
mod sequence;
mod story;
mod tap;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::sync::Arc;
use std::time::Duration;

use authflow_testkit::{Fault, FaultSpan};
use axum::Router;
use tokio::net::TcpListener;

use self::app::{Demo, callback_path};
use self::guard::Site;
pub(super) use self::party::Party;
use self::story::Story;
use super::ALL;
use super::own::{self, Own};
use super::stage::Stage;
use crate::args::{DemoArgs, DemoProvider};
use crate::browser::{self, Opened};
use crate::failure::Failure;
use crate::terminal::note;

/// Serves the page until the program is interrupted.
pub(super) async fn run(
    args: &DemoArgs,
    provider: Option<DemoProvider>,
    own: Option<Own>,
    fault: Option<Fault>,
) -> Result<(), Failure> {
    let providers = provider.map_or_else(|| ALL.to_vec(), |provider| vec![provider]);
    let page = Served::prepare(&providers, own, Lifetimes::of(args)).await?;
    if let Some(fault) = fault {
        for stage in &page.demo.story.stages {
            page.demo.story.misbehave(stage, &fault, FaultSpan::Every);
        }
    }
    let url = format!("{}/", page.demo.site.origin);
    if page.demo.story.own.is_some() {
        let redirect_uri = page.demo.site.redirect_uri(Party::Own);
        note(format_args!("Your server has to know this redirect URI: {redirect_uri}"));
    }
    note(format_args!("open: {url}"));
    if args.no_browser {
        note("Ctrl-C ends the demo; nothing of it is kept.");
    } else {
        tokio::spawn(async move {
            note(match browser::open(&url).await {
                Opened::Yes => {
                    "Your browser should show it now. Ctrl-C ends the demo; nothing of it is kept."
                }
                _ => {
                    "There is no browser to be started here: open the address above. Ctrl-C ends the demo; nothing of it is \
                     kept."
                }
            });
        });
    }
    page.serve().await
}

/// How long things last.
#[derive(Clone, Copy)]
struct Lifetimes {
    /// An access token of the demo's own servers.
    token: Duration,
    /// A flow until its callback.
    flow: Duration,
}

impl Lifetimes {
    fn of(args: &DemoArgs) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self { token: seconds(args.lifetime), flow: seconds(args.flow_lifetime) }
    }
}

/// The page, ready to be served.
struct Served {
    demo: Demo,
    router: Router,
    listener: TcpListener,
}

impl Served {
    async fn prepare(
        providers: &[DemoProvider],
        own: Option<Own>,
        lifetimes: Lifetimes,
    ) -> Result<Self, Failure> {
        let port = own.as_ref().map_or(Ok(0), |own| own.port(&callback_path(own::ID)))?;
        let bound = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = bound.map_err(|error| match port {
            0 => Failure::io("no port of 127.0.0.1 could be bound", error),
            _ => Failure::io("the port of --redirect-uri could not be bound", error),
        })?;
        let address = listener.local_addr();
        let address = address.map_err(|error| Failure::io("the port that was bound is not known", error))?;
        let mut stages = Vec::new();
        for provider in providers {
            let path = callback_path(provider.id());
            stages.push(Stage::start_for(*provider, &path, lifetimes.token).await?);
        }
        let demo = Demo::new(Site::new(address), stages, own, lifetimes.flow)?;
        let router = routes::router(&demo)?;
        Ok(Self { demo, router, listener })
    }

    async fn serve(self) -> Result<(), Failure> {
        let Self { demo, router, listener } = self;
        for at in 0..demo.story.stages.len() {
            tokio::spawn(follow_ledger(Arc::clone(&demo.story), at));
        }
        tokio::spawn(demo.clone().follow_events());
        tokio::spawn(demo.be_busy());
        axum::serve(listener, router)
            .await
            .map_err(|error| Failure::io("the page can no longer be served", error))
    }
}

/// Tells what a server does as soon as it has done it, also while nobody asks.
async fn follow_ledger(story: Arc<Story>, at: usize) {
    let Some(stage) = story.stages.get(at) else { return };
    let mut next = 0;
    loop {
        let entry = stage.server.ledger().wait_for(|entry| entry.sequence() >= next).await;
        next = entry.sequence().saturating_add(1);
        story.catch_up();
    }
}

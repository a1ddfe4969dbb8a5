//! `authflow demo`: the page, and the journey of `--headless`.

mod explain;
mod fault;
mod journey;
mod own;
mod page;
mod recorder;
mod stage;
mod transcript;

use std::path::PathBuf;

use authflow_testkit::Fault;

use crate::args::{DemoArgs, DemoProvider};
use crate::failure::Failure;
use crate::terminal::result;
use fault::Choice;
use journey::Journey;
use own::Own;

/// In the order in which they are shown: from the usual to the special.
const ALL: [DemoProvider; 3] = [DemoProvider::Rfc, DemoProvider::StackExchange, DemoProvider::Contentstack];

pub(crate) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let fault = match fault::choice(args.fault.as_deref())? {
        Choice::List => return fault::list(),
        Choice::None => None,
        Choice::Fault(fault) => Some(fault),
    };
    let named = Named::of(args)?;
    let own = Own::of(named.file.as_deref(), &args.own)?;
    match own {
        Some(_) if args.headless => Err(Failure::usage(
            "--headless is the user of the demo's own servers, and cannot be one of yours: leave it out, and use the page",
        )),
        None if args.headless => journeys(named.provider, fault).await,
        own => page::run(args, named.provider, own, fault).await,
    }
}

/// What PROVIDER means.
struct Named {
    /// One of the demo's own servers.
    provider: Option<DemoProvider>,
    /// A file that describes another one.
    file: Option<PathBuf>,
}

impl Named {
    fn of(args: &DemoArgs) -> Result<Self, Failure> {
        let Some(name) = &args.provider else { return Ok(Self { provider: None, file: None }) };
        if let Some(provider) = ALL.into_iter().find(|provider| name == provider.id()) {
            return Ok(Self { provider: Some(provider), file: None });
        }
        let path = PathBuf::from(name);
        if path.is_file() {
            return Ok(Self { provider: None, file: Some(path) });
        }
        Err(Failure::usage(format!(
            "there is no server and no file `{}`. The demo's own are rfc, stackexchange and contentstack; a file (TOML or JSON) \
             describes one of yours, and `authflow login --help` has one to start from",
            path.display()
        )))
    }
}

async fn journeys(provider: Option<DemoProvider>, fault: Option<Fault>) -> Result<(), Failure> {
    let providers = match (provider, &fault) {
        (Some(provider), _) => vec![provider],
        (None, Some(_)) => vec![DemoProvider::Rfc],
        (None, None) => ALL.to_vec(),
    };
    for (at, provider) in providers.iter().enumerate() {
        if at > 0 {
            result("\n")?;
        }
        let journey = Journey::begin(*provider, fault.clone()).await?;
        match journey.run().await {
            Ok(()) => {}
            // With a fault, an error is what was asked for: whatever its kind, the exit code is 1.
            Err(failure) if fault.is_some() => return Err(Failure::Faulted(Box::new(failure))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

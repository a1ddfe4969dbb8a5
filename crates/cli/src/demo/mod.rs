//! `authflow demo`: the page, and the journey of `--headless`.

mod explain;
mod fault;
mod journey;
mod page;
mod recorder;
mod stage;
mod transcript;

use authflow_testkit::Fault;

use crate::args::{DemoArgs, DemoProvider};
use crate::failure::Failure;
use crate::terminal::result;
use fault::Choice;
use journey::Journey;

/// In the order in which they are shown: from the usual to the special.
const ALL: [DemoProvider; 3] = [DemoProvider::Rfc, DemoProvider::StackExchange, DemoProvider::Contentstack];

pub(crate) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let fault = match fault::choice(args.fault.as_deref())? {
        Choice::List => return fault::list(),
        Choice::None => None,
        Choice::Fault(fault) => Some(fault),
    };
    if args.headless { journeys(args, fault).await } else { page::run(args, fault).await }
}

async fn journeys(args: &DemoArgs, fault: Option<Fault>) -> Result<(), Failure> {
    let providers = match (args.provider, &fault) {
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

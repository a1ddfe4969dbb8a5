//! `authflow demo`.

mod explain;
mod fault;
mod journey;
mod recorder;
mod stage;
mod transcript;

use crate::args::{DemoArgs, DemoProvider};
use crate::failure::Failure;
use crate::terminal::result;
use fault::Choice;
use journey::Journey;

pub(crate) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let fault = match fault::choice(args.fault.as_deref())? {
        Choice::List => return fault::list(),
        Choice::None => None,
        Choice::Fault(fault) => Some(fault),
    };
    let providers: &[DemoProvider] = match (args.provider, args.headless && fault.is_none()) {
        (Some(DemoProvider::StackExchange), _) => &[DemoProvider::StackExchange],
        (Some(DemoProvider::Contentstack), _) => &[DemoProvider::Contentstack],
        (Some(DemoProvider::Rfc), _) | (None, false) => &[DemoProvider::Rfc],
        (None, true) => &[DemoProvider::Rfc, DemoProvider::StackExchange, DemoProvider::Contentstack],
    };
    for (at, provider) in providers.iter().enumerate() {
        if at > 0 {
            result("\n")?;
        }
        let journey = Journey::begin(*provider, args.headless, fault.clone()).await?;
        match journey.run().await {
            Ok(()) => {}
            // With a fault, an error is what was asked for: whatever its kind, the exit code is 1.
            Err(failure) if fault.is_some() => return Err(Failure::Faulted(Box::new(failure))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

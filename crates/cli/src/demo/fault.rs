//! The faults that the demo knows.

use authflow_testkit::{Endpoint, Fault};

use crate::failure::Failure;
use crate::terminal::result;

/// What `--fault` asks for.
pub(super) enum Choice {
    None,
    List,
    Fault(Fault),
}

pub(super) fn choice(name: Option<&str>) -> Result<Choice, Failure> {
    match name {
        None => Ok(Choice::None),
        Some("help" | "list") => Ok(Choice::List),
        Some(name) => name.parse().map(Choice::Fault).map_err(|_| {
            Failure::usage(format!("there is no fault `{name}`. The faults are:\n\n{}", lines().join("\n")))
        }),
    }
}

pub(super) fn list() -> Result<(), Failure> {
    for line in lines() {
        result(line)?;
    }
    Ok(())
}

fn lines() -> Vec<String> {
    let groups = groups();
    let faults = groups.iter().flat_map(|(_, faults)| faults);
    let width = faults.map(|fault| fault.name().len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (title, faults) in groups {
        lines.push(format!("{title}:"));
        lines.extend(faults.iter().map(|fault| format!("  {:<width$}  {}", fault.name(), fault.about())));
    }
    lines
}

/// Whether a server with this fault says nothing for so long that a request ends by its deadline alone.
pub(super) const fn keeps_silence(fault: &Fault) -> bool {
    matches!(fault, Fault::StallHeaders | Fault::StallBody | Fault::SlowBody(_))
}

/// All faults that a flow can meet, by where they show.
pub(super) fn groups() -> Vec<(&'static str, Vec<Fault>)> {
    [
        (Endpoint::Authorization, "In the callback"),
        (Endpoint::Token, "At the token endpoint"),
        (Endpoint::Resource, "At the API"),
    ]
    .into_iter()
    .map(|(endpoint, title)| {
        (title, Fault::all().into_iter().filter(|fault| fault.endpoint() == endpoint).collect())
    })
    .collect()
}

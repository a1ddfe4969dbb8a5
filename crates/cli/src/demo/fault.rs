//! The faults that `--fault` knows.

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
    let faults = Fault::all();
    let width = faults.iter().map(|fault| fault.name().len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (endpoint, heading) in [
        (Endpoint::Authorization, "In the callback:"),
        (Endpoint::Token, "At the token endpoint:"),
        (Endpoint::Resource, "At the protected resource:"),
    ] {
        let of_endpoint = faults.iter().filter(|fault| fault.endpoint() == endpoint);
        let mut listed =
            of_endpoint.map(|fault| format!("  {:<width$}  {}", fault.name(), fault.about())).peekable();
        if listed.peek().is_some() {
            lines.push(heading.to_owned());
            lines.extend(listed);
        }
    }
    lines
}

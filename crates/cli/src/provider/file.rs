//! A provider described in a file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use authflow::ProviderDefinition;

use crate::failure::Failure;

/// The most that such a file has.
const MAX_FILE: u64 = 1 << 20;

/// Reads TOML or JSON, by the name's ending or else by the first character.
pub(super) fn read(path: &Path) -> Result<ProviderDefinition, Failure> {
    let shown = path.display();
    let io = |error| Failure::usage(format!("the file {shown} could not be read: {error}"));
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text)).map_err(io)?;
    if read as u64 > MAX_FILE {
        return Err(Failure::usage(format!(
            "the file {shown} is larger than 1 MiB: that is no description of a provider"
        )));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    let is_json = match ending.as_deref() {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let definition: Result<ProviderDefinition, String> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    definition.map_err(|error| {
        let format = if is_json { "JSON" } else { "TOML" };
        Failure::usage(format!(
            "the file {shown} does not describe a provider ({format}):\n{}\n`authflow login --help` has one to start from",
            error.trim_end()
        ))
    })
}

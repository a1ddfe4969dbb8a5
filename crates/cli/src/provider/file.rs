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
        toml::from_str(&text).map_err(|error| in_toml(&error, &text))
    };
    definition.map_err(|error| {
        let format = if is_json { "JSON" } else { "TOML" };
        Failure::usage(format!(
            "the file {shown} does not describe a provider ({format}):\n{}\n`authflow login --help` has one to start from. A \
             client secret has no place in it: see --client-secret-env",
            error.trim_end()
        ))
    })
}

/// What is wrong and where, without the line itself, as for JSON: who looks for the place of a client secret writes it here.
fn in_toml(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        format!(" at line {} column {}", before.matches('\n').count() + 1, line.chars().count() + 1)
    });
    format!("{}{}", error.message(), place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::read;

    #[test]
    fn h1_what_is_wrong_with_a_file_is_told_without_what_is_in_it() {
        const SECRET: &str = "planted-2YotnFZFEjr1zCsicMWpAA";
        for (ending, text, place) in [
            (".toml", format!("id = \"a\"\nclient_secret = \"{SECRET}\"\n"), "`client_secret`"),
            (".toml", format!("id = \"a\"\nclient_secret = \"{SECRET}\n"), "line 2 column"),
            (".toml", format!("\u{e9} = 1\n[x]\n\u{e9}{SECRET}"), "line 3 column 32"),
            (".json", format!("{{\"id\":\"a\",\n\"client_secret\":\"{SECRET}\"}}"), "line 2 column"),
        ] {
            let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let failure = format!("{:?}", read(file.path()).unwrap_err());
            assert!(!failure.contains(SECRET), "{failure}");
            assert!(failure.contains(place) && failure.contains("--client-secret-env"), "{failure}");
        }
    }
}

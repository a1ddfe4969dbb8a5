//! The tokens that `refresh` and `revoke` read on stdin.

use std::io::{IsTerminal as _, Read as _};
use std::time::SystemTime;

use authflow::TokenSet;

use crate::failure::Failure;
use crate::output::read_json;
use crate::terminal::note;

/// The most that is read.
const MAX_INPUT: u64 = 1 << 20;

const HOW: &str =
    "give it what `authflow login --json` printed, such as `authflow refresh ... < tokens.json`";

/// Reads the tokens. Blocks until stdin is at its end.
pub(crate) async fn tokens(now: SystemTime) -> Result<TokenSet, Failure> {
    let text =
        tokio::task::spawn_blocking(read).await.map_err(|_| Failure::local("stdin could not be read"))??;
    read_json(&text, now).map_err(|what| Failure::usage(format!("stdin cannot be used: {what}; {HOW}")))
}

fn read() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        note("Reading the tokens from stdin: paste the JSON of `authflow login --json`, end it with Ctrl-D.");
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(MAX_INPUT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("stdin could not be read", error))?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Failure::usage(format!("stdin holds more than 1 MiB; {HOW}")));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(Failure::usage(format!("stdin is empty; {HOW}")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("stdin is not text; {HOW}")))
}

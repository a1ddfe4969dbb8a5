//! `authflow token`.

use crate::args::AccessArgs;
use crate::failure::Failure;
use crate::kept::{For, Kept};
use crate::progress::telling;
use crate::terminal::result;

pub(crate) async fn run(args: &AccessArgs) -> Result<(), Failure> {
    let kept = Kept::open(&args.store, For::Use).await?;
    let profile = kept.profile(&args.name).await?;
    let connections = kept.connections(&profile)?;
    let asking = "Asking the provider for a new access token, or waiting for another process that does.";
    let token = telling(asking, connections.token(&profile.key())).await;
    // A refresh in the background goes on while the token is printed; the end of the program waits for it.
    result(token.map_err(|error| kept.explained(&profile.name, error))?.expose())
}

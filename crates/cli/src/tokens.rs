//! `authflow refresh` and `authflow revoke`.

use std::sync::Arc;

use authflow::{Flow, Revocation, TokenSet};

use crate::args::{ProviderArgs, TokenArgs};
use crate::failure::Failure;
use crate::progress::telling;
use crate::provider::{Purpose, Registration};
use crate::states::States;
use crate::terminal::{note, result};
use crate::{drain, input, output};

/// What it means that the new tokens could not be printed.
const LOST: &str = "the new tokens are lost, and the provider may have replaced the refresh token that was read\n  what to do: if \
                    `authflow refresh` does not take the old tokens once more, log in again: authflow login ... --no-save --json";

/// The tokens on stdin, and the flow of the provider that they come from.
async fn tokens_and_flow(args: &ProviderArgs) -> Result<(TokenSet, Flow), Failure> {
    let registration = Registration::of(args, Purpose::Tokens)?;
    // What is wrong with the options is told before anything is read.
    let flow = |redirect_uri: Option<&str>| -> Result<Flow, Failure> {
        let manager = registration.manager(redirect_uri, Arc::new(States::default()))?;
        Ok(authflow::flow(manager).build()?)
    };
    let by_options = flow(args.redirect_uri.as_deref())?;
    let tokens = input::tokens(by_options.clock().now()).await?;
    let by_tokens = registration.redirect_uri_of(&tokens).filter(|_| args.redirect_uri.is_none());
    let flow = match by_tokens {
        Some(redirect_uri) => flow(Some(redirect_uri))?,
        None => by_options,
    };
    Ok((tokens, flow))
}

pub(crate) async fn refresh(args: &TokenArgs) -> Result<(), Failure> {
    let (tokens, flow) = tokens_and_flow(&args.provider).await?;
    // The refresh token may be used up by it, and what it is replaced by is nowhere but in the answer.
    drain::uninterrupted(async move {
        let refreshed =
            telling("Asking the provider for a new access token.", async { flow.refresh(&tokens).await });
        result(output::json(&refreshed.await?)).map_err(|failure| failure.losing(LOST))
    })
    .await
}

pub(crate) async fn revoke(args: &TokenArgs) -> Result<(), Failure> {
    let (tokens, flow) = tokens_and_flow(&args.provider).await?;
    let revoked = telling("Asking the provider to revoke the tokens.", async { flow.revoke(&tokens).await });
    let (word, line) = match revoked.await? {
        Revocation::Revoked => ("revoked", "revoked: the provider no longer accepts these tokens"),
        Revocation::Partial => (
            "partial",
            "partly revoked: the provider can revoke only one of the tokens; the other ends by itself",
        ),
        _ => {
            return Err(Failure::local(
                "nothing was revoked: no revocation endpoint is known for this provider. Give it with \
                 --revocation-endpoint or in the provider's file, or end the connection on the provider's own pages",
            ));
        }
    };
    if args.json {
        return result(format_args!("{{\"revocation\":\"{word}\"}}"));
    }
    note("The provider was asked; delete your own copies of the tokens too.");
    result(line)
}

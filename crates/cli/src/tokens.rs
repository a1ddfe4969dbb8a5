//! `authflow refresh` and `authflow revoke`.

use std::sync::Arc;

use authflow::{Flow, Revocation};

use crate::args::{ProviderArgs, TokenArgs};
use crate::failure::Failure;
use crate::progress::telling;
use crate::provider::{Purpose, Registration};
use crate::states::States;
use crate::terminal::{note, result};
use crate::{drain, input, output};

fn flow(args: &ProviderArgs) -> Result<Flow, Failure> {
    let manager = Registration::of(args, Purpose::Tokens)?
        .manager(args.redirect_uri.as_deref(), Arc::new(States::default()))?;
    Ok(authflow::flow(manager).build()?)
}

pub(crate) async fn refresh(args: &TokenArgs) -> Result<(), Failure> {
    let flow = flow(&args.provider)?;
    let tokens = input::tokens(flow.clock().now()).await?;
    // The refresh token may be used up by it, and what it is replaced by is nowhere but in the answer.
    drain::uninterrupted(async move {
        let refreshed =
            telling("Asking the provider for a new access token.", async { flow.refresh(&tokens).await });
        result(output::json(&refreshed.await?))
    })
    .await
}

pub(crate) async fn revoke(args: &TokenArgs) -> Result<(), Failure> {
    let flow = flow(&args.provider)?;
    let tokens = input::tokens(flow.clock().now()).await?;
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

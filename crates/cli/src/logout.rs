//! `authflow logout`.

use authflow::{ConnectionKey, Disconnected, Removal, Revocation};

use crate::args::LogoutArgs;
use crate::failure::{Failure, describe};
use crate::kept::{For, Kept};
use crate::progress::telling;
use crate::terminal::{note, printable, result};

pub(crate) async fn run(args: &LogoutArgs) -> Result<(), Failure> {
    let kept = Kept::open(&args.store, For::Use).await?;
    let known = kept.all_names().await?;
    let mut failed = 0;
    let names = match &args.name {
        Some(name) => {
            if !known.names.contains(name) {
                // It says which names there are.
                match kept.profile(name).await {
                    Ok(_) => {}
                    Err(failure) if args.forget && failure.is_unreadable() => {}
                    Err(failure) => return Err(advised(&kept, name, failure)),
                }
            }
            vec![name.clone()]
        }
        None => {
            known.tell_damaged();
            failed += known.damaged;
            known.names
        }
    };
    if names.is_empty() && failed == 0 {
        note("Nothing is kept, so there is nothing to end.");
    }
    for name in &names {
        let ended = if args.forget { forget(&kept, name).await } else { end(&kept, name).await };
        match ended {
            Ok(true) => {}
            Ok(false) => failed += 1,
            Err(failure) if args.name.is_some() => return Err(advised(&kept, name, failure)),
            Err(failure) => {
                note(format_args!("{}:", printable(name)));
                advised(&kept, name, failure).tell();
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::local(
            "not every step succeeded; see above. Where the provider did not revoke the tokens, end the connection on its \
             own pages",
        )),
    }
}

/// What a logout failed with; where something cannot be read, it says first how to be rid of it.
fn advised(kept: &Kept, name: &str, failure: Failure) -> Failure {
    if failure.is_unreadable() {
        note(format_args!(
            "Without asking the provider it can be forgotten: {} --forget",
            printable(&kept.command("logout", name))
        ));
    }
    failure
}

async fn forget(kept: &Kept, name: &str) -> Result<bool, Failure> {
    let profile = kept.to_forget(name).await?;
    let gone = kept.forget_connections(name).await?;
    let is_forgotten = kept.forget(name, profile).await?;
    if gone.count > 0 {
        result(format_args!(
            "{}: the provider was not asked; tokens that are out stay in force until they end",
            printable(name)
        ))?;
    }
    tell_forgotten(name, is_forgotten)?;
    if gone.left > 0 {
        result(format_args!(
            "{}: {} of its connections stay in the store: they are damaged",
            printable(name),
            gone.left
        ))?;
    }
    Ok(is_forgotten && gone.left == 0)
}

fn tell_forgotten(name: &str, is_forgotten: bool) -> Result<(), Failure> {
    let name = printable(name);
    if is_forgotten {
        return result(format_args!("{name}: forgotten"));
    }
    result(format_args!(
        "{name}: not forgotten: it was written anew meanwhile, such as by another login, and is left as it is; run the command \
         again if that is to end too"
    ))
}

/// Whether each step did what it should.
async fn end(kept: &Kept, name: &str) -> Result<bool, Failure> {
    let (profile, forget) = kept.profile_to_forget(name).await?;
    let connections = kept.connections(&profile)?;
    let mut keys = vec![profile.key()];
    // Of other accounts, where a login was interrupted.
    let listing = connections.list(&Kept::owner(name)).await?;
    let others = listing.connections.into_iter().map(|connection| connection.key);
    keys.extend(others.filter(|key| *key != profile.key()));
    let mut is_done = true;
    let mut is_removed = true;
    for key in &keys {
        let ended =
            telling("Asking the provider to revoke the tokens.", disconnect(&connections, key)).await?;
        is_removed &= ended.removal.is_ok();
        is_done &= tell(name, &ended)?;
    }
    if is_removed {
        let is_forgotten = kept.forget(name, forget).await?;
        tell_forgotten(name, is_forgotten)?;
        is_done &= is_forgotten;
    }
    Ok(is_done && is_removed)
}

async fn disconnect(
    connections: &authflow::Connections,
    key: &ConnectionKey,
) -> Result<Disconnected, Failure> {
    Ok(connections.disconnect(key).await?)
}

/// Tells what came of each step, and returns whether both succeeded.
fn tell(name: &str, ended: &Disconnected) -> Result<bool, Failure> {
    let (lines, is_done) = steps(name, ended);
    lines.iter().try_for_each(result)?;
    for error in
        [ended.removal.as_ref().err(), ended.revocation.as_ref().and_then(|done| done.as_ref().err())]
    {
        error.map(describe).unwrap_or_default().iter().for_each(note);
    }
    Ok(is_done)
}

/// What came of each step, in words, and whether all succeeded.
pub(crate) fn steps(name: &str, ended: &Disconnected) -> (Vec<String>, bool) {
    let (removal, is_removed) = match &ended.removal {
        Ok(Removal::WasAbsent) => ("there was no connection any more", true),
        Ok(_) => ("removed from the store", true),
        Err(_) => ("not removed from the store", false),
    };
    let revocation = ended.revocation.as_ref().map(|revoked| match revoked {
        Ok(Revocation::Revoked) => ("revoked at the provider", true),
        Ok(Revocation::Partial) => {
            ("partly revoked: the provider can revoke only one of the tokens; the other ends by itself", true)
        }
        Ok(_) => {
            ("not revoked: no revocation is known for this provider; the tokens end by themselves", true)
        }
        Err(_) => ("not revoked at the provider", false),
    });
    let steps: Vec<_> = std::iter::once((removal, is_removed)).chain(revocation).collect();
    let name = printable(name);
    let lines = steps.iter().map(|(words, _)| format!("{name}: {words}")).collect();
    (lines, steps.iter().all(|(_, is_done)| *is_done))
}

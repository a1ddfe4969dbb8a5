//! `authflow sweep`.

use std::time::Duration;

use authflow::{Clock as _, Swept, SystemClock};

use crate::args::SweepArgs;
use crate::drain;
use crate::failure::Failure;
use crate::kept::{For, Kept};
use crate::progress::telling;
use crate::terminal::{note, printable, result};

/// What one round came to.
#[derive(Default)]
struct Round {
    swept: Swept,
    /// The commands that connect again what needs its user.
    reconnect: Vec<String>,
}

pub(crate) async fn run(args: &SweepArgs) -> Result<(), Failure> {
    let clock = SystemClock::new();
    loop {
        let swept = once(args).await;
        // What a round has opened ends with it.
        drain::drain().await;
        let Some(every) = args.every else { return swept };
        match swept {
            Err(usage @ Failure::Usage(_)) => return Err(usage),
            Err(unread @ Failure::Unread) => return Err(unread),
            Err(failure) => failure.tell(),
            Ok(()) => {}
        }
        clock.sleep(Duration::from_secs(every.into())).await;
    }
}

async fn once(args: &SweepArgs) -> Result<(), Failure> {
    // The store is opened anew each time, so that one that was down is no reason to end.
    let kept = Kept::open(&args.store, For::Use).await?;
    let mut round = Round::default();
    let known = kept.all_names().await?;
    known.tell_damaged();
    round.swept.failed += known.damaged;
    for name in &known.names {
        if let Err(failure) = telling("Refreshing what is due.", sweep(&kept, name, &mut round)).await {
            note(format_args!("{}:", printable(name)));
            failure.tell();
            round.swept.failed += 1;
        }
    }
    let Swept { seen, done, need_reconnect, failed, .. } = round.swept;
    for command in &round.reconnect {
        note(format_args!("needs its user to log in again: {}", printable(command)));
    }
    result(format_args!(
        "{} kept, {seen} due: {done} refreshed, {need_reconnect} to be connected again by their users, {failed} failed",
        known.names.len()
    ))?;
    if failed > 0 {
        return Err(Failure::local(
            "not all that is due could be refreshed; another sweep tries again, and `authflow token NAME` says why",
        ));
    }
    Ok(())
}

/// One name has one connection, in one shard, and no other name's connection has its provider id.
async fn sweep(kept: &Kept, name: &str, round: &mut Round) -> Result<(), Failure> {
    let Some(profile) = kept.find(name).await? else { return Ok(()) };
    let connections = kept.connections(&profile)?;
    let swept = connections.sweep().shards([profile.key().shard()]).await?;
    if swept.need_reconnect > 0 {
        round.reconnect.push(kept.command("login --name", name));
    }
    let all = &mut round.swept;
    all.seen += swept.seen;
    all.done += swept.done;
    all.need_reconnect += swept.need_reconnect;
    all.failed += swept.failed;
    Ok(())
}

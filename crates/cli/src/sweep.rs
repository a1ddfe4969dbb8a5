//! `authflow sweep`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authflow::{Clock as _, Swept, SystemClock};
use tokio::task::JoinSet;

use crate::args::SweepArgs;
use crate::drain;
use crate::failure::Failure;
use crate::kept::{For, Kept, Names};
use crate::progress::telling_how_far;
use crate::terminal::{note, printable, result};

/// How many names are worked on at once: each is another registration, most often of another provider.
const AT_ONCE: usize = 8;

/// What came of a name.
type Came = (String, Result<Swept, Failure>);

pub(crate) async fn run(args: &SweepArgs) -> Result<(), Failure> {
    let clock = SystemClock::new();
    loop {
        let swept = once(args).await;
        // What a round has opened ends with it.
        let swept = drain::with_the_end(swept, drain::drain().await);
        let Some(every) = args.every else { return swept };
        match swept {
            Err(unusable @ (Failure::Usage(_) | Failure::Unusable(_))) => return Err(unusable),
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
    let known = kept.all_names().await?;
    known.tell_damaged();
    let mut all = Swept::default();
    all.failed += known.damaged;
    for (name, came) in sweep_each(&kept, &known.names).await {
        let swept = match came {
            Ok(swept) => swept,
            Err(failure) => {
                note(format_args!("{}:", printable(&name)));
                failure.tell();
                all.failed += 1;
                continue;
            }
        };
        if swept.need_reconnect > 0 {
            let command = kept.command("login --name", &name);
            note(format_args!("needs its user to log in again: {}", printable(&command)));
        }
        all.seen += swept.seen;
        all.done += swept.done;
        all.need_reconnect += swept.need_reconnect;
        all.failed += swept.failed;
    }
    let Swept { seen, done, need_reconnect, failed, .. } = all;
    let left = rotation(&kept, &known).await?;
    result(format_args!(
        "{} kept, {seen} due: {done} done, {need_reconnect} to be connected again by their users, {failed} failed",
        known.names.len()
    ))?;
    if let Some((key, left)) = &left {
        result(match left {
            0 => format!("all is sealed with the key {key}: the other keys can be removed, for this store"),
            left => format!(
                "records that are not sealed with the key {key} yet: {left}. The other keys are needed still; sweep again"
            ),
        })?;
    }
    if failed > 0 {
        return Err(Failure::local(
            "not all that is due could be refreshed; another sweep tries again, and `authflow token NAME` says why",
        ));
    }
    match left {
        Some((key, 1..)) => Err(Failure::local(format!(
            "not all could be sealed with the key {key}; another sweep tries again, such as when a refresh that is under way \
             has ended"
        ))),
        _ => Ok(()),
    }
}

/// The key that seals, and how many records another one has sealed; nothing where there is no other one.
async fn rotation(kept: &Kept, known: &Names) -> Result<Option<(String, usize)>, Failure> {
    let Some(key) = kept.newest_of_several_keys().await? else { return Ok(None) };
    Ok(Some((key, kept.under_older_keys(known).await?)))
}

/// Sweeps what is kept under each name, a few at once, and says how far it is.
async fn sweep_each(kept: &Kept, names: &[String]) -> Vec<Came> {
    let finished = Arc::new(AtomicUsize::new(0));
    let work = async {
        let (mut waiting, mut running, mut came) = (names.iter().enumerate(), JoinSet::new(), Vec::new());
        loop {
            for (at, name) in waiting.by_ref().take(AT_ONCE - running.len()) {
                let (kept, name, finished) = (kept.clone(), name.clone(), Arc::clone(&finished));
                running.spawn(async move {
                    let swept = sweep(&kept, &name).await;
                    finished.fetch_add(1, Ordering::Relaxed);
                    (at, (name, swept))
                });
            }
            match running.join_next().await {
                Some(Ok(one)) => came.push(one),
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                None => break came,
            }
        }
    };
    let say = || {
        let finished = finished.load(Ordering::Relaxed);
        note(format_args!("Refreshing what is due: {finished} of {} names are done.", names.len()));
    };
    let mut came = telling_how_far(say, work).await;
    came.sort_unstable_by_key(|(at, _)| *at);
    came.into_iter().map(|(_, came)| came).collect()
}

/// One name has one connection, in one shard, and no other name's connection has its provider id.
async fn sweep(kept: &Kept, name: &str) -> Result<Swept, Failure> {
    let Some(profile) = kept.find(name).await? else { return Ok(Swept::default()) };
    let connections = kept.connections(&profile)?;
    let shard = profile.key().shard();
    let mut swept = connections.sweep().shards([shard]).await?;
    if kept.newest_of_several_keys().await?.is_some() {
        // The profile was sealed anew when it was read.
        swept.failed += connections.reseal().shards([shard]).await?.failed;
    }
    Ok(swept)
}

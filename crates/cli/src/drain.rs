//! The end of the program waits for refreshes that are under way.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authflow::{Clock as _, Connections, SystemClock};

use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::terminal::note;

/// Longer than a refresh can take.
const LIMIT: Duration = Duration::from_secs(90);
/// After so long the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Those that are waited for. Each keeps its store open.
static OPEN: Mutex<Vec<Connections>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Connections>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the end of the program wait for what these do.
pub(crate) fn register(connections: &Connections) {
    open().push(connections.clone());
}

/// Work that nobody else would end.
static WORK: Mutex<Vec<oneshot::Receiver<()>>> = Mutex::new(Vec::new());

/// Does `work` to its end, although its caller may be interrupted: then the end of the program waits for it.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (ends, is_over) = oneshot::channel();
    WORK.lock().unwrap_or_else(PoisonError::into_inner).push(is_over);
    let task = tokio::spawn(async move {
        let _ends: oneshot::Sender<()> = ends;
        work.await
    });
    task.await.unwrap_or_else(|_| Err(Failure::local("the command broke off")))
}

/// Waits: a provider that was asked for new tokens may have used the old ones up, so that what it answers has to be saved. They
/// are let go of only afterwards, so that another wait takes the place of one that was broken off.
pub(crate) async fn drain() {
    let waiting = open().clone();
    let work = std::mem::take(&mut *WORK.lock().unwrap_or_else(PoisonError::into_inner));
    let all = async {
        let mut unfinished = 0;
        for is_over in work {
            // It is never sent to: it is over when the other side is gone.
            let _ = is_over.await;
        }
        for connections in &waiting {
            unfinished += connections.drain(LIMIT).await.unfinished;
        }
        unfinished
    };
    tokio::pin!(all);
    let clock = SystemClock::new();
    let unfinished = tokio::select! {
        biased;
        unfinished = &mut all => unfinished,
        () = clock.sleep(PATIENCE) => {
            note("Waiting for a refresh that is under way, so that what the provider answers is kept.");
            all.await
        }
    };
    {
        // What was registered meanwhile is behind them.
        let mut open = open();
        let known = waiting.len().min(open.len());
        drop(open.drain(..known));
    }
    if unfinished > 0 {
        note(
            "warning: a refresh did not come to an end, and the program ends without it; the next command finds out what \
             became of it",
        );
    }
}

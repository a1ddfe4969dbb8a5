//! The end of the program waits for refreshes that are under way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use authflow::{Clock as _, Connections, SystemClock};

use crate::terminal::note;

/// Longer than a refresh can take.
const LIMIT: Duration = Duration::from_secs(90);
/// After so long the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

static OPEN: Mutex<Vec<Connections>> = Mutex::new(Vec::new());

/// Has the end of the program wait for what these do.
pub(crate) fn register(connections: &Connections) {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(connections.clone());
}

/// Waits: a provider that was asked for new tokens may have used the old ones up, so that what it answers has to be saved.
pub(crate) async fn drain() {
    let open: Vec<Connections> = std::mem::take(&mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner));
    let all = async {
        let mut unfinished = 0;
        for connections in open {
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
    if unfinished > 0 {
        note(
            "warning: a refresh did not come to an end, and the program ends without it; the next command finds out what \
             became of it",
        );
    }
}

//! A word to the user where something takes long.

use std::future::Future;
use std::time::Duration;

use authflow::{Clock as _, SystemClock};

use crate::terminal::note;

/// After so long a person wonders whether the program hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two words about the same work at most.
const LONGEST: Duration = Duration::from_secs(60);

/// Does `work`; if it takes long, says what is being done.
pub(crate) async fn telling<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let clock = SystemClock::new();
    tokio::select! {
        biased;
        done = &mut work => done,
        () = clock.sleep(PATIENCE) => {
            note(what);
            work.await
        }
    }
}

/// Does `work` that consists of parts; while it takes long, says how far it is, ever more seldom.
pub(crate) async fn telling_how_far<T>(mut say: impl FnMut(), work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let clock = SystemClock::new();
    let mut wait = PATIENCE;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = clock.sleep(wait) => say(),
        }
        wait = (wait * 2).min(LONGEST);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "time stands still there, and goes on at once where all wait")]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_says_how_far_it_is_ever_more_seldom() {
        let begun = Instant::now();
        let mut said = Vec::new();
        let done = telling_how_far(|| said.push(begun.elapsed().as_secs()), async {
            sleep(Duration::from_secs(200)).await;
            "done"
        });
        assert_eq!(done.await, "done");
        assert_eq!(said, [2, 6, 14, 30, 62, 122, 182]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_says_nothing() {
        let mut said = 0;
        telling_how_far(|| said += 1, sleep(Duration::from_secs(1))).await;
        assert_eq!(said, 0);
    }
}

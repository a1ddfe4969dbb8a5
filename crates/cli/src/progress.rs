//! A word to the user where something takes long.

use std::future::Future;
use std::time::Duration;

use authflow::{Clock as _, SystemClock};

use crate::terminal::note;

/// After so long a person wonders whether the program hangs.
const PATIENCE: Duration = Duration::from_secs(2);

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

//! The end of the program waits for refreshes that are under way.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authflow::{Clock as _, Connections, Error, ErrorKind, EventKind, Events, Next, SystemClock};

use tokio::sync::{Notify, oneshot};

use crate::failure::Failure;
use crate::terminal::{note, printable};

/// Longer than a refresh can take.
const LIMIT: Duration = Duration::from_secs(90);
/// After so long the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// And again after as long each time.
const EVERY: Duration = Duration::from_secs(15);

/// Those that are waited for. Each keeps its store open.
static OPEN: Mutex<Vec<Connections>> = Mutex::new(Vec::new());

/// The names whose new tokens no store has yet.
static UNSAVED: Mutex<BTreeMap<String, Kept>> = Mutex::new(BTreeMap::new());
/// Something came or went there.
static CHANGED: Notify = Notify::const_new();

/// Where a connection is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The store, as it may be shown.
    pub(crate) store: String,
    /// The command that connects again.
    pub(crate) reconnect: String,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the end of the program wait for what these do. `kept` tells where the connection of a name is.
pub(crate) fn register(connections: &Connections, kept: impl Fn(&str) -> Kept + Send + 'static) {
    locked(&OPEN).push(connections.clone());
    tokio::spawn(follow(connections.subscribe(), kept));
}

/// Keeps track of what the store has not got. It ends with the connections.
async fn follow(mut events: Events, kept: impl Fn(&str) -> Kept + Send + 'static) {
    while let Some(next) = events.next().await {
        // Of more events than are kept for who is slow, the oldest are gone: a word about them is missing then.
        let Next::Event(event) = next else { continue };
        let name = event.key.provider_id();
        if event.kind == EventKind::NotDurable {
            locked(&UNSAVED).insert(name.to_owned(), kept(name));
        } else {
            locked(&UNSAVED).remove(name);
        }
        CHANGED.notify_waiters();
    }
}

/// Work that nobody else would end.
static WORK: Mutex<Vec<oneshot::Receiver<()>>> = Mutex::new(Vec::new());

/// Does `work` to its end, although its caller may be interrupted: then the end of the program waits for it, and the user is told
/// what it failed with.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (ends, is_over) = oneshot::channel();
    locked(&WORK).push(is_over);
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let _ends: oneshot::Sender<()> = ends;
        if let Err(Err(failure)) = answer.send(work.await) {
            failure.tell();
        }
    });
    answered.await.unwrap_or_else(|_| Err(Failure::local("the command broke off")))
}

/// Waits: a provider that was asked for new tokens may have used the old ones up, so that what it answers has to be saved. They
/// are let go of only afterwards, so that another wait takes the place of one that was broken off.
pub(crate) async fn drain() -> Result<(), Failure> {
    let waiting = locked(&OPEN).clone();
    let work = std::mem::take(&mut *locked(&WORK));
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let left = || LIMIT.saturating_sub(clock.monotonic().saturating_sub(begun));
    let all = async {
        let mut unfinished = 0;
        for is_over in work {
            // It is never sent to: it is over when the other side is gone.
            let _ = is_over.await;
        }
        for connections in &waiting {
            unfinished += connections.drain(left()).await.unfinished;
        }
        unfinished
    };
    let unfinished = telling(all, || note(waits_for(&locked(&UNSAVED), left()))).await;
    {
        // What was registered meanwhile is behind them.
        let mut open = locked(&OPEN);
        let known = waiting.len().min(open.len());
        drop(open.drain(..known));
    }
    let unsaved = std::mem::take(&mut *locked(&UNSAVED));
    match unfinished {
        0 => Ok(()),
        _ => Err(given_up(&unsaved, &format!("within {} seconds", LIMIT.as_secs()))),
    }
}

/// The user does not wait. What is lost by that is told.
pub(crate) fn broken_off() -> Result<(), Failure> {
    let unsaved = std::mem::take(&mut *locked(&UNSAVED));
    if unsaved.is_empty() { Ok(()) } else { Err(given_up(&unsaved, "before the program was ended")) }
}

/// The end of a command, and that of what it left behind.
pub(crate) fn with_the_end(result: Result<(), Failure>, drained: Result<(), Failure>) -> Result<(), Failure> {
    match (result, drained) {
        (Err(first), Err(last)) => {
            first.tell();
            Err(last)
        }
        (result, drained) => result.and(drained),
    }
}

/// Waits for `all`, and says what is waited for: now and then, and where that is something else now.
async fn telling<T>(all: impl Future<Output = T>, say: impl Fn()) -> T {
    tokio::pin!(all);
    let clock = SystemClock::new();
    tokio::select! {
        biased;
        done = &mut all => return done,
        () = clock.sleep(PATIENCE) => {}
    }
    loop {
        say();
        tokio::select! {
            biased;
            done = &mut all => return done,
            () = CHANGED.notified() => {}
            () = clock.sleep(EVERY) => {}
        }
    }
}

/// What is waited for, as far as it is known.
fn waits_for(unsaved: &BTreeMap<String, Kept>, left: Duration) -> String {
    let Some(kept) = unsaved.values().next() else {
        return "Waiting for a refresh that is under way, so that what the provider answers is kept."
            .to_owned();
    };
    format!(
        "The provider has given new tokens{}, and the store does not take them ({}). They are held in memory and offered to it \
         again, for {} seconds more at most. A second Ctrl-C gives them up.",
        of(unsaved),
        kept.store,
        left.as_secs()
    )
}

/// What is not waited for any longer.
fn given_up(unsaved: &BTreeMap<String, Kept>, when: &str) -> Failure {
    let Some(kept) = unsaved.values().next() else {
        let error = Error::new(
            ErrorKind::Interrupted,
            format!("a refresh did not come to an end {when}, and the program ends without it"),
        );
        let advice = "run the command again, which finds out what became of it; where it says that the connection is lost, \
                      connect again: authflow login --name NAME";
        return Failure::advised(error, advice);
    };
    let error = Error::new(
        ErrorKind::NotDurable,
        format!(
            "the provider has given new tokens{}, and the store ({}) did not take them {when}: they were in memory only, and \
             end with the program",
            of(unsaved),
            kept.store
        ),
    );
    let commands: Vec<&str> = unsaved.values().map(|kept| kept.reconnect.as_str()).collect();
    let advice = format!(
        "see that the store works, then connect again, unless the provider takes the old refresh token once more: {}",
        commands.join("; ")
    );
    Failure::advised(error, advice)
}

fn of(unsaved: &BTreeMap<String, Kept>) -> String {
    let names: Vec<String> = unsaved.keys().map(|name| format!("`{}`", printable(name))).collect();
    format!(" for {}", names.join(", "))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "time stands still there, and goes on at once where all wait")]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn unsaved() -> BTreeMap<String, Kept> {
        let reconnect = "authflow login --name work".to_owned();
        BTreeMap::from([("work".to_owned(), Kept { store: "redis://127.0.0.1:7".to_owned(), reconnect })])
    }

    #[tokio::test(start_paused = true)]
    async fn x4_what_is_waited_for_is_said_again_and_again() {
        let begun = Instant::now();
        let said = RefCell::new(Vec::new());
        telling(sleep(Duration::from_secs(60)), || said.borrow_mut().push(begun.elapsed().as_secs())).await;
        assert_eq!(*said.borrow(), [1, 16, 31, 46]);
        said.borrow_mut().clear();
        telling(sleep(Duration::from_millis(900)), || said.borrow_mut().push(0)).await;
        assert!(said.borrow().is_empty());
    }

    #[test]
    fn x4_the_note_names_what_is_waited_for() {
        let refresh = waits_for(&BTreeMap::new(), LIMIT);
        assert!(refresh.contains("what the provider answers"), "{refresh}");
        let store = waits_for(&unsaved(), Duration::from_secs(74));
        for part in ["`work`", "redis://127.0.0.1:7", "in memory", "74 seconds"] {
            assert!(store.contains(part), "{part}: {store}");
        }
    }

    #[test]
    fn x4_tokens_that_no_store_took_are_an_error_with_the_command_that_helps() {
        for when in ["within 90 seconds", "before the program was ended"] {
            let failure = given_up(&unsaved(), when);
            let said = failure.lines().join("\n");
            assert_eq!(failure.code(), 1);
            for part in [when, "kind: NotDurable", "redis://127.0.0.1:7", "authflow login --name work"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
        let unknown = given_up(&BTreeMap::new(), "within 90 seconds");
        let said = unknown.lines().join("\n");
        assert!(unknown.code() == 1 && said.contains("kind: Interrupted"), "{said}");
    }

    #[test]
    fn x4_a_command_that_was_done_fails_where_its_end_does() {
        let failed = || Err(given_up(&unsaved(), "within 90 seconds"));
        assert!(with_the_end(Ok(()), Ok(())).is_ok());
        assert!(with_the_end(Ok(()), failed()).is_err());
        assert!(matches!(with_the_end(Err(Failure::Interrupted), failed()), Err(Failure::Advised { .. })));
        assert!(matches!(with_the_end(Err(Failure::Interrupted), Ok(())), Err(Failure::Interrupted)));
    }
}

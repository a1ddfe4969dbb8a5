//! A directory whose shards are worked on in turn, where blocking is no harm: what all stores here stand on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Clock as _, Shard, StoreError, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::{Doing, Failure, FileStoreError, FileStoreErrorKind};
use crate::machine_time::MachineTime;
use crate::shard::{self, Access, Locked, Tried};
use crate::system::{Dir, machine_time};

/// A directory, and the turns of this process in it. The clones share them.
#[derive(Clone)]
pub(crate) struct Turns {
    root: Arc<Path>,
    /// One for each shard: within this process the calls wait here, in the order in which they came.
    turns: Arc<[Arc<Mutex<()>>]>,
    pub(crate) lock_wait: Duration,
}

/// How long a call waits for other processes, where nothing else is set.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long it waits before it tries again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LAST_PAUSE: Duration = Duration::from_millis(16);

impl Turns {
    /// Opens the directory, and makes it with mode 0700 where it is missing.
    pub(crate) async fn open(directory: PathBuf) -> Result<Self, FileStoreError> {
        // A change of the working directory moves no store. A slash behind a symbolic link would follow it.
        let root = std::path::absolute(&directory)
            .map_err(|error| FileStoreError::io(Doing::Open, &*directory, error))?;
        let root: Arc<Path> = root.components().collect::<PathBuf>().into();
        let path = Arc::clone(&root);
        let opened = blocking(&root, move || {
            Dir::make_root(&path)?;
            Dir::open_root(&path)?.refuse_network()?;
            machine_time()
        });
        opened.await.map_err(Ended::before)??;
        let turns = Shard::all().map(|_| Arc::default()).collect();
        Ok(Self { root, turns, lock_wait: LOCK_WAIT })
    }

    pub(crate) const fn root(&self) -> &Arc<Path> {
        &self.root
    }

    /// Does `job` with the locked shard, or with `None` if there is no such shard.
    pub(crate) async fn locked<T, J>(&self, shard: Shard, access: Access, job: J) -> Result<T, StoreError>
    where
        T: Send + 'static,
        J: FnOnce(Option<&Locked>, MachineTime) -> Result<T, Failure> + Send + 'static,
    {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        let busy = || {
            let path = shard::lock_path(&self.root, shard);
            StoreError::from(Failure::NotDone(FileStoreError::new(FileStoreErrorKind::Locked, path)))
        };
        // Without a runtime, its timer panics.
        runtime(&self.root).map_err(Failure::NotDone)?;
        let turn = Arc::clone(self.turns.get(usize::from(shard.number())).ok_or_else(busy)?);
        let turn = tokio::time::timeout(self.lock_wait, turn.lock_owned()).await.map_err(|_| busy())?;
        let mut waiting = Waiting { turn, job };
        let mut pause = FIRST_PAUSE;
        loop {
            let root = Arc::clone(&self.root);
            let tried = blocking(&self.root, move || waiting.try_now(&root, shard, access)).await;
            waiting = match tried.map_err(Ended::during)? {
                Attempt::Done(result) => return result.map_err(StoreError::from),
                Attempt::Busy(waiting) => waiting,
            };
            if clock.monotonic().saturating_sub(began) >= self.lock_wait {
                return Err(busy());
            }
            clock.sleep(jitter(pause)).await;
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
    }

    /// Does what only reads, and so needs no turn.
    pub(crate) async fn unlocked<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    {
        let root = Arc::clone(&self.root);
        let read = blocking(&self.root, move || work(&root)).await;
        Ok(read.map_err(|ended| Failure::NotDone(ended.before()))??)
    }
}

/// A call whose turn it is in this process, while another process has the shard.
struct Waiting<J> {
    turn: OwnedMutexGuard<()>,
    job: J,
}

enum Attempt<T, J> {
    Done(Result<T, Failure>),
    Busy(Waiting<J>),
}

impl<J> Waiting<J> {
    fn try_now<T>(self, root: &Path, shard: Shard, access: Access) -> Attempt<T, J>
    where
        J: FnOnce(Option<&Locked>, MachineTime) -> Result<T, Failure>,
    {
        let locked = match shard::try_lock(root, shard, access) {
            Ok(Tried::Busy) => return Attempt::Busy(self),
            Ok(Tried::Nothing) => None,
            Ok(Tried::Locked(locked)) => Some(locked),
            Err(error) => return Attempt::Done(Err(error.into())),
        };
        // The turn ends with this call, not with its caller, who may have gone away.
        let Self { turn: _turn, job } = self;
        // Read under the lock: who waited for it sees the time as it is then.
        let result = machine_time().map_err(Failure::from).and_then(|now| job(locked.as_ref(), now));
        drop(locked);
        Attempt::Done(result)
    }
}

/// Work that did not come to its end.
enum Ended {
    /// It was never begun.
    NotBegun(FileStoreError),
    /// It panicked.
    Broken(FileStoreError),
}

impl Ended {
    fn before(self) -> FileStoreError {
        match self {
            Self::NotBegun(error) | Self::Broken(error) => error,
        }
    }

    fn during(self) -> StoreError {
        StoreError::from(match self {
            Self::NotBegun(error) => Failure::NotDone(error),
            Self::Broken(error) => Failure::Unknown(error),
        })
    }
}

fn runtime(root: &Path) -> Result<Handle, FileStoreError> {
    Handle::try_current().map_err(|_| FileStoreError::new(FileStoreErrorKind::NoRuntime, root))
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Ended> {
    let runtime = runtime(root).map_err(Ended::NotBegun)?;
    runtime.spawn_blocking(work).await.map_err(|error| {
        let ended = FileStoreError::new(FileStoreErrorKind::NoRuntime, root);
        if error.is_cancelled() { Ended::NotBegun(ended) } else { Ended::Broken(ended) }
    })
}

/// Between a half and the whole of `pause`, so that those who wait for one lock do not come back together.
fn jitter(pause: Duration) -> Duration {
    let half = pause / 2;
    let random = shard::random() % 1024;
    half.saturating_add(half.saturating_mul(u32::try_from(random).unwrap_or_default()) / 1024)
}

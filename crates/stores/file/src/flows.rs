//! The pending flows of one shard: stored once, given out once, let go of.

use std::time::Duration;

use authflow_core::PendingFlow;
use zeroize::Zeroizing;

use crate::error::{Failure, FileStoreError, FileStoreErrorKind};
use crate::flow_format::{self, MAX_FILE};
use crate::machine_time::{Deadline, MachineTime};
use crate::names::{FLOWS, FlowName};
use crate::shard::{self, Locked, sorted};
use crate::system::Dir;
use crate::whole_file::{self, is_about_the_file};

/// How many others one store looks at, to let go of those that have ended: more than the one that it adds.
const LOOK_AT: usize = 8;

/// The flows of a shard that is locked for a change.
pub(crate) struct Flows<'l> {
    dir: Dir,
    /// As long as it is locked.
    _locked: &'l Locked,
}

/// What is at a name.
enum Found {
    Nothing,
    Whole { ends: Deadline, bytes: Zeroizing<Vec<u8>> },
    Unreadable(FileStoreError),
}

impl<'l> Flows<'l> {
    /// Those that are there, if any ever were.
    pub(crate) fn open(locked: &'l Locked) -> Result<Option<Self>, FileStoreError> {
        Ok(locked.dir().open_child(FLOWS)?.map(|dir| Self { dir, _locked: locked }))
    }

    /// The same, and the directory is made where it is missing.
    pub(crate) fn make(locked: &'l Locked) -> Result<Self, FileStoreError> {
        Ok(Self { dir: locked.dir().make_child(FLOWS)?, _locked: locked })
    }

    /// Stores a flow under a name that no flow has which goes on. At `most` flows another one goes for it.
    pub(crate) fn store(
        &self,
        name: &FlowName,
        flow: &PendingFlow,
        ttl: Duration,
        most: usize,
        now: MachineTime,
    ) -> Result<(), Failure> {
        match self.find(name)? {
            Found::Nothing => {}
            Found::Whole { ends, .. } if ends.has_come(now) => {}
            // Of what cannot be read it is not known that it has ended.
            Found::Whole { .. } | Found::Unreadable(_) => return Err(Failure::Conflict),
        }
        let file = name.name();
        let too_long = || FileStoreError::new(FileStoreErrorKind::TooLong, self.dir.path(&file));
        let bytes = flow_format::encode(name, &now.after(ttl), flow).ok_or_else(too_long)?;
        // Before it is written: on a full disk, what has ended makes room.
        let give_way = self.sweep(name, most, now)?;
        whole_file::replace(&self.dir, &file, &bytes)?;
        for other in give_way {
            // The flow is stored; a file that stays is met again.
            let _ = self.dir.remove(&other.name());
        }
        Ok(())
    }

    /// Gives a flow out, to whoever removed its file.
    pub(crate) fn take(&self, name: &FlowName, now: MachineTime) -> Result<Option<PendingFlow>, Failure> {
        let file = name.name();
        match self.find(name)? {
            Found::Nothing => Ok(None),
            Found::Whole { ends, .. } if ends.has_come(now) => {
                // It is as good as absent, whether it can be removed or not.
                let _ = self.dir.remove(&file);
                Ok(None)
            }
            Found::Whole { bytes, .. } => {
                if !whole_file::remove(&self.dir, &file)? {
                    return Ok(None);
                }
                let damaged = |damage| {
                    let kind = FileStoreErrorKind::Unreadable(damage);
                    Failure::Corrupt(FileStoreError::new(kind, self.dir.path(&file)))
                };
                let (_, flow) = flow_format::decode(name, &bytes).map_err(damaged)?;
                PendingFlow::from_bytes(flow).map(Some).map_err(Failure::Flow)
            }
            Found::Unreadable(reason) => {
                whole_file::remove(&self.dir, &file)?;
                Err(Failure::Corrupt(reason))
            }
        }
    }

    /// Lets go of a few that have ended, and says which are to give way where there are too many: what cannot be read, then
    /// those that end first, of the ones looked at.
    fn sweep(&self, own: &FlowName, most: usize, now: MachineTime) -> Result<Vec<FlowName>, FileStoreError> {
        let mut others = sorted(&self.dir.names()?, FlowName::parse);
        others.retain(|other| other != own);
        let mut count = others.len();
        // Anywhere: those that last long must not stand before the others for ever.
        let from =
            usize::try_from(shard::random()).unwrap_or_default().checked_rem(count).unwrap_or_default();
        let mut last = Vec::new();
        for other in others.iter().cycle().skip(from).take(count.min(LOOK_AT)) {
            let left = match self.find(other) {
                Ok(Found::Whole { ends, .. }) => ends.remaining(now),
                Ok(Found::Unreadable(_)) => Some(Duration::ZERO),
                Ok(Found::Nothing) => None,
                Err(_) => continue,
            };
            match left {
                Some(left) => last.push((left, *other)),
                None if self.dir.remove(&other.name()).is_ok() => count = count.saturating_sub(1),
                None => {}
            }
        }
        last.sort_unstable();
        // More than one where the cap was higher before.
        let too_many = count.saturating_add(1).saturating_sub(most);
        Ok(last.into_iter().take(too_many).map(|(_, other)| other).collect())
    }

    fn find(&self, name: &FlowName) -> Result<Found, FileStoreError> {
        let file = name.name();
        let bytes = match whole_file::read(&self.dir, &file, MAX_FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Found::Nothing),
            Err(error) if is_about_the_file(&error) => return Ok(Found::Unreadable(error)),
            Err(error) => return Err(error),
        };
        let decoded = flow_format::decode(name, &bytes).map(|(ends, _)| ends);
        Ok(match decoded {
            Ok(ends) => Found::Whole { ends, bytes },
            Err(damage) => Found::Unreadable(FileStoreError::new(
                FileStoreErrorKind::Unreadable(damage),
                self.dir.path(&file),
            )),
        })
    }
}

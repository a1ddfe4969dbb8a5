//! Directories and files by their descriptors.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::LockFile;
use crate::error::{Doing, FileStoreError, FileStoreErrorKind};
use crate::machine_time::MachineTime;

/// What every file is opened with. Without `NONBLOCK`, opening a pipe that somebody put there would wait for ever.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Whatever others than the owner may do.
const OTHERS: u32 = 0o077;

/// A directory that is the user's alone.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: File,
    path: PathBuf,
}

impl Dir {
    /// Makes the directory, and those above it, where they are missing.
    pub(crate) fn make_root(path: &Path) -> Result<(), FileStoreError> {
        let is_missing =
            |path: &&Path| !path.as_os_str().is_empty() && std::fs::symlink_metadata(path).is_err();
        let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let failed = |error: io::Error| FileStoreError::io(Doing::Make, path, error);
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed)?;
        // A name is kept by the directory that it is in.
        for above in missing.into_iter().filter_map(Path::parent) {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            match File::open(above) {
                Ok(above) => above.sync_all().or_else(ignore_unsupported).map_err(failed)?,
                // It may be entered and not listed: then its owner brings it to the disk.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Opens the directory, if it is safe.
    pub(crate) fn open_root(path: &Path) -> Result<Self, FileStoreError> {
        Self::open(CWD, path, path.to_owned())?
            .ok_or_else(|| FileStoreError::io(Doing::Open, path, io::ErrorKind::NotFound))
    }

    /// Opens the directory in this one, if there is one.
    pub(crate) fn open_child(&self, name: &str) -> Result<Option<Self>, FileStoreError> {
        Self::open(&self.fd, Path::new(name), self.path(name))
    }

    /// Opens the directory in this one, and makes it if there is none.
    pub(crate) fn make_child(&self, name: &str) -> Result<Self, FileStoreError> {
        if let Some(child) = self.open_child(name)? {
            return Ok(child);
        }
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            // Another process may have been faster, and end before its directory is on the disk.
            Ok(()) | Err(Errno::EXIST) => {
                self.sync().map_err(|error| FileStoreError::io(Doing::Sync, &*self.path, error))?;
            }
            Err(error) => return Err(FileStoreError::io(Doing::Make, self.path(name), error)),
        }
        let missing = || FileStoreError::io(Doing::Open, self.path(name), io::ErrorKind::NotFound);
        self.open_child(name)?.ok_or_else(missing)
    }

    fn open(at: impl std::os::fd::AsFd, name: &Path, path: PathBuf) -> Result<Option<Self>, FileStoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | SAFELY;
        let fd = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            // Which of the two it is differs from system to system.
            Err(error @ (Errno::NOTDIR | Errno::LOOP | Errno::MLINK)) => {
                let kind = match rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_symlink() => {
                        FileStoreErrorKind::Symlink
                    }
                    Ok(_) => FileStoreErrorKind::NotADirectory,
                    Err(_) => return Err(FileStoreError::io(Doing::Open, path, error)),
                };
                return Err(FileStoreError::new(kind, path));
            }
            Err(error) => return Err(FileStoreError::io(Doing::Open, path, error)),
        };
        let metadata = fd.metadata().map_err(|error| FileStoreError::io(Doing::Open, &*path, error))?;
        check_owner(metadata.mode(), metadata.uid(), true, &path)?;
        Ok(Some(Self { fd, path }))
    }

    /// Refuses a file system that several machines share.
    #[cfg(target_os = "linux")]
    pub(crate) fn refuse_network(&self) -> Result<(), FileStoreError> {
        let stat = rustix::fs::fstatfs(&self.fd)
            .map_err(|error| FileStoreError::io(Doing::Open, &*self.path, error))?;
        // The type of this field differs with the processor; the numbers have 32 bits.
        if is_network(stat.f_type as u32) {
            return Err(FileStoreError::new(FileStoreErrorKind::NetworkFileSystem, &*self.path));
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn refuse_network(&self) -> Result<(), FileStoreError> {
        Ok(())
    }

    /// Opens a file to read it, if there is one.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>, FileStoreError> {
        self.open_checked(name, OFlags::RDONLY)
    }

    /// Opens the file that a lock is taken on.
    pub(crate) fn open_lock(&self, name: &str, how: LockFile) -> Result<Option<File>, FileStoreError> {
        match how {
            LockFile::AsItIs => self.open_checked(name, OFlags::RDONLY),
            LockFile::Made => self.open_checked(name, OFlags::RDWR | OFlags::CREATE),
        }
    }

    /// Whether the name of a file that was opened is gone since.
    pub(crate) fn is_gone(file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn open_checked(&self, name: &str, flags: OFlags) -> Result<Option<File>, FileStoreError> {
        let failed = |error: io::Error| FileStoreError::io(Doing::Open, self.path(name), error);
        let file = match rustix::fs::openat(&self.fd, name, flags | SAFELY, FILE_MODE) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => {
                return Err(FileStoreError::new(FileStoreErrorKind::Symlink, self.path(name)));
            }
            Err(Errno::ISDIR | Errno::NXIO) => {
                return Err(FileStoreError::new(FileStoreErrorKind::NotAFile, self.path(name)));
            }
            Err(error) => return Err(failed(error.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileStoreError::new(FileStoreErrorKind::NotAFile, self.path(name)));
        }
        check_owner(metadata.mode(), metadata.uid(), false, &self.path(name))?;
        Ok(Some(file))
    }

    /// Makes a file that is not there.
    pub(crate) fn create_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFELY;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, FILE_MODE)?))
    }

    /// Removes a file; `false` if it is not there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file the name of another, in its place.
    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Brings the names to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Of Apple's systems, `fsync` alone leaves to the drive when it writes.
        let synced = self.fd.sync_all();
        #[cfg(target_vendor = "apple")]
        let synced = synced.or_else(|_| rustix::fs::fsync(&self.fd).map_err(io::Error::from));
        synced.or_else(ignore_unsupported)
    }

    /// The names in it, in no order.
    pub(crate) fn names(&self) -> Result<Vec<String>, FileStoreError> {
        let failed = |error: Errno| FileStoreError::io(Doing::Read, &*self.path, error);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // What is no text is none of the store's.
            if let Ok(name) = entry.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// For errors.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn check_owner(mode: u32, owner: u32, directory: bool, path: &Path) -> Result<(), FileStoreError> {
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(FileStoreError::new(FileStoreErrorKind::Foreign { owner, user }, path));
    }
    let mode = mode & 0o7777;
    if mode & OTHERS != 0 {
        return Err(FileStoreError::new(FileStoreErrorKind::Shared { mode, directory }, path));
    }
    Ok(())
}

/// A file system that cannot bring a directory to the disk says that the argument is wrong. It has no names to lose.
fn ignore_unsupported(error: io::Error) -> io::Result<()> {
    match Errno::from_io_error(&error) {
        Some(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        _ => Err(error),
    }
}

/// Whether an error says that there are too many open files.
pub(crate) fn is_out_of_files(error: i32) -> bool {
    [Errno::MFILE, Errno::NFILE].contains(&Errno::from_raw_os_error(error))
}

/// The numbers that Linux gives to file systems of several machines, of statfs(2): AFS, two of them, Ceph, CIFS, Coda, GFS2,
/// Lustre, NCP, NFS, OCFS2, SMB and SMB2.
#[cfg(target_os = "linux")]
const fn is_network(number: u32) -> bool {
    matches!(
        number,
        0x5346_414F
            | 0x6B41_4653
            | 0x00C3_6400
            | 0xFF53_4D42
            | 0x7375_7245
            | 0x0116_1970
            | 0x0BD0_0BD0
            | 0x564C
            | 0x6969
            | 0x7461_636F
            | 0x517B
            | 0xFE53_4D42
    )
}

#[cfg(target_os = "linux")]
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// 32 hexadecimal digits, with hyphens.
#[cfg(target_os = "linux")]
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|character| *character != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(number.to_be_bytes())
}

/// The time by the clock of this machine.
#[cfg(target_os = "linux")]
pub(crate) fn machine_time() -> Result<MachineTime, FileStoreError> {
    use std::sync::OnceLock;

    // A boot lasts longer than any process.
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    let boot = match BOOT.get() {
        Some(boot) => *boot,
        None => {
            let read = std::fs::read_to_string(BOOT_ID).ok().and_then(|text| parse_boot_id(&text));
            let boot =
                read.ok_or_else(|| FileStoreError::new(FileStoreErrorKind::NoMachineClock, BOOT_ID))?;
            *BOOT.get_or_init(|| boot)
        }
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let since = std::time::Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    );
    Ok(MachineTime::new(boot, since))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn machine_time() -> Result<MachineTime, FileStoreError> {
    Ok(super::wall_time())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn x10_file_systems_of_several_machines_are_known() {
        for number in [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42, 0x00C3_6400] {
            assert!(is_network(number), "{number:x}");
        }
        // ext4, tmpfs, btrfs, xfs, overlayfs.
        for number in [0xEF53, 0x0102_1994, 0x9123_683E, 0x5846_5342, 0x794C_7630] {
            assert!(!is_network(number), "{number:x}");
        }
    }

    #[test]
    fn x17_the_boot_has_a_name_and_the_clock_goes_on() {
        let id = "724c53a5-fe11-4abe-a0be-ce30dbb4fc44\n";
        assert_eq!(parse_boot_id(id), Some(0x724c_53a5_fe11_4abe_a0be_ce30_dbb4_fc44_u128.to_be_bytes()));
        for other in [
            "",
            "\n",
            "not known",
            "724c53a5-fe11-4abe-a0be-ce30dbb4fc4",
            "+24c53a5fe114abea0bece30dbb4fc444",
        ] {
            assert_eq!(parse_boot_id(other), None, "{other}");
        }
        let (first, second) = (machine_time().unwrap(), machine_time().unwrap());
        let lease = first.after(std::time::Duration::from_secs(3600));
        assert!(lease.remaining(second).is_some_and(|left| left <= std::time::Duration::from_secs(3600)));
    }

    #[test]
    fn what_a_file_system_cannot_do_is_no_failure() {
        assert!(ignore_unsupported(Errno::INVAL.into()).is_ok());
        assert!(ignore_unsupported(Errno::IO.into()).is_err());
        assert!(is_out_of_files(Errno::MFILE.raw_os_error()) && !is_out_of_files(Errno::IO.raw_os_error()));
    }
}

//! Directories and files by their paths, with what the standard library can do everywhere.
//!
//! Who may read a file is not checked here: the standard library reads no access control list. A directory in the user's
//! profile is closed to other users by default.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::LockFile;
use crate::error::{Doing, FileStoreError, FileStoreErrorKind};
use crate::machine_time::MachineTime;

/// A directory.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
}

impl Dir {
    /// Makes the directory, and those above it, where they are missing.
    pub(crate) fn make_root(path: &Path) -> Result<(), FileStoreError> {
        if fs::symlink_metadata(path).is_ok() {
            return Ok(());
        }
        fs::create_dir_all(path).map_err(|error| FileStoreError::io(Doing::Make, path, error))
    }

    /// Opens the directory, if it is one.
    pub(crate) fn open_root(path: &Path) -> Result<Self, FileStoreError> {
        Self::open(path.to_owned())?
            .ok_or_else(|| FileStoreError::io(Doing::Open, path, io::ErrorKind::NotFound))
    }

    /// Opens the directory in this one, if there is one.
    pub(crate) fn open_child(&self, name: &str) -> Result<Option<Self>, FileStoreError> {
        Self::open(self.path(name))
    }

    /// Opens the directory in this one, and makes it if there is none.
    pub(crate) fn make_child(&self, name: &str) -> Result<Self, FileStoreError> {
        let path = self.path(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(FileStoreError::io(Doing::Make, path, error))
            }
            _ => Self::open_root(&path),
        }
    }

    fn open(path: PathBuf) -> Result<Option<Self>, FileStoreError> {
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Ok(Some(Self { path })),
            Ok(metadata) if metadata.is_symlink() => FileStoreErrorKind::Symlink,
            Ok(_) => FileStoreErrorKind::NotADirectory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileStoreError::io(Doing::Open, path, error)),
        };
        Err(FileStoreError::new(kind, path))
    }

    pub(crate) fn refuse_network(&self) -> Result<(), FileStoreError> {
        Ok(())
    }

    /// Opens a file to read it, if there is one.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>, FileStoreError> {
        self.open_checked(name, OpenOptions::new().read(true))
    }

    /// Opens the file that a lock is taken on.
    pub(crate) fn open_lock(&self, name: &str, how: LockFile) -> Result<Option<File>, FileStoreError> {
        let mut options = OpenOptions::new();
        options.read(true);
        if how == LockFile::Made {
            options.write(true).create(true).truncate(false);
        }
        self.open_checked(name, &options)
    }

    /// Whether the name of a file that was opened is gone since. The systems that this is for keep the name of an open file.
    pub(crate) fn is_gone(_: &File) -> bool {
        false
    }

    fn open_checked(&self, name: &str, options: &OpenOptions) -> Result<Option<File>, FileStoreError> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                return Err(FileStoreError::new(FileStoreErrorKind::Symlink, path));
            }
            Ok(metadata) if !metadata.is_file() => {
                return Err(FileStoreError::new(FileStoreErrorKind::NotAFile, path));
            }
            _ => {}
        }
        match options.open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileStoreError::io(Doing::Open, path, error)),
        }
    }

    /// Makes a file that is not there.
    pub(crate) fn create_new(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path(name))
    }

    /// Removes a file; `false` if it is not there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a file the name of another, in its place.
    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    /// These systems do not open directories, and bring names to the disk by themselves.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// The names in it, in no order.
    pub(crate) fn names(&self) -> Result<Vec<String>, FileStoreError> {
        let failed = |error: io::Error| FileStoreError::io(Doing::Read, &*self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            // What is no text is none of the store's.
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// For errors.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// The time by the clock of this machine.
pub(crate) fn machine_time() -> Result<MachineTime, FileStoreError> {
    Ok(super::wall_time())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_file_is_written_replaced_and_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        Dir::make_root(&path).unwrap();
        Dir::make_root(&path).unwrap();
        let root = Dir::open_root(&path).unwrap();
        root.refuse_network().unwrap();
        assert!(root.open_child("00").unwrap().is_none());
        let child = root.make_child("00").unwrap();
        root.make_child("00").unwrap();
        assert!(child.open_lock("lock", LockFile::AsItIs).unwrap().is_none());
        let lock = child.open_lock("lock", LockFile::Made).unwrap().unwrap();
        assert!(!Dir::is_gone(&lock));
        for text in ["one", "two"] {
            child.create_new("new").unwrap().write_all(text.as_bytes()).unwrap();
            assert_eq!(child.create_new("new").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            child.replace("new", "record").unwrap();
            child.sync().unwrap();
            let mut read = String::new();
            child.open_file("record").unwrap().unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        let mut names = child.names().unwrap();
        names.sort();
        assert_eq!(names, ["lock", "record"]);
        assert!(child.remove("record").unwrap());
        assert!(!child.remove("record").unwrap());
        assert!(child.open_file("record").unwrap().is_none());
        machine_time().unwrap();
    }

    #[test]
    fn g14_what_is_no_directory_and_no_file_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Dir::open_root(temporary.path()).unwrap();
        fs::write(root.path("file"), "").unwrap();
        fs::create_dir(root.path("directory")).unwrap();
        let kind = |result: Result<Option<Dir>, FileStoreError>| result.unwrap_err().kind();
        assert_eq!(kind(root.open_child("file")), FileStoreErrorKind::NotADirectory);
        assert_eq!(root.open_file("directory").unwrap_err().kind(), FileStoreErrorKind::NotAFile);
        #[cfg(unix)]
        for target in ["file", "directory"] {
            let link = format!("link-to-{target}");
            std::os::unix::fs::symlink(root.path(target), root.path(&link)).unwrap();
            assert_eq!(kind(root.open_child(&link)), FileStoreErrorKind::Symlink);
            assert_eq!(root.open_file(&link).unwrap_err().kind(), FileStoreErrorKind::Symlink);
        }
        let missing = Dir::open_root(&root.path("missing")).unwrap_err();
        assert_eq!(missing.kind(), FileStoreErrorKind::Io(Doing::Open));
    }
}

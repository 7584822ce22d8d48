//! What a peer keeps from one start to the next, in a directory of its own: its identity and the members that it knew.
//!
//! Every file is written beside its place and moved there whole, so none is ever half-written. One that cannot be read is set
//! aside under another name, with a warning, and the peer goes on without it. A lock keeps a second process out.

use crate::{identity_file, random};
use cicada_proto::known::Known;
use cicada_wire::Identity;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// An open directory, locked until it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct State {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

/// Why a state directory is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is not there and cannot be made.
    #[error("the state directory {} cannot be made: {source}", .directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another peer uses it.
    #[error("the state directory {} is in use by another peer", .directory.display())]
    InUse {
        /// Which.
        directory: PathBuf,
    },
    /// A file in it cannot be read or written.
    #[error("the state file {}: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl State {
    /// Opens a directory, making it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        make_directory(path).map_err(|source| StateError::Directory { directory: path.to_owned(), source })?;
        let file = path.join(LOCK);
        let failed = |source| StateError::File { file: file.clone(), source };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { directory: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { directory: Arc::new(Directory { path: path.to_owned(), _lock: lock }) })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }

    /// The identity kept here; a fresh one is made and kept if there is none that can be read.
    pub(crate) fn identity(&self) -> Result<Identity, StateError> {
        let file = self.file(IDENTITY);
        let failed = |source| StateError::File { file: file.clone(), source };
        if let Some(bytes) = read(&file).map_err(failed)?.map(Zeroizing::new) {
            match identity_file::parse(&bytes) {
                Ok(identity) => {
                    identity_file::warn_when_others_may_read(&file);
                    return Ok(identity);
                }
                Err(what) => set_aside(&file, what).map_err(failed)?,
            }
        }
        let seed: [u8; 32] = random::bytes().map_err(|error| failed(io::Error::other(error)))?;
        let identity = Identity::from_seed(&seed);
        write_whole(&file, identity_file::format(&identity).as_bytes()).map_err(failed)?;
        Ok(identity)
    }

    /// The members kept here.
    pub(crate) fn members(&self, limit: usize) -> Result<Known, StateError> {
        let file = self.file(MEMBERS);
        let failed = |source| StateError::File { file: file.clone(), source };
        let Some(bytes) = read(&file).map_err(failed)? else { return Ok(Known::new(limit)) };
        let parsed = match std::str::from_utf8(&bytes) {
            Ok(text) => Known::parse(text, limit).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        parsed.or_else(|what| {
            set_aside(&file, &what).map_err(failed)?;
            Ok(Known::new(limit))
        })
    }

    /// Keeps members. Waits for the disk.
    pub(crate) fn keep_members(&self, text: &str) -> Result<(), StateError> {
        let file = self.file(MEMBERS);
        write_whole(&file, text.as_bytes()).map_err(|source| StateError::File { file, source })
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A file's bytes; `None` if there is none. One that is longer than any of ours is cut, and then is none of ours.
fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    use io::Read;
    match File::open(file) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(LONGEST).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file beside its place, and moves it there once it is on the disk. Only its owner may read it.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = with_suffix(file, ".new");
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&beside)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all()).and_then(|()| fs::rename(&beside, file));
    written.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    })?;
    sync_directory(file);
    Ok(())
}

/// That the move survives a power cut is a good-faith effort: either file is whole.
fn sync_directory(file: &Path) {
    if cfg!(unix)
        && let Some(directory) = file.parent()
        && let Ok(directory) = File::open(directory)
    {
        let _ = directory.sync_all();
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Gives a file that cannot be read another name, and says so.
fn set_aside(file: &Path, what: &str) -> io::Result<()> {
    let free = (1..MOST_ASIDE).map(|number| with_suffix(file, &format!(".corrupt-{number}"))).find(|aside| !aside.exists());
    let aside = free.unwrap_or_else(|| with_suffix(file, &format!(".corrupt-{MOST_ASIDE}")));
    fs::rename(file, &aside)?;
    tracing::warn!(file = %file.display(), set_aside_as = %aside.display(), "a state file cannot be read: {what}");
    Ok(())
}

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const MEMBERS: &str = "members";

/// Far beyond the members that are kept.
const LONGEST: u64 = 8 * 1024 * 1024;

/// Files set aside; the last one is overwritten.
const MOST_ASIDE: u32 = 99; // guess

#[cfg(test)]
mod tests;

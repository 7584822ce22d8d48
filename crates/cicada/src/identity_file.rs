//! Identity files: an Ed25519 key that a peer keeps from one start to the next.
//!
//! Two lines of text: `cicada identity 1` (the version of the format), and the key's seed as 64 hexadecimal digits.

use crate::random;
use cicada_wire::Identity;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A file that keeps an identity.
///
/// Only its owner may read it; one that others may read is used, with a warning in the log. `cicada keygen FILE` makes such files too.
#[derive(Clone, Debug)]
pub struct IdentityFile {
    path: PathBuf,
}

impl IdentityFile {
    /// The file at this path, whether it is there or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The identity in it. Waits for the disk.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or holds no identity. It is left as it is.
    pub fn read(&self) -> Result<Identity, IdentityFileError> {
        let bytes = read(&self.path).map_err(|source| self.failed(source))?;
        let identity = parse(&bytes).map_err(|what| IdentityFileError::Content { path: self.path.clone(), what })?;
        warn_when_others_may_read(&self.path);
        Ok(identity)
    }

    /// The identity in it; a fresh one, kept there from now on, if there is no such file. Waits for the disk.
    ///
    /// # Errors
    /// When it is there and cannot be used, which leaves it as it is, or cannot be made.
    pub fn read_or_make(&self) -> Result<Identity, IdentityFileError> {
        match self.read() {
            Err(IdentityFileError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => self.make(),
            read => read,
        }
    }

    fn make(&self) -> Result<Identity, IdentityFileError> {
        let seed: [u8; 32] = random::bytes().map_err(|error| self.failed(io::Error::other(error)))?;
        let seed = Zeroizing::new(seed);
        let identity = Identity::from_seed(&seed);
        match create_whole(&self.path, Self::text(&identity).as_bytes()) {
            Ok(()) => {
                tracing::info!(file = %self.path.display(), key = %identity.public(), "made a new identity");
                Ok(identity)
            }
            // Somebody else was as quick: its identity is the one to use.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.read(),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// What the file of an identity holds. A secret.
    #[must_use]
    pub fn text(identity: &Identity) -> Zeroizing<String> {
        format(identity)
    }

    fn failed(&self, source: io::Error) -> IdentityFileError {
        IdentityFileError::File { path: self.path.clone(), source }
    }
}

/// Why an identity file is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// It cannot be read or made.
    #[error("the identity file {}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("the identity file {} {what}", .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// One that is longer than any identity file is cut, and then is none.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: what grows leaves what it outgrew in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_BYTES + 1));
    File::open(path)?.take(LONGEST_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the text of an identity file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Identity, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not a text")?;
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some(FIRST_LINE) {
        return Err("does not begin with `cicada identity 1`; `cicada keygen` makes such files");
    }
    let digits = lines.next().unwrap_or_default().as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) || lines.any(|line| !line.is_empty()) {
        return Err("does not hold 64 hexadecimal digits on its second line, and nothing else");
    }
    let mut seed = Zeroizing::new([0; 32]);
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |of: u8| char::from(of).to_digit(16).unwrap_or_default();
        // Two hexadecimal digits, as checked above, fit.
        *byte = (digit(pair[0]) * 16 + digit(pair[1])) as u8;
    }
    Ok(Identity::from_seed(&seed))
}

/// The text of an identity file.
pub(crate) fn format(identity: &Identity) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(FIRST_LINE.len() + 66));
    // Writing to a string does not fail.
    let _ = writeln!(text, "{FIRST_LINE}");
    for byte in identity.seed().iter() {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = writeln!(text);
    text
}

/// Makes a file for its owner only, which is whole from the moment it is there.
///
/// # Errors
/// `AlreadyExists` if there is one, which stays as it is.
fn create_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    let unique: [u8; 8] = random::bytes().map_err(io::Error::other)?;
    beside.push(format!(".{:016x}.new", u64::from_be_bytes(unique)));
    let beside = PathBuf::from(beside);
    let written = create(&beside, bytes).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => create(path, bytes), // some file systems have no links
        linked => linked,
    });
    // The first error is the one to tell.
    let _ = fs::remove_file(&beside);
    written
}

/// Writes a new file; a half-written one is taken away again.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    })
}

/// A warning in the log, if others than its owner may read the file.
#[cfg(unix)]
pub(crate) fn warn_when_others_may_read(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = fs::metadata(file) else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "others may read this identity file; chmod 600 would keep them out");
    }
}

#[cfg(not(unix))]
pub(crate) fn warn_when_others_may_read(_file: &Path) {}

const FIRST_LINE: &str = "cicada identity 1";

/// Guess: room for blank lines; the text has 83 bytes.
const LONGEST_BYTES: usize = 4096;

#[cfg(test)]
mod tests;

//! Files for their owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// What is to stand in a file.
pub(super) struct Secret {
    pub(super) path: PathBuf,
    pub(super) text: Zeroizing<String>,
}

/// Writes new files, all of them or none. With `force` they may take the place of old ones: all are written beside them first, so
/// that there is no moment without a whole file.
pub(super) fn write_all(secrets: &[Secret], force: bool) -> Result<(), Failure> {
    let mut made = Vec::new();
    let written = secrets.iter().try_for_each(|secret| {
        let path = if force { beside(&secret.path) } else { secret.path.clone() };
        create(&path, &secret.text).map_err(|error| failure(&secret.path, &error))?;
        made.push(path);
        Ok(())
    });
    let moved = written.and_then(|()| {
        let mut moves = made.iter().zip(secrets).filter(|(path, secret)| **path != secret.path);
        moves.try_for_each(|(path, secret)| fs::rename(path, &secret.path).map_err(|error| failure(&secret.path, &error)))
    });
    moved.inspect_err(|_| {
        for path in &made {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
        }
    })
}

/// A half-written file is taken away again.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    })
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::failed(format!("{path} exists; what is in it would be lost (--force overwrites it)")),
        _ => Failure::failed(format!("cannot write {path}: {error}")),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

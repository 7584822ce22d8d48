//! Identity files: an Ed25519 key that a peer keeps from one start to the next.
//!
//! Two lines of text: `cicada identity 1` (the version of the format), and the key's seed as 64
//! hexadecimal digits. Only its owner may read the file, and an existing one is never overwritten
//! unless that is asked for: the identity in it could not be had again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cicada::Identity;
use rand::{TryRng as _, rngs::SysRng};
use serde_json::json;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;
use crate::settings::flags::Keygen;

/// `cicada keygen FILE`.
pub(crate) fn perform(keygen: &Keygen, as_json: bool) -> Result<(), Failure> {
    let identity = fresh()?;
    let path = &keygen.file;
    write(path, &identity, keygen.force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::failed(format!("{} exists; its identity would be lost (--force overwrites it)", path.display()))
        }
        _ => Failure::failed(format!("cannot write the identity to {}: {error}", path.display())),
    })?;
    let public = identity.public();
    let object = json!({
        "file": path.display().to_string(),
        "public_key": public.to_string(),
        "key_id": public.id().to_string(),
    });
    let text = format!("file        {}\npublic key  {public}\nkey id      {}", path.display(), public.id());
    Ok(output::either(as_json, &object, &text)?)
}

fn fresh() -> Result<Identity, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    let filled = SysRng.try_fill_bytes(seed.as_mut());
    filled.map_err(|error| Failure::failed(format!("the operating system gives no randomness: {error}")))?;
    Ok(Identity::from_seed(&seed))
}

/// Reads an identity file.
pub(crate) fn read(path: &Path) -> Result<Identity, Failure> {
    let refused = |what: String| Failure::refused(format!("identity file {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| refused(error.to_string()))?;
    let identity = parse(&text).map_err(|what| refused(what.to_owned()))?;
    warn_when_others_may_read(path);
    Ok(identity)
}

fn parse(text: &str) -> Result<Identity, &'static str> {
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some(FIRST_LINE) {
        return Err("does not begin with `cicada identity 1`; `cicada keygen` makes such files");
    }
    let digits = lines.next().unwrap_or_default().as_bytes();
    if digits.len() != 64 || lines.any(|line| !line.is_empty()) {
        return Err("does not hold 64 hexadecimal digits on its second line, and nothing else");
    }
    let mut seed = Zeroizing::new([0; 32]);
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.contains('+'));
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = value.ok_or("does not hold 64 hexadecimal digits on its second line")?;
    }
    Ok(Identity::from_seed(&seed))
}

fn format(identity: &Identity) -> Zeroizing<String> {
    let digits = Zeroizing::new(output::hex(identity.seed().as_ref()));
    Zeroizing::new(format!("{FIRST_LINE}\n{}\n", *digits))
}

/// A new file, or with `force` one in the place of the old: written beside it first, so that there
/// is no moment without a whole identity.
fn write(path: &Path, identity: &Identity, force: bool) -> io::Result<()> {
    if !force {
        return create(path).and_then(|mut file| fill(&mut file, path, identity));
    }
    let beside = beside(path);
    let mut file = create(&beside)?;
    fill(&mut file, &beside, identity)?;
    std::fs::rename(&beside, path).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Writes the identity; a half-written file is taken away again.
fn fill(file: &mut File, path: &Path, identity: &Identity) -> io::Result<()> {
    file.write_all(format(identity).as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(path);
    })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

#[cfg(unix)]
fn warn_when_others_may_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others may read this identity file; chmod 600 would keep them out");
    }
}

#[cfg(not(unix))]
fn warn_when_others_may_read(_path: &Path) {}

const FIRST_LINE: &str = "cicada identity 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let identity = Identity::from_seed(&[7; 32]);
        let read = parse(&format(&identity)).unwrap();
        assert_eq!(read.public(), identity.public());
    }

    #[test]
    fn a_file_that_is_no_identity_is_refused_with_a_reason() {
        let digits = "0f".repeat(32);
        assert!(parse(&format!("cicada identity 1\r\n{digits}\r\n\r\n")).is_ok(), "control");
        for (text, part) in [
            (String::new(), "does not begin"),
            (format!("cicada identity 2\n{digits}\n"), "does not begin"),
            (digits.clone(), "does not begin"),
            ("cicada identity 1\n".to_owned(), "64 hexadecimal digits"),
            (format!("cicada identity 1\n{digits}00\n"), "64 hexadecimal digits"),
            (format!("cicada identity 1\n{digits}\nmore\n"), "nothing else"),
            (format!("cicada identity 1\n{}\n", "+f".repeat(32)), "64 hexadecimal digits"),
            (format!("cicada identity 1\n{}\n", "ü".repeat(32)), "64 hexadecimal digits"),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

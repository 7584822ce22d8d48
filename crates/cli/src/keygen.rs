//! `cicada keygen`: identities, keys for two peers that are to trust each other, and secrets of swarms.
//!
//! All are random and are written to files that only their owner may read. An existing file is never overwritten unless that is
//! asked for: what is in it could not be had again.

use cicada::{Identity, IdentityFile};
use rand::{TryRng as _, rngs::SysRng};
use serde_json::json;
use std::path::Path;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;
use crate::settings::flags::Keygen;

pub(crate) mod pair;
mod secret_file;

use secret_file::Secret;

/// `cicada keygen`.
pub(crate) fn perform(keygen: &Keygen, as_json: bool) -> Result<(), Failure> {
    match (&keygen.file, keygen.pair.as_slice(), keygen.closed_swarm) {
        (Some(path), ..) => identity(path, keygen.force, as_json),
        (None, [first, second], _) => pair::perform(first, second, keygen.out.as_deref(), keygen.force, as_json),
        (None, _, true) => swarm(keygen.out.as_deref(), keygen.force, as_json),
        (None, _, false) => Err(Failure::refused("say what to make: FILE, --pair A B, or --swarm")),
    }
}

fn identity(path: &Path, force: bool, as_json: bool) -> Result<(), Failure> {
    let identity = Identity::from_seed(&*random()?);
    secret_file::write_all(&[Secret { path: path.to_owned(), text: IdentityFile::text(&identity) }], force)?;
    let public = identity.public();
    let object = json!({
        "file": path.display().to_string(),
        "public_key": public.to_string(),
        "key_id": public.id().to_string(),
    });
    let text = format!("file        {}\npublic key  {public}\nkey id      {}", path.display(), public.id());
    Ok(output::either(as_json, &object, &text)?)
}

/// Without a file the secret itself is what is printed, for other programs to keep.
fn swarm(out: Option<&Path>, force: bool, as_json: bool) -> Result<(), Failure> {
    let secret = strong()?;
    let Some(path) = out else {
        return Ok(output::either(as_json, &json!({"secret": *secret}), &secret)?);
    };
    let text = Zeroizing::new(format!("{}\n", *secret));
    secret_file::write_all(&[Secret { path: path.to_owned(), text }], force)?;
    let start = format!("cicada --swarm-secret-file {}", path.display());
    let object = json!({"file": path.display().to_string(), "start": start});
    let text = format!("file  {}\nEvery member needs a copy, and starts with\n  {start}", path.display());
    Ok(output::either(as_json, &object, &text)?)
}

/// A text that nobody guesses: 256 random bits in hexadecimal.
fn strong() -> Result<Zeroizing<String>, Failure> {
    Ok(Zeroizing::new(output::hex(random()?.as_ref())))
}

fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    let filled = SysRng.try_fill_bytes(bytes.as_mut());
    filled.map_err(|error| Failure::failed(format!("the operating system gives no randomness: {error}")))?;
    Ok(bytes)
}

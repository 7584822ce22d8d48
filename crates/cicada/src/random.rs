//! Randomness from the operating system.

use crate::error::BindError;
use rand::{TryRng, rngs::SysRng};

/// Fresh random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], BindError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| BindError::Randomness(std::io::Error::other(error)))?;
    Ok(bytes)
}

//! What fuzz targets do to true bytes.

/// `bytes` with changes that `input` says: places and what is done there. Nothing is done by an empty input.
pub fn patched(bytes: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in input.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0] & 0x0f, change[1]])) % bytes.len().max(1);
        match change[0] >> 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, change[2]),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= change[2]),
        }
    }
    bytes
}

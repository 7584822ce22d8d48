//! Payloads that both the peers and those who watch or attack them can make.

/// Bytes that no other size and seed has: first the seed as eight bytes (as many as fit), then a sequence that it starts.
pub(crate) fn payload(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = seed.to_be_bytes().to_vec();
    while bytes.len() < size {
        bytes.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    // A single byte is the seed's last one, so that short payloads differ too.
    if size < 8 { bytes[8 - size..8].to_vec() } else { bytes[..size].to_vec() }
}

/// xorshift64: Marsaglia 2003, "Xorshift RNGs".
pub(crate) fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

//! Pieces of a long payload, each checked as it comes.
//!
//! A payload's digest is the root of a tree (BLAKE3, section 2.1). The digests of its pieces are nodes of that tree, so that they
//! follow from the payload, and the root follows from them: whoever has them and the root checks each piece by itself. They travel
//! before the payload and add two thousandths to it.

use crate::statement::PayloadDigest;
use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use bytes::Bytes;
use std::fmt;

/// How long a piece is; the last one may be shorter.
pub const PIECE_BYTES: usize = 16 * 1024; // as many of BLAKE3's chunks as its authors' Bao suggests; hashed eight at a time

/// The digests of a payload's pieces, in their order.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceDigests(Bytes);

impl PieceDigests {
    /// How many bytes the digests of a payload of `length` bytes take. A single piece needs none: its digest is the payload's.
    #[must_use]
    pub const fn len_bytes(length: usize) -> usize {
        if length <= PIECE_BYTES { 0 } else { length.div_ceil(PIECE_BYTES) * DIGEST_BYTES }
    }

    /// Those of this payload; `None` for a single piece.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        if payload.len() <= PIECE_BYTES {
            return None;
        }
        let mut digests = Vec::with_capacity(Self::len_bytes(payload.len()));
        for (index, piece) in payload.chunks(PIECE_BYTES).enumerate() {
            digests.extend_from_slice(&digest_of(index, piece));
        }
        Some(Self(digests.into()))
    }

    /// What somebody says are those of a payload of `length` bytes with this digest; `None` if they are not.
    #[must_use]
    pub fn parse(bytes: &Bytes, length: usize, digest: PayloadDigest) -> Option<Self> {
        let (digests, rest) = bytes.as_chunks::<DIGEST_BYTES>();
        let right = length > PIECE_BYTES && rest.is_empty() && bytes.len() == Self::len_bytes(length) && root(digests) == digest;
        right.then(|| Self(bytes.clone()))
    }

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Whether these bytes are the payload's piece with this index.
    #[must_use]
    pub fn holds(&self, index: usize, piece: &[u8]) -> bool {
        let (digests, _) = self.0.as_chunks::<DIGEST_BYTES>();
        let fits = (1..=PIECE_BYTES).contains(&piece.len());
        digests.get(index).filter(|_| fits).is_some_and(|digest| *digest == digest_of(index, piece))
    }
}

impl fmt::Debug for PieceDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the digests of {} pieces", self.0.len() / DIGEST_BYTES)
    }
}

fn digest_of(index: usize, piece: &[u8]) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset((index * PIECE_BYTES) as u64).update(piece).finalize_non_root()
}

/// The root of the tree: of at least two pieces.
fn root(pieces: &[ChainingValue]) -> PayloadDigest {
    let (left, right) = halves(pieces);
    PayloadDigest(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
}

fn subtree(pieces: &[ChainingValue]) -> ChainingValue {
    if let [piece] = pieces {
        return *piece;
    }
    let (left, right) = halves(pieces);
    merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
}

/// The left half of a BLAKE3 tree is full: as many as the largest power of two that leaves something to its right.
fn halves(pieces: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    let left = pieces.len().next_power_of_two() / 2;
    pieces.split_at(left)
}

const DIGEST_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 / 7) as u8).collect()
    }

    #[test]
    fn the_digests_of_pieces_follow_from_the_payload_and_its_digest_from_them() {
        for length in [PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 1, 5 * PIECE_BYTES - 1, 33 * PIECE_BYTES + 7] {
            let payload = payload(length);
            let digests = PieceDigests::of(&payload).expect("more than one piece");
            assert_eq!(digests.to_bytes().len(), PieceDigests::len_bytes(length));
            assert_eq!(PieceDigests::parse(&digests.to_bytes(), length, PayloadDigest::of(&payload)).as_ref(), Some(&digests), "{length}");
            for (index, piece) in payload.chunks(PIECE_BYTES).enumerate() {
                assert!(digests.holds(index, piece));
            }
        }
    }

    #[test]
    fn no_other_piece_is_taken_for_one() {
        let payload = payload(3 * PIECE_BYTES);
        let digests = PieceDigests::of(&payload).expect("three pieces");
        let (first, second) = (&payload[..PIECE_BYTES], &payload[PIECE_BYTES..2 * PIECE_BYTES]);
        let mut flipped = first.to_vec();
        flipped[PIECE_BYTES - 1] ^= 1;
        for (index, piece) in [
            (0, &flipped[..]),
            (0, &first[1..]),
            (0, &[]),
            (0, &payload[..]),
            (1, first),
            (0, second),
            (3, first),
            (usize::MAX / PIECE_BYTES, first),
        ] {
            assert!(!digests.holds(index, piece), "{index}");
        }
        // The same bytes in another place are another piece.
        let zeros = PieceDigests::of(&[0; 2 * PIECE_BYTES]).expect("two pieces");
        assert_ne!(zeros.to_bytes()[..32], zeros.to_bytes()[32..]);
    }

    #[test]
    fn digests_that_do_not_make_the_payloads_are_refused() {
        let payload = payload(3 * PIECE_BYTES);
        let (digest, true_ones) = (PayloadDigest::of(&payload), PieceDigests::of(&payload).expect("three pieces").to_bytes());
        for place in 0..true_ones.len() {
            let mut bytes = true_ones.to_vec();
            bytes[place] ^= 0x10;
            assert_eq!(PieceDigests::parse(&bytes.into(), payload.len(), digest), None);
        }
        for wrong in [true_ones.slice(1..), true_ones.slice(32..), [&true_ones[..], &[0; 32]].concat().into(), Bytes::new()] {
            assert_eq!(PieceDigests::parse(&wrong, payload.len(), digest), None);
        }
        assert_eq!(PieceDigests::parse(&true_ones, payload.len() + 1, digest), None, "as many as that many pieces have");
        assert_eq!(PieceDigests::parse(&Bytes::new(), 5, PayloadDigest::of(b"hello")), None, "one piece has none");
        assert!(PieceDigests::of(b"hello").is_none());
    }
}

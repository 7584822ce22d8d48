//! A long payload as it comes by a stream: nobody sees a piece of it before it was checked.
//!
//! Between the head of a frame and its payload travel the digests of the payload's pieces, whose root the head names.

use super::{Unreadable, bulk::READ_STALL};
use crate::body::{Body, Room};
use bytes::{Bytes, BytesMut};
use cicada_wire::{Frame, PIECE_BYTES, PieceDigests, Refusal, Task};
use quinn::RecvStream;
use tokio::time::timeout;

/// How a payload ended.
pub(super) enum Arrived {
    Whole,
    Unneeded,
    Stalled,
}

/// Why it did not come to its end.
enum Halt {
    Unneeded,
    Stalled,
    Unreadable(Unreadable),
}

impl From<Unreadable> for Halt {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// Reads what follows `head` into `body`. `ahead` is what was read with the head.
pub(super) async fn receive(recv: &mut RecvStream, ahead: Bytes, head: &Frame, body: &Body) -> Result<Arrived, Unreadable> {
    match (Incoming { recv, buffer: ahead.into(), body }).run(head).await {
        Ok(()) => Ok(Arrived::Whole),
        Err(Halt::Unneeded) => Ok(Arrived::Unneeded),
        Err(Halt::Stalled) => Ok(Arrived::Stalled),
        Err(Halt::Unreadable(unreadable)) => Err(unreadable),
    }
}

struct Incoming<'a> {
    recv: &'a mut RecvStream,
    /// What was read and is not taken yet.
    buffer: BytesMut,
    body: &'a Body,
}

impl Incoming<'_> {
    async fn run(&mut self, head: &Frame) -> Result<(), Halt> {
        let refused = |refusal| Halt::Unreadable(Unreadable::Refused(refusal));
        let fixed = head.fixed().ok_or_else(|| refused(Refusal::Unexpected))?;
        let begins = if let Frame::Task(Task { offset, .. }, _) = head { *offset } else { 0 };
        let begins = usize::try_from(begins).ok().filter(|begins| begins.is_multiple_of(PIECE_BYTES));
        let begins = begins.ok_or_else(|| refused(Refusal::Malformed))?;
        // The head was checked: what it says of the payload's length is so.
        let ends = begins + self.body.len();
        let digests = self.take(PieceDigests::len_bytes(ends), self.body.len()).await?;
        let digests = PieceDigests::parse(&digests, ends, fixed.digest).ok_or_else(|| refused(Refusal::Altered))?;
        self.body.know(digests.clone());
        for at in (begins..ends).step_by(PIECE_BYTES) {
            if self.body.room().await == Room::Unneeded {
                return Err(Halt::Unneeded);
            }
            let left = ends - at;
            let length = left.min(PIECE_BYTES);
            let piece = self.take(length, left - length).await?;
            if !digests.holds(at / PIECE_BYTES, &piece) {
                return Err(refused(Refusal::Altered));
            }
            self.body.write(&[piece]);
        }
        Ok(())
    }

    /// The next `length` bytes; `more` will follow them.
    async fn take(&mut self, length: usize, more: usize) -> Result<Bytes, Halt> {
        while self.buffer.len() < length {
            let enough = length.min(self.buffer.len() + LEAST_BYTES);
            let most = length + more;
            tokio::select! {
                filled = timeout(READ_STALL, fill(self.recv, &mut self.buffer, enough, most)) => filled.map_err(|_| Halt::Stalled)??,
                () = self.body.unneeded() => return Err(Halt::Unneeded),
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }
}

/// Reads some dozens of packets at a time, until there are `enough` bytes; more than `most` should not come.
async fn fill(recv: &mut RecvStream, buffer: &mut BytesMut, enough: usize, most: usize) -> Result<(), Unreadable> {
    while buffer.len() < enough {
        let mut some = [const { Bytes::new() }; CHUNKS];
        let count = recv.read_chunks(&mut some).await?.unwrap_or(0);
        some[..count].iter().for_each(|chunk| buffer.extend_from_slice(chunk));
        if count == 0 || buffer.len() > most {
            // It ends too early, or does not end.
            return Err(Unreadable::Refused(Refusal::Malformed));
        }
    }
    Ok(())
}

/// Pieces of packets that are taken from a stream at once.
const CHUNKS: usize = 32; // guess: 40 KB

/// The least that a stream brings before it counts as stalled.
pub(super) const LEAST_BYTES: usize = 4096; // guess: a few packets

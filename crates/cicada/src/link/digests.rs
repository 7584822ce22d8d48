//! Digests of the pieces of payloads that are whole here, found out once for all links that they leave by.

use bytes::Bytes;
use cicada_wire::{MessageId, PieceDigests};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Of the latest messages.
#[derive(Default)]
pub(crate) struct Digests(Mutex<VecDeque<(MessageId, Arc<Found>)>>);

type Found = OnceLock<Option<PieceDigests>>;

impl Digests {
    /// Those of this message's payload; `None` for one that is a single piece. Takes some tenths of a second for a gigabyte.
    pub(crate) fn of(&self, message: MessageId, payload: &Bytes) -> Option<PieceDigests> {
        self.entry(message).get_or_init(|| PieceDigests::of(payload)).clone()
    }

    fn entry(&self, message: MessageId) -> Arc<Found> {
        // Nothing in here can leave the list half changed.
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = latest.iter().find(|(of, _)| *of == message) {
            return Arc::clone(found);
        }
        let found = Arc::new(Found::new());
        latest.push_back((message, Arc::clone(&found)));
        if latest.len() > REMEMBERED {
            latest.pop_front();
        }
        found
    }
}

/// Messages: those of a few broadcasts that leave at once; 32 KiB each of the longest by default.
const REMEMBERED: usize = 8; // guess

//! A payload while it arrives: one link writes, others read after it.
//!
//! It is held whole only if the node collects it. Otherwise it passes through: what the fastest reader has had for a while is let
//! go, and the writer waits for that reader, so that the transport holds the sender back.
//!
//! What was collected and breaks off pauses: its readers wait. Another payload that arrives, the rest of the same message, can
//! be joined to it; what comes of that is written where the first stopped, and held nowhere else.

use bytes::{Bytes, BytesMut};
use cicada_wire::{PIECE_BYTES, PieceDigests};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::sync::watch;

/// A payload that is arriving.
pub(crate) struct Body {
    state: Mutex<State>,
    /// Tells readers and the writer that something has changed.
    changed: watch::Sender<()>,
    length: usize,
    /// Known before anything of it is written.
    digests: OnceLock<PieceDigests>,
}

struct State {
    here: Here,
    /// How much has arrived.
    ends: usize,
    /// How far the fastest reader is.
    read: usize,
    fate: Fate,
    /// Nothing more is taken from its own stream.
    cut_off: bool,
}

/// What is here of it.
enum Here {
    /// Its latest pieces, and where the first of them begins.
    Pieces { pieces: VecDeque<Bytes>, begins: usize },
    /// All that has arrived, in one buffer, so that no byte is held twice.
    Growing(BytesMut),
    /// All of it.
    Whole(Bytes),
    /// Nothing: it is written into another payload, from this byte on.
    Elsewhere { body: Arc<Body>, begins: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It passes through, or nobody has said yet what shall become of it.
    Passing,
    /// All of it is kept.
    Collected,
    /// All that is here is kept; no more comes for now.
    Paused,
    /// Nobody needs it.
    Discarded,
    /// It will not become whole.
    Broken,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// There are no more.
    End,
    /// It will not become whole, or the beginning is gone.
    Broken,
}

/// What the writer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// There is some: write what is there.
    Some,
    /// Stop: nobody needs more.
    Unneeded,
}

/// What came of the rest of a payload that had paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// All is here now.
    Joined,
    /// The payload waits for no such rest any more.
    Unneeded,
    /// It is none: too short or too long, or not what the digests say.
    Altered,
}

impl Body {
    pub(crate) fn new(length: usize) -> Self {
        let state = State { here: Here::nothing(), ends: 0, read: 0, fate: Fate::Passing, cut_off: false };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), length, digests: OnceLock::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Nothing in here can leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- The writer

    /// These are the digests of all pieces of the message's payload, also of one of which this is the rest.
    pub(crate) fn know(&self, digests: PieceDigests) {
        // Said once.
        let _ = self.digests.set(digests);
    }

    /// Waits until there is room. Cancel-safe.
    pub(crate) async fn room(&self) -> Room {
        let mut changes = self.changed.subscribe();
        loop {
            let room = {
                let state = self.state();
                if state.cut_off {
                    return Room::Unneeded;
                }
                match state.fate {
                    Fate::Passing => (state.read + AHEAD_BYTES).saturating_sub(state.ends),
                    Fate::Collected => usize::MAX,
                    Fate::Paused | Fate::Discarded | Fate::Broken => return Room::Unneeded,
                }
            };
            if room > 0 {
                return Room::Some;
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Waits until nobody needs more of it. Cancel-safe.
    pub(crate) async fn unneeded(&self) {
        let mut changes = self.changed.subscribe();
        let is_needed = |state: &State| !state.cut_off && !matches!(state.fate, Fate::Paused | Fate::Discarded | Fate::Broken);
        while is_needed(&self.state()) {
            let _ = changes.changed().await;
        }
    }

    /// Whether it was given up, although somebody needs it.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.state().cut_off
    }

    /// How much has arrived.
    pub(crate) fn written(&self) -> usize {
        self.state().ends
    }

    /// Takes in what has arrived, and was checked.
    pub(crate) fn write(&self, chunks: &[Bytes]) {
        let mut state = self.state();
        let at = state.ends;
        if state.cut_off {
            return;
        }
        match state.fate {
            Fate::Passing | Fate::Collected => state.here.write(at, chunks),
            Fate::Discarded | Fate::Broken => {}
            // Whoever wrote it has given it up.
            Fate::Paused => return,
        }
        state.ends += chunks.iter().map(Bytes::len).sum::<usize>();
        if state.ends >= self.length {
            state.here.end();
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// No more of it comes. What was collected is kept, in case that it is gone on with.
    pub(crate) fn fail(&self) {
        let mut state = self.state();
        if state.ends < self.length {
            let keeps = matches!(state.here, Here::Growing(_)) && state.ends > 0;
            if keeps {
                state.fate = Fate::Paused;
            } else {
                state.fate = Fate::Broken;
                state.here = Here::nothing();
            }
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// No more is taken from its stream, also if what was collected is gone on with from elsewhere before its writer has noticed.
    pub(crate) fn give_up(&self) {
        self.state().cut_off = true;
        self.fail();
    }

    /// How much is here of what was collected and broke off.
    pub(crate) fn paused(&self) -> Option<usize> {
        let state = self.state();
        (state.fate == Fate::Paused).then_some(state.ends)
    }

    // --- The rest of what broke off

    /// A payload that had paused goes on with `tail`, which begins at its byte `offset` and is arriving.
    pub(crate) fn join(self: &Arc<Self>, offset: usize, tail: &Body) -> bool {
        if offset.checked_add(tail.length) != Some(self.length) || !self.resume(offset) {
            return false;
        }
        let mut joined = tail.state();
        let mut elsewhere = Here::Elsewhere { body: Arc::clone(self), begins: offset };
        let whole = match (&joined.here, joined.fate) {
            (Here::Pieces { pieces, begins: 0 }, Fate::Passing) => {
                let mut at = 0;
                for piece in pieces {
                    elsewhere.write(at, std::slice::from_ref(piece));
                    at += piece.len();
                }
                true
            }
            (Here::Pieces { .. } | Here::Growing(_) | Here::Whole(_) | Here::Elsewhere { .. }, _) => false,
        };
        if whole {
            (joined.here, joined.fate) = (elsewhere, Fate::Collected);
        }
        drop(joined);
        tail.changed.send_replace(());
        whole
    }

    /// A payload that had paused goes on with this, if it is all of the rest.
    pub(crate) fn end_with(&self, offset: usize, rest: &Bytes) -> Rest {
        if offset.checked_add(rest.len()) != Some(self.length) || !self.is_rest(offset, rest) {
            return Rest::Altered;
        }
        if !self.resume(offset) {
            return Rest::Unneeded;
        }
        self.append(offset, std::slice::from_ref(rest));
        Rest::Joined
    }

    fn is_rest(&self, offset: usize, rest: &[u8]) -> bool {
        let mut pieces = (offset / PIECE_BYTES..).zip(rest.chunks(PIECE_BYTES));
        let right = |digests: &PieceDigests| pieces.all(|(index, piece)| digests.holds(index, piece));
        offset.is_multiple_of(PIECE_BYTES) && self.digests.get().is_some_and(right)
    }

    fn resume(&self, offset: usize) -> bool {
        let mut state = self.state();
        let goes_on = state.fate == Fate::Paused && offset <= state.ends;
        if goes_on {
            state.fate = Fate::Collected;
        }
        goes_on
    }

    /// Takes in what comes from the byte `at` on, except what is here already.
    fn append(&self, mut at: usize, chunks: &[Bytes]) {
        let mut state = self.state();
        for chunk in chunks {
            let known = state.ends.saturating_sub(at).min(chunk.len());
            let room = self.length - state.ends;
            let new = chunk.slice(known..chunk.len().min(known.saturating_add(room)));
            if state.fate == Fate::Collected && at <= state.ends {
                let ends = state.ends;
                state.ends += new.len();
                state.here.write(ends, &[new]);
            }
            at += chunk.len();
        }
        if state.ends >= self.length {
            state.here.end();
        }
        drop(state);
        self.changed.send_replace(());
    }

    // --- The node

    /// All of it is to be kept.
    pub(crate) fn collect(&self) {
        let mut state = self.state();
        if state.fate == Fate::Passing && state.here.collect(self.length) {
            state.fate = Fate::Collected;
            if state.ends >= self.length {
                state.here.end();
            }
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Nobody needs it any more.
    pub(crate) fn discard(&self) {
        let mut state = self.state();
        state.fate = Fate::Discarded;
        state.here = Here::nothing();
        drop(state);
        self.changed.send_replace(());
    }

    /// All of it, if it was collected and is whole.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.state().here {
            Here::Whole(whole) => Some(whole.clone()),
            Here::Pieces { .. } | Here::Growing(_) | Here::Elsewhere { .. } => None,
        }
    }

    // --- Readers

    /// The digests of its pieces, once something of it is here.
    pub(crate) fn digests(&self) -> Option<PieceDigests> {
        self.digests.get().cloned()
    }

    /// Waits for what comes after the first `offset` bytes. Cancel-safe.
    pub(crate) async fn after(&self, offset: usize) -> Piece {
        if offset >= self.length {
            return Piece::End;
        }
        let mut changes = self.changed.subscribe();
        loop {
            {
                let state = self.state();
                if state.fate == Fate::Broken || state.fate == Fate::Discarded {
                    return Piece::Broken;
                }
                if offset < state.ends {
                    return state.here.after(offset).map_or(Piece::Broken, Piece::Bytes);
                }
            }
            let _ = changes.changed().await;
        }
    }

    /// A reader has handed on the first `offset` bytes.
    pub(crate) fn read(&self, offset: usize) {
        let mut state = self.state();
        state.read = state.read.max(offset);
        let read = state.read;
        state.here.let_go(read);
        drop(state);
        self.changed.send_replace(());
    }
}

impl Here {
    fn nothing() -> Self {
        Self::Pieces { pieces: VecDeque::new(), begins: 0 }
    }

    /// `at`: how much was written before.
    fn write(&mut self, at: usize, chunks: &[Bytes]) {
        match self {
            Self::Elsewhere { body, begins } => body.append(*begins + at, chunks),
            Self::Pieces { pieces, .. } => pieces.extend(chunks.iter().cloned()),
            Self::Growing(buffer) => chunks.iter().for_each(|chunk| buffer.extend_from_slice(chunk)),
            Self::Whole(_) => {}
        }
    }

    /// From now on nothing is let go, if nothing was before.
    fn collect(&mut self, length: usize) -> bool {
        let Self::Pieces { pieces, begins: 0 } = self else { return false };
        let mut buffer = BytesMut::with_capacity(length);
        for piece in pieces {
            buffer.extend_from_slice(piece);
        }
        *self = Self::Growing(buffer);
        true
    }

    /// No more will come.
    fn end(&mut self) {
        if let Self::Growing(buffer) = self {
            *self = Self::Whole(buffer.split().freeze());
        }
    }

    /// Some of what comes after the first `offset` bytes, unless that was let go.
    fn after(&self, offset: usize) -> Option<Bytes> {
        match self {
            Self::Pieces { pieces, begins } => {
                let mut at = offset.checked_sub(*begins)?;
                for piece in pieces {
                    if at < piece.len() {
                        return Some(piece.slice(at..piece.len().min(at + READ_BYTES)));
                    }
                    at -= piece.len();
                }
                None
            }
            Self::Growing(buffer) => Some(Bytes::copy_from_slice(buffer.get(offset..buffer.len().min(offset + READ_BYTES))?)),
            Self::Whole(whole) => Some(whole.slice(offset..whole.len().min(offset + READ_BYTES))),
            Self::Elsewhere { .. } => None,
        }
    }

    /// The fastest reader has had this much: what it will not ask for again goes.
    fn let_go(&mut self, read: usize) {
        let Self::Pieces { pieces, begins } = self else { return };
        while let Some(first) = pieces.front()
            && *begins + first.len() + KEPT_BYTES <= read
        {
            *begins += first.len();
            pieces.pop_front();
        }
    }
}

/// What is read of a payload that passes through before its reader has handed it on.
const AHEAD_BYTES: usize = 256 * 1024; // guess: above what is on its way on a link

/// What is kept of a payload that passes through for a reader that begins anew, should the first have failed.
const KEPT_BYTES: usize = 512 * 1024; // guess: above what a link takes before its other end has answered

/// Readers hand on this much at once.
pub(crate) const READ_BYTES: usize = 64 * 1024; // guess

#[cfg(test)]
mod tests;

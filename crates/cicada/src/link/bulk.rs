//! Long frames: each travels on a stream of its own, below control frames in priority.
//!
//! Of the longest only the head is read before the node hears of it; the payload follows through a [`Body`] and can leave over
//! other links meanwhile. Both ends give up on a stream that makes no progress.

use super::{
    Unreadable, length_prefix,
    pieces::{self, Arrived, LEAST_BYTES},
    read_prefix,
};
use crate::{
    body::{Body, Piece, READ_BYTES},
    network::{Network, News},
    node::RemoteNode,
};
use bytes::{Bytes, BytesMut};
use cicada_proto::{LONG_BYTES, LinkId, StreamId};
use cicada_wire::{Frame, MAX_HEADER_BYTES, Purpose, Refusal};
use quinn::{Connection, RecvStream, SendStream, VarInt, WriteError};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// A long frame on its way out.
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) head: Frame,
    /// All of its payload, of which what comes after the first `offset` bytes is sent.
    pub(crate) payload: Source,
    pub(crate) offset: usize,
    /// It breaks off after so many bytes: a fault.
    pub(crate) breaks_after: Option<usize>,
    /// Turns true when it is not wanted any more.
    pub(crate) abandoned: watch::Receiver<bool>,
}

impl Stream {
    pub(super) fn is_abandoned(&self) -> bool {
        *self.abandoned.borrow()
    }
}

/// Where its payload comes from.
#[derive(Clone)]
pub(crate) enum Source {
    Whole(Bytes),
    Arriving(Arc<Body>),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Arriving(body) => body.len(),
        }
    }

    async fn after(&self, offset: usize) -> Piece {
        match self {
            Self::Whole(bytes) if offset >= bytes.len() => Piece::End,
            Self::Whole(bytes) => Piece::Bytes(bytes.slice(offset..bytes.len().min(offset + READ_BYTES))),
            Self::Arriving(body) => body.after(offset).await,
        }
    }

    /// What stands between the head of a frame of `length` bytes and its payload.
    fn digests(&self, network: &Network, head: &Frame, length: usize) -> Option<Bytes> {
        let Some(fixed) = head.fixed().filter(|_| is_piecewise(length)) else { return Some(Bytes::new()) };
        let digests = match self {
            Self::Whole(payload) => network.digests.of(fixed.message(), payload),
            Self::Arriving(body) => body.digests(),
        };
        digests.map(|digests| digests.to_bytes())
    }

    fn read(&self, offset: usize) {
        match self {
            Self::Whole(_) => {}
            Self::Arriving(body) => body.read(offset),
        }
    }
}

/// Whether a frame of so many bytes, its head included, is read piece by piece. The digests of those are not counted.
fn is_piecewise(length: usize) -> bool {
    length > LONG_BYTES + MAX_HEADER_BYTES
}

// --- Out

/// Sends a long frame. Returns whether the other end has all of it or wants no more of it, and how much of the payload has left.
pub(super) async fn send(network: &Network, peer: RemoteNode, connection: &Connection, stream: Stream) -> (bool, usize) {
    let mut abandoned = stream.abandoned.clone();
    let (mut sent, mut out) = (0, None);
    let sending = async {
        // Nobody is kept waiting for what has no beginning.
        match stream.payload.after(stream.offset).await {
            Piece::Bytes(_) | Piece::End => {}
            Piece::Broken => return false,
        }
        let Ok(Ok(opened)) = timeout(WRITE_STALL, connection.open_uni()).await else { return false };
        write(network, peer, out.insert(opened), &stream, &mut sent).await
    };
    let done = tokio::select! {
        done = sending => done,
        _ = abandoned.wait_for(|abandoned| *abandoned) => false,
    };
    if let Some(mut out) = out.filter(|_| !done) {
        // Not finished, as one that is dropped would be: the other end hears that it was given up.
        let _ = out.reset(GIVEN_UP);
    }
    (done, sent)
}

async fn write(network: &Network, peer: RemoteNode, out: &mut SendStream, stream: &Stream, sent: &mut usize) -> bool {
    let Stream { payload, offset, .. } = stream;
    let head = stream.head.head_bytes();
    network.show_sent(peer, &head);
    let length = head.len() + payload.len() - offset;
    let Some(digests) = payload.digests(network, &stream.head, length) else { return false };
    let mut first = [Bytes::copy_from_slice(&length_prefix(length)), head, digests];
    match timeout(WRITE_STALL, out.write_all_chunks(&mut first)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return is_enough(&error),
        Err(_) => return false,
    }
    let mut stopped = std::pin::pin!(out.stopped());
    loop {
        // What waits for its own source gives up its place when its other end does not.
        let piece = tokio::select! {
            piece = payload.after(offset + *sent) => piece,
            stopped = &mut stopped => return matches!(stopped, Ok(code) if code.is_none_or(|code| code == ENOUGH)),
        };
        let piece = match piece {
            Piece::Bytes(_) if stream.breaks_after.is_some_and(|most| *sent >= most) => return false,
            Piece::Bytes(piece) => piece,
            Piece::End => break,
            Piece::Broken => return false,
        };
        let length = piece.len();
        network.show_sent(peer, &piece);
        match timeout(WRITE_STALL, out.write_chunk(piece)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return is_enough(&error),
            Err(_) => return false,
        }
        *sent += length;
        payload.read(offset + *sent);
    }
    // Not finished already: it was made here.
    let _ = out.finish();
    match timeout(WRITE_STALL, stopped).await {
        Ok(Ok(code)) => code.is_none_or(|code| code == ENOUGH),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn is_enough(error: &WriteError) -> bool {
    matches!(error, WriteError::Stopped(code) if *code == ENOUGH)
}

// --- In

/// Reads what one stream brings. Fails when it brings what no honest peer sends.
pub(super) async fn receive(network: Arc<Network>, id: LinkId, recv: RecvStream) -> Result<(), Unreadable> {
    match receive_frame(network, id, recv).await {
        // The stream was given up, or its link is gone, which others notice.
        Ok(()) | Err(Unreadable::Broken | Unreadable::Lost(_)) => Ok(()),
        Err(refused @ Unreadable::Refused(_)) => Err(refused),
    }
}

async fn receive_frame(network: Arc<Network>, id: LinkId, mut recv: RecvStream) -> Result<(), Unreadable> {
    let length = match timeout(READ_STALL, read_prefix(&mut recv, network.frame_bytes)).await {
        Ok(Ok(Some(length))) => length,
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(unreadable)) => return Err(unreadable),
        Err(_) => {
            give_up(&mut recv);
            return Ok(());
        }
    };
    if !is_piecewise(length) {
        return receive_whole(&network, id, &mut recv, BytesMut::new(), length).await;
    }
    let Some(beginning) = read_steadily(&mut recv, BytesMut::new(), MAX_HEADER_BYTES).await? else { return Ok(()) };
    let (head, begins) = Frame::parse_head(&beginning, length).map_err(|error| Unreadable::Refused(error.refusal))?;
    if !head.is_message() {
        // Only bare nodes say such things; their payloads are as long as they agree among themselves.
        return match network.terms.purpose {
            Purpose::Bare => receive_whole(&network, id, &mut recv, BytesMut::from(&beginning[..]), length).await,
            Purpose::Swarm => Err(Unreadable::Refused(Refusal::Unexpected)),
        };
    }
    let (number, body) = (network.next_body(), Arc::new(Body::new(length - begins)));
    if network.news.send(News::Arriving { link: id, head: head.clone(), number, body: Arc::clone(&body) }).await.is_err() {
        return Ok(());
    }
    let result = pieces::receive(&mut recv, beginning.slice(begins..), &head, &body).await;
    if !matches!(result, Ok(Arrived::Whole)) {
        body.fail();
        let enough = matches!(result, Ok(Arrived::Unneeded)) && !body.is_cut_off();
        let code = if enough { ENOUGH } else { GIVEN_UP };
        // It may have ended already.
        let _ = recv.stop(code);
    }
    let _ = network.news.send(News::Ended(number, matches!(result, Ok(Arrived::Whole)))).await;
    result.map(|_| ())
}

/// Reads the rest of a frame that is handed on as a whole.
async fn receive_whole(network: &Network, id: LinkId, recv: &mut RecvStream, beginning: BytesMut, length: usize) -> Result<(), Unreadable> {
    let Some(bytes) = read_steadily(recv, beginning, length).await? else { return Ok(()) };
    let frame = Frame::parse(&bytes).map_err(|error| Unreadable::Refused(error.refusal))?;
    // A failure means that the peer has ended.
    let _ = network.news.send(News::Frame(id, frame)).await;
    Ok(())
}

/// Reads on until there are `length` bytes; `None` if they stop coming.
async fn read_steadily(recv: &mut RecvStream, mut bytes: BytesMut, length: usize) -> Result<Option<Bytes>, Unreadable> {
    while bytes.len() < length {
        let enough = length.min(bytes.len() + LEAST_BYTES);
        let filling = async {
            while bytes.len() < enough {
                let Some(chunk) = recv.read_chunk(length - bytes.len(), true).await? else {
                    return Err(Unreadable::Refused(Refusal::Malformed));
                };
                bytes.extend_from_slice(&chunk.bytes);
            }
            Ok(())
        };
        match timeout(READ_STALL, filling).await {
            Ok(filled) => filled?,
            Err(_) => {
                give_up(recv);
                return Ok(None);
            }
        }
    }
    Ok(Some(bytes.freeze()))
}

/// Tells the other end that this stream is too slow.
fn give_up(recv: &mut RecvStream) {
    // It may have ended already.
    let _ = recv.stop(GIVEN_UP);
}

/// "I have it, or do not need it": why a stream was stopped.
const ENOUGH: VarInt = VarInt::from_u32(0);

/// "It does not come": why a stream was stopped or reset.
const GIVEN_UP: VarInt = VarInt::from_u32(1);

/// A stream that carries less than a piece in this time is given up by its sender.
const WRITE_STALL: Duration = Duration::from_secs(10); // guess: 6 KB/s

/// A stream that carries less than [`LEAST_BYTES`] in this time is given up by its receiver, which may know another source.
pub(super) const READ_STALL: Duration = Duration::from_secs(3); // guess: several retransmissions

//! Long frames: each travels on a stream of its own, below control frames in priority.
//!
//! Of the longest only the head is read before the node hears of it; the payload follows through a [`Body`] and can leave over
//! other links meanwhile. Both ends give up on a stream that makes no progress.

use super::{Unreadable, length_prefix, read_bytes, read_frame_after, read_prefix};
use crate::{
    body::{Body, PIECE_BYTES, Piece, Room},
    network::{Network, News},
    node::RemoteNode,
};
use bytes::{Bytes, BytesMut};
use cicada_proto::{LONG_BYTES, LinkId, StreamId};
use cicada_wire::{Frame, MAX_HEADER_BYTES};
use quinn::{Connection, RecvStream, SendStream, VarInt, WriteError};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// A long frame on its way out.
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) head: Frame,
    pub(crate) payload: Source,
    /// Turns true when it is not wanted any more.
    pub(crate) abandoned: watch::Receiver<bool>,
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
            Self::Whole(bytes) => Piece::Bytes(bytes.slice(offset..bytes.len().min(offset + PIECE_BYTES))),
            Self::Arriving(body) => body.after(offset).await,
        }
    }

    fn read(&self, offset: usize) {
        match self {
            Self::Whole(_) => {}
            Self::Arriving(body) => body.read(offset),
        }
    }
}

// --- Out

/// Sends a long frame. Returns whether the other end has all of it or wants no more of it, and how much of the payload has left.
pub(super) async fn send(network: &Network, peer: RemoteNode, connection: &Connection, stream: Stream) -> (bool, usize) {
    let Stream { head, payload, mut abandoned, .. } = stream;
    let mut sent = 0;
    let sending = async {
        // Nobody is kept waiting for what has no beginning.
        match payload.after(0).await {
            Piece::Bytes(_) | Piece::End => {}
            Piece::Broken => return false,
        }
        let Ok(Ok(mut out)) = timeout(WRITE_STALL, connection.open_uni()).await else { return false };
        let done = write(network, peer, &mut out, &head, &payload, &mut sent).await;
        if !done {
            // Not finished: the other end hears that it was given up.
            let _ = out.reset(GIVEN_UP);
        }
        done
    };
    tokio::select! {
        done = sending => (done, sent),
        _ = abandoned.wait_for(|abandoned| *abandoned) => (false, sent),
    }
}

async fn write(network: &Network, peer: RemoteNode, out: &mut SendStream, head: &Frame, payload: &Source, sent: &mut usize) -> bool {
    let head = head.head_bytes();
    network.show_sent(peer, &head);
    let prefix = length_prefix(head.len() + payload.len());
    let mut first = [Bytes::copy_from_slice(&prefix), head];
    match timeout(WRITE_STALL, out.write_all_chunks(&mut first)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return is_enough(&error),
        Err(_) => return false,
    }
    loop {
        let piece = match payload.after(*sent).await {
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
        payload.read(*sent);
    }
    // Not finished already: it was made here.
    let _ = out.finish();
    match timeout(WRITE_STALL, out.stopped()).await {
        Ok(Ok(code)) => code.is_none_or(|code| code == ENOUGH),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn is_enough(error: &WriteError) -> bool {
    matches!(error, WriteError::Stopped(code) if *code == ENOUGH)
}

// --- In

/// Reads what one stream brings.
pub(super) async fn receive(network: Arc<Network>, id: LinkId, mut recv: RecvStream) -> Result<(), Unreadable> {
    let Some(length) = read_prefix(&mut recv, network.frame_bytes).await? else { return Ok(()) };
    if length <= LONG_BYTES + MAX_HEADER_BYTES {
        let frame = read_frame_after(&mut recv, length).await?;
        // A failure means that the peer has ended.
        let _ = network.news.send(News::Frame(id, frame)).await;
        return Ok(());
    }
    let beginning = read_bytes(&mut recv, MAX_HEADER_BYTES).await?;
    let (head, begins) = Frame::parse_head(&beginning, length).map_err(|error| Unreadable::Refused(error.refusal))?;
    match head {
        Frame::Data(..) | Frame::Task(..) => {}
        Frame::Opaque(_)
        | Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Hint(_)
        | Frame::Introduce(_)
        | Frame::Unify(_)
        | Frame::Goodbye(_)
        | Frame::HopVerdict(_)
        | Frame::TaskVerdict(_)
        | Frame::Digest(_)
        | Frame::Pull(_) => {
            let mut bytes = BytesMut::from(&beginning[..]);
            bytes.extend_from_slice(&read_bytes(&mut recv, length - beginning.len()).await?);
            let frame = Frame::parse(&bytes.freeze()).map_err(|error| Unreadable::Refused(error.refusal))?;
            let _ = network.news.send(News::Frame(id, frame)).await;
            return Ok(());
        }
    }
    let (number, body) = (network.next_body(), Arc::new(Body::new(length - begins)));
    if network.news.send(News::Arriving { link: id, head, number, body: Arc::clone(&body) }).await.is_err() {
        return Ok(());
    }
    body.write(beginning.slice(begins..));
    let result = receive_payload(&mut recv, &body).await;
    if !matches!(result, Ok(Arrived::Whole)) {
        body.fail();
        let code = if matches!(result, Ok(Arrived::Unneeded)) { ENOUGH } else { GIVEN_UP };
        // It may have ended already.
        let _ = recv.stop(code);
    }
    let _ = network.news.send(News::Ended(number, matches!(result, Ok(Arrived::Whole)))).await;
    match result {
        Ok(Arrived::Whole | Arrived::Unneeded | Arrived::Stalled) => Ok(()),
        // The stream was given up, or its link is gone, which others notice.
        Err(Unreadable::Broken | Unreadable::Lost(_)) => Ok(()),
        Err(refused @ Unreadable::Refused(_)) => Err(refused),
    }
}

/// How a payload ended.
enum Arrived {
    Whole,
    Unneeded,
    Stalled,
}

async fn receive_payload(recv: &mut RecvStream, body: &Body) -> Result<Arrived, Unreadable> {
    let mut left = body.len() - body.written();
    while left > 0 {
        let room = match body.room().await {
            Room::Bytes(room) => room.min(left),
            Room::Unneeded => return Ok(Arrived::Unneeded),
        };
        let piece = tokio::select! {
            piece = timeout(READ_STALL, read_some(recv, room)) => piece,
            () = body.unneeded() => return Ok(Arrived::Unneeded),
        };
        let Ok(piece) = piece else { return Ok(Arrived::Stalled) };
        let piece = piece?;
        left -= piece.len();
        body.write(piece);
    }
    Ok(Arrived::Whole)
}

/// Reads what is there, at least [`LEAST_BYTES`], or all that is left; no more than `most`.
async fn read_some(recv: &mut RecvStream, most: usize) -> Result<Bytes, Unreadable> {
    let mut bytes = BytesMut::new();
    while bytes.len() < most.min(LEAST_BYTES) {
        let Some(chunk) = recv.read_chunk(most.min(PIECE_BYTES) - bytes.len(), true).await? else {
            return Err(Unreadable::Refused(cicada_wire::Refusal::Malformed));
        };
        // Copied, since a piece of a packet keeps the whole packet.
        bytes.extend_from_slice(&chunk.bytes);
    }
    Ok(bytes.freeze())
}

/// "I have it, or do not need it": why a stream was stopped.
const ENOUGH: VarInt = VarInt::from_u32(0);

/// "It does not come": why a stream was stopped or reset.
const GIVEN_UP: VarInt = VarInt::from_u32(1);

/// A stream that carries less than a piece in this time is given up by its sender.
const WRITE_STALL: Duration = Duration::from_secs(10); // guess: 6 KB/s

/// A stream that carries less than [`LEAST_BYTES`] in this time is given up by its receiver, which may know another source.
const READ_STALL: Duration = Duration::from_secs(3); // guess: several retransmissions

/// What is taken from a stream at once.
const LEAST_BYTES: usize = 4096; // guess: a few packets

//! The stream of control frames, both ways, as the task that owns the node uses it: it reads and writes itself, without waiting.
//!
//! Each task that a frame passes on its way costs more than all that is done with the frame. So a link's own tasks only do what
//! has to wait: they write what flow control held up, and learn how reading ended.

use super::{CONTROL_BYTES, QUEUE_FRAMES, Unreadable, length_prefix};
use crate::{network::Network, node::RemoteNode};
use bytes::{Buf, Bytes, BytesMut};
use cicada_proto::LinkId;
use cicada_wire::{Frame, Refusal};
use quinn::{RecvStream, SendStream, WriteError};
use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};
use tokio::sync::{mpsc, oneshot};

// --- Out

/// The way out. A lock, since the link's task goes on where the one that owns the node could not; held while bytes are copied.
pub(super) struct Writer(Mutex<Writing>);

struct Writing {
    stream: SendStream,
    /// Not taken by the stream yet. Of the first frame perhaps only the rest.
    backlog: VecDeque<Bytes>,
    /// The link's task writes the backlog; nobody else writes meanwhile, so that frames keep their order.
    is_behind: bool,
}

/// What became of frames that were to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// They are on their way, or the link's task is at it already.
    Yes,
    /// The link's task must go on.
    Partly,
}

impl Writer {
    pub(super) fn new(stream: SendStream) -> Self {
        // Higher goes first; bulk has 0.
        let _ = stream.set_priority(1);
        Self(Mutex::new(Writing { stream, backlog: VecDeque::new(), is_behind: false }))
    }

    /// A panic in here is that of quinn, and ends the link.
    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame behind those that wait. False if there are too many.
    pub(super) fn add(&self, network: &Network, peer: RemoteNode, frame: &Frame) -> bool {
        let mut writing = self.writing();
        if writing.backlog.len() >= QUEUE_FRAMES {
            return false;
        }
        let bytes = frame.to_bytes();
        network.show_sent(peer, &bytes);
        let mut prefixed = BytesMut::with_capacity(4 + bytes.len());
        prefixed.extend_from_slice(&length_prefix(bytes.len()));
        prefixed.extend_from_slice(&bytes);
        writing.backlog.push_back(prefixed.freeze());
        true
    }

    /// Writes what waits, as far as that goes without waiting.
    pub(super) fn write(&self) -> Written {
        let mut writing = self.writing();
        if writing.is_behind {
            return Written::Yes;
        }
        match writing.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Written::Yes,
            // The link's task meets the error, too.
            Poll::Pending | Poll::Ready(Err(_)) => {
                writing.is_behind = true;
                Written::Partly
            }
        }
    }

    /// Writes all that waits. For the link's task.
    pub(super) async fn catch_up(&self) -> Result<(), WriteError> {
        std::future::poll_fn(|cx| {
            let mut writing = self.writing();
            let written = ready!(writing.poll(cx));
            writing.is_behind = false;
            Poll::Ready(written)
        })
        .await
    }

    /// Nothing more will be written. Waits until the other end has all of it.
    pub(super) async fn finish(&self) {
        let stopped = {
            let mut writing = self.writing();
            writing.stream.finish().is_ok().then(|| writing.stream.stopped())
        };
        if let Some(stopped) = stopped {
            let _ = stopped.await;
        }
    }
}

impl Writing {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        while !self.backlog.is_empty() {
            let written = ready!(pin!(self.stream.write_chunks(self.backlog.make_contiguous())).poll(cx))?;
            self.backlog.drain(..written.chunks);
        }
        Poll::Ready(Ok(()))
    }
}

// --- In

/// The way in: cuts what arrives into frames. What has arrived of one is kept here, so that reading may stop anywhere.
pub(crate) struct Reader {
    stream: RecvStream,
    /// The length of the frame that is arriving, once that is here.
    length: Option<usize>,
    arrived: BytesMut,
    /// Tells the link's task how reading ended.
    ended: Option<oneshot::Sender<Result<(), Unreadable>>>,
}

impl Reader {
    pub(super) fn new(stream: RecvStream) -> (Self, oneshot::Receiver<Result<(), Unreadable>>) {
        let (ended, end) = oneshot::channel();
        (Self { stream, length: None, arrived: BytesMut::new(), ended: Some(ended) }, end)
    }

    /// The next frame; `None` if no more will come, which the link's task is told.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        if self.ended.is_none() {
            return Poll::Ready(None);
        }
        let end = match ready!(self.poll_frame(cx)) {
            Ok(Some(frame)) => return Poll::Ready(Some(frame)),
            Ok(None) => Ok(()),
            Err(unreadable) => Err(unreadable),
        };
        if let Some(ended) = self.ended.take() {
            // The link's task may have ended before.
            let _ = ended.send(end);
        }
        Poll::Ready(None)
    }

    /// Nobody reads any more.
    pub(crate) fn give_up(&mut self) {
        self.ended = None;
    }

    /// The length is checked before anything is kept, and memory grows only with what has arrived.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Unreadable>> {
        loop {
            let Some(length) = self.length else {
                let Some(mut prefix) = ready!(self.poll_bytes(cx, 4))? else { return Poll::Ready(Ok(None)) };
                let length = prefix.get_u32() as usize;
                if length > CONTROL_BYTES {
                    return Poll::Ready(Err(Unreadable::Refused(Refusal::TooLarge)));
                }
                self.length = Some(length);
                continue;
            };
            let bytes = ready!(self.poll_bytes(cx, length))?.ok_or(Unreadable::Refused(Refusal::Malformed))?;
            self.length = None;
            return Poll::Ready(
                Frame::parse(&bytes).map(|frame| Some(detached(frame))).map_err(|error| Unreadable::Refused(error.refusal)),
            );
        }
    }

    /// So many bytes; `None` if the stream ends before the first of them.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, count: usize) -> Poll<Result<Option<Bytes>, Unreadable>> {
        while self.arrived.len() < count {
            let chunk = ready!(pin!(self.stream.read_chunk(count - self.arrived.len(), true)).poll(cx))?;
            match chunk {
                Some(chunk) if chunk.bytes.len() == count => return Poll::Ready(Ok(Some(chunk.bytes))),
                Some(chunk) => self.arrived.extend_from_slice(&chunk.bytes),
                None if self.arrived.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Unreadable::Refused(Refusal::Malformed))),
            }
        }
        Poll::Ready(Ok(Some(self.arrived.split().freeze())))
    }
}

/// The frame with a payload of its own. What was read shares the memory of all packets that the socket gave at once, and a message may be
/// kept for half a minute.
fn detached(frame: Frame) -> Frame {
    match frame.payload().filter(|payload| !payload.is_empty()).map(|payload| Bytes::copy_from_slice(payload)) {
        Some(payload) => frame.with_payload(payload),
        None => frame,
    }
}

/// Tells the task that owns the node that there may be something to read on a link; once until it looks.
pub(crate) struct Knock {
    link: LinkId,
    told: AtomicBool,
    /// Not bounded by itself, since wakers cannot wait: each link is in it once.
    readable: mpsc::UnboundedSender<LinkId>,
}

impl Knock {
    pub(crate) fn new(link: LinkId, readable: mpsc::UnboundedSender<LinkId>) -> Arc<Self> {
        Arc::new(Self { link, told: AtomicBool::new(false), readable })
    }

    /// From here on it is told again.
    pub(crate) fn heard(&self) {
        self.told.store(false, Ordering::Release);
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.told.swap(true, Ordering::AcqRel) {
            // A failure means that the peer has ended.
            let _ = self.readable.send(self.link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_does_not_keep_what_was_read_with_it() {
        let read = Bytes::from(Frame::Opaque(Bytes::from_static(b"short")).to_bytes().to_vec());
        let parsed = Frame::parse(&read).expect("a frame");
        let shares = |frame: &Frame| frame.payload().is_some_and(|payload| read.as_ptr_range().contains(&payload.as_ptr()));
        assert!(shares(&parsed), "control");
        let kept = detached(parsed.clone());
        assert!(!shares(&kept));
        assert_eq!(kept, parsed);
    }
}

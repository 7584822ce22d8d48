//! One link: frames in, frames out, in bounded queues.
//!
//! Control frames travel in order on the stream of the hello, see `control`. Bulk frames travel each on a stream of its own, with lower
//! priority, a few at a time.

mod bulk;
mod control;
mod digests;
mod pieces;

use crate::{
    hello,
    network::{Network, News},
    node::RemoteNode,
};
pub(crate) use bulk::{Source, Stream};
use bytes::Bytes;
use cicada_proto::{LinkId, LinkUp, StreamId};
use cicada_wire::{Frame, Refusal};
pub(crate) use control::{Knock, Reader};
use control::{Writer, Written};
pub(crate) use digests::Digests;
use quinn::{Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

/// The way out over a link. Dropping it ends the link after what was queued is flushed.
pub(crate) struct LinkHandle {
    connection: Connection,
    network: Arc<Network>,
    peer: RemoteNode,
    control: Arc<Writer>,
    queue: mpsc::Sender<Outgoing>,
    bulk_bytes: Arc<AtomicUsize>,
    reason: Arc<OnceLock<Refusal>>,
}

/// What became of a frame for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queued {
    /// It will be sent.
    Yes,
    /// Too much bulk waits; this frame is lost, as in a full router.
    Dropped,
    /// So many frames wait that the link is of no use; it must be cut.
    Overflow,
}

impl LinkHandle {
    /// Queues a frame; if of control, until [`Self::flush`]. Never waits.
    pub(crate) fn queue(&self, frame: Frame) -> Queued {
        if !frame.is_bulk() {
            return if self.control.add(&self.network, self.peer, &frame) { Queued::Yes } else { Queued::Overflow };
        }
        if self.bulk_bytes.load(Ordering::Relaxed) > BULK_QUEUE_BYTES {
            return Queued::Dropped;
        }
        self.bulk_bytes.fetch_add(frame.len_bytes(), Ordering::Relaxed);
        self.enqueue(Outgoing::Bulk(Box::new(frame)))
    }

    /// Sends the control frames that were queued. Never waits.
    pub(crate) fn flush(&self) -> Queued {
        match self.control.write() {
            Written::Yes => Queued::Yes,
            Written::Partly => self.enqueue(Outgoing::Backlog),
        }
    }

    /// Queues a long frame. Never waits.
    pub(crate) fn stream(&self, stream: Stream) -> Queued {
        self.enqueue(Outgoing::Stream(Box::new(stream)))
    }

    fn enqueue(&self, outgoing: Outgoing) -> Queued {
        match self.queue.try_send(outgoing) {
            // A link whose task has ended is about to be reported as down.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Queued::Yes,
            Err(mpsc::error::TrySendError::Full(_)) => Queued::Overflow,
        }
    }

    /// Closes the link after what was queued is flushed.
    pub(crate) fn close(self, reason: Refusal) {
        // Only this handle sets it, and it is consumed.
        let _ = self.reason.set(reason);
    }

    /// Closes the link at once.
    pub(crate) fn cut(self, reason: Refusal) {
        let _ = self.reason.set(reason);
        hello::close(&self.connection, reason);
    }
}

/// How a part of a link ended.
enum End {
    /// We close it, for this reason.
    Ours(Refusal),
    /// The other end closed it, or it broke.
    Theirs(Refusal),
    /// Nobody listens to what arrives; what is queued may still be flushed.
    Deaf,
}

/// Carries a link until its end: tells of it once when it stands and once when it is gone.
pub(crate) async fn run(network: &Arc<Network>, connection: Connection, send: SendStream, recv: RecvStream, up: LinkUp) {
    let id = up.link;
    let peer = RemoteNode::from(&up.record);
    let (queue, outgoing) = mpsc::channel(QUEUE_FRAMES);
    let bulk_bytes = Arc::new(AtomicUsize::new(0));
    let reason = Arc::new(OnceLock::new());
    let control = Arc::new(Writer::new(send));
    let (reader, read) = Reader::new(recv);
    let handle = LinkHandle {
        connection: connection.clone(),
        network: Arc::clone(network),
        peer,
        control: Arc::clone(&control),
        queue,
        bulk_bytes: Arc::clone(&bulk_bytes),
        reason: Arc::clone(&reason),
    };
    if network.news.send(News::Up(up, handle, reader)).await.is_err() {
        return;
    }
    let mut parts = JoinSet::new();
    let outbound = Outbound { connection: connection.clone(), network: Arc::clone(network), peer, control, bulk_bytes };
    parts.spawn(outbound.run(outgoing));
    parts.spawn(end_of_control(connection.clone(), read));
    parts.spawn(read_bulk(Arc::clone(network), id, connection.clone()));
    let refusal = supervise(&connection, &mut parts, &reason).await;
    // What arrived before the end is told before it.
    let _ = timeout(DRAIN, async { while parts.join_next().await.is_some() {} }).await;
    parts.shutdown().await;
    // A failure means that the peer has ended.
    let _ = network.news.send(News::Down(id, refusal)).await;
}

/// Waits for the part that ends the link, and closes it where that is ours to do.
async fn supervise(connection: &Connection, parts: &mut JoinSet<End>, reason: &OnceLock<Refusal>) -> Refusal {
    while let Some(part) = parts.join_next().await {
        match part {
            Ok(End::Ours(refusal)) => {
                let refusal = reason.get().copied().unwrap_or(refusal);
                hello::close(connection, refusal);
                return refusal;
            }
            Ok(End::Theirs(refusal)) => return reason.get().copied().unwrap_or(refusal),
            Ok(End::Deaf) => {}
            Err(error) => {
                // A panic is our bug; the link must not outlive it.
                tracing::error!(%error, "a part of a link failed");
                hello::close(connection, Refusal::Closing);
                return Refusal::Closing;
            }
        }
    }
    Refusal::Closing
}

/// Something to send. Small: a queue has room for some dozens from the beginning, on every link.
enum Outgoing {
    /// Control frames that could not all be written at once.
    Backlog,
    Bulk(Box<Frame>),
    Stream(Box<Stream>),
}

/// What travels on streams of its own.
#[derive(Default)]
struct Bulk {
    frames: VecDeque<Frame>,
    sending: JoinSet<()>,
    streams: VecDeque<Stream>,
    streaming: JoinSet<()>,
}

impl Bulk {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.sending.is_empty() && self.streams.is_empty() && self.streaming.is_empty()
    }

    /// Puts aside what travels on streams of its own. Whether there is something else.
    fn sort_in(&mut self, batch: &mut Vec<Outgoing>) -> bool {
        let mut backlog = false;
        for outgoing in batch.drain(..) {
            match outgoing {
                Outgoing::Backlog => backlog = true,
                Outgoing::Bulk(frame) => self.frames.push_back(*frame),
                Outgoing::Stream(stream) => self.streams.push_back(*stream),
            }
        }
        backlog
    }

    /// Waits until one of those that are being sent has ended.
    async fn next(&mut self) {
        tokio::select! {
            Some(_) = self.sending.join_next() => {}
            Some(_) = self.streaming.join_next() => {}
            else => {}
        }
    }
}

/// The way out, as far as it has to wait.
struct Outbound {
    connection: Connection,
    network: Arc<Network>,
    peer: RemoteNode,
    control: Arc<Writer>,
    bulk_bytes: Arc<AtomicUsize>,
}

impl Outbound {
    async fn run(self, mut outgoing: mpsc::Receiver<Outgoing>) -> End {
        let mut bulk = Bulk::default();
        let mut batch = Vec::new();
        let mut open = true;
        let mut closed = std::pin::pin!(self.connection.closed());
        while open {
            self.start_bulk(&mut bulk);
            tokio::select! {
                count = outgoing.recv_many(&mut batch, BATCH) => {
                    open = count > 0;
                    if bulk.sort_in(&mut batch) && let Err(error) = self.control.catch_up().await {
                        return end_of_write(&self.connection, error).await;
                    }
                }
                Some(_) = bulk.sending.join_next() => {}
                Some(_) = bulk.streaming.join_next() => {}
                error = &mut closed => return End::Theirs(hello::reason(&error)),
            }
        }
        let flush = async {
            // What was queued and not flushed, too.
            let written = self.control.catch_up().await;
            while !bulk.is_empty() {
                self.start_bulk(&mut bulk);
                bulk.next().await;
            }
            if written.is_ok() {
                self.control.finish().await;
            }
        };
        // A link that does not flush is closed all the same.
        tokio::select! {
            _ = timeout(FLUSH, flush) => {}
            never = nudge(&self.connection) => match never {},
        }
        End::Ours(Refusal::Closing)
    }

    fn start_bulk(&self, bulk: &mut Bulk) {
        // What waits for a place and is not wanted any more must not keep its payload: the other end may give out no place for long.
        let (abandoned, waiting) = bulk.streams.drain(..).partition(Stream::is_abandoned);
        bulk.streams = waiting;
        for stream in abandoned {
            let network = Arc::clone(&self.network);
            bulk.streaming.spawn(async move { told(&network, stream.id, (false, 0)).await });
        }
        while bulk.streaming.len() < LONG_STREAMS as usize
            && let Some(stream) = bulk.streams.pop_front()
        {
            let (network, peer, connection) = (Arc::clone(&self.network), self.peer, self.connection.clone());
            bulk.streaming.spawn(async move {
                let id = stream.id;
                let result = bulk::send(&network, peer, &connection, stream).await;
                told(&network, id, result).await;
            });
        }
        while bulk.sending.len() < (BULK_STREAMS - LONG_STREAMS) as usize
            && let Some(frame) = bulk.frames.pop_front()
        {
            let bytes = self.encode(&frame);
            let connection = self.connection.clone();
            let queued = Arc::clone(&self.bulk_bytes);
            bulk.sending.spawn(async move {
                let length = bytes.len();
                // A failure is that of the connection, which the readers notice.
                if let Err(error) = write_bulk(&connection, bytes).await {
                    tracing::debug!(%error, "bulk not sent");
                }
                queued.fetch_sub(length, Ordering::Relaxed);
            });
        }
    }

    fn encode(&self, frame: &Frame) -> Bytes {
        let bytes = frame.to_bytes();
        self.network.show_sent(self.peer, &bytes);
        bytes
    }
}

/// Opens empty streams for as long as it is polled, which the other end ignores.
///
/// QUIC sends lost packets again when later ones are acknowledged, else after pauses that double (RFC 9002, section 6.2). Where a
/// third is lost, too few of those pauses end before a link that says nothing more is closed.
async fn nudge(connection: &Connection) -> Infallible {
    loop {
        tokio::time::sleep(NUDGE).await;
        if let Ok(mut stream) = connection.open_uni().await {
            let _ = stream.finish();
        }
    }
}

/// Tells how a stream ended: whether it is complete, and how much of its payload has left.
async fn told(network: &Network, stream: StreamId, (complete, sent): (bool, usize)) {
    // A failure means that the peer has ended.
    let _ = network.news.send(News::Streamed { stream, complete, sent }).await;
}

async fn write_bulk(connection: &Connection, bytes: Bytes) -> Result<(), WriteError> {
    let mut stream = connection.open_uni().await.map_err(WriteError::ConnectionLost)?;
    let length = Bytes::copy_from_slice(&length_prefix(bytes.len()));
    stream.write_all_chunks(&mut [length, bytes]).await?;
    // Not finished already: it was made here.
    let _ = stream.finish();
    // The flush before a close counts what the other end has.
    let _ = stream.stopped().await;
    Ok(())
}

fn length_prefix(length: usize) -> [u8; 4] {
    // Frames are bounded below 2^32 by the limit on messages.
    (length as u32).to_be_bytes()
}

async fn end_of_write(connection: &Connection, error: WriteError) -> End {
    match error {
        WriteError::ConnectionLost(error) => End::Theirs(hello::reason(&error)),
        // The other end takes no more frames: it is about to close, and says why by that.
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => wait_for_close(connection).await,
    }
}

async fn wait_for_close(connection: &Connection) -> End {
    match timeout(FLUSH, connection.closed()).await {
        Ok(error) => End::Theirs(hello::reason(&error)),
        Err(_) => End::Ours(Refusal::Unexpected),
    }
}

/// Waits until no more control frames will come.
async fn end_of_control(connection: Connection, read: oneshot::Receiver<Result<(), Unreadable>>) -> End {
    match read.await {
        Ok(Ok(())) => wait_for_close(&connection).await,
        Ok(Err(unreadable)) => unreadable.end(&connection).await,
        Err(_) => End::Deaf,
    }
}

async fn read_bulk(network: Arc<Network>, id: LinkId, connection: Connection) -> End {
    let mut streams = JoinSet::new();
    let lost = loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(recv) => { streams.spawn(bulk::receive(Arc::clone(&network), id, recv)); }
                Err(lost) => break lost,
            },
            Some(read) = streams.join_next() => {
                if let Ok(Err(unreadable)) = read {
                    return unreadable.end(&connection).await;
                }
            }
        }
    };
    // What came whole before the end is read.
    while streams.join_next().await.is_some() {}
    End::Theirs(hello::reason(&lost))
}

/// Why there is no frame.
enum Unreadable {
    Refused(Refusal),
    Lost(ConnectionError),
    Broken,
}

impl Unreadable {
    async fn end(self, connection: &Connection) -> End {
        match self {
            Self::Refused(refusal) => {
                tracing::debug!(remote = %connection.remote_address(), %refusal, "unreadable frame");
                End::Ours(refusal)
            }
            Self::Lost(error) => End::Theirs(hello::reason(&error)),
            Self::Broken => wait_for_close(connection).await,
        }
    }
}

impl From<ReadError> for Unreadable {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::Lost(error),
            ReadError::Reset(_) | ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => Self::Broken,
        }
    }
}

/// The length of the next frame; `None` at the end of the stream. It is checked before anything is kept.
async fn read_prefix(recv: &mut RecvStream, limit: usize) -> Result<Option<usize>, Unreadable> {
    let mut prefix = [0; 4];
    match recv.read_exact(&mut prefix).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(ReadExactError::FinishedEarly(_)) => return Err(Unreadable::Refused(Refusal::Malformed)),
        Err(ReadExactError::ReadError(error)) => return Err(error.into()),
    }
    let length = u32::from_be_bytes(prefix) as usize;
    if length > limit { Err(Unreadable::Refused(Refusal::TooLarge)) } else { Ok(Some(length)) }
}

/// Bulk frames under way at once on a link, in each direction.
/// An end that sends the beginnings of large frames makes the other keep as many.
pub(crate) const BULK_STREAMS: u32 = 16; // guess

/// Those of them that are so long that they are handed on while they arrive.
const LONG_STREAMS: u32 = 4; // guess: more would share what one can use

/// No frame on the stream of control is longer: 33 neighbours or 40 records with 4 addresses each are a quarter of it, and what
/// is longer than they has a stream of its own.
pub(crate) const CONTROL_BYTES: usize = 64 * 1024;

/// Frames of each class that wait for a link. More than this is more than the other end will ever take in time.
const QUEUE_FRAMES: usize = 1024; // guess

/// Bulk that waits for a link.
const BULK_QUEUE_BYTES: usize = 8 * 1024 * 1024; // guess: what is longer than a few packets has a stream of its own and does not wait here

/// What is taken from the queue in one go.
const BATCH: usize = 64; // guess

/// How long a closing link may take to hand over what was queued.
const FLUSH: Duration = Duration::from_secs(2); // guess: several round trips of the longest paths

/// Between two signs of life on a closing link.
const NUDGE: Duration = Duration::from_millis(200); // guess: ten in all, above most round trips

/// How long what has arrived may take to be read after a link is gone.
const DRAIN: Duration = Duration::from_secs(1); // guess

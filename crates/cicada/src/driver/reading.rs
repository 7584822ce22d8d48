//! Reading the links' control frames: here, without a task between, a few of each link in turn.
//!
//! What is not read yet stays with the transport, which holds the other end back.

use super::{Driver, News};
use crate::link::{Knock, Reader};
use cicada_proto::LinkId;
use cicada_wire::Frame;
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::sync::mpsc;

/// The ways in of the links.
pub(super) struct Readers {
    links: BTreeMap<LinkId, Place>,
    knocks: mpsc::UnboundedReceiver<LinkId>,
    /// For the links to knock.
    knock: mpsc::UnboundedSender<LinkId>,
}

struct Place {
    reader: Reader,
    knock: Arc<Knock>,
}

impl Readers {
    pub(super) fn new() -> Self {
        let (knock, knocks) = mpsc::unbounded_channel();
        Self { links: BTreeMap::new(), knocks, knock }
    }

    /// Waits until there may be something to read, and says where. Cancel-safe.
    pub(super) async fn knock(&mut self) -> LinkId {
        match self.knocks.recv().await {
            Some(link) => link,
            // Never: a sender is held here.
            None => std::future::pending().await,
        }
    }

    /// Whether there may be something to read.
    pub(super) fn has_knocks(&self) -> bool {
        !self.knocks.is_empty()
    }

    /// The same without waiting.
    pub(super) fn next_knock(&mut self) -> Option<LinkId> {
        self.knocks.try_recv().ok()
    }

    /// Nobody reads any more: the links' tasks need not wait for that.
    pub(super) fn give_up(&mut self) {
        for place in self.links.values_mut() {
            place.reader.give_up();
        }
    }

    fn next(&mut self, link: LinkId) -> Option<Frame> {
        let Place { reader, knock } = self.links.get_mut(&link)?;
        let waker = Waker::from(Arc::clone(knock));
        match reader.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(frame) => frame,
            Poll::Pending => None,
        }
    }
}

impl Driver {
    pub(super) fn add_reader(&mut self, link: LinkId, reader: Reader) {
        let knock = Knock::new(link, self.readers.knock.clone());
        self.readers.links.insert(link, Place { reader, knock });
        self.on_knock(link);
    }

    /// A link is gone. What arrived before its end is told before it.
    pub(super) fn remove_reader(&mut self, link: LinkId) {
        while let Some(frame) = self.readers.next(link) {
            self.on_news(News::Frame(link, frame));
        }
        self.readers.links.remove(&link);
    }

    /// There may be something to read on a link.
    pub(super) fn on_knock(&mut self, link: LinkId) {
        // The link may be gone.
        let Some(place) = self.readers.links.get(&link) else { return };
        let knock = Arc::clone(&place.knock);
        knock.heard();
        for _ in 0..FRAMES {
            let Some(frame) = self.readers.next(link) else { return };
            self.on_news(News::Frame(link, frame));
        }
        // There may be more; the other links come first.
        Waker::from(knock).wake();
    }
}

/// Frames of one link that are read before it is another's turn.
const FRAMES: usize = 8; // guess: what a few packets bring

//! Messages as a stream.

use crate::{
    error::Closed,
    node::Message,
    peer::{Handle, SwarmPeer},
};
use futures_core::Stream;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

type Next = Pin<Box<dyn Future<Output = Result<Message, Closed>> + Send>>;

/// The messages of a peer, see [`SwarmPeer::messages`]. Ends when the peer is closed and everything was taken.
pub struct Messages {
    handle: Arc<Handle>,
    next: Option<Next>,
}

impl Messages {
    pub(crate) fn new(peer: &SwarmPeer) -> Self {
        Self { handle: Arc::clone(&peer.0), next: None }
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = self.get_mut();
        let next = this.next.get_or_insert_with(|| {
            let handle = Arc::clone(&this.handle);
            Box::pin(async move { handle.recv().await })
        });
        let message = ready!(next.as_mut().poll(cx));
        this.next = None;
        Poll::Ready(message.ok())
    }
}

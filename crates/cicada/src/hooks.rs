//! What an application may look at or decide while a peer works.

use crate::node::RemoteNode;

/// Called by a peer, on a thread of its own, so that a slow hook never stalls the peer: when the hooks do not keep up, what
/// they would have been shown is skipped and a warning is logged. All default to doing nothing.
pub trait Hooks: Send + Sync + 'static {
    /// A frame is about to be encrypted for the link to `to`: own ones and relayed ones, whoever dialled the link.
    fn send(&self, to: &RemoteNode, frame: &[u8]) {
        let _ = (to, frame);
    }

    /// A complete message for the application arrived.
    fn recv(&self, from: &RemoteNode, data: &[u8]) {
        let _ = (from, data);
    }

    /// A peer entered the tables; told once until it leaves them.
    fn new_peer(&self, peer: &RemoteNode) {
        let _ = peer;
    }

    /// Whether a peer whose address is proven may enter the tables. A peer that cannot be asked about in time is not admitted.
    fn admit(&self, peer: &RemoteNode) -> bool {
        let _ = peer;
        true
    }
}

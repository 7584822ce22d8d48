//! What a peer tells besides messages.

use cicada_proto::kadcast::{Contact, Removal, SendError};
use cicada_wire::Refusal;
use std::net::SocketAddr;

/// Something that happened to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message came, and waits for the listener.
    Received {
        /// Who handed it to us.
        from: SocketAddr,
        /// The height that it came with.
        height: u8,
        /// Its name.
        ray_id: [u8; 32],
        /// Its length.
        bytes: usize,
    },
    /// A message came, and was dropped because too many wait for the listener.
    Missed {
        /// Its name.
        ray_id: [u8; 32],
    },
    /// A payload of ours was handed out.
    Sent {
        /// Its name.
        ray_id: [u8; 32],
        /// To how many peers directly.
        targets: usize,
    },
    /// A payload of ours was not sent.
    NotSent(SendError),
    /// A peer entered the table.
    PeerAdded(Contact),
    /// A peer left the table.
    PeerRemoved {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: Removal,
    },
    /// Something from the network was refused.
    Refused {
        /// The UDP source.
        from: SocketAddr,
        /// Why.
        reason: Refusal,
    },
}

//! What goes into the machine and what comes out.

use super::settings::Settings;
use crate::fec::{Outcome, Task};
use bytes::Bytes;
use cicada_wire::{
    Refusal,
    kadcast::{CHUNK_OVERHEAD_BYTES, Coding, HEADER_BYTES, Header, Id, MINED_BITS, Mark, Nonce, RayId, Symbol, Version},
};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Who this peer is: the address that it announces, and the id and the work that follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    address: SocketAddr,
    id: Id,
    nonce: Nonce,
}

impl Identity {
    /// The identity of the peer that announces `address`. Mining its nonce takes a million hashes, some tenths of a second; `None` if
    /// there is no such nonce, which nobody will meet.
    #[must_use]
    pub fn mine(address: SocketAddr) -> Option<Self> {
        Self::mine_bits(address, MINED_BITS)
    }

    /// Like [`Self::mine`], with less work: 8 bits are what everybody insists on, and enough for tests.
    #[must_use]
    pub fn mine_bits(address: SocketAddr, bits: u32) -> Option<Self> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let id = Id::of(address);
        Some(Self { address, id, nonce: Nonce::mine(id, bits)? })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    pub(super) fn header(&self, settings: &Settings) -> Header {
        let mark = if settings.extensions { Mark::Cicada } else { Mark::None };
        Header { id: self.id, nonce: self.nonce, port: self.address.port(), network: settings.network, mark }
    }
}

/// Something for the machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Datagrams of one sender, one after the other in one buffer, as GRO hands them over: each `stride` bytes long, the last perhaps
    /// shorter. One alone has its own length for `stride`.
    Datagrams {
        /// The UDP source.
        from: SocketAddr,
        /// All of them.
        bytes: Bytes,
        /// The length of each.
        stride: usize,
    },
    /// Hand a payload to everybody.
    Broadcast {
        /// The caller's number, for `Sent` and `NotSent`.
        operation: u64,
        /// What.
        payload: Bytes,
        /// The highest bucket served; `None`: all.
        height: Option<u8>,
    },
    /// Hand a payload to these and nobody else.
    Send {
        /// The caller's number, for `Sent` and `NotSent`.
        operation: u64,
        /// What.
        payload: Bytes,
        /// To whom.
        to: Vec<SocketAddr>,
    },
    /// The answer to [`Job::Resolve`]: where the bootstrap peers are, as far as their names could be resolved.
    Resolved {
        /// Their addresses.
        bootstrap: Vec<SocketAddr>,
    },
    /// The answer to [`Job::Code`].
    Coded {
        /// Of which job.
        job: JobId,
        /// What came of it.
        outcome: Outcome,
    },
    /// Have nothing to do with these any more, from now on.
    Block(Blocked),
    /// Have to do with these again.
    Unblock(Blocked),
    /// Other settings. Those that [`Settings::check`] finds wrong are not taken. The network and the mark stay as they were.
    Configure(Box<Settings>),
    /// The time named by `next_timeout` has come; also the first input of all, which begins the bootstrap.
    Wake,
}

/// Whom to block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Blocked {
    /// Everybody at this address.
    Ip(IpAddr),
    /// The peer that announces this address, whatever port it sends from.
    Peer(SocketAddr),
}

/// Something for the network.
///
/// The machine hands out what is to be sent at once and does not know how fast the line is. Whoever sends it paces: datagrams
/// first, then runs, in turn for each receiver, no faster than the line and the receivers' buffers take them; and it bounds what waits.
/// What does not fit may be dropped from the tail: redundancy and pulls make up for it as for any loss.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Transmit {
    /// A datagram that is not to wait behind runs.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// Symbols of one object for one receiver.
    Run(Run),
}

/// Symbols of one object for one receiver: a datagram each, all of one length, so that one call with segmentation offload can send
/// several. The symbols are shared with the runs for others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Where to.
    pub to: SocketAddr,
    /// The sender's header.
    pub header: Header,
    /// The height for this receiver.
    pub height: u8,
    /// Of which object.
    pub ray: RayId,
    /// How it is coded.
    pub coding: Coding,
    /// Which symbols. Never none.
    pub symbols: Vec<Symbol>,
}

impl Run {
    /// The length of each datagram.
    #[must_use]
    pub fn datagram_bytes(&self) -> usize {
        CHUNK_OVERHEAD_BYTES + usize::from(self.coding.symbol_bytes)
    }

    /// Appends the datagrams of these symbols of the run, one after the other.
    pub fn write(&self, symbols: std::ops::Range<usize>, buffer: &mut Vec<u8>) {
        let mut head = [0; CHUNK_OVERHEAD_BYTES];
        head[..HEADER_BYTES].copy_from_slice(&self.header.to_bytes(BROADCAST));
        head[HEADER_BYTES] = self.height;
        let frame_bytes = u32::from(self.coding.symbol_bytes) + FRAME_HEAD_BYTES;
        head[27..31].copy_from_slice(&frame_bytes.to_le_bytes());
        head[31..63].copy_from_slice(&self.ray.0);
        head[63..75].copy_from_slice(&self.coding.to_bytes());
        for symbol in self.symbols.get(symbols).unwrap_or_default() {
            let [_, n0, n1, n2] = symbol.id.number.to_be_bytes();
            head[75..].copy_from_slice(&[symbol.id.block, n0, n1, n2]);
            buffer.extend_from_slice(&head);
            buffer.extend_from_slice(&symbol.data);
        }
    }
}

/// Numbers a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

/// Work that the machine does not do itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Job {
    /// Find out where the bootstrap peers are. Answered by [`Input::Resolved`], always.
    Resolve,
    /// Hash, encode or decode: [`Task::run`] does it, on any thread. Answered by [`Input::Coded`], always.
    Code(Task),
}

/// Something worth telling.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message for the application, told once.
    Message {
        /// What.
        payload: Bytes,
        /// Who handed it to us: no origin is known in this dialect.
        from: SocketAddr,
        /// The highest height that it came with, within what its senders may say.
        height: u8,
        /// Its name.
        ray: RayId,
    },
    /// A peer entered the table: it answered from the address that it announces.
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
    /// A payload of our own was handed out.
    Sent {
        /// Of which operation.
        operation: u64,
        /// Its name.
        ray: RayId,
        /// To how many peers directly.
        targets: usize,
    },
    /// A payload of our own was not sent.
    NotSent {
        /// Of which operation.
        operation: u64,
        /// Why.
        error: SendError,
    },
}

/// Why a payload was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Kadcast has no empty messages.
    #[error("the message is empty, which Kadcast cannot say")]
    Empty,
    /// Longer than the limit.
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many payloads of ours are being encoded; try again later.
    #[error("too many messages are being encoded; try again later")]
    Full,
    /// The peer is shut down. A machine never is: whoever runs it says so.
    #[error("this peer is shut down")]
    Closed,
}

/// A peer of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Contact {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its id.
    pub id: Id,
    /// In which bucket.
    pub bucket: u8,
    /// Its application's version.
    pub version: Version,
    /// Whether it is a peer of ours.
    pub mark: Mark,
    /// How long ago it was heard of.
    pub silent: Duration,
    /// Whether it has answered what it was asked last, or was not asked since it was heard of.
    pub alive: bool,
}

/// Why a peer left the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Removal {
    /// It did not answer.
    Silent,
    /// It is blocked.
    Blocked,
    /// Its version or its network is not accepted any more.
    Refused,
}

/// What the machine has done so far, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Datagrams that came in, refused ones included.
    pub datagrams_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Datagrams that went out, those of runs included.
    pub datagrams_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Symbols of others handed on.
    pub symbols_relayed: u64,
    /// Symbols that were there already, or not needed any more.
    pub symbols_spare: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Jobs of decoding, failed ones included.
    pub decodings: u64,
    /// Objects whose symbols did not make what was announced, each time.
    pub forged: u64,
    /// Objects that were given up.
    pub abandoned: u64,
    /// Pulls sent.
    pub pulls_sent: u64,
    /// Symbols sent for pulls of others.
    pub pulled_out: u64,
    /// Objects arriving now.
    pub arriving: usize,
    /// Bytes of their symbols.
    pub held_bytes: usize,
    /// Bytes of finished objects kept for others.
    pub kept_bytes: usize,
    /// Peers in the table.
    pub peers: usize,
}

/// Where the machine puts what follows from an input. Draining it computes nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the network, in order.
    pub transmits: VecDeque<Transmit>,
    /// For whoever listens, in order.
    pub events: VecDeque<Event>,
    /// To be done elsewhere.
    pub jobs: VecDeque<(JobId, Job)>,
}

impl Outbox {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty() && self.events.is_empty() && self.jobs.is_empty()
    }
}

/// A datagram's kind.
const BROADCAST: u8 = 10;

/// Ray id, coding and symbol id: what the frame's length counts beside the symbol.
const FRAME_HEAD_BYTES: u32 = 48;

//! Which addresses heard from a peer may be dialled: none that would make us a scanner of somebody's network.

use crate::config::Families;
use cicada_wire::{Address, Found, Frame, Introduction, Neighbours, Reply, SignedRecord};
use std::net::{IpAddr, SocketAddr};

/// Where an address means something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// On one machine.
    Loopback,
    /// In one private network.
    Private,
    /// Everywhere.
    Public,
}

impl Scope {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip.octets()) => Self::Private,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Private,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Public,
        }
    }
}

/// 100.64.0.0/10, between customers and their carrier (RFC 6598).
fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0xc0 == 64
}

/// Whether an address heard from the peer at `informer` may be dialled.
pub(crate) fn may_dial(address: Address, informer: SocketAddr) -> bool {
    let scope = Scope::of(address.ip());
    address.port() >= 1024 && (scope == Scope::Public || scope == Scope::of(informer.ip()))
}

/// Takes the records out of a frame that may not be dialled; returns how many.
pub(crate) fn scrub_frame(frame: &mut Frame, families: Families, informer: SocketAddr) -> usize {
    retain_frame(frame, &mut |record| allowed(record, families, informer))
}

/// Takes the records out of a frame that are not to be kept; returns how many.
pub(crate) fn retain_frame(frame: &mut Frame, keep: Keep<'_>) -> usize {
    match frame {
        Frame::Reply(_, reply) => retain_reply(reply, keep),
        Frame::Changed(neighbours) => retain(&mut neighbours.records, keep),
        Frame::Introduce(introduction) => retain(&mut introduction.records, keep),
        Frame::Goodbye(goodbye) => retain(&mut goodbye.neighbours.records, keep) + retain(&mut goodbye.lost, keep),
        Frame::Query(..)
        | Frame::Hint(_)
        | Frame::Unify(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Data(..)
        | Frame::HopVerdict(_)
        | Frame::Task(..)
        | Frame::TaskVerdict(_)
        | Frame::Opaque(_)
        | Frame::Digest(_)
        | Frame::Pull(_) => 0,
    }
}

/// Whether a frame that is about one record may be looked at.
pub(crate) fn is_allowed(frame: &Frame, families: Families, informer: SocketAddr) -> bool {
    match frame {
        Frame::Hint(record) => allowed(record, families, informer),
        Frame::Unify(unify) => allowed(&unify.seeker, families, informer),
        Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Introduce(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Goodbye(_)
        | Frame::Data(..)
        | Frame::HopVerdict(_)
        | Frame::Task(..)
        | Frame::TaskVerdict(_)
        | Frame::Opaque(_)
        | Frame::Digest(_)
        | Frame::Pull(_) => true,
    }
}

/// Takes the records out of an answer that may not be dialled; returns how many.
pub(crate) fn scrub_reply(reply: &mut Reply, families: Families, informer: SocketAddr) -> usize {
    retain_reply(reply, &mut |record| allowed(record, families, informer))
}

/// Takes the records out of an answer that are not to be kept; returns how many.
pub(crate) fn retain_reply(reply: &mut Reply, keep: Keep<'_>) -> usize {
    match reply {
        Reply::Found(Found { closer, responsible, .. }) => retain(closer, keep) + retain(responsible, keep),
        Reply::Neighbours(Neighbours { records, .. }) | Reply::Records(Introduction { records }) => retain(records, keep),
        Reply::Pong | Reply::WhoAreYou | Reply::Attached(_) | Reply::Witnessed(_) | Reply::Refused(_) => 0,
    }
}

/// Says of each record whether it stays.
type Keep<'a> = &'a mut dyn FnMut(&SignedRecord) -> bool;

fn retain(records: &mut Vec<SignedRecord>, keep: Keep<'_>) -> usize {
    let before = records.len();
    records.retain(|record| keep(record));
    before - records.len()
}

/// Whether we may send to a peer where we would; one that we would not send to at all may be told of.
pub(crate) fn allowed(record: &SignedRecord, families: Families, informer: SocketAddr) -> bool {
    families.address(record).or_else(|| record.announced()).is_some_and(|address| may_dial(address, informer))
}

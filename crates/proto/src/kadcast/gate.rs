//! Which datagrams are let in: none of those blocked, none beyond the sender's share, none of another network, none whose header does
//! not belong to the address it comes from. All of this is looked at before anything is decoded.

use super::{
    api::Blocked,
    context::{Context, Purse},
    discovery::Sender,
    table::Table,
};
use crate::{rate::Buckets, seen::Window};
use cicada_wire::{
    Refusal,
    kadcast::{Header, Id, Nonce},
};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// What is known of senders.
#[derive(Debug, Default)]
pub(super) struct Gate {
    blocked: BTreeSet<Blocked>,
    bytes_of: Buckets<Purse>,
    /// Headers that were checked lately, of peers that are not in the table.
    checked: Window<SocketAddr, (Id, Nonce)>,
}

impl Gate {
    /// Whether so many bytes of this source are looked at.
    pub(super) fn admits(&mut self, cx: &mut Context<'_>, source: SocketAddr, bytes: usize) -> bool {
        let reason = if self.blocked.contains(&Blocked::Ip(source.ip())) {
            Refusal::Denied
        } else if !self.bytes_of.take(cx.now, Purse::of(source), cx.settings.limits.bytes_per_sender, bytes as u64) {
            Refusal::OverBudget
        } else {
            return true;
        };
        cx.refuse(source, reason);
        false
    }

    /// Whether this header is let in, and who sends.
    pub(super) fn sender(&mut self, cx: &mut Context<'_>, table: &Table, source: SocketAddr, header: Header) -> Option<Sender> {
        let address = header.address(source);
        let sender = Sender { source, address, header };
        match self.check(cx, table, sender) {
            Ok(()) => Some(sender),
            Err(reason) => {
                cx.refuse(source, reason);
                None
            }
        }
    }

    fn check(&mut self, cx: &mut Context<'_>, table: &Table, Sender { source, address, header }: Sender) -> Result<(), Refusal> {
        if self.blocked.contains(&Blocked::Peer(address)) {
            return Err(Refusal::Denied);
        }
        if header.network != cx.settings.network {
            return Err(Refusal::OtherNetwork);
        }
        if header.id == cx.me.id() {
            return Err(Refusal::SelfDial);
        }
        let claims = (header.id, header.nonce);
        let known = table.peer(address).is_some_and(|peer| (peer.id, peer.nonce) == claims);
        if known || self.checked.get(cx.now, &address) == Some(&claims) {
            return Ok(());
        }
        header.check(source)?;
        self.checked.insert(cx.now, address, claims, cx.now + CHECKED, MOST_CHECKED);
        Ok(())
    }

    /// Lets somebody in no more. At the limit the blocked with the lowest address goes free.
    pub(super) fn block(&mut self, whom: Blocked, limit: usize) {
        self.blocked.insert(whom);
        while self.blocked.len() > limit {
            let other = self.blocked.iter().find(|blocked| **blocked != whom).copied();
            other.map(|other| self.blocked.remove(&other));
        }
    }

    pub(super) fn unblock(&mut self, whom: Blocked) {
        self.blocked.remove(&whom);
    }

    pub(super) fn is_blocked(&self, address: SocketAddr) -> bool {
        self.blocked.contains(&Blocked::Ip(address.ip())) || self.blocked.contains(&Blocked::Peer(address))
    }
}

/// How long the hashes of a header need not be computed again.
const CHECKED: Duration = Duration::from_secs(60); // guess

const MOST_CHECKED: usize = 4096; // guess: 0.5 MiB

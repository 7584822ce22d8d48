//! The member's side: whose records are held here, and until when.

use crate::{context::Context, scope::Scope, time::Instant};
use cicada_wire::{Attachment, Hash, Refusal, Role, SignedRecord};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// The clients attached here.
#[derive(Debug, Default)]
pub(super) struct Held {
    clients: BTreeMap<Hash, Client>,
}

#[derive(Debug)]
struct Client {
    record: SignedRecord,
    ip: IpAddr,
    until: Instant,
}

impl Held {
    /// Attaches the client at the other end of a link, or renews its lease. Returns the lease that it gets.
    pub(super) fn attach(&mut self, cx: &Context<'_>, from: &SignedRecord, wish: &Attachment) -> Result<Attachment, Refusal> {
        let id = from.id();
        let link = cx.links.to_peer(id).filter(|link| link.is_open()).ok_or(Refusal::Unexpected)?;
        if from.record().role == Role::Member {
            return Err(Refusal::Unexpected);
        }
        if !from.is_current(cx.clock) {
            return Err(Refusal::ExpiredRecord);
        }
        let ip = link.remote.ip().to_canonical();
        if !self.clients.contains_key(&id) && !self.has_room(ip, cx.config.limits.attachments) {
            return Err(Refusal::OverBudget);
        }
        let lease_s = wish.lease_s.clamp(SHORTEST_LEASE_S, LONGEST_LEASE_S);
        let until = cx.now + Duration::from_secs(lease_s.into());
        self.clients.insert(id, Client { record: from.clone(), ip, until });
        Ok(Attachment { lease_s })
    }

    fn has_room(&self, ip: IpAddr, limit: usize) -> bool {
        let beside = self.clients.values().filter(|client| client.ip == ip).count();
        self.clients.len() < limit && (beside < PER_IP || Scope::of(ip) != Scope::Public)
    }

    pub(super) fn attached(&self, id: Hash) -> Option<&SignedRecord> {
        self.clients.get(&id).map(|client| &client.record)
    }

    pub(super) fn all(&self) -> Vec<SignedRecord> {
        self.clients.values().map(|client| client.record.clone()).collect()
    }

    /// The link to this client is gone, and its attachment with it.
    pub(super) fn drop(&mut self, id: Hash) {
        self.clients.remove(&id);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.clients.retain(|_, client| now < client.until);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.clients.values().map(|client| client.until).min()
    }
}

/// A client that is asked to renew more often would do little else.
const SHORTEST_LEASE_S: u32 = 10; // guess
/// A client that vanished without closing its link is forgotten after this.
const LONGEST_LEASE_S: u32 = 120; // guess
/// Clients of one public IP address.
const PER_IP: usize = 8; // guess: a household, or a command line in a loop

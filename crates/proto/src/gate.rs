//! The gate: who may knock at a peer's socket at all, before anything is spent on a handshake.
//!
//! It counts handshakes under way and links that arrived, by address and by subnet, and how fast handshakes begin. When many are
//! under way, or they come fast, it asks for a proof that the address is not made up (QUIC's Retry) before it gives out a place.
//! It knows no connection: its owner says when each place is free again.

use crate::{
    config::Limits,
    lists::{AccessList, Ban, Subnet, Who},
    rate::{Bucket, Buckets},
    refusals::Refusals,
    time::Instant,
};
use cicada_wire::{PublicKey, Refusal};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// What to do with somebody who knocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Knock {
    /// Begin the handshake. Every such place is given back by [`Gate::free`].
    Enter,
    /// Let it prove that it receives what is sent to its address. It comes again.
    Prove,
    /// Send it away.
    Refuse(Refusal),
}

/// How far somebody who entered has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Progress {
    /// Its handshake, or its hello, is under way.
    HalfOpen,
    /// The link stands.
    Linked,
}

/// The gate of one peer.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    lists: AccessList,
    half_open: usize,
    linked: usize,
    by_ip: BTreeMap<IpAddr, usize>,
    by_subnet: BTreeMap<Subnet, usize>,
    all: Bucket,
    each: Buckets<IpAddr>,
    refusals: Refusals,
}

impl Gate {
    /// An open one.
    #[must_use]
    pub fn new(now: Instant, limits: Limits, lists: AccessList) -> Self {
        let all = Bucket::full(now, limits.handshakes);
        Self {
            limits,
            lists,
            half_open: 0,
            linked: 0,
            by_ip: BTreeMap::new(),
            by_subnet: BTreeMap::new(),
            all,
            each: Buckets::default(),
            refusals: Refusals::default(),
        }
    }

    /// Somebody at `ip` knocks. `proven`: it has shown that it receives what is sent there.
    pub fn knock(&mut self, now: Instant, ip: IpAddr, proven: bool) -> Knock {
        let ip = ip.to_canonical();
        let verdict = self.judge(now, ip, proven);
        match verdict {
            Knock::Enter => {
                self.half_open += 1;
                *self.by_ip.entry(ip).or_default() += 1;
                *self.by_subnet.entry(Subnet::around(ip)).or_default() += 1;
            }
            Knock::Refuse(reason) => self.refusals.count(reason),
            Knock::Prove => {}
        }
        verdict
    }

    fn judge(&mut self, now: Instant, ip: IpAddr, proven: bool) -> Knock {
        let limits = &self.limits;
        let exempt = limits.is_exempt(ip);
        if !self.lists.may_knock(now, ip) {
            return Knock::Refuse(Refusal::Denied);
        }
        // Before a place or a token is spent: whoever made the address up is never heard of again.
        let busy = self.half_open >= limits.half_open / 2 || !self.all.holds(now, limits.handshakes, limits.handshakes.burst / 2);
        if !proven && busy {
            return Knock::Prove;
        }
        if self.half_open >= limits.half_open {
            return Knock::Refuse(Refusal::OverBudget);
        }
        let of_ip = self.by_ip.get(&ip).copied().unwrap_or_default();
        let of_subnet = self.by_subnet.get(&Subnet::around(ip)).copied().unwrap_or_default();
        if !exempt && (of_ip >= limits.links_per_ip || of_subnet >= limits.links_per_subnet) {
            return Knock::Refuse(Refusal::TooManyLinks);
        }
        if !exempt && !self.each.take(now, ip, limits.handshakes_per_ip, 1) {
            return Knock::Refuse(Refusal::OverBudget);
        }
        if !self.all.take(now, limits.handshakes, 1) {
            return Knock::Refuse(Refusal::OverBudget);
        }
        Knock::Enter
    }

    /// Whether to dial there.
    ///
    /// # Errors
    /// [`Refusal::Denied`] if not; that is counted.
    pub fn check_address(&mut self, now: Instant, ip: IpAddr) -> Result<(), Refusal> {
        if self.lists.may_knock(now, ip) {
            return Ok(());
        }
        self.refusals.count(Refusal::Denied);
        Err(Refusal::Denied)
    }

    /// Whether to have to do with who has shown this key.
    ///
    /// # Errors
    /// [`Refusal::Denied`] if not; that is counted.
    pub fn check_key(&mut self, now: Instant, ip: IpAddr, key: PublicKey) -> Result<(), Refusal> {
        if self.lists.is_empty() || self.lists.admits(now, Some(ip.to_canonical()), key) {
            return Ok(());
        }
        self.refusals.count(Refusal::Denied);
        Err(Refusal::Denied)
    }

    /// The handshake of somebody who entered has become a link.
    pub fn linked(&mut self) {
        self.half_open = self.half_open.saturating_sub(1);
        self.linked += 1;
    }

    /// Somebody who entered is gone.
    pub fn free(&mut self, ip: IpAddr, progress: Progress) {
        let ip = ip.to_canonical();
        match progress {
            Progress::HalfOpen => self.half_open = self.half_open.saturating_sub(1),
            Progress::Linked => self.linked = self.linked.saturating_sub(1),
        }
        release(&mut self.by_ip, &ip);
        release(&mut self.by_subnet, &Subnet::around(ip));
    }

    /// Bans. Links that stand are the owner's to close.
    pub fn ban(&mut self, now: Instant, who: Who, span: Option<Duration>) {
        self.lists.ban(now, who, span, self.limits.bans);
    }

    /// Lifts a ban; returns whether there was one.
    pub fn unban(&mut self, now: Instant, who: &Who) -> bool {
        self.lists.unban(now, who)
    }

    /// The bans in force.
    #[must_use]
    pub fn banned(&self, now: Instant) -> Vec<Ban> {
        self.lists.banned(now)
    }

    /// Handshakes under way.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open
    }

    /// Links that arrived and stand.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.linked
    }

    /// What was refused here.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}

fn release<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;

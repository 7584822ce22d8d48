//! The members that a peer remembers from one start to the next, and when it tries to come back by them.
//!
//! Those that were there for long are likely to be there again (Saroiu, Gummadi and Gribble 2002, section 3.3: the longer a peer
//! is up, the longer it stays), so they are ranked by age. Whoever did not answer lately comes later.

use crate::time::Instant;
use cicada_wire::{Address, PublicKey, UnixTime};
use rand::Rng;
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// Members by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Known {
    members: BTreeMap<Address, Member>,
    limit: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Member {
    key: PublicKey,
    since: UnixTime,
    seen: UnixTime,
    present: bool,
    /// Attempts in a row that came to nothing.
    failures: u32,
}

impl Member {
    fn age_ms(&self) -> u64 {
        self.seen.0.saturating_sub(self.since.0)
    }
}

impl Known {
    /// Nobody yet, and never more than `limit`.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { members: BTreeMap::new(), limit }
    }

    /// A member is there.
    pub fn joined(&mut self, now: UnixTime, address: Address, key: PublicKey) {
        let before = self.members.get(&address).filter(|member| member.key == key);
        let since = before.map_or(now, |member| member.since);
        self.members.insert(address, Member { key, since, seen: now, present: true, failures: 0 });
        self.bound();
    }

    /// It is no longer.
    pub fn left(&mut self, now: UnixTime, address: Address) {
        if let Some(member) = self.members.get_mut(&address) {
            (member.seen, member.present) = (now, false);
        }
    }

    /// Those who are there are still there; those not seen for long are forgotten.
    pub fn note_time(&mut self, now: UnixTime) {
        for member in self.members.values_mut().filter(|member| member.present) {
            member.seen = now;
        }
        let forget_ms = u64::try_from(FORGET.as_millis()).unwrap_or(u64::MAX);
        self.members.retain(|_, member| member.present || now.0.saturating_sub(member.seen.0) < forget_ms);
    }

    /// These did not answer.
    pub fn failed(&mut self, addresses: &[Address]) {
        for address in addresses {
            if let Some(member) = self.members.get_mut(address) {
                member.failures = member.failures.saturating_add(1);
            }
        }
    }

    /// Their addresses, the best first.
    #[must_use]
    pub fn ranked(&self) -> Vec<Address> {
        let mut ranked: Vec<(&Address, &Member)> = self.members.iter().collect();
        ranked.sort_by_key(|(address, member)| (member.failures, std::cmp::Reverse(member.age_ms()), **address));
        ranked.into_iter().map(|(address, _)| *address).collect()
    }

    /// A few to try, at random among the best; not `own`.
    pub fn choose(&self, rng: &mut impl Rng, own: Option<Address>) -> Vec<Address> {
        let mut pool: Vec<Address> = self.ranked().into_iter().filter(|address| Some(*address) != own).take(POOL).collect();
        let mut chosen = Vec::new();
        while chosen.len() < FEW && !pool.is_empty() {
            // The pool is far below 2^32.
            let at = rng.next_u32() as usize % pool.len();
            chosen.push(pool.swap_remove(at));
        }
        chosen
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Over the limit the last goes, one that is not there first.
    fn bound(&mut self) {
        while self.members.len() > self.limit {
            let rank = |member: &Member| (member.present, std::cmp::Reverse(member.failures), member.age_ms());
            let Some(last) = self.members.iter().min_by_key(|(_, member)| rank(member)).map(|(address, _)| *address) else { return };
            self.members.remove(&last);
        }
    }

    /// A text for a file: a line with the version, a line for each member, a line that says how many.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for address in self.ranked() {
            let Some(member) = self.members.get(&address) else { continue };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{address} {} {} {}", member.key, member.since.0, member.seen.0);
        }
        let _ = writeln!(text, "end {}", self.members.len());
        text
    }

    /// Reads what [`Self::to_text`] made. Nobody counts as present.
    ///
    /// # Errors
    /// Says what is wrong where; a text that lacks its end is no text.
    pub fn parse(text: &str, limit: usize) -> Result<Self, KnownError> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(KnownError { line: 1, what: "does not begin with `cicada members 1`" });
        }
        let mut known = Self::new(limit);
        for (count, (at, line)) in lines.enumerate() {
            let wrong = |what| KnownError { line: at, what };
            if let Some(told) = line.strip_prefix("end ") {
                return if told.parse() == Ok(count) { Ok(known) } else { Err(wrong("another number of members than it says")) };
            }
            let (address, member) = parse_line(line).map_err(wrong)?;
            known.members.insert(address, member);
            known.bound();
        }
        Err(KnownError { line: text.lines().count(), what: "ends before its last line" })
    }
}

fn parse_line(line: &str) -> Result<(Address, Member), &'static str> {
    let mut words = line.split(' ');
    let address = words.next().and_then(|word| word.parse().ok()).ok_or("no address")?;
    let key = match words.next().map(str::parse) {
        Some(Ok(crate::lists::Who::Key(key))) => key,
        Some(Ok(crate::lists::Who::Ip(_) | crate::lists::Who::Subnet(_)) | Err(_)) | None => return Err("no key after the address"),
    };
    let mut time = || words.next().and_then(|word| word.parse().ok()).map(UnixTime).ok_or("no two times after the key");
    let (since, seen) = (time()?, time()?);
    if words.next().is_some() {
        return Err("more than address, key and two times");
    }
    Ok((address, Member { key, since, seen, present: false, failures: 0 }))
}

/// A text that is no list of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct KnownError {
    /// In which line.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// When to try to come back: at once after a start, a little later when all links were lost, and ever more seldom.
#[derive(Clone, Debug, Default)]
pub struct Rejoin {
    attempts: u32,
    was_linked: bool,
    next: Option<Instant>,
}

impl Rejoin {
    /// Whether to try now. `linked`: a link to a member stands. `under_way`: an attempt is.
    pub fn is_due(&mut self, now: Instant, linked: bool, under_way: bool) -> bool {
        if linked {
            *self = Self { was_linked: true, ..Self::default() };
            return false;
        }
        if under_way {
            return false;
        }
        let grace = if self.was_linked { GRACE } else { Duration::ZERO };
        if *self.next.get_or_insert(now + grace) > now {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        true
    }

    /// An attempt came to nothing, or there was nobody to try.
    pub fn failed(&mut self, now: Instant, rng: &mut impl Rng) {
        let pause = (FIRST_PAUSE * 2u32.pow(self.attempts.saturating_sub(1).min(10))).min(LONGEST_PAUSE);
        let quarter = u64::try_from(pause.as_micros() / 4).unwrap_or(u64::MAX).max(1);
        self.next = Some(now + pause + Duration::from_micros(rng.next_u64() % quarter));
    }

    /// When to ask again whether it is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

const FIRST_LINE: &str = "cicada members 1";

/// Tried at once.
const FEW: usize = 3; // guess: one of them answers even if half of the swarm is gone

/// The best are these many; those who fail fall behind, so that others come in.
const POOL: usize = 12; // guess

/// After that long an address is likely somebody else's.
const FORGET: Duration = Duration::from_secs(90 * 24 * 60 * 60); // guess

/// The overlay's own repair comes first.
const GRACE: Duration = Duration::from_secs(3); // guess

const FIRST_PAUSE: Duration = Duration::from_secs(1); // guess
const LONGEST_PAUSE: Duration = Duration::from_secs(60); // guess

#[cfg(test)]
mod tests;

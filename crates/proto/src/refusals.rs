//! How often what was refused, by reason.

use cicada_wire::Refusal;
use std::collections::BTreeMap;

/// Counts refusals by reason. Reasons that this version does not know are counted as one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refusals(BTreeMap<Refusal, u64>);

impl Refusals {
    /// Counts one.
    pub fn count(&mut self, reason: Refusal) {
        let reason = match reason {
            Refusal::Unknown(_) => Refusal::Unknown(0),
            known => known,
        };
        *self.0.entry(reason).or_default() += 1;
    }

    /// Counts all of `other` as well.
    pub fn add(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            *self.0.entry(*reason).or_default() += count;
        }
    }

    /// How many for this reason.
    #[must_use]
    pub fn of(&self, reason: Refusal) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Every reason that occurred, and how often, in the order of the reasons.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}

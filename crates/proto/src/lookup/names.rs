//! What a lookup tells those that it asks of what it has heard, and understands by their answers' names.

use super::search::Search;
use crate::context::Context;
use cicada_wire::{Find, Found, Hash, MAX_RECORDS, RecordName, RecordNames, SignedRecord};
use std::collections::BTreeMap;

impl Search {
    /// The question about `target`, to whomever it goes.
    pub(super) fn question(&self, cx: &Context<'_>, target: Hash) -> Find {
        // Bounded by MAX_RECORDS, which is far below 256.
        Find { target, count: self.count() as u8, known: self.known(cx) }
    }

    /// How many records are asked for: twice as many each time that all of those told of have come to nothing.
    fn count(&self) -> usize {
        self.width.saturating_mul(1 << self.repeats.min(MOST_DOUBLINGS)).clamp(1, MAX_RECORDS)
    }

    /// The records that an answer is likeliest to hold: our own, and as many as it has room for on either side of the key.
    fn known(&self, cx: &Context<'_>) -> RecordNames {
        let count = self.count();
        let mut names = Vec::with_capacity(2 * count + 1);
        let (ahead, behind) = (self.by_approach().take(count), self.by_claim().take(count));
        names.extend(ahead.chain(behind).map(|(_, contact)| contact.record().name()));
        names.push(cx.me.record.name());
        names.sort_unstable();
        names.dedup();
        RecordNames(names)
    }

    /// The answer with the records that it only names, the responsible ones in their order.
    pub(super) fn restored(&self, cx: &Context<'_>, found: Found) -> Found {
        if found.known_closer.0.is_empty() && found.known_responsible.0.is_empty() {
            return found;
        }
        let own = [&cx.me.record];
        let known: BTreeMap<RecordName, &SignedRecord> = self.records().chain(own).map(|record| (record.name(), record)).collect();
        let mut found = found.restored(|name| known.get(&name).map(|record| (*record).clone()));
        found.responsible.sort_by_cached_key(|record| self.claim(record.id()));
        found
    }
}

/// Then even one record has become as many as an answer holds.
const MOST_DOUBLINGS: u32 = MAX_RECORDS.ilog2() + 1;

//! Whole swarms in virtual time: what must hold of them, and for each check its control, in which what it relies on is off.

mod broadcasts;
mod helpers;
mod invariants;
mod lookups;
mod merging;
mod records;
mod same_seed;

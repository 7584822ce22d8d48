//! The laws of the wire: what is written can be read, what is not ours is refused, and ids mean what they always meant.

mod covered;
mod golden;
mod hostile;
mod numbers;
mod pair;
mod proofs;
mod round_trip;
mod strategies;

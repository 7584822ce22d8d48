//! Swarms of 64 peers in one process, over real links, with at most 16 links a peer and every message over the overlay.

mod broadcasts;
mod faults;
mod harness;
mod large;
mod unicasts;

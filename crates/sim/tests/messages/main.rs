//! Messages in a world: unicasts with their receipts, and broadcasts.

mod broadcast;
mod clients;
mod families;
mod loss;
mod repair;
mod sealed;
mod stalls;
mod swarm;
mod unicast;

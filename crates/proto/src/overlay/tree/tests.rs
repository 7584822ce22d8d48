use super::{CELLS, NEAR, table::Buckets};
use crate::peer::Proven;
use cicada_wire::Hash;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// However few of those far away somebody knows, its neighbours tell how large the swarm is.
#[test]
fn who_knows_its_neighbours_can_tell_a_small_swarm_from_a_large_one() {
    for (size, least, most) in [(5, 5, 5), (40, 20, 100), (1000, 300, 3000), (10_000, 3000, 30_000)] {
        let mut told: Vec<usize> = (0..31).map(|seed| likely_size(size, seed)).collect();
        told.sort_unstable();
        assert!((least..=most).contains(&told[told.len() / 2]), "{size}: {told:?}");
        // Nobody takes a thousand for a few, nor a few for a thousand.
        assert!(size < 1000 || told[0] > super::KNOW_ALL, "{size}: {told:?}");
        assert!(size > 40 || told[30] < 300, "{size}: {told:?}");
    }
}

/// What somebody thinks of a swarm of so many who knows the sixteen nearest and two of each cell beyond.
fn likely_size(size: usize, seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let me = Hash::from_bytes(rng.random());
    let mut others: Vec<Hash> = (0..size).map(|_| Hash::from_bytes(rng.random())).collect();
    others.sort_by_key(|id| id.0.xor(me.0));
    let mut buckets = Buckets::new(me);
    for (nearer, id) in others.into_iter().enumerate() {
        let cell = buckets.cell(id).expect("another");
        assert!(cell < CELLS);
        if nearer < 2 * NEAR || buckets.bucket(cell).is_none_or(|bucket| bucket.members().len() < 2) {
            buckets.bucket_mut(id).expect("another").insert(Proven::of_id(id));
        }
    }
    buckets.likely_size(NEAR)
}

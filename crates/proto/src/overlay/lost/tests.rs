use super::*;
use cicada_wire::{Capabilities, IdKind, Identity, Record, Role, UnixTime};
use rand::SeedableRng;

#[test]
fn a_lost_peer_is_tried_again_less_and_less_often_and_at_last_forgotten() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut lost = Lost::default();
    let peer = record(2000);
    lost.remember(Instant(0), &mut rng, peer.clone(), 4);
    let mut pauses = Vec::new();
    let mut now = Instant(0);
    while let Some(next) = lost.next_timeout() {
        pauses.push(next.since(now));
        now = next;
        assert_eq!(lost.due(now).as_ref(), Some(&peer));
        assert_eq!(lost.due(now), None, "one try at a time");
        lost.failed(now, &mut rng, peer.id());
    }
    assert_eq!(pauses.len(), MAX_TRIES as usize);
    assert!(pauses[0] >= FIRST && pauses[0] < FIRST * 2);
    assert!(pauses.iter().all(|pause| *pause <= LONGEST + LONGEST / 4));
    assert!(pauses.last() >= Some(&LONGEST));
}

#[test]
fn many_lost_peers_are_tried_one_after_the_other_the_least_tried_first() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut lost = Lost::default();
    for port in 2000..2003 {
        lost.remember(Instant(0), &mut rng, record(port), 8);
    }
    let mut now = Instant(0) + LONGEST;
    let mut tried = Vec::new();
    for _ in 0..3 {
        tried.extend(lost.due(now).map(|record| record.id()));
        assert_eq!(lost.due(now), None);
        now = now + PACE;
    }
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), 3);
}

#[test]
fn who_was_found_is_lost_no_more() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut lost = Lost::default();
    let peer = record(2000);
    lost.remember(Instant(0), &mut rng, peer.clone(), 4);
    assert!(lost.found(peer.id()));
    assert!(!lost.found(peer.id()), "only once");
    assert_eq!(lost.next_timeout(), None);
}

#[test]
fn the_memory_is_bounded_and_the_most_tried_goes_first() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut lost = Lost::default();
    let tried = record(2000);
    lost.remember(Instant(0), &mut rng, tried.clone(), 2);
    lost.failed(Instant(0), &mut rng, tried.id());
    lost.remember(Instant(0), &mut rng, record(2001), 2);
    lost.remember(Instant(0), &mut rng, record(2002), 2);
    assert!(!lost.found(tried.id()));
    assert!(lost.found(record(2001).id()) && lost.found(record(2002).id()));
}

fn record(port: u16) -> SignedRecord {
    let identity = Identity::from_seed(&[7; 32]);
    let record = Record {
        key: identity.public(),
        kind: IdKind::Address,
        role: Role::Member,
        addresses: vec![format!("10.0.0.1:{port}").parse().expect("an address")],
        capabilities: Capabilities::default(),
        sequence: 1,
        expires: UnixTime(1),
        data: None,
    };
    SignedRecord::sign(record, &identity).expect("it agrees with itself")
}

#[test]
fn hearsay_takes_a_part_of_the_room_only_and_is_not_handed_on() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut lost = Lost::default();
    for port in 2000..2010 {
        lost.hear_of(Instant(0), &mut rng, record(port), 16);
    }
    assert_eq!((lost.peers.len(), lost.legacy().len()), (16 / HEARSAY, 0));
    for port in 3000..3016 {
        lost.remember(Instant(0), &mut rng, record(port), 16);
    }
    lost.failed(Instant(0), &mut rng, record(3000).id());
    let legacy: Vec<_> = lost.legacy().iter().map(SignedRecord::id).collect();
    assert_eq!((lost.peers.len(), legacy.len()), (16, LEGACY));
    assert!(!legacy.contains(&record(3000).id()), "it was tried already");
    lost.hear_of(Instant(0), &mut rng, record(4000), 16);
    assert!(!lost.found(record(4000).id()), "nobody who was met makes room for it");
}

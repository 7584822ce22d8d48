use super::*;
use crate::rate::Rate;

const NOW: Instant = Instant(0);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// A gate that bounds nothing but what `change` sets.
fn gate(change: impl FnOnce(&mut Limits)) -> Gate {
    let mut limits = Limits {
        half_open: 1000,
        links_per_ip: usize::MAX,
        links_per_subnet: usize::MAX,
        handshakes: Rate::UNLIMITED,
        handshakes_per_ip: Rate::UNLIMITED,
        ..Limits::default()
    };
    change(&mut limits);
    Gate::new(NOW, limits, AccessList::default())
}

fn entered(gate: &mut Gate, from: &str, knocks: usize) -> usize {
    (0..knocks).filter(|_| gate.knock(NOW, ip(from), true) == Knock::Enter).count()
}

#[test]
fn handshakes_under_way_are_bounded_and_free_their_places() {
    let mut gate = gate(|limits| limits.half_open = 4);
    assert_eq!(entered(&mut gate, "9.9.9.9", 10), 4);
    assert_eq!(gate.refusals().of(Refusal::OverBudget), 6);
    gate.free(ip("9.9.9.9"), Progress::HalfOpen);
    gate.linked();
    assert_eq!(entered(&mut gate, "9.9.9.9", 10), 2);
    assert_eq!((gate.half_open(), gate.arrived()), (4, 1));
}

#[test]
fn when_half_of_the_places_are_taken_addresses_must_be_proven_first() {
    let mut gate = gate(|limits| limits.half_open = 4);
    assert_eq!(gate.knock(NOW, ip("9.9.9.1"), false), Knock::Enter);
    assert_eq!(gate.knock(NOW, ip("9.9.9.2"), false), Knock::Enter);
    for _ in 0..10_000 {
        assert_eq!(gate.knock(NOW, ip("9.9.9.3"), false), Knock::Prove, "costs no place");
    }
    assert_eq!(gate.half_open(), 2);
    assert_eq!(gate.knock(NOW, ip("9.9.9.4"), true), Knock::Enter, "an honest newcomer comes through");
}

#[test]
fn one_address_and_one_subnet_have_no_more_links_than_their_limits() {
    let mut gate = gate(|limits| (limits.links_per_ip, limits.links_per_subnet) = (2, 3));
    assert_eq!(entered(&mut gate, "9.9.9.9", 5), 2);
    assert_eq!(entered(&mut gate, "9.9.9.8", 5), 1);
    assert_eq!(entered(&mut gate, "9.9.8.8", 5), 2, "control: another subnet");
    assert_eq!(gate.refusals().of(Refusal::TooManyLinks), 10);
    gate.linked();
    gate.free(ip("9.9.9.9"), Progress::Linked);
    assert_eq!(entered(&mut gate, "9.9.9.9", 5), 1);
}

#[test]
fn loopback_and_private_addresses_are_exempt_unless_told_otherwise() {
    let mut exempt = gate(|limits| limits.links_per_ip = 2);
    assert_eq!(entered(&mut exempt, "127.0.0.1", 50), 50);
    assert_eq!(entered(&mut exempt, "10.0.0.1", 50), 50);
    let mut strict = gate(|limits| (limits.links_per_ip, limits.exempt_local) = (2, false));
    assert_eq!(entered(&mut strict, "127.0.0.1", 50), 2);
    let mut listed = gate(|limits| {
        limits.links_per_ip = 2;
        limits.exempt = vec!["9.9.0.0/16".parse().expect("a subnet")];
    });
    assert_eq!(entered(&mut listed, "9.9.9.9", 50), 50);
    assert_eq!(entered(&mut listed, "9.8.9.9", 50), 2);
}

#[test]
fn handshakes_come_no_faster_than_their_rates() {
    let mut gate = gate(|limits| {
        limits.handshakes_per_ip = Rate::new(1, 2);
        limits.handshakes = Rate::new(10, 5);
    });
    assert_eq!(entered(&mut gate, "9.9.9.9", 10), 2);
    assert_eq!(entered(&mut gate, "9.9.8.9", 10), 2);
    assert_eq!(entered(&mut gate, "9.9.7.9", 10), 1, "in all");
    let later = NOW + Duration::from_secs(1);
    assert_eq!(gate.knock(later, ip("9.9.9.9"), true), Knock::Enter);
    assert_eq!(gate.knock(later, ip("9.9.9.9"), true), Knock::Refuse(Refusal::OverBudget));
}

#[test]
fn made_up_addresses_leave_half_of_the_handshakes_to_those_who_prove_theirs() {
    let mut gate = gate(|limits| limits.handshakes = Rate::new(1, 10));
    let entered_unproven = (0..100).filter(|_| gate.knock(NOW, ip("9.9.9.9"), false) == Knock::Enter).count();
    assert_eq!(entered_unproven, 6);
    assert_eq!(entered(&mut gate, "9.9.9.8", 10), 4);
}

#[test]
fn the_banned_and_the_denied_do_not_come_in() {
    let mut gate = gate(|_| {});
    gate.ban(NOW, ip("9.9.9.9").into(), Some(Duration::from_secs(1)));
    assert_eq!(gate.knock(NOW, ip("9.9.9.9"), true), Knock::Refuse(Refusal::Denied));
    assert_eq!(gate.knock(NOW, ip("::ffff:9.9.9.9"), true), Knock::Refuse(Refusal::Denied));
    assert_eq!(gate.knock(NOW + Duration::from_secs(1), ip("9.9.9.9"), true), Knock::Enter);
    let key = PublicKey([1; 32]);
    gate.ban(NOW, key.into(), None);
    assert_eq!(gate.check_key(NOW, ip("9.9.9.9"), key), Err(Refusal::Denied));
    assert!(gate.unban(NOW, &key.into()));
    assert_eq!(gate.check_key(NOW + Duration::from_secs(1), ip("9.9.9.9"), key), Ok(()));
    assert_eq!(gate.refusals().of(Refusal::Denied), 3);
}

#[test]
fn nothing_is_kept_of_those_who_are_gone() {
    let mut gate = gate(|_| {});
    for last in 0..=255u8 {
        assert_eq!(gate.knock(NOW, IpAddr::from([9, 9, last, 1]), true), Knock::Enter);
    }
    for last in 0..=255u8 {
        gate.free(IpAddr::from([9, 9, last, 1]), Progress::HalfOpen);
    }
    assert_eq!((gate.half_open(), gate.by_ip.len(), gate.by_subnet.len()), (0, 0, 0));
}

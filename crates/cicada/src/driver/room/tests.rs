use super::*;
use std::net::IpAddr;

const MIB: usize = 1024 * 1024;

/// Fits three of the longest messages.
const ROOM: Room = Room { of_link: 32 * MIB, of_shelf: 56 * MIB, keeps_slow: false };

fn tenant(link: u64, length: usize) -> Tenant {
    let link = LinkId(link);
    Tenant { link, party: Party::Link(link), shelf: Shelf::Broadcasts, announced: length, takes: length }
}

fn stream(body: u64, tenant: Tenant, brought: usize, seconds: u64) -> Stream {
    Stream { body: BodyId(body), tenant, progress: Progress { brought, age: Duration::from_secs(seconds), grace: GRACE } }
}

/// One that brings a kilobyte a second.
fn drip(body: u64, link: u64, length: usize) -> Stream {
    stream(body, tenant(link, length), 10_000, 10)
}

fn bodies(numbers: &[u64]) -> Option<Vec<BodyId>> {
    Some(numbers.iter().map(|number| BodyId(*number)).collect())
}

#[test]
fn where_there_is_room_nobody_gives_up_anything() {
    let here = [drip(1, 1, 16 * MIB), drip(2, 2, 16 * MIB)];
    assert_eq!(ROOM.make(&here, &tenant(3, 16 * MIB)), bodies(&[]));
    assert_eq!(ROOM.make(&[], &tenant(3, 16 * MIB)), bodies(&[]));
}

#[test]
fn two_links_that_fill_the_room_with_drips_make_room_for_a_third_and_without_that_they_would_not() {
    let here = [drip(1, 1, 16 * MIB), drip(2, 1, 16 * MIB), drip(3, 2, 16 * MIB), drip(4, 2, 8 * MIB)];
    // Of the link that holds most.
    assert_eq!(ROOM.make(&here, &tenant(3, MIB)), bodies(&[1]));
    assert_eq!(ROOM.make(&here, &tenant(3, 16 * MIB)), bodies(&[1]));
    let keeps = Room { keeps_slow: true, ..ROOM };
    assert_eq!(keeps.make(&here, &tenant(3, MIB)), None, "control: what a peer did that kept them");
    assert_eq!(keeps.make(&here[..3], &tenant(3, MIB)), bodies(&[]), "control: it takes what fits");
}

#[test]
fn many_links_that_fill_the_room_together_make_room_as_well() {
    for links in [4, 7, 14, 28] {
        let length = ROOM.of_shelf / links;
        let here: Vec<Stream> = (1..).take(links).map(|link| drip(link, link, length)).collect();
        let going = ROOM.make(&here, &tenant(100, length)).expect("each holds more than a part that is one smaller");
        assert_eq!(going.len(), 1, "{links} links");
    }
}

#[test]
fn the_slowest_goes_first_and_of_two_that_bring_nothing_the_older() {
    let of = |body, brought, seconds| stream(body, tenant(1, 16 * MIB), brought, seconds);
    let other = drip(9, 2, 24 * MIB);
    assert_eq!(ROOM.make(&[of(1, 9000, 10), of(2, 8000, 10), other], &tenant(3, MIB)), bodies(&[2]));
    assert_eq!(ROOM.make(&[of(1, 9000, 10), of(2, 9000, 9), other], &tenant(3, MIB)), bodies(&[1]));
    assert_eq!(ROOM.make(&[of(1, 0, 9), of(2, 0, 10), other], &tenant(3, MIB)), bodies(&[2]));
}

#[test]
fn whoever_keeps_the_pace_or_has_only_begun_stays() {
    let young = |millis| Stream {
        progress: Progress { brought: 0, age: GRACE + Duration::from_millis(millis), grace: GRACE },
        ..drip(1, 1, 32 * MIB)
    };
    let due = (10 - 1) * PACE as usize + PACE as usize / 2;
    let steady = stream(2, tenant(2, 24 * MIB), due, 10);
    assert_eq!(ROOM.make(&[young(0), steady], &tenant(3, MIB)), None);
    assert_eq!(ROOM.make(&[young(1), steady], &tenant(3, MIB)), bodies(&[1]), "control: a millisecond later");
    let slower = stream(2, tenant(2, 24 * MIB), due - 1, 10);
    assert_eq!(ROOM.make(&[young(0), slower], &tenant(3, MIB)), bodies(&[2]), "control: a byte less");
}

#[test]
fn a_slow_one_of_no_more_than_an_equal_share_stays_whatever_the_others_open() {
    // Slower than all others.
    let honest = stream(1, tenant(1, MIB), 1, 60);
    let mut here = vec![honest];
    here.extend((2..57).map(|link| stream(link, tenant(link, MIB), PACE as usize * 60, 60)));
    assert_eq!(ROOM.make(&here, &tenant(100, 16 * MIB)), None, "nobody holds more than a part of 57");
    here[55] = stream(56, tenant(2, MIB), 2, 60);
    assert_eq!(ROOM.make(&here, &tenant(100, MIB)), bodies(&[56]), "control: another holds two parts");
}

#[test]
fn whoever_holds_an_equal_share_already_gets_no_more_at_the_cost_of_others() {
    let here = [drip(1, 1, 16 * MIB), drip(2, 2, 16 * MIB), drip(3, 3, 24 * MIB)];
    assert_eq!(ROOM.make(&here, &tenant(4, MIB)), bodies(&[3]), "control: somebody new");
    let steady = stream(3, tenant(3, 24 * MIB), 10 * PACE as usize, 10);
    assert_eq!(ROOM.make(&[here[0], here[1], steady], &tenant(3, MIB)), None);
}

#[test]
fn a_link_replaces_what_it_brings_slowly_itself_and_nothing_of_another_link_of_its_subnet() {
    let full = [drip(1, 1, 16 * MIB), stream(2, tenant(1, 16 * MIB), 10 * PACE as usize, 10)];
    assert_eq!(ROOM.make(&full, &tenant(1, MIB)), bodies(&[1]), "a relay of somebody who drips");
    assert_eq!(ROOM.make(&full[1..], &tenant(1, 17 * MIB)), None, "control: what is not slow stays");
    let subnet = |link, length| Tenant { party: Party::Subnet(Subnet::around(IpAddr::from([198, 51, 100, 7]))), ..tenant(link, length) };
    let here = [stream(1, subnet(1, 8 * MIB), 0, 10), stream(2, subnet(2, 20 * MIB), 0, 10), drip(3, 3, 28 * MIB)];
    assert_eq!(ROOM.make(&here, &subnet(1, 8 * MIB)), bodies(&[1]), "its own");
    assert_eq!(ROOM.make(&here, &subnet(4, 8 * MIB)), None, "the subnet has its share");
}

#[test]
fn links_of_one_subnet_have_one_share_together() {
    let subnet = |link, length| Tenant { party: Party::Subnet(Subnet::around(IpAddr::from([198, 51, 100, 7]))), ..tenant(link, length) };
    let mut here: Vec<Stream> = (1..8).map(|link| stream(link, subnet(link, 4 * MIB), 0, 10)).collect();
    here.push(drip(8, 8, 28 * MIB));
    assert_eq!(ROOM.make(&here, &tenant(9, MIB)).map(|going| going.len()), Some(1));
    let alone: Vec<Stream> = (1..15).map(|link| stream(link, tenant(link, 4 * MIB), 0, 10)).collect();
    // Fifteen have 3.7 MiB each; two have 28.
    assert_eq!(ROOM.make(&alone, &tenant(1, MIB)), bodies(&[1]), "only its own");
    assert_eq!(ROOM.make(&here, &subnet(20, MIB)), None);
}

#[test]
fn broadcasts_and_unicasts_do_not_take_each_others_room() {
    let here = [drip(1, 1, 32 * MIB), drip(2, 2, 24 * MIB)];
    let unicast = Tenant { shelf: Shelf::Unicasts, ..tenant(3, 16 * MIB) };
    assert_eq!(ROOM.make(&here, &unicast), bodies(&[]));
    // What a link announces counts whatever it is.
    let unicast = Tenant { shelf: Shelf::Unicasts, ..tenant(1, 16 * MIB) };
    assert_eq!(ROOM.make(&here, &unicast), bodies(&[1]));
}

#[test]
fn what_only_passes_through_takes_what_is_kept_of_it() {
    let passing = |link| Tenant { takes: MIB, shelf: Shelf::Unicasts, ..tenant(link, 16 * MIB) };
    let here: Vec<Stream> = (1..20).map(|link| stream(link, passing(link), 0, 10)).collect();
    assert_eq!(ROOM.make(&here, &Tenant { shelf: Shelf::Unicasts, ..tenant(30, 16 * MIB) }), bodies(&[]));
}

#[test]
fn nothing_is_given_up_for_one_that_does_not_fit_anyway() {
    let here = [drip(1, 1, 20 * MIB), stream(2, tenant(2, 32 * MIB), 10 * PACE as usize, 10)];
    assert_eq!(ROOM.make(&here, &tenant(3, 25 * MIB)), None);
    assert_eq!(ROOM.make(&here, &tenant(3, 24 * MIB)), bodies(&[1]), "control: it fits");
}

#[test]
fn whoever_breaks_slow_streams_off_has_no_time_to_begin_for_a_while() {
    let (mut doubts, now, party) = (Doubts::default(), Instant::now(), Party::Link(LinkId(1)));
    let progress = |brought, millis| Progress { brought, age: Duration::from_millis(millis), grace: GRACE };
    assert_eq!(doubts.grace(now, party), GRACE);
    doubts.note(now, party, progress(PACE as usize, 1000));
    assert_eq!(doubts.grace(now, party), GRACE, "control: it kept the pace");
    doubts.note(now, party, progress(100, 1));
    assert_eq!(doubts.grace(now, party), Duration::ZERO, "before its time to begin was over");
    assert_eq!(doubts.grace(now, Party::Link(LinkId(2))), GRACE);
    assert_eq!(doubts.grace(now + DOUBTED, party), GRACE);
    let again = Stream { progress: Progress { grace: Duration::ZERO, ..progress(0, 1) }, ..drip(1, 1, 32 * MIB) };
    assert_eq!(ROOM.make(&[again, stream(2, tenant(2, 24 * MIB), 0, 0)], &tenant(3, MIB)), bodies(&[1]));
}

#[test]
fn doubts_are_bounded() {
    let (mut doubts, now) = (Doubts::default(), Instant::now());
    for link in 0..2 * MOST_DOUBTS as u64 {
        let at = now + Duration::from_millis(link);
        doubts.note(at, Party::Link(LinkId(link)), Progress { brought: 0, age: GRACE, grace: GRACE });
    }
    assert_eq!(doubts.0.len(), MOST_DOUBTS);
    assert_eq!(doubts.grace(now + DOUBTED / 2, Party::Link(LinkId(0))), GRACE, "the oldest went");
}

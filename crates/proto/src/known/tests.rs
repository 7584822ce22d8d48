use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn address(last: u8) -> Address {
    format!("9.9.9.{last}:5000").parse().expect("an address")
}

fn key(seed: u8) -> PublicKey {
    PublicKey([seed; 32])
}

/// Three members: the second is the oldest, the third the youngest.
fn three() -> Known {
    let mut known = Known::new(8);
    known.joined(UnixTime(200), address(1), key(1));
    known.joined(UnixTime(100), address(2), key(2));
    known.joined(UnixTime(300), address(3), key(3));
    known.note_time(UnixTime(1000));
    known
}

#[test]
fn members_are_ranked_by_how_long_they_were_there() {
    assert_eq!(three().ranked(), [address(2), address(1), address(3)]);
}

#[test]
fn whoever_leaves_ages_no_more_and_whoever_fails_comes_last() {
    let mut known = three();
    known.left(UnixTime(1000), address(2));
    known.note_time(UnixTime(2000));
    assert_eq!(known.ranked(), [address(1), address(3), address(2)]);
    known.failed(&[address(1)]);
    assert_eq!(known.ranked(), [address(3), address(2), address(1)]);
    known.joined(UnixTime(2000), address(1), key(1));
    assert_eq!(known.ranked()[0], address(1), "back, and of its old age");
}

#[test]
fn another_key_at_the_same_address_begins_anew() {
    let mut known = three();
    known.joined(UnixTime(1000), address(2), key(9));
    known.note_time(UnixTime(1100));
    assert_eq!(known.ranked(), [address(1), address(3), address(2)]);
}

#[test]
fn over_the_limit_the_youngest_of_those_who_left_goes_first() {
    let mut known = three();
    known.limit = 3;
    known.left(UnixTime(1000), address(1));
    known.joined(UnixTime(1000), address(4), key(4));
    assert_eq!(known.ranked(), [address(2), address(3), address(4)]);
}

#[test]
fn those_not_seen_for_months_are_forgotten() {
    let mut known = three();
    known.left(UnixTime(1000), address(1));
    known.note_time(UnixTime(91 * 24 * 60 * 60 * 1000));
    assert_eq!(known.ranked(), [address(2), address(3)]);
}

#[test]
fn a_few_of_the_best_are_chosen_at_random_and_never_oneself() {
    let mut known = Known::new(100);
    for last in 0..50 {
        known.joined(UnixTime(u64::from(last)), address(last), key(last));
    }
    known.note_time(UnixTime(1000));
    let mut rng = ChaCha8Rng::from_seed([1; 32]);
    let mut all = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let chosen = known.choose(&mut rng, Some(address(0)));
        assert_eq!(chosen.len(), FEW);
        all.extend(chosen);
    }
    assert_eq!(all, (1..=12).map(address).collect());
    assert_eq!(Known::new(1).choose(&mut rng, None), []);
}

#[test]
fn what_is_written_is_read_again() {
    let known = three();
    let read = Known::parse(&known.to_text(), 8).expect("whole");
    assert_eq!(read.ranked(), known.ranked());
    assert_eq!(read.to_text(), known.to_text());
    assert_eq!(Known::parse(&Known::new(1).to_text(), 1).expect("nobody").len(), 0);
    assert_eq!(Known::parse(&known.to_text(), 2).expect("bounded").ranked(), [address(2), address(1)]);
}

#[test]
fn a_text_that_was_cut_anywhere_is_no_text() {
    let text = three().to_text();
    for length in 0..text.len() - 1 {
        assert!(Known::parse(&text[..length], 8).is_err(), "{:?}", &text[..length]);
    }
}

#[test]
fn a_wrong_line_is_told_with_its_number() {
    let good = three().to_text();
    for (from, to, line, what) in [
        ("cicada members 1", "cicada members 2", 1, "does not begin"),
        ("9.9.9.2:5000", "nowhere", 2, "no address"),
        ("01010101", "xx", 3, "no key"),
        ("300 1000", "300", 4, "no two times"),
        ("300 1000", "300 1000 7", 4, "more than"),
        ("end 3", "end 4", 5, "another number"),
    ] {
        let error = Known::parse(&good.replacen(from, to, 1), 8).expect_err(to);
        assert_eq!(error.line, line, "{to}");
        assert!(error.what.contains(what), "{to}: {error}");
    }
}

#[test]
fn coming_back_is_tried_at_once_after_a_start_and_then_ever_more_seldom() {
    let mut rng = ChaCha8Rng::from_seed([1; 32]);
    let mut rejoin = Rejoin::default();
    let mut now = Instant(0);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        assert!(rejoin.is_due(now, false, false));
        assert!(!rejoin.is_due(now, false, true), "an attempt is under way");
        rejoin.failed(now, &mut rng);
        let next = rejoin.next_timeout().expect("it goes on");
        pauses.push(next.since(now).as_secs());
        assert!(!rejoin.is_due(Instant(next.0 - 1), false, false));
        now = next;
    }
    for (pause, least) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60, 60]) {
        assert!((least..=least + least / 4).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_peer_that_lost_all_links_waits_a_little_and_one_that_has_links_does_nothing() {
    let mut rejoin = Rejoin::default();
    assert!(!rejoin.is_due(Instant(0), true, false));
    assert!(!rejoin.is_due(Instant(0), false, false));
    let next = rejoin.next_timeout().expect("it will be tried");
    assert_eq!(next, Instant(0) + GRACE);
    assert!(rejoin.is_due(next, false, false));
    assert!(!rejoin.is_due(next, true, false));
    assert_eq!(rejoin.next_timeout(), None);
}

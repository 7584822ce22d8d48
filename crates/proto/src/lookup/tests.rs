use super::{search::SILENCE, *};
use crate::{
    config::Config, context::Numbers, geometry::Geometry, input::Operation, links::Links, outbox::Outbox, peer::Me, refusals::Refusals,
    unhurried::Unhurried,
};
use cicada_wire::{Capabilities, Found, IdKind, Identity, Offset, OverlayKind, Record, RecordName, RecordNames, U256, UnixTime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{collections::VecDeque, time::Duration};

#[test]
fn on_the_ring_a_lookup_ends_only_when_the_named_owner_confirms() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    assert_eq!(bench.asked(), [0x40]);
    bench.answer(0x40, &[], &[0x60]);
    assert_eq!(bench.found(), None, "hearsay names no owner");
    assert_eq!(bench.asked(), [0x40, 0x60]);
    bench.answer(0x60, &[], &[0x60, 0x70]);
    assert_eq!(bench.found(), Some(Ok(vec![0x60, 0x70])));
}

#[test]
fn an_owner_with_a_predecessor_that_covers_the_key_sends_on_to_it() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60]);
    bench.answer(0x60, &[0x55], &[0x55, 0x60]);
    assert_eq!(bench.found(), None);
    assert_eq!(bench.asked(), [0x40, 0x60, 0x55]);
    bench.answer(0x55, &[], &[0x55, 0x60]);
    assert_eq!(bench.found(), Some(Ok(vec![0x55, 0x60])));
}

#[test]
fn when_the_one_sent_on_to_is_dead_the_owner_that_named_it_is_confirmed() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60]);
    bench.answer(0x60, &[0x55], &[0x55, 0x60]);
    bench.silence(0x55);
    assert_eq!(bench.found(), None, "its neighbour vouches for it: it is asked again");
    while bench.open.contains(&0x55) {
        bench.silence(0x55);
    }
    assert_eq!(bench.found(), Some(Ok(vec![0x60])));
}

#[test]
fn on_the_tree_a_lookup_ends_when_the_nearest_have_answered_and_nobody_nearer_is_left() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.config.upkeep.bucket = 2;
    bench.find(0x50, &[0x70]);
    bench.answer(0x70, &[], &[0x58, 0x70]);
    bench.answer(0x58, &[], &[0x54, 0x58]);
    assert_eq!(bench.found(), None, "0x54 was named and is nearer");
    bench.answer(0x54, &[], &[0x54, 0x58]);
    assert_eq!(bench.found(), Some(Ok(vec![0x54, 0x58])));
    assert_eq!(bench.asked(), [0x70, 0x58, 0x54]);
}

/// Two members that know nobody beyond themselves agree with each other first; the third knows more.
#[test]
fn an_answer_that_comes_when_its_lookup_has_ended_is_heard_all_the_same() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.config.upkeep.bucket = 2;
    bench.find(0xd0, &[0x50, 0x54, 0x70]);
    assert_eq!(bench.asked(), [0x50, 0x54, 0x70]);
    bench.answer(0x50, &[], &[0x50, 0x54]);
    bench.answer(0x54, &[], &[0x50, 0x54]);
    assert_eq!((bench.found(), &bench.heard_of[..]), (Some(Ok(vec![0x50, 0x54])), &[][..]));
    bench.answer(0x70, &[0xd1], &[0xd8]);
    assert_eq!(bench.heard_of, [0xd8, 0xd1]);
}

#[test]
fn who_is_silent_for_half_a_second_holds_up_only_a_lookup_that_it_may_be_the_owner_of() {
    for (silent, waits) in [(0x54, false), (0x51, true)] {
        let mut bench = Bench::new(OverlayKind::Tree);
        bench.config.upkeep.bucket = 2;
        bench.find(0x50, &[0x51, 0x54, 0x58]);
        for peer in [0x51, 0x54, 0x58].into_iter().filter(|peer| *peer != silent) {
            bench.answer(peer, &[], &[0x51, 0x54]);
        }
        assert_eq!(bench.found(), None);
        while bench.lookups.next_timeout().is_some_and(|next| next <= START + SILENCE) {
            bench.wake();
        }
        assert_eq!(bench.found(), (!waits).then(|| Ok(vec![0x51, 0x54])));
    }
}

/// Asked again it would name the same dead members, and nobody else.
#[test]
fn who_named_only_the_dead_is_asked_for_more_each_time() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.config.upkeep.bucket = 3;
    bench.find_for(Finder::Join(Operation(1)), 0x50, &[0x30]);
    bench.answer(0x30, &[0x44, 0x46, 0x48], &[]);
    for more in [6, 12, 20, 20] {
        while let Some(silent) = bench.open.pop() {
            bench.silence(silent);
        }
        let asked = bench.asked().len();
        while bench.asked().len() == asked {
            bench.wake();
        }
        assert_eq!((bench.asked().pop(), bench.count), (Some(0x30), more));
        bench.answer(0x30, &[0x44, 0x46, 0x48], &[]);
    }
}

/// Who is heard of is proven while the lookup goes on: the dead need not be found out twice.
#[test]
fn who_did_not_prove_itself_is_not_asked() {
    for (unproven, asked) in [(false, vec![0x54, 0x58]), (true, vec![0x54])] {
        let mut bench = Bench::new(OverlayKind::Tree);
        (bench.config.upkeep.bucket, bench.config.upkeep.alpha) = (2, 1);
        bench.find(0x50, &[0x54, 0x58]);
        if unproven {
            bench.with(|lookups, cx, overlay| lookups.on_silence(cx, overlay, id(0x58)));
            assert_eq!(bench.found(), None);
        }
        bench.answer(0x54, &[], &[0x54, 0x58]);
        assert_eq!(bench.asked(), asked);
        assert_eq!(bench.found(), unproven.then(|| Ok(vec![0x54])));
    }
}

/// Short of CPU itself, a peer that took others for silent would ask ever more of them.
#[test]
fn who_is_slow_itself_is_patient_with_the_others() {
    let slowness = Duration::from_millis(300);
    for (after, found) in [(SILENCE, None), (SILENCE + slowness, Some(Ok(vec![0x51, 0x54])))] {
        let mut bench = Bench::new(OverlayKind::Tree);
        bench.config.upkeep.bucket = 2;
        bench.slowness = slowness;
        bench.find(0x50, &[0x51, 0x54, 0x58]);
        for peer in [0x51, 0x58] {
            bench.answer(peer, &[], &[0x51, 0x54]);
        }
        while bench.lookups.next_timeout().is_some_and(|next| next <= START + after) {
            bench.wake();
        }
        assert_eq!(bench.found(), found);
    }
}

#[test]
fn who_answers_that_it_is_not_responsible_is_asked_again_and_then_the_lookup_fails() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60]);
    bench.answer(0x60, &[], &[]);
    for _ in 0..100 {
        bench.wake();
        for peer in [0x40, 0x60] {
            if bench.open.contains(&peer) {
                bench.answer(peer, &[], &[0x60][..usize::from(peer == 0x40)]);
            }
        }
    }
    assert_eq!(bench.found(), Some(Err(LookupError::Unconfirmed)));
    let times = bench.asked().iter().filter(|peer| **peer == 0x60).count();
    assert!((7..=12).contains(&times), "{times}: five times within three seconds, then every second and a half");
}

/// Right after many have died, all that it names are dead; a moment later it has found out who lives.
#[test]
fn who_named_only_the_dead_is_asked_again() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40, 0x90]);
    bench.answer(0x40, &[0x48], &[]);
    while bench.open.contains(&0x48) {
        bench.silence(0x48);
    }
    bench.answer(0x90, &[], &[]);
    while !bench.open.contains(&0x40) {
        assert_eq!(bench.found(), None);
        bench.wake();
    }
    bench.answer(0x40, &[], &[0x60]);
    bench.answer(0x60, &[], &[0x60]);
    assert_eq!(bench.found(), Some(Ok(vec![0x60])));
}

#[test]
fn records_that_are_not_nearer_than_the_answerer_are_ignored() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x50, &[0x58]);
    bench.answer(0x58, &[0xf0, 0xe0, 0x54], &[0x58]);
    assert_eq!(bench.asked(), [0x58, 0x54]);
}

#[test]
fn an_answer_that_only_names_what_the_asker_has_is_as_good_as_a_whole_one() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let whole = Found { closer: members(&[0x48]), responsible: members(&[0x58, 0x60]), ..Found::default() };
        let results = [false, true].map(|abridged| {
            let mut bench = Bench::new(overlay);
            bench.find(0x50, &[0x40, 0x60]);
            assert_eq!(bench.known, bench.names(&[0x40, 0x60]), "what the asker has is told");
            let found = if abridged { whole.clone().abridged(&RecordNames(bench.known.clone())) } else { whole.clone() };
            assert_eq!(found.responsible.len(), if abridged { 1 } else { 2 });
            bench.reply(0x40, Some(Reply::Found(found)));
            (bench.asked.clone(), bench.known.clone())
        });
        assert_eq!(results[0], results[1], "{overlay:?}");
        assert!(results[0].1.len() > 3, "what has just been heard is told as well");
    }
}

#[test]
fn names_of_records_that_the_asker_does_not_have_say_nothing() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x50, &[0x40]);
    let found = Found {
        known_closer: RecordNames(bench.names(&[0x51, 0x52])),
        known_responsible: RecordNames(bench.names(&[0x51])),
        ..Found::default()
    };
    bench.reply(0x40, Some(Reply::Found(found)));
    assert_eq!(bench.asked(), [0x40]);
}

#[test]
fn the_silent_are_not_asked_by_the_next_lookup_for_a_while() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x50, &[0x54, 0x58]);
    bench.silence(0x54);
    bench.answer(0x58, &[], &[0x58]);
    assert_eq!(bench.found(), Some(Ok(vec![0x58])));
    bench.find(0x51, &[0x54, 0x58]);
    assert_eq!(bench.asked(), [0x54, 0x58, 0x58]);
    bench.answer(0x58, &[], &[0x58]);
    bench.now = bench.now + Duration::from_secs(4);
    bench.find(0x51, &[0x54]);
    assert_eq!(bench.asked(), [0x54, 0x58, 0x58, 0x54]);
}

#[test]
fn a_silent_contact_holds_the_others_up_for_a_moment_only() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.config.upkeep.alpha = 1;
    bench.find(0x50, &[0x54, 0x58]);
    assert_eq!(bench.asked(), [0x54]);
    bench.wake();
    assert_eq!(bench.asked(), [0x54, 0x58]);
    assert!(bench.now.since(START) < Duration::from_millis(500));
}

#[test]
fn an_owner_that_never_answers_is_waited_for_until_the_deadline() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60]);
    while bench.found().is_none() {
        bench.wake();
    }
    assert_eq!(bench.found(), Some(Err(LookupError::Unconfirmed)));
    assert_eq!(bench.now.since(START), Duration::from_secs(10));
}

#[test]
fn while_the_named_owner_is_silent_those_listed_after_it_are_asked_as_well() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60, 0x61, 0x62, 0x63, 0x64]);
    assert_eq!(bench.asked(), [0x40, 0x60], "one is enough as long as it may answer");
    bench.wake();
    assert_eq!(bench.asked(), [0x40, 0x60, 0x61, 0x62, 0x63]);
    assert!(bench.now.since(START) <= Duration::from_millis(250));
    bench.answer(0x63, &[], &[0x62, 0x63]);
    assert_eq!(bench.found(), None, "those before it may be there");
    while let Some(silent) = bench.open.first().copied() {
        bench.silence(silent);
    }
    assert_eq!(bench.found(), Some(Ok(vec![0x63])));
}

#[test]
fn when_all_that_an_answer_names_are_silent_the_answerer_is_asked_who_comes_after_them() {
    let mut bench = Bench::new(OverlayKind::Ring);
    bench.find(0x50, &[0x40]);
    bench.answer(0x40, &[], &[0x60, 0x61]);
    bench.silence(0x60);
    assert_eq!(bench.targets.last(), Some(&id(0x50)));
    bench.silence(0x61);
    assert_eq!(bench.asked(), [0x40, 0x60, 0x61, 0x40]);
    assert_eq!(bench.targets.last(), Some(&Geometry::Ring.at(id(0x61), Offset(U256::ONE))));
    bench.answer(0x40, &[], &[0x70, 0x71]);
    assert_eq!(bench.asked().get(4), Some(&0x70));
    bench.answer(0x70, &[], &[0x70, 0x71]);
    assert_eq!(bench.found(), Some(Ok(vec![0x70, 0x71])));
}

#[test]
fn where_many_are_silent_more_are_asked_at_a_time() {
    let asked_after = |silent: &[u8]| {
        let mut bench = Bench::new(OverlayKind::Tree);
        bench.find(0x00, &(0x20..0x50).collect::<Vec<_>>());
        assert_eq!(bench.asked(), [0x20, 0x21, 0x22], "control");
        silent.iter().for_each(|peer| bench.silence(*peer));
        bench.open.len()
    };
    assert_eq!(asked_after(&[]), 3);
    assert_eq!(asked_after(&[0x20, 0x21]), 5);
}

#[test]
fn disjoint_paths_share_no_peer() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.config.upkeep.disjoint_paths = 2;
    bench.config.upkeep.alpha = 1;
    bench.find(0x50, &[0x70, 0x78]);
    assert_eq!(bench.asked(), [0x70, 0x78], "each path asks its first");
    bench.answer(0x70, &[], &[0x54, 0x70]);
    bench.answer(0x78, &[], &[0x54, 0x5c, 0x78]);
    assert_eq!(bench.asked(), [0x70, 0x78, 0x54, 0x5c], "0x54 belongs to the path that heard of it first");
    bench.answer(0x54, &[], &[0x54]);
    bench.answer(0x5c, &[], &[0x5c]);
    assert_eq!(bench.found().and_then(Result::ok).and_then(|members| members.first().copied()), Some(0x54));
}

#[test]
fn a_flood_of_names_keeps_the_shortlist_short() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x00, &[0xff]);
    let names: Vec<u8> = (0..=0xfe).rev().collect();
    bench.answer(0xff, &names, &names);
    let search = bench.lookups.searches.values().next().expect("under way");
    assert!(search.shortlist() <= 41, "{} of one answer", search.shortlist());
}

#[test]
fn on_the_ring_a_full_shortlist_takes_in_the_owner_though_it_lies_behind_the_key() {
    let mut bench = Bench::new(OverlayKind::Ring);
    let seeds: Vec<u8> = (0x60..=0xff).chain(0x01..=0x4f).collect();
    bench.find(0x50, &seeds);
    let search = bench.lookups.searches.values().next().expect("under way");
    assert!(search.shortlist() < seeds.len(), "it is full");
    bench.answer(0x4f, &[], &[0x55]);
    assert_eq!(bench.asked().last(), Some(&0x55));
}

#[test]
fn without_anybody_to_ask_a_lookup_ends_at_once() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x50, &[]);
    assert_eq!(bench.found(), Some(Err(LookupError::Alone)));
}

#[test]
fn over_the_limit_lookups_of_the_application_are_refused_and_upkeep_still_has_room() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.config.limits.lookups = 1;
    bench.find(0x50, &[0x54]);
    bench.find(0x51, &[0x54]);
    assert_eq!(bench.found(), Some(Err(LookupError::Full)));
    bench.find_for(Finder::Overlay, 0x52, &[0x54]);
    assert_eq!(bench.lookups.searches.len(), 2);
}

#[test]
fn a_client_with_another_id_than_the_target_is_not_what_was_looked_for() {
    let mut bench = Bench::new(OverlayKind::Tree);
    bench.find(0x50, &[0x54]);
    let reply = Found { responsible: vec![member(0x54)], attached: Some(client()), ..Found::default() };
    bench.reply(0x54, Some(Reply::Found(reply)));
    let found = bench.results.pop().expect("ended").expect("found");
    assert_eq!(found.exact, None);

    bench.find_hash(client().id(), &[0x54]);
    let reply = Found { responsible: vec![member(0x54)], attached: Some(client()), ..Found::default() };
    bench.reply(0x54, Some(Reply::Found(reply)));
    let found = bench.results.pop().expect("ended").expect("found");
    assert_eq!(found.exact, Some(client()));
}

const START: Instant = Instant(1_000_000);

/// The lookups of a peer at 0x00 that knows nobody.
struct Bench {
    now: Instant,
    me: Me,
    config: Config,
    overlay: Overlay,
    lookups: Lookups,
    links: Links,
    rng: ChaCha8Rng,
    asked: Vec<u8>,
    /// About what each was asked.
    targets: Vec<Hash>,
    /// How many records the last question asked for.
    count: u8,
    /// What it said that we know.
    known: Vec<RecordName>,
    /// Asked and not answered yet.
    open: Vec<u8>,
    number: u64,
    slowness: Duration,
    /// Whom the overlay heard of.
    heard_of: Vec<u8>,
    results: Vec<Result<Lookup, LookupError>>,
}

impl Bench {
    fn new(kind: OverlayKind) -> Self {
        let me = Me { record: member(0), boot: 1, credential: None };
        Self {
            now: START,
            config: Config { overlay: kind, ..Config::default() },
            overlay: Overlay::new(kind, &me.record),
            me,
            lookups: Lookups::default(),
            links: Links::default(),
            rng: ChaCha8Rng::seed_from_u64(1),
            asked: Vec::new(),
            targets: Vec::new(),
            count: 0,
            known: Vec::new(),
            open: Vec::new(),
            number: 0,
            slowness: Duration::ZERO,
            heard_of: Vec::new(),
            results: Vec::new(),
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut Lookups, &mut Context<'_>, &Overlay)) {
        let (mut numbers, mut refusals, mut steps, mut out) = (Numbers::default(), Refusals::default(), VecDeque::new(), Outbox::default());
        let mut cx = Context {
            slowness: self.slowness,
            now: self.now,
            clock: UnixTime(0),
            me: &self.me,
            config: &self.config,
            links: &mut self.links,
            rng: &mut self.rng,
            numbers: &mut numbers,
            refusals: &mut refusals,
            steps: &mut steps,
            unhurried: &mut Unhurried::default(),
            out: &mut out,
        };
        act(&mut self.lookups, &mut cx, &self.overlay);
        for step in steps {
            match step {
                Step::Ask { to, query: Query::Find(find), asker: Asker::Lookup(number) } => {
                    self.targets.push(find.target);
                    (self.count, self.known) = (find.count, find.known.0);
                    let peer = to.id().to_bytes()[0];
                    self.asked.push(peer);
                    self.open.push(peer);
                    self.number = number;
                }
                Step::Found { result, .. } => self.results.push(result),
                Step::Candidates { records, .. } => self.heard_of.extend(records.iter().map(|record| record.id().to_bytes()[0])),
                _ => {}
            }
        }
    }

    fn find(&mut self, target: u8, seeds: &[u8]) {
        self.find_for(Finder::Route, target, seeds);
    }

    fn find_for(&mut self, finder: Finder, target: u8, seeds: &[u8]) {
        let seeds = members(seeds);
        self.with(|lookups, cx, overlay| lookups.start(cx, overlay, id(target), &seeds, finder));
    }

    fn find_hash(&mut self, target: Hash, seeds: &[u8]) {
        let seeds = members(seeds);
        self.with(|lookups, cx, overlay| lookups.start(cx, overlay, target, &seeds, Finder::Route));
    }

    fn answer(&mut self, from: u8, closer: &[u8], responsible: &[u8]) {
        let found = Found { closer: members(closer), responsible: members(responsible), ..Found::default() };
        self.reply(from, Some(Reply::Found(found)));
    }

    fn silence(&mut self, from: u8) {
        self.reply(from, None);
    }

    fn reply(&mut self, from: u8, reply: Option<Reply>) {
        self.open.retain(|peer| *peer != from);
        let number = self.number;
        self.with(|lookups, cx, overlay| lookups.on_answer(cx, overlay, number, &member(from), reply));
    }

    /// Lets the time come that the lookups want to be woken at.
    fn wake(&mut self) {
        self.now = self.lookups.next_timeout().unwrap_or(self.now);
        self.with(Lookups::on_wake);
    }

    /// The names of these members and our own.
    fn names(&self, of: &[u8]) -> Vec<RecordName> {
        let mut names: Vec<RecordName> = members(of).iter().chain([&self.me.record]).map(SignedRecord::name).collect();
        names.sort_unstable();
        names
    }

    fn asked(&self) -> Vec<u8> {
        self.asked.clone()
    }

    fn found(&self) -> Option<Result<Vec<u8>, LookupError>> {
        let names = |lookup: &Lookup| lookup.responsible.iter().map(|record| record.id().to_bytes()[0]).collect();
        self.results.last().map(|result| result.as_ref().map(names).map_err(|error| *error))
    }
}

/// A point of the circle, by its first byte.
fn id(at: u8) -> Hash {
    let mut bytes = [0; 32];
    bytes[0] = at;
    Hash::from_bytes(bytes)
}

fn member(at: u8) -> SignedRecord {
    record(IdKind::Data, Role::Member, Some(id(at)), vec![format!("10.0.0.{}:4000", at.max(1)).parse().expect("an address")])
}

fn members(ids: &[u8]) -> Vec<SignedRecord> {
    ids.iter().map(|at| member(*at)).collect()
}

fn client() -> SignedRecord {
    record(IdKind::Key, Role::Client, None, Vec::new())
}

fn record(kind: IdKind, role: Role, data: Option<Hash>, addresses: Vec<cicada_wire::Address>) -> SignedRecord {
    let identity = Identity::from_seed(&[7; 32]);
    let key = identity.public();
    let record =
        Record { key, kind, role, addresses, capabilities: Capabilities::default(), sequence: 0, expires: UnixTime(u64::MAX), data };
    SignedRecord::sign(record, &identity).expect("consistent")
}

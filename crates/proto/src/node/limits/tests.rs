//! Each bound with its control: without it the flood passes, with it the rest is refused and counted, and others go on.

use crate::{
    Command, Config, Event, Input, Instant, Job, JobResult, LinkId, LinkUp, Me, Node, Operation, Outbox, Transmit,
    config::{Limits, Rate, Security},
    lists::Who,
};
use bytes::Bytes;
use cicada_wire::*;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

const START: UnixTime = UnixTime(1_800_000_000_000);

/// A node and what it said.
struct Rig {
    node: Node,
    now: Instant,
    frames: Vec<(LinkId, Frame)>,
    datagrams: Vec<(Address, Datagram)>,
    dials: usize,
    closed: Vec<(LinkId, Refusal)>,
    delivered: Vec<Hash>,
    full: usize,
    operations: u64,
    /// Whether signatures of proofs hold.
    believes: bool,
}

fn signed(seed: u16, address: &str) -> SignedRecord {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    let identity = Identity::from_seed(&bytes);
    let record = Record {
        key: identity.public(),
        kind: IdKind::Address,
        role: Role::Member,
        addresses: vec![address.parse().expect("an address")],
        capabilities: Capabilities::default(),
        sequence: 1,
        expires: UnixTime(u64::MAX),
        data: None,
    };
    SignedRecord::sign(record, &identity).expect("consistent")
}

/// The peer at 9.0.`seed`.1.
fn peer(seed: u8) -> SignedRecord {
    signed(u16::from(seed), &format!("9.0.{seed}.1:5000"))
}

fn socket(record: &SignedRecord) -> SocketAddr {
    record.announced().expect("a member").socket()
}

fn unlimited() -> Limits {
    Limits {
        probes: Rate::UNLIMITED,
        probes_per_ip: Rate::UNLIMITED,
        addresses_per_informer: Rate::UNLIMITED,
        records_per_informer: Rate::UNLIMITED,
        messages_per_peer: Rate::UNLIMITED,
        bytes_per_peer: Rate::UNLIMITED,
        messages_per_origin: Rate::UNLIMITED,
        bytes_per_origin: Rate::UNLIMITED,
        broadcasts_per_origin: Rate::UNLIMITED,
        broadcast_bytes_per_origin: Rate::UNLIMITED,
        questions_per_peer: Rate::UNLIMITED,
        questions: Rate::UNLIMITED,
        questions_per_ip: Rate::UNLIMITED,
        proofs: Rate::UNLIMITED,
        challenges: usize::MAX,
        candidates: usize::MAX,
        deliveries: 100_000,
        ..Limits::default()
    }
}

impl Rig {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = unlimited();
        change(&mut limits);
        Self::with(Config { limits, overlay: OverlayKind::Tree, security: Security::Plain, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        Self::of(me(), config)
    }

    fn of(record: SignedRecord, config: Config) -> Self {
        let me = Me { record, boot: 1, credential: None };
        let node = Node::new(me, config, [3; 32], START).expect("the configuration holds");
        Self {
            node,
            now: Instant(1_000_000),
            frames: Vec::new(),
            datagrams: Vec::new(),
            dials: 0,
            closed: Vec::new(),
            delivered: Vec::new(),
            full: 0,
            operations: 0,
            believes: true,
        }
    }

    fn input(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.node.handle(self.now, input, &mut out);
        for transmit in out.transmits {
            match transmit {
                Transmit::Frame { link, frame } => self.frames.push((link, frame)),
                Transmit::Datagram { to, datagram } => self.datagrams.push((to, datagram)),
                Transmit::Dial { .. } => self.dials += 1,
                Transmit::Close { link, reason } => self.closed.push((link, reason)),
                Transmit::Stream { .. }
                | Transmit::Abandon { .. }
                | Transmit::Collect { .. }
                | Transmit::Append { .. }
                | Transmit::Discard { .. } => {}
            }
        }
        for event in out.events {
            match event {
                Event::Delivered(delivery) => self.delivered.push(delivery.origin.id()),
                Event::BroadcastFailed { error, .. } => {
                    assert_eq!(error, crate::SendError::Full);
                    self.full += 1;
                }
                _ => {}
            }
        }
        for (job, work) in out.jobs {
            let result = match work {
                Job::Answer { challenge, record } => JobResult::Answered(Answer::sign(challenge, record, &Identity::from_seed(&[7; 32]))),
                Job::VerifyAnswer(_) => JobResult::Verified(self.believes),
                Job::Renew(record) => {
                    JobResult::Renewed(SignedRecord::sign(record, &Identity::from_seed(&[7; 32])).expect("a node agrees with itself"))
                }
                Job::Admit(_) => JobResult::Admitted(true),
                Job::Sign(hash) => JobResult::Signed(hash.sign(&Identity::from_seed(&[7; 32]))),
                Job::VerifyMessage { .. } => JobResult::MessageVerified(true),
                Job::OpenSession { .. } => JobResult::SessionOpened(Err(Refusal::Malformed)),
                Job::AcceptSession { .. } => JobResult::SessionAccepted(Err(Refusal::Malformed)),
            };
            self.input(Input::JobDone { job, result });
        }
    }

    /// The challenges that were sent.
    fn challenges(&self) -> Vec<Datagram> {
        let sent = self.datagrams.iter().map(|(_, datagram)| datagram.clone());
        sent.filter(|datagram| matches!(datagram, Datagram::Challenge(..))).collect()
    }

    fn link(&mut self, number: u64, record: &SignedRecord) -> LinkId {
        let (link, remote) = (LinkId(number), socket(record));
        let capabilities = Capabilities::default();
        self.input(Input::LinkUp(LinkUp {
            link,
            record: record.clone(),
            side: LinkSide::Listener,
            remote,
            dial: None,
            boot: 1,
            capabilities,
        }));
        link
    }

    fn frame(&mut self, link: LinkId, frame: Frame) {
        self.input(Input::Frame { link, frame });
    }

    fn operation(&mut self) -> Operation {
        self.operations += 1;
        Operation(self.operations)
    }

    fn over_budget(&self) -> u64 {
        self.node.refusals().of(Refusal::OverBudget)
    }

    fn delivered_of(&self, origin: &SignedRecord) -> usize {
        self.delivered.iter().filter(|id| **id == origin.id()).count()
    }

    fn challenged(&self) -> BTreeMap<Address, usize> {
        let mut challenged = BTreeMap::new();
        for (to, datagram) in &self.datagrams {
            if matches!(datagram, Datagram::Challenge(..)) {
                *challenged.entry(*to).or_default() += 1;
            }
        }
        challenged
    }
}

fn me() -> SignedRecord {
    signed(9999, "9.1.1.1:5000")
}

fn header(origin: &SignedRecord, number: u32, target: Option<Hash>, length: usize) -> Header {
    let kind = if target.is_some() { Kind::Unicast } else { Kind::Broadcast };
    let fixed = Statement {
        version: Statement::VERSION,
        kind,
        origin: Origin::of_record(origin),
        target,
        number: u64::from(number),
        length: length as u64,
        made_at: START,
        boot: 1,
        authentication: Authentication::None,
        digest: PayloadDigest::of(&vec![0; length]),
        about: None,
    };
    let reach = target.is_none().then_some(Reach::ME);
    Header { fixed: fixed.into(), hop: Mutable { hop_limit: 8, reach, ..Mutable::default() } }
}

fn broadcast(origin: &SignedRecord, number: u32, length: usize) -> Frame {
    let task = Task {
        ticket: Ticket(u64::from(number)),
        header: header(origin, number, None, length),
        excluded: Vec::new(),
        extend: false,
        avoided: Vec::new(),
        offset: 0,
    };
    Frame::Task(task, Bytes::from(vec![0; length]))
}

fn unicast(origin: &SignedRecord, to: Hash, number: u32, length: usize) -> Frame {
    Frame::Data(header(origin, number, Some(to), length), Bytes::from(vec![0; length]))
}

#[test]
fn a_flood_of_broadcasts_from_one_origin_leaves_the_others_their_share() {
    for (rate, loud_delivered) in [(Rate::UNLIMITED, 500), (Rate::new(10, 50), 50)] {
        let mut rig = Rig::new(|limits| limits.broadcasts_per_origin = rate);
        let link = rig.link(1, &peer(1));
        for number in 0..500 {
            rig.frame(link, broadcast(&peer(2), number, 10));
            if number % 25 == 0 {
                rig.frame(link, broadcast(&peer(3), number, 10));
            }
        }
        assert_eq!(rig.delivered_of(&peer(2)), loud_delivered);
        assert_eq!(rig.delivered_of(&peer(3)), 20, "over the same link");
        assert_eq!(rig.over_budget(), 500 - loud_delivered as u64);
        let refused = |frame: &Frame| matches!(frame, Frame::TaskVerdict(verdict) if verdict.refusal == Some(Refusal::OverBudget));
        assert_eq!(rig.frames.iter().filter(|(_, frame)| refused(frame)).count(), 500 - loud_delivered, "the sender is told");
    }
}

#[test]
fn what_an_origin_may_have_comes_back_with_time() {
    let mut rig = Rig::new(|limits| limits.broadcasts_per_origin = Rate::new(10, 5));
    let link = rig.link(1, &peer(1));
    for number in 0..100 {
        rig.frame(link, broadcast(&peer(2), number, 10));
    }
    rig.now = rig.now + Duration::from_millis(300);
    for number in 100..200 {
        rig.frame(link, broadcast(&peer(2), number, 10));
    }
    assert_eq!(rig.delivered_of(&peer(2)), 8);
}

#[test]
fn bytes_of_broadcasts_count_as_well_as_their_number() {
    for (rate, taken) in [(Rate::UNLIMITED, 10), (Rate::new(1, 300_000), 3)] {
        let mut rig = Rig::new(|limits| (limits.message_bytes, limits.broadcast_bytes_per_origin) = (100_000, rate));
        let link = rig.link(1, &peer(1));
        for number in 0..10 {
            rig.frame(link, broadcast(&peer(2), number, 100_000));
        }
        assert_eq!(rig.delivered_of(&peer(2)), taken);
    }
}

#[test]
fn a_flood_of_unicasts_from_one_origin_leaves_the_others_their_share() {
    for (rate, loud_delivered) in [(Rate::UNLIMITED, 200), (Rate::new(10, 50), 50)] {
        let mut rig = Rig::new(|limits| limits.messages_per_origin = rate);
        let (link, me) = (rig.link(1, &peer(1)), rig.node.me().id());
        for number in 0..200 {
            rig.frame(link, unicast(&peer(2), me, number, 10));
            if number % 10 == 0 {
                rig.frame(link, unicast(&peer(3), me, number, 10));
            }
        }
        assert_eq!((rig.delivered_of(&peer(2)), rig.delivered_of(&peer(3))), (loud_delivered, 20));
    }
}

#[test]
fn one_link_brings_no_more_than_its_share_whoever_made_the_messages() {
    for (rate, taken) in [(Rate::UNLIMITED, 200), (Rate::new(10, 50), 50)] {
        let mut rig = Rig::new(|limits| limits.messages_per_peer = rate);
        let (loud, quiet, me) = (rig.link(1, &peer(1)), rig.link(2, &peer(2)), rig.node.me().id());
        for number in 0..200 {
            rig.frame(loud, unicast(&signed(1000 + number as u16, "9.2.2.2:5000"), me, number, 10));
        }
        rig.frame(quiet, unicast(&peer(4), me, 0, 10));
        assert_eq!((rig.delivered.len() - rig.delivered_of(&peer(4)), rig.delivered_of(&peer(4))), (taken, 1));
    }
}

#[test]
fn an_application_that_broadcasts_too_fast_is_told_before_others_have_to_refuse() {
    let mut rig = Rig::new(|limits| limits.broadcasts_per_origin = Rate::new(10, 50));
    for _ in 0..60 {
        let operation = rig.operation();
        rig.input(Input::Command(Command::Broadcast { operation, payload: Bytes::from_static(b"x"), excluded: Vec::new() }));
    }
    assert_eq!(rig.full, 20, "40 of 50 are its own to use");
}

#[test]
fn a_flood_of_questions_over_a_link_is_refused_and_other_links_are_answered() {
    for (rate, answered) in [(Rate::UNLIMITED, 300), (Rate::new(10, 100), 100)] {
        let mut rig = Rig::new(|limits| limits.questions_per_peer = rate);
        let (loud, quiet) = (rig.link(1, &peer(1)), rig.link(2, &peer(2)));
        rig.frames.clear();
        for number in 0..300 {
            rig.frame(
                loud,
                Frame::Query(Ticket(number), Query::Find(Find { target: Hash::of("key"), count: 8, known: RecordNames::default() })),
            );
        }
        rig.frame(quiet, Frame::Query(Ticket(1), Query::Ping));
        let found = |frame: &Frame| matches!(frame, Frame::Reply(_, Reply::Found(_)));
        assert_eq!(rig.frames.iter().filter(|(link, frame)| *link == loud && found(frame)).count(), answered);
        assert!(rig.frames.contains(&(quiet, Frame::Reply(Ticket(1), Reply::Pong))));
    }
}

#[test]
fn a_flood_of_questions_by_datagram_is_not_answered_and_members_are() {
    for (rate, answered) in [(Rate::UNLIMITED, 1000), (Rate::new(10, 100), 100)] {
        let mut rig = Rig::new(|limits| limits.questions = rate);
        rig.link(1, &peer(1));
        let ask = |rig: &mut Rig, from: SocketAddr, number| {
            let datagram = Datagram::Query(Ticket(number), None, Query::Ping, Padding(0));
            rig.input(Input::Datagram { from, datagram });
        };
        for number in 0..1000u64 {
            // Made-up senders: each from another address.
            ask(&mut rig, SocketAddr::from(([11, 0, (number >> 8) as u8, number as u8], 5000)), number);
        }
        let to_strangers = rig.datagrams.len();
        assert_eq!(to_strangers, answered);
        ask(&mut rig, socket(&peer(1)), 5000);
        assert_eq!(rig.datagrams.len(), to_strangers + 1, "a member is answered");
    }
}

#[test]
fn one_address_that_floods_with_questions_leaves_the_other_addresses_theirs() {
    let mut rig = Rig::new(|limits| limits.questions_per_ip = Rate::new(1, 10));
    for number in 0..100 {
        let query = |port| (SocketAddr::from(([11, 0, 0, 1], port)), Datagram::Query(Ticket(number), None, Query::Ping, Padding(0)));
        let (from, datagram) = query(5000 + number as u16);
        rig.input(Input::Datagram { from, datagram });
    }
    let datagram = Datagram::Query(Ticket(0), None, Query::Ping, Padding(0));
    rig.input(Input::Datagram { from: SocketAddr::from(([11, 0, 0, 2], 5000)), datagram });
    assert_eq!(rig.datagrams.len(), 11);
}

#[test]
fn a_flood_of_challenges_costs_no_more_signatures_than_allowed() {
    for (rate, signed) in [(Rate::UNLIMITED, 200), (Rate::new(1, 20), 20)] {
        let mut rig = Rig::new(|limits| limits.proofs = rate);
        for number in 0..200u8 {
            let datagram = Datagram::Challenge(Challenge([number; 16]), Padding(400), None);
            rig.input(Input::Datagram { from: SocketAddr::from(([11, 0, 0, number], 5000)), datagram });
        }
        let answers = rig.datagrams.iter().filter(|(_, datagram)| matches!(datagram, Datagram::Answer(_))).count();
        assert_eq!(answers, signed);
    }
}

#[test]
fn who_has_broadcast_lately_signs_as_many_proofs_as_its_hearers_may_ask_for() {
    let mut rig = Rig::new(|limits| (limits.proofs, limits.proofs_for_hearers) = (Rate::new(1, 20), Rate::new(1, 60)));
    let answered = |rig: &mut Rig, first: u8| {
        rig.datagrams.clear();
        for number in 0..100u8 {
            let datagram = Datagram::Challenge(Challenge([first + number; 16]), Padding(400), None);
            rig.input(Input::Datagram { from: SocketAddr::from(([11, 0, first, number], 5000)), datagram });
        }
        rig.datagrams.iter().filter(|(_, datagram)| matches!(datagram, Datagram::Answer(_))).count()
    };
    assert_eq!(answered(&mut rig, 0), 20);
    rig.input(Input::Command(Command::Broadcast { operation: Operation(1), payload: Bytes::from_static(b"hello"), excluded: Vec::new() }));
    assert_eq!(answered(&mut rig, 100), 60);
}

#[test]
fn no_answer_to_a_challenge_is_longer_than_three_of_it() {
    let sealed = |datagram: &Datagram| datagram.len_bytes() + DatagramKey::SEAL_BYTES;
    let (mut whole, mut brief, mut other) = (0, 0, 0);
    let names = [None, Some(me().name()), Some(peer(7).name())];
    for (padding, name) in (0..200).flat_map(|padding| names.map(|name| (padding, name))) {
        let mut rig = Rig::new(|_| {});
        let challenge = Datagram::Challenge(Challenge([7; 16]), Padding(padding), name);
        let asked = sealed(&challenge);
        rig.input(Input::Datagram { from: SocketAddr::from(([11, 0, 0, 1], 5000)), datagram: challenge });
        for (_, datagram) in &rig.datagrams {
            assert!(sealed(datagram) <= 3 * asked, "{} bytes for {asked}", sealed(datagram));
            match datagram {
                Datagram::Answer(_) => whole += 1,
                Datagram::BriefAnswer(BriefAnswer { signature: Some(_), .. }) => brief += 1,
                Datagram::BriefAnswer(BriefAnswer { signature: None, .. }) => other += 1,
                _ => panic!("no answer to a challenge: {datagram:?}"),
            }
        }
    }
    assert!(whole > 200, "{whole}: those that are long enough");
    assert_eq!(brief, 200, "who names our record gets no record");
    assert!((1..100).contains(&other), "{other}: those that name another, and are too short for ours");
}

#[test]
fn whoever_has_the_longest_record_can_be_proven() {
    let mut rig = Rig::new(|_| {});
    let link = rig.link(1, &peer(1));
    rig.frame(link, Frame::Introduce(Introduction { records: vec![peer(2)] }));
    let there = SocketAddr::from(([11, 0, 0, 1], 5000));
    let challenge = rig.challenges().pop().expect("it is challenged");
    let identity = Identity::from_seed(&[5; 32]);
    let address = |last| format!("[2606:4700:ffff:ffff:ffff:ffff:ffff:fff{last}]:65535").parse().expect("an address");
    let record = Record {
        key: identity.public(),
        kind: IdKind::Data,
        role: Role::Member,
        addresses: (0..MAX_ADDRESSES).map(address).collect(),
        capabilities: Capabilities(u64::MAX),
        sequence: u64::MAX,
        expires: UnixTime(u64::MAX),
        data: Some(Hash(U256::MAX)),
    };
    let longest = SignedRecord::sign(record, &identity).expect("consistent");
    let config = Config { overlay: OverlayKind::Tree, security: Security::Plain, member_ids: IdKind::Data, ..Config::default() };
    let mut other = Rig::of(longest, config);
    other.input(Input::Datagram { from: there, datagram: challenge });
    // It has another record than the one that we had heard of.
    let (_, datagram) = other.datagrams.pop().expect("it says so");
    rig.datagrams.clear();
    rig.input(Input::Datagram { from: peer(2).record().addresses[0].socket(), datagram });
    let challenge = rig.challenges().pop().expect("it is challenged once more");
    other.input(Input::Datagram { from: there, datagram: challenge });
    assert!(other.datagrams.iter().any(|(_, datagram)| matches!(datagram, Datagram::Answer(_))), "{:?}", other.node.refusals());
}

#[test]
fn a_made_up_record_of_the_same_name_keeps_nobody_from_being_proven() {
    let mut rig = Rig::new(|_| {});
    rig.believes = false;
    let link = rig.link(1, &peer(1));
    rig.frame(link, Frame::Introduce(Introduction { records: vec![peer(2)] }));
    let challenge = match &rig.challenges()[..] {
        [Datagram::Challenge(challenge, Padding(0), Some(name))] if *name == peer(2).name() => *challenge,
        others => panic!("one that names the record: {others:?}"),
    };
    rig.datagrams.clear();
    let answer = BriefAnswer { challenge, signature: Some(Signature([1; 64])) };
    rig.input(Input::Datagram { from: socket(&peer(2)), datagram: Datagram::BriefAnswer(answer) });
    assert!(matches!(rig.challenges()[..], [Datagram::Challenge(_, Padding(1..), None)]), "{:?}", rig.datagrams);
    // The same once more is an answer to nothing.
    let refused = rig.node.refusals().of(Refusal::UnknownTicket);
    rig.input(Input::Datagram { from: socket(&peer(2)), datagram: Datagram::BriefAnswer(answer) });
    assert_eq!(rig.node.refusals().of(Refusal::UnknownTicket), refused + 1);
}

/// Members at made-up addresses, 20 in each introduction, all of the same informer.
fn introduce(rig: &mut Rig, link: LinkId, count: u16, address: impl Fn(u16) -> String) {
    let records: Vec<SignedRecord> = (0..count).map(|number| signed(2000 + number, &address(number))).collect();
    for records in records.chunks(MAX_RECORDS) {
        rig.frame(link, Frame::Introduce(Introduction { records: records.to_vec() }));
    }
    // Whatever is retried is retried.
    for _ in 0..40 {
        rig.now = rig.now + Duration::from_millis(250);
        rig.input(Input::Wake);
    }
}

#[test]
fn a_peer_that_claims_a_thousand_addresses_makes_no_scanner_of_us() {
    let named = |number: u16| format!("11.{}.{}.1:5000", number >> 8, number & 255);
    let mut control = Rig::new(|_| {});
    let link = control.link(1, &peer(1));
    introduce(&mut control, link, 1000, named);
    let mut rig = Rig::new(|limits| limits.addresses_per_informer = Rate::new(1, 50));
    let link = rig.link(1, &peer(1));
    introduce(&mut rig, link, 1000, named);
    assert!(control.challenged().len() > 80, "control: {}", control.challenged().len());
    assert!((1..=61).contains(&rig.challenged().len()), "{}", rig.challenged().len());
    assert!(rig.challenged().values().all(|tries| *tries <= 6), "each is tried a few times only");
    assert_eq!(rig.dials, 0, "nobody unproven is dialled");
    assert!(rig.over_budget() >= 900);
}

#[test]
fn many_peers_that_name_one_victim_make_no_reflector_of_us() {
    let named = |number: u16| format!("11.1.1.1:{}", 5000 + number);
    let challenges = |limit: Rate| {
        let mut rig = Rig::new(|limits| limits.probes_per_ip = limit);
        for seed in 1..=4 {
            let link = rig.link(u64::from(seed), &peer(seed));
            introduce(&mut rig, link, 200, named);
        }
        rig.challenged().values().sum::<usize>()
    };
    let (control, bounded) = (challenges(Rate::UNLIMITED), challenges(Rate::new(1, 10)));
    assert!(control > 300, "control: {control}");
    // 10 at once and one a second for the 40 s that this takes, each tried three times.
    assert!(bounded <= (10 + 41) * 3, "{bounded}");
}

#[test]
fn records_by_the_million_are_passed_over() {
    let heard = |limit: Rate| {
        let mut rig = Rig::new(|limits| limits.records_per_informer = limit);
        let link = rig.link(1, &peer(1));
        let same: Vec<SignedRecord> = (0..MAX_RECORDS as u16).map(|number| signed(3000 + number, "11.1.1.1:5000")).collect();
        for _ in 0..500 {
            rig.frame(link, Frame::Introduce(Introduction { records: same.clone() }));
        }
        10_000 - rig.over_budget()
    };
    assert_eq!((heard(Rate::UNLIMITED), heard(Rate::new(1, 100))), (10_000, 100));
}

#[test]
fn undelivered_messages_are_bounded_by_their_bytes() {
    for (bytes, taken) in [(usize::MAX, 10), (250_000, 3)] {
        let mut rig = Rig::new(|limits| limits.delivery_bytes = bytes);
        let (link, me) = (rig.link(1, &peer(1)), rig.node.me().id());
        for number in 0..10 {
            rig.frame(link, unicast(&peer(2), me, number, 100_000));
        }
        assert_eq!(rig.delivered.len(), taken);
        assert_eq!(rig.node.undelivered(), (taken, taken * 100_000));
        rig.input(Input::Command(Command::Consumed { deliveries: taken }));
        assert_eq!(rig.node.undelivered(), (0, 0));
        rig.frame(link, unicast(&peer(2), me, 100, 100_000));
        assert_eq!(rig.delivered.len(), taken + 1);
    }
}

#[test]
fn a_ban_closes_the_links_and_keeps_new_ones_away_until_it_ends() {
    let by_ip = Who::Ip(socket(&peer(1)).ip());
    let by_key = Who::Key(peer(1).key());
    let by_subnet = Who::Subnet("9.0.1.0/24".parse().expect("a subnet"));
    for who in [by_ip, by_key, by_subnet] {
        let mut rig = Rig::new(|_| {});
        let (banned, other) = (rig.link(1, &peer(1)), rig.link(2, &peer(2)));
        assert!(rig.node.overlay().member(peer(1).id()).is_some(), "control");
        rig.input(Input::Command(Command::Ban { who, span: Some(Duration::from_secs(60)) }));
        assert!(rig.closed.contains(&(banned, Refusal::Denied)), "{who}");
        assert!(rig.closed.iter().all(|(link, _)| *link != other));
        assert!(rig.node.overlay().member(peer(1).id()).is_none() && rig.node.overlay().member(peer(2).id()).is_some());
        rig.input(Input::LinkDown { link: banned, reason: Refusal::Denied });
        let again = rig.link(3, &peer(1));
        assert!(rig.closed.contains(&(again, Refusal::Denied)), "{who}");
        assert!(rig.node.links().link(again).is_none());
        rig.now = rig.now + Duration::from_secs(60);
        let later = rig.link(4, &peer(1));
        assert!(rig.node.links().link(later).is_some(), "{who}: the ban is over");
    }
}

#[test]
fn who_is_denied_is_neither_proven_nor_answered() {
    let deny = vec![Who::Ip(socket(&peer(7)).ip())];
    for (deny, heard) in [(Vec::new(), true), (deny, false)] {
        let mut rig = Rig::with(Config { deny, limits: unlimited(), ..Config::default() });
        let link = rig.link(1, &peer(1));
        rig.frame(link, Frame::Introduce(Introduction { records: vec![peer(7)] }));
        rig.now = rig.now + Duration::from_secs(1);
        rig.input(Input::Wake);
        assert_eq!(rig.challenged().contains_key(&peer(7).announced().expect("a member")), heard);
        rig.datagrams.clear();
        let datagram = Datagram::Query(Ticket(1), None, Query::Ping, Padding(0));
        rig.input(Input::Datagram { from: socket(&peer(7)), datagram });
        assert_eq!(rig.datagrams.iter().any(|(_, datagram)| matches!(datagram, Datagram::Reply(..))), heard);
        assert_eq!(rig.node.refusals().of(Refusal::Denied) > 0, !heard);
    }
}

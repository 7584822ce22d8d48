//! Whatever the network says, in whatever order: a node does not panic, does not answer without bound, and ends every wish
//! of its application exactly once.

#[path = "../../../wire/tests/wire/strategies.rs"]
#[expect(dead_code, reason = "shared with the wire crate's own tests, which use all of it")]
mod strategies;

use bytes::Bytes;
use cicada_proto::{
    Command, Config, DialError, DialId, Event, Input, Instant, Job, JobResult, LinkId, LinkUp, Me, Node, Operation, Outbox, Route,
    SendOptions, Transmit,
};
use cicada_wire::*;
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, time::Duration};

const START: UnixTime = UnixTime(1_800_000_000_000);

/// No single input may set off more than this: a broadcast's tasks, a full batch of challenges, goodbyes on all links.
const MOST_TRANSMITS: usize = 256;

#[derive(Clone, Debug)]
enum Act {
    LinkUp(Record, u64, bool),
    LinkDown(u8),
    Frame(u8, Frame),
    Datagram(u16, Datagram),
    DialFails,
    Command(u8, Hash),
    Pass(u32),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (strategies::records(), any::<u64>(), any::<bool>()).prop_map(|((record, _), boot, own)| Act::LinkUp(record, boot, own)),
        1 => any::<u8>().prop_map(Act::LinkDown),
        6 => (any::<u8>(), strategies::frames()).prop_map(|(link, frame)| Act::Frame(link, frame)),
        3 => (any::<u16>(), strategies::datagrams()).prop_map(|(port, datagram)| Act::Datagram(port, datagram)),
        1 => Just(Act::DialFails),
        2 => (0..6u8, strategies::hashes()).prop_map(|(which, target)| Act::Command(which, target)),
        2 => (0..3_000_000u32).prop_map(Act::Pass),
    ]
}

/// A node, and whoever stands in for its network: dials are never answered by themselves, jobs are.
struct Rig {
    node: Node,
    now: Instant,
    links: Vec<LinkId>,
    dials: Vec<DialId>,
    next_link: u64,
    next_operation: u64,
    ended: BTreeMap<Operation, usize>,
}

impl Rig {
    fn new(overlay: OverlayKind, purpose: Purpose, member: bool) -> Self {
        let identity = Identity::from_seed(&[7; 32]);
        let address: Address = "127.0.0.1:7000".parse().expect("a loopback address");
        let record = Record {
            key: identity.public(),
            kind: if member { IdKind::Address } else { IdKind::Key },
            role: if member { Role::Member } else { Role::Client },
            addresses: if member { vec![address] } else { vec![] },
            capabilities: Capabilities::default(),
            sequence: 1,
            expires: UnixTime(u64::MAX),
            data: None,
        };
        let record = SignedRecord::sign(record, &identity).expect("a record that holds");
        let (key, seal) = (identity.public(), SealingSecret::from_seed(&[8; 32]).public());
        let credential = Credential { key, seal, boot: 1, signature: Credential::hash(key, seal, 1).sign(&identity) };
        let mut config = Config::default();
        (config.overlay, config.purpose) = (overlay, purpose);
        let node = Node::new(Me { record, boot: 1, credential: Some(credential) }, config, [3; 32], START)
            .expect("the default configuration holds");
        let (links, dials, ended) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { node, now: Instant(1_000_000), links, dials, next_link: 0, next_operation: 0, ended }
    }

    fn input(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.node.handle(self.now, input, &mut out);
        assert!(out.transmits.len() <= MOST_TRANSMITS, "{} transmissions at once", out.transmits.len());
        let mut downs = Vec::new();
        for transmit in out.transmits.drain(..) {
            match transmit {
                Transmit::Dial { dial, .. } => self.dials.push(dial),
                Transmit::Close { link, reason } => downs.push(Input::LinkDown { link, reason }),
                Transmit::Stream { stream, head, body, offset, .. } => {
                    assert!(
                        Frame::parse_head(&head.to_bytes(), head.len_bytes() + body.len() - offset).is_ok(),
                        "says what nobody can read: {head:?}"
                    );
                    downs.push(Input::Streamed { stream, complete: body.len() % 2 == 0 });
                }
                // Some break off at once, some later, some for good.
                Transmit::Collect { body } => downs.push(Input::Broken { body, arrived: usize::from(body.0 % 2 == 0) }),
                Transmit::Append { body, tail, .. } if tail.len() % 2 == 0 => downs.push(Input::Broken { body, arrived: 2 }),
                Transmit::Append { body, .. } => downs.push(Input::Arrived { body, payload: Bytes::new() }),
                Transmit::Abandon { .. } | Transmit::Discard { .. } => {}
                Transmit::Frame { frame, .. } => assert!(Frame::parse(&frame.to_bytes()).is_ok(), "says what nobody can read: {frame:?}"),
                Transmit::Datagram { datagram, .. } => {
                    assert!(Datagram::parse(&datagram.to_bytes()).is_ok(), "says what nobody can read: {datagram:?}");
                }
            }
        }
        for event in out.events.drain(..) {
            self.on_event(&event);
        }
        for (job, work) in out.jobs.drain(..) {
            let result = match work {
                Job::Answer { challenge, record } => JobResult::Answered(Answer::sign(challenge, record, &Identity::from_seed(&[7; 32]))),
                Job::VerifyAnswer(answer) => JobResult::Verified(answer.verify()),
                Job::Renew(record) => {
                    JobResult::Renewed(SignedRecord::sign(record, &Identity::from_seed(&[7; 32])).expect("a node agrees with itself"))
                }
                Job::Admit(_) => JobResult::Admitted(true),
                Job::OpenSession { to, terms, random } => {
                    JobResult::SessionOpened(SealingSecret::from_seed(&[8; 32]).open(to, &terms, random))
                }
                Job::AcceptSession { from, share, terms } => {
                    JobResult::SessionAccepted(SealingSecret::from_seed(&[8; 32]).accept(from, share, &terms))
                }
                Job::Sign(hash) => JobResult::Signed(hash.sign(&Identity::from_seed(&[7; 32]))),
                Job::VerifyMessage { hash, key, signature } => JobResult::MessageVerified(hash.is_signed_by(key, &signature)),
            };
            downs.push(Input::JobDone { job, result });
        }
        for down in downs {
            self.input(down);
        }
    }

    fn on_event(&mut self, event: &Event) {
        let operation = match event {
            Event::Connected { operation, .. }
            | Event::ConnectFailed { operation, .. }
            | Event::Sent { operation, .. }
            | Event::SendFailed { operation, .. }
            | Event::BroadcastSent { operation, .. }
            | Event::BroadcastFailed { operation, .. }
            | Event::LookedUp { operation, .. }
            | Event::Left { operation } => *operation,
            _ => return,
        };
        *self.ended.entry(operation).or_default() += 1;
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::LinkUp(record, boot, own) => self.link_up(record, boot, own),
            Act::LinkDown(which) => {
                if let Some(link) = self.some_link(which) {
                    self.input(Input::LinkDown { link, reason: Refusal::Silent });
                }
            }
            Act::Frame(which, frame) => {
                if let Some(link) = self.some_link(which) {
                    self.input(Input::Frame { link, frame });
                }
            }
            Act::Datagram(port, datagram) => {
                let from = std::net::SocketAddr::from(([127, 0, 0, 1], port.max(1)));
                self.input(Input::Datagram { from, datagram });
            }
            Act::DialFails => self.fail_a_dial(),
            Act::Command(which, target) => self.command(which, target),
            Act::Pass(span_us) => self.pass(Duration::from_micros(span_us.into())),
        }
    }

    /// Somebody links to us (or answers our dial), from where it says or from elsewhere.
    fn link_up(&mut self, record: Record, boot: u64, from_announced: bool) {
        let Ok(record) = SignedRecord::assemble(record, Signature([0; 64])) else { return };
        let elsewhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let remote = record.announced().filter(|_| from_announced).map_or(elsewhere, Address::socket);
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.push(link);
        let dial = self.dials.pop();
        let side = if dial.is_some() { LinkSide::Dialler } else { LinkSide::Listener };
        self.input(Input::LinkUp(LinkUp { link, record, side, remote, dial, boot, capabilities: Capabilities::default() }));
    }

    fn some_link(&self, which: u8) -> Option<LinkId> {
        (!self.links.is_empty()).then(|| self.links[usize::from(which) % self.links.len()])
    }

    fn fail_a_dial(&mut self) {
        if let Some(dial) = self.dials.pop() {
            self.input(Input::DialFailed { dial, error: DialError::TimedOut });
        }
    }

    fn command(&mut self, which: u8, target: Hash) {
        let operation = Operation(self.next_operation);
        let payload = Bytes::from_static(b"hello");
        let mut options = SendOptions::default();
        options.duplicates = which;
        options.route = [Route::Auto, Route::Direct, Route::Overlay][usize::from(which % 3)];
        let command = match which {
            0 => {
                let addresses = vec!["127.0.0.1:7001".parse().expect("an address")];
                Command::Connect { operation, addresses, timeout: Duration::from_secs(10) }
            }
            1 => Command::Lookup { operation, target },
            2 => Command::Broadcast { operation, payload, excluded: vec![target] },
            _ => Command::Send { operation, target, address: None, payload, options },
        };
        self.next_operation += 1;
        self.input(Input::Command(command));
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut wakes = 0;
        while let Some((at, wake)) = self.node.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Wake);
            wakes += 1;
            assert!(wakes < 20_000, "woken for {wake:?} again and again");
        }
        self.now = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_node_survives_whatever_the_network_says(
        ring in any::<bool>(), swarm in any::<bool>(), member in any::<bool>(), acts in vec(acts(), 1..120),
    ) {
        let overlay = if ring { OverlayKind::Ring } else { OverlayKind::Tree };
        let purpose = if swarm { Purpose::Swarm } else { Purpose::Bare };
        let mut rig = Rig::new(overlay, purpose, member);
        for act in acts {
            rig.act(act);
        }
        // Every wish ends: by its timeout, or by leaving.
        while !rig.dials.is_empty() {
            rig.fail_a_dial();
        }
        for _ in 0..60 {
            rig.pass(Duration::from_secs(1));
            while !rig.dials.is_empty() {
                rig.fail_a_dial();
            }
        }
        let leave = Operation(rig.next_operation);
        rig.input(Input::Command(Command::Leave { operation: leave }));
        rig.pass(Duration::from_secs(30));
        for operation in (0..=leave.0).map(Operation) {
            prop_assert_eq!(rig.ended.get(&operation), Some(&1), "{:?}", operation);
        }
    }
}

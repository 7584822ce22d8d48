//! Messages in another's name, on real sockets: none is delivered, each is counted, and the other's own arrive.

use crate::{
    attacker::{Answers, Attacker, Honest, Served, prefixed},
    loopback, until,
};
use bytes::Bytes;
use cicada::{BroadcastOptions, SwarmPeer};
use cicada_wire::{
    Address, Authentication, Credential, Frame, Hash, Header, Immutable, Mutable, Opening, Origin, PayloadDigest, Query, Refusal, Reply,
    SealingKey, SealingSecret, SessionId, Share, Signature, Statement, Task,
};
use std::sync::{Arc, Mutex};

/// Keeps the broadcasts that it is handed.
#[derive(Clone, Default)]
struct Collecting(Arc<Mutex<Vec<(Task, Bytes)>>>);

impl Answers for Collecting {
    fn reply(&self, query: &Query) -> Reply {
        Honest.reply(query)
    }

    fn hear(&self, frame: &Frame) {
        if let Frame::Task(task, payload) = frame {
            self.0.lock().expect("no panic").push((task.clone(), payload.clone()));
        }
    }
}

/// What an attacker says in the name of `other`.
struct Forger<'a> {
    attacker: &'a Attacker,
    other: Address,
    victim: Hash,
}

impl Forger<'_> {
    fn statement(&self, target: Option<Hash>, authentication: Authentication) -> Statement {
        let mut said = Statement::from(self.attacker.header(target, PAYLOAD.len()).fixed);
        (said.origin, said.authentication, said.digest) = (Origin::of_address(self.other), authentication, PayloadDigest::of(PAYLOAD));
        said
    }

    fn task(&self, fixed: Immutable) -> Frame {
        let mut task = self.attacker.task(self.victim, PAYLOAD.len());
        task.header.fixed = fixed;
        Frame::Task(task, Bytes::from_static(PAYLOAD))
    }

    fn unicast(&self, authentication: Authentication) -> Frame {
        let fixed = self.statement(Some(self.victim), authentication).into();
        Frame::Data(Header { fixed, hop: Mutable { hop_limit: 8, ..Mutable::default() } }, Bytes::from_static(PAYLOAD))
    }

    /// Those that cost nobody a link, since whoever hands them on cannot know better; one of each.
    fn forged(&self, number: usize) -> [Frame; 5] {
        let key = self.attacker.record.key();
        let signed = Immutable::from(self.statement(None, Authentication::Signed { key: Some(key) }));
        let signature = signed.hash().sign(&self.attacker.identity);
        let mut share = [0; 32];
        share[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let seal = SealingSecret::from_seed(&[7; 32]).public();
        let signature_of_key = Credential::hash(key, seal, 1).sign(&self.attacker.identity);
        let credential = Credential { key, seal, boot: 1, signature: signature_of_key };
        let session = SessionId::of(Share(share), seal, SealingKey([9; 32]));
        let opening = Opening { share: Share(share), to: SealingKey([9; 32]), credential };
        [
            self.task(signed.signed(signature)),
            self.task(self.statement(None, Authentication::None).into()),
            self.unicast(Authentication::None),
            self.unicast(Authentication::Sealed { session, opening: None }),
            self.unicast(Authentication::Sealed { session, opening: Some(opening) }),
        ]
    }

    /// A true broadcast, its payload changed, and its statement with it or not.
    fn changed(&self, (task, payload): &(Task, Bytes), says_so: bool) -> Frame {
        let mut bytes = payload.to_vec();
        bytes[0] ^= 1;
        let mut task = task.clone();
        task.header.hop = self.attacker.task(self.victim, bytes.len()).header.hop;
        if says_so {
            let signature = task.header.fixed.signature().unwrap_or(Signature([0; 64]));
            let said = Statement { digest: PayloadDigest::of(&bytes), ..Statement::from(task.header.fixed.clone()) };
            task.header.fixed = Immutable::from(said).signed(signature);
        }
        Frame::Task(task, Bytes::from(bytes))
    }
}

async fn link(attacker: &Attacker, victim: &SwarmPeer, collecting: &Collecting) -> Served {
    attacker.link(victim.listener()).await.serve(collecting.clone()).await
}

async fn refused(victim: &SwarmPeer, reason: Refusal) -> u64 {
    victim.metrics().await.expect("open").refusals.of(reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_messages_in_anothers_name_none_is_delivered() {
    let victim = loopback().await;
    let other = loopback().await;
    other.connect(&victim).await.expect("a member");
    let (attacker, collecting) = (Attacker::at([127, 0, 0, 1]), Collecting::default());
    let mut served = link(&attacker, &victim, &collecting).await;
    let forger = Forger { attacker: &attacker, other: Address::new(other.listener()).expect("announced"), victim: victim.id() };
    let receiving = tokio::spawn({
        let victim = victim.clone();
        async move {
            let mut heard = Vec::new();
            while let Ok(message) = victim.recv().await {
                heard.push(message.data);
            }
            heard
        }
    });
    let mut honest = Vec::new();
    for round in 0..ROUNDS {
        for frame in forger.forged(round) {
            assert!(served.mouth.say(&frame).await, "the link stands");
        }
        if round % 100 == 0 {
            let (said, to_all) = (format!("to one {round}"), format!("to all {round}"));
            other.send(&victim, said.clone()).await.expect("acknowledged");
            other.broadcast(to_all.clone(), &BroadcastOptions::default()).await.expect("taken");
            honest.extend([said, to_all]);
        }
    }
    for reason in [Refusal::OtherKey, Refusal::Unsigned, Refusal::NoSession] {
        until("all are counted", async || refused(&victim, reason).await >= ROUNDS as u64).await;
    }
    // What costs a link, each time.
    until("a true one passed by the attacker", async || {
        victim.broadcast("true", &BroadcastOptions::default()).await.expect("taken");
        !collecting.0.lock().expect("no panic").is_empty()
    })
    .await;
    let true_one = collecting.0.lock().expect("no panic")[0].clone();
    for (says_so, reason) in [(false, Refusal::Altered), (true, Refusal::BadSignature)].into_iter().cycle().take(10) {
        let changed = forger.changed(&true_one, says_so);
        // With the digest of the true payload, which an honest peer would leave out.
        let bytes = [&changed.head_bytes()[..], changed.payload().expect("a share")].concat();
        assert!(served.mouth.say_bytes(&prefixed(&bytes)).await, "the link stands");
        assert_eq!(served.refusal().await, reason);
        served = link(&attacker, &victim, &collecting).await;
    }
    drop(served);
    other.close().await;
    victim.close().await;
    let mut heard: Vec<String> = receiving.await.expect("no panic").iter().map(|data| String::from_utf8_lossy(data).into_owned()).collect();
    heard.sort();
    honest.sort();
    assert_eq!(heard, honest);
}

const PAYLOAD: &[u8] = b"give all to me!";

/// Of five forgeries each.
const ROUNDS: usize = 2000;

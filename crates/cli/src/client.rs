//! `status`, `lookup`, `send` and `cast`: a client that comes, does one thing, and goes.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use cicada::{BroadcastOptions, Hash, RemoteNode, Role, SendOptions, SwarmPeer};
use serde_json::{Value, json};
use tokio::net::lookup_host;

use crate::address::HostPort;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output;
use crate::peer;
use crate::settings::flags::{Cast, Client, Lookup, Send, Swarm};

/// What a client is to do once it is in the swarm.
enum Errand {
    Status,
    Lookup(Destination),
    Send { to: Destination, data: Bytes, duplicates: u8 },
    Cast { data: Bytes },
}

/// Where a lookup or a message goes.
enum Destination {
    Address(HostPort),
    Id(Hash),
}

pub(crate) async fn status(status: &Client, secret: Option<Vec<u8>>, as_json: bool) -> Result<(), Failure> {
    run(&status.swarm, secret, as_json, Errand::Status).await
}

pub(crate) async fn lookup(lookup: &Lookup, secret: Option<Vec<u8>>, as_json: bool) -> Result<(), Failure> {
    let errand = Errand::Lookup(destination(&lookup.target)?);
    run(&lookup.swarm, secret, as_json, errand).await
}

pub(crate) async fn send(send: &Send, secret: Option<Vec<u8>>, as_json: bool) -> Result<(), Failure> {
    let to = destination(&send.target)?;
    refuse_without_entry(&send.swarm)?;
    let errand = Errand::Send { to, data: data(&send.data)?, duplicates: send.duplicates };
    run(&send.swarm, secret, as_json, errand).await
}

pub(crate) async fn cast(cast: &Cast, secret: Option<Vec<u8>>, as_json: bool) -> Result<(), Failure> {
    refuse_without_entry(&cast.swarm)?;
    let errand = Errand::Cast { data: data(&cast.data)? };
    run(&cast.swarm, secret, as_json, errand).await
}

/// Joins as a client, does the errand, leaves.
async fn run(swarm: &Swarm, secret: Option<Vec<u8>>, as_json: bool, errand: Errand) -> Result<(), Failure> {
    refuse_without_entry(swarm)?;
    let builder = peer::builder(swarm, secret)?.role(Role::Client);
    let mut interrupt = Interrupt::new()?;
    let peer = peer::bind(builder, &swarm.interface, 0).await?;
    let done = tokio::select! {
        done = perform(&peer, swarm, errand, as_json) => done,
        () = interrupt.asked() => Err(Failure::interrupted()),
    };
    peer::leave(&peer, &mut interrupt).await;
    done
}

async fn perform(peer: &SwarmPeer, swarm: &Swarm, errand: Errand, as_json: bool) -> Result<(), Failure> {
    peer::join(peer, swarm).await?;
    match errand {
        Errand::Status => show_status(peer, swarm, as_json).await,
        Errand::Lookup(to) => show_lookup(peer, to, as_json).await,
        Errand::Send { to, data, duplicates } => {
            let options = SendOptions::default().with_duplicates(duplicates).with_timeout(swarm.timeout);
            show_send(peer, to, data, &options, as_json).await
        }
        Errand::Cast { data } => {
            let sent = peer.broadcast(data, &BroadcastOptions::default()).await;
            let sent = sent.map_err(|error| Failure::failed(format!("cannot broadcast: {error}")))?;
            if sent.delegates == 0 {
                return Err(Failure::failed("nobody took the broadcast over"));
            }
            Ok(output::either(as_json, &json!({"id": sent.id.to_string(), "delegates": sent.delegates}), "sent to all peers")?)
        }
    }
}

async fn show_status(peer: &SwarmPeer, swarm: &Swarm, as_json: bool) -> Result<(), Failure> {
    let (members, complete) = walk(peer).await?;
    let overlay = format!("{:?}", swarm.overlay).to_lowercase();
    if as_json {
        let members: Vec<Value> = members.iter().map(described).collect();
        let object = json!({
            "overlay": overlay,
            "swarm": swarm.name,
            "client": peer.id().to_string(),
            "complete": complete,
            "members": members,
        });
        return Ok(output::line(&object.to_string())?);
    }
    output::line(&format!("swarm    {}", swarm.name.as_deref().unwrap_or("(the default one)")))?;
    output::line(&format!("overlay  {overlay}"))?;
    let more = if complete { "" } else { " and more" };
    output::line(&format!("members  {}{more}", members.len()))?;
    for member in members {
        output::line(&format!("  {:<24} {}", address(&member), member.id()))?;
    }
    Ok(())
}

/// The members, by asking who is responsible for the id of each that was found: the answers name its neighbours too. Says
/// whether every member found was asked for; a large swarm is not walked to its end.
async fn walk(peer: &SwarmPeer) -> Result<(Vec<RemoteNode>, bool), Failure> {
    let mut found = BTreeMap::new();
    let mut unasked = vec![peer.id()];
    for _ in 0..LOOKUPS {
        // The latest first: on the ring it is the farthest, and its neighbours are mostly new.
        let Some(id) = unasked.pop() else { break };
        let answer = peer.lookup(id).await.map_err(|error| Failure::failed(format!("cannot look around: {error}")))?;
        for member in answer.responsible {
            if found.insert(member.id(), member).is_none() {
                unasked.push(member.id());
            }
        }
    }
    Ok((found.into_values().collect(), unasked.is_empty()))
}

/// A name may have several addresses: the first that a peer has counts, else the first.
async fn show_lookup(peer: &SwarmPeer, to: Destination, as_json: bool) -> Result<(), Failure> {
    let ids = to.ids().await?;
    let mut answers = Vec::new();
    for id in &ids {
        let found = peer.lookup(*id).await.map_err(|error| Failure::failed(format!("cannot look up {to}: {error}")))?;
        answers.push((*id, found));
    }
    let taken = answers.iter().position(|(_, found)| found.exact.is_some());
    let (id, found) = answers.swap_remove(taken.unwrap_or(0));
    let responsible: Vec<Value> = found.responsible.iter().map(described).collect();
    let object = json!({
        "id": id.to_string(),
        "id_decimal": id.decimal(),
        "taken": found.exact.is_some(),
        "peer": found.exact.as_ref().map(described),
        "responsible": responsible,
    });
    if as_json {
        return Ok(output::line(&object.to_string())?);
    }
    output::line(&format!("id           {id}"))?;
    match &found.exact {
        Some(peer) => output::line(&format!("taken        by {}", address(peer)))?,
        None => output::line("taken        no")?,
    }
    for (index, peer) in found.responsible.iter().enumerate() {
        let label = if index == 0 { "responsible" } else { "" };
        output::line(&format!("{label:<12} {:<24} {}", address(peer), peer.id()))?;
    }
    Ok(())
}

fn described(peer: &RemoteNode) -> Value {
    json!({"id": peer.id().to_string(), "address": peer.address().map(|address| address.to_string())})
}

fn address(peer: &RemoteNode) -> String {
    peer.address().map_or_else(|| "(no address)".to_owned(), |address| address.to_string())
}

async fn show_send(peer: &SwarmPeer, to: Destination, data: Bytes, options: &SendOptions, as_json: bool) -> Result<(), Failure> {
    let shown = to.to_string();
    let receipt = match to {
        Destination::Address(address) => peer.send_with((address.host.as_str(), address.port), data, options).await,
        Destination::Id(id) => peer.send_with(id, data, options).await,
    };
    let receipt = receipt.map_err(|error| Failure::failed(format!("cannot send to {shown}: {error}")))?;
    let milliseconds = receipt.round_trip.map(|time| time.as_secs_f64() * 1e3);
    let object = json!({
        "id": receipt.message.to_string(),
        "acked": receipt.acked,
        "hops": receipt.hops(),
        "round_trip_ms": milliseconds,
        "copies": receipt.paths.len(),
    });
    let hops = receipt.hops().map_or_else(String::new, |hops| format!(", {hops} hops"));
    let time = milliseconds.map_or_else(String::new, |time| format!(", {time:.1} ms"));
    Ok(output::either(as_json, &object, &format!("received by {shown}{hops}{time}"))?)
}

fn refuse_without_entry(swarm: &Swarm) -> Result<(), Failure> {
    if swarm.join.is_empty() {
        return Err(Failure::refused("this command acts in a swarm that is there already: name a peer of it with --join HOST:PORT"));
    }
    Ok(())
}

/// The words as one message, or standard input to its end, byte for byte.
fn data(words: &[String]) -> Result<Bytes, Failure> {
    if !words.is_empty() {
        return Ok(Bytes::from(words.join(" ")));
    }
    let mut data = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut data);
    read.map_err(|error| Failure::failed(format!("cannot read the message from standard input: {error}")))?;
    Ok(Bytes::from(data))
}

/// An id or an address. Every id is also a word, and no word with a colon is an id.
fn destination(text: &str) -> Result<Destination, Failure> {
    if let Ok(id) = Hash::from_hashed(text) {
        return Ok(Destination::Id(id));
    }
    let address = text
        .parse::<HostPort>()
        .map_err(|why| Failure::refused(format!("`{text}` is neither an id in decimal or hexadecimal nor an address ({why})")))?;
    Ok(Destination::Address(address))
}

impl Destination {
    /// The ids it may stand for: an address names the peer that announces it, and a name may have several addresses.
    async fn ids(&self) -> Result<Vec<Hash>, Failure> {
        let address = match self {
            Self::Id(id) => return Ok(vec![*id]),
            Self::Address(address) => address,
        };
        let failed = |why: String| Failure::failed(format!("cannot resolve {address}: {why}"));
        let found = lookup_host((address.host.as_str(), address.port)).await.map_err(|error| failed(error.to_string()))?;
        let mut ids: Vec<Hash> = found.filter_map(|address| cicada::Address::new(address).ok()).map(cicada::Address::id).collect();
        ids.dedup();
        if ids.is_empty() { Err(failed("no peer can have such an address".to_owned())) } else { Ok(ids) }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// How far `status` walks. Guess: a small swarm as a whole, and a large one for a second or two.
const LOOKUPS: usize = 64;

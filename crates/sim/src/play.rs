//! Plays: small scenarios as text, with what is expected to happen.
//!
//! A play is a list of scenes. A scene is one command a line, a line `----`, and what happened, up to an empty line:
//!
//! ```text
//! world overlay=ring seed=3
//! peer a id=10
//! peer b id=90
//! join b via a
//! ----
//! t=0.150000 b: is connected by a
//! ```
//!
//! Commands: `world key=value ..` (overlay, seed, latency_ms, jitter_ms, loss_percent, links, successors, bucket, trace), `peer NAME
//! [id=HH [subnet=A.B.C]]` (the first byte of its id, and the /24 that its address is in), `connect X via Y`, `join X via Y` (and
//! wait), `leave X`, `crash X ..`, `restart X`, `partition X .. | Y ..`, `heal`, `run MILLISECONDS`, `settle MILLISECONDS`, `lookup X
//! HH`, `send X Y TEXT`, `relay X Y TEXT` (over the overlay, whatever links could be made), `broadcast X TEXT`, `begin broadcast X
//! TEXT` (without waiting for it), `adversary X KIND ..`, `vanish tasks X` (tasks to X vanish), `cut X Y` (nothing passes between the
//! two), `hold X Y MILLISECONDS` (what X hands to a link to Y is held up for so long), `neighbours`, `check lists|ring|off` (after
//! everything that happens), `trace off|events|packets`. A line that begins with `#` says something to people.

use crate::{
    network::{Latency, Network},
    peer::{PeerIndex, PeerOptions},
    queue::Ties,
    rules::{Packet, Verdict},
    trace::TraceLevel,
    world::{World, WorldConfig},
};
use cicada_proto::{Config, Event, Operation, Route, SendOptions};
use cicada_wire::{Address, Frame, Hash, OverlayKind, U256};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Performs a play; returns its text with what happened in the place of what was expected.
///
/// # Errors
/// Names the line that is no command.
pub fn perform(script: &str) -> Result<String, PlayError> {
    let mut stage = Stage::default();
    let mut text = String::new();
    let mut expected = false;
    for (number, line) in script.lines().enumerate() {
        if expected {
            expected = !line.is_empty();
            if !expected {
                text.push('\n');
            }
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line == "----" {
            text.push_str(&stage.happened());
            expected = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            stage.act(line).map_err(|what| PlayError { line: number + 1, what })?;
        }
    }
    Ok(text)
}

/// A line of a play is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
#[non_exhaustive]
pub struct PlayError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// The first address in `10.0.0.0/8` whose id begins with this byte and that comes after `skip` others.
#[must_use]
pub fn address_of_byte(byte: u8, skip: usize) -> SocketAddr {
    (0..=u16::MAX)
        .map(|number| {
            let [y, z] = number.to_be_bytes();
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, byte, y, z)), 7000)
        })
        .filter(|socket| Address::new(*socket).is_ok_and(|address| address.id().to_bytes()[0] == byte))
        .nth(skip)
        .expect("of 65536 addresses some 256 have an id that begins with any one byte")
}

/// The first address in the /24 of `subnet` whose id begins with this byte.
fn address_in(subnet: &str, byte: u8) -> Result<SocketAddr, String> {
    let network: Ipv4Addr = format!("{subnet}.0").parse().map_err(|_| format!("no subnet, as in 9.8.7: {subnet}"))?;
    let [a, b, c, _] = network.octets();
    let hosts = (7000..8000).flat_map(|port| (1..=254).map(move |host| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, host)), port)));
    let of_byte = |socket: &SocketAddr| Address::new(*socket).is_ok_and(|address| address.id().to_bytes()[0] == byte);
    Ok(hosts.into_iter().find(of_byte).expect("of 254 000 addresses some 1000 have an id that begins with any one byte"))
}

#[derive(Default)]
struct Stage {
    world: Option<World>,
    peers: BTreeMap<String, PeerIndex>,
    /// How many peers were made for each first byte of an id.
    bytes: BTreeMap<u8, usize>,
    /// Connects that were begun since the last settling.
    connects: Vec<Operation>,
}

impl Stage {
    fn happened(&mut self) -> String {
        self.world.as_mut().map(|world| world.trace_mut().take()).unwrap_or_default()
    }

    /// Says something at this point of the trace.
    fn say(&mut self, what: &str) -> Result<(), String> {
        self.world()?.trace_world(what);
        Ok(())
    }

    fn world(&mut self) -> Result<&mut World, String> {
        self.world.as_mut().ok_or_else(|| "there is no world yet".to_owned())
    }

    fn peer(&self, name: &str) -> Result<PeerIndex, String> {
        self.peers.get(name).copied().ok_or_else(|| format!("there is no peer {name}"))
    }

    fn peers(&self, names: &[&str]) -> Result<Vec<PeerIndex>, String> {
        names.iter().map(|name| self.peer(name)).collect()
    }

    fn act(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["world", ref settings @ ..] => self.make_world(settings),
            ["peer", name, ref settings @ ..] if settings.len() <= 2 => self.add(name, settings),
            ["connect", who, "via", entry] => {
                let (who, entry) = (self.peer(who)?, self.peer(entry)?);
                let operation = self.world()?.connect(who, entry);
                self.connects.push(operation);
                Ok(())
            }
            ["join", who, "via", entry] => {
                let (who, entry) = (self.peer(who)?, self.peer(entry)?);
                // What came of it stands in the trace.
                let _ = self.world()?.join(who, entry);
                Ok(())
            }
            ["check", what] => self.check(what),
            ["neighbours"] => self.neighbours(),
            ["lookup", who, key] => self.lookup(who, key),
            ["send", who, to, ref text @ ..] => {
                let (who, to) = (self.peer(who)?, self.peer(to)?);
                let _ = self.world()?.send(who, to, text.join(" "), SendOptions::default());
                Ok(())
            }
            ["relay", who, to, ref text @ ..] => {
                let (who, to) = (self.peer(who)?, self.peer(to)?);
                let mut options = SendOptions::default();
                options.route = Route::Overlay;
                let _ = self.world()?.send(who, to, text.join(" "), options);
                Ok(())
            }
            ["broadcast", who, ref text @ ..] => {
                let who = self.peer(who)?;
                let world = self.world()?;
                let operation = world.broadcast(who, text.join(" "));
                world.wait(operation, Duration::from_secs(11));
                Ok(())
            }
            ["begin", "broadcast", who, ref text @ ..] => {
                let who = self.peer(who)?;
                self.world()?.broadcast(who, text.join(" "));
                Ok(())
            }
            ["adversary", who, ref kinds @ ..] => {
                let who = self.peer(who)?;
                let kinds = kinds.iter().map(|kind| kind.parse()).collect::<Result<Vec<_>, _>>()?;
                self.world()?.set_adversary(who, &kinds);
                Ok(())
            }
            _ => self.befall(&words),
        }
    }

    /// Commands about time and fate.
    fn befall(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["run", span] => {
                let span = milliseconds(span)?;
                self.world()?.run_for(span);
            }
            ["settle", span] => return self.settle(milliseconds(span)?),
            ["leave", who] => {
                let who = self.peer(who)?;
                self.world()?.leave(who);
            }
            ["crash", ref who @ ..] => {
                for who in self.peers(who)? {
                    self.world()?.crash(who);
                }
            }
            ["restart", who] => {
                let who = self.peer(who)?;
                self.world()?.restart(who);
            }
            ["partition", ref names @ ..] => {
                let sets = names.split(|name| *name == "|").map(|names| self.peers(names)).collect::<Result<Vec<_>, _>>()?;
                self.world()?.partition(&sets.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            ["heal"] => self.world()?.heal(),
            ["trace", level] => {
                let level = trace_level(level)?;
                self.world()?.trace_mut().set_level(level);
            }
            ["vanish", "tasks", who] => {
                let who = self.peer(who)?;
                self.world()?.add_rule(move |passing| match passing.packet {
                    Packet::Frame(Frame::Task(..)) if passing.to == who => Verdict::Vanish,
                    Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
                });
            }
            ["cut", one, other] => {
                let ends = self.peers(&[one, other])?;
                self.world()?.add_rule(move |passing| {
                    let between = ends.contains(&passing.from) && ends.contains(&passing.to);
                    if between { Verdict::Vanish } else { Verdict::Pass }
                });
            }
            ["hold", from, to, span] => {
                let (from, to, span) = (self.peer(from)?, self.peer(to)?, milliseconds(span)?);
                self.world()?.add_rule(move |passing| match passing.packet {
                    Packet::Frame(_) if (passing.from, passing.to) == (from, to) => Verdict::Delay(span),
                    Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
                });
            }
            _ => return Err(format!("no command: {}", words.join(" "))),
        }
        Ok(())
    }

    fn make_world(&mut self, settings: &[&str]) -> Result<(), String> {
        let mut config = WorldConfig { trace: TraceLevel::Events, ties: Ties::Arranged, ..WorldConfig::default() };
        let mut node = Config::default();
        let (mut latency, mut jitter) = (Duration::from_millis(20), Duration::ZERO);
        for setting in settings {
            let (key, value) = setting.split_once('=').ok_or_else(|| format!("no setting: {setting}"))?;
            match key {
                "overlay" if value == "ring" => node.overlay = OverlayKind::Ring,
                "overlay" if value == "tree" => node.overlay = OverlayKind::Tree,
                "seed" => config.seed = parsed(value)?,
                "latency_ms" => latency = milliseconds(value)?,
                "jitter_ms" => jitter = milliseconds(value)?,
                "loss_percent" => config.network.lost_per_million = 10_000 * parsed::<u32>(value)?,
                "links" => node.limits.links = parsed(value)?,
                "successors" => node.upkeep.successors = parsed(value)?,
                "bucket" => node.upkeep.bucket = parsed(value)?,
                "trace" => config.trace = trace_level(value)?,
                _ => return Err(format!("no setting: {setting}")),
            }
        }
        let latency = if jitter.is_zero() { Latency::Fixed(latency) } else { Latency::Uniform(latency, latency + jitter) };
        config.network = Network { latency, ..config.network };
        config.config = node;
        self.world = Some(World::new(config));
        self.peers.clear();
        self.bytes.clear();
        self.connects.clear();
        Ok(())
    }

    fn add(&mut self, name: &str, settings: &[&str]) -> Result<(), String> {
        let mut options = PeerOptions::named(name);
        if let Some(setting) = settings.first() {
            let digits = setting.strip_prefix("id=").ok_or_else(|| format!("no setting: {setting}"))?;
            let byte = first_byte(digits)?;
            let made = self.bytes.entry(byte).or_default();
            options.socket = Some(address_of_byte(byte, *made));
            *made += 1;
            if let Some(setting) = settings.get(1) {
                let subnet = setting.strip_prefix("subnet=").ok_or_else(|| format!("no setting: {setting}"))?;
                options.socket = Some(address_in(subnet, byte)?);
            }
        }
        let who = self.world()?.add(options);
        self.peers.insert(name.to_owned(), who);
        Ok(())
    }

    /// Runs until those who were told to connect have, or failed, and the tables of all who are in a swarm are right.
    fn settle(&mut self, span: Duration) -> Result<(), String> {
        let connects = std::mem::take(&mut self.connects);
        let world = self.world()?;
        let wrong = |world: &World| world.swarms().iter().find_map(|members| world.tables_are_right(members).err());
        let ended = |world: &World| connects.iter().all(|operation| world.outcome(*operation).is_some());
        let settled = world.run_until_every(SETTLE_PAUSE, span, |world| ended(world) && wrong(world).is_none());
        let word = match (settled, wrong(world)) {
            (Some(_), _) => {
                let counts: Vec<_> = world.swarms().iter().map(|members| members.len().to_string()).collect();
                format!("settled: {} members", counts.join(" and "))
            }
            (None, Some(wrong)) => format!("not settled: {wrong}"),
            (None, None) => "not settled: a join is under way".to_owned(),
        };
        world.trace_world(&word);
        Ok(())
    }

    fn check(&mut self, what: &str) -> Result<(), String> {
        let world = self.world()?;
        match what {
            "lists" => world.check_always(|world| world.swarms().iter().try_for_each(|members| world.successors_live(members))),
            "ring" => world.check_always(|world| world.swarms().iter().try_for_each(|members| world.zave_holds(members))),
            "off" => world.check_always(|_| Ok(())),
            _ => return Err(format!("nothing to check: {what}")),
        }
        Ok(())
    }

    /// What each peer thinks stands around it, and whether it has no place in a swarm yet.
    fn neighbours(&mut self) -> Result<(), String> {
        let world = self.world()?;
        let placed = world.swarms().concat();
        let line = |who: PeerIndex| {
            let yet = if placed.contains(&who) { "" } else { ", no place yet" };
            format!("{}{yet}", world.describe_table(who))
        };
        let lines: Vec<_> = world.live_members().into_iter().map(line).collect();
        lines.iter().try_for_each(|line| self.say(line))
    }

    fn lookup(&mut self, who: &str, key: &str) -> Result<(), String> {
        let who = self.peer(who)?;
        let mut bytes = [0; 32];
        bytes[0] = first_byte(key)?;
        let key = Hash(U256::from_be_bytes(bytes));
        let world = self.world()?;
        let operation = world.begin_lookup(who, key);
        let ended = world.wait(operation, Duration::from_secs(60));
        let Some(swarm) = world.swarms().into_iter().find(|members| members.contains(&who)) else {
            return self.say("it has no place yet");
        };
        let owner = world.owner(&swarm, key);
        let right = match ended {
            Some(Event::LookedUp { result: Ok(found), .. }) => {
                found.responsible.first().map(cicada_wire::SignedRecord::id) == owner.map(|who| world.id(who))
            }
            Some(_) | None => false,
        };
        self.say(if right { "right" } else { "wrong" })
    }
}

fn parsed<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("not a number: {value}"))
}

fn milliseconds(value: &str) -> Result<Duration, String> {
    parsed(value).map(Duration::from_millis)
}

fn first_byte(digits: &str) -> Result<u8, String> {
    u8::from_str_radix(digits, 16).map_err(|_| format!("not two hexadecimal digits: {digits}"))
}

fn trace_level(value: &str) -> Result<TraceLevel, String> {
    match value {
        "off" => Ok(TraceLevel::Off),
        "events" => Ok(TraceLevel::Events),
        "packets" => Ok(TraceLevel::Packets),
        _ => Err(format!("no trace level: {value}")),
    }
}

const SETTLE_PAUSE: Duration = Duration::from_millis(100);

//! What happens in one random world, as lines of text that people can read, change and keep.
//!
//! ```text
//! overlay=ring seed=17 members=9 successors=4 links=16 span=12000
//! least=10 most=60 jitter=5 lost=2 bursts=0 held=1 doubled=0
//! bad 3 drop
//! 1200 crash 3
//! 1500 restart 3 members
//! 2000 split 0 1 2
//! ```
//!
//! Peers are numbers; times are milliseconds after the first members are in. What cannot be done when its time comes is passed over,
//! so that any line can be left out.

use cicada_sim::{Adversary, Memory};
use cicada_wire::OverlayKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A world and what befalls it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    pub(crate) overlay: OverlayKind,
    pub(crate) seed: u64,
    pub(crate) members: usize,
    pub(crate) successors: usize,
    pub(crate) links: usize,
    /// How long it goes on, in milliseconds; then everything is mended.
    pub(crate) span: u64,
    pub(crate) weather: Weather,
    pub(crate) bad: Vec<(usize, Adversary)>,
    pub(crate) acts: Vec<(u64, Act)>,
}

/// What is bad about the network: milliseconds, and packets of a hundred.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) least: u64,
    pub(crate) most: u64,
    pub(crate) jitter: u64,
    pub(crate) lost: u32,
    pub(crate) bursts: u32,
    pub(crate) held: u32,
    pub(crate) doubled: u32,
}

/// Something that is done to, or by, a peer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Act {
    Crash(usize),
    Restart(usize, Memory),
    Leave(usize),
    /// Somebody new comes.
    Join,
    Pause(usize),
    Resume(usize),
    /// These on one side, all others on the other.
    Split(Vec<usize>),
    Heal,
    /// Members come and go with sessions of this median, in milliseconds.
    Churn(u64),
    Send(usize, usize),
    Lookup(usize),
    Cast(usize),
}

impl Plan {
    /// What the seed draws.
    pub(crate) fn draw(overlay: OverlayKind, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let members = rng.random_range(2..=14);
        let span = rng.random_range(2_000..=16_000);
        let mut plan = Self {
            overlay,
            seed,
            members,
            successors: [4, 8, 16][rng.random_range(0..3)],
            links: [8, 16, 48][rng.random_range(0..3)],
            span,
            weather: Weather::draw(&mut rng),
            bad: Vec::new(),
            acts: Vec::new(),
        };
        if rng.random_range(0..3) == 0 {
            let kind = Adversary::NAMES[rng.random_range(0..Adversary::NAMES.len())].parse().expect("it is a name");
            plan.bad = (0..members / 4).map(|_| (rng.random_range(1..members), kind)).collect();
            plan.bad.sort_by_key(|(who, _)| *who);
            plan.bad.dedup();
        }
        for _ in 0..rng.random_range(0..12) {
            plan.draw_fate(&mut rng);
        }
        for _ in 0..rng.random_range(2..12) {
            let (at, who, to) = (rng.random_range(0..span), rng.random_range(0..members), rng.random_range(0..members));
            let act = match rng.random_range(0..3) {
                0 => Act::Send(who, to),
                1 => Act::Lookup(who),
                _ => Act::Cast(who),
            };
            plan.acts.push((at, act));
        }
        plan.acts.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_fate(&mut self, rng: &mut ChaCha8Rng) {
        let (at, who) = (rng.random_range(0..self.span), rng.random_range(0..self.members));
        let later = at + rng.random_range(100..15_000);
        match rng.random_range(0..10) {
            0..3 => {
                self.acts.push((at, Act::Crash(who)));
                let memory = [Memory::Nothing, Memory::Identity, Memory::Members][rng.random_range(0..3)];
                if rng.random_range(0..3) > 0 {
                    self.acts.push((later, Act::Restart(who, memory)));
                }
            }
            3 => self.acts.push((at, Act::Leave(who))),
            4 | 5 => self.acts.push((at, Act::Join)),
            6 | 7 => self.acts.extend([(at, Act::Pause(who)), (later, Act::Resume(who))]),
            8 => {
                let side = (0..self.members).filter(|_| rng.random()).collect();
                self.acts.extend([(at, Act::Split(side)), (later, Act::Heal)]);
            }
            _ => self.acts.push((at, Act::Churn(rng.random_range(5_000..60_000)))),
        }
    }
}

impl Weather {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let least = rng.random_range(1..80);
        let mut weather = Self { least, most: least + rng.random_range(0..100), ..Self::default() };
        // Half of all worlds have a clear sky.
        if rng.random() {
            weather.jitter = rng.random_range(0..30);
            weather.lost = rng.random_range(0..10);
            weather.bursts = [0, 0, 30, 80][rng.random_range(0..4)];
            weather.held = rng.random_range(0..5);
            weather.doubled = rng.random_range(0..5);
        }
        weather
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { overlay, seed, members, successors, links, span, weather, .. } = self;
        writeln!(f, "overlay={overlay} seed={seed} members={members} successors={successors} links={links} span={span}")?;
        let Weather { least, most, jitter, lost, bursts, held, doubled } = weather;
        writeln!(f, "least={least} most={most} jitter={jitter} lost={lost} bursts={bursts} held={held} doubled={doubled}")?;
        self.bad.iter().try_for_each(|(who, kind)| writeln!(f, "bad {who} {kind}"))?;
        self.acts.iter().try_for_each(|(at, act)| writeln!(f, "{at} {act}"))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(who) => write!(f, "crash {who}"),
            Self::Restart(who, memory) => write!(f, "restart {who} {}", memory_name(*memory)),
            Self::Leave(who) => write!(f, "leave {who}"),
            Self::Join => f.write_str("join"),
            Self::Pause(who) => write!(f, "pause {who}"),
            Self::Resume(who) => write!(f, "resume {who}"),
            Self::Split(side) => {
                f.write_str("split")?;
                side.iter().try_for_each(|who| write!(f, " {who}"))
            }
            Self::Heal => f.write_str("heal"),
            Self::Churn(median) => write!(f, "churn {median}"),
            Self::Send(who, to) => write!(f, "send {who} {to}"),
            Self::Lookup(who) => write!(f, "lookup {who}"),
            Self::Cast(who) => write!(f, "cast {who}"),
        }
    }
}

fn memory_name(memory: Memory) -> &'static str {
    match memory {
        Memory::Nothing => "nothing",
        Memory::Identity => "identity",
        Memory::Members => "members",
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut settings, mut bad, mut acts) = (BTreeMap::new(), Vec::new(), Vec::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["bad", who, kind] => bad.push((number(who)?, kind.parse()?)),
                [first, ..] if first.contains('=') => {
                    settings.extend(words.iter().filter_map(|word| word.split_once('=')));
                }
                [at, ref act @ ..] => acts.push((number(at)?, read_act(act)?)),
                [] => {}
            }
        }
        let setting = |name| settings.get(name).copied().ok_or_else(|| format!("{name}= is missing"));
        let overlay = match setting("overlay")? {
            "ring" => OverlayKind::Ring,
            "tree" => OverlayKind::Tree,
            other => return Err(format!("no overlay: {other}")),
        };
        let weather = Weather {
            least: number(setting("least")?)?,
            most: number(setting("most")?)?,
            jitter: number(setting("jitter")?)?,
            lost: number(setting("lost")?)?,
            bursts: number(setting("bursts")?)?,
            held: number(setting("held")?)?,
            doubled: number(setting("doubled")?)?,
        };
        Ok(Self {
            overlay,
            seed: number(setting("seed")?)?,
            members: number(setting("members")?)?,
            successors: number(setting("successors")?)?,
            links: number(setting("links")?)?,
            span: number(setting("span")?)?,
            weather,
            bad,
            acts,
        })
    }
}

fn read_act(words: &[&str]) -> Result<Act, String> {
    Ok(match *words {
        ["crash", who] => Act::Crash(number(who)?),
        ["restart", who, "nothing"] => Act::Restart(number(who)?, Memory::Nothing),
        ["restart", who, "identity"] => Act::Restart(number(who)?, Memory::Identity),
        ["restart", who, "members"] => Act::Restart(number(who)?, Memory::Members),
        ["leave", who] => Act::Leave(number(who)?),
        ["join"] => Act::Join,
        ["pause", who] => Act::Pause(number(who)?),
        ["resume", who] => Act::Resume(number(who)?),
        ["split", ref side @ ..] => Act::Split(side.iter().map(|who| number(who)).collect::<Result<_, _>>()?),
        ["heal"] => Act::Heal,
        ["churn", median] => Act::Churn(number(median)?),
        ["send", who, to] => Act::Send(number(who)?, number(to)?),
        ["lookup", who] => Act::Lookup(number(who)?),
        ["cast", who] => Act::Cast(number(who)?),
        _ => return Err(format!("no act: {}", words.join(" "))),
    })
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("no number: {word}"))
}

//! The flags of `cicada sim`, and how their values are written.

use std::path::PathBuf;
use std::time::Duration;

use cicada_sim::{Adversary, Line};
use clap::{Args, Subcommand, ValueEnum};

use super::flags::Overlay;

/// `cicada sim`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sim {
    #[command(subcommand)]
    pub(crate) action: Option<SimAction>,
    /// How many members join
    #[arg(long, value_name = "N", env = "CICADA_PEERS", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(2..=1_000_000), help_heading = "World")]
    pub(crate) peers: u32,
    /// The shape of the swarm
    #[arg(long, value_enum, env = "CICADA_OVERLAY", default_value_t = Overlay::Ring, help_heading = "World")]
    pub(crate) overlay: Overlay,
    /// Everything that happens follows from it
    #[arg(long, value_name = "N", env = "CICADA_SEED", default_value_t = 1, help_heading = "World")]
    pub(crate) seed: u64,
    /// How long packets travel, one way: a time (20ms), two (20ms..60ms: drawn for each pair), wonder222 or
    /// wonder222+jitter (222 cities), or a CSV file of round trips in milliseconds
    #[arg(long, value_name = "FILE|TIME", env = "CICADA_LATENCY", default_value = "wonder222", help_heading = "World")]
    pub(crate) latency: String,
    /// Which share of all packets is lost: 0.01 or 1%
    #[arg(long, value_name = "SHARE", env = "CICADA_LOSS", default_value = "0", value_parser = share, help_heading = "World")]
    pub(crate) loss: Share,
    /// How much longer each packet travels, drawn anew: half of the packets are late by less than this
    #[arg(long, value_name = "TIME", env = "CICADA_JITTER", value_parser = super::flags::seconds, help_heading = "World")]
    pub(crate) jitter: Option<Duration>,
    /// Access lines that are bad now and then: the share of packets lost meanwhile, and for how long a line is good and bad in the
    /// mean, as in 30%:5s:300ms
    #[arg(long, value_name = "SHARE:GOOD:BAD", env = "CICADA_BURSTS", value_parser = bursts, help_heading = "World")]
    pub(crate) bursts: Option<BadLines>,
    /// What each member can send, in bytes a second, and how much may wait: 125k, 2M or 125k:64k
    #[arg(long, value_name = "RATE[:BUFFER]", env = "CICADA_UPLINK", value_parser = line, help_heading = "World")]
    pub(crate) uplink: Option<Line>,
    /// What each member can receive, written likewise
    #[arg(long, value_name = "RATE[:BUFFER]", env = "CICADA_DOWNLINK", value_parser = line, help_heading = "World")]
    pub(crate) downlink: Option<Line>,
    /// How many links to others a member has, at most
    #[arg(long, value_name = "N", env = "CICADA_LINKS", default_value_t = 48,
          value_parser = clap::value_parser!(u16).range(4..=4096), help_heading = "World")]
    pub(crate) links: u16,
    /// Once settled, members come and go; half of them stay for less than this
    #[arg(long, value_name = "MEDIAN", env = "CICADA_CHURN", value_parser = super::flags::seconds, help_heading = "Trials")]
    pub(crate) churn: Option<Duration>,
    /// For how long they do before the work begins
    #[arg(long, value_name = "TIME", env = "CICADA_WARM_UP", value_parser = super::flags::seconds, help_heading = "Trials")]
    pub(crate) warm_up: Option<Duration>,
    /// Once settled, this share of the members crashes in one instant: that in which the work begins
    #[arg(long, value_name = "SHARE", env = "CICADA_CRASH", default_value = "0", value_parser = share, help_heading = "Trials")]
    pub(crate) crash: Share,
    /// Once settled, this share of the members does this wrong: drop, delay, delay=MS, misroute, lie-about-neighbours,
    /// take-tasks-and-drop or hostile-candidates; may be given several times
    #[arg(long, value_name = "SHARE:KIND", env = "CICADA_ADVERSARIES", value_delimiter = ',',
          value_parser = adversaries, help_heading = "Trials")]
    pub(crate) adversaries: Vec<Adversaries>,
    /// What the members do
    #[arg(long, value_enum, env = "CICADA_WORKLOAD", default_value_t = Work::Lookups, help_heading = "Work")]
    pub(crate) workload: Work,
    /// How often; by default 1000 lookups or messages, or 10 broadcasts
    #[arg(long, value_name = "N", env = "CICADA_COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000), help_heading = "Work")]
    pub(crate) count: Option<u32>,
    /// Over which time, evenly
    #[arg(long, value_name = "TIME", env = "CICADA_DURATION", default_value = "10s",
          value_parser = super::flags::seconds, help_heading = "Work")]
    pub(crate) duration: Duration,
    /// How long messages and broadcasts are, in bytes
    #[arg(long, value_name = "BYTES", env = "CICADA_PAYLOAD", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(8..=16_777_216), help_heading = "Work")]
    pub(crate) payload: u32,
    /// Further copies of each message over other first hops
    #[arg(long, value_name = "N", env = "CICADA_DUPLICATES", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=i64::from(crate::script::DUPLICATES_MAX)), help_heading = "Work")]
    pub(crate) duplicates: u8,
    /// Write down what happens, for `cicada sim replay` and for people
    #[arg(long, value_name = "FILE", env = "CICADA_TRACE", help_heading = "Results")]
    pub(crate) trace: Option<PathBuf>,
    /// How much of it
    #[arg(long, value_enum, env = "CICADA_TRACE_LEVEL", default_value_t = Detail::Events, help_heading = "Results")]
    pub(crate) trace_level: Detail,
    /// Write tables into this directory
    #[arg(long, value_name = "DIR", env = "CICADA_CSV", help_heading = "Results")]
    pub(crate) csv: Option<PathBuf>,
    /// Draw distributions and coverage into this directory, as SVG
    #[arg(long, value_name = "DIR", env = "CICADA_PLOTS", help_heading = "Results")]
    pub(crate) plots: Option<PathBuf>,
}

/// What else can be done with what the simulator writes and reads.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SimAction {
    /// Run the plan of a trace again, and compare line by line
    Replay {
        /// A file that --trace has written
        trace: PathBuf,
    },
    /// Perform a play, and say whether it goes as written
    Play {
        /// The play: commands, and what is expected to happen
        file: PathBuf,
    },
}

/// What members do, as the flag spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Look random keys up
    Lookups,
    /// Send to random members, over the overlay
    Messages,
    /// Send to everybody
    Broadcasts,
}

/// How much is traced, as the flag spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Detail {
    /// What peers tell, and what befalls them
    Events,
    /// Also every frame and datagram
    Packets,
}

/// So many of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) per_million: u32,
}

/// Access lines that are bad now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLines {
    /// What they lose meanwhile.
    pub(crate) lost: Share,
    pub(crate) good: Duration,
    pub(crate) bad: Duration,
}

/// Which share of the members does what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adversaries {
    pub(crate) share: Share,
    pub(crate) kind: Adversary,
}

fn share(text: &str) -> Result<Share, String> {
    let (digits, whole) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    match digits.trim().parse::<f64>() {
        // Between 0 and a million.
        Ok(value) if (0.0..=whole).contains(&value) => Ok(Share { per_million: (value / whole * 1e6).round() as u32 }),
        Ok(_) | Err(_) => Err("wanted: a share, from 0 to 1 or from 0% to 100%".to_owned()),
    }
}

fn bursts(text: &str) -> Result<BadLines, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [lost, good, bad] = parts[..] else { return Err("wanted: SHARE:GOOD:BAD, as in 30%:5s:300ms".to_owned()) };
    Ok(BadLines { lost: share(lost)?, good: super::flags::seconds(good)?, bad: super::flags::seconds(bad)? })
}

fn line(text: &str) -> Result<Line, String> {
    let (rate, buffer) = text.split_once(':').map_or((text, None), |(rate, buffer)| (rate, Some(buffer)));
    let bytes_per_s = bytes(rate)?;
    let buffer_bytes = buffer.map_or(Ok(bytes_per_s.div_ceil(LINE_WAITS)), bytes)?;
    Ok(Line { bytes_per_s, buffer_bytes: if buffer.is_some() { buffer_bytes } else { buffer_bytes.max(LEAST_BUFFER) } })
}

/// A number of bytes, or of thousands (k) or millions (M).
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("k", 1000), ("M", 1_000_000)];
    let (digits, unit) = units.into_iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes))).unwrap_or((text, 1));
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "wanted: a number of bytes above 0, as in 500000, 500k or 2M".to_owned())
}

/// A buffer of which nothing is said holds so many parts of a second.
const LINE_WAITS: u64 = 5; // guess: 200 ms, between the shortest and the longest that routers are sold with

/// And no less than that: packets come in trains.
const LEAST_BUFFER: u64 = 16_000; // guess

fn adversaries(text: &str) -> Result<Adversaries, String> {
    let (fraction, kind) = text.split_once(':').ok_or("wanted: SHARE:KIND, as in 0.1:drop")?;
    Ok(Adversaries { share: share(fraction)?, kind: kind.parse()? })
}

/// A time with its unit, or a number of seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    let number = number.trim_end().parse::<f64>().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// One time, or two with `..` between them.
pub(crate) fn times(text: &str) -> Option<(Duration, Duration)> {
    let unit = |text: &str| text.ends_with(|last: char| last.is_ascii_alphabetic()).then(|| time(text)).flatten();
    match text.split_once("..") {
        Some((least, most)) => Some((unit(least)?, unit(most)?)),
        None => unit(text).map(|span| (span, span)),
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cicada sim
  cicada sim --peers 1000 --overlay tree --crash 0.5
  cicada sim --workload messages --loss 1% --churn 10m --duration 60s --adversaries 0.1:drop --duplicates 3
  cicada sim --workload broadcasts --count 20 --csv results --plots results
  cicada sim --peers 20 --trace run.trace && cicada sim replay run.trace

All of it goes together, and from a file (--config), in a table of its own:
  [sim]
  peers = 1000
  crash = 0.5

The same flags give the same figures; only those of real time differ. Ctrl-C ends with what is
known so far. The exit status is 0 if the experiment went to its end, whatever came of it.";

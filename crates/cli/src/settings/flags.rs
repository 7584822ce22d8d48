//! Every flag, command, environment variable and help text of the program, each written once.
//!
//! `--help`, the completions and the keys of a configuration file all follow from here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::kadcast::{EXAMPLES as KADCAST_EXAMPLES, Kadcast};
use super::simulation::{EXAMPLES as SIM_EXAMPLES, Sim, time};
use crate::address::HostPort;
use crate::keygen::pair::Party;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "cicada",
    version,
    about = "Peers without a server: messages to any of them, broadcasts to all of them",
    long_about = ABOUT,
    after_help = "See `cicada --help` for examples, the script language and the exit status.",
    after_long_help = EXAMPLES,
    override_usage = "cicada [OPTIONS] [RUNTIME]\n       cicada <COMMAND> [OPTIONS]",
    subcommand_help_heading = "Commands",
)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// What the program can do besides running a peer.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show a whole swarm on this machine: join, messages, broadcast, leave
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Try a swarm in a simulated world: faults, churn, adversaries, and what they cost
    #[command(after_help = SIM_EXAMPLES)]
    Sim(Sim),
    /// Be a peer of a Kadcast network, as the published crate speaks it, and print what is broadcast there
    #[command(after_help = KADCAST_EXAMPLES)]
    Kadcast(Kadcast),
    /// Make an identity, keys for a pair of peers that trust each other, or a secret for a swarm
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(Keygen),
    /// Join a swarm as a client and tell what it looks like
    Status(Client),
    /// Ask a swarm which peer is responsible for an id or an address
    Lookup(Lookup),
    /// Send one message to a peer of a swarm and wait for its receipt
    Send(Send),
    /// Send one message to every peer of a swarm
    Cast(Cast),
    /// Show the settings that are in force, and where each comes from
    Settings(Run),
    /// Print completions for a shell
    Completions(Completions),
}

/// Flags that every command knows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct Reporting {
    /// Read settings from a TOML file; its keys are the long names of the flags
    #[arg(long, global = true, value_name = "FILE", env = "CICADA_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What to log: off, error, warn, info, debug, trace, or a filter such as `cicada=debug`
    #[arg(long, global = true, value_name = "LEVEL", env = "CICADA_LOG")]
    pub(crate) log: Option<String>,
    /// The same as --log debug
    #[arg(short, long, global = true, env = "CICADA_DEBUG", value_parser = BoolishValueParser::new())]
    pub(crate) debug: bool,
    /// Log to standard output instead of standard error
    #[arg(long, global = true, env = "CICADA_STDOUT", value_parser = BoolishValueParser::new())]
    pub(crate) stdout: bool,
    /// Print JSON, one object a line, for other programs to read
    #[arg(long, global = true, env = "CICADA_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
}

/// `cicada [RUNTIME]`: a peer, with a script or without.
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Script to run; without one the peer stays up and prints what arrives until interrupted.
    /// A script with the name of a command is written with its folder: ./demo
    #[arg(value_name = "RUNTIME")]
    pub(crate) runtime: Option<PathBuf>,
    /// Port to bind, and to wish for at a router; 0 lets the system choose
    #[arg(short, long, value_name = "N", env = "CICADA_PORT", default_value_t = DEFAULT_PORT,
          value_parser = listening_port, help_heading = "Network")]
    pub(crate) port: u16,
    /// Address that others reach this peer at, when it is not the bound one; it sets the id
    #[arg(long, value_name = "HOST:PORT", env = "CICADA_EXTERNAL", help_heading = "Network")]
    pub(crate) external: Option<HostPort>,
    /// Send no packet to any router
    #[arg(long, env = "CICADA_NO_PORT_MAPPING", help_heading = "Network", value_parser = BoolishValueParser::new())]
    pub(crate) no_port_mapping: bool,
    /// How many external ports to ask a router for, counting up
    #[arg(long, value_name = "N", env = "CICADA_MAPPING_ATTEMPTS", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Network")]
    pub(crate) mapping_attempts: u16,
    /// Serve figures for Prometheus at http://ADDR/metrics; port 0 lets the system choose.
    /// Whoever reaches the address may read them
    #[arg(long, value_name = "ADDR", env = "CICADA_METRICS", help_heading = "Reporting")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Keep the identity and the members known in this directory: the peer comes back by itself,
    /// also without --join. Made if it is not there
    #[arg(long, value_name = "DIR", env = "CICADA_STATE", help_heading = "Swarm")]
    pub(crate) state: Option<PathBuf>,
    /// Peers to trust by keys exchanged beforehand, as `cicada keygen --pair` writes them: what goes
    /// to them is sealed, what comes from them must be
    #[arg(long, value_name = "FILE", env = "CICADA_KEYS", help_heading = "Swarm")]
    pub(crate) keys: Option<PathBuf>,
    /// Peers whose public keys are known: lines of ADDRESS (or id) and KEY. One of them that shows
    /// another key is refused until its line is changed
    #[arg(long, value_name = "FILE", env = "CICADA_KNOWN_PEERS", help_heading = "Swarm")]
    pub(crate) known_peers: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) swarm: Swarm,
}

/// Which swarm, and how to get into it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Swarm {
    /// Address or host name to bind; all interfaces if nothing is said
    #[arg(long, value_name = "ADDR", env = "CICADA_INTERFACE", default_value = "", hide_default_value = true, help_heading = "Network")]
    pub(crate) interface: String,
    /// A peer to join by; may be given several times
    #[arg(long, value_name = "HOST:PORT", env = "CICADA_JOIN", value_delimiter = ',', help_heading = "Swarm")]
    pub(crate) join: Vec<HostPort>,
    /// Seconds until joining is given up; until then it is tried again
    #[arg(long, value_name = "S", env = "CICADA_TIMEOUT", default_value = "10",
          value_parser = seconds, help_heading = "Swarm")]
    pub(crate) timeout: Duration,
    /// The shape of the swarm; all of its peers must agree
    #[arg(long, value_enum, env = "CICADA_OVERLAY", default_value_t = Overlay::Ring,
          help_heading = "Swarm")]
    pub(crate) overlay: Overlay,
    /// The name of the swarm; peers of other names are refused
    #[arg(long = "swarm", value_name = "NAME", env = "CICADA_SWARM", help_heading = "Swarm")]
    pub(crate) name: Option<String>,
    /// File with the swarm's secret; without its line end it is what all peers must know.
    /// CICADA_SWARM_SECRET may hold the secret itself
    #[arg(long = "swarm-secret-file", value_name = "FILE", env = "CICADA_SWARM_SECRET_FILE", help_heading = "Swarm")]
    pub(crate) secret_file: Option<PathBuf>,
    /// File that keeps the identity; made if it is not there. Without it, and without --state, the
    /// identity is a fresh one each time
    #[arg(long, value_name = "FILE", env = "CICADA_IDENTITY", help_heading = "Swarm")]
    pub(crate) identity: Option<PathBuf>,
}

/// `cicada status`, and what the other client commands share with it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Client {
    #[command(flatten)]
    pub(crate) swarm: Swarm,
}

/// `cicada lookup`.
#[derive(Args, Clone, Debug)]
#[command(after_help = LOOKUP_EXAMPLES)]
pub(crate) struct Lookup {
    /// HOST:PORT, or an id in decimal or hexadecimal
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) swarm: Swarm,
}

/// `cicada send`.
#[derive(Args, Clone, Debug)]
#[command(after_help = SEND_EXAMPLES)]
pub(crate) struct Send {
    /// HOST:PORT of the peer, or its id in decimal or hexadecimal
    pub(crate) target: String,
    /// The message; its words are joined by single blanks. Read from standard input if missing
    pub(crate) data: Vec<String>,
    /// Further copies to send over other routes; the message is delivered once
    #[arg(long, value_name = "N", env = "CICADA_DUPLICATES", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=i64::from(crate::script::DUPLICATES_MAX)))]
    pub(crate) duplicates: u8,
    #[command(flatten)]
    pub(crate) swarm: Swarm,
}

/// `cicada cast`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Cast {
    /// The message; its words are joined by single blanks. Read from standard input if missing
    pub(crate) data: Vec<String>,
    #[command(flatten)]
    pub(crate) swarm: Swarm,
}

/// `cicada demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Demo {
    /// How many peers
    #[arg(long, value_name = "N", env = "CICADA_PEERS", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(2..=256))]
    pub(crate) peers: u16,
    /// How many random pairs exchange a message and an answer
    #[arg(long, value_name = "N", env = "CICADA_PAIRS", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) pairs: u32,
    /// Chooses the pairs and the entry points
    #[arg(long, value_name = "N", env = "CICADA_SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The shape of the swarm
    #[arg(long, value_enum, env = "CICADA_OVERLAY", default_value_t = Overlay::Ring)]
    pub(crate) overlay: Overlay,
}

/// `cicada keygen`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Keygen {
    /// Identity file to write: an Ed25519 key that a peer can keep (--identity)
    #[arg(value_name = "FILE", required_unless_present_any = ["pair", "closed_swarm"], conflicts_with_all = ["pair", "closed_swarm", "out"])]
    pub(crate) file: Option<PathBuf>,
    /// Write two key files (--keys), one for each of these peers, so that they can trust each other.
    /// A peer is given by the HOST:PORT that it announces, or by its id
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "closed_swarm")]
    pub(crate) pair: Vec<Party>,
    /// Print a secret for a swarm (--swarm-secret-file)
    #[arg(long = "swarm")]
    pub(crate) closed_swarm: bool,
    /// With --pair the folder of the two files; with --swarm the file to write instead of printing
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Overwrite files; what is in them is lost. None of these flags has an environment variable
    /// or a key in a file: who wants a secret made or lost says so each time
    #[arg(long)]
    pub(crate) force: bool,
}

/// `cicada completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// The shape of a swarm, as the flag spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Overlay {
    /// Chord's ring
    Ring,
    /// Kademlia's tree
    Tree,
}

fn listening_port(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(port) if port == 0 || port >= 1025 => Ok(port),
        Ok(_) | Err(_) => Err("ports are 1025 to 65535, or 0 to let the system choose".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match time(text) {
        Some(time) if time > Duration::ZERO && time <= LONGEST_TIMEOUT => Ok(time),
        Some(_) | None => Err("wanted: seconds, or a time as 500ms, 90s, 10m or 2h, more than 0 and at most a day".to_owned()),
    }
}

/// 0xC1CA.
const DEFAULT_PORT: u16 = 49610;

/// Guess: nobody means more, and deadlines cannot overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

const ABOUT: &str = "\
Peers without a server: messages to any of them, broadcasts to all of them.

Without a command this starts one peer, lets it join a swarm (--join) or be the first of one, and
runs a script of commands. Without a script the peer stays up and prints what arrives.";

const EXAMPLES: &str = "\
Examples:
  A swarm of two, from two shells, with the script language below:
    cicada --interface localhost -p 49610 --no-port-mapping first.conf
    cicada --interface localhost -p 49611 --no-port-mapping --join localhost:49610 others.conf

  A peer that stays up, and one message to it:
    cicada --interface localhost
    cicada send --join localhost:49610 localhost:49610 Hello there

  All of it on one machine, with a table of what was promised and what was kept:
    cicada demo --peers 32 --overlay tree

  A thousand simulated ones of which half crash at once:
    cicada sim --peers 1000 --crash 0.5

Scripts:
  One command a line; blank lines and lines that start with # are skipped. A # further on is data,
  and there is no quoting. Words in any case; their first letters will do.
    SEND host port data...    send to the peer at that address, wait for its receipt
    RECV [count]              wait for messages (1) and print them: i/count -- ip:port: data
    BCAST data...             send to every peer of the swarm
    OPT key=value ...         options for the lines that follow: duplicates=0..16
    WAIT [seconds]            until a peer is known; -1 or nothing: for ever
  A script is read completely before anything is started; a wrong line is refused as
  `file:line: what`.

Settings:
  Each flag can also be set by an environment variable (shown in brackets) and by a key of the same
  name in the TOML file given by --config; keys that belong to one command stand under its name:
    join = [\"10.0.0.1:49610\", \"10.0.0.2:49610\"]
    log = \"debug\"
    [demo]
    peers = 32
  A flag on the command line wins over the environment, that over the file, and the file over the
  default. `cicada settings` shows the result.

Exit status:
  0    the script ran to its end, or the command did what it was asked for
  1    it failed; one line on standard error says why, `file:line: what` within a script
  2    nothing was started: the command line, a setting or a line of the script is wrong
  130  interrupted before the end";

const DEMO_EXAMPLES: &str = "\
Examples:
  cicada demo
  cicada demo --peers 64 --overlay tree --seed 7
  cicada demo --json

The exit status is 0 only if every promise in the table was kept.";

const LOOKUP_EXAMPLES: &str = "\
Examples:
  cicada lookup --join localhost:49610 localhost:49611
  cicada lookup --join localhost:49610 0x00c1ca";

const SEND_EXAMPLES: &str = "\
Examples:
  cicada send --join localhost:49610 localhost:49611 Hello there
  cicada send --join localhost:49610 --duplicates 3 localhost:49611 < letter.txt";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  cicada keygen me.key
  cicada keygen --pair 10.0.0.1:49610 10.0.0.2:49610
  cicada keygen --pair localhost:49610 localhost:49611 --out keys
  cicada keygen --swarm --out swarm.secret";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cicada completions bash > ~/.local/share/bash-completion/completions/cicada
  cicada completions zsh > ~/.zfunc/_cicada
  cicada completions fish > ~/.config/fish/completions/cicada.fish";

//! The flags of `cicada kadcast`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::flags::seconds;
use super::simulation::time;

/// `cicada kadcast`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Kadcast {
    /// IP address and port that others reach this peer by; port 0 lets the system choose. Wanted, unless
    /// --kadcast-config says it
    #[arg(long, value_name = "IP:PORT", env = "CICADA_PUBLIC", help_heading = "Network")]
    pub(crate) public: Option<String>,
    /// Where to listen, if not there; [::] serves IPv4 as well
    #[arg(long, value_name = "ADDR", env = "CICADA_LISTEN", help_heading = "Network")]
    pub(crate) listen: Option<String>,
    /// Peers to begin with; may be given several times
    #[arg(long, value_name = "HOST:PORT", env = "CICADA_BOOTSTRAP", value_delimiter = ',', help_heading = "Network")]
    pub(crate) bootstrap: Vec<String>,
    /// The network: peers of others are refused
    #[arg(long, value_name = "N", env = "CICADA_NETWORK_ID", help_heading = "Network")]
    pub(crate) network_id: Option<u8>,
    /// To how many peers of each bucket a broadcast goes [default: 3]
    #[arg(long, value_name = "N", env = "CICADA_BETA", help_heading = "Network")]
    pub(crate) beta: Option<usize>,
    /// Repair symbols as a part of the source symbols, to the letter, as the original counts them; without this
    /// as many as 12 % of loss ask for
    #[arg(long, value_name = "F", env = "CICADA_FEC", help_heading = "Network")]
    pub(crate) fec: Option<f32>,
    /// TOML file with the configuration of a peer, as programs of the crate kadcast have it; flags count more
    #[arg(long, value_name = "FILE", env = "CICADA_KADCAST_CONFIG", help_heading = "Network")]
    pub(crate) kadcast_config: Option<PathBuf>,
    /// Message to broadcast: a file, or - for standard input
    #[arg(long, value_name = "FILE", env = "CICADA_BROADCAST", help_heading = "Messages")]
    pub(crate) broadcast: Option<PathBuf>,
    /// How many times; all but the first end in their number, since identical messages are delivered once
    #[arg(long, value_name = "N", env = "CICADA_COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Messages")]
    pub(crate) count: u32,
    /// Seconds before the first broadcast; without this it waits until a peer is known
    #[arg(long, value_name = "S", env = "CICADA_AFTER", value_parser = pause, help_heading = "Messages")]
    pub(crate) after: Option<Duration>,
    /// Seconds until the peer ends; without this it stays until interrupted
    #[arg(long, value_name = "S", env = "CICADA_RUN", value_parser = seconds, help_heading = "Messages")]
    pub(crate) run: Option<Duration>,
    /// Serve figures for Prometheus at http://ADDR/metrics; port 0 lets the system choose.
    /// Whoever reaches the address may read them
    #[arg(long, value_name = "ADDR", env = "CICADA_METRICS", help_heading = "Reporting")]
    pub(crate) metrics: Option<SocketAddr>,
}

fn pause(text: &str) -> Result<Duration, String> {
    time(text).ok_or_else(|| "wanted: seconds, or a time as 500ms, 90s or 2m".to_owned())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  A network of two, from two shells; the second one broadcasts a file:
    cicada kadcast --public 127.0.0.1:9000 --network-id 7
    cicada kadcast --public 127.0.0.1:9001 --network-id 7 --bootstrap 127.0.0.1:9000 --broadcast letter.txt --run 5

  Behind an address that others reach, listening to both families, with figures:
    cicada kadcast --public 203.0.113.7:9000 --listen [::]:9000 --bootstrap seed.example:9000 --metrics 127.0.0.1:9100

  With the configuration that a program of the crate has, and JSON for another program:
    cicada kadcast --kadcast-config peer.toml --json

With --json each message that comes is a line
  {\"event\":\"recv\",\"src\":\"127.0.0.1:9001\",\"height\":125,\"ray\":\"c4e7..\",\"len\":5,\"sha256\":\"2cf2..\",\"ms\":1763712000123}
(ms: of Unix time), and the table is one at the end.";

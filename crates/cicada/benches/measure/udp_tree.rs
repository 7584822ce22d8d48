//! The floor of a broadcast: bare UDP sockets that hand datagrams down a tree, with no protocol at all. Nothing is lost because
//! the next datagrams are sent only when these have arrived everywhere.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    ops::Range,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// The parts of a tree below some children of the root; each is served by a thread of its own.
struct Branch {
    root: UdpSocket,
    /// The root's children in this branch.
    first: Range<usize>,
    nodes: Vec<Node>,
}

struct Node {
    socket: UdpSocket,
    address: SocketAddr,
    /// Where they stand among the nodes.
    children: Range<usize>,
}

/// Hands `bytes` to `peers` - 1 sockets as many times as asked. Returns how long each time took. `before` and `after` are
/// called when the threads stand and while they still do.
pub(crate) fn run(
    peers: usize,
    bytes: usize,
    times: usize,
    before: &mut dyn FnMut(),
    after: &mut dyn FnMut(),
) -> io::Result<Vec<Duration>> {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(FAN_OUT);
    let branches =
        (0..cores).map(|core| Branch::plant(share(peers - 1, cores, core), share(FAN_OUT, cores, core))).collect::<io::Result<Vec<_>>>()?;
    let start = Barrier::new(cores + 1);
    let end = Barrier::new(cores + 1);
    thread::scope(|scope| {
        let hands: Vec<_> = branches
            .iter()
            .map(|branch| {
                scope.spawn(|| {
                    let mut done = Ok(());
                    for _ in 0..times {
                        start.wait();
                        done = done.and_then(|()| branch.hand_down(bytes));
                        end.wait();
                    }
                    start.wait();
                    done
                })
            })
            .collect();
        before();
        let mut took = Vec::new();
        for _ in 0..times {
            let begun = Instant::now();
            start.wait();
            end.wait();
            took.push(begun.elapsed());
        }
        after();
        start.wait();
        for hand in hands {
            hand.join().expect("handing down does not panic")?;
        }
        Ok(took)
    })
}

fn share(of: usize, parts: usize, part: usize) -> usize {
    of / parts + usize::from(part < of % parts)
}

impl Branch {
    /// Nodes in breadth-first order, so that whom a node hears from has been served before it.
    fn plant(nodes: usize, roots_fan_out: usize) -> io::Result<Self> {
        let mut branch = Self { root: UdpSocket::bind(ANY_PORT)?, first: 0..roots_fan_out.min(nodes), nodes: Vec::new() };
        for index in 0..nodes {
            let socket = UdpSocket::bind(ANY_PORT)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let children = roots_fan_out + index * FAN_OUT..roots_fan_out + (index + 1) * FAN_OUT;
            let children = children.start.min(nodes)..children.end.min(nodes);
            branch.nodes.push(Node { address: socket.local_addr()?, socket, children });
        }
        Ok(branch)
    }

    fn hand_down(&self, bytes: usize) -> io::Result<()> {
        let mut left = bytes;
        let mut buffer = [0; DATAGRAM_BYTES];
        while left > 0 {
            let mut lengths = Vec::new();
            while left > 0 && lengths.len() < WINDOW {
                let length = left.min(DATAGRAM_BYTES);
                lengths.push(length);
                left -= length;
            }
            for length in &lengths {
                for child in &self.nodes[self.first.clone()] {
                    self.root.send_to(&buffer[..*length], child.address)?;
                }
            }
            for node in &self.nodes {
                for _ in &lengths {
                    let length = node.socket.recv(&mut buffer)?;
                    for child in &self.nodes[node.children.clone()] {
                        node.socket.send_to(&buffer[..length], child.address)?;
                    }
                }
            }
        }
        Ok(())
    }
}

const ANY_PORT: &str = "127.0.0.1:0";

/// How many children a socket has: what an origin may hand out at most.
const FAN_OUT: usize = 8;

/// Datagrams under way at once: a third of what a default socket buffer holds of full ones.
const WINDOW: usize = 32;

/// An Ethernet's packet without IP and UDP headers.
const DATAGRAM_BYTES: usize = 1472;

/// A datagram that was lost after all ends the run instead of stalling it.
const PATIENCE: Duration = Duration::from_secs(5);

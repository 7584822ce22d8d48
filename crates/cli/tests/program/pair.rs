//! The documented pair of scripts, and a swarm of four.

use crate::harness::{Cicada, Finished, Folder, Network, free_ports, is_free};

const FIRST: &str = "\
WAIT -1
OPT duplicates=3
BCAST Hey everyone, I'm the original peer.
SEND localhost 49611 Hey there, specific client @ localhost:49611, it's me.
RECV 2
";

const OTHERS: &str = "\
RECV 1
BCAST Hey everyone, I'm a new peer!
RECV 1
SEND localhost 49610 Hey there, localhost:49610; it's me.
";

#[derive(Clone, Copy, Debug)]
enum Order {
    FirstFirst,
    JoinerFirst,
}

#[test]
fn the_documented_pair_runs_as_written_whoever_starts_first() {
    let network = match Network::fresh() {
        Some(network) => network,
        None if is_free(49610) && is_free(49611) => Network::ours(),
        None => {
            println!("left out: no network of our own can be made here, and the documented ports are taken");
            return;
        }
    };
    for order in [Order::FirstFirst, Order::JoinerFirst] {
        run_pair(&network, 49610, 49611, order);
    }
}

#[test]
fn the_pair_ends_well_every_time_when_the_first_peer_starts_first() {
    repeat_pair(Order::FirstFirst);
}

#[test]
fn the_pair_ends_well_every_time_when_the_joiner_starts_first() {
    repeat_pair(Order::JoinerFirst);
}

#[test]
fn the_documented_line_that_joins_itself_is_refused_at_once_with_an_explanation() {
    let folder = Folder::new();
    let [port] = free_ports();
    folder.write("others.conf", OTHERS);
    let line = format!("--interface localhost -p {port} --no-port-mapping --join localhost:{port} --timeout 50 others.conf");
    let begun = std::time::Instant::now();
    let ended = Cicada::new(&line).folder(&folder).finish();
    let ended = ended.failed(1, &format!("localhost:{port}"));
    assert!(ended.stderr.last().is_some_and(|line| line.contains("itself")), "{ended:#?}");
    assert!(begun.elapsed().as_secs() < 10, "at once, not when the join times out: {:?}", begun.elapsed());
    assert!(is_free(port));
}

#[test]
fn among_three_joiners_everybody_gets_what_was_meant_for_it_once() {
    let folder = Folder::new();
    let [hub, ports @ ..] = free_ports::<4>();
    let mut script = "RECV 3\nOPT duplicates=3\nBCAST to all\n".to_owned();
    for port in ports {
        script += &format!("SEND localhost {port} to {port} alone\n");
    }
    folder.write("hub.conf", script + "RECV 3\n");
    let first = Cicada::new(&format!("--interface localhost -p {hub} --no-port-mapping hub.conf")).folder(&folder).start();
    let joiners = ports.map(|port| {
        let name = format!("{port}.conf");
        let script = format!("SEND localhost {hub} greetings of {port}\nRECV 2\nSEND localhost {hub} thanks of {port}\n");
        folder.write(&name, script);
        let line = format!("--interface localhost -p {port} --no-port-mapping --join localhost:{hub} {name}");
        Cicada::new(&line).folder(&folder).start()
    });
    for (joiner, port) in joiners.into_iter().zip(ports) {
        let expected = ["to all".to_owned(), format!("to {port} alone")];
        assert_received(&joiner.finish().succeeded(), 2, hub, &expected);
    }
    let first = first.finish().succeeded();
    let mut texts: Vec<&str> = first.stdout.iter().filter_map(|line| line.rsplit_once(": ")).map(|(_, text)| text).collect();
    let greetings = ports.map(|port| format!("greetings of {port}"));
    let thanks = ports.map(|port| format!("thanks of {port}"));
    let mut expected: Vec<&str> = greetings.iter().chain(&thanks).map(String::as_str).collect();
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected, "{first:#?}");
}

fn repeat_pair(order: Order) {
    for _ in 0..REPETITIONS {
        let [first, other] = free_ports();
        run_pair(&Network::ours(), first, other, order);
    }
}

/// Runs the documented scripts and lines on the given ports.
fn run_pair(network: &Network, first: u16, other: u16, order: Order) {
    let folder = Folder::new();
    let on_our_ports = |text: &str| text.replace("49610", &first.to_string()).replace("49611", &other.to_string());
    folder.write("first.conf", on_our_ports(FIRST));
    folder.write("others.conf", on_our_ports(OTHERS));
    let first_line = on_our_ports("--interface localhost -p 49610 --no-port-mapping first.conf");
    let other_line = on_our_ports("--interface localhost -p 49611 --no-port-mapping --join localhost:49610 others.conf");
    let start = |line: &str| Cicada::in_network(network, line).folder(&folder).start();
    let (first_peer, other_peer) = match order {
        Order::FirstFirst => {
            let first_peer = start(&first_line);
            first_peer.logged("listening");
            (first_peer, start(&other_line))
        }
        Order::JoinerFirst => {
            let other_peer = start(&other_line);
            other_peer.logged("joining");
            (start(&first_line), other_peer)
        }
    };
    let other_peer = other_peer.finish().succeeded();
    let first_peer = first_peer.finish().succeeded();
    let to_others =
        ["Hey everyone, I'm the original peer.".to_owned(), on_our_ports("Hey there, specific client @ localhost:49611, it's me.")];
    let to_first = ["Hey everyone, I'm a new peer!".to_owned(), on_our_ports("Hey there, localhost:49610; it's me.")];
    // The other peer waits for its two messages one by one, the first peer for both together.
    assert_received(&other_peer, 1, first, &to_others);
    assert_received(&first_peer, 2, other, &to_first);
}

/// Exactly these texts were printed, each once, in any order, as `i/count -- ip:port: data`.
fn assert_received(ended: &Finished, count: usize, source: u16, expected: &[String]) {
    let mut texts = Vec::new();
    for (number, line) in ended.stdout.iter().enumerate() {
        let index = number % count + 1;
        let v4 = format!("{index}/{count} -- 127.0.0.1:{source}: ");
        let v6 = format!("{index}/{count} -- [::1]:{source}: ");
        let text = line.strip_prefix(&v4).or_else(|| line.strip_prefix(&v6));
        texts.push(text.unwrap_or_else(|| panic!("{line:?} is not in the documented form: {ended:#?}")));
    }
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected, "{ended:#?}");
}

/// Enough to meet the races between two starting programs that one run would miss.
const REPETITIONS: usize = 10;

//! Peers without a script, the client commands that talk to them, and how they end.

use std::time::{Duration, Instant};

use crate::harness::{Cicada, Folder, Network, PRIVATE, Running, free_ports, is_free};

#[test]
fn a_peer_without_a_script_prints_what_arrives_until_it_is_interrupted() {
    let [port] = free_ports();
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} --no-port-mapping")).start();
    peer.logged("listening");
    let entry = format!("127.0.0.1:{port}");
    Cicada::new(&format!("send --interface 127.0.0.1 --join {entry} --duplicates 3 {entry} the first text")).finish().succeeded();
    Cicada::new(&format!("cast --interface 127.0.0.1 --join {entry} the second text")).finish().succeeded();
    peer.printed("the second text");
    peer.signal("INT");
    let ended = peer.finish().succeeded();
    assert_eq!(ended.stdout.len(), 2, "each text once: {ended:#?}");
    assert!(ended.stdout[0].starts_with("1 -- ") && ended.stdout[0].ends_with(": the first text"), "{ended:#?}");
    assert!(is_free(port));
}

#[test]
fn interrupted_or_terminated_a_peer_leaves_no_port_and_no_file() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let [port] = free_ports();
        let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port}")).folder(&folder).start();
        peer.logged("listening");
        assert!(!is_free(port), "control");
        peer.signal(signal);
        peer.finish().succeeded();
        assert!(is_free(port), "after {signal}");
        assert!(folder.names().is_empty(), "after {signal}");
    }
}

#[test]
fn interrupted_within_a_script_says_where_and_ends_with_the_status_of_an_interrupt() {
    let folder = Folder::new();
    let [port] = free_ports();
    folder.write("wait.conf", "BCAST nobody hears\nWAIT -1\n");
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} wait.conf")).folder(&folder).start();
    peer.logged("listening");
    peer.signal("INT");
    let ended = peer.finish().failed(130, "interrupted");
    assert!(ended.stderr.last().unwrap().starts_with("wait.conf"), "{ended:#?}");
    assert!(is_free(port));
}

#[test]
fn interrupted_while_joining_a_peer_ends_at_once() {
    let [port, nobody] = free_ports();
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} --timeout 600 --join 127.0.0.1:{nobody}")).start();
    peer.logged("joining");
    let begun = Instant::now();
    peer.signal("INT");
    peer.finish().failed(130, "interrupted");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(is_free(port));
}

#[test]
fn a_swarm_whose_peer_left_politely_goes_on() {
    let [first, second, third] = free_ports();
    let start = |port: u16, join: Option<u16>| {
        let join = join.map(|entry| format!("--join 127.0.0.1:{entry}")).unwrap_or_default();
        let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} {join}")).start();
        peer.logged("listening");
        peer
    };
    let founder = start(first, None);
    let members = [start(second, Some(first)), start(third, Some(first))];
    for member in &members {
        member.logged("joined");
    }
    founder.signal("INT");
    founder.finish().succeeded();
    Cicada::new(&format!("send --interface 127.0.0.1 --join 127.0.0.1:{second} 127.0.0.1:{third} still here")).finish().succeeded();
    members[1].printed("still here");
}

#[test]
fn status_and_lookup_tell_what_the_swarm_looks_like() {
    let [first, second] = free_ports();
    let founder = Cicada::new(&format!("--interface 127.0.0.1 -p {first}")).start();
    founder.logged("listening");
    let member = Cicada::new(&format!("--interface 127.0.0.1 -p {second} --join 127.0.0.1:{first}")).start();
    member.logged("joined");
    let join = format!("--interface 127.0.0.1 --join 127.0.0.1:{first}");
    let status = Cicada::new(&format!("status {join}")).finish().succeeded();
    for member in [first, second] {
        let listed = status.stdout.iter().filter(|line| line.contains(&format!("127.0.0.1:{member} "))).count();
        assert_eq!(listed, 1, "{status:#?}");
    }
    assert!(status.stdout.iter().any(|line| line == "members  2"), "{status:#?}");
    let taken = Cicada::new(&format!("lookup {join} 127.0.0.1:{second} --json")).finish().succeeded();
    assert!(taken.stdout[0].contains("\"taken\":true"), "{taken:#?}");
    assert!(taken.stdout[0].contains(&format!("127.0.0.1:{second}")), "{taken:#?}");
    let free = Cicada::new(&format!("lookup {join} 0x00c1ca --json")).finish().succeeded();
    assert!(free.stdout[0].contains("\"taken\":false"), "{free:#?}");
}

#[test]
fn send_reads_its_data_from_standard_input_and_fails_when_nobody_is_there() {
    let folder = Folder::new();
    let letter = folder.write("letter.txt", b"not \xff UTF-8");
    let member = Cicada::new("--interface 127.0.0.1 -p 0 --json").start();
    let address = address_of(&member);
    let line = format!("send --interface 127.0.0.1 --join {address} {address} --json");
    let sent = Cicada::new(&line).input_file(&letter).finish().succeeded();
    assert!(sent.stdout[0].contains("\"acked\":true"), "{sent:#?}");
    member.printed("\"data_hex\":\"6e6f7420ff205554462d38\"");
    let [nobody] = free_ports();
    let line = format!("send --interface 127.0.0.1 --join {address} 127.0.0.1:{nobody} text --timeout 1");
    Cicada::new(&line).finish().failed(1, &nobody.to_string());
}

#[test]
fn that_no_port_is_mapped_is_told_only_where_a_mapping_would_be_tried() {
    let Some(network) = Network::fresh() else {
        println!("left out: no network with a private address can be made here");
        return;
    };
    let folder = Folder::new();
    folder.write("end.conf", "");
    let told = |line: &str| {
        let ended = Cicada::in_network(&network, line).folder(&folder).finish().succeeded();
        ended.stderr.iter().filter(|line| line.contains("maps no ports")).count()
    };
    assert_eq!(told(&format!("--interface {PRIVATE} end.conf")), 1);
    assert_eq!(told(&format!("--interface {PRIVATE} --no-port-mapping end.conf")), 0);
    assert_eq!(told("--interface localhost end.conf"), 0);
}

#[test]
fn a_peer_on_ipv6_is_reached_by_its_address_in_brackets() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        println!("left out: this machine has no IPv6");
        return;
    }
    let [port] = free_ports();
    let peer = Cicada::new(&format!("--interface ::1 -p {port}")).start();
    peer.logged("listening");
    Cicada::new(&format!("send --interface [::1] --join [::1]:{port} [::1]:{port} over six")).finish().succeeded();
    assert!(peer.printed("over six").starts_with("1 -- "));
}

/// The address that a peer started with --json says it has.
pub(crate) fn address_of(peer: &Running) -> String {
    let line = peer.printed("\"listening\"");
    let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
    address.unwrap_or_else(|| panic!("no address in {line}")).to_owned()
}

//! What whoever runs a peer for long wants: figures, and a peer that comes back by itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Cicada, Folder, PATIENCE, free_ports};

#[test]
fn figures_are_served_where_the_flag_says() {
    let [port] = free_ports();
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} --no-port-mapping --json --metrics 127.0.0.1:0")).start();
    let line = peer.printed("\"metrics\"");
    let address = line.split('"').find(|word| word.starts_with("127.0.0.1:")).expect("an address").to_owned();
    let entry = format!("127.0.0.1:{port}");
    Cicada::new(&format!("send --interface 127.0.0.1 --join {entry} {entry} some text")).finish().succeeded();
    peer.printed("some text");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("cicada_payload_bytes_total{direction=\"received\",kind=\"unicast\"} 25\n"),
        "nine bytes and their seal: {answer}"
    );
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    peer.signal("INT");
    peer.finish().succeeded();
    assert!(TcpStream::connect(&address).is_err(), "the port is free again");
}

#[test]
fn a_place_for_figures_that_cannot_be_had_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = taken.local_addr().expect("bound");
    let [port] = free_ports();
    Cicada::new(&format!("--interface 127.0.0.1 -p {port} --metrics {place}")).finish().failed(1, &format!("--metrics {place}"));
    Cicada::new("--metrics nowhere").finish().failed(2, "");
}

#[test]
fn with_a_state_directory_a_peer_comes_back_without_being_told_where() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    let [first, second] = free_ports();
    let stays = Cicada::new(&format!("--interface 127.0.0.1 -p {first}")).start();
    stays.logged("listening");
    let hello = folder.write("hello.conf", format!("WAIT 30\nSEND 127.0.0.1 {first} hello"));
    let again = folder.write("again.conf", format!("WAIT 30\nSEND 127.0.0.1 {first} back again"));
    let run = |script: &std::path::Path, more: &str| {
        let (state, script) = (state.display(), script.display());
        Cicada::new(&format!("--interface 127.0.0.1 -p {second} --state {state} {more} {script}")).finish()
    };
    run(&hello, &format!("--join 127.0.0.1:{first}")).succeeded();
    stays.printed("hello");
    run(&again, "").succeeded();
    stays.printed("back again");
    // Control: without the directory nobody is known.
    let alone = folder.write("alone.conf", "WAIT 1");
    Cicada::new(&format!("--interface 127.0.0.1 -p {second} {}", alone.display())).finish().failed(1, "no peer came");
    stays.signal("INT");
    stays.finish().succeeded();
}

#[test]
fn a_state_directory_in_use_or_not_to_be_had_is_told() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    let [first, second] = free_ports();
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {first} --state {}", state.display())).start();
    peer.logged("listening");
    let other = format!("--interface 127.0.0.1 -p {second} --state {}", state.display());
    Cicada::new(&other).finish().failed(1, "in use by another peer");
    peer.signal("INT");
    peer.finish().succeeded();
    std::fs::write(state.join("identity"), "nonsense").expect("ours");
    let begun = Instant::now();
    let peer = Cicada::new(&other).start();
    peer.logged("identity.corrupt-1");
    peer.logged("listening");
    assert!(begun.elapsed() < PATIENCE - Duration::from_secs(1));
    peer.signal("INT");
    peer.finish().succeeded();
    let file = folder.write("file", "");
    Cicada::new(&format!("--interface 127.0.0.1 -p {second} --state {}", file.display())).finish().failed(1, "cannot be made");
}

//! `cicada kadcast`, seen from outside.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Cicada, Folder, Running, free_ports};

fn address_of(peer: &Running) -> String {
    let line = peer.printed("\"listening\"");
    line.split('"').find(|word| word.starts_with("127.0.0.1:")).expect("an address").to_owned()
}

#[test]
fn a_broadcast_of_a_file_is_printed_by_another_peer_as_text_and_as_json() {
    let folder = Folder::new();
    let letter = folder.write("letter", "Grüße\x1b[2J");
    let json = Cicada::new("kadcast --public 127.0.0.1:0 --network-id 7 --json").start();
    let first = address_of(&json);
    let text = Cicada::new(&format!("kadcast --public 127.0.0.1:0 --network-id 7 --bootstrap {first}")).start();
    text.logged("listening");
    let letter = letter.display();
    let sender = Cicada::new(&format!(
        "kadcast --public 127.0.0.1:0 --network-id 7 --bootstrap {first} --broadcast {letter} --count 2 --json --run 20"
    ))
    .start();
    sender.printed("\"event\":\"sent\"");
    let line = json.printed("\"recv\"");
    for part in ["\"src\":\"127.0.0.1:", "\"height\":", "\"ray\":\"", "\"len\":11", SHA256, "\"ms\":"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(text.printed("(11 bytes)").ends_with("Grüße\\x1b[2J"), "{text:?}");
    // The second one ends in its number.
    assert!(text.printed("(13 bytes)").ends_with(" 2"), "{text:?}");
    json.signal("INT");
    let ended = json.finish().succeeded();
    assert!(ended.stdout.last().expect("a table").contains("\"event\":\"table\""), "{ended:#?}");
}

/// Of the eleven bytes, as sha256sum says.
const SHA256: &str = "6288413939c93266173c02fa7d8ea435632cc4eff95a7d12daf7c284f677d695";

#[test]
fn standard_input_is_broadcast_and_the_peer_ends_by_itself() {
    let folder = Folder::new();
    let input = folder.write("input", "from a pipe");
    let first = Cicada::new("kadcast --public 127.0.0.1:0 --json").start();
    let entry = address_of(&first);
    let sender = Cicada::new(&format!("kadcast --public 127.0.0.1:0 --bootstrap {entry} --broadcast - --run 3")).input_file(&input).start();
    first.printed("\"len\":11");
    let ended = sender.finish().succeeded();
    assert!(ended.stdout.iter().any(|line| line.starts_with("broadcast 1 of 1: 11 bytes to 1 peers")), "{ended:#?}");
    assert!(ended.stdout.iter().any(|line| line.starts_with("bucket ") && line.ends_with(&entry)), "{ended:#?}");
}

#[test]
fn a_configuration_of_the_crate_is_read_and_flags_count_more() {
    let folder = Folder::new();
    let [port] = free_ports();
    let config = "kadcast_id = 7\npublic_address = '127.0.0.1:1'\nbootstrapping_nodes = []\nauto_propagate = true\nchannel_size = 10\n\
         recursive_discovery = true\n[bucket]\nnode_ttl = '30s'\nnode_evict_after = '5s'\nbucket_ttl = '1h'\n";
    folder.write("peer.toml", config);
    folder.write("flags.toml", format!("json = true\n[kadcast]\npublic = '127.0.0.1:{port}'\nkadcast-config = 'peer.toml'\n"));
    let peer = Cicada::new("kadcast --config flags.toml").folder(&folder).start();
    assert_eq!(address_of(&peer), format!("127.0.0.1:{port}"));
    folder.write("peer.toml", config.replace("node_ttl", "nod_ttl"));
    Cicada::new("kadcast --kadcast-config peer.toml")
        .folder(&folder)
        .finish()
        .failed(2, "peer.toml: unknown key `bucket.nod_ttl`")
        .in_one_line();
}

#[test]
fn wrong_settings_and_a_port_in_use_are_told_in_one_line() {
    Cicada::new("kadcast").finish().failed(2, "--public").in_one_line();
    Cicada::new("kadcast --public localhost:9000").finish().failed(2, "--public: \"localhost:9000\" is not an IP address").in_one_line();
    Cicada::new("kadcast --public 127.0.0.1:0 --beta 21").finish().failed(2, "--beta: 21").in_one_line();
    Cicada::new("kadcast --public 127.0.0.1:0 --bootstrap seed").finish().failed(2, "--bootstrap: entry 0").in_one_line();
    Cicada::new("kadcast --public 127.0.0.1:0 --broadcast ./gone").finish().failed(2, "--broadcast ./gone").in_one_line();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = taken.local_addr().expect("bound");
    Cicada::new(&format!("kadcast --public {place}")).finish().failed(1, "port in use");
}

#[test]
fn figures_of_a_kadcast_peer_are_served() {
    let peer = Cicada::new("kadcast --public 127.0.0.1:0 --json --metrics 127.0.0.1:0").start();
    let line = peer.printed("\"metrics\"");
    let address = line.split('"').find(|word| word.starts_with("127.0.0.1:")).expect("an address").to_owned();
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.contains("cicada_kadcast_peers 0"), "{answer}");
}

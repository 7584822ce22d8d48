//! `--keys`: programs that trust each other, programs that do not, and files that are wrong.

use crate::harness::{Cicada, Folder, Running, free_ports};

fn peer(folder: &Folder, port: u16, rest: &str) -> Running {
    let peer = Cicada::new(&format!("--interface 127.0.0.1 -p {port} --no-port-mapping {rest}")).folder(folder).start();
    peer.logged("listening");
    peer
}

fn pair(folder: &Folder, first: u16, second: u16) -> [String; 2] {
    Cicada::new(&format!("keygen --pair 127.0.0.1:{first} 127.0.0.1:{second}")).folder(folder).finish().succeeded();
    [first, second].map(|port| format!("keys-127.0.0.1_{port}.json"))
}

#[test]
fn a_program_with_keys_and_no_script_prints_what_its_trusted_peer_says_and_ends_politely() {
    let folder = Folder::new();
    let [member, first, second] = free_ports();
    let [keys, others] = pair(&folder, first, second);
    let entry = peer(&folder, member, "");
    let receiver = peer(&folder, first, &format!("--join 127.0.0.1:{member} --keys {keys}"));
    receiver.logged("joined");
    folder.write("send.conf", format!("SEND 127.0.0.1 {first} for your eyes only\nSEND 127.0.0.1 {member} for anybody\n"));
    let sender = format!("--interface 127.0.0.1 -p {second} --join 127.0.0.1:{member} --keys {others} send.conf");
    Cicada::new(&sender).folder(&folder).finish().succeeded();
    assert!(receiver.printed("for your eyes only").starts_with("1 -- "));
    entry.printed("for anybody");
    for running in [receiver, entry] {
        running.signal("INT");
        let ended = running.finish().succeeded();
        assert_eq!(ended.stdout.len(), 1, "{ended:#?}");
    }
}

#[test]
fn a_program_without_the_keys_is_refused_by_name_on_both_sides() {
    let folder = Folder::new();
    let [first, second] = free_ports();
    let [keys, _] = pair(&folder, first, second);
    let receiver = peer(&folder, first, &format!("--keys {keys}"));
    folder.write("send.conf", format!("SEND 127.0.0.1 {first} in the clear\n"));
    let sender = format!("--interface 127.0.0.1 -p {second} --join 127.0.0.1:{first} send.conf");
    let ended = Cicada::new(&sender).folder(&folder).finish().failed(1, "in the clear, where keys are agreed");
    assert!(ended.stderr.last().is_some_and(|line| line.starts_with("send.conf:1: ")), "{ended:#?}");
    receiver.logged("was refused: in the clear, where keys are agreed");
    receiver.signal("INT");
    assert!(receiver.finish().succeeded().stdout.is_empty(), "nothing was delivered");
}

#[test]
fn a_key_file_that_is_wrong_is_refused_with_its_line_and_field_before_anything_starts() {
    let folder = Folder::new();
    for (text, why) in [
        (
            "{\"trusted_hosts\": [\n  {\"address\": \"127.0.0.1:7000\",\n   \"outbound_key\": 7,\n   \"inbound_key\": \"b\"}]}",
            "keys.json:3: outbound_key",
        ),
        ("{\"trusted_hosts\": [", "keys.json:1: "),
        ("{\"trusted_hosts\": [{\"address\": \"127.0.0.1\", \"outbound_key\": \"a\", \"inbound_key\": \"b\"}]}", "write host:port"),
    ] {
        folder.write("keys.json", text);
        Cicada::new("--interface 127.0.0.1 -p 0 --keys keys.json").folder(&folder).finish().failed(2, why);
    }
    Cicada::new("--interface 127.0.0.1 -p 0 --keys nowhere.json").folder(&folder).finish().failed(2, "nowhere.json").in_one_line();
}

#[test]
fn weak_keys_and_files_for_everybody_draw_a_warning() {
    let folder = Folder::new();
    let [port] = free_ports();
    folder.write("keys.json", r#"{"trusted_hosts": [{"address": "127.0.0.1:7000", "outbound_key": "short", "inbound_key": "also"}, {}]}"#);
    let peer = peer(&folder, port, "--keys keys.json");
    peer.logged("outbound_key");
    peer.signal("INT");
    let ended = peer.finish().succeeded();
    assert!(!ended.stderr.join("\n").contains("short\""), "no key is shown: {ended:#?}");
}

#[test]
fn a_known_peer_with_another_key_is_not_joined_and_the_message_says_what_to_do() {
    let folder = Folder::new();
    let [first, second] = free_ports();
    let address = format!("127.0.0.1:{first}");
    let member = peer(&folder, first, "");
    folder.write("known", format!("# the machine in the cellar\n{address} {}\n", "7".repeat(64)));
    let join = format!("--interface 127.0.0.1 -p {second} --no-port-mapping --join {address} --timeout 3 --known-peers known");
    Cicada::new(&join).folder(&folder).finish().failed(1, "change it in the known-peers file too");
    folder.write("known", "127.0.0.1 and no key\n");
    Cicada::new(&join).folder(&folder).finish().failed(2, "known:1").in_one_line();
    member.signal("INT");
    member.finish().succeeded();
}

//! What is wrong is refused in one line that says what, with a status, and nothing is left behind.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::harness::{Cicada, Folder, free_ports, is_free};

#[test]
fn a_wrong_script_line_is_refused_before_anything_is_started() {
    let folder = Folder::new();
    folder.write("wrong.conf", "BCAST fine\n\nSHOUT not fine\n");
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // The port is taken: whoever looked at the network before reading the whole script would say so instead.
    let ended = Cicada::new(&format!("--interface 127.0.0.1 -p {port} wrong.conf")).folder(&folder).finish();
    let ended = ended.failed(2, "wrong.conf:3: unknown command `SHOUT`").in_one_line();
    assert!(ended.stderr[0].starts_with("wrong.conf:3: "), "{ended:#?}");
}

#[test]
fn a_failing_command_of_a_script_is_named_by_its_line() {
    let folder = Folder::new();
    folder.write("late.conf", "# nobody comes\nWAIT 0.1\nBCAST never sent\n");
    let ended = Cicada::new("--interface 127.0.0.1 -p 0 late.conf").folder(&folder).finish();
    let ended = ended.failed(1, "late.conf:2: ");
    assert!(ended.stderr.last().unwrap().starts_with("late.conf:2: "), "{ended:#?}");
}

#[test]
fn a_send_to_nobody_fails_in_bounded_time_with_its_line() {
    let folder = Folder::new();
    let [nobody] = free_ports();
    folder.write("lost.conf", format!("SEND localhost {nobody} anyone there?\n"));
    let begun = Instant::now();
    let ended = Cicada::new("--interface 127.0.0.1 -p 0 lost.conf").folder(&folder).finish();
    let ended = ended.failed(1, "lost.conf:1: ");
    assert!(!ended.stderr.last().unwrap().contains("closed"), "it was looked for: {ended:#?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_message_over_the_limit_is_refused_with_the_limit_and_its_line() {
    let folder = Folder::new();
    for command in ["BCAST", "SEND localhost 49610"] {
        folder.write("big.conf", format!("# big\n{command} {}\n", "x".repeat(17 << 20)));
        let ended = Cicada::new("--interface 127.0.0.1 -p 0 big.conf").folder(&folder).finish();
        let ended = ended.failed(1, "the message has 17825792 bytes, the limit is ");
        assert!(ended.stderr.last().unwrap().starts_with("big.conf:2: "), "{ended:#?}");
    }
}

#[test]
fn a_missing_script_is_told_from_a_mistyped_command() {
    Cicada::new("./gone.conf").finish().failed(2, "cannot read ./gone.conf").in_one_line();
    Cicada::new("dmeo").finish().failed(2, "no such command").in_one_line();
}

#[test]
fn an_unknown_option_is_refused() {
    let ended = Cicada::new("--no-such-option").finish();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr[0].contains("--no-such-option"), "{ended:#?}");
}

#[test]
fn a_port_below_the_allowed_ones_is_refused_with_the_rule() {
    let ended = Cicada::new("-p 80").finish();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr[0].contains("1025 to 65535"), "{ended:#?}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = Cicada::new(&format!("--interface 127.0.0.1 -p {port}")).finish();
    ended.failed(1, &port.to_string());
}

#[test]
fn an_interface_that_is_not_ours_is_named() {
    // 240.0.0.0/4 is reserved: no machine has any of it.
    Cicada::new("--interface 240.0.0.1 -p 0").finish().failed(1, "240.0.0.1");
}

#[test]
fn a_host_that_cannot_be_resolved_is_named() {
    let ended = Cicada::new("--interface 127.0.0.1 -p 0 --timeout 2 --join no-such-host.invalid:49610").finish();
    ended.failed(1, "no-such-host.invalid");
}

#[test]
fn a_silent_host_is_given_up_when_the_timeout_says() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let entry = silent.local_addr().unwrap();
    let [port] = free_ports();
    let begun = Instant::now();
    let ended = Cicada::new(&format!("--interface 127.0.0.1 -p {port} --timeout 1 --join {entry}")).finish();
    ended.failed(1, &entry.to_string());
    assert!(begun.elapsed() >= Duration::from_secs(1), "it tries until the timeout: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(is_free(port), "the port is given back");
}

#[test]
fn something_that_is_no_peer_is_given_up_when_the_timeout_says() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let entry = other.local_addr().unwrap();
    other.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let talker = std::thread::spawn(move || {
        let mut answered = 0;
        let mut buffer = [0; 2048];
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            if let Ok((_, source)) = other.recv_from(&mut buffer) {
                other.send_to(b"HTTP/1.1 400 Bad Request\r\n\r\n", source).unwrap();
                answered += 1;
            }
        }
        answered
    });
    let ended = Cicada::new(&format!("--interface 127.0.0.1 -p 0 --timeout 1 --join {entry}")).finish();
    drop(stop);
    ended.failed(1, &entry.to_string());
    assert!(talker.join().unwrap() > 0, "it was asked, and it answered");
}

#[test]
fn peers_of_another_swarm_overlay_or_secret_are_refused_with_the_reason() {
    let folder = Folder::new();
    folder.write("secret", "a secret of the right length\n");
    folder.write("other", "another one of the right length\n");
    let [port] = free_ports();
    let member = format!("--interface 127.0.0.1 -p {port} --swarm garden --swarm-secret-file secret --json");
    let member = Cicada::new(&member).folder(&folder).start();
    member.printed("listening");
    for different in [
        "--swarm cellar --swarm-secret-file secret",
        "--swarm garden --swarm-secret-file other",
        "--swarm garden --swarm-secret-file secret --overlay tree",
    ] {
        let line = format!("--interface 127.0.0.1 -p 0 --timeout 1 --join 127.0.0.1:{port} {different}");
        Cicada::new(&line).folder(&folder).finish().failed(1, &port.to_string());
    }
    folder.write("end.conf", "");
    let by_variable = format!("--interface 127.0.0.1 -p 0 --join 127.0.0.1:{port} --swarm garden end.conf");
    let by_variable = Cicada::new(&by_variable).variable("CICADA_SWARM_SECRET", "a secret of the right length").folder(&folder);
    by_variable.finish().succeeded();
    let same = format!("--interface 127.0.0.1 -p 0 --join 127.0.0.1:{port} --swarm garden --swarm-secret-file secret end.conf");
    Cicada::new(&same).folder(&folder).finish().succeeded();
}

#[test]
fn a_secret_that_could_be_guessed_is_refused() {
    let folder = Folder::new();
    folder.write("secret", "short\n");
    let ended = Cicada::new("--interface 127.0.0.1 -p 0 --swarm-secret-file secret").folder(&folder).finish();
    ended.failed(2, "16 bytes").in_one_line();
}

#[test]
fn client_commands_say_that_they_need_an_entry_point() {
    for command in ["status", "lookup 1", "send 1 text", "cast text"] {
        Cicada::new(command).finish().failed(2, "--join HOST:PORT").in_one_line();
    }
}

#[test]
fn a_target_that_is_neither_address_nor_id_is_refused() {
    let [nobody] = free_ports();
    for command in ["lookup", "send"] {
        let ended = Cicada::new(&format!("{command} --join localhost:{nobody} neither-nor text")).finish();
        assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    }
}

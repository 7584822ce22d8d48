use super::*;

#[test]
fn the_first_documented_script_reads_as_documented() {
    let commands = commands(
        "WAIT -1\nOPT duplicates=3\nBCAST Hey everyone, I'm the original peer.\n\
         SEND localhost 49611 Hey there, specific client @ localhost:49611, it's me.\nRECV 2\n",
    );
    let expected = vec![
        Command::Wait { at_most: None },
        Command::Duplicates(3),
        broadcast("Hey everyone, I'm the original peer."),
        send("localhost", 49611, "Hey there, specific client @ localhost:49611, it's me."),
        Command::Receive { count: 2 },
    ];
    assert_eq!(commands, expected);
}

#[test]
fn the_second_documented_script_reads_as_documented() {
    let commands = commands(
        "RECV 1\nBCAST Hey everyone, I'm a new peer!\nRECV 1\n\
         SEND localhost 49610 Hey there, localhost:49610; it's me.",
    );
    let expected = vec![
        Command::Receive { count: 1 },
        broadcast("Hey everyone, I'm a new peer!"),
        Command::Receive { count: 1 },
        send("localhost", 49610, "Hey there, localhost:49610; it's me."),
    ];
    assert_eq!(commands, expected);
}

#[test]
fn words_in_any_case_and_first_letters_are_the_same_commands() {
    let long = commands("SEND h 1 x\nRECV 3\nBCAST y\nOPT duplicates=2\nWAIT 5");
    let mixed = commands("sEnd h 1 x\nrecv 3\nBcast y\nopt Duplicates=2\nwaiT 5");
    let short = commands("S h 1 x\nr 3\nB y\no duplicates=2\nW 5");
    assert_eq!(long, mixed);
    assert_eq!(long, short);
}

#[test]
fn blank_lines_and_comments_are_skipped_but_counted() {
    let lines = parse(b"\n# a comment\n  \t# another, after blanks\n\n  RECV\n").unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].number, 5);
}

#[test]
fn a_hash_inside_data_is_data() {
    assert_eq!(commands("BCAST issue #7 # and more"), vec![broadcast("issue #7 # and more")]);
}

#[test]
fn outer_blanks_are_trimmed_and_inner_blanks_are_kept() {
    assert_eq!(commands("  SEND \t host   80   a  b\t c  \t"), vec![send("host", 80, "a  b\t c")]);
}

#[test]
fn quotes_mean_nothing() {
    assert_eq!(commands("BCAST \"a b\""), vec![broadcast("\"a b\"")]);
}

#[test]
fn carriage_returns_and_a_byte_order_mark_are_tolerated() {
    assert_eq!(parse(b"\xef\xbb\xbfRECV\r\n\r\nBCAST x\r\n").unwrap(), parse(b"RECV\n\nBCAST x\n").unwrap());
}

#[test]
fn data_that_is_not_utf8_is_kept_byte_for_byte() {
    let lines = parse(b"BCAST \xff\x00\xfe").unwrap();
    let data = Bytes::from_static(b"\xff\x00\xfe");
    assert_eq!(lines[0].command, Command::Broadcast { data });
}

#[test]
fn an_empty_script_is_a_script_without_commands() {
    assert_eq!(parse(b"").unwrap(), vec![]);
    assert_eq!(parse(b"# nothing\n").unwrap(), vec![]);
}

#[test]
fn recv_alone_waits_for_one_message() {
    assert_eq!(commands("RECV"), vec![Command::Receive { count: 1 }]);
}

#[test]
fn wait_takes_seconds_with_fractions_and_nothing_means_for_ever() {
    let wait = |seconds: f64| Command::Wait { at_most: Some(Duration::from_secs_f64(seconds)) };
    assert_eq!(commands("WAIT"), vec![Command::Wait { at_most: None }]);
    assert_eq!(commands("WAIT -1"), vec![Command::Wait { at_most: None }]);
    assert_eq!(commands("WAIT 0"), vec![wait(0.0)]);
    assert_eq!(commands("WAIT 2.5"), vec![wait(2.5)]);
}

#[test]
fn several_options_on_a_line_are_all_set_in_order() {
    assert_eq!(commands("OPT duplicates=3 duplicates=0"), vec![Command::Duplicates(3), Command::Duplicates(0)]);
}

#[test]
fn every_kind_of_wrong_line_is_refused_and_says_what_is_wrong() {
    let wrong: &[(&[u8], &str)] = &[
        (b"SHOUT x", "unknown command `SHOUT`"),
        (b"\xff\xfe x", r"unknown command `\xff\xfe`"),
        (b"SEND", "wants a host, a port and data"),
        (b"SEND host", "wants a host, a port and data"),
        (b"SEND host 80", "wants a host, a port and data"),
        (b"SEND host eighty x", "port from 1 to 65535 after the host, not `eighty`"),
        (b"SEND host 0 x", "not `0`"),
        (b"SEND host 65536 x", "not `65536`"),
        (b"SEND host -1 x", "not `-1`"),
        (b"SEND h\xff 80 x", r"the host `h\xff` is not UTF-8"),
        (b"RECV 0", "1 or more, not `0`"),
        (b"RECV -1", "not `-1`"),
        (b"RECV many", "not `many`"),
        (b"RECV 1 2", "one number at most; `2` is too much"),
        (b"BCAST", "BCAST wants data"),
        (b"BCAST   ", "BCAST wants data"),
        (b"OPT", "OPT wants key=value"),
        (b"OPT duplicates", "key=value, not `duplicates`"),
        (b"OPT duplicates=", "not ``"),
        (b"OPT duplicates=17", "from 0 to 16, not `17`"),
        (b"OPT duplicates=-1", "not `-1`"),
        (b"OPT duplicates=1 colour=red", "unknown option `colour`"),
        (b"WAIT soon", "not `soon`"),
        (b"WAIT -2", "not `-2`"),
        (b"WAIT nan", "not `nan`"),
        (b"WAIT inf", "not `inf`"),
        (b"WAIT 1 2", "too much"),
    ];
    for (line, part) in wrong {
        let file = [b"RECV\n\n".as_slice(), line, b"\nRECV\n"].concat();
        let error = parse(&file).expect_err(&line.escape_ascii().to_string());
        assert_eq!(error.number, 3, "{error}");
        assert!(error.what.contains(part), "{error} does not say {part}");
    }
}

#[test]
fn no_sequence_of_bytes_makes_the_parser_panic() {
    // Every pair of bytes after every verb: 6 x 65 536 small files.
    for verb in ["", "SEND ", "RECV ", "BCAST ", "OPT ", "WAIT "] {
        for pair in 0..=u16::MAX {
            let _ = parse(&[verb.as_bytes(), &pair.to_be_bytes()].concat());
        }
    }
}

fn commands(text: &str) -> Vec<Command> {
    let lines = parse(text.as_bytes()).expect("the script is right");
    lines.into_iter().map(|line| line.command).collect()
}

fn broadcast(data: &str) -> Command {
    let data = Bytes::copy_from_slice(data.as_bytes());
    Command::Broadcast { data }
}

fn send(host: &str, port: u16, data: &str) -> Command {
    let data = Bytes::copy_from_slice(data.as_bytes());
    let host = host.to_owned();
    Command::Send { host, port, data }
}

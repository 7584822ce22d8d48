//! The script language: the bytes of a file become commands, all of them or none.
//!
//! One command a line. Blank lines and lines whose first character (after blanks) is `#` are
//! skipped; a `#` further on is data. There is no quoting. The words are read in any case, and
//! their first letters do as shorthand:
//!
//! | line | meaning |
//! |---|---|
//! | `SEND host port data...` | send to the peer at that address; the rest of the line is the data |
//! | `RECV [count]` | wait for that many messages, one if nothing is said |
//! | `BCAST data...` | send to every peer of the swarm |
//! | `OPT key=value ...` | options for the lines that follow: `duplicates` (0 to 16) |
//! | `WAIT [seconds]` | until a peer is known; `-1` or nothing: for ever |
//!
//! Data are bytes: what stands in the file between the outer blanks is what is sent, whether it is
//! UTF-8 or not. Everything else on a line must be UTF-8. Lines end with LF or CR LF, and a byte
//! order mark at the start of the file is passed over.
//!
//! What a command does is not said here: see `runtime.rs`.

use std::time::Duration;

use bytes::Bytes;

#[cfg(test)]
mod tests;

/// A command and the line it stands on, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) command: Command,
}

/// One command of a script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// Send `data` to the peer at `host` and `port`, and wait for its receipt.
    Send { host: String, port: u16, data: Bytes },
    /// Wait for `count` messages and print them.
    Receive { count: u64 },
    /// Send `data` to every peer of the swarm.
    Broadcast { data: Bytes },
    /// From here on, send this many further copies of each message.
    Duplicates(u8),
    /// Wait until a peer is known, at most so long; `None`: for ever.
    Wait { at_most: Option<Duration> },
}

/// A line that is no command: where it stands, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number}: {what}")]
pub(crate) struct ScriptError {
    pub(crate) number: usize,
    pub(crate) what: String,
}

/// Reads a whole script. The first wrong line refuses all of it, so that nothing has happened when
/// a script is refused.
pub(crate) fn parse(file: &[u8]) -> Result<Vec<Line>, ScriptError> {
    let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let commands = parse_line(line).map_err(|what| ScriptError { number, what })?;
        lines.extend(commands.into_iter().map(|command| Line { number, command }));
    }
    Ok(lines)
}

/// A line is one command, but for OPT, which may set several options.
fn parse_line(line: &[u8]) -> Result<Vec<Command>, String> {
    let (verb, rest) = split_word(line);
    let one = |command: Command| vec![command];
    match verb.to_ascii_uppercase().as_slice() {
        b"SEND" | b"S" => parse_send(rest).map(one),
        b"RECV" | b"R" => parse_receive(rest).map(one),
        b"BCAST" | b"B" => parse_broadcast(rest).map(one),
        b"OPT" | b"O" => parse_options(rest),
        b"WAIT" | b"W" => parse_wait(rest).map(one),
        _ => Err(format!("unknown command `{}`; there are SEND, RECV, BCAST, OPT and WAIT", verb.escape_ascii())),
    }
}

fn parse_send(rest: &[u8]) -> Result<Command, String> {
    const SHAPE: &str = "SEND wants a host, a port and data: `SEND localhost 49610 hello`";
    let (host, rest) = split_word(rest);
    let (port, data) = split_word(rest);
    if host.is_empty() || port.is_empty() {
        return Err(SHAPE.to_owned());
    }
    let host = utf8(host, "the host")?.to_owned();
    let port = match utf8(port, "the port")?.parse::<u16>() {
        Ok(port) if port > 0 => port,
        Ok(_) | Err(_) => {
            return Err(format!("SEND wants a port from 1 to 65535 after the host, not `{}`", port.escape_ascii()));
        }
    };
    if data.is_empty() {
        return Err(SHAPE.to_owned());
    }
    let data = Bytes::copy_from_slice(data);
    Ok(Command::Send { host, port, data })
}

fn parse_receive(rest: &[u8]) -> Result<Command, String> {
    let count = match at_most_one_word(rest, "RECV")? {
        None => 1,
        Some(word) => match word.parse::<u64>() {
            Ok(count) if count > 0 => count,
            Ok(_) | Err(_) => {
                return Err(format!("RECV wants a count of messages, 1 or more, not `{word}`"));
            }
        },
    };
    Ok(Command::Receive { count })
}

fn parse_broadcast(rest: &[u8]) -> Result<Command, String> {
    if rest.is_empty() {
        return Err("BCAST wants data: `BCAST hello everyone`".to_owned());
    }
    let data = Bytes::copy_from_slice(rest);
    Ok(Command::Broadcast { data })
}

fn parse_options(rest: &[u8]) -> Result<Vec<Command>, String> {
    let rest = utf8(rest, "an option")?;
    if rest.is_empty() {
        return Err("OPT wants key=value: `OPT duplicates=3`".to_owned());
    }
    rest.split_ascii_whitespace().map(parse_option).collect()
}

fn parse_option(word: &str) -> Result<Command, String> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(format!("OPT wants key=value, not `{word}`"));
    };
    if !key.eq_ignore_ascii_case("duplicates") {
        return Err(format!("unknown option `{key}`; there is `duplicates`"));
    }
    match value.parse::<u8>() {
        Ok(copies) if copies <= DUPLICATES_MAX => Ok(Command::Duplicates(copies)),
        Ok(_) | Err(_) => Err(format!("duplicates wants a whole number from 0 to {DUPLICATES_MAX}, not `{value}`")),
    }
}

fn parse_wait(rest: &[u8]) -> Result<Command, String> {
    let at_most = match at_most_one_word(rest, "WAIT")? {
        None | Some("-1") => None,
        Some(word) => {
            let seconds = word.parse::<f64>().ok();
            let Some(time) = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) else {
                return Err(format!("WAIT wants seconds, or -1 to wait for ever, not `{word}`"));
            };
            Some(time)
        }
    };
    Ok(Command::Wait { at_most })
}

/// The first word, and what follows it without the blanks between.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii())
}

fn at_most_one_word<'a>(rest: &'a [u8], command: &str) -> Result<Option<&'a str>, String> {
    let (word, more) = split_word(rest);
    if !more.is_empty() {
        return Err(format!("{command} wants one number at most; `{}` is too much", more.escape_ascii()));
    }
    if word.is_empty() {
        return Ok(None);
    }
    utf8(word, "the number").map(Some)
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{what} `{}` is not UTF-8", bytes.escape_ascii()))
}

/// The most further copies a message may be sent in: the library's own bound.
pub(crate) const DUPLICATES_MAX: u8 = 16;

/// What editors on Windows put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

//! What the program prints on standard output: lines for people, or JSON objects for programs.

use std::io::Write as _;

use serde_json::Value;

/// Nobody reads what the program prints, so that there is no point in going on.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputClosed(#[from] std::io::Error);

/// Prints one line and hands it on at once, so that a reader at the other end of a pipe waits for
/// nothing that has already happened.
pub(crate) fn line(text: &str) -> Result<(), OutputClosed> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    written.map_err(OutputClosed)
}

/// Prints `object` with --json, else the text.
pub(crate) fn either(as_json: bool, object: &Value, text: &str) -> Result<(), OutputClosed> {
    if as_json { line(&object.to_string()) } else { line(text) }
}

/// Data from the network as one line that no terminal takes for a command: control characters and
/// bytes that are not UTF-8 are written as `\x1b`, all else as it is.
pub(crate) fn printable(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len());
    for chunk in data.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' {
                // Control characters are those of Unicode's Cc: none above 0x9f.
                text.push_str(&format!("\\x{:02x}", u32::from(character)));
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Data in a JSON object: as a text where they are UTF-8, and in hexadecimal where they are not.
pub(crate) fn data_field(data: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(data) {
        Ok(text) => ("data", Value::from(text)),
        Err(_) => ("data_hex", Value::from(hex(data))),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_printed_as_they_are() {
        assert_eq!(printable("Grüße, \t世界 \\ \"x\"".as_bytes()), "Grüße, \t世界 \\ \"x\"");
    }

    #[test]
    fn neither_control_characters_nor_broken_utf8_reach_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\nc\xff\xfed\x7f"), r"a\x1b[2Jb\x0ac\xff\xfed\x7f");
        assert_eq!(printable("\u{9b}31m".as_bytes()), r"\x9b31m", "a control sequence in one character");
    }

    #[test]
    fn json_says_which_form_the_data_have() {
        assert_eq!(data_field(b"text"), ("data", Value::from("text")));
        assert_eq!(data_field(b"\xff\x00"), ("data_hex", Value::from("ff00")));
    }
}

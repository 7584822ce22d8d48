//! Writes one file for each of many valid messages into a directory: what fuzzing starts from.
//!
//! The messages are those of the property tests, the same in every run. `scripts/fuzz` calls this.

#[path = "../tests/wire/strategies.rs"]
mod strategies;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use std::{env, fs, io, path::Path};

const OF_EACH: usize = 60; // a dozen kinds of frames, each with what it may hold

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: seeds DIRECTORY"));
    };
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    write(directory, "frame", &strategies::frames().prop_map(|frame| frame.to_bytes().to_vec()))?;
    write(directory, "datagram", &strategies::datagrams().prop_map(|datagram| datagram.to_bytes()))?;
    write(directory, "hello", &strategies::hello_replies().prop_map(|reply| reply.to_bytes()))?;
    write(directory, "record", &strategies::signed_records().prop_map(|record| record.to_bytes()))?;
    write(directory, "status", &strategies::statuses().prop_map(|status| status.to_bytes()))
}

fn write(directory: &Path, kind: &str, messages: &impl Strategy<Value = Vec<u8>>) -> io::Result<()> {
    let mut runner = TestRunner::deterministic();
    (0..OF_EACH).try_for_each(|number| {
        let message = messages.new_tree(&mut runner).map_err(|reason| io::Error::other(reason.to_string()))?;
        fs::write(directory.join(format!("{kind}-{number:02}")), message.current())
    })
}

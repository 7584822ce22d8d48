//! Any text into the reader of key files: it may not panic or hang, what is wrong stands on a line of the text, and what it takes for
//! JSON is JSON that means the same to another reader.
#![no_main]

// The reader alone: who fuzzes it need not build QUIC.
#[allow(dead_code)] // names that only messages to the user need
#[path = "../../crates/cicada/src/trusted/file.rs"]
mod file;

use serde_json::Value;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let entries = match file::parse(text) {
        Ok(entries) => entries,
        Err(fault) => {
            let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&fault.line) && !fault.what.contains('\n'), "{fault:?}");
            return;
        }
    };
    let value: Value = serde_json::from_str(text).expect("what we read is JSON");
    let objects = value["trusted_hosts"].as_array().expect("it is a list").iter();
    let objects: Vec<&Value> = objects.filter(|object| object.as_object().is_some_and(|object| !object.is_empty())).collect();
    assert_eq!(entries.len(), objects.len());
    for (entry, object) in entries.iter().zip(objects) {
        assert_eq!(object["outbound_key"].as_str(), Some(entry.outbound.text.as_str()));
        assert_eq!(object["inbound_key"].as_str(), Some(entry.inbound.text.as_str()));
        assert!(entry.peer.is_some() || entry.address.is_some());
    }
});

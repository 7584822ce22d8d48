//! Hostile bytes for the parser of the Kadcast dialect: it must not panic, and what it reads can be written and read again.

#![no_main]

use bytes::Bytes;
use cicada_wire::kadcast::{Body, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let datagram = Bytes::copy_from_slice(data);
    let Ok(message) = Message::parse(&datagram) else { return };
    if let Body::Broadcast(chunk) = &message.body
        && let Ok(layout) = chunk.coding.layout()
    {
        let _ = layout.check(&chunk.symbol);
        let symbols: usize = (0..layout.blocks()).map(|block| layout.block_symbols(block)).sum();
        assert_eq!(symbols, layout.symbols());
    }
    // Without its work nobody would take it, and it is not written.
    if let Ok(written) = message.encode() {
        assert_eq!(Message::parse(&written).as_ref(), Ok(&message));
    }
});

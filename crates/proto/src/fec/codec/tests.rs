use super::*;

fn payload(length: usize) -> Bytes {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

/// As the codec cuts it, which is asked only where there is no shorter way.
#[test]
fn the_source_symbols_of_an_object_in_sub_blocks_are_those_of_the_codec() {
    for (length, symbol_bytes, blocks, sub_blocks) in [(5000, 48, 1, 2), (5000, 48, 1, 4), (5001, 40, 3, 2), (999, 64, 2, 8)] {
        let coding = Coding { length, symbol_bytes, blocks, sub_blocks, alignment: 8 };
        let layout = coding.layout().expect("possible");
        let payload = payload(layout.length());
        let codec = |block: u8| {
            let bytes = block_bytes(&payload, &layout, block);
            SourceBlockEncoder::new(block, &information(&layout), &bytes).source_packets().into_iter().map(symbol)
        };
        let expected: Vec<Symbol> = (0..layout.blocks()).flat_map(codec).collect();
        assert_eq!(source_symbols(&payload, &layout, |_| true), expected, "{coding:?}");
    }
}

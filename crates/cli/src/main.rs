//! The program `cicada`.
fn main() {}

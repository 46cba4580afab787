//! Any bytes, as a journal: refused, or inputs and states that take no more room than the bytes.
#![no_main]

use edgegrad::files::{journal, sha256};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // A first line and a hash in front lead the fuzzer past them; the plain bytes test both.
    let hash = sha256(bytes);
    let framed = [b"edgegrad journal 1\n", hash.as_bytes(), b"\n", bytes].concat();
    for file in [bytes, &framed] {
        if let Some((inputs, states)) = journal::parse(file) {
            let inputs = inputs.iter().map(|(name, value)| name.len() + value.len());
            let states = states.iter().map(|(name, state)| name.len() + state.len());
            assert!(inputs.chain(states).sum::<usize>() <= file.len());
        }
    }
});

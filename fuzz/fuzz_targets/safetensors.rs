//! Any bytes, as a file of tensors: refused on one line, or every tensor readable or refused.
#![no_main]

use edgegrad::files::safetensors::Tensors;
use edgegrad::tasks::modular_addition::ModularAddition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // A header length in front leads the fuzzer past the first check; the plain bytes test it.
    let mut framed = (bytes.len().saturating_sub(8) as u64).to_le_bytes().to_vec();
    framed.extend(bytes);
    for file in [bytes.to_vec(), framed] {
        let tensors = match Tensors::from_bytes("f", file) {
            Ok(tensors) => tensors,
            Err(e) => {
                assert!(!e.to_string().contains('\n'));
                continue;
            }
        };
        for name in tensors.names() {
            let _ = (tensors.get::<f32>(&name), tensors.get_f64(&name), tensors.get_ids(&name));
        }
        let task = ModularAddition { p: 2, seq_len: 2, k: 1 };
        let _ = task.from_tensors(&tensors);
    }
});

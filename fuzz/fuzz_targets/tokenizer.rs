//! Any text as a `tokenizer.json` and as a text for it: refused on one line, or the same ids each
//! time, with those that stand around a text around those of the text alone.
#![no_main]

mod common;

use common::accepted;
use edgegrad::formats::pairs::Encode;
use edgegrad::text::Tokenizer;
use libfuzzer_sys::fuzz_target;

/// A tokenizer to start from; the fuzzer appends keys, of which JSON takes the last.
const START: &str = r#"{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"\u0120":3,"<s>":4},"merges":["a b"]},"added_tokens":[{"id":4,"content":"<s>"}]"#;

fuzz_target!(|bytes: &[u8]| {
    let all = String::from_utf8_lossy(bytes);
    // The tokenizer up to the first 0, then a text.
    let (file, text) = all.split_once('\0').unwrap_or((&all, "ab <s>ba"));
    let more = format!("{START},{file}}}");
    for file in [file, &*more] {
        let Some(tokenizer) = accepted(Tokenizer::from_json("t.json", file.as_bytes())) else {
            continue;
        };
        let Some(bare) = accepted(tokenizer.encode(text, false)) else { continue };
        let whole = tokenizer.encode(text, true).expect("it was encoded");
        assert!(whole.windows(bare.len().max(1)).any(|part| part == bare) || bare.is_empty());
        assert_eq!(tokenizer.encode(text, false).expect("again"), bare);
        bare.iter().for_each(|&id| drop(tokenizer.piece(id)));
    }
});

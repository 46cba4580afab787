//! Any bytes, as a table of pairs: refused on one line, or lines of a pairs file that can be read.
#![no_main]

use edgegrad::error::Result;
use edgegrad::formats::pairs::{Bounds, Encode, Pairs};
use edgegrad::tasks::prompts::table::Table;
use libfuzzer_sys::fuzz_target;

/// What tables are made of: bytes that choose among these come near to one sooner.
const WORDS: [&str; 32] = [
    "clean,corrupted,",
    "correct_idx,incorrect_idx\n",
    "country_idx,corrupted_country_idx\n",
    "answers_idx,corrupted_answers_idx\n",
    "clean_answer_idx,corrupted_answer_idx,label\n",
    "plural\n",
    "label\n",
    "year\n",
    "ab,ba,1,0\n",
    "a,b,[1, 2],\"[3]\"\n",
    "\"a,b\",\"b,a\",",
    "\"a\"\"",
    "ab,bc,52\n",
    "ab,bc,1752\n",
    "a,b,1\n",
    ",",
    "\n",
    "\r\n",
    "\"",
    "[",
    "]",
    "0",
    "1",
    "2",
    "99",
    "100",
    "-1",
    "a",
    " are",
    "\u{feff}",
    "7",
    "é",
];

/// A token for each byte, and one before a whole text.
struct Bytes;

impl Encode for Bytes {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let ids = text.bytes().map(|b| u32::from(b) + 1);
        Ok(std::iter::once(0).filter(|_| whole).chain(ids).collect())
    }

    fn piece(&self, id: u32) -> String {
        id.to_string()
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    let text: String = bytes.iter().map(|&b| WORDS[b as usize % WORDS.len()]).collect();
    read(&text);
});

fn read(text: &str) {
    let bounds = Bounds { vocab: 257, vocab_out: 257, context: 16 };
    let found = Table::parse("t", text, "corrupted").and_then(|t| t.fitted(None, &Bytes, &bounds));
    match found {
        Ok(found) => {
            let lines = found.jsonl();
            let pairs = Pairs::parse("p", lines.as_bytes(), &bounds, None, None);
            assert_eq!(pairs.expect("lines of pairs").len(), found.lines.len());
        }
        Err(e) => assert!(!e.to_string().contains('\n') && !e.help().is_empty()),
    }
}

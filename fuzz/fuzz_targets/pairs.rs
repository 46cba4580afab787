//! Any bytes, as a file of pairs of ids or of text: refused on one line, or pairs that every metric
//! can be asked about; and as a file of sequences.
#![no_main]

use edgegrad::formats::pairs::{Asked, Bounds, Encode, Pair, Pairs};
use edgegrad::formats::sequences::Taken;
use edgegrad::named::Named;
use edgegrad::nn::Unembedding;
use edgegrad::patching::measured::Measured;
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::tape::Tape;
use edgegrad::text::Tokenizer;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// What lines of pairs are made of: bytes that choose among these come near to one sooner.
const WORDS: [&str; 32] = [
    "{\"clean\":",
    ",\"corrupted\":",
    ",\"answer\":",
    ",\"distractor\":",
    ",\"position\":",
    ",\"clean_output\":",
    ",\"corrupted_output\":",
    "{\"clean\":[1,2],\"corrupted\":[0,2]",
    "{\"clean\":[4,1,3],\"corrupted\":[0,1,2]",
    ",\"answer\":0,\"distractor\":[3,2]}\n",
    ",\"clean_output\":[null,1],\"corrupted_output\":[3,2]}\n",
    ",\"clean_output\":[0,1,0.5],\"corrupted_output\":[null,0,0]}\n",
    "[",
    "]",
    "}\n",
    ",",
    "0",
    "1",
    "2",
    "3",
    "5",
    "-1",
    "0.5",
    "1e9",
    "null",
    "\"a\"",
    "[null,1]",
    "[0,2]",
    "\"ab\"",
    "\"abba\"",
    "{\"clean\":\"ab\",\"corrupted\":\"cb\"",
    ",\"answer\":\"a\",\"distractor\":[\"bc\",3]}\n",
];

/// Five tokens, one of which is in front of every sequence.
static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let text = br#"{
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "<s>": 4}, "merges": ["a b"]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"<s>": {"ids": [4]}}
        }
    }"#;
    Tokenizer::from_json("t.json", text).expect("a tokenizer")
});

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let text: String = bytes.iter().map(|&b| WORDS[b as usize % WORDS.len()]).collect();
    read(text.as_bytes());
});

/// Sequences that are taken are within the model's bounds.
fn sequences(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for encode in [None, Some(&*TOKENIZER as &dyn Encode)] {
        match (Taken { lengths: 2..=4, vocab: 5, encode }).parse("s", text) {
            Ok(rows) => {
                assert!(!rows.is_empty());
                assert!(rows.iter().all(|row| (2..=4).contains(&row.len())));
                assert!(rows.iter().flatten().all(|&id| id < 5));
            }
            Err(e) => assert!(!e.to_string().contains('\n') && !e.help().is_empty()),
        }
    }
}

fn read(bytes: &[u8]) {
    sequences(bytes);
    for (vocab_out, encode) in [(1, None), (5, None), (5, Some(&*TOKENIZER as &dyn Encode))] {
        let bounds = Bounds { vocab: 5, vocab_out, context: 4 };
        let pairs = match Pairs::parse("p", bytes, &bounds, encode, Some(20)) {
            Ok(pairs) => pairs,
            Err(e) => {
                assert!(!e.to_string().contains('\n') && !e.help().is_empty());
                continue;
            }
        };
        for pair in pairs.iter() {
            assert!(
                (1..=4).contains(&pair.clean.len()) && pair.clean.len() == pair.corrupted.len()
            );
            assert!(pair.clean.iter().chain(&pair.corrupted).all(|&id| id < 5));
            if let Asked::Tokens { answer, distractor, position } = &pair.asked {
                assert!(*position < pair.clean.len());
                // Either may be left out: a question asks for what its metric needs.
                assert!(!answer.iter().any(|a| distractor.contains(a)));
            }
        }
        for &(_, metric) in Metric::ALL {
            for &(_, positions) in Positions::ALL {
                ask(metric, positions, vocab_out, &pairs);
            }
        }
    }
}

fn ask(metric: Metric, positions: Positions, vocab_out: usize, pairs: &Pairs) {
    let Ok(question) = Question::new(metric, positions, vocab_out, pairs) else { return };
    let mut tape = Tape::<f64>::new();
    let last = tape.leaf("last", [pairs.len(), 4, 2]);
    let unembedding = Unembedding { w: tape.leaf("w", [vocab_out, 2]), bias: None, cap: None };
    let measured = Measured::record(&mut tape, question, last, unembedding);
    let mut program = tape.finish();
    let all: Vec<&Pair> = pairs.iter().collect();
    measured.set_pairs(&mut program, &all, &vec![1.0; all.len()]);
    program.forward();
    measured.capture_reference(&mut program);
    program.forward();
    assert!(program.value(measured.per_example).iter().all(|x| x.is_finite()));
}

//! Any text as one file of a run folder or as a file beside it: its page is made and names what is
//! damaged, or it is refused on one line; the same for every figure and every format of a circuit.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use edgegrad::error::Error;
use edgegrad::export::{self, export};
use edgegrad::page::write_page;
use edgegrad::plot::{Figure, Format, Options, draw};
use libfuzzer_sys::fuzz_target;

/// What these files are made of: bytes that choose among these come near to one sooner.
const WORDS: [&str; 64] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "null",
    "0",
    "1",
    "-2.5",
    "1e308",
    "NaN",
    "\"a->b\"",
    "\"\"",
    "true",
    "\"kind\":\"schema\",\"version\":1",
    "\"kind\":\"step\"",
    "\"kind\":\"eval\"",
    "\"kind\":\"circuit\"",
    "\"kind\":\"event\",\"event\":\"stage\"",
    "\"step\":",
    "\"stage\":",
    "\"loss\":",
    "\"test_accuracy\":",
    "\"edges\":",
    "\"scores\":",
    "\"faithfulness\":",
    "\"pairs\":",
    "\"clean\":",
    "\"corrupted\":",
    "\"answer\":",
    "\"p\":",
    "\"input@0->a0.h0<k>@0\":",
    "\"m0->logits\":",
    "{\"score\":1,\"in_graph\":true}",
    "\"meta\":",
    "\"method\":\"exact\"",
    "\"curve\":{\"abs\":",
    "\"fraction\":",
    "\"steps\":",
    "\"trend\":",
    "\"kind\":\"tune-compare\"",
    "\"rows\":",
    "\"reports\":",
    "\"path\":",
    "\"judgement\":",
    "\"figures\":",
    "\"mean\":",
    "\"interval\":",
    "\"kind\":\"look\"",
    "\"tokens\":",
    "\"attention\":",
    "\"logits\":",
    "\"second_derivatives\":",
    "p = 2\n",
    "seq_len = 3\n",
    "k = 2\n",
    "[task]\n",
    "[model]\n",
    "[train]\n",
    "[[stages]]\n",
    "d_model = 4\n",
    "steps = 3\n",
];

/// What a file may be called, in a run folder unless it ends the list.
const FILES: [&str; 7] = [
    "run/metrics.jsonl",
    "run/config.toml",
    "run/circuits/probe-0.json",
    "run/snapshots/step-000000.safetensors",
    "file.json",
    "tuned/dynamics.json",
    "grid/comparison.json",
];

/// A whole run around the file, so that most of it is read.
fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = std::env::temp_dir().join(format!("edgegrad-fuzz-{}", std::process::id()));
        for folder in ["run/circuits", "run/snapshots", "tuned", "grid"] {
            std::fs::create_dir_all(place.join(folder)).expect("a folder");
        }
        place
    })
}

fn whole(place: &Path) {
    let write = |name: &str, text: &str| std::fs::write(place.join(name), text).expect("a file");
    write(
        "run/config.toml",
        "[task]\np = 2\nseq_len = 3\nk = 2\n[model]\nd_model = 4\nd_mlp = 4\n",
    );
    write(
        "run/metrics.jsonl",
        "{\"kind\":\"schema\",\"version\":1}\n{\"kind\":\"step\",\"step\":1,\"stage\":0,\"loss\":1.0}\n",
    );
    write("tuned/report.json", "{}");
    write("tuned/model.safetensors", "");
    for name in ["run/circuits/probe-0.json", "run/snapshots/step-000000.safetensors"] {
        let _ = std::fs::remove_file(place.join(name)); // There may be none.
    }
}

fn refused(error: &Error) {
    let text = error.to_string();
    assert!(!text.contains('\n') && !error.help().is_empty(), "{text:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, bytes @ ..] = bytes else { return };
    let name = FILES[*choice as usize % FILES.len()];
    let words = *choice as usize / FILES.len() % 2 == 1;
    let text: Vec<u8> = if words {
        bytes.iter().flat_map(|&b| WORDS[b as usize % WORDS.len()].bytes()).collect()
    } else {
        bytes.to_vec()
    };
    let place = place();
    whole(place);
    let file = place.join(name);
    std::fs::write(&file, &text).expect("a file");
    let source = match name.split_once('/') {
        Some((folder, _)) => place.join(folder),
        None => file,
    };
    let page = place.join("page.html");
    match write_page(std::slice::from_ref(&source), None, &page) {
        Ok(()) => std::fs::remove_file(&page).expect("a page"),
        Err(error) => {
            refused(&error);
            assert!(!page.exists(), "nothing half written");
        }
    }
    let files = vec![source.clone(), source.clone()];
    for (figure, ..) in Figure::ALL {
        let inputs = if figure == Figure::Scores { &files[..] } else { &files[..1] };
        match draw(figure, inputs, &Options::default()) {
            Ok(drawing) => assert!(drawing.write(Format::Svg, 100).is_some()),
            Err(error) => refused(&error),
        }
    }
    for (_, format) in export::Format::ALL {
        if let Err(error) = export(&source, format, 10) {
            refused(&error);
        }
    }
});

//! A disk that is full is told in one line; what was there stays, and with room again the work goes
//! on and comes to the same bits.
//!
//! A limit on the size of files stands for the disk: writing fails where one grows beyond it.
#![cfg(unix)]

mod common;

use common::{Done, Place};
use std::process::Command;

const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 5
    k = 3
    train = 50
    test = 10
    [model]
    d_model = 8
    [train]
    lr = 1e-2
    steps = 300
    checkpoint_every = 20
";

/// The binary, where no file can grow beyond `blocks` of 512 bytes.
fn within(place: &Place, blocks: usize, arguments: &str) -> Done {
    let binary = env!("CARGO_BIN_EXE_edgegrad");
    // Ignored, the signal becomes an error of the write.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {binary} {arguments}");
    let mut command = Command::new("dash");
    if Command::new("dash").args(["-c", ":"]).status().is_err() {
        command = Command::new("sh");
    }
    command.args(["-c", &script]).current_dir(place.path("")).env_remove("RUST_LOG");
    Done::from(command.output().expect("a shell"))
}

/// What failed says so in one line and leaves nothing half-written.
#[track_caller]
fn told(place: &Place, done: &Done) {
    let lines = done.messages().into_iter().filter(|line| !line.starts_with("warning: "));
    let [error, help] = lines.collect::<Vec<_>>()[..] else { panic!("{}", done.stderr) };
    assert!(error.starts_with("error: ") && error.contains("cannot write it"), "{error}");
    assert!(help.starts_with("help: ") && done.code == 1, "{help}");
    let files = place.files("");
    let partial = files.keys().find(|name| name.to_string_lossy().ends_with(".partial"));
    assert_eq!(partial, None);
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn results_are_written_whole_or_not_at_all() {
    let place = Place::new("");
    let model = fixture("gpt2-tiny");
    let asked = format!("--model {model} --pairs {model}/pairs.jsonl --out");
    for command in
        ["attribute", "look", "discover --edges 20 --connected", "interactions --rows-of 2"]
    {
        place.write("old", "what was there");
        told(&place, &within(&place, 1, &format!("{command} {asked} new")));
        told(&place, &within(&place, 1, &format!("{command} --force {asked} old")));
        assert!(!place.path("new").exists(), "{command}");
        assert_eq!(std::fs::read(place.path("old")).expect("it stays"), b"what was there");
    }
}

#[test]
fn a_training_goes_on_where_there_is_room_again() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole");
    let weights = |run: &str| {
        let file = place.path(run).join("checkpoints/final/model.safetensors");
        std::fs::read(file).expect("final weights")
    };
    let largest = place.files("whole").values().map(Vec::len).max().expect("files") / 512;
    // The first files, a checkpoint, the log.
    for blocks in [0, 1, largest / 2, largest] {
        let run = format!("run-{blocks}");
        told(&place, &within(&place, blocks, &format!("train c.toml --out {run}")));
        place.succeed(&format!("train c.toml --out {run} --resume"));
        assert!(weights(&run) == weights("whole"), "{blocks} blocks");
        let (log, whole) = (place.metrics(&run), place.metrics("whole"));
        assert_eq!(log, whole, "{blocks} blocks");
    }
}

#[test]
fn a_journal_that_cannot_be_written_ends_no_work() {
    let place = Place::new("");
    let model = fixture("gates/or");
    let arguments = format!(
        "attribute --model {model} --pairs {model}/pairs.jsonl --limit 4 --method shapley --out"
    );
    place.succeed(&format!("{arguments} whole.json"));
    // Somebody's folder is in its place.
    place.write(".s.json.journal/x", "");
    let done = place.run(&format!("{arguments} s.json"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    let read = |name: &str| std::fs::read(place.path(name)).expect("scores");
    assert!(read("s.json") == read("whole.json"));
    assert!(place.path(".s.json.journal/x").exists());
}

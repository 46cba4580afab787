//! Whatever is killed or asked to stop, at any moment, goes on with `--resume` and ends with the
//! bits of what was left alone; nothing else stays in the folder. Of two processes that compute one
//! result, one wins and the other says so.
//!
//! `EDGEGRAD_ROUNDS=N` repeats each command N times, with other moments each time.
#![cfg(unix)]

mod common;

use common::{Done, Files, Place, rounds};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A command that takes `--out` and goes on where it was stopped.
struct Case {
    arguments: String,
    /// What is written is a file with this ending, or a folder.
    ending: &'static str,
    /// What it takes to go on.
    resume: &'static str,
}

impl Case {
    /// The arguments with the result `name`.
    fn named(&self, name: &str) -> String {
        format!("{} --out {}", self.arguments, self.out(name))
    }

    fn out(&self, name: &str) -> String {
        format!("{name}/out{}", self.ending)
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A command about the model and the pairs of a fixture.
fn asked(command: &str, name: &str, more: &str) -> Case {
    let folder = fixture(name);
    let arguments = format!("{command} --model {folder} --pairs {folder}/pairs.jsonl {more}");
    Case { arguments, ending: ".json", resume: "--resume" }
}

/// Starts a command and sends it a signal after `delay`; how it ended, or `None` if it was done
/// before.
fn ended(place: &Place, arguments: &str, delay: Duration, signal: &str) -> Option<Done> {
    let mut command = place.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the binary runs");
    sleep(delay);
    let id = child.id().to_string();
    // One that is done is there until it is waited for.
    std::process::Command::new("kill").args([signal, &id]).status().expect("kill is there");
    let output = child.wait_with_output().expect("a child");
    match output.status.code() {
        Some(0) => None,
        Some(_) => Some(Done::from(output)),
        None => Some(Done::default()),
    }
}

/// The files of a result, but for the seconds that they tell, and hidden ones beside it.
fn bits(place: &Place, name: &str) -> Files {
    let mut files = place.files(name);
    // A training that was asked to stop has kept where it was.
    files.retain(|path, _| !path.to_string_lossy().contains("checkpoints/step-"));
    // The rows of results.jsonl again, with their seconds in binary.
    files.retain(|path, _| !path.ends_with("results.parquet"));
    for bytes in files.values_mut() {
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        // A whole file, or a line of a log.
        let timeless = |text: &str| match serde_json::from_str::<Value>(text) {
            Ok(value) => without_times(value).to_string(),
            Err(_) => text.to_string(),
        };
        let whole = timeless(text);
        let lines = whole.lines().filter(|line| !line.contains("\"event\":\"resume\""));
        *bytes = lines.map(timeless).collect::<Vec<_>>().join("\n").into();
    }
    files
}

/// A value without the seconds that it tells.
fn without_times(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            // The bytes of a log count the line that says that it went on.
            let timed = |key: &str| ["seconds", "step_ms", "metrics_bytes"].contains(&key);
            let kept = object.into_iter().filter(|(key, _)| !timed(key));
            Value::Object(kept.map(|(key, value)| (key, without_times(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_times).collect()),
        other => other,
    }
}

/// Ends a command several times on its way, and compares what it comes to.
#[track_caller]
fn check(place: &Place, case: &Case) {
    let start = Instant::now();
    std::fs::create_dir(place.path("whole")).expect("a folder");
    place.succeed(&case.named("whole"));
    let (mut time, whole) = (start.elapsed(), bits(place, "whole"));
    // Multiples of the golden ratio are spread evenly between 0 and 1, however many there are.
    let mut moments = (1u32..).map(|i| (f64::from(i) * 0.618_034).fract());
    let (mut killed, mut stopped, mut round) = (0, 0, 0);
    while round < 2 * rounds() || stopped == 0 {
        assert!(round < 2 * rounds() + 20, "{}: never stopped when asked to", case.arguments);
        let name = format!("cut-{round}");
        std::fs::create_dir(place.path(&name)).expect("a folder");
        let (fresh, more) = (case.named(&name), format!("{} {}", case.named(&name), case.resume));
        let done = (0..3).any(|part| {
            let arguments = if part == 0 { &fresh } else { &more };
            let signal = if (round + part) % 2 == 0 { "-KILL" } else { "-TERM" };
            let delay = time.mul_f64(moments.next().expect("without an end"));
            let Some(cut) = ended(place, arguments, delay, signal) else { return true };
            // Not what was killed, nor what was asked before it could listen.
            if let Some(help) = cut.messages().last() {
                assert_eq!(cut.code, 143, "{arguments}: {}", cut.stderr);
                assert!(help.starts_with("help: "), "{}", cut.stderr);
                stopped += 1;
            } else {
                killed += 1;
            }
            false
        });
        if !done {
            place.succeed(&more);
        }
        let found = bits(place, &name);
        let names: (Vec<&PathBuf>, Vec<_>) = (found.keys().collect(), whole.keys().collect());
        assert_eq!(names.0, names.1, "{fresh}");
        for (file, bytes) in &found {
            assert!(*bytes == whole[file], "{fresh}: other bits in {}", file.display());
        }
        round += 1;
        if stopped == 0 {
            // The machine has become faster since.
            time = time.mul_f64(0.7);
        }
    }
    if case.ending.is_empty() {
        // As of one that was killed when all was written: a folder that is there is not made again.
        place.succeed(&format!("{} {}", case.named("whole"), case.resume));
        assert!(bits(place, "whole") == whole, "{}: what was finished", case.arguments);
    }
    let pairs = rounds();
    (0..pairs).for_each(|pair| race(place, case, &format!("pair-{pair}"), &whole));
    eprintln!(
        "{}: {killed} killed, {stopped} stopped, all went on; {pairs} pairs, one won",
        case.arguments
    );
}

/// Starts a command twice at a time, with the result `name`.
#[track_caller]
fn race(place: &Place, case: &Case, name: &str, whole: &Files) {
    std::fs::create_dir(place.path(name)).expect("a folder");
    let start = || {
        let mut command = place.command(&case.named(name));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    };
    let done = [start(), start()].map(|child| {
        let output = child.wait_with_output().expect("a child");
        Done::from(output)
    });
    assert!(done.iter().any(|done| done.code == 0), "{}\n{}", done[0].stderr, done[1].stderr);
    for done in done.iter().filter(|done| done.code != 0) {
        // Or it came when the other was done, and found a folder.
        let told = [
            "another process is writing here: process ",
            "exists already",
            "is there",
            "holds a run already",
            "holds a sweep already",
        ];
        assert!(told.iter().any(|told| done.stderr.contains(told)), "{}", done.stderr);
        assert_eq!(done.code, 2, "{}", done.stderr);
    }
    assert!(bits(place, name) == *whole, "{}: two processes", case.arguments);
}

macro_rules! go_on {
    ($($test:ident: $case:expr;)+) => {$(
        #[test]
        fn $test() {
            check(&Place::new(""), &$case);
        }
    )+};
}

go_on! {
    exact: asked("attribute", "tracr/sort", "--method exact");
    exact_of_some: {
        let scores = fixture("gpt2-tiny/EAP.json");
        asked("attribute", "gpt2-tiny", &format!("--method exact --scores {scores} --top 60"))
    };
    shapley: asked("attribute", "gates/or", "--method shapley --limit 4");
    mask_ig: asked("attribute", "gates/or", "--method mask-ig --metric l2 --limit 2");
    eap_ig: asked("attribute", "gpt2-tiny", "--method eap-ig --steps 300");
    matryoshka: asked("attribute", "gpt2-tiny", "--method matryoshka --steps 300 --objective worst");
    optimal_constants: asked("attribute", "gpt2-tiny", "--baseline optimal --limit 2");
    interactions: asked("interactions", "gates/or", "--metric l2");
    crossing: asked("crossing", "gpt2-tiny", "--positions");
    acdc: asked("discover", "tracr/sort", "--method acdc --tau 0.01");
    edge_pruning: asked("discover", "gates/or", "--method edge-pruning --edges 5 --steps 100");
    minimal: asked("discover", "gates/or", "--method minimal --tol 0.1 --limit 8");
    curve: {
        let scores = fixture("gpt2-tiny/EAP.json");
        asked("evaluate", "gpt2-tiny", &format!("--scores {scores} --curve --convention eap-ig"))
    };
    circuit: {
        let circuit = fixture("tracr/sort/circuit.json");
        asked("evaluate", "tracr/sort", &format!("--circuit {circuit} --null 9 --adversary --starts 4"))
    };
    truth: Case {
        arguments: format!("truth {} --methods mask-ig,acdc,exact", fixture("gates/or")),
        ending: ".json",
        resume: "--resume",
    };
    pretrain: Case {
        arguments: "pretrain --layers 1 --heads 1 --d-model 8 --d-mlp 8 --steps 5 --batch 4".into(),
        ending: "",
        resume: "--resume",
    };
}

#[test]
fn seeds_of_tuning() {
    let place = Place::new("");
    place.succeed("pretrain --out base --layers 1 --heads 1 --d-model 8 --d-mlp 8 --steps 1");
    let settings = "--steps 4 --set look=4 --set examples=8 --seeds 3";
    let arguments = format!("tune --model base --task E1 --method full {settings}");
    check(&place, &Case { arguments, ending: "", resume: "--resume" });
}

/// A grid goes on by itself.
#[test]
fn grid_of_tuning() {
    let place = Place::new("");
    place.succeed("pretrain --out base --layers 1 --heads 1 --d-model 8 --d-mlp 8 --steps 1");
    place.write("grid.toml", GRID);
    let arguments = "tune-compare grid.toml".into();
    check(&place, &Case { arguments, ending: "", resume: "" });
}

/// Steps that are long enough to be stopped in their midst.
#[test]
fn training() {
    let place = Place::new(TRAINING);
    let arguments = "train c.toml".into();
    check(&place, &Case { arguments, ending: "", resume: "--resume" });
}

/// Each run once, with the figures and the weights of a sweep that was left alone.
#[test]
fn sweep() {
    let place = Place::new("");
    place.write("sweep.toml", SWEEP);
    let arguments = "sweep sweep.toml --jobs 2".into();
    check(&place, &Case { arguments, ending: "", resume: "--resume" });
}

const TRAINING: &str = r#"
[task]
p = 3
train = 2048
test = 64
[model]
d_model = 16
d_mlp = 64
dropout = 0.1
[train]
batch = 1000
steps = 25
eval_every = 5
circuit_every = 5
"#;

const SWEEP: &str = r#"
base.command = "train"
[base.config]
task = { p = 2, train = 64, test = 64 }
model = { d_model = 4 }
train = { steps = 60, eval_every = 20, batch = 16 }
[axes]
seed = { range = [0, 3] }
"train.lr" = [1e-3, 1e-2]
"#;

const GRID: &str = r#"
model = "base"
seeds = 2
[common]
task = "E1"
steps = 4
look = 4
examples = 8
[[methods]]
name = "full"
method = "full"
learning_rates = [1e-3, 1e-2]
[[methods]]
name = "bias"
method = "bias"
learning_rates = [1e-2]
"#;

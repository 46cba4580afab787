//! A run that is killed and resumed ends with the bits of one that was left alone.

mod common;

use common::{Files, Place};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rows that no batch divides, an optimizer that is kept over a boundary where its constants
/// change, and a checkpoint exactly at that boundary.
const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 5
    k = 3
    train = 50
    test = 10
    [model]
    d_model = 4
    dropout = 0.1
    [train]
    lr = 1e-2
    batch = 16
    clip = 1.0
    schedule = 'cosine'
    eval_every = 30
    checkpoint_every = 20
    snapshot_every = 50
    [[stages]]
    steps = 200
    [[stages]]
    p = 3
    steps = 130
    betas = [0.8, 0.9]
    optimizer_state = 'keep'
";

/// How many checkpoints a run has.
fn checkpoints(place: &Place, run: &str) -> usize {
    let folder = place.path(run).join("checkpoints");
    std::fs::read_dir(folder).map_or(0, |entries| {
        entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("step-")).count()
    })
}

/// Starts or resumes the run and kills it `delay` after it has written `new` checkpoints; false if
/// it ends by itself before.
fn killed(place: &Place, run: &str, new: usize, delay: Duration) -> bool {
    let wanted = checkpoints(place, run) + new;
    let mut command = place.command(&format!("train c.toml --out {run} --resume --threads 1"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    let limit = Instant::now() + Duration::from_secs(60);
    while checkpoints(place, run) < wanted {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            return false;
        }
        assert!(Instant::now() < limit, "no checkpoint after a minute");
        sleep(Duration::from_micros(200));
    }
    sleep(delay);
    child.kill().expect("a child");
    !child.wait().expect("a child").success()
}

/// The run folders hold the same, but for what tells that one was resumed.
#[track_caller]
fn assert_same(place: &Place, resumed: &str, whole: &str) {
    assert_eq!(place.metrics(resumed), place.metrics(whole));
    let (a, b) = (comparable(place.files(resumed)), comparable(place.files(whole)));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{resumed} and {whole} differ in {}", name.display());
    }
}

/// Without the metrics, and without their length in the states of checkpoints.
fn comparable(mut files: Files) -> Files {
    files.remove(Path::new("metrics.jsonl"));
    for (name, bytes) in &mut files {
        if name.ends_with("state.json") {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.lines().filter(|l| !l.contains("metrics_bytes")).collect();
            assert_eq!(lines.len() + 1, text.lines().count());
            *bytes = lines.join("\n").into_bytes();
        }
    }
    files
}

/// The finished run `whole`, cut back to its first checkpoints, as `run`.
fn cut_back(place: &Place, whole: &str, run: &str, last: &str) {
    for (name, bytes) in place.files(whole) {
        let part = name.strip_prefix("checkpoints").ok();
        let part = part.and_then(|p| p.components().next()).map(|p| PathBuf::from(p.as_os_str()));
        if part.is_none_or(|p| p != Path::new("final") && p.as_path() <= Path::new(last)) {
            place.write(&format!("{run}/{}", name.display()), bytes);
        }
    }
}

#[test]
fn a_killed_run_ends_with_the_same_bits() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole --threads 2");
    let mut random = 12345u64;
    let mut delay = |most: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_micros((random >> 33) % most)
    };
    let mut kills = 0;
    for attempt in 0.. {
        assert!(attempt < 20, "the runs ended before they could be killed");
        let run = format!("killed-{attempt}");
        for round in 0..12 {
            // In the first milliseconds, or somewhere behind new checkpoints, of which there are
            // 16.
            let alive = match round % 3 {
                0 => killed(&place, &run, 0, delay(6_000)),
                1 => killed(&place, &run, 1, delay(4_000)),
                _ => killed(&place, &run, 3, delay(4_000)),
            };
            kills += usize::from(alive);
            if !alive {
                break;
            }
        }
        place.succeed(&format!("train c.toml --out {run} --resume"));
        assert_same(&place, &run, "whole");
        if kills >= 6 {
            break;
        }
    }
}

#[test]
fn every_checkpoint_leads_to_the_same_end() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole --dtype f64");
    for step in ["step-000020", "step-000180", "step-000200", "step-000220", "step-000320"] {
        cut_back(&place, "whole", step, step);
        let state = place.path(step).join("checkpoints").join(step).join("state.json");
        assert!(state.exists(), "no checkpoint at {step}");
        place.succeed(&format!("train c.toml --out {step} --dtype f64 --resume"));
        assert_same(&place, step, "whole");
    }
}

#[test]
fn what_cannot_be_resumed_is_refused_and_left_alone() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole");
    cut_back(&place, "whole", "run", "step-000100");
    let before = place.files("run");
    let resume = "train c.toml --out run --resume";
    let other = |arguments: &str, parts: &[&str]| {
        place.run(&format!("{resume} {arguments}")).failed(2, parts, "same configuration");
        assert!(place.files("run") == before, "{arguments}");
    };
    other("--dtype f64", &["run/config.toml", "another", "dtype = \"f32\"", "dtype = \"f64\""]);
    other("--set lr=0.5", &["run/config.toml", "lr = 0.01`", "lr = 0.5`"]);
    other("--seed 7", &["run/config.toml", "seed = 0`", "seed = 7`"]);

    // A checkpoint that is damaged is passed over with a line that says so, and the end is the
    // same.
    let damage = |file: &str, change: &dyn Fn(&[u8]) -> Vec<u8>, parts: &[&str]| {
        cut_back(&place, "whole", "damaged", "step-000100");
        let name = format!("damaged/checkpoints/step-000100/{file}");
        let good = std::fs::read(place.path(&name)).expect("a checkpoint");
        place.write(&name, change(&good));
        let done = place.run("train c.toml --out damaged --resume");
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        let warning = done.messages()[0];
        assert!(warning.starts_with("warning: damaged/checkpoints/step-000100"), "{warning}");
        for part in parts {
            assert!(warning.contains(part), "{part:?} is not in: {warning}");
        }
        assert_same(&place, "damaged", "whole");
        std::fs::remove_dir_all(place.path("damaged")).expect("a run");
    };
    let replace = |from: &'static str, to: &'static str| {
        move |b: &[u8]| {
            let text = String::from_utf8(b.to_vec()).expect("text");
            assert!(text.contains(from), "{text}");
            text.replace(from, to).into_bytes()
        }
    };
    damage("model.safetensors", &|b| b[..b.len() - 9].to_vec(), &["is not what was written"]);
    damage("optimizer.safetensors", &|_| vec![], &["is not what was written"]);
    let first = "\"mlp.fc1.bias.m\"";
    let renamed = |b: &[u8]| {
        let at = b.windows(first.len()).position(|w| w == first.as_bytes()).expect("a moment");
        [&b[..at], b"\"mlp.fc1.bias.x\"", &b[at + first.len()..]].concat()
    };
    damage("optimizer.safetensors", &renamed, &["is not what was written"]);
    damage("state.json", &|_| b"\x00garbage".to_vec(), &["expected value"]);
    damage("state.json", &replace("\"stage\": 0", "\"stage\": 9"), &["is not what was written"]);
    damage("state.json", &replace("\"step\": 100", "\"step\": 101"), &["is not what was written"]);
    let flipped = |b: &[u8]| [&b[..b.len() - 1], &[b[b.len() - 1] ^ 1]].concat();
    damage("model.safetensors", &flipped, &["is not what was written"]);

    damage("state.json", &replace("\"version\": 1", "\"version\": 2"), &["version 2, expected 1"]);

    // Where none is whole, that is the error.
    cut_back(&place, "whole", "hopeless", "step-000020");
    place.write("hopeless/checkpoints/step-000020/model.safetensors", "");
    let done = place.run("train c.toml --out hopeless --resume");
    let [_, error, help] = done.messages()[..] else { panic!("{}", done.stderr) };
    assert!(error.starts_with("error: hopeless/checkpoints/step-000020"), "{error}");
    assert!(help.contains("the checkpoint is damaged; remove its folder") && done.code == 2);
}

#[test]
fn a_log_that_a_power_cut_left_empty_costs_no_checkpoint() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole");
    let log = std::fs::read(place.path("whole/metrics.jsonl")).expect("a log");
    // Nothing of it, NULs behind the first lines, the first lines alone.
    let early = log.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(60).expect("lines").0 + 1;
    let holes = [&log[..early], &vec![0; log.len() - early][..]].concat();
    for (name, left) in [("none", &log[..0]), ("nuls", &holes[..]), ("cut", &log[..early])] {
        cut_back(&place, "whole", name, "step-000100");
        place.write(&format!("{name}/metrics.jsonl"), left);
        let done = place.run(&format!("train c.toml --out {name} --resume"));
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        assert!(done.messages()[0].contains("metrics.jsonl: has "), "{}", done.stderr);
        let weights = |run: &str| {
            let path = place.path(run).join("checkpoints/final/model.safetensors");
            std::fs::read(path).expect("final weights")
        };
        assert!(weights(name) == weights("whole"), "{name}");
        // From an earlier checkpoint whose part of the log is there, nothing of the log is lost.
        let whole = place.metrics(name) == place.metrics("whole");
        assert_eq!(whole, name != "none", "{name}");
    }
    assert!(place.metrics("none").iter().any(|line| line.contains(r#""event":"log-lost""#)));
}

#[test]
fn other_data_under_the_same_name_is_refused() {
    let place = Place::new(CONFIG);
    place.succeed(
        "train c.toml --out first --set stages.0.steps=20 --set train.checkpoint_every=10",
    );
    let init = "--set model.init=w.safetensors --set train.checkpoint_every=10";
    let weights = std::fs::read(place.path("first/checkpoints/final/model.safetensors"));
    place.write("w.safetensors", weights.expect("weights"));
    place.succeed(&format!("train c.toml --out run {init}"));
    std::fs::remove_dir_all(place.path("run/checkpoints/final")).expect("a checkpoint");
    let other = std::fs::read(place.path("first/checkpoints/step-000010/model.safetensors"));
    place.write("w.safetensors", other.expect("weights"));
    let before = place.files("run");
    let parts = ["run", "`model.init` is another file"];
    place.run(&format!("train c.toml --out run {init} --resume")).failed(2, &parts, "began with");
    assert!(place.files("run") == before);
}

#[test]
fn a_folder_has_one_writer() {
    let place = Place::new(CONFIG);
    let mut command = place.command("train c.toml --out run --set stages.0.steps=3000000");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let limit = Instant::now() + Duration::from_secs(60);
    while checkpoints(&place, "run") == 0 {
        assert!(Instant::now() < limit, "no checkpoint after a minute");
        sleep(Duration::from_millis(1));
    }
    for more in ["--force", "--resume --set stages.0.steps=3000000"] {
        let second = place.run(&format!("train c.toml --out run {more}"));
        let parts = ["run: another process is writing here: process ", &child.id().to_string()];
        second.failed(2, &parts, "another folder");
    }
    // A scheduler ends it: the next process goes on from where it was.
    #[cfg(unix)]
    {
        let id = child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
        assert_eq!(child.wait().expect("a child").code(), Some(143));
        let names: Vec<_> = place.files("run").into_keys().collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")), "{names:?}");
        assert!(!names.contains(&PathBuf::from(".edgegrad.lock")), "{names:?}");
    }
    let _ = child.kill();
}

#[test]
fn a_finished_run_and_an_empty_folder() {
    let place = Place::new(CONFIG);
    std::fs::create_dir(place.path("run")).expect("a folder");
    place.succeed("train c.toml --out run --resume");
    place.succeed("train c.toml --out plain");
    assert!(place.files("run") == place.files("plain"), "an empty folder simply starts");
    // As a process leaves it that is killed between its last checkpoint and its end.
    place.write("run/.edgegrad.lock", "process 1 (train), since 5 s after 1970\n");
    let out = place.succeed("train c.toml --out run --resume");
    assert!(out.contains("run (seed 0): was finished already"), "{out}");
    assert!(place.files("run") == place.files("plain"), "a finished run was changed");
}

/// Sends SIGTERM to a process and waits until it has ended, which takes less than 20 seconds.
#[cfg(unix)]
fn terminate(child: &mut std::process::Child) {
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
    let limit = Instant::now() + Duration::from_secs(20);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > limit {
            child.kill().expect("a child");
            panic!("it waits on");
        }
        sleep(Duration::from_millis(10));
    }
}

/// Nobody writes the input, so there is nothing to keep.
#[cfg(unix)]
#[test]
fn a_signal_ends_what_waits_for_its_input() {
    let place = Place::new("");
    let made = std::process::Command::new("mkfifo").arg(place.path("f.toml")).status();
    assert!(made.expect("mkfifo is there").success());
    let mut child = place.command("sweep f.toml").spawn().expect("the binary runs");
    sleep(Duration::from_millis(300));
    terminate(&mut child);
}

/// Runs of a sweep, side by side, have the bits of their commands alone.
#[test]
fn runs_of_a_sweep_are_those_of_their_commands() {
    let place = Place::new(CONFIG);
    let folder = format!("{}/tests/fixtures/gates/or", env!("CARGO_MANIFEST_DIR"));
    place.write("s.toml", "base = { command = 'train', file = 'c.toml' }\n[axes]\nseed = [1, 2]\n");
    let asked = format!("model = '{folder}', pairs = '{folder}/pairs.jsonl', method = 'eap-ig'");
    let config = format!("base = {{ command = 'attribute', config = {{ {asked} }} }}\n");
    place.write("a.toml", config + "[axes]\nmetric = ['l2', 'kl']\nlimit = [2, 4]\n");
    let id = |sweep: &str, axes: &str| {
        let results = std::fs::read_to_string(place.path(sweep).join("results.jsonl"));
        let results = results.expect("results");
        let line = results.lines().find(|line| line.contains(axes)).expect("a run").to_string();
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["status"], "done", "{line}");
        value["id"].as_str().expect("an id").to_string()
    };
    place.succeed("sweep s.toml --threads 3 --jobs 2");
    place.succeed("train c.toml --seed 2 --out alone");
    let run = format!("s/runs/{}", id("s", r#""seed":2"#));
    let weights = |run: &str| place.files(&format!("{run}/checkpoints/final"));
    assert_eq!(weights(&run), weights("alone"));
    place.succeed("sweep a.toml");
    let run = id("a", r#""limit":4,"metric":"kl""#);
    let more = "--method eap-ig --metric kl --limit 4 --out alone.json";
    place.succeed(&format!("attribute --model {folder} --pairs {folder}/pairs.jsonl {more}"));
    let read = |name: &str| std::fs::read(place.path(name)).expect("scores");
    assert!(read("alone.json") == read(&format!("a/runs/{run}/scores.json")));
}

/// A process that was asked to stop and cannot, as it writes what nobody reads, ends all the same.
#[cfg(unix)]
#[test]
fn a_signal_ends_what_comes_to_no_safe_point() {
    let place = Place::new("");
    let made = std::process::Command::new("mkfifo").arg(place.path("f.json")).status();
    assert!(made.expect("mkfifo is there").success());
    let folder = format!("{}/tests/fixtures/gates/or", env!("CARGO_MANIFEST_DIR"));
    let asked = format!("--model {folder} --pairs {folder}/pairs.jsonl --method exact");
    let mut command = place.command(&format!("attribute {asked} --out f.json"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary runs");
    let mut line = String::new();
    let printed = BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line);
    assert!(printed.is_ok() && line.contains("clean"), "{line}");
    // Until it is done with what it computes.
    sleep(Duration::from_millis(500));
    terminate(&mut child);
    let output = child.wait_with_output().expect("a child");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(143), "{error}");
    assert!(error.contains("stopped by SIGTERM before its end"), "{error}");
}

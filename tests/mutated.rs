//! Damaged inputs: a command succeeds, or ends with one error line, one help line and no result; it
//! never panics.
//!
//! `EDGEGRAD_ROUNDS=N` damages each file N times as often.
#![cfg(unix)]

mod common;

use common::{Place, Random, rounds};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a damaged file makes long is no fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// Values that stand where a number was.
const HOSTILE: [&[u8]; 14] = [
    b"-1",
    b"0",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9223372036854775808",
    b"1e-320",
    b"null",
    b"true",
    b"\"x\"",
    b"[]",
    b"{}",
    b"[[[[[[[[",
];

/// Bytes that stand anywhere.
const STRANGE: [&[u8]; 7] = [b"\0", b"\r", b"\"", b"\\", b"\xff\xfe", b"\xef\xbb\xbf", b"\n\n"];

/// `bytes` with one to three faults.
fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(3) {
        let from = random.below(bytes.len().max(1));
        let to = (from + 1 + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 if from < to => bytes[from] ^= 1 << random.below(8),
            1 => bytes.truncate(from),
            2 => drop(bytes.drain(from..to)),
            3 => drop(bytes.splice(from..from, bytes[from..to].to_vec())),
            4 => drop(bytes.splice(from..from, STRANGE[random.below(STRANGE.len())].to_vec())),
            _ => {
                let digit = |b: &u8| b.is_ascii_digit();
                let Some(first) = bytes[from..].iter().position(digit) else { continue };
                let first = from + first;
                let length = bytes[first..].iter().position(|b| !digit(b));
                let end = length.map_or(bytes.len(), |length| first + length);
                drop(bytes.splice(first..end, HOSTILE[random.below(HOSTILE.len())].to_vec()));
            }
        }
    }
    bytes
}

/// Runs a command on `count` damaged versions of the file `name`.
#[track_caller]
fn check(place: &Place, name: &str, command: &str, count: usize) {
    let good = std::fs::read(place.path(name)).expect("a good file");
    place.succeed(command);
    let mut random = Random::new(good.len() as u64);
    for round in 0..count * rounds() {
        let _ = std::fs::remove_file(place.path("out"));
        let bad = damaged(&good, &mut random);
        place.write(name, &bad);
        let fault = fault(place, command);
        let kept = std::env::temp_dir().join("edgegrad-damaged");
        if let Some(fault) = fault {
            std::fs::write(&kept, &bad).expect("writable");
            panic!("{command}, damage {round} of {name}, as {}:\n{fault}", kept.display());
        }
    }
    place.write(name, &good);
}

/// What is wrong with how a command ends, if anything.
fn fault(place: &Place, command: &str) -> Option<String> {
    let start = Instant::now();
    let mut started = place.command(command);
    let child = started.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary runs");
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().expect("a child");
            child.wait().expect("a child");
            return None;
        }
        sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("a child");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let no_fault = |line: &&str| line.starts_with("warning: ") || line.contains(" steps/s ");
    let lines: Vec<&str> = told.lines().filter(|line| !no_fault(line)).collect();
    let fine = match (output.status.code(), &lines[..]) {
        (Some(0), []) => true,
        (Some(1 | 2), [error, help]) => {
            error.starts_with("error: ")
                && help.starts_with("help: ")
                && told.len() < 4000
                && !place.path("out").exists()
        }
        _ => false,
    };
    (!fine).then(|| format!("{}\n{told}", output.status))
}

const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 4
    k = 2
    train = 8
    test = 4
    [model]
    d_model = 4
    [train]
    batch = 4
    steps = 3
";

/// A model with pairs and scores.
fn place() -> Place {
    let place = Place::new(CONFIG);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpt2-tiny");
    for file in ["config.json", "model.safetensors", "pairs.jsonl", "EAP.json"] {
        let bytes = std::fs::read(format!("{fixture}/{file}")).expect("a fixture");
        place.write(&format!("m/{file}"), bytes);
    }
    place
}

const ASKED: &str = "--model m --pairs m/pairs.jsonl --limit 2 --threads 1 --out out";

#[test]
fn models() {
    let place = place();
    check(&place, "m/config.json", "info m", 40);
    check(&place, "m/config.json", &format!("attribute {ASKED}"), 30);
    check(&place, "m/model.safetensors", &format!("attribute {ASKED}"), 30);
}

#[test]
fn pairs() {
    let place = place();
    check(&place, "m/pairs.jsonl", &format!("attribute {ASKED}"), 40);
    check(&place, "m/pairs.jsonl", &format!("look {}", ASKED.replace("--limit 2 ", "")), 20);
}

#[test]
fn scores() {
    let place = place();
    let scores = "--scores m/EAP.json --convention eap-ig";
    check(&place, "m/EAP.json", &format!("discover {ASKED} {scores} --edges 9 --connected"), 30);
    check(&place, "m/EAP.json", &format!("evaluate {ASKED} {scores} --curve"), 10);
    check(&place, "m/EAP.json", "compare m/EAP.json m/EAP.json --out out", 30);
    check(&place, "m/EAP.json", "export m/EAP.json --format dot --out out", 30);
    check(&place, "m/EAP.json", "report m/EAP.json --out out", 20);
}

#[test]
fn configurations_of_runs() {
    let place = place();
    check(&place, "c.toml", "train c.toml --out run --force --threads 1", 40);
}

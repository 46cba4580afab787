//! Processes that `mpirun` starts together come to the bits of one alone, however many they are;
//! one that is killed, or is not like the others, ends the job, and `--resume` goes on.
#![cfg(unix)]

mod common;

use common::{Done, Place};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// `mpirun` with arguments split at spaces, run in the folder of `place`.
fn mpirun(place: &Place, arguments: &str) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]);
    command.args(arguments.replace("edgegrad", env!("CARGO_BIN_EXE_edgegrad")).split_whitespace());
    command.current_dir(place.path("")).env_remove("RUST_LOG");
    command
}

/// How a command under `mpirun` ends.
fn run(place: &Place, arguments: &str) -> Done {
    Done::from(mpirun(place, arguments).output().expect("mpirun is there"))
}

/// The first line that `mpirun` has not said itself, of a command that has to end as bad input.
#[track_caller]
fn refused(place: &Place, arguments: &str) -> String {
    let done = run(place, arguments);
    assert_eq!(done.code, 2, "{arguments}: {}", done.stderr);
    let errors: Vec<&str> = done.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments}: {}", done.stderr);
    errors[0].trim_start_matches("error: ").into()
}

const SWEEP: &str = "
    [base]
    command = 'train'
    [base.config]
    task = { p = 4, train = 128, test = 64 }
    model = { d_model = 4 }
    train = { steps = STEPS, eval_every = 20, batch = 16 }
    [axes]
    seed = { range = [0, 3] }
    'train.lr' = [1e-3, 1e-2, 1e-1]
";

/// A folder with a sweep of nine runs.
fn sweep(steps: usize) -> Place {
    let place = Place::new("");
    place.write("s.toml", SWEEP.replace("STEPS", &steps.to_string()));
    place
}

/// The rows of a sweep without the seconds that they tell.
fn rows(place: &Place, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(out).join("results.jsonl")).expect("results");
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("a row");
        row.as_object_mut().expect("an object").remove("seconds");
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn a_sweep_has_the_rows_of_one_process() {
    let place = sweep(20);
    place.succeed("sweep s.toml --out alone --threads 1");
    let alone = rows(&place, "alone");
    assert_eq!(alone.len(), 1 + 9);
    for count in 1..=3 {
        let done = run(&place, &format!("-n {count} edgegrad sweep s.toml --out {count}"));
        assert_eq!(done.code, 0, "{count} ranks: {}", done.stderr);
        assert_eq!(rows(&place, &count.to_string()), alone, "{count} ranks");
        // Rank 0 prints, and nobody else.
        assert_eq!(done.stdout.matches("9 runs, 0 of them before").count(), 1, "{}", done.stdout);
    }
}

/// The processes that `mpirun` has started, from rank 0 on.
fn ranks(mpirun: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{mpirun}/task/{mpirun}/children"));
    text.unwrap_or_default().split(' ').filter_map(|id| id.parse().ok()).collect()
}

/// Starts a job of two ranks, kills the second once `begun`, and returns what was said.
#[track_caller]
fn killed(place: &Place, arguments: &str, begun: impl Fn() -> bool) -> Done {
    let mut job = mpirun(place, &format!("-n 2 edgegrad {arguments}"));
    let job = job.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mpirun is there");
    let start = Instant::now();
    while !begun() {
        assert!(start.elapsed() < Duration::from_secs(60), "{arguments}: never begun");
        sleep(Duration::from_millis(5));
    }
    let ranks = ranks(job.id());
    assert_eq!(ranks.len(), 2, "{arguments}: it has ended before");
    Command::new("kill").args(["-KILL", &ranks[1].to_string()]).status().expect("kill is there");
    let done = Done::from(job.wait_with_output().expect("a child"));
    assert_ne!(done.code, 0, "{arguments}: {}", done.stderr);
    assert!(done.stderr.contains("rank 1") && done.stderr.contains("signal 9"), "{}", done.stderr);
    done
}

#[test]
fn a_sweep_goes_on_after_a_rank_was_killed() {
    let place = sweep(120);
    place.succeed("sweep s.toml --out alone");
    let results = place.path("cut").join("results.jsonl");
    let lines = || fs::read_to_string(&results).map_or(0, |text| text.lines().count());
    killed(&place, "sweep s.toml --out cut --threads 1", || lines() > 2);
    let kept = lines();
    assert!(kept < 10, "all runs were done");
    let done = run(&place, "-n 2 edgegrad sweep s.toml --out cut --resume");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(rows(&place, "cut"), rows(&place, "alone"));
}

#[test]
fn what_is_not_like_rank_0_or_not_shared_is_refused() {
    let place = sweep(20);
    assert_eq!(
        refused(&place, "-n 3 edgegrad info"),
        "3 processes of mpirun: this command shares no work between processes"
    );
    let two = "-n 1 edgegrad sweep s.toml : -n 1";
    assert_eq!(
        refused(&place, &format!("{two} edgegrad sweep s.toml --quiet")),
        "rank 1: `options` is not what rank 0 has"
    );
    // The same program but for a byte behind its end.
    let other = place.path("other");
    fs::copy(env!("CARGO_BIN_EXE_edgegrad"), &other).expect("copied");
    let mut bytes = fs::OpenOptions::new().append(true).open(&other).expect("opened");
    std::io::Write::write_all(&mut bytes, &[0]).expect("written");
    drop(bytes);
    assert_eq!(
        refused(&place, &format!("{two} {} sweep s.toml", other.display())),
        "rank 1: `program` is not what rank 0 has"
    );
    place.write("b/s.toml", SWEEP.replace("STEPS", "30"));
    let there = format!("-n 1 edgegrad sweep s.toml : -n 1 --wdir {}", place.path("b").display());
    assert_eq!(
        refused(&place, &format!("{there} edgegrad sweep s.toml")),
        "rank 1: `the sweep` is not what rank 0 has"
    );
    fs::remove_file(place.path("b/s.toml")).expect("removed");
    let missing = refused(&place, &format!("{there} edgegrad sweep s.toml"));
    assert!(missing.starts_with("rank 1: s.toml: "), "{missing}");
    let words = refused(&place, "-n 2 edgegrad sweep s.toml --no-such");
    assert!(words.starts_with("unexpected argument '--no-such'"), "{words}");
    assert!(!place.path("s").exists(), "nothing was written");
}

/// Questions about a fixture, on batches of a pair or two.
fn about(command: &str, more: &str) -> String {
    let folder = format!("{}/tests/fixtures/gpt2-tiny", env!("CARGO_MANIFEST_DIR"));
    let asked = "--metric logit-diff --rows 16 --threads 1";
    format!("{command} --model {folder} --pairs {folder}/pairs.jsonl {asked} {more}")
}

/// What a command prints but for its seconds and for the file that it names last.
fn text(printed: &str) -> Vec<&str> {
    let lines = printed.lines().filter(|line| !line.contains(": out-"));
    lines.map(|line| line.split(" edges in ").next().unwrap_or(line)).collect()
}

/// A command has the result and the text of one process.
#[track_caller]
fn same(place: &Place, asked: &str, counts: &[usize]) {
    let alone = place.succeed(&format!("{asked} --out out-alone --force"));
    for count in counts {
        let done = run(place, &format!("-n {count} edgegrad {asked} --out out-{count} --force"));
        assert_eq!(done.code, 0, "{count} ranks, {asked}: {}", done.stderr);
        assert_eq!(text(&done.stdout), text(&alone), "{count} ranks, {asked}");
        let bytes = |name: &str| fs::read(place.path(name)).expect("a result");
        let [one, all] = ["out-alone".into(), format!("out-{count}")].map(|name| bytes(&name));
        assert!(one == all, "{count} ranks, {asked}: other bits");
    }
}

#[test]
fn scores_and_figures_have_the_bits_of_one_process() {
    let place = Place::new("");
    same(&place, &about("attribute", "--method eap"), &[1, 2, 3]);
    same(&place, &about("attribute", "--method eap-ig --steps 3"), &[3]);
    same(&place, &about("attribute", "--method clean-corrupted"), &[2]);
    same(&place, &about("attribute", "--method eap-ig-activations --steps 2"), &[2]);
    same(&place, &about("attribute", "--method exact --limit 4"), &[3]);
    let few = about("attribute", "--limit 3 --bootstrap 20 --method");
    same(&place, &format!("{few} eap"), &[2]);
    same(&place, &format!("{few} mask-ig --tol 1e-2 --baseline mean"), &[2]);
    place.succeed(&about("attribute", "--method eap --out s.json"));
    same(&place, &about("evaluate", "--scores s.json --curve"), &[3]);
    place.succeed(&about("discover", "--scores s.json --edges 20 --out c.json"));
    same(&place, &about("evaluate", "--circuit c.json --minimality --null 3"), &[2]);
    assert_eq!(
        refused(&place, &format!("-n 2 edgegrad {}", about("attribute", "--method ugs --out o"))),
        "--method ugs: is not divided between processes"
    );
    // Every process reads its own pairs, and they have to be the same.
    place.write("b/s.json", fs::read(place.path("s.json")).expect("scores"));
    place.write("b/c.json", "{}");
    let there = format!("-n 1 --wdir {}", place.path("b").display());
    let asked = about("evaluate", "--scores s.json --curve --truth c.json --out o");
    let missing = refused(&place, &format!("-n 1 edgegrad {asked} : {there} edgegrad {asked}"));
    assert!(missing.starts_with("rank 1: c.json: "), "{missing}");
    place.write("b/s.json", "{}");
    let asked = about("evaluate", "--scores s.json --curve --out o");
    assert_eq!(
        refused(&place, &format!("-n 1 edgegrad {asked} : {there} edgegrad {asked}")),
        "rank 1: `--scores` is not what rank 0 has"
    );
}

#[test]
fn scores_go_on_after_a_rank_was_killed() {
    let place = Place::new("");
    // Long enough that it is not done before it has kept anything: a journal is not written sooner
    // than after .2 s.
    let asked = about("attribute", "--method eap-ig-activations --steps 600");
    let alone = place.succeed(&format!("{asked} --out alone"));
    let journal = place.path(".cut.journal");
    killed(&place, &format!("{asked} --out cut"), || journal.exists());
    assert!(journal.exists() && !place.path("cut").exists(), "it was done before");
    let more = run(&place, &format!("-n 3 edgegrad {asked} --out cut --resume"));
    assert_eq!(more.code, 0, "{}", more.stderr);
    assert!(!more.stderr.contains("nothing was kept"), "{}", more.stderr);
    let bytes = |name: &str| fs::read(place.path(name)).expect("scores");
    assert!(bytes("cut") == bytes("alone"), "other bits: {alone}");
}

/// A training of two stages whose batches are four parts.
const TRAINING: &str = "
    task = { p = 4, train = 64, test = 32 }
    model = { d_model = 4, dropout = 0.1 }
    train = { batch = 16, part = 4, eval_every = 10, checkpoint_every = 10 }
    [[stages]]
    steps = 30
    [[stages]]
    steps = 20
    train = { part = 5, clip = 0.1, optimizer_state = 'keep', measure = ['norms'] }
";

#[test]
fn a_training_has_the_bits_of_one_process() {
    let place = Place::new("");
    place.write("c.toml", TRAINING);
    place.succeed("train c.toml --out alone");
    for count in 1..=3 {
        let done = run(&place, &format!("-n {count} edgegrad train c.toml --out {count}"));
        assert_eq!(done.code, 0, "{count} ranks: {}", done.stderr);
        assert_eq!(done.stdout.matches("50 steps").count(), 1, "{}", done.stdout);
        let same = place.files(&count.to_string()) == place.files("alone");
        assert!(same, "{count} ranks: other bits");
    }
    assert_eq!(
        refused(&place, "-n 5 edgegrad train c.toml --out five"),
        "c.toml: stages.0.train.part: 4 parts of a batch of 16 rows give no work to 5 processes"
    );
    assert_eq!(
        refused(&place, "-n 2 edgegrad train c.toml --out five --seeds 2"),
        "--seeds: are not divided between processes"
    );
    place.write("b/c.toml", TRAINING.replace("0.1", "0.2"));
    let there = format!("-n 1 --wdir {} edgegrad", place.path("b").display());
    assert_eq!(
        refused(
            &place,
            &format!("-n 1 edgegrad train c.toml --out five : {there} train c.toml --out five")
        ),
        "rank 1: `the configuration` is not what rank 0 has"
    );
    assert!(!place.path("five").exists(), "nothing was written");
}

#[test]
fn a_training_goes_on_after_a_rank_was_killed() {
    let place = Place::new("");
    place.write("c.toml", TRAINING.replace("steps = 20", "steps = 270"));
    place.succeed("train c.toml --out alone");
    let begun = || place.path("cut/checkpoints/step-000060").exists();
    killed(&place, "train c.toml --out cut", begun);
    let weights = |run: &str| fs::read(place.path(run).join("checkpoints/final/model.safetensors"));
    assert!(weights("cut").is_err(), "it was done before");
    let more = run(&place, "-n 3 edgegrad train c.toml --out cut --resume");
    assert_eq!(more.code, 0, "{}", more.stderr);
    assert!(weights("cut").expect("weights") == weights("alone").expect("weights"), "other bits");
    let log = |run: &str| {
        let text = fs::read_to_string(place.path(run).join("metrics.jsonl")).expect("a log");
        text.lines().filter(|l| !l.contains("resume")).map(String::from).collect::<Vec<_>>()
    };
    assert!(log("cut") == log("alone"), "another log");
}

#[test]
fn a_tuned_model_has_the_bits_of_one_process() {
    let place = Place::new("");
    place.succeed("pretrain --steps 2 --d-model 16 --layers 2 --batch 8 --out base");
    let settings = "--set batch=12 --set part=4 --set look=2 --set examples=10 --set pairs=4";
    let asked = format!("tune --model base --task E1 --steps 4 --every 2 {settings}");
    let weights = |run: &str| fs::read(place.path(run).join("model.safetensors")).expect("weights");
    place.succeed(&format!("{asked} --out alone"));
    for count in [2, 3] {
        let done = run(&place, &format!("-n {count} edgegrad {asked} --out {count}"));
        assert_eq!(done.code, 0, "{count} ranks: {}", done.stderr);
        assert_eq!(done.stdout.matches("seed 0").count(), 1, "{}", done.stdout);
        assert!(weights(&count.to_string()) == weights("alone"), "{count} ranks: other bits");
    }
    assert_eq!(
        refused(&place, &format!("-n 4 edgegrad {asked} --out four")),
        "part: 3 parts of a batch of 12 rows give no work to 4 processes"
    );
}

/// Two network namespaces that are hosts to `mpirun`; removed with it.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    /// None, with a line that says why, where namespaces cannot be made.
    fn new(place: &Place) -> Option<Hosts> {
        let id = std::process::id();
        let hosts = Hosts { names: [1, 2].map(|i| format!("eg-{id}-{i}")) };
        let agent = format!(
            "#!/bin/sh\n\
             # As ssh would run it: HOST COMMAND..\n\
             host=${{1##*.}}; shift\n\
             exec ip netns exec eg-{id}-$host unshare -u sh -c \"hostname host-$host; $*\"\n"
        );
        place.write("agent", agent);
        let mut script: String = "set -e; chmod +x agent".into();
        let [a, b] = &hosts.names;
        script += &format!("; ip netns add {a}; ip netns add {b}");
        script += &format!("; ip link add eg{id}a netns {a} type veth peer name eg{id}b netns {b}");
        for (name, link, i) in [(a, "a", 1), (b, "b", 2)] {
            script += &format!("; ip -n {name} addr add 10.77.0.{i}/24 dev eg{id}{link}");
            script +=
                &format!("; ip -n {name} link set lo up; ip -n {name} link set eg{id}{link} up");
        }
        script += "; unshare -u true";
        let made = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output();
        match made {
            Ok(done) if done.status.success() => Some(hosts),
            _ => {
                println!("left out: this machine makes no network namespaces");
                None
            }
        }
    }

    /// What a command prints that a process on each host does together.
    fn run(&self, place: &Place, arguments: &str) -> String {
        let mpirun = format!(
            "hostname host-1; exec mpirun --allow-run-as-root --bind-to none -n 2 \
             --mca plm_rsh_agent {} -H 10.77.0.1,10.77.0.2 {arguments}",
            place.path("agent").display()
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[0], "unshare", "-u", "sh", "-c", &mpirun]);
        let done = Done::from(command.current_dir(place.path("")).output().expect("ip is there"));
        assert_eq!(done.code, 0, "{arguments}: {}", done.stderr);
        done.stdout
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

#[test]
fn two_hosts_come_to_the_same() {
    let place = sweep(20);
    let Some(hosts) = Hosts::new(&place) else { return };
    let mut names: Vec<String> = hosts.run(&place, "hostname").lines().map(String::from).collect();
    names.sort();
    assert_eq!(names, ["host-1", "host-2"]);
    place.succeed("sweep s.toml --out alone");
    hosts.run(&place, &format!("{} sweep s.toml --out two", env!("CARGO_BIN_EXE_edgegrad")));
    assert_eq!(rows(&place, "two"), rows(&place, "alone"));
    let asked = about("attribute", "--method eap-ig");
    place.succeed(&format!("{asked} --out scores"));
    hosts.run(&place, &format!("{} {asked} --out of-two", env!("CARGO_BIN_EXE_edgegrad")));
    let bytes = |name: &str| fs::read(place.path(name)).expect("scores");
    assert!(bytes("of-two") == bytes("scores"), "other bits");
    assert!(Path::new(&place.path("two")).join("results.parquet").exists());
}

//! What a user gives can be wrong in many ways: each gets one line that names the place, one that
//! helps, an exit code, and leaves no half-written file.

mod common;

use common::{Done, Files, Place};
use edgegrad::files::safetensors::{Tensor, Tensors, write};
use edgegrad::rng::{Purpose, Rng};
use edgegrad::tasks::modular_addition::ModularAddition;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "
[task]
p = 3
seq_len = 4
k = 2
train = 40
test = 10
[model]
d_model = 4
d_mlp = 6
[train]
steps = 20
eval_every = 10
batch = 8
";

fn place() -> Place {
    Place::new(CONFIG)
}

/// `c.toml` with `line` in place of the line that sets the same key.
fn with(line: &str) -> String {
    let key = line.split('=').next().unwrap_or(line);
    assert!(CONFIG.lines().any(|l| l.starts_with(key)), "{key}");
    let lines = CONFIG.lines().map(|l| if l.starts_with(key) { line } else { l });
    lines.collect::<Vec<_>>().join("\n")
}

/// Training fails as bad input and leaves no run folder.
#[track_caller]
fn refused(place: &Place, arguments: &str, parts: &[&str], help: &str) {
    place.run(&format!("train c.toml --out run {arguments}")).failed(2, parts, help);
    assert!(!place.path("run").exists(), "a run folder was made");
}

#[test]
fn instruction_sets() {
    let place = place();
    let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    let lacking = format!("this processor has no {foreign}");
    for (name, message) in [(foreign, &*lacking), ("sse9", "`sse9` is no instruction set")] {
        let mut command = place.command("info");
        let done = Done::from(command.env("EDGEGRAD_SIMD", name).output().expect("it runs"));
        done.failed(2, &["EDGEGRAD_SIMD: ", message], "unset it, or name one of ");
        assert_eq!(done.stdout, "");
    }
}

/// Several processes of `mpirun`, in a build that knows no MPI, would write over each other.
#[cfg(not(feature = "mpi"))]
#[test]
fn processes_of_mpirun() {
    let place = place();
    for [size, rank] in [["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"], ["PMI_SIZE", "PMI_RANK"]]
    {
        let mut command = place.command("sweep c.toml --out run");
        let done = Done::from(command.env(size, "3").env(rank, "0").output().expect("it runs"));
        done.failed(2, &["3 processes of mpirun: ", "this build has no `mpi`"], "--features mpi");
        assert!(!place.path("run").exists(), "a run folder was made");
        // A process alone is none of several.
        let mut command = place.command("info --quiet");
        assert!(command.env(size, "1").env(rank, "0").status().expect("it runs").success());
    }
}

#[test]
fn configurations() {
    let cases = [
        ("p = 1".into(), &["task.p", "at least 2, got 1"][..], "p = 2"),
        ("k = 5".into(), &["task.k", "at most seq_len = 4, got 5"], "lower `k`"),
        ("k = 0".into(), &["task.k", "at least 1, got 0"], "k = 1"),
        ("steps = \"many\"".into(), &["train.steps", "whole number", "\"many\""], "steps ="),
        ("d_mlp = 0".into(), &["model.d_mlp", "at least 1"], "d_mlp = 1"),
        ("batch = 41".into(), &["train.batch", "at most task.train = 40"], "\"full\""),
        (format!("d_model = {}", u64::MAX / 2), &["model.d_model", "at most"], "smaller d_model"),
        ("eval_every = -1".into(), &["train.eval_every", "got -1"], "eval_every ="),
    ];
    for (line, parts, help) in cases {
        let parts = [&["c.toml: "], parts].concat();
        refused(&Place::new(&with(&line)), "", &parts, help);
    }
    refused(&place(), "--set vocab=2", &["c.toml", "--set vocab", "at least p = 3"], "vocab = 3");
    refused(&place(), "--set epochs=2", &["c.toml", "--set epochs", "unknown key"], "steps");
    let typo = CONFIG.replace("eval_every", "eval_evry");
    refused(&Place::new(&typo), "", &["c.toml", "train.eval_evry", "unknown"], "`eval_every`?");
    refused(&Place::new("[task\np = 2"), "", &["c.toml:1:6"], "toml.io");
    refused(&Place::new(""), "", &["c.toml: task.p", "is missing"], "p = 2");
    refused(&Place::new("\u{0}"), "", &["c.toml:1:"], "toml.io");
    let done = place().run("train nowhere.toml");
    done.failed(2, &["nowhere.toml", "cannot read it", "No such file"], "check the path");
    let done = place().run("train .");
    done.failed(2, &[".: cannot read it"], "give a file, not a folder");
    refused(&place(), "--seed 9223372036854775808", &["seed", "at most"], "smaller seed");
}

#[test]
fn stages() {
    let stages = |one: &str, two: &str| {
        let rest = CONFIG.replace("steps = 20", "");
        Place::new(&format!("{rest}[[stages]]\nsteps = 9\n{one}\n[[stages]]\nsteps = 9\n{two}\n"))
    };
    refused(&stages("", "p = 0"), "", &["c.toml: stages.1.p"], "p = 2");
    let parts = ["c.toml: stages.1.d_model", "cannot change the model"];
    refused(&stages("", "d_model = 8"), "", &parts, "[model]");
    let parts = ["c.toml: stages.1.seq_len", "must be 4 as in the first stage, got 5"];
    refused(&stages("", "seq_len = 5"), "", &parts, "position");
    let sgd = "optimizer = 'sgd'\noptimizer_state = 'keep'";
    let parts = ["c.toml: stages.1.optimizer_state", "another kind of optimizer"];
    refused(&stages("", sgd), "", &parts, "fresh");
    // Found while reading the rows of the second stage, before the first one starts.
    let place = stages("", "p = 2\ndata = 'd.safetensors'");
    let parts = ["c.toml: stages.1.task.data: ", "d.safetensors: cannot read it"];
    refused(&place, "", &parts, "check the path");
    let place = stages("", "p = 2\ntask.train = 4000\ntrain.batch = 8");
    let parts = ["c.toml: stages.1.task.test", "no sequence is left"];
    refused(&place, "", &parts, "overlap = true");
}

#[test]
fn a_test_set_that_cannot_be() {
    let place = Place::new(&with("p = 2").replace("seq_len = 4", "seq_len = 2"));
    refused(&place, "", &["c.toml: task.test: no sequence is left", "p = 2"], "test = 0");
    place.succeed("train c.toml --out run --set test=0");
}

fn ids(place: &Place, name: &str, tensors: &[(&str, &[usize], &[i64])]) {
    let list: Vec<Tensor> = tensors.iter().map(|(n, s, v)| Tensor::ids(*n, s, v)).collect();
    write(place.path(name), &list, &Default::default()).expect("writable");
}

#[test]
fn data_files() {
    let place = Place::new(&CONFIG.replace("[model]", "data = 'd.safetensors'\n[model]"));
    let file = "d.safetensors";
    let named = |parts: &[&'static str]| [&["c.toml: task.data: ", file], parts].concat();
    refused(&place, "", &named(&["cannot read it"]), "check the path");
    let tokens: Vec<i64> = (0..40).map(|i| i % 3).collect();
    let good = [("tokens", &[10, 4][..], &tokens[..]), ("targets", &[10], &tokens[..10])];
    ids(&place, file, &good);
    let bytes = std::fs::read(place.path(file)).expect("written");
    place.write(file, &bytes[..bytes.len() - 3]);
    refused(&place, "", &named(&["its header says"]), "whole .safetensors file");
    place.write(file, "");
    refused(&place, "", &named(&["is cut off"]), "whole .safetensors file");
    let mut wild = tokens.clone();
    wild[4 * 7 + 2] = 3;
    ids(&place, file, &[("tokens", &[10, 4], &wild), good[1]]);
    refused(&place, "", &named(&["`tokens`: row 7: id 3 is not in 0..3"]), "task.p");
    ids(&place, file, &[good[0], ("targets", &[10], &[-1; 10])]);
    refused(&place, "", &named(&["`targets`: row 0: id -1"]), "task.p");
    ids(&place, file, &[("tokens", &[8, 5], &tokens), ("targets", &[8], &[0; 8])]);
    refused(&place, "", &named(&["`tokens`: expected shape [N, 4]", "[8, 5]"]), "seq_len");
    ids(&place, file, &[good[0]]);
    refused(&place, "", &named(&["`targets`: is missing"]), "it has 1 tensors");
    ids(&place, file, &good);
    let parts = ["c.toml: train.batch", "at most the 10 train rows of", file, "got 11"];
    refused(&place, "--set batch=11", &parts, "\"full\"");
    place.succeed("train c.toml --out run");
    place.succeed("train c.toml --out full --set batch=full");
}

#[test]
fn initial_weights() {
    let place = place();
    place.succeed("train c.toml --out made --dtype f64");
    let from = place.path("made/checkpoints/final/model.safetensors");
    let made = Tensors::read(from).expect("a model");
    /// A tensor's name, shape and numbers.
    type Named = (String, Vec<usize>, Vec<f64>);
    let numbers: Vec<Named> = made
        .names()
        .into_iter()
        .map(|name| made.get_f64(&name).map(|(s, v)| (name, s, v)).expect("numbers"))
        .collect();
    let spoil = |change: &dyn Fn(&mut Vec<Named>)| {
        let mut list = numbers.clone();
        change(&mut list);
        let list: Vec<Tensor> = list.iter().map(|(n, s, v)| Tensor::new(n, s, v)).collect();
        write(place.path("w.safetensors"), &list, &Default::default()).expect("writable");
    };
    let init = "--set init=w.safetensors";
    let parts = |rest: &'static str| ["c.toml: model.init: ", "w.safetensors: ", rest];
    refused(&place, init, &parts("cannot read it"), "check the path");
    spoil(&|list| list.retain(|t| t.0 != "mlp.fc1.bias"));
    refused(&place, init, &parts("tensor `mlp.fc1.bias`: is missing"), "mlp.fc");
    spoil(&|list| list.push(("mlp.fc3.bias".into(), vec![1], vec![0.0])));
    refused(&place, init, &parts("tensor `mlp.fc3.bias`: the model has no such"), "remove it");
    spoil(&|list| {
        let last = list.last_mut().expect("tensors");
        last.1 = vec![2, 6];
        last.2.truncate(12);
    });
    let shape = parts("tensor `token_emb.weight`: expected shape [3, 4], got [2, 6]");
    refused(&place, init, &shape, "sizes in the configuration");
    spoil(&|list| list[0].2[1] = f64::NAN);
    refused(&place, init, &parts("not finite"), "diverged");
    spoil(&|list| list.truncate(0));
    refused(&place, init, &parts("is missing"), "no tensors at all");
    spoil(&|_| {});
    place.succeed(&format!("train c.toml --out run {init}"));
}

#[test]
fn arguments_of_pretrain() {
    let place = place();
    std::fs::create_dir(place.path("mine")).expect("a folder");
    std::fs::write(place.path("mine/notes.txt"), "").expect("a file");
    for (arguments, parts, help) in [
        ("--steps 0 --out run", &["--steps", "at least 1, got 0"][..], "leave it out"),
        (
            "--steps 1 --out run --heads 3",
            &["--heads", "3 heads do not divide --d-model 64"],
            "multiple",
        ),
        ("--steps 1 --out run --lr nan", &["--lr", "above 0, got nan"], "leave it out"),
        ("--steps 1 --out c.toml/run", &["c.toml"], ""),
        ("--steps 100000000 --out run", &["100000000 steps", "days"], "--yes"),
        ("--steps 1 --out mine", &["mine", "is there already"], "--force"),
        (
            "--steps 1 --out mine --force",
            &["mine/notes.txt", "no file of a base model"],
            "another --out",
        ),
    ] {
        place.run(&format!("pretrain {arguments}")).failed(2, parts, help);
        assert!(!place.path("run").exists() && place.path("mine/notes.txt").exists());
    }
}

#[test]
fn a_folder_that_holds_a_run() {
    let place = place();
    place.succeed("train c.toml --out run");
    let before = place.files("run");
    place.run("train c.toml --out run --seed 1").failed(2, &["run: holds a run"], "--force");
    assert!(place.files("run") == before);
    // One of several: none of the others starts.
    place.succeed("train c.toml --out many/seed-01");
    let done = place.run("train c.toml --out many --seeds 3");
    done.failed(2, &["many/seed-01: holds a run"], "--force");
    assert!(!place.path("many/seed-00").exists());
    // With --force, bad input does not cost the old run; good input costs only that.
    place.write("run/notes.txt", "mine");
    let forced = "train c.toml --out run --seed 1 --force";
    place.run(&format!("{forced} --set init=no.safetensors")).failed(2, &["no.safetens"], "check");
    let mut kept = before.clone();
    kept.insert("notes.txt".into(), b"mine".to_vec());
    assert!(place.files("run") == kept);
    place.succeed(&format!("{forced} --set checkpoint_every=5"));
    place.succeed(forced);
    place.succeed("train c.toml --out plain --seed 1");
    let mut fresh = place.files("plain");
    fresh.insert("notes.txt".into(), b"mine".to_vec());
    assert!(place.files("run") == fresh);
    place.write("file", "not a folder");
    place.run("train c.toml --out file").failed(2, &["file: cannot make it"], "another name");
    place.run("train c.toml --out file/run").failed(2, &["file/run: cannot make it"], "is a file");
}

/// Every file of a run is whole.
#[track_caller]
fn assert_whole(files: &Files) {
    for (name, bytes) in files {
        let text = String::from_utf8_lossy(bytes);
        let whole = match name.extension().and_then(|e| e.to_str()) {
            Some("toml") => text.parse::<toml::Table>().is_ok(),
            Some("json") => serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            Some("jsonl") => {
                let mut lines = text.lines();
                (text.is_empty() || text.ends_with('\n'))
                    && lines.all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok())
            }
            Some("safetensors") => Tensors::from_bytes(name.display(), bytes.clone()).is_ok(),
            _ => false,
        };
        assert!(whole, "{} is not whole: {text:.300}", name.display());
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk() {
    let place = place();
    let run = |blocks: u32, arguments: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" train c.toml --out run --force {arguments}"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_edgegrad")]);
        let output = command.current_dir(place.path("")).output().expect("a shell");
        common::Done::from(output)
    };
    // The log outgrows the limit first, then a snapshot, then the first checkpoint.
    let long = "--set steps=900 --set checkpoint_every=100 --set seq_len=2 --set k=1 --set test=0";
    run(32, long).failed(1, &["run/metrics.jsonl: cannot write it"], "free some space");
    let files = place.files("run");
    assert_whole(&files);
    assert!(files[Path::new("metrics.jsonl")].len() > 10_000);
    let wide = "--set d_model=64 --set d_mlp=256";
    let done = run(32, &format!("{wide} --set snapshot_every=1"));
    done.failed(1, &["run/snapshots/step-000000.safetensors: cannot write it"], "free some space");
    assert_whole(&place.files("run"));
    let done = run(32, &format!("{wide} --set checkpoint_every=5"));
    done.failed(
        1,
        &["run/checkpoints/step-000005/model.safetensors: cannot write it"],
        "free some space",
    );
    let files = place.files("run");
    assert_whole(&files);
    assert!(!files.keys().any(|name| name.starts_with("checkpoints")), "half a checkpoint");
    // With room again it goes on.
    let resume = format!("train c.toml --out run --resume {wide} --set checkpoint_every=5");
    place.succeed(&resume);
    place.succeed(&format!("train c.toml --out plain {wide} --set checkpoint_every=5"));
    assert!(place.files("run") == place.files("plain"));
}

#[test]
fn a_loss_that_is_no_number() {
    let place = place();
    let wild = "--set lr=1e30 --set activation=relu --set warmup=20 --set steps=20";
    let run = |more: &str| place.run(&format!("train c.toml --out run --force {wild} {more}"));
    run("").failed(1, &["run: step ", "the loss is "], "train.checkpoint_every");
    let done = run("--set checkpoint_every=1");
    done.failed(
        1,
        &["run: step ", "the loss is "],
        "last good checkpoint is run/checkpoints/step-",
    );
    let files = place.files("run");
    assert_whole(&files);
    let log = String::from_utf8_lossy(&files[Path::new("metrics.jsonl")]);
    assert!(log.lines().last().is_some_and(|l| l.contains(r#""event":"diverged""#)), "{log}");
    let (_, rest) = done.stderr.rsplit_once("checkpoint is ").expect("asserted above");
    place.write("t.jsonl", "[0, 1, 2, 0]\n");
    place.succeed(&format!("run --model {} --tokens t.jsonl --out l.safetensors", rest.trim()));
}

/// With one row of one token, whose label it is, these weights give token 0 a loss of exactly 0
/// and no gradient, and token 1 a wrong answer, so that it depends on the drawn row, which is the
/// seed's, whether a huge learning rate does harm.
#[test]
fn one_seed_of_three_diverges() {
    let place = Place::new(
        "
        task = { p = 2, seq_len = 1, k = 1, train = 1, test = 0 }
        model = { d_model = 2, d_mlp = 1, init = 'w.safetensors' }
        train = { steps = 30, lr = 1e30, batch = 1 }
        ",
    );
    let tensors: [(&str, &[usize], &[f32]); 8] = [
        ("token_emb.weight", &[2, 2], &[200.0, 0.0, -200.0, 0.0]),
        ("pos_emb.weight", &[1, 2], &[1000.0, 0.0]),
        ("softmax.query.weight", &[1, 2], &[0.0, 0.0]),
        ("softmax.value.weight", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
        ("mlp.fc1.weight", &[1, 2], &[0.0, 0.0]),
        ("mlp.fc1.bias", &[1], &[0.0]),
        ("mlp.fc2.weight", &[2, 1], &[0.0, 0.0]),
        ("mlp.fc2.bias", &[2], &[0.0, 0.0]),
    ];
    let list: Vec<Tensor> = tensors.iter().map(|(n, s, v)| Tensor::new(*n, s, v)).collect();
    write(place.path("w.safetensors"), &list, &Default::default()).expect("writable");
    let task = ModularAddition { p: 2, seq_len: 1, k: 1 };
    let token = |seed| {
        let split = task.generate(1, 0, true, &mut Rng::new(seed, Purpose::Data, 2));
        split.expect("no test set, no error").train.tokens[0]
    };
    let first = (0..).find(|&s| (s..s + 3).map(token).sum::<u32>() == 1).expect("one of three");
    let done = place.run(&format!("train c.toml --out many --seeds 3 --seed {first} --threads 2"));
    done.failed(1, &["many/seed-", "the loss is "], "lower train.lr");
    assert_eq!(done.stdout.lines().count(), 2, "{}", done.stdout);
    for i in first..first + 3 {
        let run = format!("many/seed-{i:02}");
        let end = place.path(&run).join("checkpoints/final");
        assert_eq!(end.exists(), done.stdout.contains(&run), "{run}");
        assert_whole(&place.files(&run));
    }
}

#[test]
fn errors_that_seeds_share_are_told_once() {
    let place = place();
    let done = place.run("train c.toml --out many --seeds 3 --set init=no.safetensors");
    done.failed(2, &["c.toml: model.init", "no.safetensors"], "check the path");
    assert!(!place.path("many").exists());
}

#[test]
fn sweeps() {
    let place = place();
    let refused = |text: &str, arguments: &str, parts: &[&str], help: &str| {
        place.write("s.toml", text);
        place.run(&format!("sweep s.toml {arguments}")).failed(2, parts, help);
        assert!(!place.path("s").exists(), "{text}: a folder was made");
    };
    let base = "base = { command = 'train', file = 'c.toml' }\n";
    let axes = |axes: &str| format!("{base}[axes]\n{axes}\n");
    let many = axes("seed = { range = [0, 2000] }\nlr = { linspace = [0.1, 1.0, 2000] }");
    refused(&axes("train.lrr = [0.1]"), "", &["s.toml", "train.lrr: unknown key"], "`lr`");
    refused(&axes("train.lr = []"), "", &["axes.train.lr: holds no value"], "[1e-3, 1e-2]");
    refused(&axes("train.lr = [-1]"), "", &["(train.lr = -1)", "above 0"], "lr =");
    refused(&axes("train.batch = [41]"), "", &["train.batch", "at most"], "full");
    refused(&many, "", &["asks for 4000000 runs"], "--yes");
    refused(base, "--shard 3/2", &["--shard 3/2: is none of 2 shards"], "--shard 3/8");
    let asked = "base = { command = 'attribute', config = { model = 'm', pears = 'p' } }";
    refused(asked, "", &["s.toml: pears: unknown key"], "`pairs`");
    place.write("s.toml", axes("seed = [0, 1]"));
    place.succeed("sweep s.toml --shard 1/2");
    place.write("s.toml", axes("seed = [2, 3]"));
    place.succeed("sweep s.toml --shard 1/2 --out other");
    let another = &["results-1-of-2.jsonl: is of another sweep than"];
    place.run("merge s other --out both").failed(2, another, "of one file");
    place.run("merge s s --out both").failed(2, &["s: is given twice"], "once");
    place.run("ensemble c.toml c.toml --out e").failed(2, &["c.toml: is given twice"], "once");
    for command in ["sweep", "tune-compare", "tune-study"] {
        let device = place.run(&format!("{command} /dev/zero"));
        device.failed(2, &["/dev/zero: is not a file"], "give a file or a pipe");
    }
    let device =
        "base = { command = 'discover', config = { model = '/dev/zero', pairs = 'c.toml' } }";
    place.write("d.toml", device);
    place.run("sweep d.toml").failed(2, &["/dev/zero: is not a file"], "give a file");
    place.run("sweep s.toml --shard 1/2 --resume").failed(2, &["another sweep: 1 run"], "--out");
    // One run diverges, the other does not.
    place.write("s.toml", axes("train.lr = [0.01, 1e30]"));
    place.succeed("sweep s.toml --out odd");
    let lines = std::fs::read_to_string(place.path("odd/results.jsonl")).expect("results");
    assert_eq!(lines.matches("\"status\":\"done\"").count(), 1, "{lines}");
    assert_eq!(lines.matches("\"status\":\"diverged\"").count(), 1, "{lines}");
    let own = "filter odd --out odd/results.jsonl";
    place.run(own).failed(2, &["odd/results.jsonl: is read by"], "another --out");
    place.run("filter odd --out a --rest a").failed(2, &["--rest: is the file of"], "its own");
}

#[test]
fn running_a_model() {
    let place = place();
    place.succeed("train c.toml --out run");
    let model = "run/checkpoints/final";
    let tokens = |text: &str, parts: &[&str], help: &str| {
        place.write("t.jsonl", text);
        let done = place.run(&format!("run --model {model} --tokens t.jsonl --out l.safetensors"));
        done.failed(2, &[&["t.jsonl"], parts].concat(), help);
        assert!(!place.path("l.safetensors").exists());
    };
    let good = "[0, 1, 2, 0]\n";
    tokens("[0, 1, 2]\n", &["line 1", "has 3 ids", "takes 4"], "length");
    tokens(&format!("{good}\n[0, 1, 3, 0]"), &["line 3", "id 3", "vocabulary"], "0 to 2");
    tokens(
        &format!("{good}zero, one"),
        &["line 2: expected value at column 1"],
        "list of token ids",
    );
    tokens(&format!("{good}[0, 1, 2, -1]"), &["line 2"], "list of token ids");
    tokens(&format!("{good}{}", "[".repeat(100_000)), &["line 2"], "list of token ids");
    tokens("\n \n", &["holds no sequence"], "list of token ids");
    tokens("", &["holds no sequence"], "list of token ids");
    place.write("t.jsonl", [0xff, 0xfe]);
    let done = place.run(&format!("run --model {model} --tokens t.jsonl --out l.safetensors"));
    done.failed(2, &["t.jsonl", "UTF-8"], "check");

    place.write("t.jsonl", good);
    let config = format!("{model}/config.json");
    let text = std::fs::read_to_string(place.path(&config)).expect("a model");
    let run = |parts: &[&str], help: &str| {
        for command in ["run --tokens t.jsonl --out l.safetensors --model", "info"] {
            let done = place.run(&format!("{command} {model}"));
            done.failed(2, &[&[config.as_str()], parts].concat(), help);
        }
    };
    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        place.write(&config, text.replace(from, to));
    };
    change("\"pooled\"", "\"poled\"");
    run(&["model_type", "unknown", "poled"], "did you mean \"pooled\"?");
    change("\"pooled\"", "null");
    run(&["model_type: is missing"], "n_layers");
    change("\"pooled\"", "7");
    run(&["model_type: must be a text, got 7"], "as the model was trained");
    change("\"gelu\"", "\"swish\"");
    run(&["activation", "swish"], "relu");
    change("\"vocab\": 3", "\"vocab\": 0");
    run(&["vocab: must be at least 1"], "trained model");
    change("\"vocab\": 3", "\"vocab\": -3");
    run(&["-3"], "trained model");
    change("\"vocab\": 3,", "");
    run(&["missing field `vocab`"], "trained model");
    place.write(&config, "");
    run(&["EOF"], "trained model");
    std::fs::remove_file(place.path(&config)).expect("there");
    run(&["cannot read it"], "config.json and model.safetensors");
    place.write(&config, text.replace("\"d_mlp\": 6", "\"d_mlp\": 7"));
    let done = place.run(&format!("run --model {model} --tokens t.jsonl --out l.safetensors"));
    done.failed(2, &["model.safetensors: tensor `mlp.fc1", "[7"], "config");
    place.write(&config, &text);
    let done = place.run(&format!("run --model {model} --tokens t.jsonl --out no/l.safetensors"));
    done.failed(2, &["no/l.safetensors: cannot write it"], "check the path");
    place.succeed(&format!("run --model {model} --tokens t.jsonl --out l.safetensors"));
}

#[test]
fn comparing_files() {
    let place = place();
    let good = r#"{"cfg": {}, "nodes": {}, "meta": {"convention": "ours"}, "edges": {
        "input->m0": {"score": 0.5, "in_graph": true},
        "input->logits": {"score": NaN, "in_graph": false},
        "m0->logits": {"score": -0.25, "in_graph": true}}}"#;
    place.write("a.json", good);
    let refused = |text: &[u8], parts: &[&str], help: &str| {
        place.write("b.json", text);
        for files in ["a.json b.json", "b.json a.json"] {
            let done = place.run(&format!("compare {files} --out o.json"));
            done.failed(2, &[&["b.json"], parts].concat(), help);
            assert!(!place.path("o.json").exists());
        }
    };
    let named = ["is no file of scores or of a circuit"];
    refused(b"", &named, "\"edges\"");
    refused(b"{}", &[named[0], "no `edges`"], "\"edges\"");
    refused(&good.as_bytes()[..90], &named, "\"edges\"");
    refused(good.replace("0.5", "\"0.5\"").as_bytes(), &named, "\"edges\"");
    refused(good.replace("0.5", "Infinity").as_bytes(), &[named[0], "Infinity"], "\"edges\"");
    refused(good.replace("true", "1").as_bytes(), &named, "\"edges\"");
    refused(&[0xff, 0xfe], &named, "\"edges\"");
    refused("[".repeat(100_000).as_bytes(), &named, "\"edges\"");
    let other = good.replace("m0", "m1").replace("input->logits", "x");
    refused(other.as_bytes(), &["a.json", "no edge in common"], "same model");
    let done = place.run("compare a.json no.json");
    done.failed(2, &["no.json: cannot read it"], "check the path");
    let done = place.run("compare a.json .");
    done.failed(2, &[".: is not a file"], "give a .json file");
    let done = place.run("compare a.json a.json --out no/o.json");
    done.failed(2, &["no/o.json: cannot write it"], "check the path");

    // An edge of a hostile name neither floods nor steers the terminal.
    let long = format!("m0->\\u001b[31m{}", "x".repeat(100_000));
    place.write("a.json", good.replace("m0->logits", &long));
    place.write("b.json", good.replace("m0->logits", &long).replace("0.25", "0.75"));
    let said = place.succeed("compare a.json b.json --top 1 --out o.json");
    assert!(said.contains("3 edges in both") && said.contains("1 of them have no score"), "{said}");
    assert!(said.contains("m0->?[31mxxx") && said.len() < 2000, "{said}");
    let written = std::fs::read_to_string(place.path("o.json")).expect("written");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written["pearson"], 1.0);
    assert_eq!((&written["scored"], &written["circuits"]["edges"]["both"]), (&2.into(), &2.into()));
}

/// A copy of a model folder from the fixtures, with `change` made to its `config.json`.
fn model_in(place: &Place, fixture: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let read = |name: &str| std::fs::read(from.join(name)).expect("a fixture");
    let mut config = serde_json::from_slice(&read("config.json")).expect("JSON");
    change(&mut config);
    place.write("m/config.json", config.to_string());
    place.write("m/model.safetensors", read("model.safetensors"));
}

const RUN_M: &str = "run --model m --tokens t.jsonl --out l.safetensors";

#[test]
fn transplants() {
    let place = place();
    place.succeed("train c.toml --out run");
    place.succeed("train c.toml --out wide --set d_model=6");
    let refused = |arguments: &str, parts: &[&str], help: &str| {
        let command = format!("transplant run/checkpoints/final --out new {arguments}");
        place.run(&command).failed(2, parts, help);
    };
    refused("", &["transplant: changes nothing"], "--ablate PARTS");
    refused("--ablate qury", &["--ablate: the model has no part `qury`"], "`query`?");
    refused("--reset logits", &["--reset: the model has no part"], "the token embedding");
    refused(
        "--ablate mlp --reset m0.n0",
        &["--reset: names elements that --ablate"],
        "one of them",
    );
    let wide = "--from wide/checkpoints/final --copy query";
    refused(wide, &["wide/checkpoints/final/config.json: d_model is 6"], "of the same shape");
    refused("--from run --copy query", &["run/config.json: cannot read it"], "a folder with");
    place.succeed("transplant run/checkpoints/final --out new --ablate query");
    refused("--ablate query", &["new: exists already"], "by --force");
}

#[test]
fn configurations_of_transformers() {
    use serde_json::{Value, json};
    let place = place();
    place.write("t.jsonl", "[1, 2]");
    let refused = |fixture: &str, key: &str, value: Value, parts: &[&str], help: &str| {
        model_in(&place, fixture, |config| config[key] = value.clone());
        // Not by way of running out of memory, or time.
        let done = place.run(RUN_M);
        done.failed(2, &[&["m/config.json: "], parts].concat(), help);
        assert!(!place.path("l.safetensors").exists());
    };
    let cases: [(&str, &str, Value, &[&str], &str); 37] = [
        ("gpt2-tiny", "model_type", json!("gpt-2"), &["model_type", "gpt-2"], "mean \"gpt2\"?"),
        ("gpt2-tiny", "model_type", json!("bert"), &["model_type", "bert"], "known are gpt2"),
        ("gpt2-tiny", "n_layer", json!(null), &["n_layer: is missing"], "n_layer"),
        ("gpt2-tiny", "n_layer", json!("two"), &["n_layer: must be a whole", "two"], "trained"),
        ("gpt2-tiny", "n_layer", json!(-2), &["n_layer: must be a whole", "-2"], "trained"),
        ("gpt2-tiny", "n_layer", json!(2.5), &["n_layer: must be a whole", "2.5"], "trained"),
        ("gpt2-tiny", "n_layer", json!(1_000_000_000_000u64), &["n_layer: must be from"], "sizes"),
        ("gpt2-tiny", "n_head", json!(0), &["n_head: 0 does not divide"], "trained"),
        ("gpt2-tiny", "n_head", json!(5), &["n_head: 5 does not divide n_embd = 32"], "trained"),
        ("gpt2-tiny", "n_embd", json!(u64::MAX), &["n_head: 4 does not divide"], "trained"),
        ("gpt2-tiny", "n_embd", json!(1u64 << 62), &["n_embd: must be from 1 to"], "sizes"),
        ("gpt2-tiny", "n_embd", json!(0), &["n_embd: must be from 1"], "sizes"),
        ("gpt2-tiny", "n_inner", json!(0), &["n_inner: must be at least 1"], "trained"),
        ("gpt2-tiny", "vocab_size", json!(0), &["vocab_size: must be from 1"], "sizes"),
        ("gpt2-tiny", "n_positions", json!([]), &["n_positions: must be a whole"], "trained"),
        ("gpt2-tiny", "layer_norm_epsilon", json!(-1), &["layer_norm_epsilon"], "1e-5"),
        ("gpt2-tiny", "activation_function", json!("gelu_no"), &["activation_f"], "\"gelu_new\"?"),
        (
            "gpt2-tiny",
            "scale_attn_by_inverse_layer_idx",
            json!(true),
            &["inverse_layer"],
            "without",
        ),
        ("gpt2-tiny", "add_cross_attention", json!(true), &["add_cross_attention"], "without"),
        ("gpt2-tiny", "quantization_config", json!({"bits": 4}), &["quantization"], "without"),
        (
            "gpt2-tiny",
            "tie_word_embeddings",
            json!("no"),
            &["tie_word_emb", "true or f"],
            "trained",
        ),
        (
            "llama-tiny",
            "rope_parameters",
            json!({"rope_type": "yarm", "factor": 4}),
            &["rope_parameters.rope_type", "yarm"],
            "\"yarn\"?",
        ),
        ("llama-tiny", "rope_scaling", json!({"type": "linear"}), &["scaling.factor"], "add"),
        (
            "llama-tiny",
            "rope_scaling",
            json!({"type": "linear", "factor": -1}),
            &["rope_parameters: ", "Linear(-1"],
            "above 0",
        ),
        (
            "llama-tiny",
            "rope_scaling",
            json!({"type": "longrope", "short_factor": [1], "long_factor": [2], "factor": 2}),
            &["rope_parameters: ", "does not scale"],
            "for each pair",
        ),
        ("llama-tiny", "num_local_experts", json!(8), &["num_local_experts: "], "without it"),
        ("gpt2-tiny", "model_type", json!("gemma3"), &["model_type"], "mean \"gemma"),
        ("llama-tiny", "rope_parameters", json!({"rope_theta": 0}), &["rope_theta"], "10000"),
        ("llama-tiny", "rope_parameters", json!("no"), &["rope_parameters: must be an o"], "set"),
        ("llama-tiny", "num_key_value_heads", json!(3), &["key_value_heads: 3 does"], "equally"),
        ("llama-tiny", "head_dim", json!(7), &["partial_rotary_factor: 7 of"], "even number"),
        ("gpt-neox-tiny", "use_parallel_residual", json!(1), &["true or false, got 1"], "trained"),
        ("tracr/trend", "attention_dir", json!("both"), &["attention_dir"], "causal"),
        ("tracr/trend", "normalization_type", json!("BN"), &["normalization"], "LNPre"),
        ("tracr/trend", "positional_embedding_type", json!("alibi"), &["alibi"], "rotary"),
        ("tracr/trend", "attn_scale", json!(0), &["attn_scale: must be"], "root of d_head"),
        ("tracr/trend", "use_local_attn", json!(true), &["use_local_attn"], "without"),
    ];
    for (fixture, key, value, parts, help) in cases {
        refused(fixture, key, value, parts, help);
    }
    for text in ["[]", "3", "", "{", "\u{0}", "{\"model_type\": \"llama\"}"] {
        place.write("m/config.json", text);
        assert_eq!(place.run(RUN_M).messages().len(), 2, "{text}");
        assert_eq!(place.run("info m").code, 2, "{text}");
    }
}

#[test]
fn weights_of_transformers() {
    let place = place();
    place.write("t.jsonl", "[1, 2]");
    let file = "m/model.safetensors";
    let wrong = |parts: &[&str], help: &str| {
        place.run(RUN_M).failed(2, &[&["m/"], parts].concat(), help);
        assert!(!place.path("l.safetensors").exists());
    };
    /// Changes a tensor of a name, and says whether it stays.
    type Change<'a> = &'a dyn Fn(&str, &mut Vec<usize>, &mut Vec<f64>) -> bool;
    let spoil = |change: Change<'_>| {
        model_in(&place, "llama-tiny", |_| {});
        let from = Tensors::read(place.path(file)).expect("a fixture");
        let mut list = vec![];
        for name in from.names() {
            let (mut shape, mut numbers) = from.get_f64(&name).expect("numbers");
            if change(&name, &mut shape, &mut numbers) {
                list.push(Tensor::new(&name, &shape, &numbers));
            }
        }
        write(place.path(file), &list, &Default::default()).expect("writable");
    };
    let (k, norm) = ("model.layers.1.self_attn.k_proj.weight", "model.norm.weight");
    spoil(&|name, _, _| name != k);
    wrong(&["`model.layers.1.self_attn.k_proj.weight`: is missing"], "did you mean");
    spoil(&|name, shape, _| {
        if name == k {
            shape.reverse();
        }
        true
    });
    wrong(&["k_proj.weight`: expected shape [16, 32], got [32, 16]"], "sizes");
    spoil(&|name, _, numbers| {
        if name == norm {
            numbers[3] = f64::INFINITY;
        }
        true
    });
    wrong(&["`model.norm.weight`: number [3] of [32] is not finite"], "diverged");
    // What this kind of model does not have would be left out without a word.
    model_in(&place, "llama-tiny", |config| config["num_hidden_layers"] = 1.into());
    wrong(&["`model.layers.1.input_layernorm.weight`: is no parameter"], "config.json");
    model_in(&place, "llama-tiny", |config| config["num_hidden_layers"] = 3.into());
    wrong(&["`model.layers.2.input_layernorm.weight`: is missing"], "did you mean");
    model_in(&place, "llama-tiny", |config| config["hidden_size"] = 64.into());
    wrong(&["`model.embed_tokens.weight`: expected shape [48, 64], got [48, 32]"], "sizes");
    model_in(&place, "llama-tiny", |config| config["tie_word_embeddings"] = true.into());
    wrong(&["`lm_head.weight`: differs from model.embed_tokens.weight"], "make them equal");
    let bytes = std::fs::read(place.path(file)).expect("a fixture");
    place.write(file, &bytes[..bytes.len() / 2]);
    wrong(&["model.safetensors: holds "], "whole .safetensors");
    place.write(file, "");
    wrong(&["model.safetensors: is cut off"], "whole .safetensors");
    std::fs::remove_file(place.path(file)).expect("there");
    wrong(&["model.safetensors: cannot read it"], "check the path");
    for (index, part) in [
        ("{}", "weight_map"),
        (r#"{"weight_map": {"a": "../../secret.safetensors"}}"#, "files of this folder"),
        (r#"{"weight_map": {"a": "gone.safetensors"}}"#, "gone.safetensors: cannot read it"),
    ] {
        place.write("m/model.safetensors.index.json", index);
        wrong(&[part], "");
    }
}

#[test]
fn running_a_transformer() {
    let place = place();
    model_in(&place, "gpt2-tiny", |_| {});
    let tokens = |text: &str, parts: &[&str], help: &str| {
        place.write("t.jsonl", text);
        place.run(RUN_M).failed(2, &[&["t.jsonl"], parts].concat(), help);
        assert!(!place.path("l.safetensors").exists());
    };
    tokens("[1]\n[]\n", &["line 2", "has 0 ids", "takes 1 to 16"], "length");
    let long = format!("[1]\n\n{:?}", vec![1; 17]);
    tokens(&long, &["line 3", "has 17 ids", "takes 1 to 16"], "length");
    tokens("[1, 2]\n[1, 50]", &["line 2", "id 50"], "0 to 49");
    tokens("", &["holds no sequence"], "list of token ids");
    let logits = || Tensors::read(place.path("l.safetensors")).expect("logits");
    place.write("t.jsonl", "[1, 2, 3]\n[4, 5, 6]");
    place.succeed(&format!("{RUN_M} --dtype f64"));
    let (shape, same) = logits().get_f64("logits").expect("one tensor");
    assert_eq!(shape, [2, 3, 50]);
    // Of several lengths: each for itself, and the same numbers.
    place.write("t.jsonl", "[9]\n[1, 2, 3]\n[4, 5]\n[4, 5, 6]\n[4]");
    place.succeed(&format!("{RUN_M} --dtype f64"));
    let file = logits();
    assert_eq!(file.names(), [0, 1, 2, 3, 4].map(|i| format!("logits.{i}")));
    assert_eq!(file.get_f64("logits.1").expect("a tensor"), (vec![3, 50], same[..150].to_vec()));
    assert_eq!(file.get_f64("logits.3").expect("a tensor").1, same[150..]);
    let (shape, shorter) = file.get_f64("logits.2").expect("a tensor");
    assert_eq!((shape, &shorter[..]), (vec![2, 50], &same[150..250]));
    std::fs::remove_file(place.path("l.safetensors")).expect("written");
    let info = place.succeed("info m");
    assert!(info.contains("transformer") && info.contains("blocks.1.mlp.W_in"), "{info}");
}

/// A pair for gpt2-tiny, which reads 16 tokens of 50.
const PAIR: &str = r#"{"clean": [1, 2, 3], "corrupted": [4, 2, 3], "answer": 7, "distractor": 8}"#;

const ATTRIBUTE: &str = "attribute --threads 1 --model m --pairs p.jsonl --out s.json";
const INTERACTIONS: &str = "interactions --threads 1 --model m --pairs p.jsonl --out s.json";

/// Both commands refuse the pairs, name their line, and write nothing.
#[track_caller]
fn refused_pairs(place: &Place, text: &str, parts: &[&str], help: &str) {
    place.write("p.jsonl", text);
    for command in [ATTRIBUTE, INTERACTIONS] {
        place.run(command).failed(2, &[&["p.jsonl: "], parts].concat(), help);
        assert!(!place.path("s.json").exists(), "{command}: scores of nothing");
    }
}

#[test]
fn pairs_of_a_transformer() {
    let place = Place::new("");
    model_in(&place, "gpt2-tiny", |_| {});
    let wrong = |from: &str, to: &str, parts: &[&str], help: &str| {
        assert!(PAIR.contains(from));
        let text = format!("{PAIR}\n\n{}\n", PAIR.replace(from, to));
        refused_pairs(&place, &text, &[&["line 3: "], parts].concat(), help);
    };
    wrong("[4, 2, 3]", "[4, 2]", &["`clean` has 3 tokens, `corrupted` has 2"], "same length");
    wrong("[1, 2, 3]", "[1, 50, 3]", &["`clean`", "50"], "to 49");
    wrong("[4, 2, 3]", "[4, -2, 3]", &["`corrupted`", "-2"], "whole numbers from 0");
    wrong("\"answer\": 7", "\"answer\": 50", &["`answer`", "50"], "0 to 49");
    wrong(
        "\"answer\": 7",
        "\"answer\": 8",
        &["token 8 is in `answer` and in `distr"],
        "change one",
    );
    wrong("\"answer\": 7", "\"answer\": [6, 8]", &["token 8"], "change one");
    wrong("\"answer\"", "\"answers\"", &["`answer` is missing"], "it has `answers`");
    wrong("\"answer\": 7", "\"position\": 3, \"answer\": 7", &["`position`: 3"], "from 0 to 2");
    wrong("}", "", &["is not JSON: EOF"], "on each line");
    wrong(PAIR, "[1, 2]", &["is not a JSON object"], "on each line");
    wrong(PAIR, "\u{0}", &["is not JSON"], "on each line");
    let outputs =
        r#"{"clean": [1], "corrupted": [2], "clean_output": [1], "corrupted_output": [2]}"#;
    wrong(PAIR, outputs, &["asks for outputs, but line 1"], "a file of their own");
    refused_pairs(&place, "", &["holds no pair"], "on each line");
    refused_pairs(&place, "\n \n", &["holds no pair"], "on each line");
    let long = PAIR.replace("2, 3]", &format!("{}]", ["5"; 16].join(", ")));
    refused_pairs(&place, &long, &["line 1: has 17 tokens, the model reads at most 16"], "shorten");
    let done = place.run(&ATTRIBUTE.replace("p.jsonl", "no.jsonl"));
    done.failed(2, &["no.jsonl: cannot read it"], "check the path");
    place.run(&ATTRIBUTE.replace("p.jsonl", "m")).failed(2, &["m: cannot read it"], "not a folder");

    // Nothing is corrupted, so that nothing can be attributed.
    let same = PAIR.replace("[4, 2, 3]", "[1, 2, 3]");
    let parts = ["line 1: the clean and the corrupted `logit-diff` are equal", "is undefined"];
    refused_pairs(&place, &same, &parts, "changes the answer");
    // A and B against B and A.
    let swapped = PAIR.replace("[1, 2, 3]", "[9]").replace("[4, 2, 3]", "[1, 2, 3]");
    let swapped = swapped.replace("[9]", "[4, 2, 3]");
    refused_pairs(&place, &format!("{PAIR}\n{swapped}"), &["equal on average"], "changes the answ");

    let several = format!("{PAIR}\n{}", PAIR.replace("2, 3]", "2]"));
    place.write("p.jsonl", several);
    for command in [ATTRIBUTE, INTERACTIONS] {
        let done = place.run(&format!("{command} --positions"));
        let parts = ["p.jsonl: line 2: 2 tokens where the first pair has 3"];
        done.failed(2, &parts, "leave out --positions");
        let done = place.run(&format!("{command} --metric prob-diff --at all"));
        done.failed(2, &["p.jsonl: `prob-diff` at all positions"], "asked positions");
    }
    place.succeed(ATTRIBUTE);
}

/// One pair that is not there, that cannot be looked at, or a model that has no heads.
#[test]
fn pairs_and_models_to_look_at() {
    const LOOK: &str = "look --model m --pairs p.jsonl --out l.json";
    let place = place();
    let wrong = |more: &str, parts: &[&str], help: &str| {
        place.run(&format!("{LOOK} {more}")).failed(2, parts, help);
        assert!(!place.path("l.json").exists());
    };
    model_in(&place, "gpt2-tiny", |_| {});
    place.write("p.jsonl", format!("{PAIR}\n\n{PAIR}\n"));
    wrong("--pair 2", &["p.jsonl: --pair 2 of 2 pairs"], "count from 0 to 1");
    wrong("--pair 18446744073709551615", &["p.jsonl: --pair 1844", "2 pairs"], "from 0 to 1");
    for metric in ["kl", "l2"] {
        wrong(&format!("--metric {metric}"), &["metric: ", "flat at the clean run"], "logit-diff");
    }
    place.succeed(&format!("{LOOK} --pair 1"));
    std::fs::remove_file(place.path("l.json")).expect("written");
    place.write("m/vocab.json", "{}}");
    wrong("", &["m/vocab.json: is not JSON"], "ids for words");
    std::fs::remove_file(place.path("m/vocab.json")).expect("there");
    let text = r#"{"clean": "a b", "corrupted": "a c", "answer": 7, "distractor": 8}"#;
    place.write("p.jsonl", text);
    wrong("", &["p.jsonl: line 1: `clean`: m/tokenizer.json: is missing"], "give token ids");
    let outputs = r#"{"clean": [1, 2], "corrupted": [1, 3], "clean_output": [1, 2], "corrupted_output": [1, 3]}"#;
    place.write("p.jsonl", outputs);
    wrong("", &["p.jsonl: line 1: asks for outputs"], "an answer and a distractor");
    place.write("p.jsonl", PAIR);
    std::fs::remove_dir_all(place.path("m")).expect("there");
    place.succeed("train c.toml --out run");
    std::fs::rename(place.path("run/checkpoints/final"), place.path("m")).expect("a model");
    wrong("", &["m/config.json: model_type: holds a pooled model"], "a transformer");
    place.run(&LOOK.replace("l.json", "no/l.json")).failed(2, &["no/l.json"], "check the path");
}

#[test]
fn models_to_attribute() {
    let place = Place::new("");
    place.write("p.jsonl", PAIR);
    let wrong = |parts: &[&str], help: &str| {
        for command in [ATTRIBUTE, INTERACTIONS] {
            place.run(command).failed(2, parts, help);
            assert!(!place.path("s.json").exists());
        }
    };
    wrong(&["m: there is no such folder, and no such model in the cache"], "a GGUF file");
    model_in(&place, "gpt2-tiny", |_| {});
    let config = std::fs::read(place.path("m/config.json")).expect("a fixture");
    place.write("m/config.json", &config[..config.len() / 2]);
    wrong(&["m/config.json: "], "");
    model_in(&place, "gpt2-tiny", |config| config["n_head"] = 5.into());
    wrong(&["m/config.json: n_head: 5 does not divide"], "trained");
    model_in(&place, "gpt2-tiny", |_| {});
    let weights = std::fs::read(place.path("m/model.safetensors")).expect("a fixture");
    place.write("m/model.safetensors", &weights[..weights.len() - 1]);
    wrong(&["m/model.safetensors: holds "], "whole .safetensors");
    std::fs::remove_file(place.path("m/model.safetensors")).expect("there");
    wrong(&["m/model.safetensors: cannot read it"], "check the path");
}

/// Logits above 3.4e38 are infinite in single precision and fine in double.
#[test]
fn a_metric_that_is_no_number() {
    let place = Place::new("");
    place.write("p.jsonl", format!("{PAIR}\n{PAIR}"));
    model_in(&place, "gpt2-tiny", |_| {});
    let from = Tensors::read(place.path("m/model.safetensors")).expect("a fixture");
    let huge = |name: &String| {
        let (shape, mut numbers) = from.get_f64(name).expect("numbers");
        if name.ends_with("ln_f.weight") {
            numbers.iter_mut().for_each(|x| *x = 3e38);
        }
        Tensor::new(name, &shape, &numbers)
    };
    let list: Vec<Tensor> = from.names().iter().map(huge).collect();
    write(place.path("m/model.safetensors"), &list, &Default::default()).expect("writable");
    for method in ["eap", "exact", "mask-ig"] {
        let done = place.run(&format!("{ATTRIBUTE} --method {method}"));
        done.failed(1, &["p.jsonl: line 1: the `logit-diff` of the clean run is "], "--dtype f64");
        assert!(!place.path("s.json").exists());
    }
    place.succeed(&format!("{ATTRIBUTE} --dtype f64"));
}

/// A file of tensors that are no constants.
fn other_tensors() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpt2-tiny");
    std::fs::read(path.join("model.safetensors")).expect("a fixture")
}

#[test]
fn arguments_of_attribute() {
    let place = Place::new("");
    place.write("p.jsonl", PAIR);
    model_in(&place, "gpt2-tiny", |_| {});
    let attribute = |more: &str| place.run(&format!("{ATTRIBUTE} {more}"));
    for tol in ["0", "-1e-3", "nan", "inf"] {
        attribute(&format!("--tol={tol}")).failed(2, &["--tol: must be above 0"], "1e-8");
    }
    for threshold in ["0", "1", "nan"] {
        let done = place.run(&format!("{INTERACTIONS} --threshold {threshold}"));
        done.failed(2, &["--threshold: must lie between 0 and 1"], "0.1");
    }
    let done = attribute("--baseline constant");
    done.failed(2, &["--baseline constant: needs to know"], "--constants FILE");
    let done = attribute("--constants c.safetensors");
    done.failed(2, &["--constants: are not used by --baseline resample"], "--baseline constant");
    place.write("c.safetensors", other_tensors());
    let done = attribute("--baseline constant --constants c.safetensors");
    done.failed(2, &["c.safetensors: ", "`input`"], "");
    for (name, rules) in [("exact", "ln"), ("random", "gim"), ("shapley", "relp-ah")] {
        let done = attribute(&format!("--method {name} --rules {rules}"));
        let what = format!("--rules {rules}: `{name}` takes no derivative");
        done.failed(2, &[&what], "eap, eap-ig, clean-corrupted");
    }
    for (more, flag, help) in [
        ("--objective cmd", "--objective", "--method matryoshka"),
        ("--method exact --sizes log", "--sizes", "--method matryoshka"),
        ("--method mask-ig --mode necessary", "--mode", "--method matryoshka"),
        ("--held-out 2", "--held-out", "--method matryoshka"),
        ("--method eap --init s.json", "--init", "--method matryoshka"),
        ("--method matryoshka --penalty 1", "--penalty", "--method ugs"),
        ("--method ugs --penalty=-1", "--penalty", "such as 1e-3"),
        ("--method ugs --held-out 8", "--held-out", "hold out fewer"),
        ("--method matryoshka --bootstrap 9", "--bootstrap", "--rankings N"),
    ] {
        attribute(more).failed(2, &[&format!("{flag}: ")], help);
    }
    // The parser of the command line says what it expects, with a usage line of its own.
    for (more, parts) in [
        ("--rules gimm", ["'gimm'", "--rules", "plain, ln, relp, relp-ah, gim"]),
        ("--method eap-gi", ["'eap-gi'", "--method", "eap, eap-ig,"]),
        ("--metric logits", ["'logits'", "--metric", "logit-diff, nll,"]),
        ("--baseline mean-at", ["'mean-at'", "--baseline", "zero, mean,"]),
        ("--at last", ["'last'", "--at", "asked, all"]),
        ("--convention theirs", ["'theirs'", "--convention", "ours, eap-ig"]),
        ("--rule simpson", ["'simpson'", "--rule", "midpoint"]),
        ("--limit 0", ["'0'", "--limit", "not in 1.."]),
        ("--steps 0", ["'0'", "--steps", "1..=1000000"]),
        ("--rows 0", ["'0'", "--rows", "1.."]),
        ("--seed=-1", ["'-1'", "--seed", "invalid digit"]),
        ("--verify 0", ["'0'", "--verify", "1.."]),
    ] {
        let done = attribute(more);
        assert!(done.code == 2 && done.stderr.starts_with("error: "), "{more}: {}", done.stderr);
        for part in parts {
            assert!(done.stderr.contains(part), "{part} is not in {}", done.stderr);
        }
    }
    assert!(!place.path("s.json").exists());
    // Told before the work, not after: the model is not even read.
    std::fs::remove_dir_all(place.path("m")).expect("there");
    for command in [ATTRIBUTE, INTERACTIONS] {
        let done = place.run(&command.replace("s.json", "no/s.json"));
        done.failed(2, &["no/s.json: cannot write it"], "check the path");
        place.write("full/x", "");
        let done = place.run(&command.replace("s.json", "full"));
        done.failed(2, &["full: cannot write it"], "not a folder");
    }
    // What was there stays.
    place.write("s.json", "mine");
    let before = place.files("");
    attribute("").failed(2, &["s.json: is there"], "--force");
    attribute("--force").failed(2, &["m: there is no such folder"], "a GGUF file");
    assert!(place.files("") == before);
}

/// Options of the adversary and files of masks.
#[test]
fn adversaries() {
    let place = Place::new("");
    place.write("p.jsonl", PAIR);
    model_in(&place, "gpt2-tiny", |_| {});
    place.succeed(&format!("{ATTRIBUTE} --method random"));
    let evaluate = |more: &str| {
        place.run(&format!(
            "evaluate --threads 1 --model m --pairs p.jsonl --circuit s.json --out e.json {more}"
        ))
    };
    place.write("no-masks.json", r#"{"edges": {}}"#);
    evaluate("--masks no-masks.json").failed(2, &["key `masks`: is no object"], "--adversary");
    for (mask, got) in [("1.5", "1.5"), ("-0.1", "-0.1"), ("null", "null"), ("NaN", "null")] {
        place.write("masks.json", format!(r#"{{"masks": {{"input->m0": {mask}}}}}"#));
        let parts = ["key `masks.input->m0`", "must be from 0 to 1", got];
        evaluate("--masks masks.json").failed(2, &parts, "--adversary");
    }
    place.write("masks.json", r#"{"masks": {"input->m7": 0.5}}"#);
    let parts = ["masks.json: has the edge `input->m7`, which the graph does not have"];
    evaluate("--masks masks.json").failed(2, &parts, "this model");
    place.write("masks.json", "{");
    evaluate("--masks masks.json").failed(2, &["masks.json", "is not JSON"], "--adversary");
    place.write("other.jsonl", PAIR.replace("[4, 2, 3]", "[4, 2]"));
    let parts = ["other.jsonl: line 1", "same length"];
    evaluate("--adversary --held-out other.jsonl").failed(2, &parts[..1], parts[1]);
    assert!(!place.path("e.json").exists());
    for (more, part) in [
        ("--starts 3", "--adversary"),
        ("--adversary --starts 0", "1.."),
        ("--held-out p.jsonl", "--adversary"),
    ] {
        let done = evaluate(more);
        assert!(done.code == 2 && done.stderr.contains(part), "{more}: {}", done.stderr);
    }
    place.write("masks.json", r#"{"masks": {"input->m0": 0.5}}"#);
    let done = evaluate("--masks masks.json").stdout;
    assert!(done.contains("with the masks of masks.json: faithfulness"), "{done}");
}

#[test]
fn pairs_of_a_pooled_model() {
    let place = place();
    place.succeed("train c.toml --out run");
    let model = |command: &str| command.replace("--model m", "--model run/checkpoints/final");
    for (length, message) in [(3, "3 tokens; the model reads 4"), (5, "has 5 tokens, the model")] {
        let (clean, corrupted) = (vec![1; length], vec![2; length]);
        place.write(
            "p.jsonl",
            format!(r#"{{"clean": {clean:?}, "corrupted": {corrupted:?}, "answer": 1, "distractor": 2}}"#),
        );
        for command in [ATTRIBUTE, INTERACTIONS] {
            place.run(&model(command)).failed(2, &["p.jsonl: line 1: ", message], "model");
        }
    }
    let pair =
        r#"{"clean": [1, 0, 2, 0], "corrupted": [2, 1, 2, 0], "answer": 1, "distractor": 0}"#;
    place.write("p.jsonl", pair.replace("[2, 1,", "[3, 1,"));
    place.run(&model(ATTRIBUTE)).failed(2, &["line 1: `corrupted`", "3"], "0 to 2");
    let outputs = r#"{"clean": [1, 0, 2, 0], "corrupted": [2, 1, 2, 0], "clean_output": [0, 0, 0, 1], "corrupted_output": [0, 0, 0, 0]}"#;
    let early = pair.replace("\"answer\"", "\"position\": 1, \"answer\"");
    for (text, message) in [(outputs, "outputs at each position"), (&early, "before the end")] {
        place.write("p.jsonl", text);
        let parts = ["p.jsonl: line 1: asks ", message, "one answer"];
        place.run(&model(ATTRIBUTE)).failed(2, &parts, "without a position");
    }
    place.write("p.jsonl", pair);
    let done = place.run(&model(&format!("{ATTRIBUTE} --metric nll --at all")));
    done.failed(2, &["p.jsonl: `nll` at all positions", "one answer"], "asked positions");
    for rules in ["relp-ah", "gim"] {
        let done = place.run(&model(&format!("{ATTRIBUTE} --rules {rules}")));
        done.failed(2, &[&format!("--rules {rules}: is about attention")], "ln or relp");
    }
    place.succeed(&model(&format!("{ATTRIBUTE} --rules relp")));
    for metric in ["logit-diff", "prob-diff", "nll", "kl --at all", "l2 --at all", "l2"] {
        place.succeed(&model(&format!("{ATTRIBUTE} --method exact --metric {metric}")));
    }
}

/// A million edges, one pair and one edge at a time.
#[test]
fn work_for_more_than_a_day() {
    let place = Place::new("");
    model_in(&place, "tracr/trend", |config| {
        for (key, size) in [("n_layers", 2), ("d_mlp", 512)] {
            config[key] = size.into();
        }
    });
    let from = Tensors::read(place.path("m/model.safetensors")).expect("a fixture");
    let mut list = vec![];
    for name in from.names() {
        let (mut shape, _) = from.get_f64(&name).expect("numbers");
        shape.iter_mut().for_each(|n| *n = if *n == 9 { 512 } else { *n });
        let numbers: Vec<f64> = (0..shape.iter().product())
            .map(|i: usize| ((i * 7 % 11) as f64 - 5.0) / 20.0)
            .collect();
        list.push(Tensor::new(&name, &shape, &numbers));
        if name.starts_with("blocks.0.") {
            list.push(Tensor::new(name.replace("blocks.0.", "blocks.1."), &shape, &numbers));
        }
    }
    write(place.path("m/model.safetensors"), &list, &Default::default()).expect("writable");
    let pair = r#"{"clean": [0, 1, 2, 0, 1, 2], "corrupted": [1, 1, 2, 0, 1, 2], "answer": 0, "distractor": 1}"#;
    place.write("p.jsonl", vec![pair; 4000].join("\n"));
    let command = format!("{ATTRIBUTE} --method exact --neurons --positions --rows 1");
    let done = place.run(&command);
    let parts = ["--method exact: ", " edges: would take about ", " days"];
    done.failed(2, &parts, "add --yes to go on");
    assert!(!place.path("s.json").exists());
}

/// All edges of all pairs at once would take terabytes; it is refused by the sum of the sizes,
/// before any of it is asked for.
#[cfg(target_os = "linux")]
#[test]
fn work_that_does_not_fit_in_memory() {
    let place = Place::new("");
    model_in(&place, "gpt2-tiny", |_| {});
    place.write("p.jsonl", vec![PAIR; 20].join("\n"));
    let most = format!("{ATTRIBUTE} --method exact --neurons --positions --rows 16777216");
    let done = place.run(&most);
    done.failed(1, &[" x 3 tokens: needs about ", " of memory, "], "with --rows ");
    assert!(!place.path("s.json").exists());
    // What it suggests is enough.
    let (_, rows) = done.stderr.rsplit_once("--rows ").expect("asserted above");
    let rows: usize = rows.split_whitespace().next().unwrap_or("").parse().expect("a number");
    assert!((3..1 << 24).contains(&rows), "--rows {rows}");
}

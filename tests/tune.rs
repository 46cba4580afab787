//! Tuning through the binary: every method, the grid, a grid that is stopped, and bad input.

mod common;

use common::Place;
use serde_json::Value;
use std::fs;

const TINY: &str =
    "pretrain --steps 3 --layers 2 --heads 2 --d-model 8 --d-mlp 12 --batch 4 --out base";

/// A folder with a base model that knows nothing.
fn place() -> Place {
    let place = Place::new("");
    place.succeed(TINY);
    place
}

const SHORT: &str = "--model base --steps 4 --set batch=6 --set part=4 --set examples=3 --set pairs=3 \
                     --set edges=9 --set every=2 --set look=2 --set rank=2";

fn json(place: &Place, file: &str) -> Value {
    let text = fs::read(place.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    serde_json::from_slice(&text).expect("JSON")
}

/// Every method tunes every kind of model folder that it says it does, and the same on any number
/// of threads.
#[test]
fn methods_leave_a_model_and_figures() {
    let place = place();
    let names = "circuit static random complement lisa full attention bias gradient fisher lora circuit-lora adalora";
    for method in names.split(' ') {
        let tune = format!("tune {SHORT} --task E1 --method {method} --out");
        let text = place.succeed(&format!("{tune} one --threads 1"));
        assert!(text.contains("disagree") && text.contains("\nbase "), "{text}");
        place.succeed(&format!("{tune} two --threads 2"));
        let (one, two) = (place.files("one"), place.files("two"));
        let tensors =
            |files: &common::Files| files[std::path::Path::new("model.safetensors")].clone();
        assert_eq!(tensors(&one), tensors(&two), "{method}");
        assert_ne!(tensors(&one), tensors(&place.files("base")), "{method}");
        let report = json(&place, "one/report.json");
        assert_eq!(report["path"].as_array().map(Vec::len), Some(3), "{method}");
        let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key}"));
        assert!(number("trained") > 0.0 && number("ever_trained") >= number("trained"));
        let circuits = matches!(method, "circuit" | "static" | "random" | "complement");
        // Every circuit that is tuned lies on paths, before the first update as after the last.
        for point in report["path"].as_array().expect("looks") {
            let connectivity = point["circuit"]["connectivity"].as_f64();
            assert_eq!(connectivity, circuits.then_some(1.0), "{method}");
        }
        assert_eq!(text.contains("faithfulness of the circuit: first"), circuits, "{text}");
        assert_eq!(place.path("one/circuit.json").exists(), circuits, "{method}");
        assert_eq!(place.path("one/adapters").exists(), method.ends_with("lora"), "{method}");
        // It is a model like any other.
        assert!(place.succeed("info one").contains("378"));
        for folder in ["one", "two"] {
            fs::remove_dir_all(place.path(folder)).expect("it is there");
        }
    }
}

/// The circuit of one run is what another trains; that of another model is refused.
#[test]
fn circuits_come_from_files() {
    let place = place();
    place.succeed(&format!("tune {SHORT} --task E1 --method static --out one"));
    let short = SHORT.replace("--set edges=9 ", "");
    let again = format!("tune {short} --task E1 --circuit one/circuit.json --out");
    place.succeed(&format!("{again} two"));
    let trained = |run: &str| json(&place, &format!("{run}/report.json"))["ever_trained"].clone();
    assert_eq!(trained("one"), trained("two"));
    let (one, two) = (place.files("one"), place.files("two"));
    let model = std::path::Path::new("model.safetensors");
    assert_eq!(one[model], two[model]);
    place.write("alien.json", r#"{"edges": {"a7.h0->logits": {"in_graph": true}}}"#);
    let alien = again.replace("one/circuit.json", "alien.json");
    place.run(&format!("{alien} three")).failed(2, &["alien.json"], "");
    assert!(!place.path("three").exists());
}

#[test]
fn force_replaces_a_tuned_model_alone() {
    let place = place();
    let tune = format!("tune {SHORT} --task E1 --method full --out one");
    place.succeed(&tune);
    let before = place.files("one");
    place.run(&tune).failed(2, &["one: exists already"], "--force");
    place.succeed(&format!("{tune} --force --lr 1e-2"));
    assert_ne!(place.files("one"), before);
    let own = tune.replace("--model base", "--model one");
    place.run(&format!("{own} --force")).failed(2, &["one: is read by"], "another --out");
    place.write("one/notes.txt", "mine");
    let whole = place.files("one");
    place.run(&format!("{tune} --force")).failed(2, &["one/notes.txt: is no file"], "away");
    assert_eq!(place.files("one"), whole);
}

#[test]
fn options_of_the_circuit_are_taken() {
    let place = place();
    for (i, options) in [
        "--task E2 --set beta=0.3 --set counted=\"outcome\" --set asked_weight=2.0",
        "--task E3 --select nodes --set attribution=\"eap-ig\" --set leaving=\"keep\"",
        "--task E4 --select threshold --edges 1e-9 --set baseline=\"mean\" --set layers=[0,1]",
        "--task E5 --select faithfulness --edges 0.5 --set optimizer=\"sgd\" --set random_share=0.2",
        "--task E1 --set masked=true --set baseline=\"mean\" --set smoothing=[0.8,0.8]",
        "--task E1 --set edges_start=30.0 --set edges_steps=4 --set ramp=\"cosine\" --set probe=2",
        "--task E1 --set norms=true --set embeddings=true --set unembedding=true --set biases=false",
        "--task E1 --set metric=\"nll\" --set positions=\"all\" --set baseline=\"zero\"",
        "--task E1 --method random --set drawn=\"turnover\" --set placed=\"in-layer\"",
        "--task E1 --set circuit_of=\"E4\" --set leaving=\"keep\"",
        "--task E1 --method static --set trial=2 --set trial_rate=0.1",
        "--task E1 --method circuit-lora --set ranks=\"change\" --set trial=2",
        "--task E1 --method full --set grafts=3",
        "--task E1 --set probe=2 --set null_runs=2",
    ]
    .into_iter()
    .enumerate()
    {
        place.succeed(&format!("tune {SHORT} {options} --seeds 2 --out out{i}"));
        for seed in ["00", "01"] {
            let report = json(&place, &format!("out{i}/seed-{seed}/report.json"));
            assert!(report["trained"].as_f64().is_some_and(|n| n > 0.0), "{options}");
        }
    }
    let curve = json(&place, "out12/seed-00/report.json")["graft_curve"].clone();
    let sizes: Vec<_> = (0..3).map(|i| curve[i]["numbers"].as_u64().expect("a size")).collect();
    assert_eq!([sizes[0] / 2, sizes[1] / 2], [sizes[1], sizes[2]]);
    let edges = json(&place, "out13/seed-00/dynamics.json")["edges"].clone();
    let edges = edges.as_object().expect("edges").clone();
    // The least p-value is that of what is larger than the slopes of all edges of both runs.
    let least = 1.0 / (1.0 + 2.0 * edges.len() as f64);
    let p = |e: &Value| e["trend"]["p"].as_f64().expect("a p-value");
    assert!(edges.values().all(|e| p(e) >= least * (1.0 - 1e-12)));
    let dynamics = json(&place, "out5/seed-00/dynamics.json");
    assert_eq!(dynamics["steps"], serde_json::json!([0, 2, 4]));
    let edges = dynamics["edges"].as_object().expect("edges");
    assert!(edges.values().all(|e| e["scores"].as_array().map(Vec::len) == Some(3)));
}

const GRID: &str = r#"
model = "base"
seeds = 2
equal_gain = false
[common]
task = "E1"
steps = 4
batch = 4
examples = 3
pairs = 3
edges = 9
look = 4
[[methods]]
name = "circuit"
method = "circuit"
learning_rates = [1e-3, 1e-2]
[[methods]]
name = "random"
method = "random"
learning_rates = [1e-3, 1e-2]
[[methods]]
name = "wild"
method = "full"
optimizer = "sgd"
clip = 0.0
warmup = 0
lr = 1e9
"#;

/// What a run measured of the clock is another each time.
fn without_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(entries) => {
            entries.remove("step_ms");
            entries.values_mut().for_each(without_times);
        }
        serde_json::Value::Array(entries) => entries.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// A method that diverges is told, and the others are compared. A grid that was stopped goes on
/// with what is missing and comes to the same.
#[test]
fn grids_go_on_where_they_were() {
    let place = place();
    place.write("grid.toml", GRID);
    let text = place.succeed("tune-compare grid.toml --out grid");
    assert!(text.contains("wild: 2 of 2 runs diverged"), "{text}");
    assert!(text.contains("circuit - random, seed by seed"), "{text}");
    assert!(text.contains("2 seeds of one base model: an interval takes 3 seeds"), "{text}");
    assert!(!text.contains("at equal gain"), "{text}");
    let mut before = place.files("grid");
    let comparison = std::path::Path::new("comparison.json");
    assert_eq!(before.len(), 2 * (2 + 2) + 2 + 1);
    // As if it had been killed: two runs and the table are missing, one file was half written.
    for file in ["circuit/seed-01.json", "random/lr-1e-2.json", "comparison.json"] {
        fs::remove_file(place.path("grid").join(file)).expect("it is there");
    }
    place.succeed("tune-compare grid.toml --out grid --threads 1");
    let mut after = place.files("grid");
    let timeless = |text: &[u8]| {
        let mut value = serde_json::from_slice(text).expect("JSON");
        without_times(&mut value);
        value
    };
    let (a, b) = (before.remove(comparison), after.remove(comparison));
    assert_eq!(a.map(|t| timeless(&t)), b.map(|t| timeless(&t)));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, text) in before {
        assert_eq!(timeless(&text), timeless(&after[&name]), "{}", name.display());
    }
    // Other settings are not mixed with those that are there.
    place.write("grid.toml", GRID.replace("edges = 9", "edges = 8"));
    let help = "another --out";
    place.run("tune-compare grid.toml --out grid").failed(2, &["other settings"], help);
    // Nor are runs of another base model in the same folder.
    place.write("grid.toml", GRID);
    place.succeed(&format!("{TINY} --seed 1 --force"));
    let parts = ["circuit/lr-1e-3.json", "`model` is another file"];
    place.run("tune-compare grid.toml --out grid").failed(2, &parts, help);
    // Unless all are to be replaced; what is no run stays.
    place.write("grid/circuit/notes.txt", "mine");
    place.write(
        "grid/old/seed-07.json",
        fs::read(place.path("grid/wild/seed-00.json")).expect("a run"),
    );
    place.succeed("tune-compare grid.toml --out grid --force");
    let mut replaced = place.files("grid");
    let notes = replaced.remove(std::path::Path::new("circuit/notes.txt"));
    assert_eq!(notes.as_deref(), Some(&b"mine"[..]));
    replaced.remove(comparison).expect("a comparison");
    assert_eq!(replaced.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    place.succeed("tune-compare grid.toml --out grid");
}

const STUDY: &str = r#"
[pretrain]
steps = 2
layers = 2
heads = 2
d_model = 8
d_mlp = 12
batch = 4
[[experiments]]
grid = "grid.toml"
bases = 3
"#;

/// A study says what it costs, goes on where it was, and grows; below three base models it has no
/// intervals. At equal gain controls have the rate of their method, and runs of equal rates are
/// one.
#[test]
fn studies_grow_by_base_models() {
    let place = place();
    let control = "name = \"random\"\nmethod = \"random\"\nrates_of = \"circuit\"";
    let random = "name = \"random\"\nmethod = \"random\"\nlearning_rates = [1e-3, 1e-2]";
    let grid = GRID.replace(random, control).replace("equal_gain = false\n", "");
    place.write("grid.toml", grid.replace("lr = 1e9", "lr = 1e-3"));
    place.write("study.toml", STUDY);
    let two = place.run("tune-study study.toml --out study --bases 2");
    assert!(two.code == 0 && two.stdout.contains("an interval takes 3 base models"), "{two:?}");
    assert!(two.stderr.contains("2 base models, 4 steps of pre-training; "), "{two:?}");
    let before = place.files("study");
    let three = place.run("tune-study study.toml --out study");
    assert!(three.stdout.contains("means of 3 base models with 2 seeds each: [95 %"), "{three:?}");
    assert!(three.stdout.contains("at equal gain: each at its smallest rate"), "{three:?}");
    assert!(three.stdout.contains("p: Student's t, adjusted for these"), "{three:?}");
    let after = place.files("study");
    let kept = |(name, _): &(&std::path::PathBuf, _)| !name.ends_with("comparison.json");
    for (name, text) in before.iter().filter(kept) {
        assert_eq!(text, &after[name], "{}", name.display());
    }
    for base in 0..3 {
        let comparison = json(&place, &format!("study/grid/base-0{base}/comparison.json"));
        for rows in [&comparison["rows"], &comparison["equal_gain"]["rows"]] {
            assert_eq!(rows[0]["lr"], rows[1]["lr"], "base {base}");
            assert_eq!(rows[0]["reports"].as_array().map(Vec::len), Some(2));
            // Held-out items are drawn anew for each seed.
            let before = |seed: usize| rows[0]["reports"][seed]["path"][0]["judgement"].clone();
            assert_ne!(before(0), before(1));
        }
    }
    // Base models of other settings are not mixed with these, and replaced when told to.
    place.write("study.toml", STUDY.replace("steps = 2", "steps = 1"));
    let other = place.run("tune-study study.toml --out study");
    let told = "base-00/pretrain.json: was made with other settings: steps 2, now 1\nhelp: ";
    assert!(other.code == 2 && other.stderr.contains(told), "{other:?}");
    place.write("study/bases/base-01/notes.txt", "mine");
    let foreign = place.run("tune-study study.toml --out study --force");
    let told = "notes.txt: is no file of a base model, so its folder is not replaced\nhelp: ";
    assert!(foreign.code == 2 && foreign.stderr.contains(told), "{foreign:?}");
    fs::remove_file(place.path("study/bases/base-01/notes.txt")).expect("it is there");
    assert_eq!(place.files("study"), after);
    place.succeed("tune-study study.toml --out study --force --bases 1");
    assert!(place.path("study/bases/base-00").exists());
    assert!(!place.path("study/bases/base-01").exists());
    for (change, parts) in [
        (("bases = 3", "bases = 0"), &["study.toml: experiments.0.bases", "at least 1"][..]),
        (("grid.toml", "nowhere.toml"), &["nowhere.toml"]),
        (("[pretrain]", "[pretraining]"), &["pretraining", "unknown key"]),
        (("heads = 2", "heads = 3"), &["study.toml", "--heads"]),
    ] {
        place.write("study.toml", STUDY.replacen(change.0, change.1, 1));
        place.run("tune-study study.toml --out out").failed(2, parts, "");
        assert!(!place.path("out").exists(), "{change:?}");
    }
}

/// The first circuit is the one before any update, however often it is found again until the first
/// look.
#[test]
fn the_first_circuit_is_that_of_the_base_model() {
    let place = place();
    let tune = format!("tune {SHORT} --task E1 --lr 0.1 --set look=4 --method");
    place.succeed(&format!("{tune} circuit --set every=1 --out again"));
    place.succeed(&format!("{tune} static --out once"));
    let scores = |file: &str| json(&place, file)["edges"].clone();
    assert_eq!(scores("again/circuit-first.json"), scores("once/circuit.json"));
    assert_ne!(scores("again/circuit.json"), scores("once/circuit.json"));
}

/// As of a training, the exit code tells; what was good before is kept.
#[test]
fn a_run_that_diverges_fails() {
    let place = place();
    let done = place.run(&format!("tune {SHORT} --task E1 --method full --lr 1e30 --out out"));
    done.failed(1, &["out: seed 0 diverged at update"], "--lr");
    assert!(json(&place, "out/report.json")["diverged"].is_u64());
}

#[test]
fn bad_input() {
    let place = place();
    let tune = |rest: &str| format!("tune --model base --task E1 {rest} --out out");
    for (arguments, parts, help) in [
        (tune("--edges 100000"), &["edges", "there are 46"][..], "fewer"),
        (tune("--select share --edges 0.01"), &["edges", "no path"], "of the parameters"),
        (tune("--every 0"), &["--every", "at least 1, got 0"], "every = 1"),
        (tune("--method lora --rank 50"), &["rank", "50"], ""),
        (tune("--lr 0"), &["--lr", "above 0"], "lr = 0.001"),
        (tune("--lr nan"), &["--lr", "above 0"], "lr = 0.001"),
        (tune("--set speed=3"), &["--set speed", "unknown key"], "GUIDE.md"),
        (tune("--set edges"), &["--set edges", "has no `=`"], "lr=1e-3"),
        (tune("--set method=\"best\""), &["best", "circuit, static"], "GUIDE.md"),
        (tune("--set beta=0.1"), &["beta", "E2"], "leave"),
        (tune("--set masked=true"), &["masked", "baseline"], "mean"),
        (tune("--set trial=4"), &["trial", "static circuits"], "leave"),
        (tune("--method static --steps 3 --set trial=4"), &["trial", "which has 3"], "lower"),
        (tune("--method lora --set ranks=\"change\""), &["ranks", "circuit-lora"], "leave"),
        (tune("--method circuit-lora --set ranks=\"change\""), &["ranks", "trial"], "trial = 4"),
        (tune("--set null_runs=2"), &["null_runs", "scored"], "probe = 16"),
        (tune("--set circuit_of=\"own\""), &["circuit_of", "generated"], "E1 to E5"),
        ("tune --model nowhere --task E1 --out out".into(), &["nowhere"], ""),
        ("tune --model base --task E1 --out base".into(), &["base", "exists"], "--out"),
        ("tune-compare nowhere.toml --out out".into(), &["nowhere.toml"], ""),
    ] {
        place.run(&arguments).failed(2, parts, help);
        assert!(!place.path("out").exists(), "{arguments} left a folder");
    }
    // Unknown names are clap's to refuse.
    for name in ["--task E9", "--method magic"] {
        assert_eq!(place.run(&format!("tune --model base {name} --out out")).code, 2);
    }
    for (change, parts) in [
        (("seeds = 2", "seeds = 0"), &["grid.toml", "seeds"][..]),
        (("name = \"random\"", "name = \"circuit\""), &["methods.1", "twice"]),
        (("name = \"random\"", "name = \"../up\""), &["methods.1", "name"]),
        (("edges = 9", "edgess = 9"), &["grid.toml: common.edgess", "unknown key"]),
        (("[1e-3, 1e-2]", "[0.0]"), &["learning_rates"]),
        (("[common]", "[commons]"), &["commons", "unknown key"]),
        (("lr = 1e9", "rates_of = \"nothing\""), &["methods.2.rates_of", "no method above"]),
        (("[1e-3, 1e-2]", "[1e-3]\nrates_of = \"all\""), &["methods.0.rates_of"]),
    ] {
        place.write("grid.toml", GRID.replacen(change.0, change.1, 1));
        place.run("tune-compare grid.toml --out out").failed(2, parts, "");
        assert!(!place.path("out").exists(), "{change:?}");
    }
    // A model that speaks another language.
    place.succeed(
        "pretrain --steps 1 --layers 1 --heads 1 --d-model 4 --d-mlp 4 --batch 2 --out other",
    );
    let config = fs::read_to_string(place.path("other/config.json")).expect("a configuration");
    place.write("other/config.json", config.replace("\"n_ctx\": 32", "\"n_ctx\": 31"));
    assert_eq!(place.run("tune --model other --task E1 --out out").code, 2);
}

/// The folder of a fixture, as an argument.
fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

const OWN_PAIRS: &str = "--pairs train.jsonl --dev dev.jsonl --steps 4 --set batch=3 --set part=2 \
                         --set pairs=3 --set every=2 --set look=2 --set rank=2";

/// A folder with the pairs of a fixture, some to learn and some to be judged by.
fn own_place() -> Place {
    let place = Place::new("");
    let pairs = fs::read_to_string(format!("{}/pairs.jsonl", fixture("gpt2-tiny"))).expect("pairs");
    let lines: Vec<&str> = pairs.lines().collect();
    place.write("train.jsonl", lines[..5].join("\n"));
    // Of the last, the first tokens change places: it is near the first of all.
    let near = lines[0].replacen("[35, 16,", "[16, 35,", 1);
    place.write("dev.jsonl", format!("{}\n{near}", lines[5..].join("\n")));
    place.write("keep.jsonl", "[1, 2, 3, 4]\n[9, 8, 7]\n");
    place
}

/// Pairs of one's own tune any model that can be read, by every method.
#[test]
fn own_pairs_are_learned() {
    let place = own_place();
    let tune = format!("tune --model {} {OWN_PAIRS}", fixture("gpt2-tiny"));
    for method in ["circuit", "random", "gradient", "circuit-lora"] {
        let done = place.run(&format!("{tune} --method {method} --keep keep.jsonl --out out"));
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("1 of 4 pairs have the tokens of a training pair"));
        assert!(done.stdout.starts_with("train.jsonl: 5 pairs, 4 of dev, 2 sequences to keep"));
        let report = json(&place, "out/report.json");
        assert_eq!(report["settings"]["task"], "own");
        let judged = |i: usize| &report["path"][i]["judgement"];
        let gap = |i: usize| judged(i)["gap"].as_f64().expect("a gap");
        assert!(gap(2) != gap(0), "{method}");
        assert_eq!(judged(0)["retention"], 1.0);
        let inputs = report["began"]["inputs"].as_object().expect("hashes");
        assert_eq!(inputs.keys().collect::<Vec<_>>(), ["dev", "keep", "model", "pairs"]);
        assert!(place.succeed("info out").contains("transformer"));
        fs::remove_dir_all(place.path("out")).expect("it is there");
    }
    let alone = place.succeed(&format!("{tune} --out alone"));
    assert!(alone.contains("nothing to keep: retention is not measured"), "{alone}");
}

/// The loss on the pairs falls, and with it what is asked of them is learned.
#[test]
fn own_pairs_are_answered_in_the_end() {
    let place = own_place();
    let tune = format!("tune --model {} {OWN_PAIRS}", fixture("gpt2-tiny"));
    let tune = tune.replace("dev.jsonl", "shown.jsonl").replace("--steps 4", "--steps 40");
    // The same pairs, asked at another position of a longer sequence, which no check calls the
    // same.
    let train = fs::read_to_string(place.path("train.jsonl")).expect("pairs");
    let longer = |line: &str| {
        line.replacen("], \"corr", ", 1], \"corr", 1).replacen(
            "], \"ans",
            ", 1], \"position\": -2, \"ans",
            1,
        )
    };
    place.write("shown.jsonl", train.lines().map(longer).collect::<Vec<_>>().join("\n"));
    place.succeed(&format!("{tune} --method full --lr 3e-3 --set warmup=2 --out out"));
    let report = json(&place, "out/report.json");
    let path = report["path"].as_array().expect("looks");
    let target = |point: &Value| point["judgement"]["target"].as_f64().expect("a share");
    assert!(target(&path[0]) < 1.0);
    assert_eq!(target(path.last().expect("a look")), 1.0);
}

/// A grid on pairs of one's own: those of `dev` choose rates, those of `test` judge the seeds.
#[test]
fn grids_take_pairs_of_ones_own() {
    let place = own_place();
    let dev = fs::read_to_string(place.path("dev.jsonl")).expect("pairs");
    let lines: Vec<&str> = dev.lines().collect();
    place.write("dev.jsonl", lines[..2].join("\n"));
    place.write("test.jsonl", lines[2..].join("\n"));
    let grid = format!(
        r#"
model = {:?}
pairs = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"
keep = "keep.jsonl"
seeds = 2
equal_gain = false
[common]
task = "own"
steps = 4
batch = 3
part = 2
pairs = 3
look = 4
[[methods]]
name = "full"
method = "full"
learning_rates = [1e-3, 1e-2]
[[methods]]
name = "circuit"
method = "circuit"
every = 2
lr = 1e-3
"#,
        fixture("gpt2-tiny")
    );
    place.write("grid.toml", &grid);
    let text = place.succeed("tune-compare grid.toml --out grid");
    assert!(text.starts_with("train.jsonl: 5 pairs, 2 of dev, 2 sequences to keep"), "{text}");
    assert!(text.contains("answered") && text.contains("gap gained"), "{text}");
    let comparison = json(&place, "grid/comparison.json");
    assert_eq!(comparison["task"], "own");
    let judged = |file: &str| {
        let report = json(&place, file);
        let of = report["began"]["inputs"]["dev"].as_str().expect("a hash").to_string();
        (of, report["path"][0]["judgement"]["gap"].as_f64().expect("a gap"))
    };
    let (chosen, seeds) = (judged("grid/full/lr-1e-2.json"), judged("grid/full/seed-00.json"));
    assert!(chosen.0 != seeds.0 && chosen.1 != seeds.1, "both are of the same pairs");
    assert_eq!(judged("grid/circuit/seed-01.json"), seeds);
    assert_eq!(comparison["base"]["gap"], seeds.1);
    let base = fixture("gpt2-tiny");
    for (change, parts) in [
        (("task = \"own\"", "task = \"E1\""), &["pairs", "the task is another"][..]),
        (("pairs = \"train.jsonl\"", ""), &["pairs", "is missing"]),
        (("dev = \"dev.jsonl\"", ""), &["dev", "is missing"]),
        (("\"test.jsonl\"", "\"dev.jsonl\""), &["dev.jsonl: line 1", "repeats line 1"]),
        (("\"test.jsonl\"", "\"none.jsonl\""), &["none.jsonl"]),
        ((base.as_str(), "nothing"), &["nothing"]),
    ] {
        place.write("grid.toml", grid.replacen(change.0, change.1, 1));
        place.run("tune-compare grid.toml --out out").failed(2, parts, "");
        assert!(!place.path("out").exists(), "{change:?}");
    }
    place.write("grid.toml", &grid);
    place.write("study.toml", "[[experiments]]\ngrid = \"grid.toml\"\n");
    place.run("tune-study study.toml --out out").failed(2, &["grid.toml"], "tune-compare");
}

#[test]
fn bad_pairs_of_ones_own() {
    let place = own_place();
    let read = |file: &str| fs::read_to_string(place.path(file)).expect("pairs");
    let (train, dev) = (read("train.jsonl"), read("dev.jsonl"));
    // Without what is told before what is wrong.
    let dev: Vec<&str> = dev.lines().take(3).collect();
    let dev = dev.join("\n");
    place.write("dev.jsonl", &dev);
    let pair = |answer: &str, distractor: &str, corrupted: &str| {
        let clean = "[1, 2, 3]";
        format!(
            "{{\"clean\": {clean}, \"corrupted\": {corrupted}, \"answer\": {answer}, \
             \"distractor\": {distractor}}}\n"
        )
    };
    let most = format!("{:?}", (0..50).filter(|&id| id != 7).collect::<Vec<u32>>());
    place.write("repeats.jsonl", format!("{dev}\n\n{}", train.lines().nth(2).expect("a pair")));
    place.write("known.jsonl", pair(&most, "7", "[4, 2, 3]"));
    place.write("alike.jsonl", pair("7", &most, "[1, 2, 3]"));
    place.write("silent.jsonl", "{\"clean\": [1, 2], \"corrupted\": [1, 3]}\n");
    place.write("words.jsonl", "{\"clean\": \"a b\", \"corrupted\": \"a c\", \"answer\": 1}\n");
    place.write("far.jsonl", "[1, 2, 50]\n");
    let model = fixture("gpt2-tiny");
    let tune = |model: &str, pairs: &str, dev: &str, more: &str| {
        format!("tune --model {model} --pairs {pairs} --dev {dev} {more} --steps 2 --out out")
    };
    for (arguments, parts, help) in [
        (
            tune(&model, "train.jsonl", "repeats.jsonl", ""),
            &["line 5", "repeats line 3 of train"][..],
            "judge",
        ),
        (
            tune(&model, "known.jsonl", "dev.jsonl", ""),
            &["known.jsonl", "answers every pair already"],
            "wrong",
        ),
        (tune(&model, "alike.jsonl", "dev.jsonl", ""), &["alike.jsonl", "alike"], "corrupt"),
        (
            tune(&model, "silent.jsonl", "dev.jsonl", ""),
            &["silent.jsonl: line 1", "no answer"],
            "answer",
        ),
        (tune(&model, "words.jsonl", "dev.jsonl", ""), &["words.jsonl: line 1"], ""),
        (
            tune(&model, "train.jsonl", "dev.jsonl", "--keep far.jsonl"),
            &["far.jsonl: line 1", "50"],
            "49",
        ),
        (
            tune(&model, "train.jsonl", "dev.jsonl", "--set counted=\"outcome\""),
            &["counted"],
            "leave",
        ),
        (tune(&fixture("tracr/sort"), "train.jsonl", "dev.jsonl", ""), &["sort"], "decoder"),
        (format!("tune --model {model} --set task=\"own\" --out out"), &["task", "own"], "--pairs"),
    ] {
        place.run(&arguments).failed(2, parts, help);
        assert!(!place.path("out").exists(), "{arguments} left a folder");
    }
    assert_eq!(place.run(&format!("tune --model {model} --pairs train.jsonl --out out")).code, 2);
    // What no pair is answered by is told, and is tuned for.
    place.write("never.jsonl", pair("7", &most, "[4, 2, 3]"));
    let done = place.run(&tune(&model, "never.jsonl", "dev.jsonl", "--method full"));
    assert!(done.code == 0 && done.stderr.contains("answers no pair"), "{}", done.stderr);
}

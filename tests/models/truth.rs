//! Models with known circuits: hand-set ones compute what they claim, activation patching finds the
//! circuits of compiled models, and each kind of method has its blind spots.

use crate::common::Place;
use edgegrad::attribution::interactions::{Relation, patched};
use edgegrad::attribution::method::{Method, Options};
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::truth::case;
use edgegrad::discovery::truth::case::{CIRCUIT, Case};
use edgegrad::discovery::truth::gates::{GateKind, PAIRS};
use edgegrad::discovery::truth::{at_true_size, auroc};
use edgegrad::formats::EdgeFile;
use edgegrad::formats::pairs::{Asked, Bounds, Pairs};
use edgegrad::named::Named;
use edgegrad::nn::transformer::Config;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::patching::subsets;
use edgegrad::rng::{Purpose, Rng};
use edgegrad::tape::Rules;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn gate(name: &str) -> Case<f64> {
    Case::read(&fixture("gates").join(name)).expect("a case")
}

/// The same with its first pairs alone.
fn first_pairs(mut case: Case<f64>, limit: usize) -> Case<f64> {
    let AnyModel::Transformer(model) = &case.model else { panic!("a transformer") };
    let Config { vocab, vocab_out, context, .. } = model.config;
    let bounds = Bounds { vocab, vocab_out, context };
    case.pairs = Pairs::read(case.pairs.place(), &bounds, None, Some(limit)).expect("pairs");
    case
}

fn behaviour(case: &Case<f64>, metric: Metric) -> Behaviour<'_, f64> {
    let question = Question::new(metric, Positions::Asked, case.model.vocab_out(), &case.pairs);
    let question = question.expect("a question");
    Behaviour::new(&case.model, case.graph.clone(), &case.pairs, question, Baseline::Resample)
        .expect("a behaviour")
}

fn scores(case: &Case<f64>, method: Method, metric: Metric) -> Vec<f64> {
    let options = Options { tol: 1e-3, ..method.options() };
    method.scores(&behaviour(case, metric), &options, &mut |_| {}).expect("scores").values
}

/// The names of the edges that `is` true of.
fn names(case: &Case<f64>, is: impl Fn(usize) -> bool) -> Vec<String> {
    (0..case.graph.edges()).filter(|&e| is(e)).map(|e| case.graph.edge(e).to_string()).collect()
}

fn number(case: &Case<f64>, name: &str) -> usize {
    let found = (0..case.graph.edges()).find(|&e| case.graph.edge(e).to_string() == name);
    found.unwrap_or_else(|| panic!("no edge {name}"))
}

/// AUROC of `|score|` and F1 at the true size.
fn judged(case: &Case<f64>, method: Method, metric: Metric) -> (f64, f64) {
    let scores = scores(case, method, metric);
    let sizes: Vec<f64> = scores.iter().map(|s| s.abs()).collect();
    let area = auroc(&sizes, &case.truth).expect("true edges and others");
    (area, at_true_size(&scores, &case.truth).f1())
}

/// The committed folders are what the builders write.
#[test]
fn gates_are_written_the_same_again() {
    let place = Place::new("");
    for &(name, kind) in GateKind::ALL {
        kind.write(&place.path(name)).expect("writable");
        let (got, want) = (place.files(name), fixture("gates").join(name));
        let mut files: Vec<PathBuf> = fs::read_dir(&want)
            .expect("cargo run --example gates -- tests/fixtures/gates")
            .map(|e| PathBuf::from(e.expect("listed").file_name()))
            .collect();
        files.sort();
        assert_eq!(got.keys().cloned().collect::<Vec<_>>(), files, "{name}");
        for (file, bytes) in &got {
            let same = *bytes == fs::read(want.join(file)).expect("readable");
            assert!(same, "{name}/{}: write the fixtures again", file.display());
        }
        let size: usize = got.values().map(Vec::len).sum();
        assert!(size < 32_000, "{name} has {size} bytes");
        let again = kind.write(&place.path(name)).expect_err("it is there");
        assert!(again.to_string().contains(name), "{again}");
    }
    let sizes = |name: &str| {
        let case = gate(name);
        (case.graph.edges(), case.true_edges(), case.pairs.len())
    };
    assert_eq!(sizes("and"), (13, 5, PAIRS));
    assert_eq!(sizes("or"), (13, 5, PAIRS));
    assert_eq!(sizes("backup"), (12, 5, PAIRS));
    assert_eq!(sizes("induction"), (29, 5, PAIRS));
    assert_eq!(sizes("two-hop"), (29, 7, PAIRS));
    assert_eq!(sizes("saturated"), (12, 4, PAIRS));
    assert_eq!(sizes("cancellation"), (13, 6, PAIRS));
    assert_eq!(sizes("backup-chain"), (22, 9, PAIRS));
    assert_eq!(sizes("coupled-norm"), (9, 4, PAIRS));
    assert_eq!(sizes("gated-product"), (13, 6, PAIRS));
}

/// The outputs of gates for clean and corrupted sequences are the answers of the pairs.
#[test]
fn gates_do_what_they_say() {
    for &(name, kind) in GateKind::ALL {
        let case = gate(name);
        let found = behaviour(&case, Metric::LogitDiff).extremes().expect("numbers");
        for ((pair, &clean), &corrupted) in
            case.pairs.iter().zip(&found.clean).zip(&found.corrupted)
        {
            assert!(matches!(pair.asked, Asked::Tokens { .. }));
            // Soft attention gives the answer e^5 of e^5 + 6 and every other letter 0, 1 or 2.
            let all = 5f64.exp() + 6.0;
            let (sure, off) = match kind {
                GateKind::Induction => ((all - 7.0) / all, 1.0 / all + 1e-12),
                // Two keys of weight 1 beside one of e^-24 that says no, or the other way round.
                GateKind::Saturated => (1.0, 2.0 * (-24f64).exp()),
                // The eps of the norm (1e-5 of at least 1/8), twice, and what is left of a muted
                // yes.
                GateKind::CoupledNorm => (1.0, 2e-4),
                _ => (1.0, 1e-12),
            };
            assert!((clean - sure).abs() < off, "{name} line {}: {clean}", pair.line);
            // Gates of words say no by saying nothing.
            let letters = matches!(kind, GateKind::Induction | GateKind::TwoHop);
            let want = if letters { -sure } else { 0.0 };
            // A muted yes is half of 1 over the root of (3 + 100^2) / 16.
            let off = if kind == GateKind::CoupledNorm { 0.0201 } else { off };
            assert!((corrupted - want).abs() < off, "{name} line {}: {corrupted}", pair.line);
        }
    }
}

/// The truth by its definition: `v(S)` is the model's output with the edges of `S` clean; no false
/// edge ever changes it, and every true one does for some `S`.
#[test]
fn true_edges_are_those_that_ever_matter() {
    for &(name, _) in GateKind::ALL {
        // The first three pairs have all that there are of corrupted words of `and`.
        let case = first_pairs(gate(name), 3);
        let mut b = behaviour(&case, Metric::L2);
        b.rows = 2048;
        let edges = case.graph.edges();
        let members = |set: &[bool]| (0..edges).fold(0u64, |s, e| s | u64::from(set[e]) << e);
        let truth = members(&case.truth);
        let places: Vec<usize> = (0..edges).filter(|&e| case.truth[e]).collect();
        // All subsets of the truth first: subset i holds the true edge places[j] if bit j is set.
        let of_truth = |i: usize| {
            let chosen = places.iter().enumerate().filter(|(j, _)| i >> j & 1 == 1);
            chosen.fold(0u64, |s, (_, &e)| s | 1 << e)
        };
        let mut sets: Vec<u64> = (0..1 << places.len()).map(of_truth).collect();
        if edges < 16 {
            sets.extend(0..1 << edges);
        } else {
            let mut rng = Rng::new(0, Purpose::Sample, 0);
            sets.extend((0..400).map(|_| rng.bits() & ((1 << edges) - 1)));
        }
        let member = |s: usize, e: usize| sets[s] >> e & 1 == 1;
        let values = subsets::per_pair(&b, sets.len(), member, &mut |_| {}).expect("values");
        let apart =
            |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
        let smaller = |set: u64| {
            let bits = places.iter().enumerate().filter(|(_, e)| set >> **e & 1 == 1);
            bits.fold(0usize, |i, (j, _)| i | 1 << j)
        };
        for (set, value) in sets.iter().zip(&values) {
            let off = apart(value, &values[smaller(set & truth)]);
            assert!(off < 1e-12, "{name}: edges that are not true change {set:b} by {off:e}");
        }
        for (j, &e) in places.iter().enumerate() {
            let with = (0usize..1 << places.len()).filter(|i| i >> j & 1 == 1);
            let largest =
                with.map(|i: usize| apart(&values[i], &values[i & !(1 << j)])).fold(0.0, f64::max);
            assert!(largest > 0.5, "{name}: {} changes at most {largest}", case.graph.edge(e));
        }
    }
}

/// Patching single edges shows the whole circuit if every true edge is needed, and otherwise what
/// the descriptions claim.
#[test]
fn single_patches_see_what_is_needed() {
    for &(name, kind) in GateKind::ALL {
        let case = gate(name);
        let found = scores(&case, Method::Exact, Metric::L2);
        let seen = names(&case, |e| found[e].abs() > 1e-6);
        match kind {
            GateKind::Or => assert_eq!(seen, ["m0->logits"]),
            GateKind::Backup => assert_eq!(seen, ["a0.h0->a1.h0<q>", "a0.h0->logits"]),
            GateKind::Saturated => assert_eq!(seen, ["a1.h0->logits"]),
            GateKind::BackupChain => {
                assert_eq!(seen, ["a0.h0->a1.h0<q>", "a0.h0->a2.h0<q>", "a0.h0->logits"]);
            }
            GateKind::Cancellation => {
                let both = "input->a0.h0<v>";
                assert_eq!(seen, names(&case, |e| case.truth[e] && e != number(&case, both)));
            }
            GateKind::GatedProduct => {
                let closed = ["a0.h1->m0", "m0->logits"].map(|edge| number(&case, edge));
                assert_eq!(seen, names(&case, |e| case.truth[e] && !closed.contains(&e)));
            }
            _ => assert_eq!(seen, names(&case, |e| case.truth[e]), "{name}"),
        }
        for (e, score) in found.iter().enumerate() {
            let edge = case.graph.edge(e);
            // An effect of all or nothing: squares of 1 at one output or at two, over pairs some of
            // which do not change what the edge carries.
            let size = score.abs();
            let right = if seen.contains(&edge.to_string()) { 0.3..2.1 } else { 0.0..1e-12 };
            assert!(right.contains(&size), "{name}: {edge} {score}");
        }
    }
}

#[test]
fn derivatives_see_what_is_not_saturated() {
    let seen = |name: &str, method: Method| {
        let case = gate(name);
        let found = scores(&case, method, Metric::LogitDiff);
        names(&case, |e| found[e] != 0.0)
    };
    let induction = gate("induction");
    assert_eq!(seen("induction", Method::Eap), names(&induction, |e| induction.truth[e]));
    // The MLP is flat on both ends.
    for name in ["and", "or"] {
        assert_eq!(seen(name, Method::Eap), ["m0->logits"], "{name}");
        assert_eq!(seen(name, Method::CleanCorrupted), ["m0->logits"], "{name}");
    }
    // The first head's input has a slope although ablating it changes nothing, and the second head
    // has none.
    assert_eq!(seen("backup", Method::Eap), ["input->a0.h0<v>", "a0.h0->logits"]);
    // Neither queries nor keys, and what the first head carries is the second one's query.
    assert_eq!(seen("two-hop", Method::Eap), ["input->a1.h0<v>", "a1.h0->logits"]);
    // What both ways of the cancellation come from; the closed gate's other factor, and what the
    // product writes.
    for (name, unseen) in [
        ("cancellation", &["input->a0.h0<v>"][..]),
        ("gated-product", &["a0.h1->m0", "m0->logits"]),
    ] {
        let case = gate(name);
        let unseen: Vec<usize> = unseen.iter().map(|edge| number(&case, edge)).collect();
        let want = names(&case, |e| case.truth[e] && !unseen.contains(&e));
        assert_eq!(seen(name, Method::Eap), want, "{name}");
    }
}

/// The rules of a reverse pass decide where the forward pass is saturated, or coupled by a norm.
#[test]
fn rules_see_more_or_less_than_derivatives() {
    let area = |name: &str, rules: Rules| {
        let case = Case::<f32>::read(&fixture("gates").join(name)).expect("a case");
        let question =
            Question::new(Metric::LogitDiff, Positions::Asked, case.model.vocab_out(), &case.pairs);
        let mut b = Behaviour::new(
            &case.model,
            case.graph.clone(),
            &case.pairs,
            question.expect("a question"),
            Baseline::Resample,
        )
        .expect("a behaviour");
        b.rules = rules;
        let options = Method::Eap.options();
        let scores = Method::Eap.scores(&b, &options, &mut |_| {}).expect("scores").values;
        let sizes: Vec<f64> = scores.iter().map(|s| s.abs()).collect();
        auroc(&sizes, &case.truth).expect("true edges and others")
    };
    // One of four true edges stands above the eight others, three are equal to them.
    assert_eq!(area("saturated", Rules::Plain), (8.0 + 3.0 * 4.0) / 32.0);
    assert_eq!(area("saturated", Rules::Gim), 1.0);
    // Two of four, and five others.
    assert_eq!(area("coupled-norm", Rules::Plain), 1.0);
    for rules in [Rules::Ln, Rules::Relp, Rules::Gim] {
        assert_eq!(area("coupled-norm", rules), (10.0 + 5.0) / 20.0, "{rules:?}");
    }
}

/// Averages over sets of edges find what derivatives and single patches miss.
#[test]
fn averages_over_sets_find_redundant_edges() {
    for (name, method) in [
        ("and", Method::MaskIg),
        ("and", Method::Shapley),
        ("or", Method::MaskIg),
        ("or", Method::Shapley),
        ("backup", Method::Shapley),
        ("saturated", Method::MaskIg),
        ("cancellation", Method::Shapley),
        ("gated-product", Method::MaskIg),
    ] {
        assert_eq!(judged(&gate(name), method, Metric::L2), (1.0, 1.0), "{name}");
    }
    for (name, method, metric) in [
        ("or", Method::Exact, Metric::L2),
        ("or", Method::Eap, Metric::LogitDiff),
        ("and", Method::Eap, Metric::LogitDiff),
    ] {
        let (area, _) = judged(&gate(name), method, metric);
        // One true edge stands above the eight others, four are equal to all of them.
        assert_eq!(area, (8.0 + 4.0 * 4.0) / 40.0, "{name}");
    }
    // Two above the seven others, three equal to them.
    assert_eq!(judged(&gate("backup"), Method::Exact, Metric::L2).0, (14.0 + 10.5) / 35.0);
}

#[test]
fn interactions_tell_and_from_or() {
    for (name, want) in [("and", Relation::Joint), ("or", Relation::Redundant)] {
        let case = gate(name);
        let edges = ["a0.h0->m0", "a0.h1->m0"].map(|edge| number(&case, edge));
        let b = behaviour(&case, Metric::LogitDiff);
        let found = patched(&b, &[(edges[0], edges[1])], &mut |_| {}).expect("patches");
        assert_eq!(found[0].relation(0.1), want, "{name}: {:?}", found[0]);
        // Of yes and no: both heads are worth everything.
        assert!((found[0].without_both - 1.0).abs() < 1e-12, "{name}: {:?}", found[0]);
    }
}

/// All compiled models: patching single edges finds exactly the true ones.
#[test]
fn real_patches_find_the_circuits_of_compiled_models() {
    let folders = case::folders(&fixture("tracr")).expect("cases");
    assert_eq!(folders.len(), 13);
    let mut edges = 0;
    for folder in folders {
        let case = Case::<f64>::read(&folder).expect("a case");
        let found = scores(&case, Method::Exact, Metric::L2);
        let seen = names(&case, |e| found[e].abs() > 1e-6);
        assert_eq!(seen, names(&case, |e| case.truth[e]), "{}", case.name);
        edges += case.graph.edges();
    }
    assert_eq!(edges, 77 + 4 * 46 + 23 * 3 + 8 * 3 + 271 + 46);
}

#[test]
fn the_command_prints_one_table() {
    let place = Place::new("");
    let folder = fixture("gates");
    let (gates, trend) = (folder.display(), fixture("tracr/trend"));
    let command = format!("truth {gates} {} --threads 1", trend.display());
    let said = place.succeed(&format!("{command} --methods eap,exact,random --out t.json"));
    let row = |said: &str, start: &[&str]| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        let mut found =
            said.lines().map(words).filter(|w| start.iter().all(|s| w.contains(&s.to_string())));
        found.next().unwrap_or_else(|| panic!("no {start:?} in\n{said}"))
    };
    let or = row(&said, &["or", "exact"]);
    assert_eq!(or[..6], ["or", "13", "5", "exact", "l2", "0.6000"]);
    assert_eq!(row(&said, &["trend", "exact"])[5], "1.0000");
    assert_eq!(row(&said, &["or", "eap"])[4], "logit-diff");
    assert_eq!(row(&said, &["or", "random"])[4], "-");
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("t.json")).expect("written")).expect("JSON");
    let rows = file["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 11 * 3);
    let of = |model: &str| {
        let found = rows.iter().find(|r| r["model"] == model && r["method"] == "exact");
        found.expect("a row")
    };
    assert_eq!((of("or")["auroc"].as_f64(), of("or")["metric"].as_str()), (Some(0.6), Some("l2")));
    assert_eq!((of("and")["auroc"].as_f64(), of("and")["f1"].as_f64()), (Some(1.0), Some(1.0)));
    let exact = &file["methods"][1];
    assert_eq!((exact["method"].as_str(), exact["models"].as_u64()), (Some("exact"), Some(11)));
    // All but those whose edges stand in for each other or undo each other.
    assert_eq!(exact["found"].as_u64(), Some(5));

    // What is too dear is said, and what fails does not end the rest.
    let said = place.succeed(&format!("{command} --methods shapley,exact --runs 1000"));
    let words = row(&said, &["or", "shapley", "left"]).join(" ");
    assert!(words.contains("would take 196608 runs, --runs is 1000"), "{words}");
    assert_eq!(row(&said, &["or", "exact"])[5], "0.6000");
    let said = place.succeed(&format!("truth {gates}/or --methods eap,exact --metric l2"));
    assert!(said.contains("`l2` is flat at the clean run"), "{said}");
    let numeric = fixture("tracr/frac_prev_x");
    let command = format!("truth {gates}/or {} --methods exact", numeric.display());
    let said = place.succeed(&format!("{command} --metric kl"));
    assert!(said.contains("failed: ") && said.contains("needs probabilities"), "{said}");
    let done =
        place.run(&format!("truth {} --metric kl --methods exact,random", numeric.display()));
    done.failed(2, &["frac_prev_x: ", "`kl` needs probabilities"], "l2");
}

/// Trained models have no known circuit: `exact` is the truth, and correlates with itself.
#[test]
fn trained_models_are_judged_by_ablation() {
    let place = Place::new("");
    let small = "--layers 1 --heads 2 --d-model 16 --d-mlp 16 --batch 8 --steps 20 --threads 1";
    place.succeed(&format!("pretrain {small} --out base"));
    let command = "truth --base base --threads 1 --methods exact,shapley --runs 2000 --out t.json";
    let said = place.succeed(command);
    assert!(said.contains("shapley") && said.contains("--runs is 2000"), "{said}");
    let bytes = fs::read(place.path("t.json")).expect("written");
    let file: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let [exact, shapley] = [0, 1].map(|i| &file["methods"][i]);
    for figure in ["pearson", "spearman"] {
        let mean = exact["figures"][figure]["mean"].as_f64().expect("of one model");
        assert!((mean - 1.0).abs() < 1e-12, "{figure}: {mean}");
    }
    let faithful = ["cmd", "cpr", "worst"].map(|figure| &exact["figures"][figure]);
    assert!(faithful.iter().all(|f| f["mean"].is_f64() && f["interval"].is_null()), "{exact}");
    assert_eq!((shapley["models"].as_u64(), exact["models"].as_u64()), (Some(0), Some(1)));
    place.run("truth --base nowhere").failed(2, &["nowhere"], "");
}

#[test]
fn bad_cases_are_named() {
    let place = Place::new("");
    let copy = |name: &str, from: &Path| {
        fs::create_dir_all(place.path(name)).expect("a folder");
        for entry in fs::read_dir(from).expect("a fixture").map(|e| e.expect("listed").path()) {
            let to = place.path(name).join(entry.file_name().expect("a name"));
            fs::copy(&entry, to).expect("copied");
        }
    };
    copy("good", &fixture("gates/or"));
    let refused = |dirs: &str, parts: &[&str], help: &str| {
        let done = place.run(&format!("truth {dirs} --methods random --out t.json"));
        done.failed(2, parts, help);
        assert!(!place.path("t.json").exists(), "a file was left behind");
        assert!(done.stdout.is_empty(), "{}", done.stdout);
    };
    place.write("empty/notes.txt", "nothing");
    refused("good empty", &["empty: is no case", CIRCUIT], "pairs.jsonl");
    refused("nowhere", &["nowhere: cannot list it"], "check the path");
    refused("good/config.json", &["config.json: cannot list it"], "folder");

    for missing in ["config.json", "model.safetensors", "pairs.jsonl", CIRCUIT] {
        copy("part", &fixture("gates/or"));
        fs::remove_file(place.path("part").join(missing)).expect("there");
        refused("good part", &[missing, "cannot read it"], "");
    }
    copy("part", &fixture("gates/or"));
    fs::copy(fixture("gates/backup").join(CIRCUIT), place.path("part").join(CIRCUIT))
        .expect("copied");
    let parts = ["part/circuit.json: is for another model", "`n_layers` is 2, here it is 1"];
    refused("part", &parts, "made with this model");

    let whole = EdgeFile::read(place.path("good").join(CIRCUIT)).expect("a circuit");
    let write = |change: &dyn Fn(&mut EdgeFile)| {
        let mut file = whole.clone();
        change(&mut file);
        file.write(place.path("part").join(CIRCUIT)).expect("writable");
    };
    write(&|file| drop(file.edges.pop()));
    refused("part", &["circuit.json: lacks 1 of the graph's 13 edges", "m0->logits"], "model");
    write(&|file| file.edges.iter_mut().for_each(|(_, e)| e.in_graph = false));
    refused("part", &["circuit.json: edges: not one has \"in_graph\": true"], "true");
    place.write("part/circuit.json", "{\"edges\": 3}");
    refused("part", &["circuit.json: is no file of scores"], "in_graph");

    let done = place.run("truth good --methods eap,magic");
    assert!(
        done.code == 2 && done.stderr.contains("possible values: eap, eap-ig"),
        "{}",
        done.stderr
    );
    place.run("truth good --out nowhere/t.json").failed(2, &["nowhere"], "check the path");
}

//! Circuits: selecting, searching, running and judging them.

use crate::{fixture, gpt2_tiny};
use edgegrad::attribution::{eap, exact};
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::acdc;
use edgegrad::discovery::connect::{Flow, connected};
use edgegrad::discovery::faithfulness::{FRACTIONS, curves};
use edgegrad::discovery::select::{Rank, first, greedy};
use edgegrad::formats::EdgeFile;
use edgegrad::formats::pairs::Pairs;
use edgegrad::graph::{Granularity, Graph, Node, Start};
use edgegrad::nn::transformer::Config;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::patching::running;
use edgegrad::patching::span::Span;
use edgegrad::patching::subsets;
use edgegrad::stats;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture(name)).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// A model of the fixtures with its pairs.
fn setting(name: &str) -> (AnyModel<f64>, Pairs) {
    let model = checkpoints::read::<f64>(&fixture(name)).expect("a model");
    let pairs = Pairs::read(fixture(name).join("pairs.jsonl"), &model.bounds(), None, None);
    (model, pairs.expect("pairs"))
}

fn ask<'a>(
    model: &'a AnyModel<f64>,
    pairs: &'a Pairs,
    metric: Metric,
    baseline: Baseline,
    start: Start,
) -> Behaviour<'a, f64> {
    let graph = model.graph(Granularity { start, ..Default::default() });
    let question = Question::new(metric, Positions::Asked, model.vocab_out(), pairs);
    Behaviour::new(model, graph, pairs, question.expect("a question"), baseline).expect("fits")
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()))
}

fn size(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

fn names(graph: &Graph, kept: &[bool]) -> HashSet<String> {
    (0..kept.len()).filter(|&e| kept[e]).map(|e| graph.edge(e).to_string()).collect()
}

#[test]
fn circuits_are_those_of_eap_ig() {
    let reference = json("gpt2-tiny/reference.json");
    let (model, pairs) = setting("gpt2-tiny");
    let scores = EdgeFile::read(fixture("gpt2-tiny/EAP.json")).expect("scores");
    for case in reference["circuits"].as_array().expect("circuits") {
        let baseline = match case["ablation"].as_str() {
            Some("patching") => Baseline::Resample,
            Some("zero") => Baseline::Zero,
            other => panic!("{other:?}"),
        };
        let b = ask(&model, &pairs, Metric::LogitDiff, baseline, Start::TokensOnly);
        let scores = b.graph.scores_in(&scores).expect("the same graph");
        let n = case["n"].as_u64().expect("a size") as usize;
        let kept = match case["select"].as_str() {
            Some("topn") => first(&Rank::Abs.order(&scores), n, scores.len()),
            Some("greedy") => greedy(&b.graph, &scores, Rank::Abs, n),
            other => panic!("{other:?}"),
        };
        let kept = connected(&b.graph, &kept);
        let want: HashSet<String> = case["in_graph"]
            .as_array()
            .expect("edges")
            .iter()
            .map(|e| e.as_str().expect("a name").into())
            .collect();
        assert_eq!(names(&b.graph, &kept), want);
        let want = numbers(&case["logit_diff"]);
        let masked = subsets::per_pair(&b, 1, |_, e| kept[e], &mut |_| {}).expect("memory");
        let alone = running::per_pair(&b, &kept).expect("memory").expect("a transformer");
        assert!(size(&want) > 1.0);
        assert!(apart(&masked[0], &want) < 1e-9 * size(&want), "{case:?}");
        assert!(apart(&alone, &want) < 1e-9 * size(&want), "{case:?}");
    }
}

#[test]
fn curves_are_those_of_mib() {
    let reference = json("gpt2-tiny/mib.json");
    let (model, pairs) = setting("gpt2-tiny");
    let b = ask(&model, &pairs, Metric::LogitDiff, Baseline::Resample, Start::Joint);
    let span = Span::new(&b, &b.extremes().expect("differ")).expect("memory");
    let by_name = [
        ("EAP", eap::scores(&b, &mut |_| {}).expect("scores")),
        ("exact", exact::scores(&b, &mut |_| {}).expect("scores")),
    ];
    for (name, scores) in by_name {
        let [abs, signed] =
            curves(&b, &span, &scores.values, &FRACTIONS, &mut |_| {}).expect("memory");
        for (rank, curve) in [("abs", &abs), ("signed", &signed)] {
            let want = &reference["methods"][name][rank];
            let edges: Vec<f64> = curve.edges.iter().map(|&n| n as f64).collect();
            assert_eq!(edges, numbers(&want["edges_after_prune"]), "{name} {rank}");
            let f = numbers(&want["faithfulness"]);
            assert!(size(&f) > 1.0 && apart(&curve.faithfulness, &f) < 1e-9 * size(&f));
        }
        let want = |rank: &str, key: &str| reference["methods"][name][rank][key].as_f64();
        let cmd = want("abs", "area_from_1").expect("CMD");
        let cpr = want("signed", "area_under").expect("CPR");
        assert!(apart(&[abs.cmd(), signed.cpr()], &[cmd, cpr]) < 1e-9 * cmd.max(cpr.abs()));
    }
}

/// The program of a circuit agrees with the masked model for every ablation value and metric; under
/// resample ablation dropping edges that are not connected changes nothing.
#[test]
fn a_circuit_by_itself_is_the_masked_model() {
    let (model, pairs) = setting("gpt2-tiny");
    for (metric, baseline) in [
        (Metric::LogitDiff, Baseline::Resample),
        (Metric::L2, Baseline::Resample),
        (Metric::Kl, Baseline::Zero),
        (Metric::LogitDiff, Baseline::Mean),
        (Metric::L2, Baseline::MeanPerPosition),
    ] {
        let b = ask(&model, &pairs, metric, baseline, Start::Joint);
        for every in [1, 2, 3, 7] {
            let kept: Vec<bool> = (0..b.graph.edges()).map(|e| e * e % every == 0).collect();
            let run = |kept: &[bool]| {
                let all = subsets::per_pair(&b, 1, |_, e| kept[e], &mut |_| {});
                all.expect("memory").remove(0)
            };
            let masked = run(&kept);
            let alone = running::per_pair(&b, &kept).expect("memory").expect("a transformer");
            // Of all edges, distances from the model are 0.
            assert!(every == 1 || size(&masked) > 1e-2, "{metric:?} {masked:?}");
            let scale = size(&masked).max(1.0);
            assert!(apart(&alone, &masked) < 1e-10 * scale, "{metric:?} {baseline:?}");
            if baseline == Baseline::Resample {
                let connected = connected(&b.graph, &kept);
                assert!(apart(&run(&connected), &masked) < 1e-10 * scale);
            }
        }
    }
}

/// ACDC by its definition: every remaining edge is ablated in turn.
fn plain_acdc(b: &Behaviour<'_, f64>, tau: f64) -> Vec<bool> {
    let value = |kept: &[bool]| {
        let values = subsets::values(b, 1, |_, e| kept[e], &mut |_| {}).expect("memory");
        b.question.metric().loss(values[0])
    };
    let mut kept = vec![true; b.graph.edges()];
    let mut now = value(&kept);
    for e in (0..kept.len()).rev() {
        kept[e] = false;
        let without = value(&kept);
        if without - now < tau {
            now = without;
        } else {
            kept[e] = true;
        }
    }
    kept
}

#[test]
fn acdc_is_its_definition() {
    let (model, pairs) = setting("gpt2-tiny");
    for (metric, baseline, tau) in [
        (Metric::LogitDiff, Baseline::Resample, 0.02),
        (Metric::Kl, Baseline::Zero, 0.01),
        (Metric::Nll, Baseline::Mean, 0.003),
    ] {
        let b = ask(&model, &pairs, metric, baseline, Start::Joint);
        let found = acdc::search(&b, tau, &mut |_| {}).expect("memory");
        assert_eq!(names(&b.graph, &found), names(&b.graph, &plain_acdc(&b, tau)));
        let edges = found.iter().filter(|&&k| k).count();
        assert!(edges > 3 && edges < found.len() - 3, "{edges} edges decide nothing");
    }
}

/// 24 pseudorandom bits of `e`.
fn hashed(e: u64, seed: u64) -> u64 {
    (e + 1).wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// EAP-IG's `prune`, repeated until neither nodes nor edges change: a node stays if it has kept
/// edges into it and out of it, an edge if both of its nodes stay.
fn pruned(graph: &Graph, kept: &[bool]) -> Vec<bool> {
    let mut kept = kept.to_vec();
    loop {
        let edges: Vec<_> = (0..kept.len()).filter(|&e| kept[e]).map(|e| graph.edge(e)).collect();
        let into: HashSet<Node> = edges.iter().map(|e| e.to.node).chain([Node::Input]).collect();
        let out: HashSet<Node> = edges.iter().map(|e| e.from).chain([Node::Logits]).collect();
        let stays = |node: Node| into.contains(&node) && out.contains(&node);
        let next: Vec<bool> = (0..kept.len())
            .map(|e| kept[e] && stays(graph.edge(e).from) && stays(graph.edge(e).to.node))
            .collect();
        if next == kept {
            return kept;
        }
        kept = next;
    }
}

fn shapes() -> impl Strategy<Value = (Config, bool)> {
    (1..=4usize, 1..=3usize, any::<bool>(), 0..2usize, any::<bool>()).prop_map(
        |(layers, heads, parallel, mlp, joined)| {
            let small = Config::gpt2_small();
            (Config { layers, heads, kv_heads: heads, parallel, d_mlp: 8 * mlp, ..small }, joined)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]

    #[test]
    fn what_is_connected_is_what_repeated_pruning_leaves(
        (config, joined_qkv) in shapes(), percent in 5..60u64, seed in any::<u64>(),
    ) {
        let granularity = Granularity { joined_qkv, ..Default::default() };
        let graph = Graph::of_transformer(&config, granularity);
        let draw = |e: u64| hashed(e, seed);
        let kept: Vec<bool> = (0..graph.edges()).map(|e| draw(e as u64) % 100 < percent).collect();
        let found = connected(&graph, &kept);
        prop_assert_eq!(&found, &pruned(&graph, &kept));
        prop_assert_eq!(&connected(&graph, &found), &found);
        prop_assert!(found.iter().zip(&kept).all(|(found, kept)| *kept || !found));
    }

    /// Circuits of increasing size contain each other; greedy ones all lead to the logits.
    #[test]
    fn selections_are_nested(
        (config, joined_qkv) in shapes(), seed in any::<u64>(), ties in 1..50u64,
    ) {
        let granularity = Granularity { joined_qkv, ..Default::default() };
        let graph = Graph::of_transformer(&config, granularity);
        let draw = |e: u64| hashed(e, seed);
        let score = |e| (draw(e as u64) % ties) as f64 - ties as f64 / 2.0;
        let scores: Vec<f64> = (0..graph.edges()).map(score).collect();
        let flow = Flow::new(&graph);
        for rank in [Rank::Abs, Rank::Signed] {
            let order = rank.order(&scores);
            let mut before = vec![false; scores.len()];
            for n in (0..=scores.len()).step_by(1 + scores.len() / 9) {
                let top = first(&order, n, scores.len());
                let least = (0..top.len()).filter(|&e| top[e]).map(|e| rank.value(scores[e]));
                let least = least.fold(f64::INFINITY, f64::min);
                let best = (0..top.len()).filter(|&e| !top[e]).map(|e| rank.value(scores[e]));
                prop_assert!(best.fold(f64::NEG_INFINITY, f64::max) <= least);
                let grown = greedy(&graph, &scores, rank, n);
                prop_assert_eq!(grown.iter().filter(|&&k| k).count(), n);
                prop_assert_eq!(&flow.leading(&grown), &grown);
                prop_assert!(before.iter().zip(&grown).all(|(before, now)| *now || !before));
                before = grown;
            }
        }
    }
}

/// A graph in which pruning has to go back and forth: edges that lead nowhere feed edges that then
/// come from nowhere.
#[test]
fn pruning_goes_on_until_nothing_changes() {
    let config = Config { layers: 3, heads: 1, kv_heads: 1, ..Config::gpt2_small() };
    let graph = Graph::of_transformer(&config, Granularity::default());
    let circuit = |list: &[&str]| -> Vec<bool> {
        let names = (0..graph.edges()).map(|e| graph.edge(e).to_string());
        names.map(|name| list.contains(&&*name)).collect()
    };
    let way = ["input->m0", "m0->a1.h0<k>", "a1.h0->logits"];
    let dead = ["m0->m1", "m1->a2.h0<q>", "a0.h0->m2", "m2->logits", "input->a0.h0<v>"];
    let all: Vec<&str> = way.iter().chain(&dead).copied().collect();
    // a0.h0 -> m2 -> logits stands by its value; m1 -> a2.h0 leads nowhere, and so m0 -> m1.
    let live = circuit(&[&way[..], &dead[2..]].concat());
    assert_eq!(connected(&graph, &circuit(&all)), live);
    let cut: Vec<&str> = all.iter().copied().filter(|e| *e != "input->a0.h0<v>").collect();
    assert_eq!(connected(&graph, &circuit(&cut)), circuit(&way));
    assert_eq!(connected(&graph, &circuit(&cut[1..])), circuit(&[]));
}

/// Positions: attention moves keys and values, but only forwards if it is causal; heads that share
/// keys and values both depend on them.
#[test]
fn ways_go_through_positions_and_shared_heads() {
    let config = Config { layers: 1, heads: 2, kv_heads: 1, ..Config::gpt2_small() };
    let ways = |causal: bool, list: &[&str]| -> usize {
        let granularity = Granularity { positions: Some(3), ..Default::default() };
        let graph = Graph::of_transformer(&Config { causal, ..config.clone() }, granularity);
        let names = (0..graph.edges()).map(|e| graph.edge(e).to_string());
        let kept: Vec<bool> = names.map(|name| list.contains(&&*name)).collect();
        assert_eq!(kept.iter().filter(|&&k| k).count(), list.len());
        connected(&graph, &kept).iter().filter(|&&k| k).count()
    };
    let on = ["input@1->a0.kv0<v>@1", "a0.h0@2->logits@2"];
    let back = ["input@1->a0.kv0<v>@1", "a0.h1@0->logits@0"];
    assert_eq!((ways(true, &on), ways(true, &back), ways(false, &back)), (2, 0, 2));
    // A query stays where it is.
    let query = ["input@1->a0.h0<q>@1", "a0.h0@2->logits@2"];
    assert_eq!((ways(true, &query), ways(false, &query)), (0, 0));
    let other = ["input@1->a0.h0<q>@1", "a0.h1@1->logits@1"];
    assert_eq!(ways(true, &other), 0);
    assert_eq!(ways(true, &["input@2->m0@2", "m0@2->logits@2", "input@0->m0@0"]), 2);
}

const MODEL: &str = "--model M --pairs M/pairs.jsonl";

#[test]
fn commands_find_and_judge_a_circuit() {
    let place = gpt2_tiny();
    let found = place.succeed(&format!(
        "discover {MODEL} --scores M/EAP.json --edges 20 --convention eap-ig --out c.json"
    ));
    assert!(found.contains("20 edges"), "{found}");
    let circuit = std::fs::read(place.path("c.json")).expect("written");
    let done = place.run(&format!(
        "evaluate {MODEL} --circuit c.json --null 20 --convention eap-ig --out e.json"
    ));
    assert_eq!(done.code, 0, "{}", done.stderr);
    // Three of them lead nowhere, and are run all the same.
    assert!(done.stderr.contains("--connected"), "{}", done.stderr);
    assert!(done.stdout.contains("20 random circuits"), "{}", done.stdout);
    assert_eq!(std::fs::read(place.path("c.json")).expect("there"), circuit, "it was changed");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(place.path(name)).expect("written")).expect("JSON")
    };
    let report = read("e.json");
    assert_eq!(report["edges"], 20);
    assert_eq!(report["minimality"].as_object().map(serde_json::Map::len), Some(20));
    assert_eq!(report["null"]["faithfulness"].as_array().map(Vec::len), Some(20));
    let list = |key: &str| numbers(&report["per_pair"][key]);
    let sum = |key: &str| list(key).iter().sum::<f64>();
    let f = (sum("circuit") - sum("corrupted")) / (sum("clean") - sum("corrupted"));
    assert!(f.abs() > 1e-2 && (report["faithfulness"].as_f64().expect("f") - f).abs() < 1e-6);
    let beyond = |key: &str| {
        let both = list(key).into_iter().zip(list("nothing"));
        both.map(|(x, nothing)| x - nothing).collect::<Vec<f64>>()
    };
    let interval = stats::ratio_interval(&beyond("circuit"), &beyond("clean"));
    assert_eq!(report["faithfulness_interval"], json!(interval));

    // A quarter of a random model's edges is no circuit, and the tests say so.
    let tested = "evaluate --circuit c.json --tests --convention eap-ig --threads";
    let told = place.succeed(&format!("{tested} 1 {MODEL} --out t.json"));
    place.succeed(&format!("{tested} 2 {MODEL} --out u.json"));
    assert_eq!(read("t.json"), read("u.json"), "threads change the figures");
    let tests = read("t.json")["tests"].as_object().expect("tests").clone();
    for name in ["equivalence", "independence", "minimality", "sufficiency", "necessity"] {
        let p = tests[name]["p"].as_f64().expect("a p-value");
        assert!(told.contains(name) && p > 0.0 && p <= 1.0, "{name}: {told}");
    }
    for name in ["minimality", "sufficiency"] {
        assert_eq!(tests[name]["passed"], false, "{told}");
    }

    // The same file in another order of its edges is the same circuit, and selects the same.
    let connected = "discover --method greedy --scores M/EAP.json --edges 40 --connected";
    place.succeed(&format!("{connected} {MODEL} --out g.json"));
    place.succeed(&format!("evaluate {MODEL} --circuit g.json --out g2.json"));
    assert_eq!(read("g2.json")["null"], Value::Null);
    let both = place.succeed("compare c.json g.json");
    assert!(both.contains("Jaccard"), "{both}");
}

#[test]
fn what_fits_nothing_is_refused() {
    let place = gpt2_tiny();
    let text = String::from_utf8(std::fs::read(place.path("M/EAP.json")).expect("there"));
    let text = text.expect("UTF-8");
    let edge = "\"input->m0\"";
    assert!(text.contains(edge));
    place.write("other.json", text.replacen("\"d_model\": 32", "\"d_model\": 48", 1));
    place.write("unknown.json", text.replacen(edge, "\"input->m7\"", 1));
    place.write("twice.json", text.replacen(edge, "\"input->logits\"", 1));
    let (a, _) = text.split_once("\"input->logits\"").expect("there");
    place.write("cut.json", a);
    let refused = |arguments: &str, parts: &[&str], help: &str| {
        place.run(&format!("{arguments} {MODEL} --out out.json")).failed(2, parts, help);
        assert!(!place.path("out.json").exists(), "half written");
    };
    for (file, part, help) in [
        ("other.json", "d_model", "this model"),
        ("unknown.json", "input->m7", "this model"),
        ("twice.json", "twice", "remove"),
        ("cut.json", "EOF", "edges"),
        ("none.json", "No such file", "path"),
    ] {
        refused(&format!("discover --edges 5 --scores {file}"), &[file, part], help);
        refused(&format!("evaluate --circuit {file}"), &[file, part], help);
        refused(&format!("evaluate --curve --scores {file}"), &[file, part], help);
    }
    refused("discover", &["topn", "needs --edges"], "--edges");
    refused("discover --edges 5 --tau 1", &["two sizes"], "--edges");
    refused("discover --edges 9999", &["--edges", "9999 of"], "no more");
    refused("discover --method acdc --edges 5", &["acdc", "another kind"], "--tau");
    refused("discover --method threshold --edges 5", &["threshold"], "--tau");
    refused("discover --tau 0.5", &["topn", "another kind"], "--edges");
    refused("discover --method minimal --tol 0.1", &["110 candidate edges"], "--candidates");
    refused("discover --edges 5 --candidates 9", &["topn", "--candidates"], "minimal");
    refused("discover --method minimal --tol -1", &["no number"], "0.95");
    refused("discover --method edge-pruning --edges 111", &["111 of 110"], "no more");
    refused("discover --method acdc --scores M/EAP.json --tau 1", &["no scores"], "leave out");
    refused("evaluate", &["nothing to evaluate"], "--circuit");
    let far = "discover --scores M/EAP.json --convention eap-ig --faithfulness 1000";
    refused(far, &["--faithfulness", "no selection reaches 1000", "the best"], "ask for less");
    refused("evaluate --curve --scores M/EAP.json --fractions 0.5,0.1", &["--fractions"], "0.01");
}

/// NaN means that an edge has no score: it is reported, and the edge comes last.
#[test]
fn edges_without_scores_come_last() {
    let place = gpt2_tiny();
    let text = std::fs::read_to_string(place.path("M/EAP.json")).expect("there");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    let edges = file["edges"].as_object_mut().expect("edges");
    let largest = edges
        .iter()
        .max_by(|a, b| {
            let size = |v: &Value| v["score"].as_f64().expect("a score").abs();
            size(a.1).total_cmp(&size(b.1))
        })
        .map(|(name, _)| name.clone())
        .expect("some");
    edges[&largest]["score"] = Value::Null;
    place.write("nan.json", file.to_string().replace("null", "NaN"));
    let said = place.succeed(&format!("discover {MODEL} --scores nan.json --edges 9 --out c.json"));
    assert!(said.contains("1 of 110 edges have no score"), "{said}");
    let circuit = EdgeFile::read(place.path("c.json")).expect("a circuit");
    let kept = |name: &str| {
        circuit.edges.iter().find(|(edge, _)| edge == name).map(|(_, e)| (e.in_graph, e.score))
    };
    assert_eq!(kept(&largest), Some((false, None)));
    assert_eq!(circuit.edges.iter().filter(|(_, e)| e.in_graph).count(), 9);
}

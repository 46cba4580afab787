//! Scores of edges: the laws of all methods, on models that are small or set by hand.

use crate::common::Place;
use crate::fixture;
use edgegrad::attribution::interactions::{Relation, hessian, patched};
use edgegrad::attribution::method::{Method, Options};
use edgegrad::attribution::{Scores, resampled, shapley, verify};
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::formats::EdgeFile;
use edgegrad::formats::pairs::Pairs;
use edgegrad::graph::{Granularity, Graph, MaskShape, Start};
use edgegrad::named::Named;
use edgegrad::nn::transformer;
use edgegrad::nn::transformer::{Config, Model};
use edgegrad::nn::{Activation, pooled};
use edgegrad::ops::Norm;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::patching::subsets;
use edgegrad::tensor::Buffer;
use std::collections::BTreeMap;

/// A model and what it is asked.
struct Setting {
    model: AnyModel<f64>,
    pairs: Pairs,
}

impl Setting {
    /// A model of the fixtures with its first pairs.
    fn fixture(name: &str, limit: usize) -> Setting {
        let model = checkpoints::read(&fixture(name)).expect("a model");
        let bounds = model.bounds();
        let file = fixture(name).join("pairs.jsonl");
        let pairs = Pairs::read(file, &bounds, None, Some(limit)).expect("pairs");
        Setting { model, pairs }
    }

    fn new(model: AnyModel<f64>, pairs: &str) -> Setting {
        let pairs = Pairs::parse("pairs", pairs.as_bytes(), &model.bounds(), None, None);
        Setting { model, pairs: pairs.expect("pairs") }
    }

    /// A pooled model with its first numbers.
    fn pooled() -> Setting {
        let activation = Activation::Gelu;
        let (vocab, seq_len, d_model, d_mlp) = (3, 4, 4, 6);
        let config = pooled::Config {
            vocab,
            seq_len,
            d_model,
            d_mlp,
            activation,
            mlp_bias: true,
            dropout: 0.0,
        };
        Setting::new(AnyModel::Pooled { weights: config.init(1), config }, POOLED)
    }

    /// Two heads tell a neuron that the token is 1; the neuron says `tanh(10 (h0 + h1) + bias)`.
    fn two_heads(bias: f64) -> Setting {
        let config = Config {
            vocab: 2,
            vocab_out: 2,
            context: 1,
            layers: 1,
            d_model: 4,
            heads: 2,
            kv_heads: 2,
            d_head: 1,
            d_mlp: 1,
            activation: Activation::Tanh,
            attn_scale: 1.0,
            positions: transformer::Positions::None,
            norm: Norm::None,
            norm_affine: false,
            qkv_bias: false,
            out_bias: false,
            tied: false,
            ..Config::gpt2_small()
        };
        let fill = |name: &str, n: usize| {
            // The stream: the token, what heads say, what the neuron says, nothing.
            let ones: &[(usize, f64)] = match name {
                "embed.W_E" => &[(4, 1.0)],
                "blocks.0.attn.W_QKV" => &[(4, 1.0), (5, 1.0)],
                "blocks.0.attn.W_O" => &[(1, 1.0), (5, 1.0)],
                "blocks.0.mlp.W_in" => &[(1, 10.0)],
                "blocks.0.mlp.b_in" => &[(0, bias)],
                "blocks.0.mlp.W_out" => &[(2, 1.0)],
                "unembed.W_U" => &[(6, 1.0)],
                _ => &[],
            };
            let mut numbers = vec![0.0; n];
            ones.iter().for_each(|&(i, x)| numbers[i] = x);
            Buffer::from(&numbers[..]).share()
        };
        let parameters = config.parameters();
        let weights = parameters.iter().map(|p| fill(&p.name, p.shape.len())).collect();
        let pair = r#"{"clean": [1], "corrupted": [0], "answer": 1, "distractor": 0}"#;
        Setting::new(AnyModel::Transformer(Model { config, weights }), pair)
    }

    fn graph(&self, granularity: Granularity) -> Graph {
        self.model.graph(granularity)
    }

    fn ask(
        &self,
        granularity: Granularity,
        metric: Metric,
        at: Positions,
        baseline: Baseline,
    ) -> Behaviour<'_, f64> {
        let vocab_out = self.model.vocab_out();
        let question = Question::new(metric, at, vocab_out, &self.pairs).expect("a question");
        let graph = self.graph(granularity);
        Behaviour::new(&self.model, graph, &self.pairs, question, baseline).expect("it fits")
    }

    fn usual(&self) -> Behaviour<'_, f64> {
        self.at(Granularity::default())
    }

    fn at(&self, granularity: Granularity) -> Behaviour<'_, f64> {
        self.ask(granularity, Metric::LogitDiff, Positions::Asked, Baseline::Resample)
    }
}

const POOLED: &str = r#"{"clean": [0, 1, 2, 0], "corrupted": [2, 1, 1, 0], "answer": 1, "distractor": 2}
{"clean": [2, 2, 1, 1], "corrupted": [2, 0, 1, 2], "answer": [0], "distractor": [1, 2]}
"#;

fn options(method: Method) -> Options {
    Options { tol: 1e-9, seed: 3, ..method.options() }
}

fn scores(method: Method, b: &Behaviour<'_, f64>) -> Scores {
    method.scores(b, &options(method), &mut |_| {}).expect("scores")
}

fn size(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// Both lists are equal up to `tolerance` of the largest value, which is not tiny.
#[track_caller]
fn alike(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    let largest = size(b);
    assert!(largest > 1e-4, "nothing to compare: {largest:e}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * largest, "{i}: {a} {b} of {largest}");
    }
}

/// Scores by the name of the edge.
fn by_name(graph: &Graph, values: &[f64]) -> BTreeMap<String, f64> {
    values.iter().enumerate().map(|(e, &s)| (graph.edge(e).to_string(), s)).collect()
}

fn number(graph: &Graph, name: &str) -> usize {
    let found = (0..graph.edges()).find(|&e| graph.edge(e).to_string() == name);
    found.unwrap_or_else(|| panic!("no edge {name}"))
}

/// Every method on every kind of model, by the command: the file is one that `compare` reads, and
/// the same bytes from one thread and from two.
#[test]
fn every_method_writes_its_file() {
    let place = Place::new(
        "task = { p = 3, seq_len = 4, k = 2, train = 40, test = 10 }
        model = { d_model = 4, d_mlp = 6 }
        train = { steps = 20, batch = 8 }",
    );
    place.succeed("train c.toml --out run");
    place.write("pooled.jsonl", POOLED);
    let of = |name: &str| {
        let folder = fixture(name);
        format!("--model {} --pairs {}/pairs.jsonl --limit 1", folder.display(), folder.display())
    };
    let pooled = "--model run/checkpoints/final --pairs pooled.jsonl".to_string();
    for (model, edges) in [
        (of("gpt2-tiny"), 110),
        (of("tracr/trend"), 8),
        (of("tracr/frac_prev_x"), 23),
        (pooled, 11),
    ] {
        for (method, value) in Method::ALL {
            let steps = match *method {
                "shapley" => "--steps 2",
                "matryoshka" => "--steps 20",
                _ => "",
            };
            let command = format!("attribute {model} --method {method} --tol 1e-3 {steps}");
            let said = place.succeed(&format!("{command} --threads 1 --out s.json"));
            assert!(said.contains(&format!("{edges} edges in ")), "{said}");
            let complete = said.contains("completeness: ");
            assert_eq!(complete, value.knows_metric() && !value.ranks(), "{method}: {said}");
            place.succeed(&format!("{command} --threads 2 --out t.json"));
            let [one, two] = ["s.json", "t.json"].map(|f| std::fs::read(place.path(f)).expect(f));
            assert!(one == two, "{command}: threads change the scores");
            let said = place.succeed("compare s.json t.json");
            let all = format!("{edges} edges in both");
            assert!(said.contains(&all) && said.contains("all scores are equal"), "{said}");
            let file = EdgeFile::read(place.path("s.json")).expect("scores");
            assert_eq!(file.meta_text("method"), Some(*method));
            let numbers: Vec<f64> = file.edges.iter().filter_map(|(_, e)| e.score).collect();
            assert!(numbers.len() == edges && size(&numbers) > 1e-9, "{command}");
        }
        for granularity in ["--positions", "--neurons", "--split-input", "--joined-qkv"] {
            let command = format!("attribute {model} {granularity} --verify 3 --out s.json");
            let said = place.succeed(&command);
            assert!(said.contains("verify: 3 edges again by differences"), "{said}");
        }
        let said =
            place.succeed(&format!("interactions {model} --patches 3 --rows-of 2 --out i.json"));
        assert!(said.contains("d2M/dmi dmj"), "{said}");
    }
}

/// A circuit of spans is found on pairs of two lengths and evaluated on one of a third.
#[test]
fn pairs_of_several_lengths_share_a_circuit_of_spans() {
    let place = Place::new("");
    let line = |clean: &str, corrupted: &str, spans: &str| {
        format!(
            r#"{{"clean": [{clean}], "corrupted": [{corrupted}], "answer": 3, "distractor": 4, "spans": {spans}}}"#
        )
    };
    let found = [
        line("5, 9, 2, 7", "5, 1, 2, 7", r#"{"subject": 1, "end": -1}"#),
        line("5, 8, 9, 2, 7", "5, 3, 1, 2, 7", r#"{"subject": [1, 2], "end": -1}"#),
    ];
    place.write("two.jsonl", found.join("\n"));
    let longer = line("6, 8, 9, 9, 2, 7", "6, 3, 1, 9, 2, 7", r#"{"subject": [1, 2], "end": -1}"#);
    place.write("third.jsonl", &longer);
    place.write("other.jsonl", longer.replace("subject", "verb"));
    let model = format!("--model {} --dtype f64", fixture("gpt2-tiny").display());
    let said =
        place.succeed(&format!("attribute {model} --pairs two.jsonl --spans --top 5 --out s.json"));
    assert!(said.contains("330 edges") && said.contains("\"end\""), "{said}");
    let discover = "discover --scores s.json --edges 40 --out c.json --pairs two.jsonl --spans";
    place.succeed(&format!("{discover} {model}"));
    let evaluate = |pairs: &str| {
        format!("evaluate {model} --circuit c.json --spans --pairs {pairs} --out e.json")
    };
    let said = place.succeed(&evaluate("third.jsonl"));
    assert!(said.contains("faithfulness"), "{said}");
    let refused = place.run(&evaluate("other.jsonl"));
    let message = "c.json: has positions subject, end, rest; the pairs have spans verb, end, rest";
    refused.failed(2, &[message], "with these spans");
}

/// Scores are means over pairs, so those of single pairs say how sure they are.
#[test]
fn scores_are_means_of_those_of_single_pairs() {
    let setting = Setting::fixture("gpt2-tiny", 3);
    let b = setting.usual();
    for &(name, method) in Method::ALL {
        if method.ranks() || method == Method::Shapley {
            continue;
        }
        let all = scores(method, &b).values;
        let options = options(method);
        let of = resampled::per_pair(&b, method, &options, &mut |_| {}).expect("they fit");
        let largest = size(&all);
        assert!(of.len() == 3 && largest > 1e-3, "{name}: {largest}");
        for (e, score) in all.iter().enumerate() {
            let mean = of.iter().map(|pair| pair[e]).sum::<f64>() / 3.0;
            // Of integrals, what their residual leaves.
            let tolerance = if method == Method::MaskIg { 1e-7 } else { 1e-12 };
            assert!((mean - score).abs() < tolerance * largest, "{name} {e}: {mean} {score}");
        }
    }
}

/// What is unsure comes last, and scores are those without the question.
#[test]
fn unsure_edges_are_no_circuit() {
    let place = Place::new("");
    let folder = fixture("gpt2-tiny");
    let asked = format!("--model {0} --pairs {0}/pairs.jsonl --dtype f64", folder.display());
    place.succeed(&format!("attribute {asked} --out plain.json"));
    let told = place.succeed(&format!("attribute {asked} --bootstrap 200 --out s.json"));
    assert!(told.contains("95 % from") && told.contains("same sign"), "{told}");
    let read = |name: &str| EdgeFile::read(place.path(name)).expect("edges").edges;
    let mut unsure = 0;
    for ((name, one), (other, plain)) in read("s.json").into_iter().zip(read("plain.json")) {
        assert_eq!((&name, one.score), (&other, plain.score));
        let score = one.score.expect("a score");
        let ends = one.rest["interval"].as_array().expect("an interval");
        let [low, high] = [0, 1].map(|i| ends[i].as_f64().expect("a number"));
        assert!(low <= score && score <= high, "{name}: {score} in [{low}, {high}]");
        let share = one.rest["same_sign"].as_f64().expect("a share");
        assert!(share >= 0.9 || low * high <= 0.0, "{name}: {share} and [{low}, {high}]");
        unsure += usize::from(share < 0.95);
    }
    let sure = 110 - unsure;
    assert!((10..90).contains(&sure), "{sure} edges are sure");
    let filter = format!("discover {asked} --scores s.json --edges {sure} --same-sign 0.95");
    let told = place.succeed(&format!("{filter} --out c.json"));
    assert!(told.contains(&format!("{unsure} of 110 edges have no sure sign")), "{told}");
    for ((name, kept), (_, scored)) in read("c.json").into_iter().zip(read("s.json")) {
        let share = scored.rest["same_sign"].as_f64().expect("a share");
        assert_eq!(kept.in_graph, share >= 0.95, "{name}: {share}");
    }
    let plain = filter.replace("--scores s.json", "--scores plain.json");
    let done = place.run(&format!("{plain} --out d.json"));
    done.failed(2, &["plain.json: does not say how sure"], "--bootstrap R");
}

/// The two conventions have the same edges; those that do not start at the input, which means
/// something else in each, differ by their sign alone.
#[test]
fn conventions_differ_by_the_sign() {
    let place = Place::new("");
    let folder = fixture("gpt2-tiny");
    let read = |convention: &str| {
        let folder = folder.display();
        place.succeed(&format!(
            "attribute --model {folder} --pairs {folder}/pairs.jsonl --limit 2 --dtype f64 \
             --convention {convention} --out s.json"
        ));
        EdgeFile::read(place.path("s.json")).expect("scores")
    };
    let (ours, theirs) = (read("ours"), read("eap-ig"));
    let mut largest = 0.0f64;
    for ((name, a), (other, b)) in ours.edges.iter().zip(&theirs.edges) {
        assert_eq!(name, other);
        if !name.starts_with("input") {
            assert_eq!(a.score, b.score.map(|b| -b), "{name}");
            largest = largest.max(a.score.expect("a score").abs());
        }
    }
    assert!(largest > 1e-2, "{largest}");
}

/// First-order scores are linear in the outputs of writers and in the inputs of readers: those of
/// parts sum to that of the whole.
#[test]
fn scores_of_parts_add_up() {
    let setting = Setting::fixture("gpt2-tiny", 2);
    let b = setting.usual();
    let coarse = by_name(&b.graph, &scores(Method::Eap, &b).values);
    let base = Granularity::default();
    /// The name of the whole that a part belongs to.
    type Whole = fn(&str) -> String;
    let cases: [(Granularity, Whole); 4] = [
        (Granularity { positions: Some(10), ..base }, |name| {
            let sides = name.split("->").map(|side| side.split('@').next().unwrap_or(side));
            sides.collect::<Vec<_>>().join("->")
        }),
        (Granularity { start: Start::Split, ..base }, |name| {
            name.replace("embed->", "input->").replace("pos->", "input->")
        }),
        (Granularity { neurons: true, ..base }, |name| {
            let sides = name.split("->").map(|side| side.split(".n").next().unwrap_or(side));
            sides.collect::<Vec<_>>().join("->")
        }),
        // The other way round: this one is coarser.
        (Granularity { joined_qkv: true, ..base }, str::to_string),
    ];
    for (granularity, whole) in cases {
        let b = setting.at(granularity);
        let fine = by_name(&b.graph, &scores(Method::Eap, &b).values);
        let (mut parts, mut wholes) = (fine, coarse.clone());
        let joined = granularity.joined_qkv;
        if joined {
            std::mem::swap(&mut parts, &mut wholes);
        }
        let mut sums: BTreeMap<String, f64> = wholes.keys().map(|k| (k.clone(), 0.0)).collect();
        for (name, score) in &parts {
            let name =
                if joined { name.split('<').next().unwrap_or(name).into() } else { whole(name) };
            *sums.get_mut(&name).expect("a whole for each part") += score;
        }
        let values = |m: &BTreeMap<String, f64>| m.values().copied().collect::<Vec<_>>();
        assert_ne!(parts.len(), wholes.len());
        alike(&values(&sums), &values(&wholes), 1e-12);
    }
}

/// The score of keys or values that several heads share is the sum of those of the heads, in a
/// model where each head has a copy of its own.
#[test]
fn shared_keys_and_values_are_the_sum_of_their_heads() {
    let model = checkpoints::read::<f64>(&fixture("llama-tiny")).expect("a model");
    let AnyModel::Transformer(grouped) = &model else { panic!("a transformer") };
    let c = &grouped.config;
    let alone = Config { kv_heads: c.heads, ..c.clone() };
    let shared = c.heads / c.kv_heads;
    let copies = |w: &Buffer<f64>| -> Buffer<f64> {
        let heads = (0..c.heads).chain((0..2 * c.heads).map(|i| c.heads + i / shared));
        let columns: Vec<usize> =
            heads.flat_map(|h| (h * c.d_head..(h + 1) * c.d_head).collect::<Vec<_>>()).collect();
        let rows = w.chunks_exact(c.d_qkv());
        let numbers: Vec<f64> = rows.flat_map(|row| columns.iter().map(|&i| row[i])).collect();
        Buffer::from(&numbers[..]).share()
    };
    let parameters = c.parameters();
    let weights = parameters.iter().zip(&grouped.weights);
    let weights = weights.map(|(p, w)| if p.name.ends_with("QKV") { copies(w) } else { w.clone() });
    let alone = AnyModel::Transformer(Model { weights: weights.collect(), config: alone });
    let pairs = r#"{"clean": [5, 9, 40, 3, 17, 8], "corrupted": [5, 9, 2, 3, 30, 8], "answer": 4, "distractor": 11}
        {"clean": [1, 2, 3, 4], "corrupted": [1, 6, 3, 7], "answer": 20, "distractor": 41}"#;
    let (shared_setting, alone) = (Setting::new(model.clone(), pairs), Setting::new(alone, pairs));
    for method in [Method::Eap, Method::EapIg, Method::CleanCorrupted] {
        let (a, b) = (shared_setting.usual(), alone.usual());
        let want = by_name(&a.graph, &scores(method, &a).values);
        let mut sums: BTreeMap<String, f64> = want.keys().map(|k| (k.clone(), 0.0)).collect();
        for (name, score) in by_name(&b.graph, &scores(method, &b).values) {
            let name = match name.split_once("->") {
                Some((from, to)) if to.ends_with("<k>") || to.ends_with("<v>") => {
                    let (layer, rest) = to.split_once(".h").expect("a head");
                    let (head, port) = rest.split_once('<').expect("a port");
                    let head = head.parse::<usize>().expect("a number") / shared;
                    format!("{from}->{layer}.kv{head}<{port}")
                }
                _ => name,
            };
            *sums.get_mut(&name).expect("an edge of the grouped graph") += score;
        }
        let [got, want] = [&sums, &want].map(|m| m.values().copied().collect::<Vec<_>>());
        alike(&got, &want, 1e-12);
    }
}

/// Scores sum to the total effect for every ablation value and metric, even where rectified linear
/// units and nearly hard attention make a function of the masks that is not smooth.
#[test]
fn integrals_along_the_masks_are_complete() {
    use Baseline::{Mean, MeanPerPosition, Resample, Zero};
    use Metric::{Kl, L2, LogitDiff, Nll, ProbDiff};
    let all = [LogitDiff, ProbDiff, Nll, Kl, L2];
    let settings = [
        ("gpt2-tiny", Setting::fixture("gpt2-tiny", 1), &[LogitDiff][..]),
        ("pooled", Setting::pooled(), &all),
        ("trend", Setting::fixture("tracr/trend", 1), &all),
        ("frac_prev_x", Setting::fixture("tracr/frac_prev_x", 1), &[LogitDiff, L2]),
    ];
    for (name, setting, metrics) in &settings {
        for &metric in *metrics {
            for baseline in [Resample, Zero, Mean, MeanPerPosition] {
                if *name == "gpt2-tiny" && baseline != Resample {
                    continue;
                }
                let b = setting.ask(Granularity::default(), metric, Positions::Asked, baseline);
                let ends = subsets::values(&b, 2, |s, _| s == 0, &mut |_| {}).expect("values");
                let delta = ends[0] - ends[1];
                let found = scores(Method::MaskIg, &b);
                let c = found.completeness.expect("complete");
                let what = format!("{name}, {metric:?}, {baseline:?}: {c:?}, {:?}", found.steps);
                let scale = ends[0].abs().max(ends[1].abs());
                assert!((c.delta - delta).abs() <= 1e-12 * scale, "{what}");
                // A mean over one sequence is that sequence, and nothing is removed.
                if delta.abs() > 1e-6 {
                    assert!(c.residual().abs() < 1e-8 * delta.abs(), "{what}");
                    assert!(size(&found.values) > 1e-4 * delta.abs(), "{what}");
                }
                if baseline == Resample {
                    let (clean, corrupted) = b.extremes().expect("they differ").means();
                    assert!(delta.abs() > 1e-6, "{what}");
                    assert!((clean - corrupted - delta).abs() < 1e-9 * scale, "{what}");
                }
            }
        }
    }
}

/// Constants equal to the means give the scores of the means; others give other scores.
#[test]
fn constants_stand_in_as_means_do() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    let ask = |granularity, baseline| {
        setting.ask(granularity, Metric::LogitDiff, Positions::Asked, baseline)
    };
    for neurons in [false, true] {
        let granularity = Granularity { neurons, ..Default::default() };
        let means = ask(granularity, Baseline::Mean);
        let mut constants = ask(granularity, Baseline::Constant);
        let zeros = scores(Method::Eap, &constants).values;
        assert_eq!(zeros, scores(Method::Eap, &ask(granularity, Baseline::Zero)).values);
        constants.set_constants(means.constants().to_vec());
        let methods: &[Method] =
            if neurons { &[Method::Eap] } else { &[Method::Eap, Method::Exact] };
        for &method in methods {
            let want = scores(method, &means).values;
            assert!(size(&want) > 0.01 && want != zeros, "{method:?}");
            assert_eq!(scores(method, &constants).values, want, "{method:?}");
        }
    }
}

/// Kinks at which no quadrature on the whole path converges: the path is divided, and the result is
/// the integral of each edge, not just of their sum.
#[test]
fn a_divided_way_finds_the_integrals() {
    let mut setting = Setting::two_heads(-5.0);
    let AnyModel::Transformer(m) = &mut setting.model else { unreachable!() };
    m.config.activation = Activation::Relu;
    let b = setting.usual();
    let found = scores(Method::MaskIg, &b);
    let c = found.completeness.expect("complete");
    assert!(found.parts.is_some_and(|n| n > 2), "the way has to be divided");
    assert!(c.residual().abs() < 1e-9 * c.delta && (c.delta - 15.0).abs() < 1e-12, "{c:?}");
    // With all masks a, each head says a v and the neuron reads s = a (h0 + h1) = 2 a^2. The answer
    // is a relu(10 s - 5), which is 0 up to a = 1/2, and beyond
    //   d/dm of m0->logits = 20 a^2 - 5,    of input->a.h<v> and a.h->m0 = a 10 a = 10 a^2.
    let cube = (1.0 - 0.125) / 3.0;
    for (name, want) in [
        ("m0->logits", 20.0 * cube - 2.5),
        ("a0.h0->m0", 10.0 * cube),
        ("input->a0.h1<v>", 10.0 * cube),
        ("input->m0", 0.0),
    ] {
        let got = found.values[number(&b.graph, name)];
        assert!((got - want).abs() < 1e-7, "{name}: {got} {want}");
    }
}

/// The attention of compiled models is nearly hard, and their neurons are rectified linear units.
#[test]
fn compiled_models_are_integrated() {
    let setting = Setting::fixture("tracr/alternation", 1);
    let b = setting.usual();
    let options = Options { tol: 1e-8, ..options(Method::MaskIg) };
    let found = Method::MaskIg.scores(&b, &options, &mut |_| {}).expect("scores");
    let c = found.completeness.expect("complete");
    assert!(c.delta.abs() > 1.0 && c.residual().abs() < 1e-8 * c.delta.abs(), "{c:?}");
}

#[test]
fn other_ways_agree() {
    for (setting, count) in [(Setting::fixture("gpt2-tiny", 1), 2), (Setting::pooled(), 11)] {
        let b = setting.usual();
        let edges = verify::sample(b.graph.edges(), count, 1);
        for &(name, method) in Method::ALL {
            // These take every edge through every node or part: the small model is enough.
            if count == 2 && matches!(method, Method::MaskIg | Method::EapIgActivations) {
                continue;
            }
            let found = scores(method, &b);
            assert!(found.parts.is_none(), "{name}");
            let again =
                verify::again(&b, method, &options(method), found.steps, &edges, &mut |_| {});
            let Some(again) = again.expect("it runs") else { continue };
            let scale = size(&found.values);
            assert!(scale > 1e-3, "{name}: {scale}");
            let tolerance = if method == Method::Exact { 1e-12 } else { 1e-7 };
            for (&e, again) in edges.iter().zip(&again) {
                let off = (found.values[e] - again).abs();
                assert!(off < tolerance * scale, "{name} {}: {off:e} of {scale}", b.graph.edge(e));
            }
        }
    }
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let insert = |order: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = order.clone();
            order.insert(at, n - 1);
            order
        })
    };
    orders(n - 1).into_iter().flat_map(insert).collect()
}

/// Shapley values by their definition, over all orders of the eight edges of a compiled model;
/// samples are within their standard errors of them.
#[test]
fn shapley_values_are_means_over_all_orders() {
    let setting = Setting::fixture("tracr/trend", 1);
    let b = setting.usual();
    let n = b.graph.edges();
    assert_eq!(n, 8);
    let value = subsets::values(&b, 1 << n, |s, e| s >> e & 1 == 1, &mut |_| {}).expect("values");
    let mut want = vec![0.0; n];
    let all = orders(n);
    for order in &all {
        let mut set = 0;
        for &e in order {
            want[e] += (value[set | 1 << e] - value[set]) / all.len() as f64;
            set |= 1 << e;
        }
    }
    let found = scores(Method::Shapley, &b);
    alike(&found.values, &want, 1e-12);
    let c = found.completeness.expect("complete");
    assert!(c.delta.abs() > 0.1 && c.residual().abs() < 1e-13 * c.delta.abs(), "{c:?}");

    let sampled = shapley::sampled(&b, 400, 7, &mut |_| {}).expect("scores");
    let errors = sampled.standard_errors.expect("there are");
    assert!(size(&errors) > 1e-3, "{errors:?}");
    for ((got, want), error) in sampled.values.iter().zip(&want).zip(&errors) {
        // One in a million beyond five standard errors, and edges that always add the same.
        assert!((got - want).abs() <= 5.0 * error + 1e-12, "{got} {want} {error}");
    }
    assert_eq!(shapley::sampled(&b, 1, 7, &mut |_| {}).expect("scores").standard_errors, None);
}

/// An edge that is patched alone or with a few others has the score that it has among all.
#[test]
fn some_edges_are_patched_as_among_all() {
    let setting = Setting::two_heads(0.0);
    let b = setting.usual();
    let all = scores(Method::Exact, &b).values;
    for edges in [vec![4], vec![12, 0, 7], (0..13).collect()] {
        let some = Method::Exact.scores_of(&b, &edges, &mut |_| {}).expect("it can").unwrap();
        assert_eq!(all.len(), 13);
        for (e, (&among_all, found)) in all.iter().zip(&some.values).enumerate() {
            let want = if edges.contains(&e) { among_all } else { f64::NAN };
            assert_eq!(found.to_bits(), want.to_bits(), "{edges:?} {e}");
        }
    }
    for &(name, method) in Method::ALL {
        assert_eq!(method.scores_of(&b, &[0], &mut |_| {}).is_some(), method.apart(), "{name}");
    }
}

/// Either of two heads suffices, or both are needed: single patches see only the latter, Shapley
/// values see both alike, and second-order patches tell which it is.
#[test]
fn redundant_and_joint_heads() {
    let edges = ["a0.h0->m0", "a0.h1->m0"];
    for (bias, relation, alone) in [(0.0, Relation::Redundant, 0.0), (-15.0, Relation::Joint, 2.0)]
    {
        let setting = Setting::two_heads(bias);
        let b = setting.usual();
        assert_eq!(b.graph.edges(), 13);
        let [i, j] = edges.map(|name| number(&b.graph, name));
        let exact = scores(Method::Exact, &b).values;
        // tanh(10) and tanh(5) are 1 up to 1e-4.
        assert!((exact[i] - alone).abs() < 1e-3 && exact[i] == exact[j], "{exact:?}");
        let first = scores(Method::Eap, &b).values;
        assert!(first[i].abs() < 1e-2, "the derivative sees nothing: {}", first[i]);
        let shared = scores(Method::Shapley, &b);
        let (clean, corrupted) = b.extremes().expect("they differ").means();
        assert!((shared.values[i] - shared.values[j]).abs() < 1e-14, "symmetry");
        assert!(shared.values[i] > 0.1 * (clean - corrupted), "{:?}", shared.values);
        for unused in ["input->a0.h0<q>", "input->a0.h1<k>", "input->logits"] {
            assert_eq!(shared.values[number(&b.graph, unused)], 0.0, "{unused}");
        }
        let c = shared.completeness.expect("complete");
        assert!(c.residual().abs() < 1e-14, "{c:?}");
        let found = patched(&b, &[(i, j)], &mut |_| {}).expect("patches")[0];
        assert_eq!(found.relation(0.1), relation, "{found:?}");
        // One head's two edges after each other: both are needed, whatever the other head does.
        let chain = (number(&b.graph, "input->a0.h0<v>"), i);
        let found = patched(&b, &[chain], &mut |_| {}).expect("patches")[0];
        assert!((found.without_i - found.without_both).abs() < 1e-12, "{found:?}");
    }
}

/// Where the metric is bilinear in two masks, the second derivative is the interaction of patches.
#[test]
fn second_derivatives_of_bilinear_pairs_are_patches() {
    // The neuron is linear for so small a reading.
    let mut setting = Setting::two_heads(0.0);
    let AnyModel::Transformer(m) = &mut setting.model else { unreachable!() };
    m.config.activation = Activation::Relu;
    let b = setting.usual();
    let pairs = [("input->a0.h0<v>", "a0.h0->m0"), ("a0.h1->m0", "m0->logits")];
    for names in pairs.map(|(i, j)| [i, j]) {
        let [i, j] = names.map(|name| number(&b.graph, name));
        let row = &hessian(&b, &[i], &mut |_| {}).expect("a row")[0];
        let found = patched(&b, &[(i, j)], &mut |_| {}).expect("patches")[0];
        assert!((row[j] - 10.0).abs() < 1e-12, "{names:?}: {}", row[j]);
        assert!((found.interaction() - row[j]).abs() < 1e-12, "{names:?}: {found:?}");
        assert_eq!(found.relation(0.1), Relation::Joint);
    }
}

#[test]
fn second_derivatives_are_differences_of_gradients() {
    for (setting, rows) in [
        (Setting::pooled(), (0..11).collect::<Vec<_>>()),
        (Setting::fixture("gpt2-tiny", 1), vec![3, 60, 109]),
    ] {
        let b = setting.usual();
        let matrix = hessian(&b, &rows, &mut |_| {}).expect("rows");
        let gradient = |e: usize, shift: f64| {
            let mut sum = vec![0.0; b.graph.edges()];
            b.batches(Some(MaskShape::default()), |probe, pairs| {
                probe.set_masks(1.0);
                probe.set_baselines(&b, pairs);
                probe.set_mask(0, e, 1.0 + shift);
                probe.program.forward();
                probe.backward();
                sum.iter_mut().zip(probe.mask_gradients()).for_each(|(s, g)| *s += g);
                Ok(())
            })
            .expect("it runs");
            sum
        };
        for (&e, row) in rows.iter().zip(&matrix) {
            let h = 1e-4;
            let (low, high) = (gradient(e, -h), gradient(e, h));
            let want: Vec<f64> =
                low.iter().zip(&high).map(|(l, h2)| (h2 - l) / (2.0 * h)).collect();
            // A third derivative times h^2, over all rows: some edges do next to nothing.
            let largest = matrix.iter().map(|row| size(row)).fold(0.0, f64::max);
            assert!(largest > 1e-2, "{largest}");
            for (a, b) in row.iter().zip(&want) {
                assert!((a - b).abs() < 1e-6 * largest, "{e}: {a} {b} of {largest}");
            }
            for (&other, there) in rows.iter().zip(&matrix) {
                assert!((row[other] - there[e]).abs() < 1e-12 * largest, "symmetry");
            }
        }
    }
}

#[test]
fn routes_are_shares_of_what_is_read() {
    for setting in [Setting::fixture("gpt2-tiny", 2), Setting::pooled()] {
        let b = setting.usual();
        let values = scores(Method::Ifr, &b).values;
        assert!(values.iter().all(|s| *s >= 0.0));
        let mut some = false;
        for group in &b.graph.groups {
            for shares in values[group.edges()].chunks_exact(group.upstream.len()) {
                let sum: f64 = shares.iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{:?}: {sum}", group.part);
                some |= shares.iter().any(|s| (0.01..0.99).contains(s));
            }
        }
        assert!(some, "every reader has one writer");
    }
}

#[test]
fn random_scores_are_those_of_the_seed() {
    let setting = Setting::pooled();
    let b = setting.usual();
    let draw = |seed| {
        let options = Options { seed, ..options(Method::Random) };
        Method::Random.scores(&b, &options, &mut |_| {}).expect("scores").values
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert!(draw(1).iter().all(|s| (0.0..1.0).contains(s)));
}

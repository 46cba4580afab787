//! The laws of adapters, in doubles.

use super::budget::{BETAS, Importance, Kept, Schedule, keep_apart};
use super::*;
use crate::named::Named;
use crate::nn::stream::Sum;
use crate::nn::transformer::{Model, Positions};
use crate::nn::{Activation, Optimizer, Rule};
use crate::ops::{Eps, Norm, Rotary};
use crate::tape::Program;
use crate::tape::gradcheck::Points;
use crate::tuning::Objective;
use proptest::prelude::*;
use std::fs;

const BATCH: usize = 2;
const TIME: usize = 5;

/// Small models that differ in everything that adapters see: biases, gates, shared keys, parallel
/// blocks, no MLP at all.
fn configs() -> Vec<Config> {
    let gpt2 = Config {
        vocab: 11,
        vocab_out: 11,
        context: 7,
        layers: 2,
        d_model: 12,
        heads: 3,
        kv_heads: 3,
        d_head: 4,
        d_mlp: 10,
        attn_scale: 2.0,
        ..Config::gpt2_small()
    };
    let rotary = Rotary::new(4, 100.0);
    vec![
        Config {
            positions: Positions::Rotary(rotary),
            heads: 4,
            kv_heads: 2,
            norm: Norm::Rms(Eps::Inside(1e-6)),
            gated: true,
            activation: Activation::Silu,
            qkv_bias: false,
            out_bias: false,
            mlp_bias: false,
            tied: false,
            ..gpt2.clone()
        },
        Config { parallel: true, norm: Norm::None, ..gpt2.clone() },
        Config { d_mlp: 0, ..gpt2.clone() },
        gpt2,
    ]
}

/// Every matrix with a rank of its own.
fn sites(config: &Config) -> Vec<(Site, usize)> {
    let all = Site::all(config);
    let ranks = (0..all.len()).map(|i| 1 + i % 3);
    all.into_iter().zip(ranks).collect()
}

/// Adapters without zeros.
fn trained(config: &Config, kind: Kind) -> Adapters<f64> {
    let mut adapters = Adapters::new(config, &sites(config), kind, 3.0, 7).expect("they fit");
    let mut points = Points::new(5);
    for adapter in &mut adapters.list {
        let gates = adapter.gates.iter_mut();
        for numbers in [&mut adapter.a, &mut adapter.b].into_iter().chain(gates) {
            numbers.fill_with(|| 0.5 * points.next_number());
        }
    }
    adapters
}

const TOKENS: [u32; BATCH * TIME] = [1, 2, 3, 4, 5, 10, 0, 7, 3, 9];
const TARGETS: [u32; BATCH * TIME] = [2, 3, 4, 5, 6, 0, 7, 3, 9, 1];

/// The objective of a model through a stream, set and run.
fn run(model: &Model<f64>, adapted: Option<(&mut Adapted, &Adapters<f64>)>) -> Objective<f64> {
    let (config, sum) = (&model.config, &mut Sum::default());
    let mut o = match adapted {
        None => Objective::record(config, BATCH, TIME, 0, sum),
        Some((stream, adapters)) => {
            let mut o = Objective::record(config, BATCH, TIME, 0, stream);
            stream.set(&mut o.program, adapters);
            o
        }
    };
    o.set_weights(&model.weights);
    o.set(&TOKENS, &TARGETS, &[0.1; BATCH * TIME]);
    o.program.forward();
    o
}

fn logits(o: &Objective<f64>) -> Vec<f64> {
    let logits = o.program.value(o.logits).to_vec();
    assert_eq!(logits.len(), BATCH * TIME * 11);
    logits
}

fn with(model: &Model<f64>, adapters: &Adapters<f64>) -> (Objective<f64>, Adapted) {
    let mut stream = Adapted::new(adapters);
    let o = run(model, Some((&mut stream, adapters)));
    (o, stream)
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The largest difference, relative to the largest element.
fn error(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    let difference = x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    difference / y.iter().fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()))
}

#[test]
fn fresh_adapters_change_no_bit() {
    for config in configs() {
        let model = Model::random(&config, 3);
        let plain = logits(&run(&model, None));
        for kind in [Kind::Plain, Kind::Gated] {
            let adapters = Adapters::new(&config, &sites(&config), kind, 3.0, 0).expect("fit");
            assert!(adapters.list().iter().all(|x| x.a.iter().all(|&a| a != 0.0)));
            let (o, stream) = with(&model, &adapters);
            assert_eq!(stream.vars().len(), sites(&config).len());
            assert_eq!(bits(&logits(&o)), bits(&plain), "{config:?}");
        }
    }
}

#[test]
fn merged_models_compute_what_adapted_ones_do() {
    for config in configs() {
        for kind in [Kind::Plain, Kind::Gated] {
            let adapters = trained(&config, kind);
            let model = Model::random(&config, 3);
            let (plain, adapted) = (run(&model, None), with(&model, &adapters).0);
            let mut merged = model.clone();
            adapters.merge(&mut merged).expect("they fit");
            let (plain, adapted, merged_logits) =
                (logits(&plain), logits(&adapted), logits(&run(&merged, None)));
            assert!(error(&plain, &adapted) > 1e-2, "the adapters do nothing");
            let off = error(&merged_logits, &adapted);
            assert!(off < 1e-12, "{config:?}: {off:e}");
            // What the model shared is untouched, and what has no adapter is still shared.
            let names = config.parameters();
            let changed = |i: usize| Site::parse(&names[i].name).is_ok();
            for (i, (new, old)) in merged.weights.iter().zip(&model.weights).enumerate() {
                assert_eq!(new.as_ptr() != old.as_ptr(), changed(i), "{}", names[i].name);
            }
            assert_eq!(logits(&run(&model, None)), plain);
            adapters.unmerge(&mut merged).expect("they fit");
            let mut compared = 0;
            for (new, old) in merged.weights.iter().zip(&model.weights) {
                assert!(error(new, old) < 1e-15);
                compared += new.len();
            }
            assert_eq!(compared, names.iter().map(|p| p.shape.len()).sum::<usize>());
        }
    }
}

/// The loss along a random direction of all A, gates and B, against the reverse pass.
#[test]
fn gradients_agree_with_differences() {
    for config in configs() {
        for kind in [Kind::Plain, Kind::Gated] {
            let adapters = trained(&config, kind);
            let (mut o, stream) = with(&Model::random(&config, 3), &adapters);
            let parameters = stream.parameters();
            let plan = o.program.plan_backward(o.loss, &parameters);
            let start: Vec<Vec<f64>> =
                parameters.iter().map(|&x| o.program.value(x).to_vec()).collect();
            assert_eq!(start.iter().map(Vec::len).collect::<Vec<_>>(), adapters.sizes());
            // Each alone, so that none can hide behind the others.
            for (i, &x) in parameters.iter().enumerate() {
                let direction = Points::new(i as u64 + 1).list(start[i].len());
                let mut at = |t: f64| {
                    let moved = start[i].iter().zip(&direction).map(|(w, v)| w + t * v);
                    o.program.set(x, &moved.collect::<Vec<_>>());
                    o.program.forward();
                    o.program.backward(&plan);
                    let slope = o.program.grad(x).iter().zip(&direction).map(|(g, v)| g * v).sum();
                    (o.loss(), slope)
                };
                let h = 1e-3;
                let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|k| at(k * h).0);
                let differences = (a - 8.0 * b + 8.0 * c - d) / (12.0 * h);
                let slope: f64 = at(0.0).1;
                assert!(slope.abs() > 1e-6, "{config:?} {i}: {slope}");
                let off = (slope - differences).abs() / slope.abs().max(1e-3);
                assert!(off < 1e-6, "{config:?} {i}: {slope} {differences}");
            }
        }
    }
}

/// Training lowers the loss and leaves the model alone; gradients of the model take no memory.
#[test]
fn only_adapters_are_trained() {
    let config = configs().pop().expect("some");
    let model = Model::random(&config, 3);
    let mut adapters = Adapters::new(&config, &sites(&config), Kind::Plain, 4.0, 0).expect("fit");
    let (mut o, stream) = with(&model, &adapters);
    let first = o.loss();
    let (mut whole, of_whole) = with(&model, &adapters);
    let parameters = stream.parameters();
    let plan = o.program.plan_backward(o.loss, &parameters);
    let all = [&of_whole.parameters()[..], &whole.transformer.parameters].concat();
    let more = whole.program.plan_backward(whole.loss, &all);
    let saved = model.weights.iter().map(|w| w.len()).sum::<usize>() * size_of::<f64>();
    assert!(whole.program.bytes() >= o.program.bytes() + saved * 9 / 10);
    assert!(plan.len() <= more.len());

    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    let mut optimizer = Optimizer::new(rule, adapters.sizes());
    for _ in 0..60 {
        o.program.forward();
        o.program.backward(&plan);
        optimizer.begin_step();
        for (i, &x) in parameters.iter().enumerate() {
            let (numbers, gradient) = o.program.value_and_grad_mut(x);
            optimizer.update(i, 0.02, numbers, gradient);
        }
    }
    o.program.forward();
    assert!(o.loss() < 0.5 * first, "{first} {}", o.loss());
    for (&x, w) in o.transformer.parameters.iter().zip(&model.weights) {
        assert_eq!(o.program.value(x).as_ptr(), w.as_ptr());
    }
    // The trained adapters can be fetched, and do the same in another program.
    stream.fetch(&o.program, &mut adapters);
    assert_eq!(with(&model, &adapters).0.loss(), o.loss());
}

#[test]
fn sites_have_names_and_shapes() {
    for config in configs() {
        let all = Site::all(&config);
        let found = config.parameters().into_iter().filter_map(|p| {
            let site = Site::parse(&p.name).ok()?;
            Some((site, p.shape.dims().to_vec()))
        });
        let found: Vec<_> = found.collect();
        let shape = |s: &Site| (*s, s.shape(&config).expect("there").to_vec());
        assert_eq!(found, all.iter().map(shape).collect::<Vec<_>>());
        assert_eq!(found.len(), config.layers * if config.d_mlp > 0 { 4 } else { 2 });
        assert!(all.is_sorted());
    }
    assert_eq!(Matrix::ALL.len(), 4);
    for name in ["blocks.00.attn.W_O", "blocks.+1.attn.W_O", "blocks.0.attn.b_O", "embed.W_E", ""] {
        assert!(Site::parse(name).expect_err(name).help().contains("attn.W_QKV"));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let config = configs().pop().expect("some");
    let site = |name: &str| Site::parse(name).expect("a name");
    let (qkv, out) = (site("blocks.1.attn.W_QKV"), site("blocks.0.mlp.W_out"));
    let no_mlp = Config { d_mlp: 0, ..config.clone() };
    for (config, sites, alpha, place, part) in [
        (&config, vec![(qkv, 0)], 1.0, "blocks.1.attn.W_QKV", "from 1 to 12, got 0"),
        (&config, vec![(out, 11)], 1.0, "blocks.0.mlp.W_out", "from 1 to 10, got 11"),
        (&config, vec![(site("blocks.2.mlp.W_in"), 1)], 1.0, "blocks.2.mlp.W_in", "of 2 layers"),
        (&no_mlp, vec![(out, 1)], 1.0, "blocks.0.mlp.W_out", "without MLPs"),
        (&config, vec![(qkv, 1), (out, 2), (qkv, 1)], 1.0, "blocks.1.attn.W_QKV", "two adapters"),
        (&config, vec![(qkv, 1)], 0.0, "alpha", "above 0, got 0"),
        (&config, vec![(qkv, 1)], f64::NAN, "alpha", "above 0, got NaN"),
    ] {
        let e = Adapters::<f64>::new(config, &sites, Kind::Plain, alpha, 0).expect_err(part);
        let text = e.to_string();
        assert!(text.starts_with(&format!("{place}: ")) && text.contains(part), "{text}");
    }
    let adapters = trained(&config, Kind::Plain);
    let mut other = Model::random(&Config { d_mlp: 9, ..config }, 0);
    let before = other.weights.clone();
    let e = adapters.merge(&mut other).expect_err("of another shape");
    assert!(e.to_string().contains("is [12, 9] in the model, [12, 10]"), "{e}");
    assert!(other.weights.iter().zip(&before).all(|(x, y)| x.as_ptr() == y.as_ptr()));
}

#[test]
fn one_site_more_leaves_the_numbers_of_others() {
    let config = configs().pop().expect("some");
    let all = sites(&config);
    let new = |sites: &[(Site, usize)], seed| {
        Adapters::<f64>::new(&config, sites, Kind::Gated, 1.0, seed).expect("they fit")
    };
    let (whole, few) = (new(&all, 1), new(&[all[5], all[2]], 1));
    assert_eq!(few.list().iter().map(|x| x.site).collect::<Vec<_>>(), [all[2].0, all[5].0]);
    assert_eq!(*few.list()[1].a, *whole.list()[5].a);
    assert_eq!(*few.list()[1].b, *whole.list()[5].b);
    assert_ne!(*new(&all, 2).list()[5].a, *whole.list()[5].a);
    assert_ne!(whole.list()[1].a[..4], whole.list()[5].a[..4]);
}

fn saved(kind: Kind) -> Saved<f64> {
    let config = configs().pop().expect("some");
    Saved { base: "9f86d081".into(), adapters: trained(&config, kind) }
}

/// The two files of a folder.
fn files(saved: &Saved<f64>) -> (String, Vec<u8>) {
    let t = tempfile::tempdir().expect("a folder");
    let path = t.path().join("adapters");
    saved.write(&path).expect("written");
    let read = |name: &str| fs::read(path.join(name)).expect("a file");
    (String::from_utf8(read("adapters.json")).expect("text"), read("adapters.safetensors"))
}

fn all_bits(adapters: &Adapters<f64>) -> Vec<(Site, usize, Vec<u64>)> {
    let of = |x: &Adapter<f64>| {
        let gates = x.gates.as_deref().unwrap_or_default();
        (x.site, x.rank, bits(&[&x.a, gates, &x.b, &[x.scale]].concat()))
    };
    adapters.list().iter().map(of).collect()
}

#[test]
fn folders_come_back_bit_for_bit() {
    for kind in [Kind::Plain, Kind::Gated] {
        let mut saved = saved(kind);
        saved.adapters.list[0].a[0] = -0.0;
        saved.adapters.list[0].a[1] = f64::from_bits(1);
        let t = tempfile::tempdir().expect("a folder");
        let path = t.path().join("adapters");
        saved.write(&path).expect("written");
        let again = Saved::<f64>::read(&path).expect("read");
        assert_eq!((&again.base, again.adapters.alpha()), (&saved.base, saved.adapters.alpha()));
        assert_eq!(again.adapters.kind(), kind);
        let (one, two) = (all_bits(&saved.adapters), all_bits(&again.adapters));
        assert_eq!((one.len(), &one), (8, &two));
        assert_eq!(again.adapters.parameters(), saved.adapters.parameters());
        // A folder is never replaced.
        assert!(saved.write(&path).expect_err("is there").to_string().contains("adapters"));
        again.check_base("x", "9f86d081").expect("the same");
        let e = again.check_base("x", "0").expect_err("another");
        assert!(e.to_string().starts_with("x: adapters.json: base: "), "{e}");
        let bad = t.path().join("bad");
        saved.adapters.list[1].b[0] = f64::NAN;
        let e = saved.write(&bad).expect_err("not finite").to_string();
        assert!(e.contains("tensor `blocks.0.attn.W_O.B`") && !bad.exists(), "{e}");
        assert!(Saved::<f64>::read(&bad).expect_err("missing").to_string().contains("bad"));
    }
}

#[test]
fn bad_files_are_named_with_their_key() {
    let (text, numbers) = files(&saved(Kind::Gated));
    let fail = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let e = Saved::<f64>::from_bytes(changed.as_bytes(), numbers.clone()).expect_err(to);
        assert_eq!(e.exit_code(), 2);
        e.to_string()
    };
    let (file, tensor) = ("adapters.json: ", "adapters.safetensors: tensor `blocks.0.attn.");
    for (from, to, place, part) in [
        ("3.0", "-3.0", file, "alpha: must be a number above 0"),
        ("\"format\": 1", "\"format\": 2", file, "format: expected 1, got 2"),
        ("\"alpha\"", "\"beta\"", file, "unknown field `beta`"),
        ("blocks.0.attn.W_QKV", "blocks.0.attn.W_Q", file, "blocks.0.attn.W_Q: is no matrix"),
        ("blocks.0.attn.W_QKV", "blocks.0.attn.W_O", file, "blocks.0.attn.W_O: has two adapters"),
        ("blocks.0.attn.W_QKV", "blocks.7.attn.W_QKV", "adapters.safetensors", "is missing"),
        ("\"rank\": 1", "\"rank\": 2", tensor, "W_QKV.A`: expected shape [12, 2], got [12, 1]"),
        ("\"rank\": 1", "\"rank\": 0", tensor, "expected shape [12, 0]"),
        ("\"gated\": true", "\"gated\": false", tensor, "belongs to none of the 8 adapters"),
        ("{", "", file, "is malformed"),
    ] {
        let e = fail(from, to);
        assert!(e.starts_with(place) && e.contains(part), "{e}");
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        at in 0usize..10_000, with: u8, cut in 0usize..20_000, text_too: bool,
        junk in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let (text, mut numbers) = files(&saved(Kind::Gated));
        let mut text = text.into_bytes();
        let changed = if text_too { &mut text } else { &mut numbers };
        let n = changed.len();
        changed[at % n] = with;
        changed.truncate(cut % (2 * n));
        for text in [&text[..], &junk] {
            for numbers in [numbers.clone(), junk.clone()] {
                if let Ok(read) = Saved::<f32>::from_bytes(text, numbers) {
                    prop_assert!(read.adapters.parameters() <= 10_000);
                }
            }
        }
    }
}

#[test]
fn budgets_fall_as_the_paper_has_it() {
    let schedule = Schedule { start: 100, end: 20, warm_up: 10, cool_down: 30, steps: 140 };
    schedule.check().expect("it falls");
    let all: Vec<usize> = (0..150).map(|t| schedule.at(t)).collect();
    assert!(all[..=10].iter().all(|&b| b == 100) && all[110..].iter().all(|&b| b == 20));
    assert!(all.windows(2).all(|two| two[0] >= two[1]));
    // A quarter, a half and three quarters of the way: 20 + 80 (1 - x)^3.
    assert_eq!([35, 60, 85].map(|t| all[t]), [53, 30, 21]);
    let flat = Schedule { warm_up: 110, ..schedule };
    assert_eq!((flat.at(109), flat.at(110)), (100, 20));
    for (bad, field) in [
        (Schedule { end: 101, ..schedule }, "end"),
        (Schedule { warm_up: 111, ..schedule }, "warm_up"),
        (Schedule { warm_up: usize::MAX, ..schedule }, "warm_up"),
    ] {
        assert!(bad.check().expect_err(field).to_string().starts_with(field));
    }
}

#[test]
fn the_best_are_kept_and_equals_by_index() {
    let scores = [vec![1.0, 3.0], vec![3.0, f64::NAN, 2.0], vec![3.0]];
    let kept = |n| Kept::best(&scores, n).list().concat();
    assert_eq!(kept(0), [false; 6]);
    assert_eq!(kept(2), [false, true, true, false, false, false]);
    assert_eq!(kept(4), [false, true, true, false, true, true]);
    assert_eq!(kept(5), [true, true, true, false, true, true]);
    assert_eq!((kept(9), Kept::best(&scores, 9).count()), (vec![true; 6], 6));
}

/// Gated adapters with a program and a plan of their gradients.
fn gated() -> (Adapters<f64>, Adapted, Objective<f64>, crate::tape::BackwardPlan) {
    let config = configs().pop().expect("some");
    let adapters = trained(&config, Kind::Gated);
    let (mut o, stream) = with(&Model::random(&config, 3), &adapters);
    let plan = o.program.plan_backward(o.loss, &stream.parameters());
    o.program.backward(&plan);
    (adapters, stream, o, plan)
}

/// Its value for orthogonal triplets, and its gradient against differences.
#[test]
fn triplets_are_kept_apart() {
    let (adapters, stream, mut o, _) = gated();
    let parameters = stream.parameters();
    let gradients = |o: &Objective<f64>| -> Vec<Vec<f64>> {
        parameters.iter().map(|&x| o.program.grad(x).to_vec()).collect()
    };
    let before = gradients(&o);
    keep_apart(0.3, &mut o.program, &stream);
    let after = gradients(&o);
    for (i, &x) in parameters.iter().enumerate() {
        let start = o.program.value(x).to_vec();
        let direction = Points::new(i as u64 + 1).list(start.len());
        let mut at = |t: f64| {
            let moved: Vec<f64> = start.iter().zip(&direction).map(|(w, v)| w + t * v).collect();
            o.program.set(x, &moved);
            keep_apart(0.0, &mut o.program, &stream)
        };
        let h = 1e-2;
        // Of order four, so the formula is exact but for rounding.
        let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|k| at(k * h));
        let differences = 0.3 * (a - 8.0 * b + 8.0 * c - d) / (12.0 * h);
        at(0.0);
        let added = after[i].iter().zip(&before[i]).map(|(x, y)| x - y);
        let slope: f64 = added.zip(&direction).map(|(g, v)| g * v).sum();
        // Gates are not asked.
        assert_eq!(slope.abs() > 1e-6, i % 3 != 1, "{i}: {slope}");
        assert!((slope - differences).abs() < 1e-9, "{i}: {slope} {differences}");
    }
    assert_eq!(parameters.len(), 3 * adapters.list().len());
    // Columns of A and rows of B of length 1 that do not overlap; then one of length 2.
    for x in stream.vars() {
        let r = o.program.shape(x.a).last();
        let n_out = o.program.shape(x.b).last();
        let a = o.program.value_mut(x.a).iter_mut().enumerate();
        a.for_each(|(i, a)| *a = f64::from(u8::from(i / r == i % r)));
        let b = o.program.value_mut(x.b).iter_mut().enumerate();
        b.for_each(|(i, b)| *b = f64::from(u8::from(i / n_out == i % n_out)));
    }
    assert_eq!(keep_apart(1.0, &mut o.program, &stream), 0.0);
    o.program.value_mut(stream.vars()[0].a)[0] = 2.0;
    assert_eq!(keep_apart(1.0, &mut o.program, &stream), 9.0);
}

/// Two steps of the paper's equations by hand, number by number.
#[test]
fn importance_is_that_of_the_paper() {
    let (adapters, stream, mut o, plan) = gated();
    let mut importance = Importance::new(&adapters, [0.8, 0.6]).expect("gated");
    let sensitivity = |p: &Program<f64>, x| -> Vec<f64> {
        p.value(x).iter().zip(p.grad(x)).map(|(w, g)| (w * g).abs()).collect()
    };
    let parameters = stream.parameters();
    let first: Vec<Vec<f64>> = parameters.iter().map(|&x| sensitivity(&o.program, x)).collect();
    importance.observe(&o.program, &stream);
    o.set(&TARGETS, &TOKENS, &[0.2; BATCH * TIME]);
    o.program.forward();
    o.program.backward(&plan);
    let second: Vec<Vec<f64>> = parameters.iter().map(|&x| sensitivity(&o.program, x)).collect();
    importance.observe(&o.program, &stream);
    let score = |x: f64, y: f64| {
        let one = 0.2 * x;
        let (two, unsure) = (0.8 * one + 0.2 * y, 0.4 * (x - one).abs());
        two * (0.6 * unsure + 0.4 * (y - two).abs())
    };
    let scores = importance.scores();
    let mut compared = 0;
    for (i, (adapter, scores)) in adapters.list().iter().zip(&scores).enumerate() {
        let ([n_in, n_out], r) = (adapter.shape(), adapter.rank);
        let of = |part: usize, j: usize| score(first[3 * i + part][j], second[3 * i + part][j]);
        assert_eq!(scores.len(), r);
        for (k, got) in scores.iter().enumerate() {
            let column = (0..n_in).map(|j| of(0, j * r + k)).sum::<f64>() / n_in as f64;
            let row = (0..n_out).map(|j| of(2, k * n_out + j)).sum::<f64>() / n_out as f64;
            let wanted = of(1, k) + column + row;
            assert!(wanted > 0.0 && (got - wanted).abs() < 1e-12 * wanted);
            compared += 1;
        }
    }
    assert_eq!((compared, adapters.total_rank()), (15, 15));
    let plain = trained(&configs()[0], Kind::Plain);
    assert!(Importance::new(&plain, BETAS).is_err());
    assert!(Importance::new(&adapters, [1.0, 0.5]).is_err());
}

/// What is not kept does not move, despite the optimizer's momentum and decay; the rest does.
#[test]
fn what_is_pruned_is_out_of_updates() {
    let (mut adapters, stream, mut o, plan) = gated();
    let mut importance = Importance::new(&adapters, BETAS).expect("gated");
    importance.observe(&o.program, &stream);
    let rule = Rule::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1 };
    let mut optimizer = Optimizer::new(rule, adapters.sizes());
    let mut step = |o: &mut Objective<f64>, kept: &Kept| {
        o.program.forward();
        o.program.backward(&plan);
        optimizer.begin_step();
        kept.step(&mut optimizer, 0.01, &mut o.program, &stream);
    };
    step(&mut o, &Kept::all(&adapters));
    let kept = Kept::best(&importance.scores(), 6);
    assert_eq!(kept.count(), 6);
    stream.fetch(&o.program, &mut adapters);
    let before = adapters.clone();
    (0..3).for_each(|_| step(&mut o, &kept));
    stream.fetch(&o.program, &mut adapters);
    let (mut held, mut moved) = (0, 0);
    let both = adapters.list().iter().zip(before.list());
    for ((new, old), kept) in both.zip(kept.list()) {
        let ([n_in, n_out], r) = (new.shape(), new.rank);
        let gates = |x: &Adapter<f64>, k: usize| x.gates.as_ref().expect("gated")[k];
        for (k, &kept) in kept.iter().enumerate() {
            let triplet = |x: &Adapter<f64>| -> Vec<f64> {
                let column = (0..n_in).map(|j| x.a[j * r + k]);
                column.chain(x.b[k * n_out..][..n_out].iter().copied()).collect()
            };
            let (new_one, old_one) = (triplet(new), triplet(old));
            if kept {
                assert!(new_one.iter().zip(&old_one).all(|(x, y)| x != y));
                assert!(gates(new, k) != 0.0 && gates(new, k) != gates(old, k));
                moved += 1;
            } else {
                assert_eq!(bits(&new_one), bits(&old_one));
                assert_eq!((gates(new, k), gates(old, k) != 0.0), (0.0, true));
                held += 1;
            }
        }
    }
    assert_eq!((held, moved), (9, 6));
    // Pruning a list of adapters does to gates what a step does.
    let mut pruned = before;
    kept.prune(&mut pruned);
    let closed = |x: &Adapters<f64>| -> usize {
        let gates = x.list().iter().flat_map(|x| x.gates.as_deref().expect("gated"));
        gates.filter(|gate| **gate == 0.0).count()
    };
    assert_eq!((closed(&pruned), closed(&adapters)), (9, 9));
}

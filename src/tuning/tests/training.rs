use super::*;
use crate::rng::Rng;
use crate::tuning::slices::{Cells, Slice, shapes};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

/// Which elements of all parameters differ in their bits.
fn changed(before: &[Vec<f32>], after: &[Vec<f32>]) -> Vec<Vec<bool>> {
    let differ = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        a.iter().zip(b).map(|(a, b)| a.to_bits() != b.to_bits()).collect()
    };
    before.iter().zip(after).map(differ).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Outside the circuits not one bit changes, whatever the rule, even as circuits change: zero
    /// gradients in stacked tensors kept moving by momentum and decay in the authors' code.
    #[test]
    fn what_is_not_trained_keeps_its_bits(
        marks in prop::collection::vec(any::<u16>(), 3),
        rule in 0..3usize,
        other in any::<bool>(),
        keep in any::<bool>(),
        clip in prop::option::of(0.05..1.0f64),
        extras in any::<[bool; 4]>(),
    ) {
        let config = if other { other_config() } else { config() };
        let leaving = if keep { Leaving::Keep } else { Leaving::Forget };
        let mut tuner = tuner::<f32>(&config, BATCH, RULES[rule], leaving);
        let graph = graph(&config);
        let [biases, embeddings, norms, unembedding] = extras;
        let extras = Extras { biases, embeddings, norms, unembedding };
        let mut union = Union::new(&shapes(&config));
        let start = tuner.values();
        for mark in marks {
            let mut rng = Rng::new(mark.into(), Purpose::Mask, 0);
            let kept: Vec<bool> = (0..graph.edges()).map(|_| rng.below(12) == 0).collect();
            let slices = Slices::of_ends(&graph, &config, &Ends::of(&graph, &kept), extras);
            let mut now = Union::new(&shapes(&config));
            now.add(&slices);
            union.add(&slices);
            let before = tuner.values();
            tuner.train(slices);
            for step in 0..2 {
                tuner.step(&[batch(step, 0..BATCH)], 0.05, clip);
            }
            let moved = changed(&before, &tuner.values());
            let outside = moved.iter().zip(now.marks());
            prop_assert!(outside.clone().all(|(m, now)| m.iter().zip(now).all(|(m, n)| !m || *n)));
            let inside: usize = moved.iter().flatten().filter(|&&m| m).count();
            // Nearly everything trained moves; an embedding of a token that does not occur may not.
            prop_assert!(2 * inside >= now.count().min(200), "{inside} of {}", now.count());
        }
        let moved = changed(&start, &tuner.values());
        let inside = |(m, u): (&Vec<bool>, &Vec<bool>)| m.iter().zip(u).all(|(m, u)| !m || *u);
        prop_assert!(moved.iter().zip(union.marks()).all(inside));
    }
}

/// The circuit of all edges, in slices, is plain training of whole parameters, bit for bit; the
/// empty one changes nothing.
#[test]
fn the_full_circuit_is_full_training_and_the_empty_one_is_none() {
    for config in [config(), other_config()] {
        for rule in RULES {
            let run = |slices: Slices| {
                let mut tuner = tuner::<f32>(&config, BATCH, rule, Leaving::Forget);
                tuner.train(slices);
                // Clipped: the norm has the same bits too.
                let losses = (0..4).map(|s| tuner.step(&[batch(s, 0..BATCH)], 0.05, Some(0.3)));
                let losses: Vec<f64> = losses.collect();
                (losses, tuner.values())
            };
            let graph = graph(&config);
            let all = Ends::of(&graph, &vec![true; graph.edges()]);
            let circuit = run(Slices::of_ends(&graph, &config, &all, Extras::ALL));
            let full = run(Slices::named(&config, |_| true));
            assert_eq!(circuit, full);
            assert!(full.0[0] - full.0[3] > 1e-2, "{:?}", full.0);
            let none = run(Slices::of_ends(&graph, &config, &Ends::none(&graph), Extras::ALL));
            let start = tuner::<f32>(&config, BATCH, rule, Leaving::Forget).values();
            assert_eq!(none.1, start);
            assert_ne!(full.1, start);
        }
    }
}

/// Four parts of 1 are one batch of 4: the authors lost all parts but the last.
#[test]
fn parts_add_up_to_the_batch() {
    let config = config();
    let slices = || Slices::named(&config, |name| name.contains("W_O") || name.contains("W_in"));
    let rule = RULES[1];
    let mut whole = tuner::<f64>(&config, BATCH, rule, Leaving::Forget);
    let mut parts = tuner::<f64>(&config, 1, rule, Leaving::Forget);
    whole.train(slices());
    parts.train(slices());
    let start = whole.values();
    for step in 0..3 {
        let one = whole.step(&[batch(step, 0..BATCH)], 0.01, Some(1.0));
        let list: Vec<Batch> = (0..BATCH).map(|b| batch(step, b..b + 1)).collect();
        let many = parts.step(&list, 0.01, Some(1.0));
        assert!(one > 1.0 && (one - many).abs() < 1e-12, "{one} {many}");
    }
    let pairs = |a: &[Vec<f64>], b: &[Vec<f64>]| {
        let differences = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max)
    };
    assert!(pairs(&start, &whole.values()) > 1e-2);
    // Adam divides by the root of squares: rounding of 1e-16 in gradients of 1e-6 is 1e-10 of a
    // step.
    assert!(pairs(&parts.values(), &whole.values()) < 1e-9);
}

/// Scattered elements, whole parameters and windows of the same elements are trained alike.
#[test]
fn scattered_numbers_are_trained_as_windows_are() {
    let config = config();
    let parameter = 5;
    assert_eq!(config.parameters()[parameter].name, "blocks.0.attn.b_QKV");
    let [rows, columns] = shapes(&config)[parameter];
    let run = |cells: Cells| {
        let mut tuner = tuner::<f32>(&config, BATCH, RULES[2], Leaving::Forget);
        tuner.train(Slices::new(vec![Slice { parameter, cells }]));
        (0..3).for_each(|s| {
            tuner.step(&[batch(s, 0..BATCH)], 0.05, Some(1e-3));
        });
        (tuner.gradient_norm(), tuner.values())
    };
    let places: Vec<u32> = (0..(rows * columns) as u32).collect();
    let window = crate::tape::Window::whole(rows, columns);
    let whole = run(Cells::Window(window));
    assert_eq!(run(Cells::Scattered(places.into())), whole);
    let few = run(Cells::Scattered([3, 4, 17].into()));
    let start = tuner::<f32>(&config, BATCH, RULES[2], Leaving::Forget).values();
    let moved: Vec<usize> = changed(&start, &few.1)[parameter]
        .iter()
        .enumerate()
        .filter(|(_, m)| **m)
        .map(|(i, _)| i)
        .collect();
    assert_eq!(moved, [3, 4, 17]);
    assert!(few.0 > 0.0 && few.0 < whole.0);
}

/// Through the graph of a circuit, whose mix gives gradients of whole matrices only, slices are
/// trained as well, and nothing else; at masks of 1 they are trained as in the plain model.
#[test]
fn slices_are_trained_through_masks_too() {
    use crate::graph::{MaskShape, Recorder};
    let config = config();
    let graph = graph(&config);
    let mut recorder = Recorder::new(&graph, Some(MaskShape::default()));
    let mut masked = Objective::<f64>::record(&config, BATCH, TIME, 0, &mut recorder);
    masked.set_weights(&Model::random(&config, 3).weights);
    let masks: Vec<_> = recorder.readings.iter().filter_map(|r| r.mask).collect();
    masks.iter().for_each(|&x| masked.program.value_mut(x).fill(1.0));
    let mut masked = Tuner::new(masked, vec![], RULES[0], Leaving::Forget);
    let mut plain = tuner::<f64>(&config, BATCH, RULES[0], Leaving::Forget);
    let start = plain.values();
    let kept: Vec<bool> = (0..graph.edges()).map(|e| e % 7 == 0).collect();
    let ends = Ends::of(&graph, &kept);
    for tuner in [&mut masked, &mut plain] {
        tuner.train(Slices::of_ends(&graph, &config, &ends, Extras::default()));
        (0..3).for_each(|s| {
            tuner.step(&[batch(s, 0..BATCH)], 0.05, Some(0.5));
        });
    }
    let (mut moved, mut apart) = (0.0f64, 0.0f64);
    for ((a, b), s) in masked.values().iter().zip(&plain.values()).zip(&start) {
        for ((a, b), s) in a.iter().zip(b).zip(s) {
            (moved, apart) = (moved.max((b - s).abs()), apart.max((a - b).abs()));
            assert_eq!(a == s, b == s);
        }
    }
    // The same sums in another order.
    assert!(moved > 1e-2 && apart < 1e-12, "{moved} {apart}");
}

/// A watched parameter has a gradient, is not trained and does not count in the norm.
#[test]
fn watched_parameters_are_not_trained() {
    let config = config();
    let slices = || Slices::named(&config, |name| name == "blocks.1.attn.W_O");
    let watched = config.parameters().iter().position(|p| p.name == "blocks.0.mlp.W_in");
    let watched = watched.expect("it");
    let run = |watch: Vec<usize>| {
        let mut tuner = tuner::<f32>(&config, BATCH, RULES[1], Leaving::Forget);
        tuner.watch(watch);
        tuner.train(slices());
        tuner.step(&[batch(0, 0..BATCH)], 0.05, Some(1e-3));
        tuner
    };
    let (mut with, without) = (run(vec![watched]), run(vec![]));
    assert_eq!(with.values(), without.values());
    assert_eq!(with.gradient_norm(), without.gradient_norm());
    let leaf = with.objective().transformer.parameters[watched];
    assert!(with.objective().program.grad(leaf).iter().any(|g| g.abs() > 1e-4));
}

/// Optimizer state of a frozen slice is dropped or kept, as asked.
#[test]
fn slices_that_come_back_start_anew_or_go_on() {
    let config = config();
    let of = |part: &str| Slices::named(&config, |name| name == format!("blocks.1.{part}"));
    let run = |leaving| {
        let mut tuner = tuner::<f32>(&config, BATCH, RULES[0], leaving);
        let mut bytes = vec![];
        for part in ["attn.W_O", "mlp.W_in", "attn.W_O"] {
            tuner.train(of(part));
            tuner.step(&[batch(0, 0..BATCH)], 0.05, None);
            bytes.push(tuner.bytes());
        }
        (bytes, tuner.values())
    };
    let ((forget, a), (keep, b)) = (run(Leaving::Forget), run(Leaving::Keep));
    // A gradient and a momentum of 12 x 12, then of 12 x 16 elements.
    assert_eq!(forget, [2 * 4 * 144, 2 * 4 * 192, 2 * 4 * 144]);
    assert_eq!(keep, [2 * 4 * 144, 4 * (2 * 192 + 144), 4 * (2 * 144 + 192)]);
    assert_ne!(a, b);
    let names = config.parameters();
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_eq!(a != b, names[i].name == "blocks.1.attn.W_O", "{}", names[i].name);
    }
}

/// Gradients and state of a quarter of the parameters take a quarter of the memory.
#[test]
fn memory_is_in_proportion() {
    let config = config();
    let mut tuner = tuner::<f32>(&config, BATCH, RULES[1], Leaving::Forget);
    tuner.train(Slices::named(&config, |_| true));
    tuner.step(&[batch(0, 0..BATCH)], 0.01, None);
    let (all, whole) = (tuner.bytes(), tuner.count());
    assert_eq!(all, 3 * 4 * whole);
    let program = tuner.objective().program.bytes();
    let graph = graph(&config);
    let kept: Vec<bool> = (0..graph.edges()).map(|e| e % 9 == 0).collect();
    let slices = Slices::of_ends(
        &graph,
        &config,
        &Ends::of(&graph, &kept),
        Extras { biases: false, ..Extras::default() },
    );
    tuner.train(slices);
    tuner.step(&[batch(0, 0..BATCH)], 0.01, None);
    let count = tuner.count();
    assert!(count > 100 && count < whole);
    assert_eq!(tuner.bytes(), 3 * 4 * count);
    let now = tuner.objective().program.bytes();
    assert!(program - now >= 4 * (whole - count) / 2, "{program} {now}");
}

/// The second term of the loss, and its gradient, against finite differences.
#[test]
fn gaps_are_penalised() {
    let config = config();
    let mut objective = Objective::<f64>::record(&config, 1, TIME, 2, &mut Sum::default());
    objective.set_weights(&Model::random(&config, 3).weights);
    let mut tuner = Tuner::new(objective, vec![], RULES[0], Leaving::Forget);
    tuner.train(Slices::named(&config, |name| name == "blocks.1.mlp.W_out"));
    let part = |beta| {
        let gaps = vec![(2, [4, 9]), (5, [1, 0])];
        [Batch { gaps, beta, weights: vec![0.1; TIME], ..batch(1, 0..1) }]
    };
    let plain = tuner.gradient(&part(0.0));
    let with = tuner.gradient(&part(0.7));
    let o = tuner.objective();
    let logits = o.program.value(o.logits).to_vec();
    let gap = |row: usize, [a, b]: [usize; 2]| logits[row * 11 + a] - logits[row * 11 + b];
    let gaps = [gap(2, [4, 9]), gap(5, [1, 0])];
    assert!(gaps.iter().all(|g| g.abs() > 0.05), "{gaps:?}");
    let got = o.program.value(o.gap.expect("gaps")).to_vec();
    got.iter().zip(gaps).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    let want = 0.7 * (gaps[0].abs() + gaps[1].abs()) / 2.0;
    assert!((with - plain - want).abs() < 1e-12, "{with} {plain} {want}");
    let before = tuner.values();
    let at = config.parameters().iter().position(|p| p.name == "blocks.1.mlp.W_out").expect("it");
    let leaf = tuner.objective().transformer.parameters[at];
    let gradient = tuner.objective().program.grad(leaf).to_vec();
    let h = 1e-5;
    for cell in [0, 77, 150] {
        let mut values = before.clone();
        let mut moved = |by: f64| {
            values[at][cell] = before[at][cell] + by;
            tuner.set_values(&values);
            tuner.gradient(&part(0.7))
        };
        let difference = (moved(h) - moved(-h)) / (2.0 * h);
        assert!(gradient[cell].abs() > 1e-5, "{}", gradient[cell]);
        assert!((difference - gradient[cell]).abs() < 1e-8, "{difference} {}", gradient[cell]);
    }
}

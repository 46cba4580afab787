use super::*;
use crate::attribution::method;
use crate::attribution::method::Method;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::{Bounds, Pairs};
use crate::graph::{Node, Port};
use crate::patching::behaviour::Baseline;
use crate::patching::metric::{Metric, Positions};

fn pairs(seed: u64) -> Pairs {
    let mut rng = Rng::new(seed, Purpose::Probe, 0);
    let mut line = || {
        let list = |rng: &mut Rng| (0..TIME).map(|_| rng.below(11)).collect::<Vec<_>>();
        let (clean, corrupted) = (list(&mut rng), list(&mut rng));
        format!(
            "{{\"clean\": {clean:?}, \"corrupted\": {corrupted:?}, \
             \"answer\": 3, \"distractor\": 8}}\n"
        )
    };
    let text: String = (0..8).map(|_| line()).collect();
    let bounds = Bounds { vocab: 11, vocab_out: 11, context: 8 };
    Pairs::parse("pairs", text.as_bytes(), &bounds, None, None).expect("pairs")
}

fn discovery(select: Select, amount: f64) -> Discovery {
    Discovery {
        method: Method::Eap,
        options: method::Options { seed: 0, ..Method::Eap.options() },
        metric: Metric::LogitDiff,
        positions: Positions::Asked,
        baseline: Baseline::Resample,
        select,
        amount: Amount::constant(amount),
        smoothing: None,
        layers: None,
        random: 0.0,
    }
}

fn finder(d: Discovery, seed: u64) -> Result<Finder> {
    Finder::new(&config(), graph(&config()), d, Extras::default(), seed)
}

fn model() -> AnyModel<f64> {
    AnyModel::Transformer(Model::random(&config(), 3))
}

fn find(d: Discovery) -> (Finder, Found) {
    let mut finder = finder(d, 5).expect("a finder");
    let found = finder.find(&model(), 11, &pairs(0), 0).expect("a circuit");
    (finder, found)
}

/// Scores are not all zero (on a processor the authors' were), only existing edges are chosen (they
/// chose among all pairs of nodes), and as many as asked, the largest.
#[test]
fn the_largest_edges_are_found() {
    let (finder, found) = find(discovery(Select::Edges, 12.0));
    assert_eq!(found.scores.len(), finder.graph().edges());
    assert!(found.scores.iter().filter(|s| s.abs() > 1e-6).count() > 50);
    let least = |kept: bool| {
        let sizes = found.scores.iter().zip(&found.kept).filter(move |(_, k)| **k == kept);
        sizes.map(|(s, _)| s.abs()).collect::<Vec<_>>()
    };
    assert_eq!(least(true).len(), 12);
    let smallest = least(true).into_iter().fold(f64::MAX, f64::min);
    assert!(least(false).into_iter().all(|s| s <= smallest) && smallest > 0.0);
    assert_eq!(found.ends, Ends::of(finder.graph(), &found.kept));
}

/// Sums over a node's edges do not depend on the order of nodes, and an MLP's two ends have
/// different names: both were wrong in the authors' code.
#[test]
fn the_best_ends_have_the_largest_sums() {
    let (finder, found) = find(discovery(Select::Nodes, 7.0));
    assert_eq!(found.ends.count(), 7);
    let graph = finder.graph();
    let mut readers: Vec<Vec<f64>> =
        graph.groups.iter().map(|g| vec![0.0; g.readers.len()]).collect();
    let mut writers = vec![0.0; graph.writers.len()];
    for (e, s) in found.scores.iter().enumerate().rev() {
        let (g, _, r, w) = graph.place(e);
        readers[g][r] += s.abs();
        writers[w] += s.abs();
    }
    let sums = readers.iter().flatten().chain(&writers);
    let chosen = found.ends.readers.iter().flatten().chain(&found.ends.writers);
    let (mut inside, mut outside) = (vec![], vec![]);
    sums.zip(chosen).for_each(|(s, is)| if *is { inside.push(*s) } else { outside.push(*s) });
    let least = inside.iter().copied().fold(f64::MAX, f64::min);
    assert!(least > 0.0 && outside.iter().all(|s| *s <= least));
    // Edges connect chosen ends.
    let all = Ends::of(graph, &found.kept);
    assert!(all.writers.iter().zip(&found.ends.writers).all(|(a, b)| !a || *b));
}

/// A share of the parameters is filled with the ends of the largest score per parameter.
#[test]
fn a_share_is_filled_with_the_densest_ends() {
    let (finder, all) = find(discovery(Select::Share, 1.0));
    let graph = finder.graph();
    let count = |ends: &Ends| Slices::of_ends(graph, &config(), ends, Extras::default()).count();
    let whole = count(&Ends::of(graph, &vec![true; graph.edges()]));
    assert_eq!(count(&all.ends), whole);
    for share in [0.05, 0.25, 0.6] {
        let (_, some) = find(discovery(Select::Share, share));
        let got = count(&some.ends) as f64 / whole as f64;
        // The smallest end, a head's queries, owns 52 of 1,344 parameters; shared biases count
        // once.
        assert!(got <= share + 1e-9 && got > share - 0.13, "{got} of {share}");
        assert!(some.ends.count() > 0);
    }
}

#[test]
fn a_faithful_circuit_is_the_smallest_that_is_tried() {
    let (_, all) = find(discovery(Select::Faithfulness, 1e9));
    assert!(all.kept.iter().all(|&k| k), "no circuit is that faithful");
    let (_, some) = find(discovery(Select::Faithfulness, 0.3));
    let count = some.kept.iter().filter(|&&k| k).count();
    assert!(count > 0 && count < all.kept.len(), "{count}");
    let (_, large) = find(discovery(Select::Threshold, 0.01));
    assert!(large.scores.iter().zip(&large.kept).all(|(s, &k)| k == (s.abs() >= 0.01)));
    assert!(large.kept.contains(&true) && large.kept.contains(&false));
}

/// A share of random ends is that share: the authors applied it twice.
#[test]
fn random_ends_are_as_many_as_asked() {
    let (_, plain) = find(discovery(Select::Edges, 6.0));
    let (_, more) = find(Discovery { random: 0.5, ..discovery(Select::Edges, 6.0) });
    let n = plain.ends.count();
    assert_eq!(more.ends.count(), n + (0.5 * n as f64).round() as usize);
    let kept = plain.ends.readers.iter().flatten().chain(&plain.ends.writers);
    let still = more.ends.readers.iter().flatten().chain(&more.ends.writers);
    assert!(kept.zip(still).all(|(a, b)| !a || *b));
}

#[test]
fn only_ends_of_the_layers_asked_are_trained() {
    let d = Discovery { layers: Some(1..2), ..discovery(Select::Edges, 40.0) };
    let (finder, found) = find(d);
    let slices = Slices::of_ends(finder.graph(), &config(), &found.ends, Extras::ALL);
    let names = config().parameters();
    let allowed = |name: &str| {
        name.starts_with("blocks.1.") || name.starts_with("ln_final") || name.starts_with("unembed")
    };
    assert!(slices.count() > 100);
    assert!(slices.iter().all(|s| allowed(&names[s.parameter].name)));
}

/// AdaLoRA's averages: the authors stored their product and averaged that.
#[test]
fn smoothed_scores_are_the_product_of_two_averages() {
    let d = Discovery { smoothing: Some([0.8, 0.5]), ..discovery(Select::Edges, 9.0) };
    let mut finder = finder(d, 5).expect("a finder");
    let all: Vec<Found> =
        (0..3).map(|i| finder.find(&model(), 11, &pairs(i), i as usize).expect("found")).collect();
    let edges = finder.graph().edges();
    let mut want = vec![0.0; edges];
    for (e, want) in want.iter_mut().enumerate() {
        let (mut mean, mut spread) = (0.0, 0.0);
        for found in &all {
            let s = found.scores[e].abs();
            mean = 0.8 * mean + 0.2 * s;
            spread = 0.5 * spread + 0.5 * (s - mean).abs();
        }
        *want = mean * spread;
    }
    let mut order: Vec<usize> = (0..edges).collect();
    order.sort_by(|&a, &b| want[b].total_cmp(&want[a]));
    let last = all.last().expect("three");
    assert!(order[..9].iter().all(|&e| last.kept[e]));
    assert_ne!(all[0].kept, last.kept);
}

/// The control has as many ends of each type, and is drawn anew each time.
#[test]
fn matched_ends_are_of_the_same_types() {
    let (mut finder, found) = find(discovery(Select::Edges, 20.0));
    let types = |finder: &Finder, ends: &Ends| {
        let mut counts = std::collections::BTreeMap::new();
        let graph = finder.graph();
        for (group, readers) in graph.groups.iter().zip(&ends.readers) {
            for (input, _) in group.readers.iter().zip(readers).filter(|(_, is)| **is) {
                let mlp = matches!(input.node, Node::Mlp { .. });
                *counts.entry((mlp, input.node == Node::Logits, Some(input.port))).or_insert(0) +=
                    1;
            }
        }
        for (node, _) in graph.writers.iter().zip(&ends.writers).filter(|(_, is)| **is) {
            let mlp = matches!(node, Node::Mlp { .. });
            *counts.entry((mlp, *node == Node::Input, None::<Port>)).or_insert(0) += 1;
        }
        counts
    };
    let drawn: Vec<Ends> = (0..4).map(|_| finder.matched(&found.ends)).collect();
    for ends in &drawn {
        assert_eq!(types(&finder, ends), types(&finder, &found.ends));
    }
    assert!(drawn.iter().any(|ends| *ends != drawn[0]));
    assert!(drawn.iter().any(|ends| *ends != found.ends));
}

#[test]
fn what_cannot_be_found_is_refused() {
    for (d, place) in [
        (discovery(Select::Edges, 0.0), "edges"),
        (discovery(Select::Edges, 1e6), "edges"),
        (discovery(Select::Nodes, 1e6), "edges"),
        (discovery(Select::Edges, f64::NAN), "edges"),
        (Discovery { random: -0.1, ..discovery(Select::Edges, 3.0) }, "random"),
    ] {
        let e = finder(d, 0).err().expect("an error");
        assert!(e.to_string().starts_with(&format!("{place}: ")), "{e}");
    }
}

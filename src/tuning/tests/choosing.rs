use super::*;
use crate::attribution::method;
use crate::attribution::method::Method;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::{Bounds, Pairs};
use crate::graph::connect::connected;
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
        or_least: false,
        smoothing: None,
        layers: None,
        random: 0.0,
        placed: Placed::Anywhere,
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

/// Scores are not all zero (on a processor the authors' were), and of the edges on paths the
/// largest are chosen.
#[test]
fn the_largest_edges_are_found() {
    let (finder, found) = find(discovery(Select::Edges, 12.0));
    assert_eq!(found.scores.len(), finder.graph().edges());
    assert!(found.scores.iter().filter(|s| s.abs() > 1e-6).count() > 50);
    let size = |e: &usize| found.scores[*e].abs();
    let mut order: Vec<usize> = (0..found.kept.len()).collect();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let count = found.kept.iter().filter(|&&k| k).count();
    assert!((2..=12).contains(&count), "{count}");
    // With the largest edge that is left out, and all before it, there are more than 12.
    let last = order.iter().rposition(|&e| found.kept[e]).expect("one is kept");
    let mut more = vec![false; order.len()];
    let mut on_paths = 0;
    for n in last..order.len() {
        order[..=n].iter().for_each(|&e| more[e] = true);
        on_paths = connected(finder.graph(), &more).iter().filter(|&&k| k).count();
        if on_paths > count {
            break;
        }
    }
    assert!(on_paths > 12, "{on_paths}");
}

/// **Law.** Every edge of a circuit is on a path from the input to the logits, and what is trained
/// is what its edges end in.
#[test]
fn every_circuit_is_connected_and_trains_its_ends() {
    let neurons = Granularity { neurons: true, ..Granularity::default() };
    for (config, granularity) in [
        (config(), Granularity::default()),
        (other_config(), Granularity::default()),
        (config(), neurons),
    ] {
        let graph = Graph::of_transformer(&config, granularity);
        let model = AnyModel::<f64>::Transformer(Model::random(&config, 3));
        let all = graph.edges() as f64;
        let ends = ends_of(&graph) as f64;
        for (select, amounts) in [
            (Select::Edges, [0.2 * all, 0.5 * all, all]),
            (Select::Nodes, [4.0, 9.0, ends]),
            (Select::Share, [0.25, 0.6, 1.0]),
            (Select::Threshold, [0.0, 1e-4, 1e-3]),
            (Select::Faithfulness, [0.2, 0.5, 0.9]),
        ] {
            for amount in amounts {
                let d = discovery(select, amount);
                let mut finder =
                    Finder::new(&config, graph.clone(), d, Extras::default(), 5).expect("a finder");
                let found = finder.find(&model, 11, &pairs(0), 0).expect("a circuit");
                let place = format!("{select:?} {amount}");
                assert!(found.kept.contains(&true), "{place}");
                assert_eq!(connected(&graph, &found.kept), found.kept, "{place}");
                assert_eq!(found.ends, Ends::of(&graph, &found.kept), "{place}");
                let control = finder.matched(&found, None);
                assert_eq!(connected(&graph, &control.kept), control.kept);
                assert_eq!(control.ends, Ends::of(&graph, &control.kept), "{place}: control");
                assert_eq!(control.ends.count(), found.ends.count(), "{place}: control");
            }
        }
    }
}

/// Sums over a node's edges do not depend on the order of nodes, and an MLP's two ends have
/// different names: both were wrong in the authors' code.
#[test]
fn the_best_ends_have_the_largest_sums() {
    let (finder, found) = find(discovery(Select::Nodes, 7.0));
    assert!((4..=7).contains(&found.ends.count()));
    let graph = finder.graph();
    let mut readers: Vec<Vec<f64>> =
        graph.groups.iter().map(|g| vec![0.0; g.readers.len()]).collect();
    let mut writers = vec![0.0; graph.writers.len()];
    for (e, s) in found.scores.iter().enumerate().rev() {
        let (g, _, r, w) = graph.place(e);
        readers[g][r] += s.abs();
        writers[w] += s.abs();
    }
    let sums: Vec<f64> = readers.into_iter().flatten().chain(writers).collect();
    // The largest of all but the input and the logits, which every circuit has, is in it.
    let roots = |end: &usize| {
        let numbers = found.ends.numbers();
        let rest =
            Ends::numbered(graph, &numbers.into_iter().filter(|e| e != end).collect::<Vec<_>>());
        connected(graph, &between_all(graph, &rest)).contains(&true)
    };
    let best = (0..sums.len()).filter(roots).max_by(|&a, &b| sums[a].total_cmp(&sums[b]));
    assert!(found.ends.numbers().contains(&best.expect("there are ends")));
}

/// All edges from one of the ends to another.
fn between_all(graph: &Graph, ends: &Ends) -> Vec<bool> {
    let both = |e| {
        let (g, _, r, w) = graph.place(e);
        ends.readers[g][r] && ends.writers[w]
    };
    (0..graph.edges()).map(both).collect()
}

/// A share of the parameters is filled with the ends of the largest score per parameter.
#[test]
fn a_share_is_filled_with_the_densest_ends() {
    let (finder, all) = find(discovery(Select::Share, 1.0));
    let graph = finder.graph();
    let count = |ends: &Ends| Slices::of_ends(graph, &config(), ends, Extras::default()).count();
    let whole = count(&Ends::of(graph, &vec![true; graph.edges()]));
    assert_eq!(count(&all.ends), whole);
    for share in [0.1, 0.25, 0.6] {
        let (_, some) = find(discovery(Select::Share, share));
        let got = count(&some.ends) as f64 / whole as f64;
        // The smallest end, a head's queries, owns 52 of 1,344 parameters; shared biases count
        // once.
        assert!(got <= share + 1e-9 && got > share - 0.13, "{got} of {share}");
    }
}

#[test]
fn a_faithful_circuit_is_the_smallest_that_is_tried() {
    let (_, all) = find(discovery(Select::Faithfulness, 1e9));
    assert!(all.kept.iter().all(|&k| k), "no circuit is that faithful");
    let (_, some) = find(discovery(Select::Faithfulness, 0.3));
    let count = some.kept.iter().filter(|&&k| k).count();
    assert!(count > 0 && count < all.kept.len(), "{count}");
    let (finder, large) = find(discovery(Select::Threshold, 0.01));
    let reaches: Vec<bool> = large.scores.iter().map(|s| s.abs() >= 0.01).collect();
    assert_eq!(large.kept, connected(finder.graph(), &reaches));
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
    let graph = finder.graph();
    let mut beginnings = (1..=edges).map(|n| {
        let mut first = vec![false; edges];
        order[..n].iter().for_each(|&e| first[e] = true);
        connected(graph, &first)
    });
    assert!(beginnings.any(|kept| kept == last.kept));
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
    let drawn: Vec<Ends> = (0..4).map(|_| finder.matched(&found, None).ends).collect();
    for ends in &drawn {
        assert_eq!(types(&finder, ends), types(&finder, &found.ends));
    }
    assert!(drawn.iter().any(|ends| *ends != drawn[0]));
    assert!(drawn.iter().any(|ends| *ends != found.ends));
    // Drawn once, it turns over as the circuit does.
    let moved = finder.draw();
    let [first, again] = [0, 0].map(|_| finder.matched(&found, Some(&moved)));
    assert_eq!(first, again);
    assert_eq!(types(&finder, &first.ends), types(&finder, &found.ends));
}

/// In its layer every end stays in it, and elsewhere some leave.
#[test]
fn a_control_in_its_layer_has_as_many_ends_in_each() {
    let layers = |placed| {
        let d = Discovery { placed, ..discovery(Select::Nodes, 7.0) };
        let (mut finder, found) = find(d);
        let in_layers = |finder: &Finder, ends: &Ends| {
            let graph = finder.graph();
            let readers = graph.groups.iter().zip(&ends.readers);
            let readers = readers.flat_map(|(g, is)| g.readers.iter().map(|r| r.node).zip(is));
            let writers = graph.writers.iter().copied().zip(&ends.writers);
            let mut nodes: Vec<(Option<usize>, bool)> = vec![];
            for (node, _) in readers.chain(writers).filter(|(_, is)| **is) {
                nodes.push(match node {
                    Node::Head { layer, .. } => (Some(layer), true),
                    Node::Mlp { layer } => (Some(layer), false),
                    _ => (None, false),
                });
            }
            nodes.sort_unstable();
            nodes
        };
        let own = in_layers(&finder, &found.ends);
        let drawn: Vec<Ends> = (0..6).map(|_| finder.matched(&found, None).ends).collect();
        assert!(drawn.iter().any(|ends| *ends != found.ends), "other nodes");
        drawn.iter().all(|ends| in_layers(&finder, ends) == own)
    };
    assert!(layers(Placed::InLayer));
    assert!(!layers(Placed::Anywhere));
}

/// What it trains and what the circuit trains have no end in common but those that own no
/// parameters, and it is a circuit.
#[test]
fn the_complement_is_everything_else_on_paths() {
    let (finder, circuit) = find(discovery(Select::Nodes, 6.0));
    let found = finder.complement(&circuit).expect("a path");
    let graph = finder.graph();
    assert_eq!(connected(graph, &found.kept), found.kept);
    assert_eq!(Ends::of(graph, &found.kept), found.ends);
    let slices = |ends: &Ends| Slices::of_ends(graph, &config(), ends, Extras::default()).count();
    let (one, other) = (circuit.ends.numbers(), found.ends.numbers());
    let both: Vec<usize> = one.iter().copied().filter(|end| other.contains(end)).collect();
    assert_eq!(slices(&Ends::numbered(graph, &both)), 0, "{both:?}");
    assert!(slices(&found.ends) > 0);
    let all = Found { kept: vec![true; graph.edges()], ..circuit };
    let error = finder.complement(&all).expect_err("nothing is left").to_string();
    assert!(error.contains("no path is left"), "{error}");
}

/// A head's ends own 52 of 1,344 parameters each and more, so a hundredth holds no path.
#[test]
fn an_amount_without_a_path_is_refused_or_raised_to_the_least() {
    for (select, amount, least) in
        [(Select::Share, 0.01, "of the parameters"), (Select::Nodes, 3.0, "4 ends")]
    {
        let e = finder(discovery(select, amount), 0).err().expect("an error");
        assert!(e.to_string().contains("no path") && e.help().contains(least), "{e} {}", e.help());
        let (_, found) = find(Discovery { or_least: true, ..discovery(select, amount) });
        // The input, the logits, and both sides of one node.
        assert_eq!(found.ends.count(), 4);
    }
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

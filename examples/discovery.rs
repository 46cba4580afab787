//! Find the circuit of a model whose circuit is known, in five ways, and judge each.
//!
//! The model sorts four tokens; it was compiled from a program, so that the seven of its 46 edges
//! that do the work are known. Writes the circuits and a page of them to `runs/discovery`.

use edgegrad::attribution::{eap, exact, mask_ig};
use edgegrad::discovery::{acdc, connect::connected, controls, minimal, select, truth::Confusion};
use edgegrad::{page, patching::subsets, prelude::*};
use std::path::Path;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tracr/sort");
    let case = Case::<f64>::read(&folder)?;
    // How far the logits of the right answers stand above those of the other input's, and how far
    // all logits are from the model's.
    let b = &case.behaviour(Metric::LogitDiff, Baseline::Resample)?;
    let by_distance = case.behaviour(Metric::L2, Baseline::Resample)?;
    let (graph, edges, silent) = (&case.graph, case.graph.edges(), &mut |_: f64| {});

    // By scores: as many edges as are true, and of those what is connected.
    let n = case.true_edges();
    let best = |scores: &[f64]| select::first(&select::Rank::Abs.order(scores), n, edges);
    let scores = [
        eap::scores(b, silent)?.values,
        mask_ig::scores(b, 4, 1e-6, mask_ig::MOST_NODES, silent)?.values,
        exact::scores(b, silent)?.values,
    ];
    let proof = minimal::minimal(b, &minimal::MinimalOptions::within(1e-3), silent)?;
    let found = [
        ("eap", connected(graph, &best(&scores[0]))),
        ("mask-ig", connected(graph, &best(&scores[1]))),
        ("exact", connected(graph, &best(&scores[2]))),
        ("acdc", acdc::search(&by_distance, 1e-6, silent)?),
        ("minimal", proof.circuit.expect("all edges hold")),
    ];

    let span = Span::new(b, &b.extremes()?)?;
    let faithful = |kept: &[bool], inside: bool| -> Result<f64> {
        let values = subsets::per_pair(b, 1, |_, e| kept[e] == inside, &mut |_| {})?;
        Ok(span.faithfulness(&values[0]))
    };
    println!("{edges} edges, {n} of them true; {} pairs", case.pairs.len());
    println!("          edges  right     F1  faithfulness of the rest");
    for (name, kept) in &found {
        let truth = Confusion::of(kept, &case.truth);
        let (right, f1) = (truth.true_positive, truth.f1());
        let size = right + truth.false_positive;
        let (alone, rest) = (faithful(kept, true)?, faithful(kept, false)?);
        println!("{name:<8} {size:>6} {right:>6} {f1:>6.3} {alone:>13.4} {rest:>11.4}");
    }
    let smallest = "proven, no smaller circuit keeps every pair";
    let proven = if proof.proven { smallest } else { "not proven" };
    println!("minimal: {proven}, {} sets of edges were tried", proof.tried);

    // Would any circuit of this size do?
    let kept = &found[3].1;
    let random = controls::random_circuits(graph, kept, 999, 0);
    let values = subsets::per_pair(b, random.len(), |s, e| random[s][e], silent)?;
    let of_random: Vec<f64> = values.iter().map(|v| span.faithfulness(v)).collect();
    let best = of_random.iter().fold(f64::NEG_INFINITY, |m, &f| m.max(f));
    let p = controls::p_value(faithful(kept, true)?, &of_random);
    let like = "999 random circuits with as many edges of each type";
    println!("{like}: the best has {best:.4}; p = {p:.3}");
    println!("\nwhat ACDC keeps:");
    (0..edges).filter(|&e| kept[e]).for_each(|e| println!("  {}", graph.edge(e)));

    let folder = Path::new("runs/discovery");
    for (i, (name, kept)) in found.iter().enumerate() {
        let meta = Meta { method: Some((*name).into()), ..Default::default() };
        let file = graph.circuit_file(kept, scores.get(i).map(Vec::as_slice), &meta);
        file.write_into(folder, name)?;
    }
    let page = folder.join("report.html");
    page::write_page(&[folder.into()], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}

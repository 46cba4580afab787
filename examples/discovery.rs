//! Find the circuit of a model whose circuit is known, in five ways, and judge each.
//!
//! The model sorts four tokens; it was compiled from a program, so that the seven of its 46 edges that
//! do the work are known. Writes the circuits and a page of them to `runs/discovery`.

use edgegrad::attribution::{eap, exact, mask_ig};
use edgegrad::discovery::connect::connected;
use edgegrad::discovery::faithfulness::Span;
use edgegrad::discovery::select::{Rank, first};
use edgegrad::discovery::truth::Confusion;
use edgegrad::discovery::truth::case::Case;
use edgegrad::discovery::{acdc, controls, minimal};
use edgegrad::error::{Error, Result};
use edgegrad::formats::Meta;
use edgegrad::page;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::patching::subsets;
use std::fs;
use std::path::Path;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tracr/sort");
    let case = Case::<f64>::read(&folder)?;
    // How far the logits of the right answers stand above those of the other input's, and how far all
    // logits are from the model's.
    let ask = |metric| -> Result<Behaviour<'_, f64>> {
        let question =
            Question::new(metric, Positions::Asked, case.model.vocab_out(), &case.pairs)?;
        Behaviour::new(&case.model, case.graph.clone(), &case.pairs, question, Baseline::Resample)
    };
    let (by_logits, by_distance) = (ask(Metric::LogitDiff)?, ask(Metric::L2)?);
    let (b, graph, edges) = (&by_logits, &case.graph, case.graph.edges());

    // By scores: as many edges as are true, and of those what is connected.
    let n = case.true_edges();
    let select = |scores: &[f64]| connected(graph, &first(&Rank::Abs.order(scores), n, edges));
    let silent = &mut |_: f64| {};
    let scores = [
        eap::scores(b, silent)?.values,
        mask_ig::scores(b, 4, 1e-6, mask_ig::MOST_NODES, silent)?.values,
        exact::scores(b, silent)?.values,
    ];
    let proof = minimal::minimal(b, &minimal::MinimalOptions::within(1e-3), silent)?;
    let found = [
        ("eap", select(&scores[0])),
        ("mask-ig", select(&scores[1])),
        ("exact", select(&scores[2])),
        ("acdc", acdc::search(&by_distance, 1e-6, silent)?),
        ("minimal", proof.circuit.expect("all edges hold")),
    ];

    let span = Span::new(b, &b.extremes()?)?;
    let faithful = |kept: &[bool], inside: bool| -> Result<f64> {
        let values = subsets::per_pair(b, 1, |_, e| kept[e] == inside, &mut |_| {})?;
        Ok(span.faithfulness(&values[0]))
    };
    println!("{edges} edges, {n} of them true; {} pairs", case.pairs.len());
    println!(
        "{:<8} {:>6} {:>6} {:>6} {:>13} {:>11}",
        "", "edges", "right", "F1", "faithfulness", "of the rest"
    );
    for (name, kept) in &found {
        let truth = Confusion::of(kept, &case.truth);
        let size = truth.true_positive + truth.false_positive;
        println!(
            "{name:<8} {size:>6} {:>6} {:>6.3} {:>13.4} {:>11.4}",
            truth.true_positive,
            truth.f1(),
            faithful(kept, true)?,
            faithful(kept, false)?,
        );
    }
    println!(
        "minimal: {}, {} sets of edges were tried",
        if proof.proven { "proven, no smaller circuit keeps every pair" } else { "not proven" },
        proof.tried,
    );

    // Would any circuit of this size do?
    let kept = &found[3].1;
    let random = controls::random_circuits(graph, kept, 999, 0);
    let values = subsets::per_pair(b, random.len(), |s, e| random[s][e], silent)?;
    let of_random: Vec<f64> = values.iter().map(|v| span.faithfulness(v)).collect();
    let best = of_random.iter().fold(f64::NEG_INFINITY, |m, &f| m.max(f));
    println!(
        "999 random circuits with as many edges of each type: the best has {best:.4}; p = {:.3}",
        controls::p_value(faithful(kept, true)?, &of_random),
    );
    println!("\nwhat ACDC keeps:");
    for e in (0..edges).filter(|&e| kept[e]) {
        println!("  {}", graph.edge(e));
    }

    let folder = Path::new("runs/discovery");
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
    for (i, (name, kept)) in found.iter().enumerate() {
        let meta = Meta { method: Some((*name).into()), ..Default::default() };
        let file = graph.circuit_file(kept, scores.get(i).map(Vec::as_slice), &meta);
        file.write(folder.join(name).with_extension("json"))?;
    }
    let page = folder.join("report.html");
    page::write_page(&[folder.into()], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}

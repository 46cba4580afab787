//! Hypothesis tests of a circuit as a table with a verdict on each line.

use crate::cli::table::{Cell, Table};
use edgegrad::discovery::hypotheses::{
    Drawn, Finding, equivalence, independence, minimality, necessity, sufficiency,
};
use edgegrad::patching::span::Span;
use serde_json::{Map, Value, json};

/// The metric of each pair under the circuits that the tests draw, `[n][pairs]` each.
pub(super) struct Tested {
    longer: Vec<Vec<f64>>,
    shorter: Vec<Vec<f64>>,
    complements: Vec<Vec<f64>>,
}

/// The circuit, `[pairs]`, and what it is compared with.
pub(super) struct Compared<'a> {
    pub(super) circuit: &'a [f64],
    pub(super) complement: &'a [f64],
    /// The circuit without each of its edges.
    pub(super) one_less: &'a [Vec<f64>],
    /// Random circuits of its make.
    pub(super) random: &'a [Vec<f64>],
}

impl Tested {
    /// The circuits to run, in the order in which [`read`](Self::read) takes their values.
    pub(super) fn circuits(drawn: Drawn) -> impl Iterator<Item = Vec<bool>> {
        let Drawn { longer, shorter, complements } = drawn;
        longer.into_iter().chain(shorter).chain(complements)
    }

    /// Takes the values of `count` circuits of each kind.
    pub(super) fn read(values: &mut impl Iterator<Item = Vec<f64>>, count: usize) -> Tested {
        let mut next = || values.by_ref().take(count).collect();
        Tested { longer: next(), shorter: next(), complements: next() }
    }

    /// Prints a line for each test, and adds them to `report`.
    pub(super) fn judge(
        &self,
        span: &Span,
        runs: &Compared<'_>,
        seed: u64,
        report: &mut Map<String, Value>,
    ) {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let whole = mean(runs.circuit);
        let drops: Vec<f64> = runs.one_less.iter().map(|values| whole - mean(values)).collect();
        // Without any edge a pair has its corrupted run's metric, which goes with the model's.
        let added = runs.complement.iter().zip(&span.nothing).map(|(x, nothing)| x - nothing);
        let added: Vec<f64> = added.collect();
        let both = self.longer.iter().zip(&self.shorter);
        let others: Vec<f64> = both.map(|(long, short)| mean(long) - mean(short)).collect();
        let rows = [
            (
                "equivalence",
                "share of pairs above the model",
                equivalence(&span.clean, runs.circuit),
                ["the circuit cannot be told from the model", "it differs from the model"],
            ),
            (
                "independence",
                "dependence of what the rest adds",
                independence(&span.clean, &added, seed),
                ["the rest says nothing of the model", "the rest still knows"],
            ),
            (
                "minimality",
                "share of edges that matter",
                minimality(&drops, &others),
                ["every edge matters", "some edges matter no more than random ones"],
            ),
            (
                "sufficiency",
                "random circuits beaten",
                sufficiency(span, runs.circuit, runs.random),
                ["nearer to the model than random ones", "random ones come as near"],
            ),
            (
                "necessity",
                "random ablations beaten",
                necessity(span, runs.complement, &self.complements),
                ["more is lost without it", "random ablations lose as much"],
            ),
        ];
        print(&rows);
        let found = rows.iter().map(|(name, _, finding, _)| {
            let Finding { statistic, p, passed } = finding;
            ((*name).into(), json!({ "statistic": statistic, "p": p, "passed": passed }))
        });
        report.insert("tests".into(), Value::Object(found.collect()));
    }
}

fn print(rows: &[(&str, &str, Finding, [&str; 2])]) {
    let columns = [
        ("test", "test"),
        ("of", "of"),
        ("", "statistic"),
        ("p", "p"),
        ("passed", "passed"),
        ("verdict", "verdict"),
    ];
    let mut table = Table::new("tests", columns);
    for (name, of, Finding { statistic, p, passed }, [holds, fails]) in rows {
        table.row([
            Cell::text(*name),
            Cell::text(*of),
            Cell::real(*statistic, 4),
            Cell::scientific(*p, 1),
            Cell::text(if *passed { "yes" } else { "no" }),
            Cell::text(if *passed { *holds } else { *fails }),
        ]);
    }
    println!();
    table.print();
}

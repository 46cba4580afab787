//! `edgegrad interactions`.

use crate::cli::question::{Asked, bar};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::interactions::{Patched, hessian, patched};
use edgegrad::attribution::{eap, exact};
use edgegrad::error::{Error, Result};
use edgegrad::formats;
use edgegrad::formats::interactions::{Interaction, Row};
use edgegrad::named::Named;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::stats;
use std::path::PathBuf;

/// Find pairs of edges that are redundant (either suffices) or joint (both are needed)
///
/// All computing is in f64.
#[derive(Debug, Args)]
pub(super) struct Interactions {
    #[command(flatten)]
    asked: Asked,
    /// Rows of the second derivative: those of the N edges with the largest scores; all on graphs
    /// of up to 200 edges unless given, else 20
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows_of: Option<u64>,
    /// How many pairs of edges to ablate: those with the largest second derivatives
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=100_000),
    )]
    patches: u64,
    /// A pair is redundant or joint if its interaction is at least this share of the largest effect
    /// of ablating one edge, the other, or both
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    threshold: f64,
    /// Where to write all rows and pairs
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// The most edges whose whole matrix is computed unasked.
const SMALL: usize = 200;

/// A product of dual numbers takes about as long as this many of doubles.
const DUAL: f64 = 3.0;

impl Interactions {
    pub(super) fn run(&self) -> Result<()> {
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            let message = format!("must lie between 0 and 1, got {}", self.threshold);
            return Err(Error::input("--threshold", message, "give a share such as 0.1"));
        }
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| self.run_here())
    }

    fn run_here(&self) -> Result<()> {
        // Dual numbers carry doubles.
        let (model, pairs) = self.asked.read::<f64>()?;
        let settings =
            [("--rows-of", format!("{:?}", self.rows_of)), ("--patches", self.patches.to_string())];
        let journal = self.asked.journal::<f64>(&pairs, ("interactions", &self.out), &settings)?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        self.asked.headline(&b)?;
        let rows = self.rows(&b)?;
        let seconds = cost::seconds(&b, rows.len() as f64 * DUAL * (1.0 + cost::BACKWARD))?;
        let what = format!("{} rows of the second derivative", rows.len());
        self.asked.affordable(&what, seconds, "fewer rows with --rows-of")?;
        let (shown, mut progress) = bar("second derivatives");
        let matrix = hessian(&b, &rows, &mut progress)?;
        shown.finish();
        let mut couples = couples(&rows, &matrix);
        couples.truncate(self.patches as usize);
        let interactions = self.patch(&b, &couples)?;
        self.print(&interactions);

        let name = |e: usize| b.graph.edge(e).to_string();
        let meta = [
            ("metric", self.asked.metric.name().into()),
            ("baseline", self.asked.baseline.name().into()),
            ("threshold", self.threshold.into()),
            ("pairs", b.pairs.len().into()),
            ("model", self.asked.model_hash()?.into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ];
        let file = formats::interactions::Interactions {
            meta: meta.map(|(key, value)| (key.into(), value)).into_iter().collect(),
            pairs: interactions,
            rows: rows.iter().map(|&e| name(e)).collect(),
            columns: (0..b.graph.edges()).map(name).collect(),
            second_derivatives: matrix.into_iter().map(Row).collect(),
        };
        file.write(&self.out)?;
        b.journal.end();
        println!("interactions: {}", self.out.display());
        Ok(())
    }

    /// The edges whose rows are computed, rising: those with the largest scores.
    fn rows(&self, b: &Behaviour<'_, f64>) -> Result<Vec<usize>> {
        let edges = b.graph.edges();
        let first = eap::scores(b, &mut |_| {})?.values;
        // On small graphs ablation is cheap, and sees what is flat at the clean run.
        let sizes = if edges <= SMALL { exact::scores(b, &mut |_| {})?.values } else { first };
        let mut rows = stats::by_size(&sizes);
        let unasked = if edges <= SMALL { edges } else { 20 };
        rows.truncate(self.rows_of.map_or(unasked, |n| n as usize));
        rows.sort_unstable();
        Ok(rows)
    }

    /// Ablates the edges of each couple, one, the other and both.
    fn patch(&self, b: &Behaviour<'_, f64>, couples: &[Couple]) -> Result<Vec<Interaction>> {
        let (shown, mut progress) = bar("patches");
        let list: Vec<(usize, usize)> = couples.iter().map(|couple| (couple.i, couple.j)).collect();
        let found = patched(b, &list, &mut progress)?;
        shown.finish();
        let name = |e: usize| b.graph.edge(e).to_string();
        let interaction = |(p, couple): (&Patched, &Couple)| Interaction {
            i: name(p.i),
            j: name(p.j),
            second_derivative: couple.second_derivative,
            interaction: p.interaction(),
            without_i: p.without_i,
            without_j: p.without_j,
            without_both: p.without_both,
            relation: p.relation(self.threshold).name().into(),
        };
        Ok(found.iter().zip(couples).map(interaction).collect())
    }

    fn print(&self, interactions: &[Interaction]) {
        let columns = [
            ("edge i", "i"),
            ("edge j", "j"),
            ("d2M/dmi dmj", "second_derivative"),
            ("interaction", "interaction"),
            ("without i", "without_i"),
            ("without j", "without_j"),
            ("without both", "without_both"),
            ("", "relation"),
        ];
        let mut table = Table::new("interactions", columns);
        for p in interactions {
            let numbers =
                [p.second_derivative, p.interaction, p.without_i, p.without_j, p.without_both];
            let edges = [&p.i, &p.j].map(|edge| Cell::text(edge.clone()));
            let numbers = numbers.map(|x| Cell::real(x, 5));
            table.row(edges.into_iter().chain(numbers).chain([Cell::text(&p.relation)]));
        }
        println!();
        table.print();
        println!(
            "\njoint: both are needed; redundant: either suffices; opposed: one raises the metric, \
             the other lowers it; at an interaction of at least {} of the largest effect",
            self.threshold
        );
    }
}

/// Two edges, the first before the second, and the metric's second derivative by their masks.
struct Couple {
    i: usize,
    j: usize,
    second_derivative: f64,
}

/// Every couple with an edge of `rows`, once, the largest second derivative first; `matrix` is
/// `[rows][E]`.
fn couples(rows: &[usize], matrix: &[Vec<f64>]) -> Vec<Couple> {
    let mut couples = vec![];
    for (&i, row) in rows.iter().zip(matrix) {
        let others = row.iter().enumerate();
        let once = others.filter(|&(j, _)| j != i && (j > i || rows.binary_search(&j).is_err()));
        couples.extend(once.map(|(j, &second_derivative)| Couple {
            i: i.min(j),
            j: i.max(j),
            second_derivative,
        }));
    }
    couples.sort_by(|a, b| {
        let sizes = b.second_derivative.abs().total_cmp(&a.second_derivative.abs());
        sizes.then((a.i, a.j).cmp(&(b.i, b.j)))
    });
    couples
}

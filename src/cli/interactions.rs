//! `edgegrad interactions`.

use crate::cli::question::{Asked, bar};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::interactions::hessian;
use edgegrad::attribution::interactions::request::Request;
use edgegrad::error::Result;
use edgegrad::formats::interactions::Interaction;
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

impl Interactions {
    pub(super) fn run(&self) -> Result<()> {
        let request = Request {
            rows_of: self.rows_of.map(|n| n as usize),
            patches: self.patches as usize,
            threshold: self.threshold,
        };
        request.check()?;
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| self.run_here(&request))
    }

    fn run_here(&self, request: &Request) -> Result<()> {
        // Dual numbers carry doubles.
        let (model, pairs) = self.asked.read::<f64>()?;
        let settings =
            [("--rows-of", format!("{:?}", self.rows_of)), ("--patches", self.patches.to_string())];
        let journal = self.asked.journal::<f64>(&pairs, ("interactions", &self.out), &settings)?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        self.asked.headline(&b)?;
        let rows = request.rows(&b)?;
        let what = format!("{} rows of the second derivative", rows.len());
        let seconds = request.seconds(&b, rows.len())?;
        self.asked.affordable(&what, seconds, "fewer rows with --rows-of")?;
        let (shown, mut progress) = bar("second derivatives");
        let matrix = hessian(&b, &rows, &mut progress)?;
        shown.finish();
        let (shown, mut progress) = bar("patches");
        let interactions = request.pairs(&b, &rows, &matrix, &mut progress)?;
        shown.finish();
        self.print(&interactions);
        let hash = Some(self.asked.model_hash()?);
        request.file(&b, (&rows, matrix), interactions, hash).write(&self.out)?;
        b.journal.end();
        println!("interactions: {}", self.out.display());
        Ok(())
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

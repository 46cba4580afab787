//! `edgegrad crossing`.

use crate::cli::question::{Asked, bar};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::crossing;
use edgegrad::error::Result;
use edgegrad::formats::crossings::{Crossing, Crossings};
use edgegrad::formats::edge_name::Port;
use edgegrad::named::Named;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::stats;
use std::path::PathBuf;

/// Score what each head carries between positions
///
/// By keys: where it looks. By values: what it takes from there. All computing is in f64.
#[derive(Debug, Args)]
pub(super) struct CrossingEdges {
    #[command(flatten)]
    asked: Asked,
    /// How many to print
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    top: u64,
    /// Where to write them
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

impl CrossingEdges {
    pub(super) fn run(&self) -> Result<()> {
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| self.run_here())
    }

    fn run_here(&self) -> Result<()> {
        let (model, pairs) = self.asked.read::<f64>()?;
        let journal = self.asked.journal::<f64>(&pairs, ("crossing", &self.out), &[])?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        self.asked.headline(&b)?;
        // Each pass ends at its head; half of the layers on average.
        let places = b.graph.granularity.positions.unwrap_or(0) * b.graph.layers;
        let seconds = cost::seconds(&b, places as f64)?;
        self.asked.affordable("crossing edges", seconds, "name few spans with --spans")?;
        let (shown, mut progress) = bar("crossing edges");
        let found = crossing::scores(&b, &mut progress)?;
        shown.finish();
        let list: Vec<crossing::Crossing> = found.iter().collect();
        let scores: Vec<f64> = list.iter().map(|c| c.score).collect();
        let order = stats::by_size(&scores);
        let crossing = |&i: &usize| Crossing {
            head: list[i].head.to_string(),
            by: if list[i].by == Port::K { "k" } else { "v" }.into(),
            from: list[i].key,
            to: list[i].query,
            score: list[i].score,
        };
        let crossings: Vec<Crossing> = order.iter().map(crossing).collect();
        let table = self.table(&b, &crossings)?;
        self.write(&b, crossings)?;
        b.journal.end();
        println!();
        table.print();
        println!("crossing edges: {}", self.out.display());
        Ok(())
    }

    fn table(&self, b: &Behaviour<'_, f64>, crossings: &[Crossing]) -> Result<Table> {
        let names = self.asked.tokens(b)?.unwrap_or_default();
        let columns = [
            ("head", "head"),
            ("by", "by"),
            ("from key", "from"),
            ("to query", "to"),
            ("score", "score"),
        ];
        let mut table = Table::new("crossings", columns);
        for c in crossings.iter().take(self.top as usize) {
            let place = |at: usize| match names.get(at) {
                Some(name) => format!("{at} {name:?}"),
                None => at.to_string(),
            };
            let words = [c.head.clone(), c.by.clone(), place(c.from), place(c.to)];
            table.row(words.map(Cell::text).into_iter().chain([Cell::real(c.score, 6)]));
        }
        Ok(table)
    }

    fn write(&self, b: &Behaviour<'_, f64>, crossings: Vec<Crossing>) -> Result<()> {
        let meta = [
            ("metric", self.asked.metric.name().into()),
            ("baseline", self.asked.baseline.name().into()),
            ("pairs", b.pairs.len().into()),
            ("pairs_hash", b.pairs.hash().into()),
            ("model", self.asked.model_hash()?.into()),
            ("tokens", self.asked.tokens(b)?.into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ];
        let meta = meta.map(|(key, value)| (key.into(), value)).into_iter().collect();
        Crossings { meta, crossings }.write(&self.out)
    }
}

//! `edgegrad export`.

use crate::cli::out::{Force, check_out};
use crate::cli::plot::chosen;
use clap::Args;
use edgegrad::error::Result;
use edgegrad::export::{Format, export};
use edgegrad::files::atomic;
use edgegrad::named::counted;
use std::path::PathBuf;

/// Write a circuit for other programs
///
/// dot is Graphviz' language, mermaid a flowchart for GitHub and notebooks, attribution-graph the
/// JSON of circuit-tracer's viewer and Neuronpedia, with heads, MLPs and neurons as its nodes.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A circuit's JSON file, as `discover` writes it or EAP-IG does, or a run that logs circuits
    #[arg(value_name = "CIRCUIT.json")]
    input: PathBuf,
    /// dot, mermaid or attribution-graph
    #[arg(long, value_name = "NAME")]
    format: String,
    /// Where to write the result
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
    /// The most edges, those of the largest |score|; all of the circuit unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    edges: Option<u64>,
}

/// Edges that Mermaid draws unless its settings say otherwise.
const MERMAID: usize = 500;

impl Export {
    pub(super) fn run(&self) -> Result<()> {
        let format = chosen("--format", &self.format, &Format::ALL)?;
        let limit = self.edges.map_or(usize::MAX, |n| n as usize);
        check_out(&self.out, self.force, [&self.input])?;
        let written = export(&self.input, format, limit)?;
        atomic::write_bytes(&self.out, written.text.as_bytes())?;
        if format == Format::Mermaid && written.edges > MERMAID {
            eprintln!("warning: Mermaid draws at most {MERMAID} edges; try --edges {MERMAID}");
        }
        println!(
            "{} of {}, {}: {}",
            written.edges,
            counted(written.members, "edge"),
            counted(written.nodes, "node"),
            self.out.display()
        );
        Ok(())
    }
}

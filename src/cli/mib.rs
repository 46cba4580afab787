//! `edgegrad mib`.

use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::table::{Cell as Shown, Table};
use clap::{Args, Subcommand};
use edgegrad::error::{Error, Result};
use edgegrad::formats::EdgeFile;
use edgegrad::formats::mib::{Cell, Checked, Held, check, lacks, missing};
use std::path::PathBuf;

/// Write and check submissions to the circuit track of the MIB benchmark
///
/// A submission is a folder of folders TASK_MODEL, such as ioi_gpt2, each with the scores of all
/// edges or with nine circuits. `evaluate --curve` computes the benchmark's CMD and CPR of scores,
/// `truth` its AUROC.
#[derive(Debug, Args)]
pub(super) struct Mib {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check all folders of a submission
    Check {
        /// The submission
        #[arg(value_name = "DIR")]
        submission: PathBuf,
    },
    /// Write scores into a submission
    Write {
        /// Scores, as `attribute` writes them or EAP-IG does
        #[arg(value_name = "SCORES.json")]
        scores: PathBuf,
        /// The task and the model, such as ioi_gpt2
        #[arg(long, value_name = "TASK_MODEL")]
        cell: String,
        /// The submission
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        force: Force,
    },
}

impl Mib {
    pub(super) fn run(&self) -> Result<()> {
        match &self.what {
            What::Check { submission } => {
                let found = check(submission)?;
                print(&found);
                refuse(&found)
            }
            What::Write { scores, cell, out, force } => {
                let cell = Cell::of(cell)?;
                let written = cell.path(out);
                // Its folder is made when the scores are known to be good.
                if written.exists() {
                    check_out(&written, *force, [scores.as_path()])?;
                }
                cell.write(out, EdgeFile::read(scores)?)?;
                println!("scores: {}", written.display());
                Ok(())
            }
        }
    }
}

fn print(found: &[Checked]) {
    let columns =
        [("folder", "folder"), ("holds", "holds"), ("edges", "edges"), ("passes", "passes")];
    let mut table = Table::new("folders", columns);
    for Checked { name, held, passes, .. } in found {
        let (what, edges) = match held {
            Ok(Held::Scores(edges)) => ("scores".into(), edges.to_string()),
            Ok(Held::Circuits(sizes)) => {
                ("nine circuits".into(), format!("{} to {}", sizes[0], sizes[8]))
            }
            Err(e) => (format!("wrong: {e}"), String::new()),
        };
        let passes = Shown::maybe(*passes, 0);
        table.row([Shown::text(name), Shown::text(what), Shown::text(edges), passes]);
    }
    table.print();
    let missing = missing(found);
    note("missing", missing.clone());
    if !missing.is_empty() {
        println!("of these tasks and models there is no {}", missing.join(", "));
    }
}

/// The first thing that is wrong, or what is missing.
fn refuse(found: &[Checked]) -> Result<()> {
    let wrong: Vec<&Error> = found.iter().filter_map(|c| c.held.as_ref().err()).collect();
    if let Some(first) = wrong.first() {
        let help = first.help().to_string();
        let more =
            format!("{} of {} folders are wrong; the first: {first}", wrong.len(), found.len());
        return Err(Error::input("submission", more, help));
    }
    match lacks(found) {
        Some(what) => Err(Error::input("submission", what, "add folders TASK_MODEL")),
        None => Ok(()),
    }
}

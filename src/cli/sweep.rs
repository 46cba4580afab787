//! `edgegrad sweep`.

use crate::cli::sweep_commands::Commands;
use crate::cli::sweep_emit::{Scheduler, script};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::available_threads;
use edgegrad::experiments::sweep::{
    Command, Listed, Plan, Planned, Runner, Shard, Summary, Sweep as Going, Training, list,
};
use edgegrad::experiments::train::Existing;
use edgegrad::formats::sweep_results::{Row, Status};
use edgegrad::named::counted;
use std::path::PathBuf;

/// Do all runs that a file of axes asks for
///
/// Runs go side by side, each in DIR/runs/ID, and leave a line each in DIR/results.jsonl; the same
/// configuration has the same ID and is not run twice. A run that fails is told there, and the
/// others go on.
#[derive(Debug, Args)]
pub(super) struct Sweep {
    /// The sweep: [base] with a command and its configuration, [axes], [[zip]], [[arm]], skip
    #[arg(value_name = "SWEEP.toml")]
    sweep: PathBuf,
    /// Where runs and results are kept; the folder of the file's name beside it unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at a time; as many as there are threads unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Threads that all runs share; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Go on where it was stopped; what has failed is tried again
    #[arg(long)]
    resume: bool,
    /// Replace the sweep in the folder: its results and the runs that they name
    #[arg(long, conflicts_with_all = ["resume", "shard", "emit", "dry_run"])]
    force: bool,
    /// Do the runs K, K + N, K + 2 N, .. alone, for N processes on one folder; see `merge`
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Print what a cluster's scheduler is given to do the sweep in shards, and do no run
    #[arg(long, value_enum, conflicts_with_all = ["shard", "dry_run"])]
    emit: Option<Scheduler>,
    /// With --emit: how many shards; one for each run, up to 100, unless given
    #[arg(long, value_name = "N", requires = "emit",
        value_parser = clap::value_parser!(u64).range(1..=100_000))]
    shards: Option<u64>,
    /// Say how many runs there are and about how long they take, and do none
    #[arg(long)]
    dry_run: bool,
    /// Go on even if there are more than a million runs, or one takes more than a day
    #[arg(long)]
    yes: bool,
}

/// Runs whose cost is measured.
const TIMED: usize = 6;

impl Sweep {
    pub(super) fn run(&self) -> Result<()> {
        let shard = self.shard.as_deref().map(Shard::parse).transpose()?;
        let plan = Plan::read(&self.sweep)?;
        let training = Training { source: plan.source.clone() };
        let commands = Commands::new(&plan, self.yes);
        let runner: &dyn Runner =
            if plan.command == Command::Train { &training } else { &commands };
        let listed = list(&plan, runner, self.yes)?;
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let jobs = self.jobs.map_or(threads, |n| n as usize);
        if self.dry_run {
            println!("{}: {}, {jobs} at a time", self.sweep.display(), listed.told());
            return cost(&plan, &listed, runner, jobs);
        }
        let out = self.out.clone().unwrap_or_else(|| self.sweep.with_extension(""));
        if out == self.sweep {
            let help = "give --out DIR, or let the name of the file end in .toml";
            return Err(Error::input(out.display(), "is the file and would be the folder", help));
        }
        if let Some(scheduler) = self.emit {
            let shards = self.shards.map_or(listed.runs.len().min(100), |n| n as usize);
            let threads = self.threads.map_or(1, |n| n as usize);
            print!("{}", script(scheduler, (&self.sweep, &out), shards, threads));
            return Ok(());
        }
        println!("{}: {}, {jobs} at a time", self.sweep.display(), listed.told());
        let existing = Existing::of(self.resume, self.force);
        let (plan, listed, out) = (&plan, &listed, &out);
        let going = Going { plan, listed, runner, out, shard, existing, jobs, threads };
        // Of several processes the first tells.
        going.run()?.map_or(Ok(()), |summary| tell(&summary, runner))
    }

    /// Whether processes of `mpirun` share its runs.
    pub(super) fn shared(&self) -> bool {
        self.shard.is_none() && self.emit.is_none() && !self.dry_run
    }
}

/// Prints about how long all runs take, from some that are spread over the plan.
fn cost(plan: &Plan, listed: &Listed, runner: &dyn Runner, jobs: usize) -> Result<()> {
    let runs = &listed.runs;
    let every = runs.len().div_ceil(TIMED).max(1);
    let (mut seconds, mut steps) = (0.0, 0);
    for Planned { combination, steps: of_run, .. } in runs.iter().step_by(every) {
        let found = plan.combination(*combination)?.expect("it was listed");
        let Some(of) = runner.seconds(&found.config)? else {
            println!("what a run takes is known once the first has ended");
            return Ok(());
        };
        (seconds, steps) = (seconds + of, steps + of_run);
    }
    let all = seconds / steps as f64 * listed.steps() as f64;
    let (timed, side) = (runs.iter().step_by(every).count(), jobs.min(runs.len()) as f64);
    println!("about {:.0} s ({all:.0} s of one core), as {timed} of them were timed", all / side);
    Ok(())
}

/// Prints what the sweep has come to.
///
/// # Errors
/// If a run has failed.
fn tell(summary: &Summary, runner: &dyn Runner) -> Result<()> {
    let Summary { results, file, before } = summary;
    let count = |status| results.rows.iter().filter(move |row| row.status == status).count();
    let all = results.rows.len();
    println!(
        "{}, {before} of them before; {} diverged, {} failed",
        counted(all, "run"),
        count(Status::Diverged),
        count(Status::Failed),
    );
    if let Some((figure, more)) = runner.figure()
        && let Some((row, value)) = best(&results.rows, figure, more)
    {
        println!("best {figure}: {value:.4} in runs/{}", row.id);
    }
    let mut table = Table::new("runs", [("id", "id"), ("status", "status")]);
    let columns = results.columns();
    columns[2..].iter().for_each(|column| table.column(column, column));
    for row in &results.rows {
        table.row(columns.iter().map(|column| Cell::of(row.value(column))));
    }
    table.print_for_programs();
    println!("results: {}", file.display());
    let failed = || results.rows.iter().filter(|row| row.status == Status::Failed);
    let Some(first) = failed().next() else { return Ok(()) };
    let why = first.error.as_deref().unwrap_or_default();
    let message = format!("{} of {all} runs failed; {}: {why}", failed().count(), first.id);
    let help = "mend what is wrong and go on with --resume, which tries them again";
    Err(Error::failed(file.display(), message, help))
}

/// The run with the best of a figure, and the figure.
fn best<'a>(rows: &'a [Row], figure: &str, more: bool) -> Option<(&'a Row, f64)> {
    let values = rows.iter().filter_map(|row| Some((row, row.value(figure).as_f64()?)));
    values.reduce(|a, b| if (b.1 > a.1) == more && b.1 != a.1 { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The files in `examples/sweeps` ask for runs that can be; the default is no sweep.
    #[test]
    fn examples_are_sweeps() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sweeps");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let file = entry.expect("an entry").path();
            if !file.ends_with("default.toml") {
                let plan = Plan::read(&file).expect("a sweep");
                let training = Training { source: plan.source.clone() };
                let commands = Commands::new(&plan, false);
                let train = plan.command == Command::Train;
                let runner: &dyn Runner = if train { &training } else { &commands };
                let listed = list(&plan, runner, false).expect("runs");
                assert_eq!((listed.skipped, listed.repeated), (0, 0), "{}", file.display());
                count += 1;
            }
        }
        assert!(count > 10, "{count} files");
    }
}

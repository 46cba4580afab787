//! `edgegrad truth`.

mod bases;
mod finder;

use self::finder::{Finder, SEED, TOLERANCE};
use crate::cli::Dtype;
use crate::cli::out::{Force, check_out};
use crate::cli::question::{bar, choice, on_threads};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::discovery::select::Rank;
use edgegrad::discovery::truth::case;
use edgegrad::discovery::truth::case::Case;
use edgegrad::discovery::truth::{at_true_size, auroc, mib_auroc};
use edgegrad::error::{Error, Result};
use edgegrad::files::journal::{Journal, State};
use edgegrad::files::mark::GENERATOR;
use edgegrad::files::{atomic, sha256};
use edgegrad::named::Named;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::stats;
use edgegrad::tasks::language::Domain;
use edgegrad::tensor::Element;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Compare methods on models whose true circuit is known
///
/// Scores are ranked by size. AUROC is the chance that a true edge stands above another (1/2 for
/// scores that say nothing); MIB is the same area as that benchmark takes it, at ten sizes of
/// circuits; F1 is that of as many edges as are true.
///
/// With --base the models are trained ones, and the truth is the ablation of every edge (`exact`):
/// correlations with it, and the circuits of each method on other pairs.
#[derive(Debug, Args)]
pub(super) struct Truth {
    /// Folders with config.json, model.safetensors, pairs.jsonl and circuit.json, or folders of
    /// such
    #[arg(required_unless_present = "base", value_name = "DIR")]
    cases: Vec<PathBuf>,
    /// Base models of `edgegrad pretrain`, each of another seed, in place of models whose circuit
    /// is known
    #[arg(long, value_delimiter = ',', value_name = "DIR,..", conflicts_with = "cases")]
    base: Vec<PathBuf>,
    /// With --base: the domain of generated language that is asked for
    #[arg(
        long,
        default_value = "agreement",
        value_parser = choice::<Domain>(),
        requires = "base",
    )]
    domain: Domain,
    /// The methods to compare
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = Finder::parser(),
        value_name = "METHOD,..",
        default_value = "eap,eap-ig,clean-corrupted,mask-ig,exact,shapley,acdc,random",
    )]
    methods: Vec<Finder>,
    /// Compare all methods, each by all rules of the reverse pass that it can follow
    #[arg(long, conflicts_with = "methods")]
    all: bool,
    /// The metric of all methods. Unless given, l2 for those that ablate sets of edges, and
    /// logit-diff for those that take derivatives at the clean run, where l2 is flat
    #[arg(long, value_parser = choice::<Metric>())]
    metric: Option<Metric>,
    /// Leave out a method that would run the model on more than N pairs; mask-ig stops subdividing
    /// there. Unless given, 250000, and 500000 with --base
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Threads; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Where to write the results
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// Go on with the same command where it was stopped
    #[arg(long, requires = "out")]
    resume: bool,
}

/// The runs of a model on pairs above which a method is left out, unless told otherwise.
const RUNS: u64 = 250_000;

/// Columns for the names of methods, unless one needs more.
const NAME: usize = 18;

/// How a method did on a case.
struct Row {
    case: String,
    edges: usize,
    true_edges: usize,
    finder: Finder,
    metric: Option<Metric>,
    end: End,
}

enum End {
    Judged(Figures),
    /// Too expensive: why.
    LeftOut(String),
    Failed(Error),
}

#[derive(Clone)]
struct Figures {
    auroc: Option<f64>,
    mib: Option<f64>,
    f1: f64,
    seconds: f64,
    /// Whether no edge has a score other than 0.
    flat: bool,
}

impl State for Figures {
    fn put(&self, to: &mut Vec<u8>) {
        (self.auroc, self.mib, self.f1, self.seconds, self.flat).put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (auroc, mib, f1, seconds, flat) = State::take(from)?;
        Some(Figures { auroc, mib, f1, seconds, flat })
    }
}

/// What one method did on all cases.
struct Summary {
    finder: Finder,
    cases: usize,
    auroc: Option<f64>,
    mib: Option<f64>,
    f1: Option<f64>,
    /// On how many the edges of largest score are the true ones.
    found: usize,
    seconds: f64,
}

impl Truth {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            // Before the work whose result it is to hold.
            check_out(out, self.force, self.cases.iter().chain(&self.base))?;
        }
        on_threads(self.threads, || match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        if !self.base.is_empty() {
            return self.judge_bases::<T>();
        }
        let cases = self.read_cases::<T>()?;
        let methods = self.distinct_methods();
        let journal = self.journal(&cases, &methods)?;
        let rows = self.judge_all(&cases, &methods, &journal)?;
        if let Some(e) = failure_of_all(&rows) {
            return Err(e);
        }
        judged(&rows).print_for_programs();
        let summaries: Vec<Summary> = methods.iter().map(|&f| summary(f, &rows)).collect();
        print_summaries(&summaries);
        if self.all {
            print_solved(&cases, &rows);
        }
        if let Some(out) = &self.out {
            let file = json!({
                "meta": {
                    "dtype": T::NAME, "baseline": Baseline::Resample.name(), "seed": SEED,
                    "tolerance": TOLERANCE, "generator": GENERATOR,
                    "version": env!("CARGO_PKG_VERSION"),
                },
                "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
                "methods": summaries.iter().map(Summary::to_json).collect::<Vec<_>>(),
            });
            atomic::write_bytes(out, format!("{file:#}\n").as_bytes())?;
            journal.end();
            println!("figures: {}", out.display());
        }
        Ok(())
    }

    fn most_runs(&self) -> u64 {
        self.runs.unwrap_or(RUNS)
    }

    fn read_cases<T: Element>(&self) -> Result<Vec<Case<T>>> {
        let mut cases = vec![];
        for dir in &self.cases {
            for folder in case::folders(dir)? {
                cases.push(Case::read(&folder)?);
            }
        }
        Ok(cases)
    }

    /// The methods asked for, in their order, each once.
    fn distinct_methods(&self) -> Vec<Finder> {
        if self.all {
            let bases = !self.base.is_empty();
            return if bases { Finder::all_objectives() } else { Finder::all() };
        }
        let mut methods = vec![];
        for &finder in &self.methods {
            if !methods.contains(&finder) {
                methods.push(finder);
            }
        }
        methods
    }

    /// Judges every method on every case, and prints each row once it is known.
    fn judge_all<T: Element>(
        &self,
        cases: &[Case<T>],
        methods: &[Finder],
        journal: &Journal,
    ) -> Result<Vec<Row>> {
        let wide = cases.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).max(5);
        let names = methods.iter().map(|finder| finder.name().len()).max().unwrap_or(0).max(NAME);
        println!(
            "{:wide$}  edges  true  {:names$}  {:10}   AUROC     MIB      F1   seconds",
            "model", "method", "metric"
        );
        let mut rows = vec![];
        let mut work = journal.units("rows", Vec::<Option<Figures>>::new);
        for case in cases {
            for &finder in methods {
                let done = work.is_done();
                let kept = work.state.get(rows.len()).filter(|_| done).cloned().flatten();
                let row = self.judge(case, finder, kept, journal)?;
                print(&row, wide, names);
                if !done {
                    work.state.push(row.figures().cloned());
                    work.finish()?;
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The journal of the results.
    fn journal<T: Element>(&self, cases: &[Case<T>], methods: &[Finder]) -> Result<Journal> {
        let Some(out) = &self.out else { return Ok(Journal::default()) };
        let mut inputs = vec![
            ("--dtype".to_string(), T::NAME.to_string()),
            ("--metric".into(), format!("{:?}", self.metric)),
            ("--runs".into(), self.most_runs().to_string()),
            ("--methods".into(), format!("{methods:?}")),
        ];
        for case in cases {
            let (model, pairs) = (checkpoints::hash(&case.folder)?, case.pairs.hash());
            let known = format!("{model} {pairs} {:?}", case.truth);
            inputs.push((format!("case {}", case.name), sha256(known.as_bytes())));
        }
        crate::cli::journal(out, inputs, self.resume)
    }

    /// How a method does on a case, unless an earlier process has found it.
    fn judge<T: Element>(
        &self,
        case: &Case<T>,
        finder: Finder,
        kept: Option<Figures>,
        journal: &Journal,
    ) -> Result<Row> {
        let metric = finder.usual_metric().map(|usual| self.metric.unwrap_or(usual));
        let edges = case.graph.edges();
        let end = match (kept, finder.runs(edges, case.pairs.len())) {
            (Some(figures), _) => End::Judged(figures),
            (None, Some(runs)) if runs > u128::from(self.most_runs()) => {
                End::LeftOut(format!("would take {runs} runs, --runs is {}", self.most_runs()))
            }
            _ => match figures(case, finder, metric, self.most_runs(), journal) {
                Ok(figures) => End::Judged(figures),
                Err(e @ Error::Stopped { .. }) => return Err(e),
                Err(e) => End::Failed(e),
            },
        };
        let (name, true_edges) = (case.name.clone(), case.true_edges());
        Ok(Row { case: name, edges, true_edges, finder, metric, end })
    }
}

fn figures<T: Element>(
    case: &Case<T>,
    finder: Finder,
    metric: Option<Metric>,
    most_runs: u64,
    journal: &Journal,
) -> Result<Figures> {
    // Every model can be asked l2, and what knows no metric asks nothing.
    let metric = metric.unwrap_or(Metric::L2);
    let question = Question::new(metric, Positions::Asked, case.model.vocab_out(), &case.pairs)?;
    let graph = case.graph.clone();
    let mut b = Behaviour::new(&case.model, graph, &case.pairs, question, Baseline::Resample)?;
    b.journal = journal.clone();
    b.rules = finder.rules();
    let (shown, mut progress) = bar(&finder.name());
    let start = Instant::now();
    let scores = finder.scores(&b, most_runs, &mut progress);
    let seconds = start.elapsed().as_secs_f64();
    shown.finish();
    let scores = scores?;
    if let Some(e) = scores.iter().position(|s| !s.is_finite()) {
        return Err(Error::failed(
            case.graph.edge(e),
            format!("its score is {}", scores[e]),
            "its weights are broken or too large; check them, or try --dtype f64",
        ));
    }
    let sizes: Vec<f64> = scores.iter().map(|&s| Rank::Abs.value(s)).collect();
    Ok(Figures {
        auroc: auroc(&sizes, &case.truth),
        mib: mib_auroc(&case.graph, &scores, &case.truth),
        f1: at_true_size(&scores, &case.truth).f1(),
        seconds,
        flat: scores.iter().all(|&s| s == 0.0),
    })
}

/// Four digits, or that there is no number.
fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "-".into(), |x| format!("{x:.4}"))
}

fn print(row: &Row, wide: usize, names: usize) {
    let metric = row.metric.map_or("-", Named::name);
    let start = format!(
        "{:wide$}  {:>5}  {:>4}  {:names$}  {metric:10}",
        row.case,
        row.edges,
        row.true_edges,
        row.finder.name()
    );
    match &row.end {
        End::Judged(f) => {
            let note = if f.flat { "  all scores are 0" } else { "" };
            let (auroc, mib) = (number(f.auroc), number(f.mib));
            println!("{start}  {auroc:>6}  {mib:>6}  {:>6.4}  {:>8.2}{note}", f.f1, f.seconds);
        }
        End::LeftOut(why) => println!("{start}  left out: {why}"),
        End::Failed(e) => println!("{start}  failed: {e} ({})", e.help()),
    }
}

/// The first failure, if nothing but controls could be judged: it stands for all.
fn failure_of_all(rows: &[Row]) -> Option<Error> {
    let judged = |row: &Row| matches!(row.end, End::Judged(_));
    if rows.iter().any(|row| judged(row) && row.metric.is_some()) {
        return None;
    }
    rows.iter().find_map(|row| match &row.end {
        End::Failed(e) => Some(e.clone().within(&row.case)),
        _ => None,
    })
}

/// All that was judged.
fn judged(rows: &[Row]) -> Table {
    let columns = [
        ("model", "model"),
        ("method", "method"),
        ("metric", "metric"),
        ("AUROC", "auroc"),
        ("MIB", "mib_auroc"),
        ("F1", "f1"),
        ("seconds", "seconds"),
    ];
    let mut table = Table::new("rows", columns);
    for row in rows {
        let figures = match &row.end {
            End::Judged(f) => [f.auroc, f.mib, Some(f.f1), Some(f.seconds)],
            End::LeftOut(_) | End::Failed(_) => [None; 4],
        };
        let finder = row.finder.name();
        let names = [&row.case[..], &finder, row.metric.map_or("-", Named::name)];
        table.row(names.map(Cell::text).into_iter().chain(figures.map(|x| Cell::maybe(x, 4))));
    }
    table
}

fn print_summaries(summaries: &[Summary]) {
    let columns = [
        ("method", "method"),
        ("models", "models"),
        ("mean AUROC", "auroc"),
        ("mean MIB", "mib_auroc"),
        ("mean F1", "f1"),
        ("found", "found"),
        ("seconds in all", "seconds"),
    ];
    let mut table = Table::new("methods", columns);
    for s in summaries {
        let means = [s.auroc, s.mib, s.f1].map(|x| Cell::maybe(x, 4));
        let start = [Cell::text(s.finder.name()), Cell::count(s.cases)];
        let end = [Cell::count(s.found), Cell::real(s.seconds, 2)];
        table.row(start.into_iter().chain(means).chain(end));
    }
    println!();
    table.print();
    println!("found: on how many models the edges of largest score are the true ones");
}

/// By which methods every true edge of a model stands above all others.
fn print_solved<T: Element>(cases: &[Case<T>], rows: &[Row]) {
    let columns =
        [("model", "model"), ("by", "by"), ("of", "of"), ("methods with AUROC 1", "names")];
    let mut table = Table::new("solved", columns);
    for case in cases {
        let own = || rows.iter().filter(|row| row.case == case.name && row.figures().is_some());
        let solves = |row: &&Row| row.figures().is_some_and(|f| f.auroc == Some(1.0));
        let names: Vec<String> = own().filter(solves).map(|row| row.finder.name()).collect();
        let list = if names.is_empty() { "none".into() } else { names.join(", ") };
        let counts = [names.len(), own().count()].map(Cell::count);
        table.row([Cell::text(&case.name)].into_iter().chain(counts).chain([Cell::text(list)]));
    }
    println!();
    table.print();
}

fn summary(finder: Finder, rows: &[Row]) -> Summary {
    let own = rows.iter().filter(|row| row.finder == finder);
    let judged: Vec<&Figures> = own.filter_map(Row::figures).collect();
    let mean = |of: &dyn Fn(&Figures) -> Option<f64>| {
        let list: Vec<f64> = judged.iter().filter_map(|f| of(f)).collect();
        stats::mean(&list)
    };
    Summary {
        finder,
        cases: judged.len(),
        auroc: mean(&|f| f.auroc),
        mib: mean(&|f| f.mib),
        f1: mean(&|f| Some(f.f1)),
        found: judged.iter().filter(|f| f.f1 == 1.0).count(),
        seconds: judged.iter().map(|f| f.seconds).sum(),
    }
}

impl Row {
    fn figures(&self) -> Option<&Figures> {
        match &self.end {
            End::Judged(figures) => Some(figures),
            _ => None,
        }
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "model": self.case, "edges": self.edges, "true_edges": self.true_edges,
            "method": self.finder.name(), "metric": self.metric.map(Named::name),
        });
        let more = match &self.end {
            End::Judged(f) => json!({
                "auroc": f.auroc, "mib_auroc": f.mib, "f1": f.f1, "seconds": f.seconds,
            }),
            End::LeftOut(why) => json!({ "left_out": why }),
            End::Failed(e) => json!({ "failed": e.to_string(), "help": e.help() }),
        };
        if let (Value::Object(to), Value::Object(more)) = (&mut object, more) {
            to.extend(more);
        }
        object
    }
}

impl Summary {
    fn to_json(&self) -> Value {
        json!({
            "method": self.finder.name(), "models": self.cases, "auroc": self.auroc,
            "mib_auroc": self.mib, "f1": self.f1, "found": self.found, "seconds": self.seconds,
        })
    }
}

//! `edgegrad truth --base`: methods on trained models, against the ablation of every edge.

use super::finder::{Finder, SEED};
use super::{NAME, Truth};
use crate::cli::question::bar;
use crate::cli::table::{Cell, Table};
use edgegrad::attribution::exact;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::adversary::{self, AdversaryOptions};
use edgegrad::discovery::faithfulness;
use edgegrad::discovery::select::{Rank, first};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::files::journal::Journal;
use edgegrad::files::mark::GENERATOR;
use edgegrad::formats::pairs::Pairs;
use edgegrad::graph::Granularity;
use edgegrad::graph::connect::Flow;
use edgegrad::named::Named;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::patching::span::Span;
use edgegrad::rng::{Purpose, Rng};
use edgegrad::stats;
use edgegrad::tasks::language::{Part, Source, Variant, jsonl};
use edgegrad::tensor::Element;
use serde_json::{Value, json};
use std::time::Instant;

/// Pairs that are scored, and as many others that circuits are judged on.
const PAIRS: usize = 64;

/// The seed of the pairs.
const DRAWN: u64 = 7;

/// The share of all edges of the circuits that an adversary attacks.
const SHARE: f64 = 0.1;

/// The adversary's starts, and its steps from each: one search for every method and model.
const SEARCH: AdversaryOptions = AdversaryOptions { starts: 3, steps: 40, seed: SEED };

/// The runs of a model on pairs above which a method is left out, unless told otherwise: a learned
/// ranking of 2,000 steps has its place in the table.
const RUNS: u64 = 500_000;

/// The figures of a method on a model, by their names in a file.
const FIGURES: [&str; 7] = ["pearson", "spearman", "cmd", "cpr", "worst", "seconds", "passes"];

/// `FIGURES` of one method on one model; `None` where there is none.
type Figures = [Option<f64>; FIGURES.len()];

/// A model with what all methods are judged by.
struct Base<'a, T: Element> {
    own: Behaviour<'a, T>,
    others: Behaviour<'a, T>,
    span: Span,
    /// `[E]`, the scores of `exact`.
    truth: Vec<f64>,
}

impl Truth {
    /// Judges every method on every base model, and prints the means over models.
    pub(super) fn judge_bases<T: Element>(&self) -> Result<()> {
        let methods: Vec<Finder> =
            self.distinct_methods().into_iter().filter(|&f| f != Finder::Acdc).collect();
        let journal = self.journal_of_bases::<T>(&methods)?;
        let mut work = journal.units("bases", Vec::<Vec<Option<f64>>>::new);
        let (mut rows, mut at) = (vec![], 0);
        for folder in &self.base {
            let model = checkpoints::read::<T>(folder)?;
            let [own, others] = [Part::Train, Part::Test].map(|part| self.pairs(part, &model));
            let (own, others) = (own?, others?);
            let name = folder.display().to_string();
            let mut base = None;
            for &finder in &methods {
                at += 1;
                if work.is_done() {
                    rows.push(work.state[at - 1].clone());
                    continue;
                }
                if base.is_none() {
                    base = Some(self.base(&model, &own, &others, &journal)?);
                }
                let base = base.as_mut().expect("it was made");
                let figures = self.judge_on(base, finder, &name)?;
                work.state.push(figures.clone());
                work.finish()?;
                rows.push(figures);
            }
        }
        self.tell_bases::<T>(&methods, &rows)?;
        journal.end();
        Ok(())
    }

    fn pairs<T: Element>(&self, part: Part, model: &AnyModel<T>) -> Result<Pairs> {
        let source = Source { domain: self.domain, variant: Variant::Pretrain, part };
        let drawn = source.pairs(PAIRS, &mut Rng::new(DRAWN, Purpose::Sample, 0));
        Pairs::parse(self.domain.name(), jsonl(&drawn).as_bytes(), &model.bounds(), None, None)
    }

    fn base<'a, T: Element>(
        &self,
        model: &'a AnyModel<T>,
        own: &'a Pairs,
        others: &'a Pairs,
        journal: &Journal,
    ) -> Result<Base<'a, T>> {
        let behaviour = |pairs: &'a Pairs| {
            let metric = self.metric.unwrap_or(Metric::LogitDiff);
            let question = Question::new(metric, Positions::Asked, model.vocab_out(), pairs)?;
            let graph = model.graph(Granularity::default());
            Behaviour::new(model, graph, pairs, question, Baseline::Resample)
        };
        let (mut own, others) = (behaviour(own)?, behaviour(others)?);
        let span = Span::new(&others, &others.extremes()?)?;
        let (shown, mut progress) = bar("exact");
        let truth = exact::scores(&own, &mut progress)?.values;
        shown.finish();
        own.journal = journal.clone();
        Ok(Base { own, others, span, truth })
    }

    /// The figures of one method on one model, which it prints; empty if it cannot be judged.
    fn judge_on<T: Element>(
        &self,
        base: &mut Base<'_, T>,
        finder: Finder,
        name: &str,
    ) -> Result<Vec<Option<f64>>> {
        let said = format!("{name}  {:NAME$}", finder.name());
        let most = self.runs.unwrap_or(RUNS);
        let pairs = base.own.pairs.len();
        if let Some(runs) = finder.runs(base.truth.len(), pairs)
            && runs > u128::from(most)
        {
            println!("{said}  left out: would take {runs} runs, --runs is {most}");
            return Ok(vec![]);
        }
        match figures(base, finder, most) {
            Ok(figures) => {
                let shown = |x: &Option<f64>| x.map_or("-".into(), |x| format!("{x:.4}"));
                let list: Vec<String> = figures[..5].iter().map(shown).collect();
                println!("{said}  {}  {:.2} s", list.join("  "), figures[5].unwrap_or(0.0));
                Ok(figures.to_vec())
            }
            Err(e @ Error::Stopped { .. }) => Err(e),
            Err(e) => {
                println!("{said}  failed: {e} ({})", e.help());
                Ok(vec![])
            }
        }
    }

    fn journal_of_bases<T: Element>(&self, methods: &[Finder]) -> Result<Journal> {
        let Some(out) = &self.out else { return Ok(Journal::default()) };
        let mut inputs = vec![
            ("--dtype".to_string(), T::NAME.to_string()),
            ("--domain".into(), self.domain.name().into()),
            ("--metric".into(), format!("{:?}", self.metric)),
            ("--runs".into(), format!("{:?}", self.runs)),
            ("--methods".into(), format!("{methods:?}")),
        ];
        for folder in &self.base {
            inputs.push((format!("base {}", folder.display()), checkpoints::hash(folder)?));
        }
        crate::cli::journal(out, inputs, self.resume)
    }

    /// Prints the means over models, and writes all figures.
    fn tell_bases<T: Element>(&self, methods: &[Finder], rows: &[Vec<Option<f64>>]) -> Result<()> {
        let of = |i: usize| rows.iter().skip(i).step_by(methods.len());
        let columns = [
            ("method", "method"),
            ("models", "models"),
            ("Pearson", "pearson"),
            ("+-", "pearson_half"),
            ("Spearman", "spearman"),
            ("+-", "spearman_half"),
            ("CMD", "cmd"),
            ("+-", "cmd_half"),
            ("CPR", "cpr"),
            ("+-", "cpr_half"),
            ("worst", "worst"),
            ("+-", "worst_half"),
            ("seconds", "seconds"),
            ("passes", "passes"),
        ];
        let mut table = Table::new("methods", columns);
        let mut list = vec![];
        for (i, finder) in methods.iter().enumerate() {
            let judged: Vec<&Vec<Option<f64>>> = of(i).filter(|row| !row.is_empty()).collect();
            let values = |k: usize| judged.iter().filter_map(|row| row[k]).collect::<Vec<f64>>();
            let mean = |k: usize| stats::mean(&values(k));
            let around = |k: usize| stats::mean_interval(&values(k));
            let half = |k: usize| around(k).map(|[from, to]| 0.5 * (to - from));
            let mut cells = vec![Cell::text(finder.name()), Cell::count(judged.len())];
            cells.extend((0..5).flat_map(|k| [Cell::maybe(mean(k), 3), Cell::maybe(half(k), 3)]));
            cells.extend([Cell::maybe(mean(5), 2), Cell::maybe(mean(6), 0)]);
            table.row(cells);
            let figures = FIGURES.iter().enumerate().map(|(k, name)| {
                (
                    name.to_string(),
                    json!({ "values": values(k), "mean": mean(k), "interval": around(k) }),
                )
            });
            let figures: serde_json::Map<String, Value> = figures.collect();
            list.push(
                json!({ "method": finder.name(), "models": judged.len(), "figures": figures }),
            );
        }
        println!();
        table.print();
        println!(
            "+-: half of the 95 % t interval over models; worst: an adversary on the first 10 %"
        );
        let Some(out) = &self.out else { return Ok(()) };
        let file = json!({
            "meta": {
                "dtype": T::NAME, "domain": self.domain.name(), "pairs": PAIRS,
                "metric": self.metric.unwrap_or(Metric::LogitDiff).name(), "seed": SEED,
                "bases": self.base.iter().map(|b| b.display().to_string()).collect::<Vec<_>>(),
                "generator": GENERATOR, "version": env!("CARGO_PKG_VERSION"),
            },
            "methods": list,
        });
        atomic::write_bytes(out, format!("{file:#}\n").as_bytes())?;
        println!("figures: {}", out.display());
        Ok(())
    }
}

/// All figures of one method on one model.
fn figures<T: Element>(base: &mut Base<'_, T>, finder: Finder, most: u64) -> Result<Figures> {
    base.own.rules = finder.rules();
    let start = Instant::now();
    let (shown, mut progress) = bar(&finder.name());
    let scores = finder.scores(&base.own, most, &mut progress);
    shown.finish();
    let seconds = start.elapsed().as_secs_f64();
    let passes = finder
        .options(base.own.pairs.len(), most)
        .map(|(method, options)| method.passes(&base.own, &options));
    base.own.rules = Default::default();
    let (scores, others) = (scores?, &base.others);
    if let Some(e) = scores.iter().position(|s| !s.is_finite()) {
        let message = format!("its score is {}", scores[e]);
        return Err(Error::failed(others.graph.edge(e), message, "try --dtype f64"));
    }
    let fractions = &faithfulness::FRACTIONS;
    let curves = faithfulness::curves(others, &base.span, &scores, fractions, &mut |_| {})?;
    let n = (SHARE * scores.len() as f64) as usize;
    let kept = first(&Rank::Abs.order(&scores), n, scores.len());
    let kept = Flow::new(&others.graph).connected(&kept);
    let worst = adversary::search(others, &base.span, &kept, &SEARCH, &mut |_| {})?;
    Ok([
        stats::pearson(&scores, &base.truth),
        stats::spearman(&scores, &base.truth),
        Some(curves[0].cmd()),
        Some(curves[1].cpr()),
        Some(worst.faithfulness),
        Some(seconds),
        passes,
    ])
}

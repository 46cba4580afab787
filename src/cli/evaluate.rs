//! `edgegrad evaluate`.

use crate::cli::Dtype;
use crate::cli::adversary::Adversary;
use crate::cli::hypotheses;
use crate::cli::out::check_out;
use crate::cli::print::note;
use crate::cli::question::{Asked, bar};
use crate::cli::scored;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::faithfulness;
use edgegrad::discovery::faithfulness::{FRACTIONS, Intervals};
use edgegrad::discovery::hypotheses::{DrawnRuns, tests_report};
use edgegrad::discovery::judge::{Judged, Request, results};
use edgegrad::discovery::select::Rank;
use edgegrad::discovery::truth::{Confusion, at_true_size, auroc, auroc_interval, mib_auroc};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::files::content_hash;
use edgegrad::formats::{EdgeFile, Origin};
use edgegrad::graph::Graph;
use edgegrad::named::Named;
use edgegrad::patching::batches::Extremes;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::patching::span::Span;
use edgegrad::ranks;
use edgegrad::stats::{self, LEAST_OF_MEAN};
use edgegrad::tensor::Element;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Judge a circuit, or the circuits that scores lead to
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    #[command(flatten)]
    asked: Asked,
    /// A circuit, as `discover` writes it or EAP-IG does
    #[arg(long, value_name = "FILE.json", conflicts_with = "scores")]
    circuit: Option<PathBuf>,
    /// Scores, for --curve
    #[arg(long, value_name = "FILE.json", requires = "curve")]
    scores: Option<PathBuf>,
    /// The faithfulness of the first edges by score, at the fractions of the MIB benchmark
    #[arg(long, requires = "scores")]
    curve: bool,
    /// Other fractions of all edges for the curve, rising
    #[arg(long, value_name = "F,F,..", value_delimiter = ',', requires = "curve")]
    fractions: Option<Vec<f64>>,
    /// With --curve: 95 % intervals of CMD and CPR over R resamples of the pairs
    #[arg(long, value_name = "R", requires = "curve",
        value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    bootstrap: Option<u32>,
    /// The true circuit, where it is known
    #[arg(long, value_name = "FILE.json")]
    truth: Option<PathBuf>,
    /// Compare with N random circuits matched by edge type
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "curve", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    null: u32,
    /// Ablate each edge of the circuit even if there are more than 200
    #[arg(long, conflicts_with = "curve")]
    minimality: bool,
    /// Test whether the circuit is equivalent to the model, its complement independent of it, every
    /// edge needed, and whether it is sufficient and necessary among random circuits
    #[arg(long, conflicts_with = "curve")]
    tests: bool,
    #[command(flatten)]
    adversary: Adversary,
    /// The seed of random circuits, of intervals and of the adversary's starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Where to write the results
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        if self.circuit.is_none() && self.scores.is_none() {
            let help = "give --circuit FILE.json, or --scores FILE.json with --curve";
            return Err(Error::input("evaluate", "has nothing to evaluate", help));
        }
        if let Some(f) = &self.fractions
            && !(f.iter().all(|f| (0.0..=1.0).contains(f)) && f.is_sorted())
        {
            let message = "must rise from 0 to 1 at most";
            return Err(Error::input("--fractions", message, "give a list such as 0.01,0.1,1"));
        }
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        let given = [&self.circuit, &self.scores, &self.truth];
        let read = given.into_iter().flatten().chain(self.adversary.files());
        check_out(&self.out, self.asked.force, read)?;
        self.asked.on_threads(|| match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        let (model, pairs) = self.asked.read::<T>()?;
        let journal =
            self.asked.journal::<T>(&pairs, ("evaluate", &self.out), &self.settings()?)?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        let circuit = |path: &PathBuf| -> Result<Vec<bool>> {
            let file = EdgeFile::read(path)?;
            file.warn_other_model(&self.asked.model, || self.asked.model_hash())?;
            b.graph.circuit_in(&file)
        };
        let truth = self.truth.as_ref().map(circuit).transpose()?;
        let mut report = Map::new();
        let origin = Origin {
            model: Some(self.asked.model_hash()?),
            pairs: Some(pairs.hash()),
            metric: Some(self.asked.metric.name().into()),
            baseline: Some(self.asked.baseline.name().into()),
        };
        if let Some(path) = &self.circuit {
            let kept = circuit(path)?;
            let extremes = self.asked.headline(&b)?;
            let span = Span::new(&b, &extremes)?;
            self.judge(&b, &extremes, &span, &kept, &mut report)?;
            if let Some(truth) = &truth {
                report.insert("truth".into(), compared(&Confusion::of(&kept, truth)));
            }
        } else if let Some(path) = &self.scores {
            let scores = scored::read(path, &b.graph, self.asked.convention, &self.asked.model)?;
            let extremes = self.asked.headline(&b)?;
            let span = Span::new(&b, &extremes)?;
            self.curves(&b, &extremes, &span, &scores.ours, &mut report)?;
            if let Some(truth) = &truth {
                report.insert("truth".into(), self.ranked(&b.graph, &scores.ours, truth));
            }
        }
        if ranks::writes() {
            let report = results::<T>(&origin, report);
            atomic::write_bytes(&self.out, format!("{report:#}\n").as_bytes())?;
        }
        b.journal.end();
        println!("figures: {}", self.out.display());
        Ok(())
    }

    /// What the results depend on beside what is asked.
    fn settings(&self) -> Result<Vec<(&'static str, String)>> {
        let mut settings = vec![
            ("--circuit", content_hash(self.circuit.as_ref())?),
            ("--scores", content_hash(self.scores.as_ref())?),
            ("--fractions", format!("{:?}", self.fractions)),
            ("--bootstrap", format!("{:?}", self.bootstrap)),
            ("--null", self.null.to_string()),
            ("--minimality", self.minimality.to_string()),
            ("--tests", self.tests.to_string()),
            ("--seed", self.seed.to_string()),
        ];
        settings.extend(self.adversary.settings()?);
        Ok(settings)
    }

    /// Judges one circuit.
    fn judge<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        extremes: &Extremes,
        span: &Span,
        kept: &[bool],
        report: &mut Map<String, Value>,
    ) -> Result<()> {
        Flow::new(&b.graph).warn_disconnected(kept);
        let (judged, drawn) = self.runs(b, kept)?;
        self.faithfulness(b, span, &judged);
        report.extend(judged.report(b, extremes, span));
        minimality(b, &judged);
        if let Some((random, p)) = judged.against_random(span) {
            against_random(random, p);
        }
        if let Some(drawn) = &drawn {
            let tests = judged.tested(drawn, span, self.seed);
            hypotheses::print(&tests);
            report.insert("tests".into(), tests_report(&tests));
        }
        self.adversary.judge(&self.asked, b, (span, kept), self.seed, report)
    }

    /// Runs the circuit `kept` and those it is compared with.
    fn runs<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        kept: &[bool],
    ) -> Result<(Judged, Option<DrawnRuns>)> {
        let request = Request {
            null: self.null as usize,
            minimality: self.minimality,
            tests: self.tests,
            seed: self.seed,
        };
        let circuits = request.circuits(b, kept);
        let adversary = self.adversary.passes(b);
        let seconds = cost::seconds(b, circuits.list.len() as f64 + adversary)?;
        let and = if adversary > 0.0 { " and an adversary" } else { "" };
        let what = format!("{} circuits{and}", circuits.list.len());
        let instead = "leave out --minimality, --tests, --null, --adversary";
        self.asked.affordable(&what, seconds, instead)?;
        let (shown, mut progress) = bar("evaluate");
        let runs = circuits.run(b, &mut progress)?;
        shown.finish();
        Ok(runs)
    }

    /// The metric and faithfulness of the circuit, its complement, all edges and none.
    fn faithfulness<T: Element>(&self, b: &Behaviour<'_, T>, span: &Span, judged: &Judged) {
        let Judged { members, circuit, complement, .. } = judged;
        let f = span.faithfulness(circuit);
        let interval = span.interval(circuit);
        let all = b.graph.edges();
        let metric = (self.asked.metric.name(), "metric");
        let columns = [("", "of"), ("edges", "edges"), metric, ("faithfulness", "faithfulness")];
        let mut table = Table::new("circuit", columns);
        for (name, edges, values) in [
            ("model", all, &span.clean),
            ("circuit", members.len(), circuit),
            ("complement", all - members.len(), complement),
            ("nothing", 0, &span.nothing),
        ] {
            let (mean, f) = (mean(b, values), span.faithfulness(values));
            table.row([
                Cell::text(name),
                Cell::count(edges),
                Cell::real(mean, 6),
                Cell::real(f, 4),
            ]);
        }
        println!();
        table.print();
        note("faithfulness_interval", json!(interval));
        match interval {
            Some([low, high]) => {
                println!("faithfulness {f:.4}, 95 % interval over pairs [{low:.4}, {high:.4}]");
            }
            None if circuit.len() < LEAST_OF_MEAN => {
                println!("faithfulness {f:.4}; an interval takes {LEAST_OF_MEAN} pairs");
            }
            None => println!(
                "faithfulness {f:.4}; no interval: by these pairs, model and nothing may be alike"
            ),
        }
    }

    /// Scores against the true circuit: prints a line, returns the entries of the file.
    fn ranked(&self, graph: &Graph, scores: &[f64], truth: &[bool]) -> Value {
        let sizes: Vec<f64> = scores.iter().map(|&s| Rank::Abs.value(s)).collect();
        let (all, mib) = (auroc(&sizes, truth), mib_auroc(graph, scores, truth));
        let text = |x: Option<f64>| x.map_or_else(|| "undefined".into(), |x| format!("{x:.4}"));
        let top = at_true_size(scores, truth);
        println!(
            "against the truth: AUROC {} over all thresholds, {} at MIB's ten sizes; \
             F1 at the true size {:.4}",
            text(all),
            text(mib),
            top.f1(),
        );
        let found = self
            .bootstrap
            .and_then(|resamples| auroc_interval(&sizes, truth, resamples as usize, self.seed));
        if let Some([low, high]) = found {
            println!("95 % over resamples of the edges: AUROC {low:.4} to {high:.4}");
        }
        let mut entries = json!({ "auroc": all, "mib_auroc": mib, "f1_at_true_size": top.f1() });
        if let Some(ends) = found {
            entries["auroc_interval"] = json!(ends);
        }
        entries
    }

    /// The intervals of the figures of curves, if they are asked for.
    fn intervals(&self, runs: &faithfulness::Runs, span: &Span) -> Option<Intervals> {
        let resamples = self.bootstrap? as usize;
        let found = runs.intervals(span, resamples, self.seed);
        let Some(Intervals { cmd, cpr, clipped_cpr }) = found else {
            println!("no intervals: by these pairs, model and nothing may be alike");
            return None;
        };
        let named = [("CMD", cmd), ("CPR", cpr), ("clipped CPR", clipped_cpr)];
        let shown = named.map(|(name, [low, high])| format!("{name} {low:.4} to {high:.4}"));
        println!("95 % over {resamples} resamples of the pairs: {}", shown.join(", "));
        found
    }

    /// The curves of scores.
    fn curves<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        extremes: &Extremes,
        span: &Span,
        scores: &[f64],
        report: &mut Map<String, Value>,
    ) -> Result<()> {
        let fractions = self.fractions.clone().unwrap_or(FRACTIONS.to_vec());
        let circuits = 2 * fractions.len();
        let seconds = cost::seconds(b, circuits as f64)?;
        let what = format!("{circuits} circuits");
        self.asked.affordable(&what, seconds, "give fewer --fractions")?;
        let (shown, mut progress) = bar("curve");
        let runs = faithfulness::Runs::new(b, scores, &fractions, &mut progress)?;
        shown.finish();
        let [abs, signed] = runs.curves(span);
        let columns = [
            ("fraction", "fraction"),
            ("edges by |score|", "edges_by_size"),
            ("faithfulness", "faithfulness_by_size"),
            ("edges by score", "edges_by_score"),
            ("faithfulness", "faithfulness_by_score"),
        ];
        let mut table = Table::new("curve", columns);
        for (i, &k) in fractions.iter().enumerate() {
            table.row([
                Cell::percent(k, 1),
                Cell::count(abs.edges[i]),
                Cell::real(abs.faithfulness[i], 4),
                Cell::count(signed.edges[i]),
                Cell::real(signed.faithfulness[i], 4),
            ]);
        }
        println!();
        table.print();
        note("cmd", abs.cmd());
        note("cpr", signed.cpr());
        println!(
            "\nCMD {:.4} (0 is best; by |score|), CPR {:.4} (by score)",
            abs.cmd(),
            signed.cpr()
        );
        println!(
            "from 0 on: CMD {:.4}, CPR {:.4}; with faithfulness between 0 and 1: CPR {:.4}",
            abs.anchored_cmd(),
            signed.anchored_cpr(),
            signed.clipped_cpr(),
        );
        let intervals = self.intervals(&runs, span);
        runs.put(span, extremes, intervals, report);
        Ok(())
    }
}

/// The mean over pairs.
fn mean<T: Element>(b: &Behaviour<'_, T>, values: &[f64]) -> f64 {
    values.iter().sum::<f64>() * b.weight()
}

/// By how much the metric falls without each edge of the circuit.
fn minimality<T: Element>(b: &Behaviour<'_, T>, judged: &Judged) {
    let members = &judged.members;
    if judged.one_less.len() < members.len() {
        println!("minimality: {} edges would be a run each; ask with --minimality", members.len());
        return;
    }
    if members.is_empty() {
        return;
    }
    let name = |e: usize| b.graph.edge(e).to_string();
    let mut drops: Vec<(usize, f64)> = members.iter().copied().zip(judged.drops(b)).collect();
    drops.sort_by(|a, b| a.1.abs().total_cmp(&b.1.abs()).then(a.0.cmp(&b.0)));
    let columns = [("edges of least effect", "edge"), ("metric falls by", "drop")];
    let mut table = Table::new("minimality", columns);
    for &(e, drop) in drops.iter().take(5) {
        table.row([Cell::text(name(e)), Cell::real(drop, 6)]);
    }
    println!();
    table.print();
}

/// The circuit's faithfulness against that of random circuits, of which there are some.
fn against_random(of_random: Vec<f64>, p: f64) {
    let mut sorted = of_random;
    sorted.sort_by(f64::total_cmp);
    let median = stats::median(&sorted).expect("circuits were drawn");
    println!(
        "\n{} random circuits with as many edges of each type: faithfulness \
         {:.4} to {:.4}, median {median:.4}; p = {p:.4}",
        sorted.len(),
        sorted[0],
        sorted[sorted.len() - 1],
    );
}

/// A circuit against the true one: prints a line, returns the entries of the file.
fn compared(c: &Confusion) -> Value {
    let (right, wrong, missed) = (c.true_positive, c.false_positive, c.false_negative);
    println!(
        "\nof {} true edges {right} are there, {missed} are missing; {wrong} others are there: \
         precision {:.4}, recall {:.4}, F1 {:.4}",
        right + missed,
        c.precision(),
        c.recall(),
        c.f1(),
    );
    json!({
        "true_positive": right, "false_positive": wrong, "false_negative": missed,
        "true_negative": c.true_negative,
        "precision": c.precision(), "recall": c.recall(), "f1": c.f1(),
    })
}

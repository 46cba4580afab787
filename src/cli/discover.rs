//! `edgegrad discover`.

use crate::cli::Dtype;
use crate::cli::print::note;
use crate::cli::question::{Asked, bar, choice, content};
use crate::cli::scored::{Scored, warn_disconnected};
use clap::Args;
use edgegrad::attribution::method::{Method, Options};
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::faithfulness::smallest;
use edgegrad::discovery::select;
use edgegrad::discovery::select::Rank;
use edgegrad::discovery::{Search, acdc, edge_pruning, heaviest, minimal};
use edgegrad::error::{Error, Result};
use edgegrad::formats::{Convention, EdgeFile, Meta};
use edgegrad::graph::Graph;
use edgegrad::named::{Named, counted};
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::patching::running;
use edgegrad::patching::span::Span;
use edgegrad::tensor::Element;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Find the circuit behind a behaviour
#[derive(Debug, Args)]
pub(super) struct Discover {
    #[command(flatten)]
    asked: Asked,
    /// How the circuit is found
    #[arg(
        long,
        default_value = "topn",
        value_parser = choice::<Search>(),
    )]
    method: Search,
    /// For topn, greedy, heaviest, threshold and --candidates: scores, as `attribute` writes them or EAP-IG
    /// does
    #[arg(long, value_name = "FILE.json", conflicts_with = "attribution")]
    scores: Option<PathBuf>,
    /// For topn, greedy, heaviest, threshold and --candidates: compute scores by this method
    #[arg(long, value_parser = choice::<Method>())]
    attribution: Option<Method>,
    /// Which scores come first: the largest in size, or the largest
    #[arg(long, default_value = "abs", value_parser = choice::<Rank>())]
    rank: Rank,
    /// Leave out edges whose score has its sign in a smaller share of resamples, as `attribute
    /// --bootstrap` says
    #[arg(long, value_name = "SHARE")]
    same_sign: Option<f64>,
    /// How many edges to select
    #[arg(long, value_name = "N")]
    edges: Option<usize>,
    /// The least score of an edge (threshold), or the least that its removal has to cost (acdc)
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tau: Option<f64>,
    /// Select the fewest edges whose circuit is this faithful
    #[arg(long, value_name = "F")]
    faithfulness: Option<f64>,
    /// With minimal: by how much the metric of a pair may change
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tol: Option<f64>,
    /// With minimal: search among the N edges of largest score alone
    #[arg(long, value_name = "N")]
    candidates: Option<usize>,
    /// With minimal: seconds after which the search stops and reports what is proven by then
    #[arg(long, value_name = "SECONDS")]
    time: Option<f64>,
    /// With edge-pruning: steps of the optimizer
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000),
    )]
    steps: u64,
    /// Drop edges that are on no path from the input to the logits
    #[arg(long)]
    connected: bool,
    /// The seed of edge-pruning and of scores that are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Where to write the circuit, in EAP-IG's layout
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// Where a selection stops.
#[derive(Clone, Copy)]
enum Size {
    Edges(usize),
    Tau(f64),
    Tolerance(f64),
    Faithfulness(f64),
}

impl Discover {
    pub(super) fn run(&self) -> Result<()> {
        let size = self.size()?;
        if self.scored() && self.scores.is_none() {
            self.attribution.unwrap_or_default().check(self.asked.metric)?;
        }
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| match self.dtype {
            Dtype::F32 => self.run_as::<f32>(size),
            Dtype::F64 => self.run_as::<f64>(size),
        })
    }

    /// Whether the method selects edges by scores.
    fn scored(&self) -> bool {
        matches!(self.method, Search::TopN | Search::Greedy | Search::Heaviest | Search::Threshold)
            || self.candidates.is_some()
    }

    /// What the arguments say about the size, if they fit the method.
    fn size(&self) -> Result<Size> {
        let method = format!("--method {}", self.method.name());
        let fail = |what: &str, help: &str| Err(Error::input(&method, what, help));
        if !self.scored() && (self.scores.is_some() || self.attribution.is_some()) {
            let help = "leave out --scores and --attribution";
            return fail("takes no scores: it runs the model", help);
        }
        if self.candidates.is_some() && self.method != Search::Minimal {
            return fail("takes no --candidates", "add --method minimal");
        }
        if self.time.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
            let message = "must be a positive number of seconds";
            return Err(Error::input("--time", message, "give seconds, such as --time 60"));
        }
        let help = match self.method {
            Search::TopN | Search::Greedy => "give --edges N or --faithfulness F",
            Search::Threshold => "give --tau X or --faithfulness F: the least score of an edge",
            Search::Acdc => "give --tau X: the least that the ablation of an edge must cost",
            Search::EdgePruning | Search::Heaviest => "give --edges N",
            Search::Minimal => "give --tol X: by how much the metric of a pair may change",
        };
        let given = [
            self.edges.map(Size::Edges),
            self.tau.map(Size::Tau),
            self.faithfulness.map(Size::Faithfulness),
            self.tol.map(Size::Tolerance),
        ];
        let size = match given.into_iter().flatten().collect::<Vec<_>>()[..] {
            [size] => size,
            [] => return fail("needs --edges, --tau, --tol or --faithfulness", help),
            _ => return fail("is given two sizes", help),
        };
        let number = match size {
            Size::Tau(x) | Size::Faithfulness(x) => x.is_finite(),
            Size::Tolerance(x) => x.is_finite() && x >= 0.0,
            Size::Edges(_) => true,
        };
        if !number {
            return fail("is given a size that is no number", "give one such as 0.95");
        }
        match (self.method, size) {
            (Search::TopN | Search::Greedy, Size::Edges(_) | Size::Faithfulness(_))
            | (Search::Threshold, Size::Tau(_) | Size::Faithfulness(_))
            | (Search::Acdc, Size::Tau(_))
            | (Search::EdgePruning | Search::Heaviest, Size::Edges(_))
            | (Search::Minimal, Size::Tolerance(_)) => Ok(size),
            _ => fail("is given a size of another kind", help),
        }
    }

    fn run_as<T: Element>(&self, size: Size) -> Result<()> {
        let (model, pairs) = self.asked.read::<T>()?;
        let out = ("discover", self.out.as_path());
        let journal = self.asked.journal::<T>(&pairs, out, &self.settings()?)?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        let scored = self.ranked(&b)?;
        if let Size::Edges(n) = size
            && n > b.graph.edges()
        {
            let message = format!("{n} of {} edges", b.graph.edges());
            return Err(Error::input("--edges", message, "ask for no more than there are"));
        }
        let span = Span::new(&b, &self.asked.headline(&b)?)?;
        self.affordable(&b)?;
        let flow = Flow::new(&b.graph);
        let pruned = |kept: Vec<bool>| if self.connected { flow.connected(&kept) } else { kept };
        let (kept, scored) = match (scored, size) {
            (scored, Size::Tolerance(tol)) => {
                let ours = scored.as_ref().map(|s| &s.ours[..]);
                (pruned(self.smallest(&b, tol, ours)?), scored)
            }
            (Some(scored), size) => {
                (self.select(&b, &span, &scored.ours, size, &pruned)?, Some(scored))
            }
            (None, Size::Tau(tau)) => {
                let (shown, mut progress) = bar("acdc");
                let kept = acdc::search(&b, tau, &mut progress)?;
                shown.finish();
                (pruned(kept), None)
            }
            (None, Size::Edges(edges)) => {
                let (circuit, scored) = self.prune(&b, edges)?;
                (pruned(circuit), Some(scored))
            }
            (None, Size::Faithfulness(_)) => unreachable!("refused"),
        };
        self.tell(&b, &flow, &span, &kept)?;
        self.write(&b, &kept, scored.as_ref())?;
        b.journal.end();
        println!("circuit: {}", self.out.display());
        Ok(())
    }

    /// The scores that edges are ranked by, if the search has any.
    fn ranked<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Option<Scored>> {
        match (&self.scores, self.same_sign) {
            (None, Some(_)) => {
                let help = "give --scores FILE, a file of `attribute --bootstrap R`";
                Err(Error::input("--same-sign", "needs scores that were resampled", help))
            }
            (Some(path), least) => {
                let (told, model) = (self.asked.convention, &self.asked.model);
                let file = EdgeFile::read(path)?;
                let mut scored = Scored::of(&file, path, &b.graph, told, model)?;
                least.map_or(Ok(()), |least| scored.doubt(file, &b.graph, least))?;
                Ok(Some(scored))
            }
            (None, None) if !self.scored() => Ok(None),
            (None, None) => Ok(Some(self.attribute(b)?)),
        }
    }

    /// What the circuit depends on beside what is asked.
    fn settings(&self) -> Result<[(&'static str, String); 13]> {
        let number = |x: Option<f64>| format!("{x:?}");
        Ok([
            ("--method", self.method.name().into()),
            ("--scores", content(self.scores.as_ref())?),
            ("--attribution", self.attribution.unwrap_or_default().name().into()),
            ("--rank", self.rank.name().into()),
            ("--same-sign", number(self.same_sign)),
            ("--edges", format!("{:?}", self.edges)),
            ("--tau", number(self.tau)),
            ("--faithfulness", number(self.faithfulness)),
            ("--tol", number(self.tol)),
            ("--candidates", format!("{:?}", self.candidates)),
            ("--steps", self.steps.to_string()),
            ("--connected", self.connected.to_string()),
            ("--seed", self.seed.to_string()),
        ])
    }

    /// Refuses a search that takes more than a day.
    fn affordable<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<()> {
        let passes = match self.method {
            Search::Acdc => b.graph.edges() as f64,
            Search::EdgePruning => {
                let rows = b.pairs.longest() * b.pairs.len();
                let batches = rows.div_ceil(b.rows).max(1);
                self.steps as f64 * (1.0 + cost::BACKWARD) / batches as f64
            }
            _ => 0.0,
        };
        let what = format!("--method {}: {} edges", self.method.name(), b.graph.edges());
        self.asked.affordable(&what, cost::seconds(b, passes)?, "use --method topn")
    }

    fn attribute<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Scored> {
        let method = self.attribution.unwrap_or_default();
        let options = Options { seed: self.seed, ..method.options() };
        let what = format!("--attribution {}: {} edges", method.name(), b.graph.edges());
        self.asked.affordable(&what, method.seconds(b, &options)?, "use --attribution eap-ig")?;
        let (shown, mut progress) = bar(method.name());
        let ours = method.scores(b, &options, &mut progress)?.values;
        shown.finish();
        let convention = self.asked.convention();
        let given = ours.iter().map(|&s| convention.and_ours(s)).collect();
        Ok(Scored { given, ours, convention, origin: method.name().into() })
    }

    /// The circuit of so many edges that edge pruning finds, and its scores.
    fn prune<T: Element>(&self, b: &Behaviour<'_, T>, edges: usize) -> Result<(Vec<bool>, Scored)> {
        let options = edge_pruning::PruneOptions {
            steps: self.steps as usize,
            seed: self.seed,
            ..edge_pruning::PruneOptions::keeping(edges)
        };
        let (shown, mut progress) = bar("edge-pruning");
        let found = edge_pruning::prune(b, &options, &mut progress)?;
        shown.finish();
        let scored = Scored {
            given: found.scores.clone(),
            ours: found.scores,
            // A mask is kept where the metric needs the edge.
            convention: Convention::Ours,
            origin: "the probability that the edge's mask is kept".into(),
        };
        Ok((found.circuit, scored))
    }

    /// A smallest circuit, and what is known about smaller ones.
    fn smallest<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        tol: f64,
        scores: Option<&[f64]>,
    ) -> Result<Vec<bool>> {
        let candidates = scores.zip(self.candidates).map(|(scores, n)| {
            let mut order = self.rank.order(scores);
            order.truncate(n);
            order
        });
        let options = minimal::MinimalOptions {
            // More seconds than a clock can count are no limit.
            time: self.time.and_then(|s| Duration::try_from_secs_f64(s).ok()),
            candidates,
            ..minimal::MinimalOptions::within(tol)
        };
        let (shown, mut progress) = bar("minimal");
        let found = minimal::minimal(b, &options, &mut progress)?;
        shown.finish();
        let Some(circuit) = found.circuit else {
            let message = format!("no circuit keeps every pair within {tol}");
            return Err(Error::input("--tol", message, "allow more, or more --time"));
        };
        let size = circuit.iter().filter(|&&k| k).count();
        let tried = found.tried;
        match found.proven {
            true => println!("proven smallest: {tried} sets of edges were tried"),
            false => println!(
                "not proven smallest: {tried} sets were tried, none of fewer than {} edges holds; \
                 this one has {size}",
                found.lower
            ),
        }
        Ok(circuit)
    }

    fn select<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        span: &Span,
        scores: &[f64],
        size: Size,
        pruned: &dyn Fn(Vec<bool>) -> Vec<bool>,
    ) -> Result<Vec<bool>> {
        let count = scores.len();
        if let (Search::Heaviest, Size::Edges(n)) = (self.method, size) {
            return Ok(self.heaviest(&b.graph, scores, n));
        }
        let order = match self.method {
            Search::Greedy => select::greedy_order(&b.graph, scores, self.rank),
            _ => self.rank.order(scores),
        };
        match size {
            Size::Edges(n) => Ok(pruned(select::first(&order, n, count))),
            Size::Tau(tau) => Ok(pruned(select::threshold(scores, self.rank, tau))),
            Size::Tolerance(_) => unreachable!("refused"),
            Size::Faithfulness(target) => {
                let sizes = sizes(order.len());
                let circuit = |i: usize| pruned(select::first(&order, sizes[i], count));
                let (shown, mut progress) = bar("smallest");
                let found = smallest(b, span, sizes.len(), circuit, target, &mut progress)?;
                shown.finish();
                match found {
                    Ok((i, _)) => Ok(circuit(i)),
                    Err((i, f)) => Err(Error::input(
                        "--faithfulness",
                        format!(
                            "no selection reaches {target}; the best, of {} edges, has {f:.4}",
                            sizes[i]
                        ),
                        "ask for less, or rank the edges by other scores",
                    )),
                }
            }
        }
    }

    /// The connected circuit of at most `n` edges that has the largest sum of scores, as far as is
    /// found; prints how far that may be from the largest there is.
    fn heaviest(&self, graph: &Graph, scores: &[f64], n: usize) -> Vec<bool> {
        let found = heaviest::heaviest(graph, scores, self.rank, n);
        let gap = found.bound - found.sum;
        let share = 100.0 * gap / found.bound.max(f64::MIN_POSITIVE);
        println!(
            "scores sum to {:.6}; no connected circuit of {n} edges has more than {:.6}: gap \
             {share:.2} %",
            found.sum, found.bound,
        );
        note("gap", json!({ "sum": found.sum, "bound": found.bound }));
        found.kept
    }

    /// Says what was found.
    fn tell<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        flow: &Flow<'_>,
        span: &Span,
        kept: &[bool],
    ) -> Result<()> {
        let values = running::circuits(b, &[kept.to_vec()], &mut |_| {})?.remove(0);
        let edges = kept.iter().filter(|&&k| k).count();
        let nodes = b.graph.circuit_file(kept, None, &Meta::default()).nodes;
        let nodes = nodes.iter().filter(|(_, node)| node.in_graph).count();
        let mean = values.iter().sum::<f64>() * b.weight();
        println!(
            "{}, {}; {} {mean:.6}, faithfulness {:.4}",
            counted(edges, "edge"),
            counted(nodes, "node"),
            self.asked.metric.name(),
            span.faithfulness(&values),
        );
        warn_disconnected(flow, kept);
        Ok(())
    }

    fn write<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        kept: &[bool],
        scored: Option<&Scored>,
    ) -> Result<()> {
        let convention = scored.map_or(self.asked.convention(), |s| s.convention);
        let meta = Meta {
            method: Some(self.method.name().into()),
            metric: Some(self.asked.metric.name().into()),
            baseline: Some(self.asked.baseline.name().into()),
            convention: Some(convention.name().into()),
            model: Some(self.asked.model_hash()?),
            pairs: Some(b.pairs.len() as u64),
            pairs_hash: Some(b.pairs.hash()),
            tokens: self.asked.tokens(b)?,
            dtype: Some(T::NAME.into()),
            seed: (self.method == Search::EdgePruning).then_some(self.seed),
            ..Meta::default()
        };
        let given = scored.map(|s| &s.given[..]);
        let mut file = b.graph.circuit_file(kept, given, &meta);
        let mut note = |key: &str, value: serde_json::Value| file.meta.insert(key.into(), value);
        if let Some(scored) = scored {
            note("scores", scored.origin.clone().into());
        }
        if self.scored() {
            note("rank", self.rank.name().into());
        }
        let given = [("tau", self.tau), ("faithfulness", self.faithfulness), ("tol", self.tol)];
        for (key, number) in given {
            if let Some(number) = number {
                note(key, number.into());
            }
        }
        note("connected", self.connected.into());
        file.write(&self.out)
    }
}

/// The sizes that are tried on the way to a faithfulness: all of them up to 200, then steps of half
/// a per cent.
fn sizes(all: usize) -> Vec<usize> {
    let next = |&n: &usize| Some((n + (n / 200).max(1)).min(all)).filter(|_| n < all);
    std::iter::successors(Some(0), next).collect()
}

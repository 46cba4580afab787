//! The methods, each as a recording of the model and a policy of what is trained.

use super::settings::{Method, Settings};
use super::subject::Material;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::EdgeFile;
use crate::formats::pairs::Pairs;
use crate::graph::{Graph, MaskShape, Recorder};
use crate::nn::stream::{Reader, Stream, Sum, Writer};
use crate::nn::transformer::{Config, Model};
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::Question;
use crate::rng::{Purpose, Rng};
use crate::tape::{Var, Window};
use crate::tensor::Buffer;
use crate::tuning::lora::budget::{BETAS, Importance, Kept, Schedule, keep_apart};
use crate::tuning::lora::{Adapted, Adapters, Kind, Matrix, RanksBy, Site, ranks};
use crate::tuning::slices::{Cells, Slice};
use crate::tuning::{
    Circuit, Control, Ends, Finder, Fixed, Found, Given, Objective, Policy, RandomLayers, Slices,
    Task, Tuner,
};

/// A model that is tuned, and who decides what of it.
pub(super) struct Prepared<'a> {
    /// The model with its loss.
    pub(super) tuner: Tuner<f32>,
    /// Who decides.
    pub(super) policy: Box<dyn Policy<f32> + 'a>,
    /// Adapters beside the model.
    pub(super) adapters: Beside,
}

/// Adapters beside a model, if there are any.
pub(super) struct Beside(Option<(Adapters<f32>, Adapted)>);

impl Beside {
    /// The adapters as they are now.
    pub(super) fn fetched(&self, tuner: &mut Tuner<f32>) -> Option<Adapters<f32>> {
        let (adapters, adapted) = self.0.as_ref()?;
        let mut adapters = adapters.clone();
        adapted.fetch(&tuner.objective().program, &mut adapters);
        Some(adapters)
    }

    /// The model as it is now, with what adapters add to its matrices.
    ///
    /// # Errors
    /// None: adapters fit the model they were made for.
    pub(super) fn model(&self, base: &Model<f32>, tuner: &mut Tuner<f32>) -> Result<Model<f32>> {
        let mut model = tuner.model(&base.config);
        if let Some(adapters) = self.fetched(tuner) {
            adapters.merge(&mut model)?;
        }
        Ok(model)
    }
}

impl<'a> Prepared<'a> {
    /// `base` tuned by a method.
    ///
    /// # Errors
    /// If more is asked for than the model has.
    pub(super) fn new(
        settings: &'a Settings,
        base: &'a Model<f32>,
        task: &dyn Material,
        seed: u64,
    ) -> Result<Prepared<'a>> {
        let new = Preparation { settings, base, task, seed };
        match settings.method {
            Method::Circuit | Method::Static | Method::Random if settings.masked => new.masked(),
            Method::Static if settings.circuit.is_some() => new.given(),
            Method::Static if settings.trial > 0 => new.tried(),
            Method::Circuit | Method::Static | Method::Random | Method::Complement => {
                Ok(new.sliced(Box::new(new.circuit()?)))
            }
            Method::Lisa => Ok(new.sliced(Box::new(RandomLayers {
                config: &base.config,
                count: settings.lisa_layers.min(base.config.layers),
                every: settings.every,
                rng: Rng::new(seed, Purpose::Null, LISA),
            }))),
            Method::Full => Ok(new.named(|_| true)),
            Method::Attention => Ok(new.named(|name| name.contains(".attn."))),
            Method::Bias => Ok(new.named(|name| {
                let last = name.rsplit('.').next().unwrap_or(name);
                last == "b" || last.starts_with("b_")
            })),
            Method::Gradient | Method::Fisher => new.largest(),
            Method::Lora | Method::CircuitLora => new.adapted(),
            Method::AdaLora => new.budgeted(),
        }
    }
}

/// What a method is made of.
#[derive(Clone, Copy)]
struct Preparation<'a, 't> {
    settings: &'a Settings,
    base: &'a Model<f32>,
    task: &'t dyn Material,
    seed: u64,
}

impl<'a> Preparation<'a, '_> {
    fn config(&self) -> &'a Config {
        &self.base.config
    }

    fn graph(&self) -> Graph {
        Graph::of_transformer(self.config(), self.settings.granularity())
    }

    fn tuner(&self, mut objective: Objective<f32>, adapters: Vec<Var>) -> Tuner<f32> {
        objective.set_weights(&self.base.weights);
        Tuner::new(objective, adapters, self.settings.rule(), self.settings.leaving)
    }

    fn record(&self, stream: &mut impl Stream<f32>) -> Objective<f32> {
        let (rows, length, gaps) = (self.task.rows(), self.task.length(), self.task.gaps());
        Objective::record(self.config(), rows, length, gaps, stream)
    }

    fn plain(&self) -> Tuner<f32> {
        self.tuner(self.record(&mut Sum::default()), vec![])
    }

    fn sliced(&self, policy: Box<dyn Policy<f32> + 'a>) -> Prepared<'a> {
        Prepared { tuner: self.plain(), policy, adapters: Beside(None) }
    }

    fn named(&self, is: fn(&str) -> bool) -> Prepared<'a> {
        self.sliced(Box::new(Fixed(Slices::named(self.config(), is))))
    }

    fn circuit(&self) -> Result<Circuit<'a>> {
        let s = self.settings;
        Ok(Circuit {
            config: self.config(),
            finder: finder(s, self.config(), self.seed)?,
            every: s.every_discovery(),
            extras: s.extras(),
            control: match s.method {
                Method::Random => Some(Control::Random(s.drawn)),
                Method::Complement => Some(Control::Complement),
                _ => None,
            },
            moved: None,
            found: None,
        })
    }

    /// The circuit of a file.
    fn given(&self) -> Result<Prepared<'a>> {
        let path = self.settings.circuit.as_ref().expect("there is a file");
        let graph = self.graph();
        let kept = graph.circuit_in(&EdgeFile::read(path)?)?;
        let ends = Ends::of(&graph, &kept);
        let slices = Slices::of_ends(&graph, self.config(), &ends, self.settings.extras());
        let found = Found { scores: vec![f64::NAN; kept.len()], kept, ends };
        Ok(self.sliced(Box::new(Given { found, slices })))
    }

    /// The base model after the [trial](Settings::trial), with its change multiplied.
    fn extrapolated(&self) -> Model<f32> {
        let s = self.settings;
        let mut tuner = self.plain();
        tuner.train(Slices::named(self.config(), |_| true));
        for step in 0..s.trial {
            let clip = (s.clip > 0.0).then_some(s.clip);
            tuner.step(&self.task.batch(step), s.trial_rate * s.lr, clip);
        }
        let far = |(tried, base): (&Buffer<f32>, &Buffer<f32>)| {
            let each = tried.iter().zip(base.iter());
            let moved = |(x, b): (&f32, &f32)| b + s.extrapolation as f32 * (x - b);
            Buffer::from(&each.map(moved).collect::<Vec<_>>()[..]).share()
        };
        let model = tuner.model(self.config());
        let weights = model.weights.iter().zip(&self.base.weights).map(far).collect();
        Model { weights, ..model }
    }

    /// The circuit of the extrapolated model, trained in the base model.
    fn tried(&self) -> Result<Prepared<'a>> {
        let (model, pairs) = (self.extrapolated(), self.task.pairs(0)?);
        let (found, slices) = named_by_circuit(self.settings, &model, &pairs, self.seed, 0)?;
        Ok(self.sliced(Box::new(Given { found, slices })))
    }

    /// What the ranks of adapters follow, by edge.
    fn weighed(&self) -> Result<Vec<f64>> {
        let (mut found, _) = self.first()?;
        if self.settings.ranks == RanksBy::Change {
            let (model, pairs) = (self.extrapolated(), self.task.pairs(0)?);
            let (after, _) = named_by_circuit(self.settings, &model, &pairs, self.seed, 0)?;
            found.scores.iter_mut().zip(after.scores).for_each(|(s, after)| *s = after - *s);
        }
        Ok(found.scores)
    }

    /// The first circuit of a run, and what it trains.
    fn first(&self) -> Result<(Found, Slices)> {
        named_by_circuit(self.settings, self.base, &self.task.pairs(0)?, self.seed, 0)
    }

    /// As many numbers as the first circuit trains, of those that circuits can train, the ones with
    /// the largest gradient of the first batches, or the largest mean square of single examples'.
    fn largest(&self) -> Result<Prepared<'a>> {
        let count = self.first()?.1.count();
        let graph = self.graph();
        let all = Ends::of(&graph, &vec![true; graph.edges()]);
        let all = Slices::of_ends(&graph, self.config(), &all, self.settings.extras());
        let mut tuner = self.plain();
        let can: Vec<usize> =
            all.by_parameter(tuner.shapes(), |_| true).iter().map(|(p, _)| *p).collect();
        tuner.train(Slices::whole(tuner.shapes(), can.iter().copied()));
        let leaves = tuner.objective().transformer.parameters.clone();
        let sizes: Vec<usize> = can.iter().map(|&p| tuner.shapes()[p].iter().product()).collect();
        let mut sums: Vec<Vec<f64>> = sizes.iter().map(|&n| vec![0.0; n]).collect();
        let mut add = |tuner: &mut Tuner<f32>, of: fn(f64) -> f64| {
            for (sum, &p) in sums.iter_mut().zip(&can) {
                let gradient = tuner.objective().program.grad(leaves[p]);
                sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += of(f64::from(*g)));
            }
        };
        if self.settings.method == Method::Gradient {
            for step in 0..BATCHES.min(self.settings.steps) {
                tuner.gradient(&self.task.batch(step));
                add(&mut tuner, |g| g);
            }
        } else {
            for part in self.task.batch(0) {
                let length = self.task.length();
                for row in 0..self.task.rows() {
                    let mut one = part.clone();
                    let alone = |(i, w): (usize, &mut f32)| {
                        if i / length != row {
                            *w = 0.0
                        }
                    };
                    one.weights.iter_mut().enumerate().for_each(alone);
                    tuner.gradient(&[one]);
                    add(&mut tuner, |g| g * g);
                }
            }
        }
        let place = |(i, sum): (usize, &Vec<f64>)| {
            sum.iter().enumerate().map(|(j, s)| (s.abs(), i, j as u32)).collect::<Vec<_>>()
        };
        let mut order: Vec<(f64, usize, u32)> = sums.iter().enumerate().flat_map(place).collect();
        // Stable: of equals the first.
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut chosen: Vec<Vec<u32>> = vec![vec![]; can.len()];
        order.iter().take(count).for_each(|&(_, i, j)| chosen[i].push(j));
        let slice = |(mut cells, &parameter): (Vec<u32>, &usize)| {
            cells.sort_unstable();
            Slice { parameter, cells: Cells::Scattered(cells.into()) }
        };
        let slices = Slices::new(chosen.into_iter().zip(&can).map(slice).collect());
        Ok(self.sliced(Box::new(Fixed(slices))))
    }

    /// The graph of the circuit is what is run, with the baseline in place of all other edges.
    fn masked(&self) -> Result<Prepared<'a>> {
        let (graph, circuit) = (self.graph(), self.circuit()?);
        let mut recorder = Recorder::new(&graph, Some(MaskShape::default()));
        let objective = self.record(&mut recorder);
        let masks = recorder.readings.iter().filter_map(|r| r.mask).collect();
        let baselines = recorder.baselines.clone();
        let policy = Masked { circuit, masks, baselines, baseline: self.settings.baseline };
        let tuner = self.tuner(objective, vec![]);
        Ok(Prepared { tuner, policy: Box::new(policy), adapters: Beside(None) })
    }

    fn adapters(&self, sites: &[(Site, usize)], kind: Kind) -> Result<Prepared<'a>> {
        let adapters =
            Adapters::<f32>::new(self.config(), sites, kind, self.settings.alpha, self.seed)?;
        let mut adapted = Adapted::new(&adapters);
        let objective = self.record(&mut adapted);
        let leaves = adapted.parameters();
        let mut tuner = self.tuner(objective, leaves.clone());
        adapted.set(&mut tuner.objective().program, &adapters);
        let first = self.config().parameters().len();
        let slices = Slices::whole(tuner.shapes(), first..first + leaves.len());
        let policy = Box::new(Fixed(slices));
        Ok(Prepared { tuner, policy, adapters: Beside(Some((adapters, adapted))) })
    }

    fn adapted(&self) -> Result<Prepared<'a>> {
        let (s, sites) = (self.settings, Site::all(self.config()));
        let mut each = vec![s.rank; sites.len()];
        if s.method == Method::CircuitLora {
            let (scores, graph) = (self.weighed()?, self.graph());
            let of_site = |site: &Site| importance(&graph, &scores, site);
            let most = sites.iter().map(|site| site.shape(self.config()));
            let most: Result<Vec<usize>> =
                most.map(|s| Ok(s?.into_iter().min().unwrap_or(1))).collect();
            let most = most?.into_iter().min().unwrap_or(1);
            let list: Vec<f64> = sites.iter().map(of_site).collect();
            each = ranks(&list, s.rank * sites.len(), 1..=most)?;
        }
        let list: Vec<(Site, usize)> = sites.into_iter().zip(each).collect();
        self.adapters(&list, Kind::Plain)
    }

    fn budgeted(&self) -> Result<Prepared<'a>> {
        let (s, sites) = (self.settings, Site::all(self.config()));
        // Half as much again at the start, as the paper has it.
        let start = s.rank + s.rank.div_ceil(2);
        let list: Vec<(Site, usize)> = sites.iter().map(|&site| (site, start)).collect();
        let mut prepared = self.adapters(&list, Kind::Gated)?;
        let (adapters, adapted) = prepared.adapters.0.as_ref().expect("it was made with adapters");
        let schedule = Schedule {
            start: start * sites.len(),
            end: s.rank * sites.len(),
            warm_up: s.steps / 10,
            cool_down: s.steps / 5,
            steps: s.steps,
        };
        schedule.check()?;
        prepared.policy = Box::new(Budgeted {
            importance: Importance::new(adapters, BETAS)?,
            kept: Kept::all(adapters),
            adapted: adapted.clone(),
            first: self.config().parameters().len(),
            schedule,
        });
        Ok(prepared)
    }
}

/// The generator of LISA's layers is numbered behind that of random circuits.
const LISA: u32 = 1;

/// Batches whose gradient is summed to find the parameters with the largest one.
const BATCHES: usize = 8;

/// Updates between two decisions about a budget.
const BUDGET_EVERY: usize = 5;

/// How much it counts that triplets are apart, as the paper has it.
const APART: f64 = 0.1;

/// How much of all scores' size lies on edges that end in a matrix.
fn importance(graph: &Graph, scores: &[f64], site: &Site) -> f64 {
    let ends_there = |e: usize| {
        let (group, _, _, writer) = graph.place(e);
        let source = graph.sources.iter().find(|s| s.writers.contains(&writer));
        let part = source.map(|s| s.part);
        match site.matrix {
            Matrix::Qkv => graph.groups[group].part == Reader::Attention(site.layer),
            Matrix::MlpIn => graph.groups[group].part == Reader::Mlp(site.layer),
            Matrix::Output => part == Some(Writer::Attention(site.layer)),
            Matrix::MlpOut => part == Some(Writer::Mlp(site.layer)),
        }
    };
    (0..scores.len()).filter(|&e| ends_there(e)).map(|e| scores[e].abs()).sum()
}

fn finder(settings: &Settings, config: &Config, seed: u64) -> Result<Finder> {
    let graph = Graph::of_transformer(config, settings.granularity());
    Finder::new(config, graph, settings.discovery(seed), settings.extras(), seed)
}

/// What the circuit of the behaviour that `pairs` show names in `model`, as it is found before
/// update `step`.
///
/// # Errors
/// If more is asked for than the model has.
pub(super) fn named_by_circuit(
    settings: &Settings,
    model: &Model<f32>,
    pairs: &Pairs,
    seed: u64,
    step: usize,
) -> Result<(Found, Slices)> {
    let mut finder = finder(settings, &model.config, seed)?;
    let vocab = model.config.vocab_out;
    let found = finder.find(&AnyModel::Transformer(model.clone()), vocab, pairs, step)?;
    let slices = Slices::of_ends(finder.graph(), &model.config, &found.ends, settings.extras());
    Ok((found, slices))
}

/// A circuit that is trained and is all that runs.
struct Masked<'a> {
    circuit: Circuit<'a>,
    masks: Vec<Var>,
    baselines: Vec<Var>,
    baseline: Baseline,
}

impl Policy<f32> for Masked<'_> {
    fn before(&mut self, step: usize, tuner: &mut Tuner<f32>, task: &dyn Task) -> Result<()> {
        let due = self.circuit.due(step);
        self.circuit.before(step, tuner, task)?;
        let Some(found) = self.circuit.found.as_ref().filter(|_| due) else { return Ok(()) };
        let graph = self.circuit.finder.graph();
        let model = AnyModel::Transformer(tuner.model(self.circuit.config));
        let program = &mut tuner.objective().program;
        for (group, &mask) in graph.groups.iter().zip(&self.masks) {
            let numbers = program.value_mut(mask);
            numbers.iter_mut().zip(&found.kept[group.edges()]).for_each(|(m, &kept)| {
                *m = if kept { 1.0 } else { 0.0 };
            });
        }
        if self.baseline != Baseline::Zero {
            let pairs = task.pairs(step)?;
            let d = self.circuit.finder.discovery();
            let vocab = self.circuit.config.vocab_out;
            let question = Question::new(d.metric, d.positions, vocab, &pairs)?;
            let b = Behaviour::new(&model, graph.clone(), &pairs, question, Baseline::Mean)?;
            for (&x, row) in self.baselines.iter().zip(b.constants()) {
                let numbers = program.value_mut(x);
                numbers.chunks_exact_mut(row.len()).for_each(|to| to.copy_from_slice(row));
            }
        }
        Ok(())
    }

    fn circuit(&self) -> Option<&Found> {
        self.circuit.found.as_ref()
    }
}

/// Triplets that compete for a budget.
struct Budgeted {
    importance: Importance,
    kept: Kept,
    adapted: Adapted,
    /// Parameters of the model.
    first: usize,
    schedule: Schedule,
}

impl Budgeted {
    /// What is kept: of each triplet its column of A, its gate and its row of B.
    fn slices(&self, shapes: &[[usize; 2]]) -> Slices {
        let mut list = vec![];
        for (i, kept) in self.kept.list().iter().enumerate() {
            let leaf = self.first + 3 * i;
            let (n_in, n_out) = (shapes[leaf][0], shapes[leaf + 2][1]);
            for k in (0..kept.len()).filter(|&k| kept[k]) {
                let column = Window { rows: 0..n_in, columns: k..k + 1 };
                let gate = Window { rows: 0..1, columns: k..k + 1 };
                let row = Window { rows: k..k + 1, columns: 0..n_out };
                for (part, window) in [column, gate, row].into_iter().enumerate() {
                    list.push(Slice { parameter: leaf + part, cells: Cells::Window(window) });
                }
            }
        }
        Slices::new(list)
    }

    /// Closes the gates of what is not kept.
    fn close(&self, tuner: &mut Tuner<f32>) {
        for (x, kept) in self.adapted.vars().iter().zip(self.kept.list()) {
            let gates = x.gates.expect("gated adapters");
            let numbers = tuner.objective().program.value_mut(gates);
            numbers.iter_mut().zip(kept).filter(|(_, kept)| !**kept).for_each(|(g, _)| *g = 0.0);
        }
    }
}

impl Policy<f32> for Budgeted {
    fn before(&mut self, step: usize, tuner: &mut Tuner<f32>, _task: &dyn Task) -> Result<()> {
        if step.is_multiple_of(BUDGET_EVERY) {
            if step > 0 {
                self.kept = Kept::best(&self.importance.scores(), self.schedule.at(step));
            }
            let slices = self.slices(tuner.shapes());
            // Also those of what is not kept, which may come back.
            tuner.watch((self.first..self.first + 3 * self.kept.list().len()).collect());
            tuner.train(slices);
            self.close(tuner);
        }
        Ok(())
    }

    fn between(&mut self, _step: usize, tuner: &mut Tuner<f32>) {
        keep_apart(APART, &mut tuner.objective().program, &self.adapted);
        self.importance.observe(&tuner.objective().program, &self.adapted);
    }
}

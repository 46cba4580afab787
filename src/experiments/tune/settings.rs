//! What a tuning run is told.

use super::goal::Goal;
use crate::attribution::method::{Method as Attribution, Options};
use crate::error::Result;
use crate::experiments::settings::{self, Checked, Given, Keyed, Keys, ensure, settings};
use crate::graph::Granularity;
use crate::named::{Named, named};
use crate::nn::{OptimizerKind, Rule, Schedule, ScheduleShape};
use crate::patching::behaviour::Baseline;
use crate::patching::metric::{Metric, Positions};
use crate::tasks::language::Counted;
use crate::tuning::lora::RanksBy;
use crate::tuning::{Amount, Discovery, Drawn, Extras, Leaving, Placed, Ramp, Select};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;

named! {
    /// What is trained.
    Method {
        /// What the circuit of the behaviour names, found again every K updates.
        #[default]
        Circuit = "circuit",
        /// The same, found once.
        Static = "static",
        /// The circuit's ends at random other nodes of their kind: the control; see `drawn`.
        Random = "random",
        /// The ends that the circuit does not have, where they lie on paths without it: a control.
        Complement = "complement",
        /// All parameters of `lisa_layers` random layers, drawn anew every K updates, and those
        /// outside the layers (LISA, Pan et al. 2024).
        Lisa = "lisa",
        /// All parameters.
        Full = "full",
        /// The matrices and biases of attention.
        Attention = "attention",
        /// All biases, those of norms among them (BitFit, Zaken et al. 2021).
        Bias = "bias",
        /// The parameters with the largest gradient at the start, as many as the first circuit
        /// trains.
        Gradient = "gradient",
        /// Those with the largest mean square of single examples' gradients (Fisher's information).
        Fisher = "fisher",
        /// Low-rank adapters of all matrices.
        Lora = "lora",
        /// Low-rank adapters whose ranks follow the circuit's scores.
        CircuitLora = "circuit-lora",
        /// Low-rank adapters whose triplets compete for a budget (AdaLoRA).
        AdaLora = "adalora",
    }
}

settings! {
    /// A tuning run but for its seed. Everything that a file does not set is as
    /// [`Settings::default`] has it.
    ///
    /// ```
    /// use edgegrad::experiments::tune::Settings;
    /// use edgegrad::tuning::Select;
    /// let settings = Settings::from_toml("settings", "method = \"lora\"\nrank = 4\nlr = 3e-3")?;
    /// assert_eq!((settings.rank, settings.every), (4, 8));
    /// // A share of the parameters unless a number of edges is given.
    /// assert_eq!((settings.select, settings.edges), (Select::Share, 0.25));
    /// let settings = Settings::from_toml("settings", "edges = 40.0")?;
    /// assert_eq!((settings.select, settings.edges), (Select::Edges, 40.0));
    /// let e = Settings::from_toml("settings", "every = 0").unwrap_err();
    /// assert_eq!(e.to_string(), "settings: every: must be at least 1, got 0");
    /// # Ok::<(), edgegrad::error::Error>(())
    /// ```
    pub struct Settings {
        /// What the model is tuned for.
        task: Goal;
        /// What is trained.
        method: Method;
        /// Updates.
        steps: usize = 300, whole(1, 10_000_000);
        /// Examples in a batch.
        batch: usize = 64, whole(1, 1 << 16);
        /// Examples in a part; the gradient of a batch is the sum of its parts', which processes of
        /// `mpirun` divide.
        part: usize = 64, whole(1, 1 << 16);
        /// The largest learning rate.
        lr: f64 = 1e-3, ABOVE_0;
        /// Updates in which it rises from 0.
        warmup: usize = 20;
        /// How it moves then.
        schedule: ScheduleShape = ScheduleShape::Linear;
        /// The update rule.
        optimizer: OptimizerKind = OptimizerKind::AdamW;
        /// The momentum of `sgd`.
        momentum: f64 = 0.9, FROM_0;
        /// How fast trained parameters shrink.
        weight_decay: f64 = 0.0, FROM_0;
        /// The largest norm of a gradient; 0 for any.
        clip: f64 = 1.0, FROM_0;
        /// Which tokens count in the loss.
        counted: Counted = Counted::All;
        /// How much an asked token counts, where another counts 1.
        asked_weight: f64 = 1.0, ABOVE_0;
        /// How much the mean of the pronouns' `|logit gap|` counts in the loss; of E2 alone.
        beta: f64 = 0.0, FROM_0;
        /// K, the updates after which a circuit is found again.
        every: usize = 8, from(1);
        /// How the circuit is taken from scores.
        select: Select = Select::Share => "`\"share\"`, or `\"edges\"` if `edges` is given";
        /// How many edges or ends, how faithful, how large a score, or which share of the
        /// parameters: as `select` says.
        edges: f64 = 0.25;
        /// The same at the first update, if it moves.
        edges_start: Option<f64>;
        /// Updates on the way.
        edges_steps: usize;
        /// How it moves.
        ramp: Ramp;
        /// A file with the circuit to train, of `static` alone: as `discover` writes it, or another
        /// run; its path starts where the command runs.
        circuit: Option<PathBuf>;
        /// Whether neurons are nodes of their own, instead of a layer's MLP.
        neurons: bool;
        /// The method whose scores the circuit is taken from.
        attribution: Attribution;
        /// Its steps, if it takes some.
        attribution_steps: Option<usize>;
        /// The metric that it attributes.
        metric: Metric;
        /// Where the metric is taken: at the asked position (outcome), or at all (process).
        positions: Positions;
        /// The ablation value of edges.
        baseline: Baseline;
        /// Pairs at a discovery.
        pairs: usize = 16, whole(1, 1 << 16);
        /// Decay rates of averages of scores over discoveries.
        smoothing: Option<[f64; 2]>, BELOW_1;
        /// The first layer that is trained, and the first that is not any more.
        layers: Option<[usize; 2]> => "all";
        /// Random ends that are trained as well, as a share of the circuit's.
        random_share: f64 = 0.0, FROM_0;
        /// When the circuit of `random` is drawn.
        drawn: Drawn;
        /// Among which nodes it is drawn.
        placed: Placed;
        /// The task whose circuit is trained, as a control; the task itself unless given.
        circuit_of: Option<Goal> => "`task`";
        /// Updates of everything in a trial whose model, extrapolated, `static` finds its circuit
        /// in (Extrapolated localisation, arXiv 2608.24482) and `ranks = "change"` is about; none
        /// if 0.
        trial: usize, whole(0, 10_000_000);
        /// The learning rate of the trial as a share of `lr`.
        trial_rate: f64 = 0.01, ABOVE_0;
        /// What the change of all parameters in the trial is multiplied by.
        extrapolation: f64 = 100.0, ABOVE_0;
        /// What of a slice that leaves stays in the optimizer.
        leaving: Leaving;
        /// Whether biases are trained with a circuit.
        biases: bool = true;
        /// Whether embeddings are.
        embeddings: bool;
        /// Whether norms are.
        norms: bool;
        /// Whether the unembedding is.
        unembedding: bool;
        /// Whether the loss is that of the circuit alone, with the baseline in place of all else,
        /// instead of that of the whole model. The authors have no such option.
        masked: bool;
        /// Layers that `lisa` trains at a time.
        lisa_layers: usize = 2, whole(1, 1000);
        /// The rank of adapters, on average.
        rank: usize = 8, whole(1, 1 << 16);
        /// What the ranks of `circuit-lora` follow: scores, or their change in a trial
        /// (CircuitLoRA).
        ranks: RanksBy;
        /// What the product of adapters is multiplied by, times its rank.
        alpha: f64 = 16.0, ABOVE_0;
        /// Updates between two looks at the model.
        look: usize = 100, from(1);
        /// Held-out examples of each kind that it is judged by.
        examples: usize = 200, whole(1, 1 << 20);
        /// Pairs on which all edges are scored at each look, for their trends; none if 0.
        probe: usize;
        /// Runs with `shuffled` answers whose edges' slopes are the null of trends; looks are
        /// permuted instead if 0, which takes any drift for a trend.
        null_runs: usize, whole(0, 1000);
        /// Whether answers are permuted over the examples of a batch, so that nothing is learned.
        shuffled: bool;
        /// Sizes at which the largest changes of parameters are grafted at the end; none if 0.
        grafts: usize, whole(0, 30);
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        settings::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Settings, D::Error> {
        settings::deserialize(from)
    }
}

impl Settings {
    /// The settings in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown key or a value that cannot be.
    pub fn from_toml(place: &str, text: &str) -> Result<Settings> {
        Settings::with_changes(place, text, vec![])
    }

    /// The settings in a text, with values put over it.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml).
    pub fn with_changes(place: &str, text: &str, changes: Vec<Given>) -> Result<Settings> {
        let file = settings::inside("", settings::parse(place, text)?);
        Settings::given(&settings::by_key(file.chain(changes))).map_err(|e| e.within(place))
    }

    /// The settings that are given, checked.
    pub(super) fn given(keys: &Keys) -> Result<Settings> {
        let mut found = Settings::default().with("", "", keys)?;
        if keys.contains_key("edges") && !keys.contains_key("select") {
            found.select = Select::Edges;
        }
        let place = |key: &str| keys.get(key).map_or(key.to_string(), |given| given.place.clone());
        found.broken().map_err(|broken| broken.at(&place(&broken.key)))?;
        Ok(found)
    }

    /// The table of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        Settings::table()
    }

    /// Checks everything that does not depend on the model.
    ///
    /// # Errors
    /// If a value cannot be; the place is its key.
    pub fn check(&self) -> Result<()> {
        self.broken().map_err(|broken| broken.at(&broken.key))
    }

    fn broken(&self) -> Checked {
        Keyed::check(self, "")?;
        let (task, method, from_file) =
            (self.task.name(), self.method.name(), self.circuit.is_some());
        ensure!(self.beta == 0.0 || self.task == Goal::Balance, "beta":
            "is of E2 alone, and the task is {task}"; "leave it out");
        ensure!(!from_file || self.method == Method::Static, "circuit":
            "is of `static` alone, and the method is `{method}`"; "set method = \"static\"");
        ensure!(self.trial == 0 || self.learns_from_trial(), "trial":
            "is of static circuits and of ranks by change, and the method is `{method}`";
            "leave it out");
        let steps = self.steps;
        ensure!(self.trial <= steps, "trial":
            "has more updates than the run, which has {steps}"; "lower it");
        ensure!(self.ranks == RanksBy::Scores || self.method == Method::CircuitLora, "ranks":
            "are of `circuit-lora`, and the method is `{method}`"; "leave them out");
        ensure!(self.ranks == RanksBy::Scores || self.trial > 0, "ranks":
            "by change need a trial to change in"; "set trial, such as trial = 4");
        ensure!(self.null_runs == 0 || self.probe > 0, "null_runs":
            "are the null of trends, which need pairs to be scored on"; "set probe, such as probe = 16");
        ensure!(self.circuit_of.is_none_or(|goal| goal.domain().is_some()), "circuit_of":
            "is of generated tasks, and `own` is none"; "give one from E1 to E5");
        ensure!(!self.masked || !from_file, "masked":
            "does not go with a circuit from a file"; "let the circuit be found");
        let alone = self.trains_circuit() && self.method != Method::Complement;
        ensure!(!self.masked || alone, "masked":
            "`{method}` trains no circuit"; "use it with circuit or static");
        ensure!(!self.masked || self.baseline != Baseline::Resample, "masked":
            "needs a baseline that is there without a corrupted sequence";
            "set baseline to zero or mean");
        Ok(())
    }

    /// Whether the method finds something in the model of a trial.
    fn learns_from_trial(&self) -> bool {
        let found = self.method == Method::Static && self.circuit.is_none() && !self.masked;
        found || self.method == Method::CircuitLora && self.ranks == RanksBy::Change
    }

    pub(super) fn trains_circuit(&self) -> bool {
        use Method::{Circuit, Complement, Random, Static};
        matches!(self.method, Circuit | Static | Random | Complement)
    }

    /// The update rule.
    pub fn rule(&self) -> Rule {
        self.optimizer.rule([0.9, 0.999], 1e-8, self.momentum, self.weight_decay)
    }

    /// Learning rates.
    pub fn rates(&self) -> Schedule {
        let &Settings { schedule: shape, lr: peak, warmup, steps, .. } = self;
        Schedule { shape, peak, floor: 0.0, warmup, steps }
    }

    /// Updates between two discoveries; none if there is a single one.
    pub(super) fn every_discovery(&self) -> Option<usize> {
        let once = self.method == Method::Static
            || self.method == Method::Random && self.drawn == Drawn::Once;
        (!once).then_some(self.every)
    }

    /// What is trained beside what a circuit's ends own.
    pub fn extras(&self) -> Extras {
        let &Settings { biases, embeddings, norms, unembedding, .. } = self;
        Extras { biases, embeddings, norms, unembedding }
    }

    /// How finely the graph divides the model.
    pub fn granularity(&self) -> Granularity {
        Granularity { neurons: self.neurons, ..Granularity::default() }
    }

    /// How circuits are found.
    pub fn discovery(&self, seed: u64) -> Discovery {
        let usual = self.attribution.options();
        let steps = self.attribution_steps.unwrap_or(usual.steps);
        let (start, end) = (self.edges_start.unwrap_or(self.edges), self.edges);
        let steps_of_amount = if self.edges_start.is_some() { self.edges_steps } else { 0 };
        Discovery {
            method: self.attribution,
            // A rank of edges needs no more digits than this.
            options: Options { steps, tol: 1e-3, seed, ..usual },
            metric: self.metric,
            positions: self.positions,
            baseline: self.baseline,
            select: self.select,
            // A quarter that nobody asked for gives way in a model whose heads own more.
            or_least: self.select == Select::Share && self.edges == Settings::default().edges,
            amount: Amount { start, end, steps: steps_of_amount, ramp: self.ramp },
            smoothing: self.smoothing,
            layers: self.layers.map(|[from, to]| from..to),
            random: self.random_share,
            placed: self.placed,
        }
    }
}

//! What a training run is told: task, model and training of each stage, fully resolved.
//!
//! A configuration comes from a TOML file ([`Config::read`]) or from these plain structs. Either
//! way [`Config::validate`] has the last word, and [`Config::to_toml`] writes down every value, so
//! that the file in a run folder says all there is to say.
//!
//! ```
//! use edgegrad::experiments::train::config::Config;
//! let text = "
//!     [task]
//!     p = 2
//!     [model]
//!     d_model = 16
//!     [train]
//!     lr = 1e-2
//!     batch = 'full'
//!     steps = 2500
//!     [[stages]]
//!     [[stages]]
//!     p = 4
//!     steps = 1500
//! ";
//! let config = Config::parse(text, "curriculum.toml", &["lr=3e-3".into()])?;
//! assert_eq!(config.stages[1].task.p, 4);
//! assert_eq!(config.stages[1].train.lr, 3e-3);
//! assert_eq!(config.stages[0].model.vocab, 4); // room for every stage
//! assert_eq!(Config::parse(&config.to_toml(), "again.toml", &[])?, config);
//! # Ok::<(), edgegrad::error::Error>(())
//! ```

mod read;

use crate::error::{Error, Result};
use crate::named::{Named, named};
use crate::nn::Rule;
pub use crate::nn::{Activation, ScheduleShape};
use crate::tasks::{MAX_TOKENS, modular_addition::MAX_P};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use toml::Value;

/// The most numbers one tensor of a run may hold.
pub const MAX_ELEMENTS: usize = 1 << 30;
/// The widest layer: two of them multiplied, and the four-fold default of the MLP, still fit.
pub const MAX_WIDTH: usize = 1 << 24;
/// The most steps of a stage, and the longest interval between two records: the whole numbers that
/// every reader of a metrics file can hold exactly.
pub const MAX_STEPS: u64 = 1 << 53;
/// The most pairs by which a circuit is judged.
pub const MAX_PROBE: u64 = 1 << 16;
/// The most stages of a run.
pub const MAX_STAGES: usize = 1 << 16;

named! {
    /// The tasks there are.
    TaskKind {
        /// [`ModularAddition`](crate::tasks::modular_addition::ModularAddition).
        #[default]
        SparseModularAddition = "sparse-modular-addition",
    }
}
named! {
    /// The numbers a run computes with.
    DtypeKind {
        /// Single precision: fast.
        #[default]
        F32 = "f32",
        /// Double precision: exact.
        F64 = "f64",
    }
}
named! {
    /// The models there are.
    ModelKind {
        /// One attention layer with a single learned query, then one MLP.
        #[default]
        Pooled = "pooled",
    }
}
named! {
    /// The optimisers there are.
    OptimizerKind {
        /// Adam; weight decay is added to the gradient.
        #[default]
        Adam = "adam",
        /// Adam with decoupled weight decay.
        AdamW = "adamw",
        /// Gradient descent, with momentum if asked for.
        Sgd = "sgd",
    }
}
named! {
    /// What the optimiser remembers at the start of a stage.
    OptimizerState {
        /// Nothing, as in the papers.
        #[default]
        Fresh = "fresh",
        /// What it remembered at the end of the stage before.
        Keep = "keep",
    }
}

/// How many rows a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// This many.
    Size(usize),
    /// All train rows.
    Full,
}

/// A training run. Two are equal if they train alike, wherever they were read.
#[derive(Clone, Debug)]
pub struct Config {
    /// What all random numbers come from; at most `i64::MAX`, the largest number of TOML.
    pub seed: u64,
    /// What it computes with.
    pub dtype: DtypeKind,
    /// What a reader may call the run.
    pub name: Option<String>,
    /// What to train on, one after the other; at least one.
    pub stages: Vec<Stage>,
    /// The file it was read from, for errors.
    pub source: Option<PathBuf>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        let of = |c: &Config| (c.seed, c.dtype);
        of(self) == of(other) && self.name == other.name && self.stages == other.stages
    }
}

/// One stage of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// What a reader may call the stage; files say `stage-1` and so on unless told otherwise.
    pub name: String,
    /// Where examples come from.
    pub task: TaskConfig,
    /// The model: the same in all stages but for its dropout.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
}

/// The `[task]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    /// Which task.
    pub kind: TaskKind,
    /// The modulus.
    pub p: usize,
    /// L, tokens in a row.
    pub seq_len: usize,
    /// How many leading tokens are added.
    pub k: usize,
    /// Rows to learn from; with `data` the file decides.
    pub train: usize,
    /// Rows to be judged by, 0 for none; with `data` the file decides.
    pub test: usize,
    /// Whether test rows may be train rows too.
    pub overlap: bool,
    /// A safetensors file with the rows instead of drawn ones.
    pub data: Option<PathBuf>,
}

/// The `[model]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which model.
    pub kind: ModelKind,
    /// V, token embeddings and output classes; at least p of every stage.
    pub vocab: usize,
    /// D, the width of the residual stream.
    pub d_model: usize,
    /// F, the neurons of the MLP.
    pub d_mlp: usize,
    /// Their non-linearity.
    pub activation: Activation,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// The share of the MLP's output that is dropped in training.
    pub dropout: f64,
    /// A safetensors file with the first weights instead of drawn ones.
    pub init: Option<PathBuf>,
    /// What comes before a weight's name in that file.
    pub init_prefix: String,
}

/// The `[train]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Which optimiser.
    pub optimizer: OptimizerKind,
    /// The learning rate.
    pub lr: f64,
    /// Adam's two decay rates.
    pub betas: [f64; 2],
    /// What Adam adds to the root of the second moment.
    pub eps: f64,
    /// The momentum of gradient descent.
    pub momentum: f64,
    /// Weight decay, coupled or not as the optimiser says.
    pub weight_decay: f64,
    /// The MLP learns with `lr` divided by this.
    pub mlp_lr_discount: f64,
    /// Rows in a step.
    pub batch: Batch,
    /// Steps in the stage.
    pub steps: u64,
    /// Whether each pass takes the rows in a new order.
    pub shuffle: bool,
    /// How the learning rate falls.
    pub schedule: ScheduleShape,
    /// Steps over which it first rises from 0 to `lr`.
    pub warmup: u64,
    /// Where it ends.
    pub min_lr: f64,
    /// The largest norm of the whole gradient; longer ones are scaled down to it.
    pub clip: Option<f64>,
    /// Steps between two recorded losses.
    pub log_every: u64,
    /// Steps between two evaluations; 0: only at the end of the stage.
    pub eval_every: u64,
    /// Steps between two checkpoints; 0: only the final one.
    pub checkpoint_every: u64,
    /// Steps between two snapshots of the weights for the report; 0: none.
    pub snapshot_every: u64,
    /// Steps between two looks at the [circuit](super::circuits); 0: none.
    pub circuit_every: u64,
    /// Pairs of sequences by which the circuit is judged.
    pub circuit_probe: usize,
    /// What the optimiser remembers at the start of the stage.
    pub optimizer_state: OptimizerState,
}

impl Batch {
    /// The pairs by which a circuit is judged unless told otherwise: a quarter of a batch, so that a
    /// look costs about as much as a few steps whatever the model is, and 64 where that is more.
    pub fn default_probe(self) -> usize {
        match self {
            Batch::Size(n) => (n / 4).clamp(8, 64),
            Batch::Full => 64,
        }
    }
}

impl Default for Config {
    /// One default stage.
    fn default() -> Config {
        let stage = Stage { name: stage_name(0), ..Stage::default() };
        let dtype = DtypeKind::default();
        Config { seed: 0, dtype, name: None, stages: vec![stage], source: None }
    }
}

impl Default for TaskConfig {
    /// The authors' task, with the test set apart from the train set.
    fn default() -> TaskConfig {
        TaskConfig {
            kind: TaskKind::default(),
            p: 2,
            seq_len: 12,
            k: 5,
            train: 2048,
            test: 2048,
            overlap: false,
            data: None,
        }
    }
}

impl Default for ModelConfig {
    /// The authors' model in the plane.
    fn default() -> ModelConfig {
        ModelConfig {
            kind: ModelKind::default(),
            vocab: 2,
            d_model: 2,
            d_mlp: 8,
            activation: Activation::default(),
            mlp_bias: true,
            dropout: 0.0,
            init: None,
            init_prefix: String::new(),
        }
    }
}

impl Default for TrainConfig {
    /// The authors' Adam for 1,000 steps; a file has to say how many itself.
    fn default() -> TrainConfig {
        TrainConfig {
            optimizer: OptimizerKind::default(),
            lr: 3e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
            mlp_lr_discount: 1.0,
            batch: Batch::Size(32),
            steps: 1000,
            shuffle: true,
            schedule: ScheduleShape::default(),
            warmup: 0,
            min_lr: 0.0,
            clip: None,
            log_every: 1,
            eval_every: 50,
            checkpoint_every: 0,
            snapshot_every: 0,
            circuit_every: 0,
            circuit_probe: Batch::Size(32).default_probe(),
            optimizer_state: OptimizerState::default(),
        }
    }
}

/// The name of stage `i`, counted from 0, when the file gives none.
fn stage_name(i: usize) -> String {
    format!("stage-{}", i + 1)
}

/// The three sections of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Task,
    Model,
    Train,
}

impl Section {
    const ALL: [Section; 3] = [Section::Task, Section::Model, Section::Train];

    fn name(self) -> &'static str {
        match self {
            Section::Task => "task",
            Section::Model => "model",
            Section::Train => "train",
        }
    }
}

/// A value that cannot be, and where: the stage and section, or the top level.
struct Problem {
    place: Option<(usize, Section)>,
    key: &'static str,
    message: String,
    help: String,
}

type Checked = std::result::Result<(), Problem>;

/// The keys of one section of one stage.
struct Check(usize, Section);

impl Check {
    fn that(&self, good: bool, key: &'static str, rule: &str, help: impl Into<String>) -> Checked {
        let (message, help) = (rule.to_string(), help.into());
        let place = Some((self.0, self.1));
        if good { Ok(()) } else { Err(Problem { place, key, message, help }) }
    }

    /// `from <= got <= to`.
    fn count(&self, key: &'static str, got: u64, from: u64, to: u64) -> Checked {
        self.that(
            got >= from,
            key,
            &format!("must be at least {from}, got {got}"),
            format!("write `{key} = {from}` or more"),
        )?;
        self.that(
            got <= to,
            key,
            &format!("must be at most {to}, got {got}"),
            "choose a size that a computer can hold",
        )
    }

    /// A finite number that `good` accepts, which `rule` says in words.
    fn number(&self, key: &'static str, got: f64, good: bool, rule: &str, eg: f64) -> Checked {
        self.that(
            good && got.is_finite(),
            key,
            &format!("must be {rule}, got {got}"),
            format!("write for example `{key} = {eg:?}`"),
        )
    }

    /// A tensor with these sides must not be too large.
    fn size(&self, key: &'static str, sides: &[(&str, usize)], limit: usize) -> Checked {
        let product = sides.iter().fold(1usize, |n, &(_, side)| n.saturating_mul(side));
        let names: Vec<_> = sides.iter().map(|(name, side)| format!("{name} ({side})")).collect();
        let message = format!("{} is more than {limit} numbers", names.join(" * "));
        self.that(product <= limit, key, &message, format!("lower `{key}`"))
    }
}

impl Config {
    /// Checks every value, alone and against the others.
    ///
    /// # Errors
    /// Names the key of the first value that cannot be, what it may be, and what it is.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(|problem| self.error(problem))
    }

    /// Checks what depends on the number of train rows of stage `i`, once they have been read.
    pub(super) fn check_rows(&self, i: usize, rows: usize) -> Result<()> {
        self.stages[i].check_rows(i, rows).map_err(|problem| self.error(problem))
    }

    fn error(&self, problem: Problem) -> Error {
        let place = match problem.place {
            None => self.place(problem.key),
            Some((i, s)) => self.place_in(i, &format!("{}.{}", s.name(), problem.key)),
        };
        Error::input(place, problem.message, problem.help)
    }

    /// What errors call `key`: with the file, if there is one.
    pub(super) fn place(&self, key: &str) -> String {
        let file = self.source.as_ref().map(|file| format!("{}: ", file.display()));
        file.unwrap_or_default() + key
    }

    /// What errors call the key `section.key` of stage `i`.
    pub(super) fn place_in(&self, i: usize, key: &str) -> String {
        match self.stages.len() {
            1 => self.place(key),
            _ => self.place(&format!("stages.{i}.{key}")),
        }
    }

    fn check(&self) -> Checked {
        let top = |good: bool, key, message: String, help: &str| {
            let problem = || Problem { place: None, key, message, help: help.into() };
            if good { Ok(()) } else { Err(problem()) }
        };
        let largest = i64::MAX as u64;
        top(
            self.seed <= largest,
            "seed",
            format!("must be at most {largest}, got {}", self.seed),
            "choose a smaller seed; any number will do",
        )?;
        top(
            (1..=MAX_STAGES).contains(&self.stages.len()),
            "stages",
            format!("must be 1 to {MAX_STAGES} stages, got {}", self.stages.len()),
            "remove `stages` to train in one stage",
        )?;
        let Stage { model: first, task: first_task, .. } = &self.stages[0];
        for (i, stage) in self.stages.iter().enumerate() {
            stage.task.check(&Check(i, Section::Task))?;
            stage.model.check(&Check(i, Section::Model))?;
            stage.train.check(&Check(i, Section::Train))?;
            stage.check(i)?;
            let same = ModelConfig { dropout: first.dropout, ..stage.model.clone() } == *first;
            Check(i, Section::Model).that(
                same,
                "kind",
                "a stage cannot change the model, only its dropout",
                "give all stages the same model",
            )?;
            let (got, first) = (stage.task.seq_len, first_task.seq_len);
            Check(i, Section::Task).that(
                got == first,
                "seq_len",
                &format!("must be {first} as in the first stage, got {got}"),
                "the model has an embedding for each position: write one `seq_len` in `[task]`",
            )?;
            let before = &self.stages[i.saturating_sub(1)].train;
            let keeps = stage.train.optimizer_state == OptimizerState::Keep;
            Check(i, Section::Train).that(
                !keeps || stage.train.rule().moments() == before.rule().moments(),
                "optimizer_state",
                "cannot keep what another kind of optimizer remembers",
                "write `optimizer_state = \"fresh\"`, or give both stages the same optimizer",
            )?;
        }
        Ok(())
    }
}

impl Stage {
    /// What sections have to agree on.
    fn check(&self, i: usize) -> Checked {
        let Stage { task, model, .. } = self;
        let in_model = Check(i, Section::Model);
        in_model.that(
            model.vocab >= task.p,
            "vocab",
            &format!("must be at least p = {} of every stage, got {}", task.p, model.vocab),
            format!("write `vocab = {}`, or leave it out", task.p),
        )?;
        let (v, d, f) = (model.vocab, model.d_model, model.d_mlp);
        let embeddings = [("vocab", v), ("seq_len", task.seq_len), ("d_model", d)];
        in_model.size("d_model", &embeddings, MAX_ELEMENTS)?;
        in_model.size("d_mlp", &[("d_mlp", f), ("d_model", d)], MAX_ELEMENTS)?;
        match task.data {
            // Only the file knows how many rows there are.
            Some(_) => Ok(()),
            None => self.check_rows(i, task.train),
        }
    }

    /// What depends on the number of train rows.
    fn check_rows(&self, i: usize, rows: usize) -> Checked {
        let Stage { task, model, train, .. } = self;
        let batch = match train.batch {
            Batch::Full => rows,
            Batch::Size(batch) => batch,
        };
        let limit = match &task.data {
            Some(file) => format!("the {rows} train rows of {}", file.display()),
            None => format!("task.train = {rows}"),
        };
        let on = Check(i, Section::Train);
        on.that(
            batch <= rows,
            "batch",
            &format!("must be at most {limit}, got {batch}"),
            "lower it, or write `batch = \"full\"`",
        )?;
        let widest = model.d_mlp.max(model.d_model).max(model.vocab).max(task.seq_len);
        on.size("batch", &[("batch", batch), ("widest layer", widest)], MAX_ELEMENTS)?;
        let circuits = if train.circuit_every > 0 { 2 * task.seq_len + 3 } else { 0 };
        let probe = ("circuit_probe", train.circuit_probe);
        let probe = [probe, ("circuits", circuits), ("widest layer", widest)];
        on.size("circuit_probe", &probe, MAX_ELEMENTS)
    }
}

impl TaskConfig {
    fn check(&self, on: &Check) -> Checked {
        on.count("p", self.p as u64, 2, MAX_P as u64)?;
        on.count("seq_len", self.seq_len as u64, 1, MAX_TOKENS as u64)?;
        on.count("k", self.k as u64, 1, MAX_TOKENS as u64)?;
        on.that(
            self.k <= self.seq_len,
            "k",
            &format!("must be at most seq_len = {}, got {}", self.seq_len, self.k),
            "lower `k` or raise `seq_len`",
        )?;
        on.count("train", self.train as u64, 1, MAX_TOKENS as u64)?;
        on.size("train", &[("train", self.train), ("seq_len", self.seq_len)], MAX_TOKENS)?;
        on.size("test", &[("test", self.test), ("seq_len", self.seq_len)], MAX_TOKENS)?;
        check_path(on, "data", self.data.as_deref())
    }
}

impl ModelConfig {
    fn check(&self, on: &Check) -> Checked {
        let most = MAX_ELEMENTS as u64;
        on.count("vocab", self.vocab as u64, 2, most)?;
        on.count("d_model", self.d_model as u64, 1, MAX_WIDTH as u64)?;
        on.count("d_mlp", self.d_mlp as u64, 1, most)?;
        let x = self.dropout;
        on.number("dropout", x, (0.0..1.0).contains(&x), "in [0, 1)", 0.1)?;
        check_path(on, "init", self.init.as_deref())
    }
}

impl TrainConfig {
    /// The optimiser's update rule.
    pub(super) fn rule(&self) -> Rule {
        let &Self { betas, eps, weight_decay, momentum, .. } = self;
        match self.optimizer {
            OptimizerKind::Adam => Rule::Adam { betas, eps, weight_decay },
            OptimizerKind::AdamW => Rule::AdamW { betas, eps, weight_decay },
            OptimizerKind::Sgd => Rule::Sgd { momentum, weight_decay },
        }
    }

    fn check(&self, on: &Check) -> Checked {
        let positive = |key, x: f64, eg| on.number(key, x, x > 0.0, "a number above 0", eg);
        let at_least_0 = |key, x: f64, eg| on.number(key, x, x >= 0.0, "a number from 0 on", eg);
        positive("lr", self.lr, 3e-3)?;
        let good = self.betas.iter().all(|b| (0.0..1.0).contains(b));
        on.that(
            good,
            "betas",
            &format!("must both be in [0, 1), got {:?}", self.betas),
            "write for example `betas = [0.9, 0.999]`",
        )?;
        positive("eps", self.eps, 1e-8)?;
        let m = self.momentum;
        on.number("momentum", m, (0.0..1.0).contains(&m), "in [0, 1)", 0.9)?;
        on.that(
            m == 0.0 || self.optimizer == OptimizerKind::Sgd,
            "momentum",
            &format!("has no effect with the optimizer \"{}\"", self.optimizer.name()),
            "remove it, or write `optimizer = \"sgd\"`; Adam has `betas`",
        )?;
        at_least_0("weight_decay", self.weight_decay, 0.01)?;
        positive("mlp_lr_discount", self.mlp_lr_discount, 1.0)?;
        if let Batch::Size(n) = self.batch {
            on.count("batch", n as u64, 1, MAX_ELEMENTS as u64)?;
        }
        on.count("steps", self.steps, 1, MAX_STEPS)?;
        on.that(
            self.warmup <= self.steps,
            "warmup",
            &format!("must be at most steps = {}, got {}", self.steps, self.warmup),
            "lower `warmup` or raise `steps`",
        )?;
        at_least_0("min_lr", self.min_lr, 0.0)?;
        on.that(
            self.min_lr <= self.lr,
            "min_lr",
            &format!("must be at most lr = {}, got {}", self.lr, self.min_lr),
            "lower `min_lr` or raise `lr`",
        )?;
        if let Some(clip) = self.clip {
            positive("clip", clip, 1.0)?;
        }
        on.count("log_every", self.log_every, 1, MAX_STEPS)?;
        on.count("eval_every", self.eval_every, 0, MAX_STEPS)?;
        on.count("checkpoint_every", self.checkpoint_every, 0, MAX_STEPS)?;
        on.count("snapshot_every", self.snapshot_every, 0, MAX_STEPS)?;
        on.count("circuit_every", self.circuit_every, 0, MAX_STEPS)?;
        on.count("circuit_probe", self.circuit_probe as u64, 1, MAX_PROBE)
    }
}

/// A path has to survive being written as text.
fn check_path(on: &Check, key: &'static str, path: Option<&Path>) -> Checked {
    let good = path.is_none_or(|p| p.to_str().is_some_and(|p| !p.is_empty()));
    on.that(good, key, "must be a path in UTF-8 that is not empty", "rename the file")
}

/// Every key of a section in the order of files, with its value if it has one.
type Entries = Vec<(&'static str, Option<Value>)>;

/// A number that was checked to fit; an unchecked one is cut off rather than wrapped.
fn whole(n: impl TryInto<i64>) -> Option<Value> {
    Some(Value::Integer(n.try_into().unwrap_or(i64::MAX)))
}

fn text(s: impl Into<String>) -> Option<Value> {
    Some(Value::String(s.into()))
}

fn path(p: &Option<PathBuf>) -> Option<Value> {
    p.as_ref().map(|p| Value::String(p.to_string_lossy().into_owned()))
}

impl TaskConfig {
    fn entries(&self) -> Entries {
        vec![
            ("kind", text(self.kind.name())),
            ("p", whole(self.p)),
            ("seq_len", whole(self.seq_len)),
            ("k", whole(self.k)),
            ("train", whole(self.train)),
            ("test", whole(self.test)),
            ("overlap", Some(self.overlap.into())),
            ("data", path(&self.data)),
        ]
    }
}

impl ModelConfig {
    fn entries(&self) -> Entries {
        vec![
            ("kind", text(self.kind.name())),
            ("vocab", whole(self.vocab)),
            ("d_model", whole(self.d_model)),
            ("d_mlp", whole(self.d_mlp)),
            ("activation", text(self.activation.name())),
            ("mlp_bias", Some(self.mlp_bias.into())),
            ("dropout", Some(self.dropout.into())),
            ("init", path(&self.init)),
            ("init_prefix", text(&self.init_prefix)),
        ]
    }
}

impl TrainConfig {
    fn entries(&self) -> Entries {
        let batch = match self.batch {
            Batch::Size(n) => whole(n),
            Batch::Full => text("full"),
        };
        vec![
            ("optimizer", text(self.optimizer.name())),
            ("lr", Some(self.lr.into())),
            ("betas", Some(self.betas.to_vec().into())),
            ("eps", Some(self.eps.into())),
            ("momentum", Some(self.momentum.into())),
            ("weight_decay", Some(self.weight_decay.into())),
            ("mlp_lr_discount", Some(self.mlp_lr_discount.into())),
            ("batch", batch),
            ("steps", whole(self.steps)),
            ("shuffle", Some(self.shuffle.into())),
            ("schedule", text(self.schedule.name())),
            ("warmup", whole(self.warmup)),
            ("min_lr", Some(self.min_lr.into())),
            ("clip", self.clip.map(Value::from)),
            ("log_every", whole(self.log_every)),
            ("eval_every", whole(self.eval_every)),
            ("checkpoint_every", whole(self.checkpoint_every)),
            ("snapshot_every", whole(self.snapshot_every)),
            ("circuit_every", whole(self.circuit_every)),
            ("circuit_probe", whole(self.circuit_probe)),
            ("optimizer_state", text(self.optimizer_state.name())),
        ]
    }
}

impl Config {
    /// The whole configuration as TOML, every default written out, always in the same order.
    /// Reading it again gives an equal configuration.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let name = self.name.as_ref().and_then(text);
        write_entries(
            &mut out,
            "",
            &[
                ("seed", whole(self.seed)),
                ("dtype", Some(self.dtype.name().into())),
                ("name", name),
            ],
        );
        match &self.stages[..] {
            [only] if only.name == stage_name(0) => {
                write_entries(&mut out, "[task]", &only.task.entries());
                write_entries(&mut out, "[model]", &only.model.entries());
                write_entries(&mut out, "[train]", &only.train.entries());
            }
            stages => {
                if let Some(first) = stages.first() {
                    write_entries(&mut out, "[model]", &first.model.entries());
                }
                for stage in stages {
                    write_entries(&mut out, "[[stages]]", &[("name", text(&stage.name))]);
                    write_entries(&mut out, "[stages.task]", &stage.task.entries());
                    let dropout = ("dropout", Some(stage.model.dropout.into()));
                    write_entries(&mut out, "[stages.model]", &[dropout]);
                    write_entries(&mut out, "[stages.train]", &stage.train.entries());
                }
            }
        }
        out
    }
}

fn write_entries(out: &mut String, title: &str, entries: &[(&str, Option<Value>)]) {
    if !title.is_empty() {
        let _ = writeln!(out, "\n{title}");
    }
    for (key, value) in entries {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
}

#[cfg(test)]
mod tests;
